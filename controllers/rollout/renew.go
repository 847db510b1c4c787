// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
)

// parallelQueries bounds how many questions of one Rollout are asked at a time. Those to the gateways are not among them.
const parallelQueries = 4

// round measures the metrics of a release that are due. Its goroutines only ask; what came in is judged by one, so that nothing is raced.
type round struct {
	*Reconciler
	*scope

	from    int32 // stage
	results []analysis.Result
	asking  []bool // by metric
	slow    int    // questions under way that are not to the gateways
	gates   int    // those that are
	slots   chan struct{}
	in      chan answer
}

type answer struct {
	metric int
	analysis.Measurement
}

// renew measures what is due, side by side, and judges it as it comes in. It is done as soon as a metric fails that takes the release back:
// a slow one must not delay that. What is not in by then keeps its last result, and stays due. While slow ones are waited for, the
// gateways are asked again and again.
func (r *Reconciler) renew(ctx context.Context, s *scope, last []analysis.Result) []analysis.Result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // whoever is asked still
	n := len(s.policy.Metrics)
	w := &round{
		Reconciler: r, scope: s, from: countedFrom(s.rollout.Status), results: make([]analysis.Result, n), asking: make([]bool, n),
		slots: make(chan struct{}, parallelQueries), in: make(chan answer, n),
	}
	for i, m := range s.policy.Metrics {
		w.results[i] = find(last, m.Name)
		w.results[i].DryRun = m.Limits.DryRun
	}
	w.ask(ctx, true)
	w.ask(ctx, false)
	for w.slow+w.gates > 0 && !s.urgent(w.results) {
		w.wait(ctx)
	}
	s.facts.Now = r.Now()
	return w.results
}

// gateways tells whether a metric is of what the gateways count.
func (w *round) gateways(metric int) bool { return w.policy.Metrics[metric].Source.Telemetry != nil }

// ask begins to measure those of the metrics that are due: the gateways', or the others.
func (w *round) ask(ctx context.Context, gateways bool) {
	w.facts.Now = w.Now()
	for i, m := range w.policy.Metrics {
		if w.gateways(i) != gateways || w.asking[i] || w.facts.Now.Before(m.Due(w.results[i], w.since())) {
			continue
		}
		w.asking[i] = true
		w.count(gateways, 1)
		subject := w.subject(m)
		go func() {
			if !gateways {
				w.slots <- struct{}{}
				defer func() { <-w.slots }()
			}
			a := answer{metric: i}
			if ctx.Err() == nil {
				a.Measurement = w.Measurer.Measure(ctx, subject)
			}
			if a.At.IsZero() {
				a.At = subject.Now // when it was asked: what happened later may not be in it
			}
			w.in <- a // has room for one of each metric
		}()
	}
}

func (w *round) count(gateways bool, by int) {
	if gateways {
		w.gates += by
	} else {
		w.slow += by
	}
}

// wait judges the next answer, or asks the gateways when that is due before it is in.
func (w *round) wait(ctx context.Context) {
	again := time.NewTimer(w.untilCounts())
	defer again.Stop()
	select {
	case a := <-w.in:
		w.asking[a.metric] = false
		w.count(w.gateways(a.metric), -1)
		if ctx.Err() == nil { // else the manager is ending: that is nobody's failure
			w.results[a.metric] = w.policy.Metrics[a.metric].Judge(w.facts.Release, w.from, w.results[a.metric], a.Measurement)
		}
	case <-again.C:
		if w.slow > 0 && ctx.Err() == nil {
			w.ask(ctx, true)
		}
	}
}

// untilCounts is the time until the gateways are asked again.
func (w *round) untilCounts() time.Duration {
	soonest := time.Hour // longer than any question takes
	for i, m := range w.policy.Metrics {
		if w.gateways(i) && !w.asking[i] {
			soonest = min(soonest, max(m.Due(w.results[i], w.since()).Sub(w.Now()), nextPass))
		}
	}
	return soonest
}

// urgent tells whether it is decided already what becomes of the release: a metric fails that counts by now, and that did not stop it yet.
func (s *scope) urgent(results []analysis.Result) bool {
	rel := s.facts.Release
	if rel.State == otav1alpha1.ReleasePaused || rel.Step < s.policy.Spec.FirstCheck {
		return false
	}
	verdict, _ := analysis.Overall(analysis.Deciding(results))
	return verdict == otav1alpha1.VerdictFailing
}
