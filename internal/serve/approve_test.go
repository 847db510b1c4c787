// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"strings"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/actor"
	"github.com/windlass-dev/windlass/internal/approval"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/release"
)

// lowering is a Channel on which two approvals are in force, and jane asks for none.
func lowering(by, args string) *otav1alpha1.Channel {
	ch := commanded("1", command.Approve, args)
	ch.Annotations[otav1alpha1.ChangedByAnnotation], ch.Annotations[otav1alpha1.RequestedByAnnotation] = "jane", by
	ch.Status.Approvals = &otav1alpha1.ApprovalsStatus{Required: new(int32(2))}
	return ch
}

func TestObey_approve(t *testing.T) {
	verified := actor.Trust{Actor: otav1alpha1.ActorVerified}
	for name, tc := range map[string]struct {
		ch    *otav1alpha1.Channel
		trust actor.Trust
		want  string // of the refusal; empty: it counts
	}{
		"counts":         {lowering("omar", "approvals=0"), verified, ""},
		"the author":     {lowering("jane", "approvals=0"), verified, "jane asked for the change"},
		"another number": {lowering("omar", "approvals=1"), verified, "another number"},
		"no number":      {lowering("omar", "all"), verified, "expected approvals=<n>"},
		"nobody":         {lowering("", "approvals=0"), verified, "nothing says who approves"},
		"doubt":          {lowering("omar", "approvals=0"), actor.Trust{Actor: otav1alpha1.ActorUnverified, Doubt: "X is not installed"}, "X is not installed"},
	} {
		st, _ := Obey(tc.ch, start, tc.trust, nil)
		if st.LastCommand.Result == otav1alpha1.CommandAccepted != (tc.want == "") || !strings.Contains(st.LastCommand.Message, tc.want) {
			t.Errorf("%s: %+v, want %q", name, st.LastCommand, tc.want)
		}
		var counted []string
		if tc.want == "" {
			counted = []string{"omar"}
		}
		if got := approval.People(st.Approvals.ApprovedBy); strings.Join(got, ",") != strings.Join(counted, ",") {
			t.Errorf("%s: approved by %v, want %v", name, got, counted)
		}
	}
}

// A floor is no way around approvals: what has not been stable waits for people.
func TestFloor_unapproved(t *testing.T) {
	for name, tc := range map[string]struct {
		required int32
		stable   *release.Bundle
		wants    bool
	}{
		"nobody is asked": {0, nil, true},
		"never released":  {1, nil, false},
		"was stable":      {1, Bundle(bundle(1)), true},
	} {
		f := Facts{Channel: channel(), Floor: bundle(1), Committed: &release.Document{Previous: tc.stable}, Now: start}
		f.Channel.Spec.Guards = &otav1alpha1.Guards{Floor: f.Floor.Spec.Version}
		f.Channel.Spec.Approvals = &otav1alpha1.Approvals{Required: &tc.required}
		o := Next(f)
		if got := o.Document.Guards.Floor != nil; got != tc.wants || (o.NoFloor == "") != tc.wants {
			t.Errorf("%s: served %v, want %v: %s", name, got, tc.wants, o.NoFloor)
		}
	}
}
