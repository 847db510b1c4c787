// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package approval holds the rules of asking more than one person: whose approvals count for a release, and for a lower number of
// approvals. They are pure. Stops ask nobody.
package approval

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Bounds of the API.
const (
	maxPeople = 8
	maxName   = 256
)

// Rule says whose approvals count.
type Rule struct {
	Authors []string // of the change, who do not; empty: nobody knows who they are, and nobody counts
	Doubt   string   // why names of people cannot be relied on, and what to install; empty: they can
}

// Authors are the people who asked for what is to be approved, as the API server stamped them: see config/policy/stamp.yaml.
func Authors(annotations map[string]string) []string {
	var out []string
	for name := range strings.SplitSeq(annotations[otav1alpha1.ChangedByAnnotation], "\n") {
		if name = clip(name); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// Author is the authors in one text. Approvals are void when it is another.
func (r Rule) Author() string { return clip(strings.Join(r.Authors, ", ")) }

// Refusal says why the approval of a person does not count; empty: it does.
func (r Rule) Refusal(name string) string {
	switch {
	case r.Doubt != "":
		return "approvals cannot be relied on: " + r.Doubt
	case name == "" || strings.ContainsAny(name, "\r\n"):
		return "nothing says who approves: the command bears no name that the API server stamped"
	case len(r.Authors) == 0:
		return "nobody knows who asked for the change, and must not approve it: it was made before the API server wrote that down"
	case slices.Contains(r.Authors, name):
		return name + " asked for the change, and cannot approve it: somebody else has to"
	}
	return ""
}

// Counting are those of the approvals that count: each person once, and no author. Names that were relied on then still are.
func (r Rule) Counting(given []otav1alpha1.Approval) []otav1alpha1.Approval {
	var out []otav1alpha1.Approval
	for _, a := range given {
		if a.Actor == otav1alpha1.ActorVerified && len(r.Authors) > 0 && !slices.Contains(r.Authors, a.By) && !slices.Contains(People(out), a.By) {
			out = append(out, a)
		}
	}
	return out
}

// Add notes one more approval, which no Refusal speaks against. Nobody counts twice.
func Add(given []otav1alpha1.Approval, name string, at time.Time) []otav1alpha1.Approval {
	if slices.Contains(People(given), name) || len(given) >= maxPeople {
		return given
	}
	return append(slices.Clone(given), otav1alpha1.Approval{
		By: name, Actor: otav1alpha1.ActorVerified, At: &metav1.Time{Time: at.UTC().Truncate(time.Second)},
	})
}

// People are the names of those who approved.
func People(given []otav1alpha1.Approval) []string {
	out := make([]string, 0, len(given))
	for _, a := range given {
		out = append(out, a.By)
	}
	return out
}

// Needs tells how many approvals a release on a Channel needs: what its spec asks for, and no less than what is in force.
func Needs(ch *otav1alpha1.Channel) int32 {
	return max(wanted(ch), inForce(ch.Status.Approvals))
}

// Rises tells whether a Channel asks for more approvals than are in force.
func Rises(ch *otav1alpha1.Channel) bool { return wanted(ch) > inForce(ch.Status.Approvals) }

// Ratchet moves the number in force of a Channel: up at once, and down when as many people as it asks for, other than the authors of the
// lowering, have approved the lower number. Nil: none is in force. Where names cannot be relied on (doubt says why), nobody could ever
// approve a lower number: it does not rise, and what the spec asks for ends with the spec.
func Ratchet(ch *otav1alpha1.Channel, doubt string) *otav1alpha1.ApprovalsStatus {
	want, old := wanted(ch), ch.Status.Approvals
	now := inForce(old)
	switch {
	case want > now && doubt != "":
		return settled(now)
	case want >= now:
		return settled(want)
	}
	rule := Rule{Authors: Authors(ch.Annotations)}
	out := &otav1alpha1.ApprovalsStatus{Required: new(now), Wanted: new(want), Author: rule.Author()}
	if old.Wanted != nil && *old.Wanted == want && old.Author == out.Author {
		out.ApprovedBy = rule.Counting(old.ApprovedBy)
	}
	if len(out.ApprovedBy) >= int(now) {
		return settled(want)
	}
	return out
}

// Approver is a person who approves.
type Approver struct {
	Name  string
	Doubt string // see Rule
	At    time.Time
}

// Lower notes that a person approves a lower number, for the next Ratchet. Else it says why that does not count.
func Lower(ch *otav1alpha1.Channel, to int32, who Approver) (*otav1alpha1.ApprovalsStatus, string) {
	st := Ratchet(ch, who.Doubt)
	rule := Rule{Authors: Authors(ch.Annotations), Doubt: who.Doubt}
	switch {
	case st == nil || st.Wanted == nil:
		return st, "spec.approvals.required asks for no lower number than is in force: lower it first"
	case *st.Wanted != to:
		return st, "this approves another number than spec.approvals.required asks for: look at what is asked for now, and approve that"
	}
	if why := rule.Refusal(who.Name); why != "" {
		return st, why
	}
	out := st.DeepCopy()
	out.ApprovedBy = Add(out.ApprovedBy, who.Name, who.At)
	return out, ""
}

func settled(n int32) *otav1alpha1.ApprovalsStatus {
	if n == 0 {
		return nil
	}
	return &otav1alpha1.ApprovalsStatus{Required: new(n)}
}

func wanted(ch *otav1alpha1.Channel) int32 {
	if a := ch.Spec.Approvals; a != nil && a.Required != nil {
		return *a.Required
	}
	return 0
}

func inForce(st *otav1alpha1.ApprovalsStatus) int32 {
	if st == nil || st.Required == nil {
		return 0
	}
	return *st.Required
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxName)], "") }
