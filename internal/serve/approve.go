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
