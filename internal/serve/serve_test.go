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
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/bucketing"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/release"
)

var start = time.Unix(1_800_000_000, 0).UTC()

func digestOf(n int) otav1alpha1.Digest { return otav1alpha1.Digest(fmt.Sprintf("sha256:%064d", n)) }

func bundle(n int) *otav1alpha1.Bundle {
	return &otav1alpha1.Bundle{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("shop-%d", n)},
		Spec:       otav1alpha1.BundleSpec{App: "shop", Version: otav1alpha1.Version(fmt.Sprintf("1.%d.0", n)), Digest: digestOf(n)},
		Status: otav1alpha1.BundleStatus{
			Conditions:    []metav1.Condition{{Type: otav1alpha1.ReadyCondition, Status: metav1.ConditionTrue}},
			Artifact:      &otav1alpha1.ArtifactStatus{Digest: digestOf(n), Size: 100, Path: fmt.Sprintf("bundles/shop/1.%d.0.zip", n)},
			Verifications: []otav1alpha1.Verification{{Authority: "ci", KeyID: "k", Signature: "c2ln"}},
		},
	}
}

func channel() *otav1alpha1.Channel {
	return &otav1alpha1.Channel{ObjectMeta: metav1.ObjectMeta{Name: "production"}, Spec: otav1alpha1.ChannelSpec{App: "shop"}}
}

func rollout(name string, a *otav1alpha1.Assignment) otav1alpha1.Rollout {
	r := otav1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
	r.Status.Assignment = a
	return r
}

func candidateOf(n int, weight string) *otav1alpha1.Assignment {
	return &otav1alpha1.Assignment{
		Release: 1, State: otav1alpha1.AssignmentCandidate, Bundle: fmt.Sprintf("shop-%d", n), Digest: digestOf(n),
		Weight: otav1alpha1.Percent(weight), Salt: plan.Salt("shop", 1),
	}
}

func facts(committed *release.Document, rollouts ...otav1alpha1.Rollout) Facts {
	f := Facts{Channel: channel(), Committed: committed, Rollouts: rollouts, Bundles: map[string]*otav1alpha1.Bundle{}, Now: start}
	for n := range 4 {
		b := bundle(n)
		f.Bundles[b.Name] = b
	}
	return f
}

// published is a committed document with shop-1 stable, shop-0 before it.
func published() *release.Document {
	one, zero := Bundle(bundle(1)), Bundle(bundle(0))
	one.Since, zero.Since = start.Unix()-100, start.Unix()-200
	return &release.Document{Schema: 1, App: "shop", Channel: "production", Revision: 7, Serving: release.Active, Stable: one, Previous: zero}
}

// summary is what a test compares: what is served and what is refused.
func summary(d *release.Document) string {
	name := func(b *release.Bundle) string {
		if b == nil {
			return "-"
		}
		return b.Name
	}
	out := fmt.Sprintf("r%d stable=%s previous=%s", d.Revision, name(d.Stable), name(d.Previous))
	if c := d.Candidate; c != nil {
		out += fmt.Sprintf(" candidate=%s@%d", c.Bundle.Name, c.Weight)
	}
	for _, r := range d.Refused {
		out += " refused=" + r.Version
	}
	return out
}

