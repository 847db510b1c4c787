// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/approval"
)

// awaiting is a release that waits for two approvals: jane asked for it.
func awaiting() Facts {
	f := running()
	notStarted(&f)
	f.Approvals = Approvals{Rule: approval.Rule{Authors: []string{"jane"}}, Required: 2}
	return f
}

// approves is a person's command, as the facts of the next look have it.
func approves(f Facts, who, digest string) Facts {
	f.Command = &Command{ID: who + digest, Name: Approve, Args: digest, By: who, Actor: otav1alpha1.ActorVerified}
	return f
}

// after is the facts once a decision is in the status.
func after(f Facts, d Decision) Facts {
	f.Release, f.Command = d.Release, nil
	return f
}

func TestApprovals_waits(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Facts)
		reason string
		text   string
	}{
		"none given":      {func(*Facts) {}, "WaitingForApproval", "shop-1 has 0 of 2 approvals: others than jane, who asked for it, approve it"},
		"none needed":     {func(f *Facts) { f.Approvals.Required = 0 }, "Progressing", ""},
		"doubt":           {func(f *Facts) { f.Approvals.Doubt = "policy X is not installed" }, "WaitingForApproval", "cannot be relied on: policy X is not installed"},
		"no author":       {func(f *Facts) { f.Approvals.Authors = nil }, "WaitingForApproval", "nobody knows who asked for shop-1"},
		"not admitted":    {func(f *Facts) { f.Bundle.Denied = "boss has not signed" }, "BundleNotAdmitted", "boss has not signed"},
		"too bold":        {func(f *Facts) { f.Channel.MaxFirstWeight = 1 }, "InvalidSpec", "maxFirstWeight"},
		"before windows":  {func(f *Facts) { f.Window.Closed = true }, "WaitingForApproval", "0 of 2"},
		"before the line": {func(f *Facts) { f.Queue = Queue{Limit: 1, Active: 1} }, "WaitingForApproval", "0 of 2"},
		"before a pause":  {func(f *Facts) { f.Spec.Paused = "later" }, "WaitingForApproval", "0 of 2"},
	} {
		f := awaiting()
		tc.change(&f)
		if d := Plan(f); d.Reason != tc.reason || !strings.Contains(d.Message, tc.text) {
			t.Errorf("%s: %s, %q, want %s, %q", name, d.Reason, d.Message, tc.reason, tc.text)
		}
	}
}

func TestApprovals_commands(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Facts)
		who    string
		digest string
		want   string // of the refusal; empty: it counts
	}{
		"another person":       {func(*Facts) {}, "omar", "d1", ""},
		"the author":           {func(*Facts) {}, "jane", "d1", "jane asked for the change"},
		"nobody":               {func(*Facts) {}, "", "d1", "nothing says who approves"},
		"another digest":       {func(*Facts) {}, "omar", "d2", `the release is of d1, not of "d2"`},
		"no digest":            {func(*Facts) {}, "omar", "", "not of"},
		"nobody is asked":      {func(f *Facts) { f.Approvals.Required = 0 }, "omar", "d1", "asks for no approvals"},
		"doubt":                {func(f *Facts) { f.Approvals.Doubt = "X" }, "omar", "d1", "cannot be relied on"},
		"no Bundle yet":        {func(f *Facts) { f.Bundle = Bundle{} }, "omar", "d1", "does not exist yet"},
		"too late":             {func(f *Facts) { f.Release.State = otav1alpha1.ReleaseProgressing }, "omar", "d1", "waits to start"},
		"of the first release": {func(f *Facts) { f.Release = Release{} }, "omar", "d1", ""},
	} {
		f := awaiting()
		tc.change(&f)
		d := Plan(approves(f, tc.who, tc.digest))
		if d.Command == nil || (d.Command.Refused == "") != (tc.want == "") || !strings.Contains(d.Command.Refused, tc.want) {
			t.Errorf("%s: %+v, want %q", name, d.Command, tc.want)
			continue
		}
		if tc.want == "" && !slices.Equal(approval.People(d.Release.Approval.ApprovedBy), []string{tc.who}) {
			t.Errorf("%s: approved by %+v", name, d.Release.Approval)
		}
	}
}

