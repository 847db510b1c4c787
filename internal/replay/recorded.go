// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/prometheus"
	"github.com/windlass-dev/windlass/internal/analysis/query"
	"github.com/windlass-dev/windlass/internal/policy"
)

const (
	// ahead is how many measurements are asked for at once.
	ahead = 500
	// tries of a question, with pauses that double in between.
	tries     = 3
	firstWait = 500 * time.Millisecond
)

// Server answers questions about the past.
type Server interface {
	Range(ctx context.Context, address, text string, at prometheus.Times) ([]prometheus.Point, error)
}

// Recorded measures by what a Prometheus server recorded.
type Recorded struct {
	Server  Server
	Address string     // in place of those of the metrics
	Vars    query.Vars // but Window, which follows from the time

	known map[string]map[int64]prometheus.Point // by query and time in milliseconds
}

// Measure gives what the query of a metric would have given at a time. That it cannot be asked now is an error: it says nothing about
// the past. What the server says of a time, that there is no number or more than one, is a measurement.
func (r *Recorded) Measure(ctx context.Context, m policy.Metric, at, committed time.Time) (analysis.Measurement, error) {
	text, err := r.text(m, at.Sub(committed))
	if err != nil {
		return analysis.Measurement{}, err
	}
	point, ok := r.known[text][at.UnixMilli()]
	if !ok {
		if point, err = r.fetch(ctx, m, text, at, committed); err != nil {
			return analysis.Measurement{}, fmt.Errorf("metric %s: %w", m.Name, err)
		}
	}
	return measurement(point), nil
}

// measurement tells apart that there was nothing to measure, and that there was no number.
func measurement(p prometheus.Point) analysis.Measurement {
	none, ok := errors.AsType[*query.NoDataError](p.Err)
	switch {
	case ok:
		return analysis.Measurement{NoData: none.Error()}
	case p.Err != nil:
		return analysis.Measurement{Err: p.Err.Error()}
	}
	return analysis.Measurement{Value: p.Value}
}

func (r *Recorded) text(m policy.Metric, took time.Duration) (string, error) {
	vars := r.Vars
	vars.Window = query.Window(took)
	text, err := query.Render(m.Source.Prometheus.Query, vars)
	if err != nil {
		return "", fmt.Errorf("metric %s: %w", m.Name, err)
	}
	return text, nil
}

// fetch asks about a time, and about later ones as well when the query will be the same then.
func (r *Recorded) fetch(ctx context.Context, m policy.Metric, text string, at, committed time.Time) (prometheus.Point, error) {
	times := prometheus.Times{From: at, Step: m.Interval, N: 1}
	if later, err := r.text(m, at.Add(m.Interval).Sub(committed)); err == nil && later == text {
		times.N = ahead
	}
	points, err := r.ask(ctx, text, times)
	if err != nil {
		return prometheus.Point{}, err
	}
	if r.known == nil {
		r.known = map[string]map[int64]prometheus.Point{}
	}
	known := make(map[int64]prometheus.Point, len(points))
	for _, p := range points {
		known[p.At.UnixMilli()] = p
	}
	r.known[text] = known // what was known of it before is over
	return points[0], nil
}

// ask tries a few times: a server may be restarting, or busy.
func (r *Recorded) ask(ctx context.Context, text string, times prometheus.Times) (points []prometheus.Point, err error) {
	wait := firstWait
	for try := 1; ; try++ {
		points, err = r.Server.Range(ctx, r.Address, text, times)
		if err == nil || ctx.Err() != nil || try == tries {
			return points, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
			wait *= 2
		}
	}
}
