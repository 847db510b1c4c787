// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/analysis/query"
)

// Bounds of the window that a query may look back: {{ .window }}.
const (
	minWindow = 10 * time.Second
	maxWindow = time.Hour
)

const noGateway = "no gateway is configured: start the manager with --gateway-url"

// Querier asks a Prometheus server.
type Querier interface {
	Query(ctx context.Context, address, query string) (float64, error)
}

// Counter asks the gateways what devices reported.
type Counter interface {
	// Counts gives all stages of the release, the oldest first.
	Counts(ctx context.Context, s Subject) ([]eprocess.Stage, error)
	// Slices gives the devices in groups that are alike, by stage.
	Slices(ctx context.Context, s Subject) ([]blame.Group, error)
}

// Providers measures by telemetry and Prometheus.
type Providers struct {
	Telemetry  Counter // nil: no gateway is configured
	Prometheus Querier
}

// Measure asks the metric's provider once.
func (p Providers) Measure(ctx context.Context, s Subject) analysis.Measurement {
	if s.Prometheus != nil {
		return p.query(ctx, s)
	}
	if p.Telemetry == nil {
		return analysis.Measurement{Err: noGateway}
	}
	stages, err := p.Telemetry.Counts(ctx, s)
	if err != nil {
		return analysis.Measurement{Err: err.Error()}
	}
	return analysis.Measurement{Stages: stages}
}

// Slices asks the gateways.
func (p Providers) Slices(ctx context.Context, s Subject) ([]blame.Group, error) {
	if p.Telemetry == nil {
		return nil, errors.New(noGateway)
	}
	return p.Telemetry.Slices(ctx, s)
}

func (p Providers) query(ctx context.Context, s Subject) analysis.Measurement {
	window := min(max(s.Now.Sub(s.Since), minWindow), maxWindow)
	text, err := query.Render(s.Prometheus.Query, query.Vars{
		App: s.App, Channel: s.Channel, Bundle: s.Bundle, Version: s.Version, Digest: s.Digest,
		Window: fmt.Sprintf("%ds", int(window.Seconds())),
	})
	if err != nil {
		return analysis.Measurement{Err: err.Error()}
	}
	value, err := p.Prometheus.Query(ctx, string(s.Prometheus.Address), text)
	if none, ok := errors.AsType[*query.NoDataError](err); ok {
		return analysis.Measurement{NoData: none.Error()}
	}
	if err != nil {
		return analysis.Measurement{Err: err.Error()}
	}
	return analysis.Measurement{Value: value}
}
