// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"
	"testing"

	"github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// The Bundle controller does not run here: these stories write what it would find out. Those on real parts are in test/e2e.

// found writes what is in a Bundle's artifact.
func (b *bench) found(o *otav1alpha1.Bundle, checks ...string) {
	b.Helper()
	o.Status.Inspection = &otav1alpha1.Inspection{By: otav1alpha1.InspectorManager, Ruleset: content.Ruleset, NativeCode: otav1alpha1.NativeCodeNone}
	for _, c := range checks {
		o.Status.Inspection.Findings = append(o.Status.Inspection.Findings, otav1alpha1.Finding{Check: c, Count: 1, Values: []string{"lib/a"}})
	}
	must(b.T, b.Client.Status().Update(b.Context(), o))
}

// vouch writes who vouches for a Bundle, each with a key of its own.
func (b *bench) vouch(o *otav1alpha1.Bundle, status metav1.ConditionStatus, message string, authorities ...string) {
	b.Helper()
	must(b.T, b.Client.Get(b.Context(), client.ObjectKeyFromObject(o), o))
	o.Status.Verifications = nil
	for _, name := range authorities {
		o.Status.Verifications = append(o.Status.Verifications, otav1alpha1.Verification{Authority: name, KeyID: "key of " + name})
	}
	for _, kind := range []string{otav1alpha1.VerifiedCondition, otav1alpha1.ReadyCondition} {
		apimeta.SetStatusCondition(&o.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: otav1alpha1.SignatureInvalidReason,
			Message: message, ObservedGeneration: o.Generation})
	}
	must(b.T, b.Client.Status().Update(b.Context(), o))
}

