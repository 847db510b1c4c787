// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math"
	"slices"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/plan"
)

// For are the limits of a metric for a release: devices have to be seen in its stage, and the analysis needs more evidence each time
// that it has spoken against the digest.
func (m Metric) For(rel plan.Release) analysis.Limits {
	l := m.Limits
	l.Stage, l.Tries = rel.Stage, rel.Tries
	return l
}

// Judge says what a measurement means for a release, given the result before it. Tests whose state is lost count again what the ledger
// has of all stages from the given one on. Those whose limit was changed do so by themselves, as their evidence was against another one.
func (m Metric) Judge(rel plan.Release, from int32, prev analysis.Result, measured analysis.Measurement) analysis.Result {
	if m.tests() != len(prev.Tests) {
		prev.Tests = m.fresh(from)
	}
	return analysis.Judge(m.For(rel), prev, measured)
}

// fresh are tests that have seen nothing, and count from a stage on.
func (m Metric) fresh(from int32) []eprocess.State {
	out := make([]eprocess.State, m.tests())
	for i := range out {
		out[i] = out[i].Restart(from)
	}
	return out
}

// Recall renews what a result says of the evidence from the state of its tests, as a result that was stored has the state only.
func (m Metric) Recall(rel plan.Release, r *analysis.Result) {
	tests := m.For(rel).Tests()
	if len(tests) == 0 || len(tests) != len(r.Tests) {
		r.Tests = nil
		return
	}
	r.Evidence, r.EvidenceLimit = math.Inf(-1), tests[0].LogLimit()
	for i, t := range tests {
		r.Evidence = max(r.Evidence, t.Log(r.Tests[i]))
	}
}

// After gives what of the results holds after a decision, and tells whether the results are other ones.
// An exclusion begins to count anew, in its stage. What was said of another digest is forgotten. A retry of the digest starts with what
// is left, as status keeps it of earlier releases of it, since the last release may have been of another one: with the evidence of the
// try before, up to half of what takes the retry back, which is the limit that was reached.
func (p Policy) After(was, is plan.Release, results, left []analysis.Result) (out []analysis.Result, anew bool) {
	again := is.Revision != was.Revision
	switch {
	case is.Digest == "" && (again || was.Digest != ""):
		return nil, true
	case is.Digest != was.Digest:
		again, results = true, left
	case !again && len(is.Exclude) <= len(was.Exclude):
		if is.Stage != was.Stage {
			results = slices.Clone(results)
			for i := range results {
				results[i].Held, results[i].Pause = time.Time{}, results[i].Pause && results[i].Held.IsZero()
				results[i].Candidate, results[i].Control = nil, nil // they were of the stage before
			}
		}
		return results, false
	}
	for _, r := range results {
		m, ok := p.sequential(r)
		switch {
		case ok && again:
			out = append(out, m.retried(is, r))
		case ok:
			out = append(out, m.restarted(is, r))
		case !again:
			out = append(out, r)
		}
	}
	return out, true
}

// sequential is the metric of a result whose tests have a state.
func (p Policy) sequential(r analysis.Result) (Metric, bool) {
	for _, m := range p.Metrics {
		if m.Name == r.Name {
			return m, m.tests() > 0 && m.tests() == len(r.Tests)
		}
	}
	return Metric{}, false
}

func (m Metric) restarted(is plan.Release, r analysis.Result) analysis.Result {
	out := unsaid(r)
	out.Tests, out.History, out.Message = m.fresh(is.Stage), r.History, "counting anew without the excluded devices"
	m.Recall(is, &out)
	return out
}

func (m Metric) retried(is plan.Release, r analysis.Result) analysis.Result {
	out := unsaid(r)
	for i, t := range m.For(is).Tests() {
		t.Tries--
		out.Tests = append(out.Tests, r.Tests[i].Capped(t))
	}
	m.Recall(is, &out)
	out.Message = fmt.Sprintf("starts with evidence %s of %s against it, of the try before",
		analysis.Evidence(out.Evidence), analysis.Evidence(out.EvidenceLimit))
	return out
}

// unsaid is a result of a metric that has not been measured yet.
func unsaid(r analysis.Result) analysis.Result {
	return analysis.Result{Name: r.Name, Limit: r.Limit, DryRun: r.DryRun, Verdict: otav1alpha1.VerdictNotEnoughSamples}
}
