// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/prometheus"
	"github.com/windlass-dev/windlass/internal/analysis/query"
	"github.com/windlass-dev/windlass/internal/policy"
)

// server is a Prometheus whose metric grows by one a minute, and that fails as often as it is told to.
type server struct {
	asked []string // times and queries
	fails int
}

func (s *server) Range(_ context.Context, address, text string, at prometheus.Times) ([]prometheus.Point, error) {
	s.asked = append(s.asked, fmt.Sprintf("%s %s %s*%d", at.From.Sub(start), text, at.Step, at.N))
	if s.fails > 0 {
		s.fails--
		return nil, &query.ProviderError{Reason: address + " refuses connections"}
	}
	out := make([]prometheus.Point, at.N)
	for i := range out {
		out[i].At = at.From.Add(time.Duration(i) * at.Step)
		switch minute := out[i].At.Sub(start).Minutes(); minute {
		case 5:
			out[i].Err = &query.NoDataError{Reason: "no series"}
		case 6:
			out[i].Err = &query.ProviderError{Reason: "two series"}
		default:
			out[i].Value = minute
		}
	}
	return out, nil
}

func metric(text string) policy.Metric {
	return policy.Metric{
		Name: "errors", Interval: time.Minute, Source: &otav1alpha1.Metric{Prometheus: &otav1alpha1.PrometheusMetric{Query: text}},
	}
}

func minute(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }

func TestRecorded(t *testing.T) {
	s := &server{}
	r := &Recorded{Server: s, Address: "http://prometheus", Vars: query.Vars{Version: "2.4.0"}}
	ask := func(text string, at, committed int) analysis.Measurement {
		t.Helper()
		m, err := r.Measure(t.Context(), metric(text), minute(at), minute(committed))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, tc := range []struct {
		at   int
		want analysis.Measurement
	}{{1, value(1)}, {2, value(2)}, {5, analysis.Measurement{NoData: "no series"}}, {6, analysis.Measurement{Err: "two series"}}, {500, value(500)}, {501, value(501)}} {
		if diff := cmp.Diff(tc.want, ask(`x{v={{ quote .version }}}`, tc.at, 0)); diff != "" {
			t.Errorf("minute %d (-want +got):\n%s", tc.at, diff)
		}
	}
	for at := 1; at < 4; at++ { // what looks back over a window is another query each time, until the window has its full length
		if diff := cmp.Diff(value(float64(at)), ask("rate(x[{{ .window }}])", at, 0)); diff != "" {
			t.Error(diff)
		}
	}
	for at := 60; at < 64; at++ {
		ask("rate(x[{{ .window }}])", at, 0)
	}
	want := []string{
		`1m0s x{v="2.4.0"} 1m0s*500`, `8h21m0s x{v="2.4.0"} 1m0s*500`,
		"1m0s rate(x[60s]) 1m0s*1", "2m0s rate(x[120s]) 1m0s*1", "3m0s rate(x[180s]) 1m0s*1", "1h0m0s rate(x[3600s]) 1m0s*500",
	}
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if _, err := r.Measure(t.Context(), metric("{{ .unheard }}"), minute(1), minute(0)); err == nil || !strings.Contains(err.Error(), "metric errors: query") {
		t.Errorf("got %v, want that the query cannot be made", err)
	}
}

// A server that does not answer is asked again, with pauses, and then the replay ends: it says nothing about the past.
func TestRecordedRetries(t *testing.T) {
	for fails, want := range map[int]time.Duration{1: 500 * time.Millisecond, 2: 1500 * time.Millisecond, 3: 1500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			s := &server{fails: fails}
			_, err := (&Recorded{Server: s, Address: "prometheus"}).Measure(t.Context(), metric("x"), minute(1), minute(0))
			if failed := err != nil; failed != (fails == tries) || failed && err.Error() != "metric errors: prometheus refuses connections" {
				t.Errorf("%d failures: %v", fails, err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("%d failures: waited %s, want %s", fails, took, want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		_, err := (&Recorded{Server: &server{fails: 9}}).Measure(ctx, metric("x"), minute(1), minute(0))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that the context ended", err)
		}
	})
}
