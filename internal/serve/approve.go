// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"errors"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/approval"
	"github.com/windlass-dev/windlass/internal/command"
)

// approve notes that a person approves a lower number of approvals. Whether that is enough, approval.Ratchet says.
func approve(o *order) error {
	n, err := command.ParseApprovals(o.Args)
	if err != nil {
		return badArgs(err)
	}
	who := approval.Approver{Name: o.By, Doubt: o.doubt, At: o.at.Time}
	if o.Actor != otav1alpha1.ActorVerified {
		who.Name = ""
	}
	st, why := approval.Lower(o.channel, n, who)
	if why != "" {
		return errors.New(why)
	}
	o.status.Approvals = st
	return nil
}

// unapproved says why a Bundle must not reach devices but by a Rollout, where people approve what devices get. Empty: nobody has to, or it
// has been stable here.
func (f Facts) unapproved(b *otav1alpha1.Bundle) string {
	if approval.Needs(f.Channel) == 0 || f.Committed != nil && beenStable(f, string(b.Spec.Digest)) {
		return ""
	}
	return "the Channel asks for approvals, and it has not been stable here: release it with a Rollout first"
}