func TestNext(t *testing.T) {
	withCandidate := func() *release.Document {
		f := facts(published(), rollout("shop", candidateOf(2, "10")))
		return Next(f).Document
	}
	withdrawn := candidateOf(2, "")
	withdrawn.State, withdrawn.Refuse = otav1alpha1.AssignmentWithdrawn, "bad"
	promoted := candidateOf(2, "")
	promoted.State = otav1alpha1.AssignmentPromoted
	stranger := candidateOf(2, "50")
	stranger.Salt = plan.Salt("another object of the same name", 1)
	refusedBefore := published()
	refusedBefore.Refused = []release.Refusal{{Digest: string(digestOf(2)), Version: "1.2.0", At: 1}}
	lift := candidateOf(2, "")
	lift.State, lift.Lift = otav1alpha1.AssignmentWithdrawn, "Refusal"

	for name, tc := range map[string]struct {
		in          Facts
		change      func(*Facts)
		want        string
		wantProblem string
	}{
		"first publication":  {in: facts(nil), want: "r1 stable=- previous=-"},
		"nothing changes":    {in: facts(published()), want: "r7 stable=shop-1 previous=shop-0"},
		"a candidate":        {in: facts(published(), rollout("shop", candidateOf(2, "0.25"))), want: "r8 stable=shop-1 previous=shop-0 candidate=shop-2@25"},
		"a higher weight":    {in: facts(withCandidate(), rollout("shop", candidateOf(2, "50"))), want: "r9 stable=shop-1 previous=shop-0 candidate=shop-2@5000"},
		"the same weight":    {in: facts(withCandidate(), rollout("shop", candidateOf(2, "10"))), want: "r8 stable=shop-1 previous=shop-0 candidate=shop-2@1000"},
		"promoted":           {in: facts(withCandidate(), rollout("shop", promoted)), want: "r9 stable=shop-2 previous=shop-1"},
		"promoted, not seen": {in: facts(published(), rollout("shop", promoted)), want: "r7 stable=shop-1 previous=shop-0"},
		"rolled back":        {in: facts(withCandidate(), rollout("shop", withdrawn)), want: "r9 stable=shop-1 previous=shop-0 refused=1.2.0"},
		"rollout deleted":    {in: facts(withCandidate()), want: "r9 stable=shop-1 previous=shop-0"},
		"rollout made anew":  {in: facts(withCandidate(), rollout("shop", stranger)), want: "r9 stable=shop-1 previous=shop-0 candidate=shop-2@5000"},
		"refused before":     {in: facts(refusedBefore, rollout("shop", candidateOf(2, "1"))), want: "r7 stable=shop-1 previous=shop-0 refused=1.2.0", wantProblem: "digest of Bundle shop-2 is refused"},
		"refusal lifted":     {in: facts(refusedBefore, rollout("shop", lift)), want: "r8 stable=shop-1 previous=shop-0"},
		"two rollouts":       {in: facts(withCandidate(), rollout("shop", candidateOf(2, "10")), rollout("a-shop", candidateOf(3, "90"))), want: "r8 stable=shop-1 previous=shop-0 candidate=shop-2@1000"},
		"stable revoked":     {in: facts(published()), change: func(f *Facts) { f.Bundles["shop-1"].Spec.Revoked = "CVE" }, want: "r8 stable=shop-0 previous=- refused=1.1.0"},
		"both revoked":       {in: facts(published()), change: func(f *Facts) { f.Bundles["shop-1"].Spec.Revoked, f.Bundles["shop-0"].Spec.Revoked = "CVE", "CVE" }, want: "r8 stable=- previous=- refused=1.0.0 refused=1.1.0"},
		"candidate revoked":  {in: facts(withCandidate(), rollout("shop", candidateOf(2, "10"))), change: func(f *Facts) { f.Bundles["shop-2"].Spec.Revoked = "CVE" }, want: "r9 stable=shop-1 previous=shop-0 refused=1.2.0", wantProblem: "digest of Bundle shop-2 is refused"},
		"stranger revoked":   {in: facts(published()), change: func(f *Facts) { f.Bundles["shop-3"].Spec.Revoked = "CVE" }, want: "r7 stable=shop-1 previous=shop-0"},
		"another digest":     {in: facts(published(), rollout("shop", candidateOf(2, "1"))), change: func(f *Facts) { f.Bundles["shop-2"].Spec.Digest = digestOf(9) }, want: "r7 stable=shop-1 previous=shop-0", wantProblem: "has digest"},
		"not verified":       {in: facts(published(), rollout("shop", candidateOf(2, "1"))), change: func(f *Facts) { f.Bundles["shop-2"].Status.Conditions[0].Status = metav1.ConditionFalse }, want: "r7 stable=shop-1 previous=shop-0", wantProblem: "cannot be served"},
		"not admitted": {in: facts(published(), rollout("shop", candidateOf(2, "1"))), change: func(f *Facts) {
			f.Channel.Spec.Admission = &otav1alpha1.Admission{RequiredAuthorities: []string{"boss"}}
		}, want: "r7 stable=shop-1 previous=shop-0", wantProblem: "missing boss, signed by ci"},
		"admission tightened": {in: facts(withCandidate(), rollout("shop", candidateOf(2, "10"))), change: func(f *Facts) {
			f.Channel.Spec.Admission = &otav1alpha1.Admission{RequiredAuthorities: []string{"boss"}}
		}, want: "r9 stable=shop-1 previous=shop-0", wantProblem: "missing boss"},
		"halted": {in: facts(published()), change: func(f *Facts) { f.Channel.Spec.Serving = otav1alpha1.ServingHalted }, want: "r8 stable=shop-1 previous=shop-0"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.change != nil {
				tc.change(&tc.in)
			}
			got := Next(tc.in)
			if diff := cmp.Diff(tc.want, summary(got.Document)); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(got.Problem, tc.wantProblem) || (tc.wantProblem == "" && got.Problem != "") {
				t.Errorf("problem %q, want one with %q", got.Problem, tc.wantProblem)
			}
		})
	}
}

