// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// A release that is taken back from devices counts once, by why; one that never reached a device does not count.
func TestCount_rollbacks(t *testing.T) {
	release := func(revision int64, state, outcome otav1alpha1.ReleaseState) *otav1alpha1.ReleaseStatus {
		return &otav1alpha1.ReleaseStatus{Revision: revision, State: state, Outcome: outcome}
	}
	const (
		progressing, rolling, rolledBack = otav1alpha1.ReleaseProgressing, otav1alpha1.ReleaseRollingBack, otav1alpha1.ReleaseRolledBack
		pending, completed, aborted      = otav1alpha1.ReleasePending, otav1alpha1.ReleaseCompleted, otav1alpha1.ReleaseAborted
		refused, notAdmitted             = otav1alpha1.ReleaseBundleRefused, otav1alpha1.ReleaseBundleNotAdmitted
	)
	for name, tc := range map[string]struct {
		was, is *otav1alpha1.ReleaseStatus
		weight  otav1alpha1.Percent
		want    string
	}{
		"analysis":            {release(1, progressing, ""), release(1, rolling, rolledBack), "10", "analysis"},
		"person":              {release(1, progressing, ""), release(1, rolling, aborted), "10", "person"},
		"revoked":             {release(1, otav1alpha1.ReleasePaused, ""), release(1, rolling, refused), "0.1", "refused"},
		"no longer admitted":  {release(1, progressing, ""), release(1, rolling, notAdmitted), "10", "not_admitted"},
		"the rest of it":      {release(1, rolling, rolledBack), release(1, rolledBack, ""), "0", ""},
		"taken back later":    {release(1, completed, ""), release(1, rolledBack, ""), "100", "person"},
		"nobody had it":       {release(1, pending, ""), release(1, notAdmitted, ""), "0", ""},
		"aborted while queue": {release(1, pending, ""), release(1, aborted, ""), "", ""},
		"completed":           {release(1, otav1alpha1.ReleasePromoting, ""), release(1, completed, ""), "100", ""},
		"the next one":        {release(1, rolledBack, ""), release(2, pending, ""), "0", ""},
		"the first one":       {nil, release(1, pending, ""), "", ""},
		"another refusal":     {release(1, refused, ""), release(1, rolledBack, ""), "10", ""},
	} {
		key := types.NamespacedName{Namespace: "mobile", Name: name}
		introduce(key)
		count(key, &otav1alpha1.RolloutStatus{Release: tc.was, Weight: tc.weight}, &otav1alpha1.RolloutStatus{Release: tc.is}, time.Unix(0, 0))
		for _, reason := range rollbackReasons {
			want := 0.0
			if reason == tc.want {
				want = 1
			}
			if got := testutil.ToFloat64(rollbacksTotal.WithLabelValues("mobile", name, reason)); got != want {
				t.Errorf("%s: %v rollbacks by %s, want %v", name, got, reason, want)
			}
		}
		before := testutil.CollectAndCount(rollbacksTotal)
		withdrawMetrics(key)
		if after := testutil.CollectAndCount(rollbacksTotal); before-after != len(rollbackReasons) {
			t.Errorf("%d series go with a Rollout, want %d", before-after, len(rollbackReasons))
		}
	}
}

// What stays as it is does not count again.
func TestCount_once(t *testing.T) {
	at := metav1.NewMicroTime(time.Unix(100, 0))
	step := func(index int32, state otav1alpha1.ReleaseState, v otav1alpha1.Verdict) *otav1alpha1.RolloutStatus {
		return &otav1alpha1.RolloutStatus{
			Release: &otav1alpha1.ReleaseStatus{Revision: 1, State: state}, CurrentStepIndex: &index, StepEnteredAt: &at, Weight: "10",
			Analysis: []otav1alpha1.MetricStatus{{Name: "a", Verdict: v}, {Name: "b", Verdict: otav1alpha1.VerdictPassing}},
		}
	}
	const moving, pausing = otav1alpha1.ReleaseProgressing, otav1alpha1.ReleasePaused
	verdicts := func() float64 {
		return testutil.ToFloat64(analysisTotal.WithLabelValues(string(otav1alpha1.VerdictNoData)))
	}
	moves := func() float64 {
		return testutil.ToFloat64(transitionsTotal.WithLabelValues(string(moving), string(pausing)))
	}
	was, before, moved := step(1, moving, otav1alpha1.VerdictPassing), verdicts(), moves()
	for _, now := range []*otav1alpha1.RolloutStatus{
		step(1, moving, otav1alpha1.VerdictNoData), step(1, moving, otav1alpha1.VerdictNoData), step(1, pausing, otav1alpha1.VerdictNoData),
		step(2, pausing, otav1alpha1.VerdictNoData), step(2, pausing, otav1alpha1.VerdictPassing),
	} {
		count(types.NamespacedName{Name: "x"}, was, now, time.Unix(160, 0))
		was = now
	}
	if got := verdicts() - before; got != 1 {
		t.Errorf("a verdict counts %v times", got)
	}
	if got := moves() - moved; got != 1 {
		t.Errorf("a transition counts %v times", got)
	}
}

func TestSteppedOn(t *testing.T) {
	at := metav1.NewMicroTime(time.Unix(100, 0))
	for name, tc := range map[string]struct {
		from, to *int32
		entered  *metav1.MicroTime
		want     bool
	}{
		"on": {new(int32(0)), new(int32(1)), &at, true}, "stays": {new(int32(1)), new(int32(1)), &at, false}, "back": {new(int32(2)), new(int32(0)), &at, false},
		"not committed": {new(int32(0)), new(int32(1)), nil, false}, "first": {nil, new(int32(0)), &at, false},
	} {
		old, now := &otav1alpha1.RolloutStatus{CurrentStepIndex: tc.from, StepEnteredAt: tc.entered}, &otav1alpha1.RolloutStatus{CurrentStepIndex: tc.to}
		if got := steppedOn(old, now); got != tc.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}
