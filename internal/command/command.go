// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package command is what people ask for outside Git: the annotations that carry a command, and the arguments of each. Who writes
// commands and who carries them out read them here, so that both mean the same. It is pure.
package command

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Commands of a Rollout. An optional reason is the argument of all but Approve, which takes the digest that is approved.
const (
	Promote     = "promote"
	PromoteFull = "promote-full"
	Pause       = "pause"
	Resume      = "resume"
	Abort       = "abort"
	Retry       = "retry"
)

// Commands of a Channel; Halt and Unhalt also of a Repository.
const (
	Halt     = "halt"     // ParseReason
	Unhalt   = "unhalt"   // ParseReason
	Rollback = "rollback" // ParseRollback
	Allow    = "allow"    // ParseAllowed
	Override = "override" // ParseOverride
)

// Approve is a command of a Rollout (ParseDigest) and of a Channel (ParseApprovals).
const Approve = "approve"

// verbs are what commands need on the Channel, or on the Repository, by the kind of the object that is given them. The policy
// config/policy/authority.yaml asks for the same.
var verbs = map[string]map[string]string{
	"Rollout": {
		Promote: "promote", PromoteFull: "promote", Resume: "promote", Pause: "halt", Abort: "rollback", Retry: "allow", Approve: "approve",
	},
	"Channel":    {Halt: "halt", Unhalt: "unhalt", Rollback: "rollback", Allow: "allow", Override: "override", Approve: "approve"},
	"Repository": {Halt: "halt", Unhalt: "unhalt"},
}

// Verb is what a command to an object of a kind needs on the Channel, or on the Repository. Empty: the kind knows no such command.
func Verb(kind, name string) string { return verbs[kind][name] }

// Unverified is who gave a command when nothing says so.
const Unverified = "unverified"

// Bounds of a command, as the API has them; in bytes.
const (
	maxID      = 128
	maxName    = 32
	maxBy      = 256
	maxMessage = 512
)

// Given is a command that the annotations of an object give.
type Given struct {
	ID   string
	Name string
	Args string // not clipped: parsers bound it
	By   string // empty: nothing says who

	Actor otav1alpha1.Actor // how far By can be relied on (internal/actor): who reads a command asks, and fills it in
}

// Read gives the command of an object's annotations. Nil: there is none, or last says that it was acted upon.
func Read(annotations map[string]string, last *otav1alpha1.CommandStatus) *Given {
	g := Given{
		ID:   clip(annotations[otav1alpha1.CommandIDAnnotation], maxID),
		Name: clip(annotations[otav1alpha1.CommandAnnotation], maxName),
		Args: annotations[otav1alpha1.CommandArgsAnnotation],
		By:   clip(annotations[otav1alpha1.RequestedByAnnotation], maxBy),
	}
	if g.ID == "" || g.Name == "" || last != nil && last.ID == g.ID {
		return nil
	}
	return &g
}

// Annotations are what gives the command. Who asks is not among them: admission says that. Arguments that are empty are there all the
// same, so that those of the command before do not stay.
func (g Given) Annotations() map[string]string {
	return map[string]string{
		otav1alpha1.CommandAnnotation: g.Name, otav1alpha1.CommandIDAnnotation: g.ID, otav1alpha1.CommandArgsAnnotation: g.Args,
	}
}

// Status records what became of the command: its message is what it was given, or the refusal. A nil refusal means that it is
// carried out.
func (g Given) Status(at time.Time, refusal error) *otav1alpha1.CommandStatus {
	out := &otav1alpha1.CommandStatus{
		ID: g.ID, Name: g.Name, By: g.By, Actor: g.Actor, At: &metav1.Time{Time: at.Truncate(time.Second)}, Result: otav1alpha1.CommandAccepted,
		Message: clip(g.Args, maxMessage),
	}
	if refusal != nil {
		out.Result, out.Message = otav1alpha1.CommandRefused, clip(refusal.Error(), maxMessage)
	}
	return out
}

// clip bounds a text that people write, in bytes.
func clip(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }
