// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// With one active release at a time, the next Rollout of another Channel starts when the first one ends, and not before; and at once when
// there is room for two.
func TestRelease_line(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	repository := &otav1alpha1.Repository{ObjectMeta: b.meta("default")}
	b.change(repository, `{"maxActiveRollouts":1}`)
	one := b.bundle(1)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	first := b.rollout("shop-1", testkit.SetWeight(10), testkit.Pause())
	b.comes(first, metav1.ConditionUnknown, otav1alpha1.PausedReason)

	var waiting []*otav1alpha1.Rollout
	for _, name := range []string{"beta", "alpha"} {
		b.create(&otav1alpha1.Channel{ObjectMeta: b.meta(name), Spec: otav1alpha1.ChannelSpec{App: "shop", MaxFirstWeight: "100"}})
		r := &otav1alpha1.Rollout{ObjectMeta: b.meta(name), Spec: *first.Spec.DeepCopy()}
		r.Spec.ChannelRef.Name = name
		b.create(r)
		waiting = append(waiting, b.comes(r, metav1.ConditionUnknown, otav1alpha1.QueuedReason))
	}
	for i, r := range waiting {
		if q := r.Status.Queue; q == nil || q.Position != int32(i)+1 || q.Limit != 1 || q.Active != 1 {
			t.Errorf("%s: %+v, want position %d", r.Name, q, i+1)
		}
		if got := testkit.KStatus(r); got != "InProgress" {
			t.Errorf("kstatus of %s says %s", r.Name, got)
		}
	}
	b.ends(first, waiting[0], waiting[1])

	b.command(first, "promote")
	b.comes(first, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	b.comes(waiting[0], metav1.ConditionUnknown, otav1alpha1.PausedReason)
	if q := b.comes(waiting[1], metav1.ConditionUnknown, otav1alpha1.QueuedReason).Status.Queue; q == nil {
		t.Error("alpha left the line")
	}
	b.change(repository, `{"maxActiveRollouts":2}`)
	r := b.comes(waiting[1], metav1.ConditionUnknown, otav1alpha1.PausedReason)
	if r.Status.Queue != nil {
		t.Errorf("alpha has started, and still waits: %+v", r.Status.Queue)
	}
	b.ends(first, waiting[0], waiting[1])
}

// The state of the tests, the history and the power survive a real API server, and the stage is that of the committed candidate.
func TestRelease_statusOfTheAnalysis(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := b.bundle(1)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	r := b.rollout("shop-1", testkit.SetWeight(1), testkit.PauseFor("1s", 0), testkit.SetWeight(10), testkit.Pause())
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.PausedReason)
	testkit.Eventually(t, b.Client, r, testkit.HaveCondition(otav1alpha1.AnalysisPassingCondition, metav1.ConditionTrue, otav1alpha1.AnalysisPassingReason))
	// What was counted at 1 % is no count of 10 %: it takes a measurement of this stage.
	testkit.Eventually(t, b.Client, r, gomega.HaveField("Status.Analysis", gomega.ConsistOf(gomega.HaveField("Candidate", gomega.Not(gomega.BeNil())))),
		gomega.HaveField("Status.Power", gomega.HaveLen(2)))
	if m := r.Status.Analysis[0]; m.State == "" || m.EvidenceLimit != "20" || len(m.History) == 0 || m.Candidate == nil || m.Candidate.Exposed != 100 {
		t.Errorf("%+v", m)
	}
	if c := b.production().Status.Candidate; c == nil || c.Stage != 2 || r.Status.Release.Stage != 2 {
		t.Errorf("candidate %+v of stage %d, want stage 2", c, r.Status.Release.Stage)
	}
	if diff := cmp.Diff([]int32{100, 1000}, b.weights(one.Spec.Digest)); diff != "" {
		t.Errorf("committed weights: %s", diff)
	}
	if len(r.Status.Power) != 2 || r.Status.Power[0].Message == "" {
		t.Errorf("power: %+v", r.Status.Power)
	}
	b.ends(r)
}
