// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/release"
)

// verified sets what a Bundle's controller found out last.
func verified(b *otav1alpha1.Bundle, status metav1.ConditionStatus, message string, claims ...string) {
	ready := status
	if status == metav1.ConditionFalse {
		ready = metav1.ConditionFalse
	}
	b.Status.Conditions = []metav1.Condition{
		{Type: otav1alpha1.ReadyCondition, Status: ready},
		{Type: otav1alpha1.VerifiedCondition, Status: status, Reason: otav1alpha1.SignatureInvalidReason, Message: message},
	}
	b.Status.Verifications = signedBy(claims...).Status.Verifications
}

// signedFacts are facts of a channel that requires ci and boss, which have signed all bundles.
func signedFacts(rollouts ...otav1alpha1.Rollout) Facts {
	f := facts(nil, rollouts...)
	f.Channel.Spec.Admission = &otav1alpha1.Admission{RequiredAuthorities: []string{"ci", "boss"}}
	for _, b := range f.Bundles {
		verified(b, metav1.ConditionTrue, "", "ci=1", "boss=2")
	}
	one, zero := Bundle(f.Bundles["shop-1"]), Bundle(f.Bundles["shop-0"])
	f.Committed = &release.Document{Schema: 1, App: "shop", Channel: "production", Revision: 7, Serving: release.Active, Stable: one, Previous: zero}
	return f
}

