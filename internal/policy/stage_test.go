// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/plan"
)

// A ledger that stands still: it has many good devices of the first stage and none of a later one. What they showed is no reason to go
// beyond the first two weights, however much time passes.
func TestJudge_frozenLedger(t *testing.T) {
	r := &otav1alpha1.Rollout{Spec: otav1alpha1.RolloutSpec{Analysis: &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{
		{Name: "failures", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed}, MaxIncrease: "1", MinSamples: new(int32(100))},
	}}}}
	for _, w := range []int32{1, 25, 50} {
		r.Spec.Steps = append(r.Spec.Steps, setWeight(intstr.FromInt32(w)), otav1alpha1.Step{Pause: &otav1alpha1.PauseStep{Duration: "5m"}})
	}
	p, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	frozen := []eprocess.Stage{{
		ID: 1, Candidate: eprocess.Arm{Exposed: 200, Voted: 200}, Control: eprocess.Arm{Exposed: 19_800, Voted: 19_800},
	}}
	f := plan.Facts{
		UID: "u", Spec: p.Spec, Now: time.Unix(1_800_000_000, 0),
		Bundle:  plan.Bundle{Found: true, Ready: true, Version: "2", Digest: "sha256:c"},
		Channel: plan.Channel{Ready: true, Refused: map[string]string{}, StableDigest: "sha256:s", MaxFirstWeight: 10_000},
	}
	f.Running = f.Bundle
	highest := int32(0)
	for range 400 { // 200 minutes
		f.Release = plan.Plan(f).Release
		highest = max(highest, f.Release.Weight)
		commit(&f)
		f.Now = f.Now.Add(30 * time.Second)
		if f.Release.Active() && !f.Release.CommittedAt.IsZero() {
			prev := analysis.Result{Name: "failures"}
			if len(f.Analysis) > 0 {
				prev = f.Analysis[0]
			}
			f.Analysis = []analysis.Result{p.Metrics[0].Judge(f.Release, 0, prev, analysis.Measurement{At: f.Now, Stages: frozen})}
		}
	}
	if highest != 2500 || f.Release.Weight != highest || f.Release.Stage != 2 {
		t.Errorf("the release went to weight %d in stage %d, expected 2500 in stage 2, the first that no device has seen", highest, f.Release.Stage)
	}
	if got := f.Analysis[0]; got.Verdict != otav1alpha1.VerdictNotEnoughSamples || !strings.Contains(got.Message, "no candidate device has checked in since") {
		t.Errorf("%s: %s", got.Verdict, got.Message)
	}
}

// commit lets the channel serve what the release asks for.
func commit(f *plan.Facts) {
	a := plan.Assignment(f.UID, f.Release)
	if a == nil || a.State != otav1alpha1.AssignmentCandidate {
		return
	}
	w, _ := plan.ParseWeight(string(a.Weight))
	next := plan.Candidate{Mine: true, Release: a.Release, Digest: string(a.Digest), Weight: w, Stage: a.Stage}
	if was := f.Channel.Candidate; was == nil || was.Stage != next.Stage {
		f.Channel.At = f.Now
	}
	f.Channel.Candidate = &next
}
