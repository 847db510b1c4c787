// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/testkit"
)

func TestRelease_goodCompletesBadIsTakenBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first, good, bad := b.bundle(1), b.bundle(2), b.bundle(3)
	b.metrics.say(first.Spec.Digest, devices(100, 0))
	b.metrics.say(good.Spec.Digest, devices(100, 1))
	b.metrics.say(bad.Spec.Digest, devices(100, 8))

	r := b.rollout("shop-1", testkit.SetWeight(1), testkit.PauseFor("1s", 10), testkit.SetWeight(50), testkit.SetWeight(100))
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	if got := b.production().Status.Stable; got == nil || got.Bundle != "shop-1" {
		t.Fatalf("stable is %+v", got)
	}
	if diff := cmp.Diff([]int32{100, 5000, 10000}, b.weights(first.Spec.Digest)); diff != "" {
		t.Errorf("committed weights: %s", diff)
	}
	b.ends(r)

	b.change(r, `{"bundleRef":{"name":"shop-2"}}`)
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	b.change(r, `{"bundleRef":{"name":"shop-3"}}`)
	b.comes(r, metav1.ConditionFalse, otav1alpha1.RolledBackReason)
	ch := b.production()
	if ch.Status.Stable.Bundle != "shop-2" || ch.Status.Candidate != nil || len(ch.Status.Refused) != 1 || ch.Status.Refused[0].Digest != bad.Spec.Digest {
		t.Errorf("after the rollback: %+v", ch.Status)
	}
	eventually(t, func(g gomega.Gomega) {
		d := b.production().Status.Deviation
		g.Expect(d).NotTo(gomega.BeNil())
		g.Expect(d.Message).To(gomega.ContainSubstring("asks for 1.3.0, serving 1.2.0: update-failures: 8 of 100 devices failed"))
	})
	if diff := cmp.Diff([]int32{100}, b.weights(bad.Spec.Digest)); diff != "" {
		t.Errorf("committed weights of the bad release: %s", diff)
	}
	if got := testkit.KStatus(r); got != "Failed" {
		t.Errorf("kstatus says %s, want Failed", got)
	}
	b.ends(r)
}

func TestRelease_refusedStaysRefusedUntilRetry(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bad := b.bundle(1)
	b.metrics.say(bad.Spec.Digest, devices(100, 8))
	r := b.rollout("shop-1", testkit.SetWeight(10), testkit.PauseFor("1s", 10))
	b.comes(r, metav1.ConditionFalse, otav1alpha1.RolledBackReason)

	// Made anew, as a GitOps tool would after somebody deleted it: still refused, and never offered again.
	must(t, b.Client.Delete(t.Context(), r))
	eventually(t, func(g gomega.Gomega) {
		g.Expect(apierrors.IsNotFound(b.Client.Get(t.Context(), client.ObjectKeyFromObject(r), r))).To(gomega.BeTrue())
	})
	r = b.rollout("shop-1", testkit.SetWeight(10), testkit.PauseFor("1s", 10))
	b.comes(r, metav1.ConditionFalse, otav1alpha1.BundleRefusedReason)
	if diff := cmp.Diff([]int32{1000}, b.weights(bad.Spec.Digest)); diff != "" {
		t.Errorf("committed weights: %s", diff)
	}
	b.ends(r)

	b.metrics.say(bad.Spec.Digest, devices(100, 0)) // the backend was repaired
	b.command(r, "retry")
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	if ch := b.production(); len(ch.Status.Refused) != 0 || ch.Status.Stable == nil {
		t.Errorf("after a retry: %+v", ch.Status)
	}
	b.ends(r)
}

func TestRelease_cannotTellHolds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		measured analysis.Measurement
		reason   string
		message  string
	}{
		"too few devices": {devices(3, 0), otav1alpha1.HoldingReason, "3 of 10 devices reported"},
		"no data":         {analysis.Measurement{NoData: "no series"}, otav1alpha1.HoldingReason, "no series"},
		"provider down":   {analysis.Measurement{Err: "connection refused"}, otav1alpha1.PausedReason, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			only := b.bundle(1)
			b.metrics.say(only.Spec.Digest, tc.measured)
			r := b.rollout("shop-1", testkit.SetWeight(10), testkit.SetWeight(100))
			b.comes(r, metav1.ConditionUnknown, tc.reason)
			testkit.Eventually(t, b.Client, r, testkit.HaveMessage(otav1alpha1.ReadyCondition, tc.message))
			if diff := cmp.Diff([]int32{1000}, b.weights(only.Spec.Digest)); diff != "" {
				t.Errorf("committed weights: %s", diff)
			}
			b.metrics.say(only.Spec.Digest, devices(100, 0))
			if tc.reason == otav1alpha1.PausedReason {
				eventually(t, func(g gomega.Gomega) { // data are back, and a person says go
					b.command(r, "resume")
					g.Expect(b.Client.Get(t.Context(), client.ObjectKeyFromObject(r), r)).To(gomega.Succeed())
					g.Expect(r.Status.Release.State).NotTo(gomega.Equal(otav1alpha1.ReleasePaused))
				})
			}
			b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
		})
	}
}

