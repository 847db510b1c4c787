// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/intstr"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
	"github.com/windlass-dev/windlass/internal/simulate"
)

// watcher follows one rollout and tells when its rule stops it. It is asked no further then.
type watcher interface {
	look(k *simulate.Look) (stop bool)
}

// rule makes a watcher for each rollout.
type rule struct {
	name  simulate.Rule
	watch func() watcher
}

// parsePolicy is the policy of the benchmark as an author writes it: no increase of the given outcomes, with confidence 0.95.
func parsePolicy(outcomes ...otav1alpha1.TelemetryOutcome) (policy.Policy, error) {
	r := &otav1alpha1.Rollout{Spec: otav1alpha1.RolloutSpec{Analysis: &otav1alpha1.Analysis{}}}
	for _, o := range outcomes {
		r.Spec.Analysis.Metrics = append(r.Spec.Analysis.Metrics, otav1alpha1.Metric{
			Name: string(o), Telemetry: &otav1alpha1.TelemetryMetric{Outcome: o}, MaxIncrease: "1",
		})
	}
	r.Spec.Steps = []otav1alpha1.Step{{SetWeight: new(intstr.FromInt32(1))}, {Pause: &otav1alpha1.PauseStep{}}}
	return policy.Parse(r)
}

// windlass is the sequential test as the controller runs it. What analysis.Judge formats at each look for people is left out here; when
// the evidence reaches its limit, Judge has to say so as well, from the same counts.
func windlass(p policy.Policy) rule {
	return rule{simulate.Windlass, func() watcher {
		w := &tested{}
		for _, m := range p.Metrics {
			l := m.For(plan.Release{})
			w.metrics = append(w.metrics, testedMetric{metric: m, tests: l.Tests(), states: make([]eprocess.State, len(l.Tests()))})
		}
		return w
	}}
}

type tested struct{ metrics []testedMetric }

type testedMetric struct {
	metric policy.Metric
	tests  []eprocess.Test
	states []eprocess.State
}

func (w *tested) look(k *simulate.Look) bool {
	for i := range w.metrics {
		m := &w.metrics[i]
		before := analysis.Result{Tests: m.states}
		for j, t := range m.tests {
			state, err := t.Update(m.states[j], k.Stages)
			if err != nil {
				panic(fmt.Sprintf("the laboratory made counts that cannot be: %v", err))
			}
			if t.Log(state) >= t.LogLimit() {
				m.confirm(before, k)
				return true
			}
			m.states[j] = state
		}
	}
	return false
}

// confirm holds the tests against the verdict.
func (m *testedMetric) confirm(before analysis.Result, k *simulate.Look) {
	r := m.metric.Judge(plan.Release{}, 0, before, analysis.Measurement{Stages: k.Stages})
	if r.Verdict != otav1alpha1.VerdictFailing {
		panic(fmt.Sprintf("the evidence reached its limit, and the verdict is %s: %s", r.Verdict, r.Message))
	}
}

// tuning is a peer with its query's window as a number of looks.
type tuning struct {
	peer   simulate.Peer
	window int
}

func (t tuning) String() string {
	return fmt.Sprintf("more than %.3g %% over %d looks, %d times", 100*t.peer.MaxRate, t.window, t.peer.Failures)
}

func argo(t tuning) rule {
	return rule{simulate.Argo, func() watcher { return &argoRun{window: newWindow(t)} }}
}

func flagger(t tuning) rule {
	return rule{simulate.Flagger, func() watcher { return &flaggerRun{window: newWindow(t)} }}
}

type argoRun struct {
	window

	checks simulate.Checks
}

func (a *argoRun) look(k *simulate.Look) bool {
	return a.tuning.peer.Argo(&a.checks, a.rate(k.Failed, k.Exposed), false)
}

type flaggerRun struct {
	window

	checks simulate.Checks
	bad    bool // this look rolls back
}

func (f *flaggerRun) look(k *simulate.Look) bool {
	if f.bad {
		return true
	}
	f.bad = f.tuning.peer.Flagger(&f.checks, f.rate(k.Failed, k.Exposed), false)
	return false
}

// window is what a peer's query sees: the last looks.
type window struct {
	tuning          tuning
	past            [][2]int64
	failed, exposed int64
}

func newWindow(t tuning) window { return window{tuning: t} }

// rate takes in a look and gives the share of failures in the window. It is not a number when there were no devices.
func (w *window) rate(failed, exposed int64) float64 {
	w.past = append(w.past, [2]int64{failed, exposed})
	w.failed, w.exposed = w.failed+failed, w.exposed+exposed
	if n := len(w.past) - w.tuning.window; n > 0 {
		w.failed, w.exposed = w.failed-w.past[n-1][0], w.exposed-w.past[n-1][1]
	}
	return float64(w.failed) / float64(w.exposed)
}

// peeking is the fixed-sample test at the level of alpha, at each look anew.
func peeking() rule {
	return rule{simulate.Peeking, func() watcher { return peek{simulate.Peer{Level: alpha}} }}
}

type peek struct{ peer simulate.Peer }

func (p peek) look(k *simulate.Look) bool {
	return p.peer.Peek(k.AllTold, k.AllExposed, k.ControlFail, k.ControlAll)
}
