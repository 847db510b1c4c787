// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"strings"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/plan"
)

// Each state that a release comes to is told once, with the bundle, by a row of the table.
func TestEachStateIsTold(t *testing.T) {
	for _, state := range []otav1alpha1.ReleaseState{
		otav1alpha1.ReleaseProgressing, otav1alpha1.ReleasePaused, otav1alpha1.ReleasePromoting, otav1alpha1.ReleaseRollingBack,
		otav1alpha1.ReleaseCompleted, otav1alpha1.ReleaseRolledBack, otav1alpha1.ReleaseAborted, otav1alpha1.ReleaseBundleRefused,
		otav1alpha1.ReleaseBundleNotAdmitted, otav1alpha1.ReleaseSuperseding,
	} {
		got := stateEvent(plan.Release{Revision: 1, Bundle: "shop-2", Version: "2.0.0", Digest: "sha256:a", State: state, Weight: 500})
		if len(got) != 1 || got[0].Bundle != "shop-2" || got[0].Weight != "5" {
			t.Errorf("%s: got %+v, want one event of shop-2", state, got)
			continue
		}
		if _, ok := Events.Find(got[0].Reason); !ok {
			t.Errorf("%s: %s is not in the table", state, got[0].Reason)
		}
	}
	if got := stateEvent(plan.Release{State: otav1alpha1.ReleasePending}); len(got) > 0 {
		t.Errorf("Pending: got %+v: the start of the release tells it", got)
	}
}

// The evidence is a sentence a metric, and the counts are those of the metric that counted most devices.
func TestEvidence(t *testing.T) {
	sentences, candidate, control := evidence([]analysis.Result{
		{Name: "not measured"},
		{Name: "latency", Verdict: otav1alpha1.VerdictPassing, Message: "200 ms of at most 250 ms", DryRun: true},
		{Name: "errors", Verdict: otav1alpha1.VerdictFailing, Message: strings.Repeat("x", 600),
			Candidate: &analysis.Counts{Devices: 100, Failures: 9}, Control: &analysis.Counts{Devices: 1000, Failures: 3}},
		{Name: "crashes", Verdict: otav1alpha1.VerdictPassing, Candidate: &analysis.Counts{Devices: 50}},
	})
	if len(sentences) != 3 || sentences[0] != "latency Passing (only watched): 200 ms of at most 250 ms" || len(sentences[1]) != 512 || sentences[2] != "crashes Passing" {
		t.Errorf("got %q", sentences)
	}
	if candidate == nil || control == nil || candidate.Devices != 100 || candidate.Failures != 9 || control.Failures != 3 {
		t.Errorf("got %+v and %+v", candidate, control)
	}
}