// Who may follow is content: to change it raises the revision, and to write it in another order does not.
func TestNext_follow(t *testing.T) {
	doc := published()
	for _, step := range []struct {
		change   func(*otav1alpha1.ChannelSpec)
		want     release.Follow
		revision int64
	}{
		{func(*otav1alpha1.ChannelSpec) {}, release.Follow{}, 7},
		{func(s *otav1alpha1.ChannelSpec) {
			s.Visibility, s.SelfAssignment = otav1alpha1.VisibilityPrivate, otav1alpha1.SelfAssignmentAllowed
		}, release.Follow{Visibility: "Private", SelfAssignment: "Allowed"}, 8},
		{func(s *otav1alpha1.ChannelSpec) { s.SelfAssignment = otav1alpha1.SelfAssignmentAllowed }, release.Follow{SelfAssignment: "Allowed"}, 9},
		{func(s *otav1alpha1.ChannelSpec) { s.AllowedOrigins = []otav1alpha1.Origin{"https://b", "https://a"} },
			release.Follow{Origins: []string{"https://a", "https://b"}}, 10},
		{func(s *otav1alpha1.ChannelSpec) { s.AllowedOrigins = []otav1alpha1.Origin{"https://a", "https://b"} },
			release.Follow{Origins: []string{"https://a", "https://b"}}, 10},
		{func(s *otav1alpha1.ChannelSpec) { s.AllowedOrigins = []otav1alpha1.Origin{"https://a"} }, release.Follow{Origins: []string{"https://a"}}, 11},
	} {
		f := facts(doc)
		step.change(&f.Channel.Spec)
		doc = Next(f).Document
		if diff := cmp.Diff(step.want, doc.Follow); diff != "" || doc.Revision != step.revision {
			t.Errorf("revision %d, want %d; %s", doc.Revision, step.revision, diff)
		}
	}
}

// A policy that no device could follow changes nothing of who follows; what else the Channel says is carried out.
func TestNext_unfollowable(t *testing.T) {
	for name, was := range map[string]release.Follow{
		"public": {SelfAssignment: "Denied"}, "chosen": {Visibility: "Private", SelfAssignment: "Allowed"}, "nobody's": {Visibility: "Private"},
	} {
		for _, choice := range []otav1alpha1.SelfAssignment{"", otav1alpha1.SelfAssignmentDenied} {
			doc := published()
			doc.Follow = was
			f := facts(doc)
			f.Channel.Spec.Visibility, f.Channel.Spec.SelfAssignment = otav1alpha1.VisibilityPrivate, choice
			f.Channel.Spec.Serving, f.Channel.Spec.AllowedOrigins = otav1alpha1.ServingHalted, []otav1alpha1.Origin{"https://a"}
			want := was
			want.Origins = []string{"https://a"}
			got := Next(f).Document
			if diff := cmp.Diff(want, got.Follow); diff != "" || got.Serving != release.Halted {
				t.Errorf("%s: serving %s; %s", name, got.Serving, diff)
			}
		}
	}
	f := facts(nil)
	f.Channel.Spec.Visibility = otav1alpha1.VisibilityPrivate
	if got := Next(f).Document.Follow; got.Visibility != "Private" {
		t.Errorf("published for the first time as %+v", got)
	}
}

