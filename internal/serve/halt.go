// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/actor"
	"github.com/windlass-dev/windlass/internal/command"
)

// stop is the halt that a command asks for.
func stop(g command.Given, at *metav1.Time) (*otav1alpha1.Halt, error) {
	reason, err := command.ParseReason(g.Args)
	if err != nil {
		return nil, badArgs(err)
	}
	return &otav1alpha1.Halt{Reason: reason, By: g.By, Actor: g.Actor, At: at}, nil
}

// halt stops a channel until a person, and not Git, lets it go on.
func halt(o *order) (err error) {
	o.status.Halt, err = stop(o.Given, o.at)
	return err
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

// ObeyRepository carries out the command that the annotations of a Repository give, as Obey does for a Channel.
func ObeyRepository(r *otav1alpha1.Repository, now time.Time, trust actor.Trust) *otav1alpha1.RepositoryStatus {
	given := command.Read(r.Annotations, r.Status.LastCommand)
	if given == nil {
		return nil
	}
	attribute(given, trust)
	st := r.Status.DeepCopy()
	refusal := obeyRepository(r, st, *given, second(now))
	if refusal != nil {
		st = r.Status.DeepCopy()
	}
	st.LastCommand = given.Status(now, refusal)
	return st
}

func obeyRepository(r *otav1alpha1.Repository, st *otav1alpha1.RepositoryStatus, g command.Given, at *metav1.Time) (err error) {
	switch g.Name {
	case command.Halt:
		st.Halt, err = stop(g, at)
	case command.Unhalt:
		if _, err = command.ParseReason(g.Args); err != nil {
			return badArgs(err)
		}
		if st.Halt == nil {
			return fmt.Errorf("nobody has halted Repository %s", r.Name)
		}
		st.Halt = nil
	default:
		err = fmt.Errorf("a Repository knows the commands %s and %s, not %s", command.Halt, command.Unhalt, g.Name)
	}
	return err
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
