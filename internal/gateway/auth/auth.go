// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package auth tells which device speaks, by a token of an OpenID Connect issuer (RFC 7519) or by a client certificate. Without
// either a device id is only what somebody claims: good enough to choose an update, and not to outvote a fleet.
package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
)

// Mode says what devices must prove.
type Mode string

// The modes.
const (
	Off      Mode = "off"      // nothing is looked at
	Optional Mode = "optional" // a device that proves who it is gets its vote whatever its network; others are served
	Required Mode = "required" // others are refused
)

// UnmarshalText reads a Mode, for flags.
func (m *Mode) UnmarshalText(text []byte) error {
	switch got := Mode(text); got {
	case Off, Optional, Required:
		*m = got
		return nil
	}
	return fmt.Errorf("expected %s, %s or %s, got %q", Off, Optional, Required, text)
}

// MarshalText writes a Mode, for flags.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m), nil }

// Config of an Authenticator.
type Config struct {
	Mode         Mode          // empty: Off
	JWT          *JWT          // nil: tokens are not looked at
	Certificates *Certificates // nil: client certificates are not looked at
	Log          *slog.Logger
	Metrics      prometheus.Registerer
}

// Certificates says where a client certificate has the device id, and which are to be believed.
type Certificates struct {
	// Verified tells whether a connection's certificate is valid now, of a known authority, and for clients.
	Verified func(*tls.ConnectionState) bool
	// URIPrefix comes before the device id in the one URI of the subject's alternative names that begins so, such as
	// spiffe://example.org/device/; empty: the device id is the subject's common name.
	URIPrefix string
}

// Identity is what a request proved. The zero Identity proved nothing.
type Identity struct {
	token, certificate string // device ids
}

// Is tells whether the identity is that of a device. Ids are compared as the ledger does it: letters of ASCII without case.
func (i Identity) Is(deviceID string) bool {
	return deviceID != "" && (sameID(i.token, deviceID) || sameID(i.certificate, deviceID))
}

// sameID is strings.EqualFold for ASCII only: to it, the Kelvin sign is a k.
func sameID(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// Standing says what a device may do.
type Standing uint8

// The standings. In the modes Off and Optional there are the first two only.
const (
	Anonymous       Standing = iota // it is served, and shares the limit of votes of its network
	Verified                        // it is the device that it says it is
	Unauthenticated                 // it proved nothing
	Forbidden                       // it is another device than the one that it speaks for
	standings
)

// String is the name of the standing in metrics.
func (s Standing) String() string {
	return [...]string{"anonymous", "verified", "unauthenticated", "forbidden"}[s]
}

// Refused tells whether the request must not be answered as asked.
func (s Standing) Refused() bool { return s >= Unauthenticated }

// Network is what the ledger is told of the network: none for a Verified device, so that the limit of votes does not hold for
// it. The limit of requests does.
func (s Standing) Network(n ledger.Network) ledger.Network {
	if s == Verified {
		return 0
	}
	return n
}

// Problem is how a refusal is told to clients that understand it; nil without one.
func (s Standing) Problem() error {
	switch s {
	case Unauthenticated:
		return &httpx.Problem{
			Status: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {"Bearer"}},
			Detail: "expected a valid token or client certificate of the device",
		}
	case Forbidden:
		return &httpx.Problem{Status: http.StatusForbidden, Detail: "expected the device that the token or client certificate names"}
	}
	return nil
}

// Authenticator tells the identities of requests.
type Authenticator struct {
	cfg      Config
	keys     *keys
	verifier *oidc.IDTokenVerifier
	metrics  *metrics
}

// New makes an Authenticator and registers its metrics. It fetches nothing: Run does.
func New(cfg Config) (*Authenticator, error) {
	a := &Authenticator{cfg: cfg, metrics: newMetrics(cfg.Metrics)}
	if cfg.Mode == "" || cfg.Mode == Off {
		a.cfg = Config{Mode: Off}
		return a, nil
	}
	if cfg.JWT == nil && cfg.Certificates == nil {
		return nil, fmt.Errorf("device authentication is %s: expected tokens, client certificates or both to be set up", cfg.Mode)
	}
	if cfg.Certificates != nil && cfg.Certificates.Verified == nil {
		return nil, errors.New("device authentication: client certificates need TLS, which verifies them")
	}
	if cfg.JWT != nil {
		if err := cfg.JWT.validate(); err != nil {
			return nil, fmt.Errorf("device authentication: %w", err)
		}
		a.keys = newKeys(cfg.JWT, cfg.Log, cfg.Metrics)
		a.verifier = oidc.NewVerifier(cfg.JWT.Issuer, a.keys, &oidc.Config{ClientID: cfg.JWT.Audience, SupportedSigningAlgs: algorithmNames()})
	}
	return a, nil
}

// Run follows the keys of the issuer until the context ends; it returns at once when there are none to follow.
func (a *Authenticator) Run(ctx context.Context) {
	if a.keys != nil {
		a.keys.run(ctx)
	}
}

// Identify gives what a request proved. It waits for nobody: a token whose key was not fetched yet proves nothing. Verifying
// takes some ten microseconds: ask the limit of the network first.
func (a *Authenticator) Identify(r *http.Request) Identity {
	var i Identity
	if a.cfg.Certificates != nil && r.TLS != nil {
		i.certificate = a.cfg.Certificates.device(r.TLS)
	}
	if a.verifier != nil {
		i.token = a.device(r)
	}
	return i
}

// Check tells what a request of an identity may do for the device that its body names.
func (a *Authenticator) Check(i Identity, deviceID string) Standing {
	if a.cfg.Mode == Off {
		return Anonymous
	}
	s := Anonymous
	switch {
	case i.Is(deviceID):
		s = Verified
	case a.cfg.Mode == Required && i == Identity{}:
		s = Unauthenticated
	case a.cfg.Mode == Required:
		s = Forbidden
	}
	a.metrics.standings[s].Inc()
	return s
}

// device gives the device id of a certificate that is verified; empty: none. One that is not proves nothing, as no certificate
// does: a device whose certificate expired is served as far as others are.
func (c *Certificates) device(state *tls.ConnectionState) string {
	if len(state.PeerCertificates) == 0 || !c.Verified(state) {
		return ""
	}
	leaf := state.PeerCertificates[0]
	if c.URIPrefix == "" {
		return leaf.Subject.CommonName
	}
	id, found := "", 0
	for _, uri := range leaf.URIs {
		if rest, ok := strings.CutPrefix(uri.String(), c.URIPrefix); ok {
			id = rest
			found++
		}
	}
	if found != 1 {
		return ""
	}
	return id
}

// device gives the device id of the request's token; empty: none.
func (a *Authenticator) device(r *http.Request) string {
	raw, err := bearer(r.Header)
	if errors.Is(err, errNoToken) {
		return ""
	}
	if err != nil {
		a.metrics.malformed.Inc()
		return ""
	}
	token, err := a.verifier.Verify(r.Context(), raw)
	if err != nil { // its text has parts of the token: it is not for logs
		a.metrics.refused.Inc()
		return ""
	}
	id := a.cfg.JWT.device(token)
	if id == "" {
		a.metrics.refused.Inc()
		return ""
	}
	a.metrics.verified.Inc()
	return id
}