// A full list never lets a revoked bundle through, and never takes away what is out and fine.
func TestNext_fullList(t *testing.T) {
	full := published()
	for i := range MaxRefused {
		full.Refused = append(full.Refused, release.Refusal{Digest: fmt.Sprintf("sha256:%063dx", i), At: 1})
	}
	f := facts(full)
	f.Bundles["shop-1"].Spec.Revoked = "CVE"
	if got := Next(f).Document.Stable; got == nil || got.Name != "shop-0" {
		t.Errorf("with a full list a revoked stable bundle gives way to %+v, want shop-0", got)
	}
	o := Next(facts(full, rollout("shop", candidateOf(2, "10"))))
	if o.Document.Candidate != nil || !o.Full || !strings.Contains(o.Problem, "128 digests are refused") {
		t.Errorf("a new candidate on a full list: %+v, %q", o.Document.Candidate, o.Problem)
	}
	out := Next(facts(published(), rollout("shop", candidateOf(2, "10")))).Document
	out.Refused = full.Refused
	if got := Next(facts(out, rollout("shop", candidateOf(2, "50")))).Document.Candidate; got == nil || got.Weight != 5000 {
		t.Errorf("what is out already became %+v when the list filled up", got)
	}
}

// One Rollout takes a digest back while another lifts its refusal: the refusal wins, and nothing flaps.
func TestNext_refuseAndLift(t *testing.T) {
	refuse, lift := candidateOf(2, ""), candidateOf(2, "")
	refuse.State, refuse.Refuse = otav1alpha1.AssignmentWithdrawn, "bad"
	lift.State, lift.Lift = otav1alpha1.AssignmentWithdrawn, "Refusal"
	f := facts(published(), rollout("b", lift), rollout("a", refuse))
	first := Next(f).Document
	f.Committed, f.Now = first, f.Now.Add(time.Minute)
	if second := Next(f).Document; !cmp.Equal(first, second) || !second.Refuses(string(digestOf(2))) {
		t.Errorf("flaps: %s", cmp.Diff(first, second))
	}
}