func TestRelease_supersededByAnotherBundle(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one, two := b.bundle(1), b.bundle(2)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	b.metrics.say(two.Spec.Digest, devices(100, 0))
	r := b.rollout("shop-1", testkit.SetWeight(10), testkit.Pause(), testkit.SetWeight(100))
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.PausedReason)
	b.change(r, `{"bundleRef":{"name":"shop-2"}}`)
	eventually(t, func(g gomega.Gomega) {
		g.Expect(b.Client.Get(t.Context(), client.ObjectKeyFromObject(r), r)).To(gomega.Succeed())
		g.Expect(r.Status.Release.Bundle).To(gomega.Equal("shop-2"))
		g.Expect(r.Status.Release.State).To(gomega.Equal(otav1alpha1.ReleaseProgressing))
	})
	if h := r.Status.History; len(h) != 1 || h[0].Ended != "Superseded" {
		t.Errorf("history: %+v", h)
	}
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.PausedReason)
	b.command(r, "promote")
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	if ch := b.production(); len(ch.Status.Refused) != 0 || ch.Status.Stable.Bundle != "shop-2" {
		t.Errorf("a superseded bundle is not a refused one: %+v", ch.Status)
	}
	b.ends(r)
}

func TestRelease_commands(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := b.bundle(1)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	r := b.rollout("shop-1", testkit.SetWeight(10), testkit.Pause(), testkit.SetWeight(50), testkit.Pause())
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.PausedReason)

	b.command(r, "dance")
	eventually(t, func(g gomega.Gomega) {
		g.Expect(b.Client.Get(t.Context(), client.ObjectKeyFromObject(r), r)).To(gomega.Succeed())
		g.Expect(r.Status.LastCommand).NotTo(gomega.BeNil())
		g.Expect(r.Status.LastCommand.Result).To(gomega.Equal(otav1alpha1.CommandRefused))
		g.Expect(r.Status.LastCommand.Message).To(gomega.ContainSubstring("not dance"))
	})
	b.command(r, "promote")
	eventually(t, func(g gomega.Gomega) {
		g.Expect(b.Client.Get(t.Context(), client.ObjectKeyFromObject(r), r)).To(gomega.Succeed())
		g.Expect(r.Status.Weight).To(gomega.BeEquivalentTo("50"))
		g.Expect(r.Status.Step).To(gomega.Equal("4/4"))
	})
	b.ends(r)
	b.command(r, "abort")
	b.comes(r, metav1.ConditionFalse, otav1alpha1.AbortedReason)
	if ch := b.production(); ch.Status.Candidate != nil || len(ch.Status.Refused) != 1 {
		t.Errorf("after an abort: %+v", ch.Status)
	}
	b.command(r, "retry")
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.PausedReason)
	b.command(r, "promote-full")
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	b.ends(r)
}

func TestRelease_revokedIsPulledAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one, two := b.bundle(1), b.bundle(2)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	b.metrics.say(two.Spec.Digest, devices(100, 0))
	r := b.rollout("shop-1", testkit.SetWeight(100))
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	b.change(r, `{"bundleRef":{"name":"shop-2"}}`)
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	b.change(two, `{"revoked":"CVE-2026-1234"}`)
	b.comes(r, metav1.ConditionFalse, otav1alpha1.BundleRefusedReason)
	eventually(t, func(g gomega.Gomega) {
		st := b.production().Status
		g.Expect(st.Stable.Bundle).To(gomega.Equal("shop-1"))
		g.Expect(st.Refused).To(gomega.HaveLen(1))
		g.Expect(st.Refused[0].Reason).To(gomega.ContainSubstring("CVE-2026-1234"))
	})
	b.ends(r)
}