func TestNext_lossOfTrust(t *testing.T) {
	const same = "r7 stable=shop-1 previous=shop-0"
	for name, tc := range map[string]struct {
		change func(*Facts)
		want   string
		reason string
	}{
		"nothing lost": {func(*Facts) {}, same, ""},
		"nobody vouches": {func(f *Facts) { verified(f.Bundles["shop-1"], metav1.ConditionFalse, "authority ci was removed") },
			"r8 stable=shop-0 previous=- refused=1.1.0", "no longer trusted: SignatureInvalid: authority ci was removed"},
		"nobody vouches for both": {func(f *Facts) {
			verified(f.Bundles["shop-1"], metav1.ConditionFalse, "gone")
			verified(f.Bundles["shop-0"], metav1.ConditionFalse, "gone")
		}, "r8 stable=- previous=- refused=1.0.0 refused=1.1.0", "gone"},
		"verified again":                  {func(f *Facts) { verified(f.Bundles["shop-1"], metav1.ConditionUnknown, "again") }, same, ""},
		"verified again, claims in doubt": {func(f *Facts) { verified(f.Bundles["shop-1"], metav1.ConditionUnknown, "again", "ci=1") }, same, ""},
		"made anew, not looked at yet":    {func(f *Facts) { f.Bundles["shop-1"].Status = otav1alpha1.BundleStatus{} }, same, ""},
		"one required authority lost": {func(f *Facts) { verified(f.Bundles["shop-1"], metav1.ConditionTrue, "", "ci=1") },
			"r8 stable=shop-0 previous=- refused=1.1.0", "no longer trusted: signatures of boss do not count any more: authority boss was removed"},
		"an authority has another key": {func(f *Facts) {
			f.Authorities = []otav1alpha1.Authority{{Name: "boss"}}
			verified(f.Bundles["shop-1"], metav1.ConditionTrue, "", "ci=1")
		}, "r8 stable=shop-0 previous=- refused=1.1.0", "boss do not count any more: authority boss expects another key or identity"},
		"an authority ended": {func(f *Facts) {
			f.Authorities = []otav1alpha1.Authority{{Name: "boss", NotAfter: &metav1.Time{Time: start.Add(-time.Hour)}}}
			verified(f.Bundles["shop-1"], metav1.ConditionTrue, "", "ci=1")
		}, "r8 stable=shop-0 previous=- refused=1.1.0", "boss do not count any more: authority boss's notAfter is 2027-01-15T07:00:00Z"},
		"another key under the name": {func(f *Facts) { verified(f.Bundles["shop-1"], metav1.ConditionTrue, "", "ci=1", "boss=3") }, same, ""},
		"an authority lost that nobody requires": {func(f *Facts) {
			f.Channel.Spec.Admission.RequiredAuthorities = []string{"ci"}
			verified(f.Bundles["shop-1"], metav1.ConditionTrue, "", "ci=1")
		}, same, ""},
		"the channel requires more": {func(f *Facts) { f.Channel.Spec.Admission.RequiredAuthorities = []string{"ci", "boss", "auditor"} }, same, ""},
		"the channel requires more, and one is lost": {func(f *Facts) {
			f.Channel.Spec.Admission.RequiredAuthorities = []string{"ci", "boss", "auditor"}
			verified(f.Bundles["shop-1"], metav1.ConditionTrue, "", "ci=1")
		}, "r8 stable=shop-0 previous=- refused=1.1.0", "signatures of boss do not count any more"},
		"a quorum is added, and one is lost": {func(f *Facts) {
			f.Channel.Spec.Admission.Quorums = []otav1alpha1.Quorum{quorum(1, "auditor")}
			verified(f.Bundles["shop-1"], metav1.ConditionTrue, "", "ci=1")
		}, "r8 stable=shop-0 previous=- refused=1.1.0", "signatures of boss do not count any more"},
		"a quorum is added": {func(f *Facts) {
			f.Channel.Spec.Admission.Quorums = []otav1alpha1.Quorum{quorum(1, "auditor")}
		}, same, ""},
		"a quorum asks for more, and one is lost": {func(f *Facts) {
			f.Channel.Spec.Admission = &otav1alpha1.Admission{Quorums: []otav1alpha1.Quorum{quorum(3, "ci", "boss", "auditor")}}
			verified(f.Bundles["shop-1"], metav1.ConditionTrue, "", "boss=2")
		}, "r8 stable=shop-0 previous=- refused=1.1.0", "signatures of ci do not count any more"},
		"refused by the commit that took its signatures along": {func(f *Facts) {
			f.Committed.Stable, f.Committed.Previous = f.Committed.Previous, nil
			f.Committed.Refused = []release.Refusal{{Digest: string(digestOf(1)), Version: "1.1.0", At: 1}}
			f.Channel.Status.History = []otav1alpha1.ChannelHistoryEntry{{Bundle: "shop-1", Version: "1.1.0", Digest: digestOf(1)}}
			f.Channel.Spec.Admission.RequiredAuthorities = []string{"ci", "boss", "auditor"}
			f.Authorities = []otav1alpha1.Authority{{Name: "auditor"}}
			verified(f.Bundles["shop-1"], metav1.ConditionTrue, "", "ci=1")
		}, "r7 stable=shop-0 previous=- refused=1.1.0", "no longer trusted: signatures of boss do not count any more: authority boss was removed"},
		"quorum still reached": {func(f *Facts) {
			f.Channel.Spec.Admission = &otav1alpha1.Admission{Quorums: []otav1alpha1.Quorum{quorum(1, "ci", "boss")}}
			verified(f.Bundles["shop-1"], metav1.ConditionTrue, "", "boss=2")
		}, same, ""},
		"quorum no longer reached": {func(f *Facts) {
			f.Channel.Spec.Admission = &otav1alpha1.Admission{Quorums: []otav1alpha1.Quorum{quorum(2, "ci", "boss")}}
			verified(f.Bundles["shop-1"], metav1.ConditionTrue, "", "boss=2")
		}, "r8 stable=shop-0 previous=- refused=1.1.0", "signatures of ci do not count any more"},
		"what was served before": {func(f *Facts) {
			f.Channel.Status.History = []otav1alpha1.ChannelHistoryEntry{{Bundle: "shop-3", Version: "1.3.0", Digest: digestOf(3)}}
			verified(f.Bundles["shop-3"], metav1.ConditionFalse, "gone")
		}, "r8 stable=shop-1 previous=shop-0 refused=1.3.0", "gone"},
		"a namesake of what is served": {func(f *Facts) {
			copied := bundle(1)
			copied.Name = "copy"
			verified(copied, metav1.ConditionFalse, "bad signature")
			f.Bundles["copy"] = copied
		}, same, ""},
		"never served here": {func(f *Facts) { verified(f.Bundles["shop-3"], metav1.ConditionFalse, "gone") }, same, ""},
		"another app": {func(f *Facts) {
			f.Bundles["shop-1"].Spec.App = "bank"
			verified(f.Bundles["shop-1"], metav1.ConditionFalse, "x")
		}, same, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := signedFacts()
			tc.change(&f)
			o := Next(f)
			if diff := cmp.Diff(tc.want, summary(o.Document)); diff != "" {
				t.Error(diff)
			}
			refusal := o.Refusals[string(digestOf(1))]
			if tc.reason != "" && len(o.Refusals) == 1 {
				for _, refusal = range o.Refusals {
				}
			}
			if !strings.Contains(refusal.Reason, tc.reason) || tc.reason != "" && !strings.HasPrefix(refusal.By, "bundle/shop-") {
				t.Errorf("refused by %s: %q, want %q", refusal.By, refusal.Reason, tc.reason)
			}
		})
	}
}