// A policy that cannot be carried out takes nothing back from what protects devices, and lets nothing rise.
func TestNext_frozen(t *testing.T) {
	out := Next(facts(published(), rollout("shop", candidateOf(2, "10")))).Document
	promoted := candidateOf(2, "")
	promoted.State = otav1alpha1.AssignmentPromoted
	withdrawn := candidateOf(2, "")
	withdrawn.State, withdrawn.Refuse = otav1alpha1.AssignmentWithdrawn, "bad"
	for name, tc := range map[string]struct {
		committed *release.Document
		a         *otav1alpha1.Assignment
		want      string
	}{
		"new":       {published(), candidateOf(2, "10"), "r7 stable=shop-1 previous=shop-0"},
		"rise":      {out, candidateOf(2, "50"), "r8 stable=shop-1 previous=shop-0 candidate=shop-2@1000"},
		"promotion": {out, promoted, "r8 stable=shop-1 previous=shop-0 candidate=shop-2@1000"},
		"rollback":  {out, withdrawn, "r9 stable=shop-1 previous=shop-0 refused=1.2.0"},
	} {
		f := facts(tc.committed, rollout("shop", tc.a))
		f.Frozen = true
		if diff := cmp.Diff(tc.want, summary(Next(f).Document)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What is out stays out while its Bundle is looked at again or waits for its deletion.
func TestNext_candidateStays(t *testing.T) {
	out := Next(facts(published(), rollout("shop", candidateOf(2, "10")))).Document
	for name, change := range map[string]func(*Facts){
		"looked at again": func(f *Facts) { f.Bundles["shop-2"].Status.Conditions[0].Status = metav1.ConditionUnknown },
		"being deleted":   func(f *Facts) { f.Bundles["shop-2"].DeletionTimestamp = &metav1.Time{Time: start} },
		"gone":            func(f *Facts) { delete(f.Bundles, "shop-2") },
		"no soak record": func(f *Facts) {
			up := channel()
			f.Upstream, f.Channel.Spec.Admission = up, &otav1alpha1.Admission{PromotedFrom: &otav1alpha1.PromotedFrom{Name: "beta"}}
		},
	} {
		f := facts(out, rollout("shop", candidateOf(2, "10")))
		change(&f)
		if got := Next(f).Document; got.Candidate == nil {
			t.Errorf("%s: the candidate was withdrawn", name)
		}
	}
	f := facts(out, rollout("shop", candidateOf(2, "10")))
	f.Bundles["shop-2"].Status.Conditions = append(f.Bundles["shop-2"].Status.Conditions[:0],
		metav1.Condition{Type: otav1alpha1.VerifiedCondition, Status: metav1.ConditionFalse})
	if got := Next(f).Document; got.Candidate != nil {
		t.Error("a candidate stays whose signatures no longer count")
	}
}

func TestNext_lease(t *testing.T) {
	f := facts(published(), rollout("shop", candidateOf(2, "10")))
	first := Next(f).Document
	if got, want := first.Candidate.LeaseExpires, start.Add(DefaultLease).Unix(); got != want {
		t.Fatalf("lease expires at %d, want %d", got, want)
	}
	f.Committed = first
	for after, want := range map[time.Duration]time.Duration{
		time.Minute:      DefaultLease,                  // fresh: kept
		20 * time.Minute: DefaultLease + 20*time.Minute, // a third is gone: renewed
		3 * time.Hour:    DefaultLease + 3*time.Hour,    // expired: renewed
	} {
		f.Now = start.Add(after)
		next := Next(f).Document
		if got := time.Unix(next.Candidate.LeaseExpires, 0).Sub(start); got != want {
			t.Errorf("after %s the lease ends %s after the start, want %s", after, got, want)
		}
		if next.Revision != first.Revision {
			t.Errorf("after %s the revision is %d, want %d: a renewed lease is no new content", after, next.Revision, first.Revision)
		}
	}
	if due := LeaseRenewal(first, &f.Rollouts[0]); due.Sub(start) != 20*time.Minute {
		t.Errorf("renewal is due %s after the start, want 20m", due.Sub(start))
	}
}

// Invariants 2 and 3 of the decision engine over random histories: a refused or revoked digest is in no document, revisions
// grow exactly with content, and cohorts are nested.
func TestNext_invariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := facts(nil)
		revoked := map[string]bool{}
		for range 40 {
			f.Now = f.Now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "seconds")) * time.Second)
			n := rapid.IntRange(0, 3).Draw(t, "bundle")
			a := candidateOf(n, string(plan.FormatWeight(int32(rapid.IntRange(0, release.FullWeight).Draw(t, "weight")))))
			a.Release = int64(rapid.IntRange(1, 2).Draw(t, "release"))
			a.State = rapid.SampledFrom([]otav1alpha1.AssignmentState{otav1alpha1.AssignmentCandidate, otav1alpha1.AssignmentCandidate,
				otav1alpha1.AssignmentPromoted, otav1alpha1.AssignmentWithdrawn}).Draw(t, "state")
			a.Stage = int32(rapid.IntRange(0, 3).Draw(t, "stage"))
			a.Exclude = rapid.SampledFrom([][]otav1alpha1.Slice{nil, nil, {{Platform: "ios"}}, {{Platform: "ios"}, {Region: "DE"}}}).Draw(t, "exclude")
			f.Frozen = rapid.IntRange(0, 7).Draw(t, "frozen") == 0
			if a.State == otav1alpha1.AssignmentWithdrawn && rapid.Bool().Draw(t, "refuse") {
				a.Refuse = "bad"
			}
			f.Rollouts = []otav1alpha1.Rollout{rollout("shop", a)}
			if rapid.IntRange(0, 15).Draw(t, "revoke") == 0 {
				f.Bundles[fmt.Sprintf("shop-%d", n)].Spec.Revoked = "CVE"
				revoked[string(digestOf(n))] = true
			}
			got := Next(f).Document
			again := Next(f).Document
			if diff := cmp.Diff(got, again); diff != "" {
				t.Fatalf("not deterministic: %s", diff)
			}
			checkDocument(t, f, got, revoked)
			f.Committed = got
			if settled := Next(f).Document; !cmp.Equal(settled, got) {
				t.Fatalf("does not come to rest: %s", cmp.Diff(got, settled))
			}
		}
	})
}

