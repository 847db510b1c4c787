// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// slow is a world whose web metrics do not answer until they are let, or given up.
type slow struct {
	*world

	mu      sync.Mutex
	counted int
	badFrom int           // how often the gateways are asked until the candidate fails
	let     chan struct{} // closed: web metrics answer
}

func newSlow(t *testing.T, metrics int) *slow {
	t.Helper()
	s := &slow{let: make(chan struct{})}
	s.world = single(t, func(r *otav1alpha1.Rollout, _ *otav1alpha1.Channel) {
		for i := range metrics { // in front of the telemetry metric
			r.Spec.Analysis.Metrics = append([]otav1alpha1.Metric{{
				Name: fmt.Sprint("web", i), Web: &otav1alpha1.WebMetric{URL: "https://example.com/", JSONPath: "{.rate}"},
				ThresholdRange: &otav1alpha1.ThresholdRange{Max: "1"},
			}}, r.Spec.Analysis.Metrics...)
		}
	})
	s.Measurer = s
	s.Now = func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.now
	}
	s.begin("shop")
	return s
}

// Measure lets the time of a measurement of the gateways pass with each of them.
func (s *slow) Measure(ctx context.Context, subject Subject) analysis.Measurement {
	if subject.Web != nil {
		select {
		case <-s.let:
			return analysis.Measurement{Value: 0.5}
		case <-ctx.Done():
			return analysis.Measurement{Err: "given up"}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted++
	s.now = s.now.Add(subject.Interval)
	if s.badFrom > 0 && s.counted >= s.badFrom {
		return analysis.Measurement{Stages: []eprocess.Stage{arms(1, 1000, 60, 9000, 90)}}
	}
	if s.counted == 3 && s.badFrom == 0 {
		close(s.let)
	}
	return analysis.Measurement{Stages: []eprocess.Stage{arms(1, 1000, 10, 9000, 90)}}
}

// later lets time pass that is longer than the interval of all metrics.
func (s *slow) later() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(30 * time.Second)
}

// Metrics that do not answer do not delay the rollback of a release that fails, whether it does already when they are asked or begins to
// while they are waited for; nor are they held to have failed.
func TestRenew_slowDoesNotDelay(t *testing.T) {
	for name, badFrom := range map[string]int{"fails already": 1, "begins to fail": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSlow(t, 6)
			s.badFrom = badFrom
			s.later()
			r, _ := s.reconcile("shop")
			if r.Status.Release.State != otav1alpha1.ReleaseRollingBack || s.counted != badFrom {
				t.Errorf("%s after %d looks: %s", r.Status.Release.State, s.counted, r.Status.Message)
			}
			if len(r.Status.Analysis) != 1 {
				t.Errorf("metrics without an answer: %+v", r.Status.Analysis)
			}
			testkit.CheckStatus(t, r)
		})
	}
}

// All answers of a good release are waited for.
func TestRenew_slowIsWaitedFor(t *testing.T) {
	s := newSlow(t, 6)
	s.later()
	r, _ := s.reconcile("shop")
	if len(r.Status.Analysis) != 7 {
		t.Fatalf("results: %+v", r.Status.Analysis)
	}
	for _, m := range r.Status.Analysis {
		if m.Verdict != otav1alpha1.VerdictPassing {
			t.Errorf("%s: %s: %s", m.Name, m.Verdict, m.Message)
		}
	}
}

// A release that a failing metric has paused is measured by all others, too.
func TestRenew_pausedIsMeasured(t *testing.T) {
	s := newSlow(t, 1)
	r := s.get("shop")
	r.Spec.Rollback = &otav1alpha1.RollbackSpec{OnFailure: otav1alpha1.OnFailurePause}
	if err := s.client.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s.badFrom = 1
	s.later()
	if r, _ = s.reconcile("shop"); r.Status.Release.State != otav1alpha1.ReleasePaused || len(r.Status.Analysis) != 1 {
		t.Fatalf("%s: %+v", r.Status.Release.State, r.Status.Analysis)
	}
	close(s.let)
	if r, _ = s.reconcile("shop"); len(r.Status.Analysis) != 2 {
		t.Errorf("results: %+v", r.Status.Analysis)
	}
}
