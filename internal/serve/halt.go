// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"errors"
	"strings"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/command"
)

// halt stops a channel until a person, and not Git, lets it go on.
func halt(o *order) error {
	reason, err := command.ParseReason(o.Args)
	if err != nil {
		return badArgs(err)
	}
	o.status.Halt = &otav1alpha1.Halt{Reason: reason, By: o.By, Actor: o.Actor, At: o.at}
	return nil
}

// unhalt lifts what halt asked for. What Git or the Repository stops, it does not let go on.
func unhalt(o *order) error {
	_, err := command.ParseReason(o.Args)
	switch {
	case err != nil:
		return badArgs(err)
	case o.status.Halt == nil && o.channel.Spec.Serving == otav1alpha1.ServingHalted:
		return errors.New("spec.serving is Halted, which is Git's own stop: set it to Active there")
	case o.status.Halt == nil:
		return errors.New("nobody has halted this Channel by command; condition Serving says what stops it, if it is stopped")
	}
	o.status.Halt = nil
	return nil
}

// Halted says what stops a channel: its spec, a person, or a person who stopped its whole Repository (nil: unknown). Empty: nothing
// does.
func Halted(ch *otav1alpha1.Channel, repository *otav1alpha1.Repository) string {
	var why []string
	if ch.Spec.Serving == otav1alpha1.ServingHalted {
		why = append(why, "spec.serving is Halted")
	}
	if h := ch.Status.Halt; h != nil {
		why = append(why, "halted by "+h.By+": "+h.Reason)
	}
	if repository != nil && repository.Status.Halt != nil {
		h := repository.Status.Halt
		why = append(why, "Repository "+repository.Name+" is halted by "+h.By+": "+h.Reason)
	}
	return strings.Join(why, "; ")
}