func TestApprovals_story(t *testing.T) {
	f := awaiting()
	f = after(f, Plan(approves(f, "omar", "d1")))
	f = after(f, Plan(approves(f, "omar", "d1")))
	if d := Plan(f); d.Reason != "WaitingForApproval" || !strings.Contains(d.Message, "1 of 2 approvals (omar)") {
		t.Fatalf("%s: %s", d.Reason, d.Message)
	}
	// Another digest, or another author, makes it void.
	other := f
	other.Bundle.Digest = "d9"
	if d := Plan(other); !strings.Contains(d.Message, "0 of 2") || d.Release.Approval.Digest != "d9" {
		t.Errorf("another digest: %s", d.Message)
	}
	other = f
	other.Approvals.Authors = []string{"jane", "kim"}
	if d := Plan(other); !strings.Contains(d.Message, "0 of 2") || !strings.Contains(d.Message, "others than jane, kim") {
		t.Errorf("another author: %s", d.Message)
	}
	d := Plan(approves(f, "lea", "d1"))
	if d.Release.State != otav1alpha1.ReleaseProgressing || d.Release.Weight != 1000 {
		t.Fatalf("%s at %d: %s", d.Release.State, d.Release.Weight, d.Message)
	}
	// A person aborts it without anybody's approval. What was taken back needs new ones.
	f = after(f, d)
	f.Command = &Command{ID: "9", Name: Abort, By: "lea"}
	if d = Plan(f); d.Release.State != otav1alpha1.ReleaseRollingBack {
		t.Errorf("abort: %s, %+v", d.Release.State, d.Command)
	}
	f = after(f, d)
	f.Release.State = otav1alpha1.ReleaseAborted
	f.Channel.Candidate, f.Command = nil, &Command{ID: "10", Name: Retry, By: "lea"}
	if d = Plan(f); d.Release.Revision != 2 || d.Release.State != otav1alpha1.ReleasePending || !strings.Contains(d.Message, "0 of 2 approvals") {
		t.Errorf("retry: %+v: %s", d.Release, d.Message)
	}
}

// TestApprovals_superseded: an approval of the next bundle waits until that one's release is there.
func TestApprovals_superseded(t *testing.T) {
	f := running()
	f.Approvals = Approvals{Rule: approval.Rule{Authors: []string{"jane"}}, Required: 1}
	f.Spec.Bundle, f.Bundle = "shop-2", Bundle{Found: true, Ready: true, Digest: "d2"}
	f = approves(f, "omar", "d2")
	d := Plan(f)
	if d.Release.State != otav1alpha1.ReleaseSuperseding || d.Command != nil {
		t.Fatalf("%s: %+v", d.Release.State, d.Command)
	}
	f.Release, f.Channel.Candidate, f.Analysis = d.Release, nil, nil
	if d = Plan(f); d.Release.State != otav1alpha1.ReleaseProgressing || d.Command == nil || d.Command.Refused != "" {
		t.Errorf("%s: %+v: %s", d.Release.State, d.Command, d.Message)
	}
}

// others counts the people who approved the present digest, without the authors.
func others(f Facts, d Decision) int {
	counts := map[string]bool{}
	if a := d.Release.Approval; a != nil && string(a.Digest) == f.Bundle.Digest {
		for _, p := range a.ApprovedBy {
			counts[p.By] = true
		}
	}
	for _, author := range f.Approvals.Authors {
		delete(counts, author)
	}
	return len(counts)
}

// TestApprovals_property: no release starts before as many people as the Channel asks for have approved its digest, none of them an author.
func TestApprovals_property(t *testing.T) {
	people := []string{"ann", "ben", "cid", "dora"}
	rapid.Check(t, func(t *rapid.T) {
		f := awaiting()
		f.Release.Approval = nil
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			f.Command = nil
			switch rapid.IntRange(0, 4).Draw(t, "happens") {
			case 0:
				f.Approvals.Required = rapid.Int32Range(0, 3).Draw(t, "required")
			case 1:
				f.Approvals.Authors = rapid.SliceOfNDistinct(rapid.SampledFrom(people), 0, 2, rapid.ID).Draw(t, "authors")
			case 2:
				f.Bundle.Digest = rapid.SampledFrom([]string{"d1", "d2"}).Draw(t, "digest")
			case 3:
				f.Approvals.Doubt = rapid.SampledFrom([]string{"", "", "X"}).Draw(t, "doubt")
			default:
				f = approves(f, rapid.SampledFrom(people).Draw(t, "who"), rapid.SampledFrom([]string{"d1", "d2"}).Draw(t, "approves"))
			}
			d := Plan(f)
			if d.Release.State != otav1alpha1.ReleasePending {
				if n := f.Approvals.Required; others(f, d) < int(n) || n > 0 && f.Approvals.Doubt != "" {
					t.Fatalf("started with %+v of %d, doubt %q", d.Release.Approval, n, f.Approvals.Doubt)
				}
				return
			}
			f = after(f, d)
		}
	})
}