func checkDocument(t *rapid.T, f Facts, d *release.Document, revoked map[string]bool) {
	for _, b := range d.Bundles() {
		if d.Refuses(b.Digest) || revoked[b.Digest] {
			t.Fatalf("serves refused or revoked %s: %s", b.Version, summary(d))
		}
	}
	if f.Committed == nil {
		return
	}
	if changed := !SameContent(d, f.Committed); (d.Revision == f.Committed.Revision+1) != changed || (!changed && d.Revision != f.Committed.Revision) {
		t.Fatalf("revision %d after %d, changed: %v", d.Revision, f.Committed.Revision, changed)
	}
	before, now := f.Committed.Candidate, d.Candidate
	if before != nil && now != nil && before.Salt == now.Salt && before.Weight <= now.Weight {
		slot := bucketing.Slot(now.Salt, rapid.StringMatching(`[A-Z]{8}`).Draw(t, "device"))
		if slot < before.Weight && slot >= now.Weight {
			t.Fatalf("slot %d left the cohort when the weight rose from %d to %d", slot, before.Weight, now.Weight)
		}
	}
}

func TestAdmit_soak(t *testing.T) {
	up := channel()
	up.Name = "beta"
	f := AdmitFacts{Channel: channel(), Bundle: bundle(2), Upstream: up, Now: start}
	f.Channel.Spec.Admission = &otav1alpha1.Admission{PromotedFrom: &otav1alpha1.PromotedFrom{Name: "beta", RequiredSoakTime: "24h"}}
	if v := Admit(f); !strings.Contains(v.Wait, "until channel beta serves") {
		t.Errorf("never served upstream: %+v", v)
	}
	up.Status.Stable = &otav1alpha1.ServedBundle{Digest: digestOf(2), Since: &metav1.Time{Time: start.Add(-23 * time.Hour)}}
	if v := Admit(f); !strings.Contains(v.Wait, "has served 1.2.0 for 24h") {
		t.Errorf("served for 23h: %+v", v)
	}
	f.Now = start.Add(time.Hour)
	if v := Admit(f); !v.Admitted() {
		t.Errorf("served for 24h: %+v", v)
	}
	f.Upstream = nil
	if v := Admit(f); !strings.Contains(v.Denied, "there is no Channel beta") {
		t.Errorf("no upstream: %+v", v)
	}
}

func TestAdmit_rules(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*AdmitFacts)
		want   string
	}{
		"all fine":         {func(*AdmitFacts) {}, ""},
		"another app":      {func(f *AdmitFacts) { f.Bundle.Spec.App = "bank" }, "for app bank"},
		"other repository": {func(f *AdmitFacts) { f.Bundle.Spec.RepositoryRef = &otav1alpha1.LocalReference{Name: "x"} }, "kept in Repository x"},
		"too large": {func(f *AdmitFacts) {
			f.Channel.Spec.Admission = &otav1alpha1.Admission{Content: &otav1alpha1.ContentPolicy{MaxSize: "99"}}
		}, "has 100 bytes, the channel allows 99"},
		"large enough": {func(f *AdmitFacts) {
			f.Channel.Spec.Admission = &otav1alpha1.Admission{Content: &otav1alpha1.ContentPolicy{MaxSize: "100"}}
		}, ""},
		"no notes": {func(f *AdmitFacts) {
			f.Channel.Spec.Admission = &otav1alpha1.Admission{Content: &otav1alpha1.ContentPolicy{ReleaseNotes: otav1alpha1.ReleaseNotesRequired}}
		}, "requires release notes"},
		"below the floor": {func(f *AdmitFacts) { f.Channel.Spec.Guards = &otav1alpha1.Guards{Floor: "1.3.0"} }, "below the channel's floor"},
		"at the floor":    {func(f *AdmitFacts) { f.Channel.Spec.Guards = &otav1alpha1.Guards{Floor: "1.2.0"} }, ""},
		"nobody's platform": {func(f *AdmitFacts) {
			f.Channel.Spec.Audience = &otav1alpha1.Audience{Platforms: []otav1alpha1.Platform{"ios"}}
			f.Bundle.Spec.Compatibility = &otav1alpha1.Compatibility{Platforms: []otav1alpha1.Platform{"android"}}
		}, "no device would get it"},
	} {
		t.Run(name, func(t *testing.T) {
			f := AdmitFacts{Channel: channel(), Bundle: bundle(2), Now: start}
			tc.change(&f)
			if v := Admit(f); !strings.Contains(v.Denied, tc.want) || (tc.want == "" && !v.Admitted()) {
				t.Errorf("got %+v, want %q", v, tc.want)
			}
		})
	}
}