// A candidate goes the same way, and no Rollout lifts the refusal while the trust is lost.
func TestNext_lossOfTrustOfCandidate(t *testing.T) {
	f := signedFacts(rollout("shop", candidateOf(2, "10")))
	f.Committed = Next(f).Document
	verified(f.Bundles["shop-2"], metav1.ConditionUnknown, "again")
	if got := Next(f).Document; got.Candidate == nil || got.Revision != 8 {
		t.Errorf("withdrawn while it is verified again: %s", summary(got))
	}
	verified(f.Bundles["shop-2"], metav1.ConditionTrue, "", "ci=1")
	f.Committed = Next(f).Document
	if diff := cmp.Diff("r9 stable=shop-1 previous=shop-0 refused=1.2.0", summary(f.Committed)); diff != "" {
		t.Error(diff)
	}
	verified(f.Bundles["shop-2"], metav1.ConditionFalse, "gone")
	lift := candidateOf(2, "")
	lift.State, lift.Lift = otav1alpha1.AssignmentWithdrawn, "Refusal"
	f.Rollouts = []otav1alpha1.Rollout{rollout("shop", lift)}
	if got := Next(f).Document; !got.Refuses(string(digestOf(2))) {
		t.Errorf("lifted: %s", summary(got))
	}
	verified(f.Bundles["shop-2"], metav1.ConditionTrue, "", "ci=1", "boss=2")
	if got := Next(f).Document; got.Refuses(string(digestOf(2))) {
		t.Errorf("cannot be lifted when the trust is back: %s", summary(got))
	}
}

// What the channel asks for since a bundle became stable takes nothing away, and is said.
func TestNext_stricterAdmission(t *testing.T) {
	f := signedFacts()
	if o := Next(f); o.Dated != "" {
		t.Errorf("nothing changed: %q", o.Dated)
	}
	f.Channel.Spec.Admission.RequiredAuthorities = []string{"auditor"}
	if o := Next(f); o.Document.Stable == nil || !strings.Contains(o.Dated, "missing auditor") {
		t.Errorf("%s, %q", summary(o.Document), o.Dated)
	}
}

// Verified under another trust, at another time, by the same signature: no new content for devices.
func TestBundle_verifiedAgain(t *testing.T) {
	b := signedBy("ci=1", "anna=a@example.com")
	before := Bundle(b)
	for i := range b.Status.Verifications {
		v := &b.Status.Verifications[i]
		v.Trust, v.At, v.Format = "another trust", &metav1.Time{Time: start.Add(time.Hour)}, otav1alpha1.FormatDetached
	}
	if diff := cmp.Diff(before, Bundle(b)); diff != "" {
		t.Error(diff)
	}
	b.Status.Verifications[1].Format, b.Status.Verifications[1].Evidence = otav1alpha1.FormatSigstoreBundle, digestOf(9)
	want := release.Signature{Authority: "anna", Signature: "c2ln", Format: "SigstoreBundle", Issuer: "https://issuer.example",
		Subject: "a@example.com", Evidence: string(digestOf(9))}
	if diff := cmp.Diff(want, Bundle(b).Signatures[1]); diff != "" {
		t.Error(diff)
	}
}

func TestNext_repositoryFloor(t *testing.T) {
	f := facts(published(), rollout("shop", candidateOf(2, "10")))
	f.Channel.Status.History = []otav1alpha1.ChannelHistoryEntry{
		{Bundle: "old", Version: "0.9.0", Digest: digestOf(9)}, {Bundle: "again", Version: "1.0.5", Digest: digestOf(1)}}
	f.Committed = Next(f).Document
	f.Committed.Guards = release.Guards{FloorVersion: "1.0.0", Floor: Bundle(f.Bundles["shop-0"])}
	f.Channel.Spec.Guards, f.Floor = &otav1alpha1.Guards{Floor: "1.0.0"}, f.Bundles["shop-0"]
	for _, tc := range []struct{ floor, want string }{
		{"1.0.0", "r8 stable=shop-1 previous=shop-0 candidate=shop-2@1000"},
		{"1.0.6", "r9 stable=- previous=- candidate=shop-2@1000 refused=1.0.0 refused=1.1.0"}, // shop-1 was 1.0.5 once, and stays so
		{"1.1.1", "r9 stable=- previous=- candidate=shop-2@1000 refused=1.0.0 refused=1.1.0"},
		{"2.0.0", "r9 stable=- previous=- refused=1.0.0 refused=1.1.0 refused=1.2.0"},
	} {
		f.LeastVersion = tc.floor
		o := Next(f)
		if diff := cmp.Diff(tc.want, summary(o.Document)); diff != "" {
			t.Errorf("floor %s: %s", tc.floor, diff)
		}
		if g := o.Document.Guards.Floor; (g != nil) != (tc.floor == "1.0.0") {
			t.Errorf("floor %s: old devices pass through %+v", tc.floor, g)
		}
	}
	want := Refusal{By: "repository/default", Reason: "version 1.2.0 is below the floor 2.0.0 of the Repository, withdrawn for security"}
	o := Next(f)
	if diff := cmp.Diff(want, o.Refusals[string(digestOf(2))]); diff != "" {
		t.Error(diff)
	}
	lift := candidateOf(2, "")
	lift.State, lift.Lift = otav1alpha1.AssignmentWithdrawn, "Refusal"
	f.Committed, f.Rollouts = o.Document, []otav1alpha1.Rollout{rollout("shop", lift)}
	if got := Next(f).Document; !got.Refuses(string(digestOf(2))) {
		t.Errorf("a person lifted a floor: %s", summary(got))
	}
	if v := Admit(f.admission(f.Bundles["shop-3"], nil)); !strings.Contains(v.Denied, "1.3.0 is below the floor 2.0.0") {
		t.Errorf("below the floor: %+v", v)
	}
	f.LeastVersion = "nonsense"
	if v := Admit(f.admission(f.Bundles["shop-3"], nil)); !strings.Contains(v.Denied, "below the floor nonsense") {
		t.Errorf("a floor that cannot be read: %+v", v)
	}
}

