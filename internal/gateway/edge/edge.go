// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package edge looks at a device's request before a protocol answers it: from which network it comes and whether that asks too
// much, which device it proves to be, and whether there is room to work on it. Protocols render what comes of it in the way that
// their clients bear best.
package edge

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/auth"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/netaddr"
)

// Config of an Edge. The zero Config limits nothing and asks no device for a proof. Logs and metrics of the parts are set by New.
type Config struct {
	Proxies netaddr.Config
	Limits  limit.Config
	Auth    auth.Config
}

// Edge is what a gateway asks of every request. It is safe for concurrent use.
type Edge struct {
	networks *netaddr.Resolver
	limiter  *limit.Limiter
	devices  *auth.Authenticator
}

// New makes an Edge and registers its metrics.
func New(cfg Config, log *slog.Logger, r prometheus.Registerer) (*Edge, error) {
	cfg.Proxies.Log, cfg.Proxies.Metrics = log, r
	networks, err := netaddr.New(cfg.Proxies)
	if err != nil {
		return nil, err
	}
	cfg.Limits.Metrics = r
	limiter, err := limit.New(cfg.Limits)
	if err != nil {
		return nil, err
	}
	cfg.Auth.Log, cfg.Auth.Metrics = log, r
	devices, err := auth.New(cfg.Auth)
	if err != nil {
		return nil, err
	}
	return &Edge{networks, limiter, devices}, nil
}

// Run follows the keys of the tokens' issuer until the context ends.
func (e *Edge) Run(ctx context.Context) { e.devices.Run(ctx) }

// Visitor is who sends a request.
type Visitor struct {
	network  ledger.Network
	identity auth.Identity
	region   string
}

// Region is where the visitor is, as a trusted proxy tells it; empty when none does.
func (v *Visitor) Region() string { return v.region }

// Admit looks at a request. Ask before the body is read. A wait of more than 0 says that the visitor's network has spent its
// budget, and when it has its next request.
func (e *Edge) Admit(c limit.Class, r *http.Request) (v Visitor, wait time.Duration) {
	v.network = e.networks.Network(r)
	if d := e.limiter.Take(c, v.network); d.Verdict != limit.Allowed {
		return v, d.RetryAfter
	}
	v.identity, v.region = e.devices.Identify(r), e.networks.Region(r)
	return v, 0
}

// Charge counts an admitted request as so many more of its visitor's network: that much work was in it. It refuses nothing.
func (e *Edge) Charge(c limit.Class, v Visitor, requests int) {
	e.limiter.Charge(c, v.network, requests)
}

// SpeakFor gives the network that the ledger is told when the visitor speaks for a device, or a *httpx.Problem when it may not.
func (e *Edge) SpeakFor(v Visitor, deviceID string) (ledger.Network, error) {
	standing := e.devices.Check(v.identity, deviceID)
	return standing.Network(v.network), standing.Problem()
}

// Begin takes a place among the requests that are worked on. Ask after the body was read. With false there is none; after true,
// End must give it back.
func (e *Edge) Begin(c limit.Class) bool { return e.limiter.Begin(c).Verdict == limit.Allowed }

// End gives back a place.
func (e *Edge) End(c limit.Class) { e.limiter.End(c) }
