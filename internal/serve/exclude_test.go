// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/release"
)

var (
	oldAndroid = otav1alpha1.Slice{Platform: "android", NativeVersion: "<4.3.0", OSVersion: "<13.0.0"}
	france     = otav1alpha1.Slice{Region: "FR"}
)

// staged asks for a weight in a stage of a release that is kept from slices.
func staged(weight string, stage int32, parts ...otav1alpha1.Slice) *otav1alpha1.Assignment {
	a := candidateOf(2, weight)
	a.Stage, a.Exclude = stage, parts
	return a
}

// trial is what a test compares of a candidate.
func trial(d *release.Document) string {
	out := fmt.Sprintf("r%d", d.Revision)
	if c := d.Candidate; c != nil {
		out += fmt.Sprintf(" %d in stage %d without %+v", c.Weight, c.Stage, c.Exclude)
	}
	if s := d.Stable; s != nil {
		out += fmt.Sprintf("; stable %s without %+v", s.Version, s.Exclude)
	}
	return out
}

// Stages and exclusions are content: each is a revision of its own. What a frozen policy holds back stays in its stage, and what
// protects devices comes all the same.
func TestNext_stages(t *testing.T) {
	promoted := staged("", 4, oldAndroid, france)
	promoted.State = otav1alpha1.AssignmentPromoted
	const android = "{Platform:android NativeVersion:<4.3.0 OSVersion:<13.0.0 Region:}"
	const both = android + " {Platform: NativeVersion: OSVersion: Region:FR}"
	f := facts(published())
	for _, step := range []struct {
		a      *otav1alpha1.Assignment
		frozen bool
		want   string
	}{
		{staged("10", 1), false, "r8 1000 in stage 1 without []; stable 1.1.0 without []"},
		{staged("10", 1), false, "r8 1000 in stage 1 without []; stable 1.1.0 without []"},
		{staged("10", 2), false, "r9 1000 in stage 2 without []; stable 1.1.0 without []"},
		{staged("10", 3, oldAndroid), false, "r10 1000 in stage 3 without [" + android + "]; stable 1.1.0 without []"},
		{staged("10", 3, oldAndroid), true, "r10 1000 in stage 3 without [" + android + "]; stable 1.1.0 without []"},
		{staged("50", 4, oldAndroid), true, "r10 1000 in stage 3 without [" + android + "]; stable 1.1.0 without []"},
		{staged("10", 4, oldAndroid, france), true, "r11 1000 in stage 4 without [" + both + "]; stable 1.1.0 without []"},
		{promoted, true, "r11 1000 in stage 4 without [" + both + "]; stable 1.1.0 without []"},
		{promoted, false, "r12; stable 1.2.0 without [" + both + "]"},
		{promoted, true, "r12; stable 1.2.0 without [" + both + "]"},
	} {
		f.Rollouts, f.Frozen, f.Now = []otav1alpha1.Rollout{rollout("shop", step.a)}, step.frozen, f.Now.Add(time.Second)
		f.Committed = Next(f).Document
		if diff := cmp.Diff(step.want, trial(f.Committed)); diff != "" {
			t.Error(diff)
		}
	}
}

// The next release is for all again; what was stable keeps its exclusions, should it come back.
func TestNext_afterAnExclusion(t *testing.T) {
	doc := published()
	doc.Stable.Exclude = []release.Slice{{Region: "FR"}}
	f := facts(doc, rollout("shop", candidateOf(2, "100")))
	f.Committed = Next(f).Document
	promoted := candidateOf(2, "")
	promoted.State = otav1alpha1.AssignmentPromoted
	f.Rollouts = []otav1alpha1.Rollout{rollout("shop", promoted)}
	f.Committed = Next(f).Document
	if s, p := f.Committed.Stable, f.Committed.Previous; s.Exclude != nil || len(p.Exclude) != 1 {
		t.Fatalf("stable without %v, previous without %v", s.Exclude, p.Exclude)
	}
	f.Bundles["shop-2"].Spec.Revoked = "CVE"
	if got := Next(f).Document.Stable; got.Name != "shop-1" || len(got.Exclude) != 1 {
		t.Errorf("%s came back without %v", got.Name, got.Exclude)
	}
}

// A lease is renewed without a word to devices; it ends no stage and no exclusion.
func TestNext_leaseOfAnExclusion(t *testing.T) {
	f := facts(published(), rollout("shop", staged("10", 3, france)))
	f.Committed = Next(f).Document
	f.Now = f.Now.Add(3 * time.Hour)
	got := Next(f).Document
	if trial(got) != trial(f.Committed) || got.Candidate.LeaseExpires == f.Committed.Candidate.LeaseExpires {
		t.Errorf("renewed to %s, was %s", trial(got), trial(f.Committed))
	}
}