func TestRelease_twoRolloutsOneChannel(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one, two := b.bundle(1), b.bundle(2)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	b.metrics.say(two.Spec.Digest, devices(100, 0))
	r := b.rollout("shop-1", testkit.SetWeight(10), testkit.Pause())
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.PausedReason)
	other := r.DeepCopy()
	other.ObjectMeta, other.Status = b.meta("other"), otav1alpha1.RolloutStatus{}
	other.Spec.BundleRef.Name = "shop-2"
	b.create(other)
	b.comes(other, metav1.ConditionUnknown, otav1alpha1.ChannelBusyReason)
	b.ends(r, other)
	b.command(r, "promote")
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	b.comes(other, metav1.ConditionUnknown, otav1alpha1.PausedReason)
	if c := b.production().Status.Candidate; c == nil || c.Bundle != "shop-2" {
		t.Errorf("the waiting Rollout did not get its turn: %+v", c)
	}
}

func TestRelease_haltStopsAndRolloutWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := b.bundle(1)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	r := b.rollout("shop-1", testkit.SetWeight(10), testkit.Pause())
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.PausedReason)
	ch := b.production()
	b.change(ch, `{"serving":"Halted"}`)
	testkit.Eventually(t, b.Client, ch, testkit.HaveCondition(otav1alpha1.ServingCondition, metav1.ConditionFalse, otav1alpha1.HaltedReason))
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.HaltedReason)
	if docs := b.publisher.documents(); docs[len(docs)-1].Serving != "Halted" {
		t.Errorf("devices see %s", docs[len(docs)-1].Serving)
	}
	b.ends(r)
	b.change(ch, `{"serving":"Active"}`)
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.PausedReason)
}

func TestRelease_unknownReferencesWait(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.rollout("shop-1", testkit.SetWeight(100))
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.WaitingForBundleReason)
	one := b.bundle(1)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	b.ends(r)
}

func TestRelease_notAdmittedUntilPolicyChanges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := b.bundle(1)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	ch := b.production()
	b.change(ch, `{"admission":{"requiredAuthorities":["boss"]}}`)
	r := b.rollout("shop-1", testkit.SetWeight(100))
	b.comes(r, metav1.ConditionFalse, otav1alpha1.BundleNotAdmittedReason)
	testkit.Eventually(t, b.Client, r, testkit.HaveMessage(otav1alpha1.ReadyCondition, "missing boss, signed by ci"))
	if w := b.weights(one.Spec.Digest); len(w) != 0 {
		t.Errorf("was offered: %v", w)
	}
	b.ends(r)
	b.change(ch, `{"admission":null}`)
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
}

func TestRelease_unsupportedFieldsStall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.bundle(1)
	ch := b.production()
	testkit.Eventually(t, b.Client, ch, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, ""))
	for spec, field := range map[string]string{
		`{"visibility":"Private"}`: "set selfAssignment: Allowed, or make the channel Public",
	} {
		b.change(ch, spec)
		testkit.Eventually(t, b.Client, ch, testkit.BeObserved(),
			testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, otav1alpha1.NotSupportedYetReason),
			testkit.HaveMessage(otav1alpha1.StalledCondition, field))
		b.change(ch, `{"visibility":null}`)
		testkit.Eventually(t, b.Client, ch, testkit.BeObserved(), testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, ""))
	}
	r := b.rollout("shop-1", testkit.SetWeight(100))
	for spec, want := range map[string]struct{ reason, message string }{
		`{"windows":[{"kind":"Allow","schedule":"0 25 * * 1","duration":"8h"}]}`: {otav1alpha1.InvalidSpecReason, "spec.windows[0].schedule"},
		`{"analysis":{"holdout":2}}`: {otav1alpha1.InvalidSpecReason, "spec.analysis.holdout is 2: it needs analysis.bake"},
	} {
		b.change(r, spec)
		testkit.Eventually(t, b.Client, r, testkit.BeObserved(),
			testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, want.reason),
			testkit.HaveMessage(otav1alpha1.StalledCondition, want.message))
		b.change(r, `{"windows":null,"analysis":{"bake":null,"holdout":null}}`)
	}
	testkit.CheckStatus(t, r)
}

// Who may follow a channel reaches devices with the next commit, without a release.
func TestRelease_whoMayFollow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ch := b.production()
	b.change(ch, `{"visibility":"Private","selfAssignment":"Allowed","allowedOrigins":["capacitor://localhost"]}`)
	testkit.Eventually(t, b.Client, ch, testkit.BeObserved(), testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, ""))
	docs := b.publisher.documents()
	want := release.Follow{Visibility: "Private", SelfAssignment: "Allowed", Origins: []string{"capacitor://localhost"}}
	if diff := cmp.Diff(want, docs[len(docs)-1].Follow); diff != "" {
		t.Error(diff)
	}
	testkit.CheckStatus(t, ch)
}

