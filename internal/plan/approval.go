// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/approval"
)

// doubtPatience is how soon to look again whether names of people can be relied on.
const doubtPatience = time.Minute

// Approvals say who has to approve a release. The zero Approvals ask for nobody.
type Approvals struct {
	approval.Rule

	Required int32 // in force on the Channel
}

// approved is what counts of the approvals that were given, for a digest. Another digest, or another author, makes them void.
func (a Approvals) approved(was *otav1alpha1.ReleaseApproval, digest string) *otav1alpha1.ReleaseApproval {
	if a.Required == 0 || digest == "" {
		return nil
	}
	out := &otav1alpha1.ReleaseApproval{Digest: otav1alpha1.Digest(digest), Author: a.Author(), Required: new(a.Required)}
	if was != nil && was.Digest == out.Digest && was.Author == out.Author {
		out.ApprovedBy = a.Counting(was.ApprovedBy)
	}
	return out
}

// unapproved holds a release until enough people have approved its digest.
func unapproved(d *Decision, f Facts) bool {
	a, r := f.Approvals, &d.Release
	r.Approval = a.approved(r.Approval, r.Digest)
	if a.Required == 0 {
		return false
	}
	people := approval.People(r.Approval.ApprovedBy)
	switch {
	case a.Doubt != "":
		hold(d, otav1alpha1.WaitingForApprovalReason, "approvals cannot be relied on: "+a.Doubt)
		d.RequeueAfter = doubtPatience
	case len(a.Authors) == 0:
		hold(d, otav1alpha1.WaitingForApprovalReason, "nobody knows who asked for "+r.Bundle+", and must not approve it: it was before the API server wrote "+
			"that down; make the Rollout anew, or name another bundle and then this one again")
	case len(people) >= int(a.Required):
		return false
	default:
		text := fmt.Sprintf("%s has %d of %d approvals", r.Bundle, len(people), a.Required)
		if len(people) > 0 {
			text += " (" + strings.Join(people, ", ") + ")"
		}
		hold(d, otav1alpha1.WaitingForApprovalReason, text+": others than "+a.Author()+", who asked for it, approve it with kubectl windlass approve NAME")
	}
	return true
}

// commandApprove notes that a person approves the digest that waits.
func commandApprove(d *Decision, f Facts) string {
	a, r, digest := f.Approvals, &d.Release, f.Bundle.Digest // which the release adopts in this pass
	switch {
	case r.State != otav1alpha1.ReleasePending:
		return notNow(*r, "waits to start", "")
	case a.Required == 0:
		return "the channel asks for no approvals"
	case digest == "":
		return "Bundle " + r.Bundle + " does not exist yet: approve it once it does"
	case f.Command.Args != digest:
		return fmt.Sprintf("the release is of %s, not of %.80q: look at what is asked for now, and approve that", digest, f.Command.Args)
	}
	if why := a.Refusal(f.Command.By); why != "" {
		return why
	}
	r.Approval = a.approved(r.Approval, digest)
	r.Approval.ApprovedBy = approval.Add(r.Approval.ApprovedBy, f.Command.By, f.Now)
	return ""
}
