// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
)

// The table of design/api.md: what each reason means to kstatus.
func TestReadiness(t *testing.T) {
	for reason, want := range map[string]struct {
		ready    metav1.ConditionStatus
		abnormal string
	}{
		"Completed":         {metav1.ConditionTrue, ""},
		"Progressing":       {metav1.ConditionUnknown, "Reconciling"},
		"WaitingForBundle":  {metav1.ConditionUnknown, "Reconciling"},
		"ChannelBusy":       {metav1.ConditionUnknown, "Reconciling"},
		"Paused":            {metav1.ConditionUnknown, "Reconciling"},
		"Holding":           {metav1.ConditionUnknown, "Reconciling"},
		"Halted":            {metav1.ConditionUnknown, "Reconciling"},
		"Baking":            {metav1.ConditionUnknown, "Reconciling"},
		"WaitingForWindow":  {metav1.ConditionUnknown, "Reconciling"},
		"WeightLimited":     {metav1.ConditionUnknown, "Reconciling"},
		"Queued":            {metav1.ConditionUnknown, "Reconciling"},
		"RollingBack":       {metav1.ConditionFalse, "Reconciling"},
		"RolledBack":        {metav1.ConditionFalse, "Stalled"},
		"Aborted":           {metav1.ConditionFalse, "Stalled"},
		"BundleRefused":     {metav1.ConditionFalse, "Stalled"},
		"BundleNotAdmitted": {metav1.ConditionFalse, "Stalled"},
	} {
		if ready, abnormal := readiness(reason); ready != want.ready || abnormal != want.abnormal {
			t.Errorf("%s: Ready=%s with %q, want %s with %q", reason, ready, abnormal, want.ready, want.abnormal)
		}
	}
}

// A release survives the way into status and back: nothing that a decision needs is kept in memory only.
func TestRelease_roundTrip(t *testing.T) {
	at := time.Unix(1_800_000_000, 123_000).UTC()
	for _, want := range []plan.Release{
		{},
		{Revision: 3, Bundle: "shop-1", Version: "1.0.0", Digest: "sha256:x", State: otav1alpha1.ReleaseProgressing, StepsHash: "h",
			Step: 2, Weight: 25, CommittedAt: at, EnteredAt: at.Add(time.Second), StartedAt: at.Add(-time.Hour)},
		{Revision: 4, Bundle: "shop-1", Digest: "sha256:x", State: otav1alpha1.ReleaseRollingBack, Outcome: otav1alpha1.ReleaseAborted,
			Reason: "aborted by jane", StartedAt: at},
		{Revision: 4, Bundle: "shop-1", Digest: "sha256:x", State: otav1alpha1.ReleaseProgressing, Weight: 100, Stage: 3, Tries: 2,
			Rises:   []plan.Rise{{At: at, By: 25}, {At: at.Add(time.Minute), By: 75}},
			Exclude: []otav1alpha1.Slice{{Platform: "android", NativeVersion: "<4.3.0"}, {Region: "eu"}}, Overruled: "jane"},
		{Revision: 5, Bundle: "shop-1", Digest: "sha256:x", State: otav1alpha1.ReleasePending, Lift: true, StartedAt: at},
	} {
		s := &scope{rollout: &otav1alpha1.Rollout{}, decision: plan.Decision{Release: want}}
		if want.Revision > 0 {
			s.record()
		}
		got := release(s.rollout.Status)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSignificant(t *testing.T) {
	base := func() *otav1alpha1.RolloutStatus {
		return &otav1alpha1.RolloutStatus{Message: "3 of 10", Weight: "1", Slices: []otav1alpha1.SliceStatus{{Slice: "android"}}, Analysis: []otav1alpha1.MetricStatus{{
			Name: "m", Verdict: otav1alpha1.VerdictPassing, Value: "0.1", MeasuredAt: micro(time.Unix(1, 0)), Candidate: &otav1alpha1.ArmCounts{Devices: 3},
		}}}
	}
	for name, tc := range map[string]struct {
		change func(*otav1alpha1.RolloutStatus)
		want   bool
	}{
		"nothing": {func(*otav1alpha1.RolloutStatus) {}, false},
		"values only": {func(s *otav1alpha1.RolloutStatus) {
			s.Message, s.Analysis[0].Value, s.Analysis[0].Candidate.Devices = "4 of 10", "0.2", 4
		}, false},
		"time only": {func(s *otav1alpha1.RolloutStatus) { s.Analysis[0].MeasuredAt = micro(time.Unix(9, 0)) }, false},
		"weight":    {func(s *otav1alpha1.RolloutStatus) { s.Weight = "5" }, true},
		"verdict":   {func(s *otav1alpha1.RolloutStatus) { s.Analysis[0].Verdict = otav1alpha1.VerdictFailing }, true},
		"evidence": {func(s *otav1alpha1.RolloutStatus) {
			s.Analysis[0].Evidence, s.Analysis[0].State, s.Analysis[0].Outage = "3", "v1:", "3m"
			s.Analysis[0].History = []otav1alpha1.Measured{{Value: "1"}}
		}, false},
		"power":             {func(s *otav1alpha1.RolloutStatus) { s.Power = []otav1alpha1.StepPower{{Devices: 7}} }, false},
		"counts of a slice": {func(s *otav1alpha1.RolloutStatus) { s.Slices[0].Failures, s.Slices[0].Message = 9, "9" }, false},
		"another slice":     {func(s *otav1alpha1.RolloutStatus) { s.Slices[0].Slice = "ios" }, true},
		"excluded":          {func(s *otav1alpha1.RolloutStatus) { s.Slices[0].State = otav1alpha1.SliceExcluded }, true},
		"window": {func(s *otav1alpha1.RolloutStatus) {
			s.Windows = &otav1alpha1.WindowStatus{State: otav1alpha1.WindowClosed}
		}, true},
		"place in the line": {func(s *otav1alpha1.RolloutStatus) { s.Queue = &otav1alpha1.QueueStatus{Position: 2} }, true},
		"limit of evidence": {func(s *otav1alpha1.RolloutStatus) { s.Analysis[0].EvidenceLimit = "40" }, true},
		"failure budget":    {func(s *otav1alpha1.RolloutStatus) { s.Analysis[0].Failures = 1 }, true},
		"error budget":      {func(s *otav1alpha1.RolloutStatus) { s.Analysis[0].Errors = 1 }, true},
	} {
		now := base()
		tc.change(now)
		if got := significant(base(), now); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