// To make a channel private that nobody could choose takes no devices away from it: it stalls, and says what to do.
func TestRelease_nobodyMayFollow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ch := b.production()
	testkit.Eventually(t, b.Client, ch, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, ""))
	b.change(ch, `{"visibility":"Private","selfAssignment":"Denied"}`)
	testkit.Eventually(t, b.Client, ch, testkit.BeObserved(),
		testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, otav1alpha1.NotSupportedYetReason),
		testkit.HaveMessage(otav1alpha1.StalledCondition, "set selfAssignment: Allowed"))
	testkit.CheckStatus(t, ch)
	b.change(ch, `{"serving":"Halted"}`)
	eventually(t, func(g gomega.Gomega) {
		docs := b.publisher.documents()
		g.Expect(docs[len(docs)-1].Serving).To(gomega.Equal("Halted"))
	})
	for _, doc := range b.publisher.documents() {
		if doc.Follow.Visibility != "" {
			t.Errorf("revision %d is %s", doc.Revision, doc.Follow.Visibility)
		}
	}

	fresh := &otav1alpha1.Channel{ObjectMeta: metav1.ObjectMeta{Name: "staff", Namespace: ch.Namespace}, Spec: ch.Spec}
	fresh.Spec.Serving, fresh.Spec.Visibility, fresh.Spec.SelfAssignment = "", otav1alpha1.VisibilityPrivate, ""
	must(t, b.Client.Create(t.Context(), fresh))
	testkit.Eventually(t, b.Client, fresh, testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, otav1alpha1.NotSupportedYetReason))
	if fresh.Status.Published != nil {
		t.Errorf("published: %+v", fresh.Status.Published)
	}
	b.change(fresh, `{"selfAssignment":"Allowed"}`)
	testkit.Eventually(t, b.Client, fresh, testkit.BeObserved(), testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionTrue, ""))
}

func TestRelease_commitFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := b.bundle(1)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	testkit.Eventually(t, b.Client, b.production(), testkit.HaveCondition(otav1alpha1.PublishedCondition, metav1.ConditionTrue, ""))
	b.publisher.fail(errBucket)
	r := b.rollout("shop-1", testkit.SetWeight(100))
	ch := b.production()
	testkit.Eventually(t, b.Client, ch, testkit.HaveCondition(otav1alpha1.ReadyCondition, metav1.ConditionUnknown, otav1alpha1.PublishFailedReason))
	testkit.CheckStatus(t, ch)
	b.publisher.fail(nil)
	b.change(ch, `{"guards":{"autoUpdate":"Major"}}`) // the real publisher wakes its channels when it is back
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
}

// Whatever is edited while a release is out: it can still be taken back.
func TestRelease_brokenSpecStillRollsBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := b.bundle(1)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	r := b.rollout("shop-1", testkit.SetWeight(10), testkit.Pause(), testkit.SetWeight(100))
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.PausedReason)
	b.change(r, `{"steps":[{"setWeight":10},{"setWeight":5}]}`)
	b.comes(r, metav1.ConditionFalse, otav1alpha1.InvalidSpecReason)
	ch := b.production()
	b.change(ch, `{"visibility":"Private"}`)
	testkit.Eventually(t, b.Client, ch, testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, otav1alpha1.NotSupportedYetReason))
	if c := b.production().Status.Candidate; c == nil || c.Weight != "10" {
		t.Errorf("the edits changed what is out: %+v", c)
	}
	b.metrics.say(one.Spec.Digest, devices(100, 8))
	eventually(t, func(g gomega.Gomega) {
		st := b.production().Status
		g.Expect(st.Candidate).To(gomega.BeNil())
		g.Expect(st.Refused).To(gomega.HaveLen(1))
	})
	b.ends(r)
}

// A refusal that is not committed yet outlives the Rollout that made it.
func TestRelease_deletedWhileRollingBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bad := b.bundle(1)
	b.metrics.say(bad.Spec.Digest, devices(100, 0))
	r := b.rollout("shop-1", testkit.SetWeight(10), testkit.Pause())
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.PausedReason)
	b.publisher.fail(errBucket)
	b.metrics.say(bad.Spec.Digest, devices(100, 8))
	b.comes(r, metav1.ConditionFalse, otav1alpha1.RollingBackReason)
	must(t, b.Client.Delete(t.Context(), r))
	b.publisher.fail(nil)
	b.change(b.production(), `{"guards":{"autoUpdate":"Major"}}`) // the real publisher wakes its channels when it is back
	eventually(t, func(g gomega.Gomega) {
		g.Expect(b.production().Status.Refused).To(gomega.HaveLen(1))
		g.Expect(apierrors.IsNotFound(b.Client.Get(t.Context(), client.ObjectKeyFromObject(r), r))).To(gomega.BeTrue())
	})
}
