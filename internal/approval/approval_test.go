// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package approval

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func given(names ...string) []otav1alpha1.Approval {
	var out []otav1alpha1.Approval
	for _, name := range names {
		out = append(out, otav1alpha1.Approval{By: name, Actor: otav1alpha1.ActorVerified, At: &metav1.Time{Time: now}})
	}
	return out
}

func TestAuthors(t *testing.T) {
	for stamp, want := range map[string][]string{
		"":                       nil,
		"jane":                   {"jane"},
		"jane\nomar\njane":       {"jane", "omar"},
		"Doe, Jane":              {"Doe, Jane"},
		"\n\njane\n":             {"jane"},
		strings.Repeat("x", 300): {strings.Repeat("x", 256)},
	} {
		if diff := cmp.Diff(want, Authors(map[string]string{otav1alpha1.ChangedByAnnotation: stamp})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", stamp, diff)
		}
	}
}

func TestRefusal(t *testing.T) {
	authors := []string{"jane", "omar"}
	for name, tc := range map[string]struct {
		rule Rule
		who  string
		want string
	}{
		"another":                 {Rule{Authors: authors}, "lea", ""},
		"an author":               {Rule{Authors: authors}, "omar", "omar asked for the change"},
		"nobody":                  {Rule{Authors: authors}, "", "nothing says who approves"},
		"a name of two lines":     {Rule{Authors: authors}, "lea\njane", "nothing says who approves"},
		"no author is known":      {Rule{}, "lea", "nobody knows who asked"},
		"names cannot be trusted": {Rule{Authors: authors, Doubt: "X is not installed"}, "lea", "cannot be relied on: X is not installed"},
	} {
		if got := tc.rule.Refusal(tc.who); (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestCounting(t *testing.T) {
	doubtful := otav1alpha1.Approval{By: "kim", Actor: otav1alpha1.ActorUnverified}
	list := append(given("jane", "lea", "lea", "omar"), doubtful)
	if diff := cmp.Diff(given("lea", "omar"), Rule{Authors: []string{"jane"}}.Counting(list)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := (Rule{}).Counting(list); got != nil {
		t.Errorf("without an author, %v count", got)
	}
}

// channel with approvals: what its spec asks for, what is in force, and who changed it.
func channel(want int32, st *otav1alpha1.ApprovalsStatus, authors ...string) *otav1alpha1.Channel {
	ch := &otav1alpha1.Channel{Status: otav1alpha1.ChannelStatus{Approvals: st}}
	ch.Spec.Approvals = &otav1alpha1.Approvals{Required: &want}
	ch.Annotations = map[string]string{otav1alpha1.ChangedByAnnotation: strings.Join(authors, "\n")}
	return ch
}

func status(n int32) *otav1alpha1.ApprovalsStatus { return &otav1alpha1.ApprovalsStatus{Required: &n} }

func lowering(from, to int32, author string, by ...string) *otav1alpha1.ApprovalsStatus {
	return &otav1alpha1.ApprovalsStatus{Required: &from, Wanted: &to, Author: author, ApprovedBy: given(by...)}
}

func TestRatchet(t *testing.T) {
	for name, tc := range map[string]struct {
		ch   *otav1alpha1.Channel
		want *otav1alpha1.ApprovalsStatus
	}{
		"none":                       {channel(0, nil), nil},
		"first":                      {channel(2, nil), status(2)},
		"up at once":                 {channel(3, status(2)), status(3)},
		"as it is":                   {channel(2, status(2)), status(2)},
		"down, not yet":              {channel(0, status(2), "jane"), lowering(2, 0, "jane")},
		"down, by one of two":        {channel(0, lowering(2, 0, "jane", "lea"), "jane"), lowering(2, 0, "jane", "lea")},
		"down, by two of two":        {channel(0, lowering(2, 0, "jane", "lea", "omar"), "jane"), nil},
		"down by one step":           {channel(1, lowering(2, 1, "jane", "lea", "omar"), "jane"), status(1)},
		"approved by the author":     {channel(0, lowering(2, 0, "jane", "lea", "jane"), "jane"), lowering(2, 0, "jane", "lea")},
		"approved twice by one":      {channel(0, lowering(2, 0, "jane", "lea", "lea"), "jane"), lowering(2, 0, "jane", "lea")},
		"another number":             {channel(0, lowering(2, 1, "jane", "lea", "omar"), "jane"), lowering(2, 0, "jane")},
		"another author":             {channel(0, lowering(2, 0, "jane", "lea", "omar"), "kim"), lowering(2, 0, "kim")},
		"one author more":            {channel(0, lowering(2, 0, "jane", "lea", "omar"), "jane", "lea"), lowering(2, 0, "jane, lea")},
		"no author known":            {channel(0, lowering(2, 0, "", "lea", "omar")), lowering(2, 0, "")},
		"up again meanwhile":         {channel(2, lowering(2, 0, "jane", "lea"), "jane"), status(2)},
		"of one, by one":             {channel(0, lowering(1, 0, "jane", "lea"), "jane"), nil},
		"the spec says nothing more": {func() *otav1alpha1.Channel { c := channel(0, status(1), "jane"); c.Spec.Approvals = nil; return c }(), lowering(1, 0, "jane")},
	} {
		if diff := cmp.Diff(tc.want, Ratchet(tc.ch, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Where nothing stamps names, a number never comes into force, so that it ends with the spec. One that is in force stays.
func TestRatchet_doubt(t *testing.T) {
	const doubt = "nothing stamps them"
	for name, tc := range map[string]struct {
		ch   *otav1alpha1.Channel
		want *otav1alpha1.ApprovalsStatus
	}{
		"asked for":             {channel(2, nil, "jane"), nil},
		"asked for, then not":   {channel(0, nil, "jane"), nil},
		"more than in force":    {channel(3, status(2), "jane"), status(2)},
		"in force":              {channel(2, status(2), "jane"), status(2)},
		"lowered what in force": {channel(0, status(2), "jane"), lowering(2, 0, "jane")},
	} {
		if diff := cmp.Diff(tc.want, Ratchet(tc.ch, doubt)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if Needs(tc.ch) < wanted(tc.ch) {
			t.Errorf("%s: a release needs %d", name, Needs(tc.ch))
		}
	}
}

func TestLower(t *testing.T) {
	for name, tc := range map[string]struct {
		ch   *otav1alpha1.Channel
		to   int32
		who  Approver
		want string
	}{
		"counts":                  {channel(0, status(2), "jane"), 0, Approver{Name: "lea"}, ""},
		"nothing is lowered":      {channel(2, status(2), "jane"), 2, Approver{Name: "lea"}, "asks for no lower number"},
		"none are asked for":      {channel(0, nil, "jane"), 0, Approver{Name: "lea"}, "asks for no lower number"},
		"another number":          {channel(1, status(2), "jane"), 0, Approver{Name: "lea"}, "another number"},
		"the author":              {channel(0, status(2), "jane"), 0, Approver{Name: "jane"}, "cannot approve it"},
		"names cannot be trusted": {channel(0, status(2), "jane"), 0, Approver{Name: "lea", Doubt: "nothing stamps them"}, "nothing stamps them"},
	} {
		st, why := Lower(tc.ch, tc.to, tc.who)
		if (why == "") != (tc.want == "") || !strings.Contains(why, tc.want) {
			t.Errorf("%s: %q, want %q", name, why, tc.want)
		}
		if want := Ratchet(tc.ch, ""); why != "" && !cmp.Equal(want, st) {
			t.Errorf("%s: refused, but the status is %s", name, cmp.Diff(want, st))
		}
		if why == "" && !cmp.Equal(People(st.ApprovedBy), []string{tc.who.Name}) {
			t.Errorf("%s: approved by %v", name, st.ApprovedBy)
		}
	}
}

// lowered is what a person approves: a number that some authors ask for.
type lowered struct {
	to      int32
	authors string
}

// TestRatchet_property: whatever people do, the number in force rises at once, and falls only when as many of them as it was, none of
// whom had asked for the lower number, approved it.
func TestRatchet_property(t *testing.T) {
	people := []string{"ann", "ben", "cid", "dora"}
	rapid.Check(t, func(t *rapid.T) {
		ch := channel(0, nil, "ann")
		approved := map[lowered]map[string]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			who, before := rapid.SampledFrom(people).Draw(t, "who"), inForce(ch.Status.Approvals)
			n := rapid.Int32Range(0, 3).Draw(t, "number")
			switch rapid.IntRange(0, 2).Draw(t, "does") {
			case 0:
				change(ch, n, who)
			case 1:
				st, why := Lower(ch, n, Approver{Name: who, At: now})
				if ch.Status.Approvals = st; why == "" {
					key := lowered{n, ch.Annotations[otav1alpha1.ChangedByAnnotation]}
					if approved[key] == nil {
						approved[key] = map[string]bool{}
					}
					approved[key][who] = true
				}
			case 2:
				ch.Status.Approvals = Ratchet(ch, "")
			}
			key := lowered{wanted(ch), ch.Annotations[otav1alpha1.ChangedByAnnotation]}
			if after := inForce(ch.Status.Approvals); after < before && len(approved[key]) < int(before) {
				t.Fatalf("%d became %d, approved by %v", before, after, approved[key])
			}
			if Needs(ch) < wanted(ch) || Needs(ch) < inForce(ch.Status.Approvals) {
				t.Fatalf("a release needs %d approvals, the spec asks for %d, in force are %d", Needs(ch), wanted(ch), inForce(ch.Status.Approvals))
			}
			for key, by := range approved {
				for author := range strings.SplitSeq(key.authors, "\n") {
					if by[author] {
						t.Fatalf("%s approved what they asked for: %+v", author, key)
					}
				}
			}
		}
	})
}

// change is a change of a Channel's spec, with the stamp that the API server makes.
func change(ch *otav1alpha1.Channel, n int32, who string) {
	switch authors := Authors(ch.Annotations); {
	case wanted(ch) != n:
		ch.Spec.Approvals.Required = &n
		ch.Annotations[otav1alpha1.ChangedByAnnotation] = who
	case !slices.Contains(authors, who):
		ch.Annotations[otav1alpha1.ChangedByAnnotation] += "\n" + who
	}
}