// order gives a command on the Channel by annotations.
func (b *bench) order(id, args string) {
	b.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"override",%q:%q,%q:%q,%q:"anna"}}}`, otav1alpha1.CommandAnnotation,
		otav1alpha1.CommandIDAnnotation, id, otav1alpha1.CommandArgsAnnotation, args, otav1alpha1.RequestedByAnnotation)
	must(b.T, b.Client.Patch(b.Context(), b.production(), client.RawPatch("application/merge-patch+json", patch)))
}

// told waits for an event of the Channel.
func (b *bench) told(reason, note string) {
	b.Helper()
	eventually(b.T, func(g gomega.Gomega) {
		var list eventsv1.EventList
		g.Expect(b.Client.List(b.Context(), &list, client.InNamespace(b.Namespace))).To(gomega.Succeed())
		var notes []string
		for _, e := range list.Items {
			if e.Reason == reason && e.Regarding.Kind == "Channel" {
				notes = append(notes, e.Note)
			}
		}
		g.Expect(notes).To(gomega.ContainElement(gomega.ContainSubstring(note)))
	})
}

// A bundle with native code is not admitted until a person lets it pass, for this digest and on this channel alone.
func TestRelease_override(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := b.bundle(1)
	b.found(one, content.CheckNativeCode, content.CheckWasm)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	b.change(b.production(), `{"admission":{"content":{"profile":"AppStores","checks":[{"name":"wasm","action":"Warn"}]}}}`)
	r := b.rollout("shop-1", testkit.SetWeight(10), testkit.Pause())
	b.comes(r, metav1.ConditionFalse, otav1alpha1.BundleNotAdmittedReason)
	testkit.Eventually(t, b.Client, r, testkit.HaveMessage(otav1alpha1.ReadyCondition, "content checks deny it (native-code): native-code: found 1 (lib/a)"))

	b.order("1", "native-code please")
	eventually(t, func(g gomega.Gomega) {
		last := b.production().Status.LastCommand
		g.Expect(last).NotTo(gomega.BeNil())
		g.Expect(last.Result).To(gomega.Equal(otav1alpha1.CommandRefused))
		g.Expect(last.Message).To(gomega.ContainSubstring("<digest> <check>"))
	})
	b.told("CommandRefused", "override by anna")
	b.ends(r)

	b.order("2", string(one.Spec.Digest)+" native-code reviewed in ticket 7")
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.PausedReason)
	eventually(t, func(g gomega.Gomega) {
		st := b.production().Status
		g.Expect(st.Overrides).To(gomega.HaveLen(1))
		g.Expect(st.Overrides[0].Reason).To(gomega.Equal("reviewed in ticket 7"))
		g.Expect(st.Overrides[0].By).To(gomega.Equal("anna"))
		g.Expect(st.LastCommand.Result).To(gomega.Equal(otav1alpha1.CommandAccepted))
		g.Expect(st.Warnings).To(gomega.HaveLen(2))
		g.Expect(st.Warnings[0]).To(gomega.ContainSubstring("let pass by anna (reviewed in ticket 7): native-code"))
		g.Expect(st.Warnings[1]).To(gomega.ContainSubstring("wasm: found 1"))
	})
	b.told("CommandAccepted", "override by anna")
	b.ends(r)
	b.command(r, "promote")
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	eventually(t, func(g gomega.Gomega) { // warnings are about the candidate, overrides stay
		st := b.production().Status
		g.Expect(st.Candidate).To(gomega.BeNil())
		g.Expect(st.Warnings).To(gomega.BeEmpty())
		g.Expect(st.Overrides).To(gomega.HaveLen(1))
	})
	b.ends(r)
}

// A check that this version does not have stalls the Channel, and is not taken for one that finds nothing.
func TestRelease_unknownCheck(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.found(b.bundle(1))
	ch := b.production()
	b.change(ch, `{"admission":{"content":{"checks":[{"name":"mind-reading","action":"Deny"}]}}}`)
	testkit.Eventually(t, b.Client, ch, testkit.BeObserved(), testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, otav1alpha1.InvalidSpecReason),
		testkit.HaveMessage(otav1alpha1.StalledCondition, "mind-reading; see docs/content-rules.md"))
	r := b.rollout("shop-1", testkit.SetWeight(100))
	b.comes(r, metav1.ConditionUnknown, otav1alpha1.WaitingForChannelReason)
	b.ends(r)
}

// Stable is withdrawn when nobody vouches for it any more, and the Rollout says so; not while it is verified again.
func TestRelease_lossOfTrust(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one, two := b.bundle(1), b.bundle(2)
	for _, o := range []*otav1alpha1.Bundle{one, two} {
		b.vouch(o, metav1.ConditionTrue, "", "ci", "boss")
		b.metrics.say(o.Spec.Digest, devices(100, 0))
	}
	b.change(b.production(), `{"admission":{"requiredAuthorities":["ci","boss"]}}`)
	r := b.rollout("shop-1", testkit.SetWeight(100))
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	b.change(r, `{"bundleRef":{"name":"shop-2"}}`)
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)

	before := len(b.publisher.documents())
	b.vouch(two, metav1.ConditionUnknown, "verifying it again")
	b.ends(r)
	if docs := b.publisher.documents(); len(docs) != before {
		t.Errorf("%d commits while it is verified again: %+v", len(docs)-before, docs[len(docs)-1])
	}
	b.vouch(two, metav1.ConditionFalse, "authority boss was removed: none of 1 signatures matches")
	b.comes(r, metav1.ConditionFalse, otav1alpha1.BundleRefusedReason)
	testkit.Eventually(t, b.Client, r, testkit.HaveMessage(otav1alpha1.ReadyCondition, "authority boss was removed"))
	eventually(t, func(g gomega.Gomega) {
		st := b.production().Status
		g.Expect(st.Stable).NotTo(gomega.BeNil())
		g.Expect(st.Stable.Bundle).To(gomega.Equal("shop-1"))
		g.Expect(st.Refused).To(gomega.HaveLen(1))
		g.Expect(st.Refused[0].By).To(gomega.Equal("bundle/shop-2"))
		g.Expect(st.Refused[0].Reason).To(gomega.ContainSubstring("no longer trusted: SignatureInvalid: authority boss was removed"))
		g.Expect(st.Deviation).NotTo(gomega.BeNil())
	})
	b.told("BundleRefused", "authority boss was removed")

	b.vouch(one, metav1.ConditionTrue, "", "ci") // the other one is stable now, and its required signature is lost too
	eventually(t, func(g gomega.Gomega) {
		st := b.production().Status
		g.Expect(st.Stable).To(gomega.BeNil())
		g.Expect(st.Refused).To(gomega.HaveLen(2))
		g.Expect([]string{st.Refused[0].Reason, st.Refused[1].Reason}).To(gomega.ContainElement(gomega.ContainSubstring("no longer trusted: signatures of boss do not count any more: authority boss was removed")))
	})
	b.command(r, "retry") // is no way around it
	eventually(t, func(g gomega.Gomega) {
		g.Expect(b.Client.Get(t.Context(), client.ObjectKeyFromObject(r), r)).To(gomega.Succeed())
		g.Expect(r.Status.LastCommand).NotTo(gomega.BeNil())
		g.Expect(r.Status.LastCommand.Message).To(gomega.ContainSubstring("the refusal stays, since the Bundle cannot be served"))
	})
	b.ends(r)
	b.vouch(two, metav1.ConditionTrue, "", "ci", "boss")
	b.command(r, "retry")
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	b.ends(r)
}

// A stricter admission takes nothing from devices, and the Channel says what it would not admit now.
func TestRelease_stricterAdmission(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := b.bundle(1)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	r := b.rollout("shop-1", testkit.SetWeight(100))
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	b.change(b.production(), `{"admission":{"quorums":[{"required":1,"authorities":["boss","auditor"]}]}}`)
	eventually(t, func(g gomega.Gomega) {
		st := b.production().Status
		g.Expect(st.Deviation).NotTo(gomega.BeNil())
		g.Expect(st.Deviation.Reason).To(gomega.Equal("StableNotAdmitted"))
		g.Expect(st.Deviation.Message).To(gomega.ContainSubstring("1.1.0 stays stable, but would not be admitted now: the channel requires signatures of 1 of boss, auditor"))
		g.Expect(st.Stable.Bundle).To(gomega.Equal("shop-1"))
	})
	b.ends(r)
}

// A floor of the Repository withdraws what is below it, and no person brings it back.
func TestRelease_repositoryFloor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := b.bundle(1)
	b.metrics.say(one.Spec.Digest, devices(100, 0))
	r := b.rollout("shop-1", testkit.SetWeight(100))
	b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	b.publisher.raise("1.2.0")
	repo := &otav1alpha1.Repository{ObjectMeta: b.meta("default")}
	must(t, b.Client.Status().Patch(t.Context(), repo, client.RawPatch("application/merge-patch+json", []byte(`{"status":{"floors":[{"app":"shop","minVersion":"1.2.0"}]}}`))))
	b.comes(r, metav1.ConditionFalse, otav1alpha1.BundleRefusedReason)
	testkit.Eventually(t, b.Client, r, testkit.HaveMessage(otav1alpha1.ReadyCondition, "version 1.1.0 is below the floor 1.2.0 of the Repository, withdrawn for security (repository/default)"))
	b.command(r, "retry")
	eventually(t, func(g gomega.Gomega) {
		g.Expect(b.Client.Get(t.Context(), client.ObjectKeyFromObject(r), r)).To(gomega.Succeed())
		g.Expect(r.Status.LastCommand).NotTo(gomega.BeNil())
		g.Expect(r.Status.LastCommand.Message).To(gomega.ContainSubstring("the refusal stays, since the channel does not admit the Bundle: version 1.1.0"))
	})
	b.ends(r)
	ch := b.production()
	b.change(ch, `{"guards":{"floor":"1.1.0"}}`)
	testkit.Eventually(t, b.Client, ch, testkit.HaveCondition(otav1alpha1.StalledCondition, metav1.ConditionTrue, otav1alpha1.InvalidSpecReason),
		testkit.HaveMessage(otav1alpha1.StalledCondition, "guards.floor is 1.1.0, below 1.2.0"))
	if st := b.production().Status; st.Stable != nil || len(st.Refused) != 1 {
		t.Errorf("serves %+v, refuses %+v", st.Stable, st.Refused)
	}
	b.ends(r)
}

// Many Bundles that lose their trust at once cost each channel a few commits, whatever their number.
func TestRelease_lossOfTrustOfMany(t *testing.T) {
	t.Parallel()
	const bundles, released = 60, 4
	b := newBench(t)
	var all []*otav1alpha1.Bundle
	for n := range bundles {
		o := b.bundle(n)
		b.vouch(o, metav1.ConditionTrue, "", "ci")
		b.metrics.say(o.Spec.Digest, devices(100, 0))
		all = append(all, o)
	}
	var r *otav1alpha1.Rollout
	for n := range released {
		if name := fmt.Sprintf("shop-%d", n); r == nil {
			r = b.rollout(name, testkit.SetWeight(100))
		} else {
			b.change(r, `{"bundleRef":{"name":"`+name+`"}}`)
		}
		b.comes(r, metav1.ConditionTrue, otav1alpha1.CompletedReason)
	}
	b.ends(r)
	before := len(b.publisher.documents())
	for _, o := range all {
		b.vouch(o, metav1.ConditionFalse, "authority ci was removed")
	}
	eventually(t, func(g gomega.Gomega) { g.Expect(b.production().Status.Refused).To(gomega.HaveLen(released)) })
	b.ends(r)
	if commits := len(b.publisher.documents()) - before; commits > released+1 {
		t.Errorf("%d Bundles that lost their trust cost %d commits, want at most one for each of %d that devices may run", bundles, commits, released)
	}
	if stable := b.production().Status.Stable; stable != nil {
		t.Errorf("still served: %+v", stable)
	}
}
