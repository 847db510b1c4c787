// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"math"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
	"github.com/windlass-dev/windlass/internal/window"
)

// maxState bounds the state of a metric's tests in status, in bytes. What does not fit is rebuilt from the gateways' counts.
const maxState = 4096

// maxEvidenceLeft bounds what a release leaves of a metric: two tests without what they counted have at most half of it.
const maxEvidenceLeft = 1024

// results reads the results out of a status, in the order of the policy; none when nothing was measured yet. Its inverse is
// metricStatuses.
func results(st otav1alpha1.RolloutStatus, p policy.Policy, rel plan.Release) []analysis.Result {
	if len(st.Analysis) == 0 {
		return nil
	}
	out := make([]analysis.Result, 0, len(p.Metrics))
	for _, m := range p.Metrics {
		r := analysis.Result{Name: m.Name, DryRun: m.Limits.DryRun}
		for i := range st.Analysis {
			if st.Analysis[i].Name == m.Name {
				r = result(&st.Analysis[i], m, rel)
			}
		}
		out = append(out, r)
	}
	return out
}

func result(st *otav1alpha1.MetricStatus, m policy.Metric, rel plan.Release) analysis.Result {
	r := analysis.Result{
		Name: st.Name, Verdict: st.Verdict, Message: st.Message, Value: st.Value, Limit: st.Limit,
		Candidate: counts(st.Candidate), Control: counts(st.Control), Failures: st.Failures, Errors: st.Errors,
		Since: instant(st.Since), MeasuredAt: instant(st.MeasuredAt), Held: instant(st.HeldSince),
	}
	for _, h := range st.History {
		r.History = append(r.History, analysis.Past{At: h.At.Time, Verdict: h.Verdict, Value: h.Value, Evidence: logOf(h.Evidence)})
	}
	if tests, err := eprocess.Decode(st.State); err == nil { // else it is lost, and rebuilt
		r.Tests = tests
	}
	m.Recall(rel, &r)
	r.Budget(m.For(rel))
	return r
}

// evidenceLeft is what a release that has ended leaves for the next one of its digest; a good one leaves nothing.
func evidenceLeft(rel plan.Release, results []analysis.Result) []otav1alpha1.EvidenceLeft {
	if rel.State == otav1alpha1.ReleaseCompleted || rel.Digest == "" {
		return nil
	}
	var out []otav1alpha1.EvidenceLeft
	for _, r := range results {
		tests := make([]eprocess.State, len(r.Tests))
		for i, t := range r.Tests {
			tests[i] = t.Evidence()
		}
		if state := eprocess.Encode(tests); len(tests) > 0 && len(state) <= maxEvidenceLeft {
			out = append(out, otav1alpha1.EvidenceLeft{Name: r.Name, Limit: kit.Clip(r.Limit, 64), State: state})
		}
	}
	return out
}

// left is what the last release of a digest that has ended left. Whichever releases came in between.
func left(history []otav1alpha1.RolloutHistoryEntry, digest string) []analysis.Result {
	var out []analysis.Result
	for i := range history {
		if string(history[i].Digest) != digest || digest == "" {
			continue
		}
		for _, e := range history[i].Evidence {
			if tests, err := eprocess.Decode(e.State); err == nil { // else it is lost
				out = append(out, analysis.Result{Name: e.Name, Limit: e.Limit, Tests: tests})
			}
		}
		return out
	}
	return nil
}

// logOf reads evidence as analysis.Evidence wrote it.
func logOf(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.Inf(1) // over 1e9, or none
	}
	return math.Log(v)
}

func metricStatuses(results []analysis.Result) []otav1alpha1.MetricStatus {
	var out []otav1alpha1.MetricStatus
	for i := range results {
		if results[i].Verdict != "" {
			out = append(out, metricStatus(&results[i]))
		}
	}
	return out
}

func metricStatus(r *analysis.Result) otav1alpha1.MetricStatus {
	out := otav1alpha1.MetricStatus{
		Name: r.Name, Verdict: r.Verdict, Value: kit.Clip(r.Value, 32), Limit: kit.Clip(r.Limit, 64), Message: kit.Clip(r.Message, 512),
		Candidate: armCounts(r.Candidate), Control: armCounts(r.Control), Failures: r.Failures, Errors: r.Errors,
		MeasuredAt: micro(r.MeasuredAt), Since: micro(r.Since), HeldSince: micro(r.Held), Outage: outage(r),
	}
	if r.DryRun {
		out.DryRun = otav1alpha1.DryRunEnabled
	}
	if len(r.Tests) > 0 {
		out.Evidence, out.EvidenceLimit = analysis.Evidence(r.Evidence), analysis.Evidence(r.EvidenceLimit)
		if state := eprocess.Encode(r.Tests); len(state) <= maxState {
			out.State = state
		}
	}
	for _, h := range r.History {
		past := otav1alpha1.Measured{At: metav1.Time{Time: h.At.UTC().Truncate(time.Second)}, Verdict: h.Verdict, Value: kit.Clip(h.Value, 32)}
		if len(r.Tests) > 0 {
			past.Evidence = analysis.Evidence(h.Evidence)
		}
		out.History = append(out.History, past)
	}
	return out
}

// outage is how long the provider has not been able to tell; empty when it can.
func outage(r *analysis.Result) otav1alpha1.Duration {
	if r.Verdict != otav1alpha1.VerdictProviderError || !r.MeasuredAt.After(r.Since) {
		return ""
	}
	d := r.MeasuredAt.Sub(r.Since)
	if d >= time.Minute {
		d = d.Truncate(time.Minute)
	}
	return otav1alpha1.Duration(window.Brief(d.Truncate(time.Second)))
}

func counts(c *otav1alpha1.ArmCounts) *analysis.Counts {
	if c == nil {
		return nil
	}
	return &analysis.Counts{Devices: c.Devices, Failures: c.Failures, Exposed: c.Exposed, Returned: c.Returned}
}

func armCounts(c *analysis.Counts) *otav1alpha1.ArmCounts {
	if c == nil {
		return nil
	}
	return &otav1alpha1.ArmCounts{Devices: c.Devices, Failures: c.Failures, Exposed: c.Exposed, Returned: c.Returned}
}