// Whatever happens, nothing below the floor is served, floors that rise serve no more, and what is untrusted is refused for good.
func TestNext_repositoryFloorInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := signedFacts()
		minor := 0
		for range 20 {
			f.Now = f.Now.Add(time.Minute)
			n := rapid.IntRange(0, 3).Draw(t, "bundle")
			a := candidateOf(n, "50")
			a.Release = int64(rapid.IntRange(1, 3).Draw(t, "release"))
			a.State = rapid.SampledFrom([]otav1alpha1.AssignmentState{otav1alpha1.AssignmentCandidate, otav1alpha1.AssignmentPromoted,
				otav1alpha1.AssignmentWithdrawn}).Draw(t, "state")
			if a.State == otav1alpha1.AssignmentWithdrawn {
				a.Lift = "Refusal"
			}
			f.Rollouts = []otav1alpha1.Rollout{rollout("shop", a)}
			minor += rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(t, "rise")
			f.LeastVersion = fmt.Sprintf("1.%d.0", minor)
			if rapid.IntRange(0, 9).Draw(t, "lose") == 0 {
				verified(f.Bundles[fmt.Sprintf("shop-%d", rapid.IntRange(0, 3).Draw(t, "lost"))], metav1.ConditionFalse, "gone")
			}
			d := Next(f).Document
			for _, b := range d.Bundles() {
				if Below(b.Version, f.LeastVersion) || Distrusted(f.Bundles[b.Name]) != "" || d.Refuses(b.Digest) {
					t.Fatalf("floor %s, serves %s: %s", f.LeastVersion, b.Version, summary(d))
				}
			}
			higher := f
			higher.LeastVersion = fmt.Sprintf("1.%d.0", minor+1)
			for _, b := range Next(higher).Document.Bundles() {
				if Below(b.Version, f.LeastVersion) {
					t.Fatalf("a higher floor serves %s", b.Version)
				}
			}
			for _, b := range f.Committed.Bundles() {
				if (Below(b.Version, f.LeastVersion) || Distrusted(f.Bundles[b.Name]) != "") && !d.Refuses(b.Digest) {
					t.Fatalf("devices keep %s: %s", b.Version, summary(d))
				}
			}
			f.Committed = d
			if settled := Next(f).Document; !cmp.Equal(settled, d) {
				t.Fatalf("does not come to rest: %s", cmp.Diff(d, settled))
			}
		}
	})
}

// The bundle that old devices pass through has to be admitted too, when it is new.
func TestNext_floorIsAdmitted(t *testing.T) {
	f := signedFacts()
	f.Channel.Spec.Guards, f.Floor = &otav1alpha1.Guards{Floor: "1.1.0"}, f.Bundles["shop-1"]
	f.Channel.Spec.Admission.PromotedFrom = &otav1alpha1.PromotedFrom{Name: "beta"} // it need not have been on beta
	f.Upstream = channel()
	f.Committed = Next(f).Document
	if got := f.Committed.Guards.Floor; got == nil || got.Name != "shop-1" {
		t.Fatalf("floor is %+v", got)
	}
	f.Channel.Spec.Admission.RequiredAuthorities = []string{"auditor"}
	if o := Next(f); o.Document.Guards.Floor == nil || o.NoFloor != "" {
		t.Errorf("what is out stays: %+v, %q", o.Document.Guards.Floor, o.NoFloor)
	}
	f.Channel.Spec.Guards.Floor, f.Floor = "1.2.0", f.Bundles["shop-2"]
	if o := Next(f); o.Document.Guards.Floor != nil || !strings.Contains(o.NoFloor, "missing auditor") {
		t.Errorf("not admitted: %+v, %q", o.Document.Guards.Floor, o.NoFloor)
	}
}
