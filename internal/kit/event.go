// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package kit

import (
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// maxNote keeps notes within what the API server takes (1024 bytes) and within a PendingRecord's message.
const maxNote = 1000

// Event is one transition: a Kubernetes event for people who watch, and a record of the audit log.
type Event struct {
	Type   string // corev1.EventTypeNormal or corev1.EventTypeWarning
	Reason string // a row of the controller's EventTable
	Action string // in one word: Start, Advance, Rollback
	Note   string // a sentence; it holds no secret

	By    string            // who asked for it; empty: the manager decided by itself
	Actor otav1alpha1.Actor // how far By can be relied on

	// What the transition is about and rests on, as far as there is any.
	Bundle             string
	Version            otav1alpha1.Version
	Digest             otav1alpha1.Digest
	Weight             otav1alpha1.Percent
	Evidence           []string // a sentence a metric
	Candidate, Control *otav1alpha1.ArmCounts
}

// Asked is the event with who asked for it.
func (e Event) Asked(by string, actor otav1alpha1.Actor) Event {
	e.By, e.Actor = by, actor
	return e
}

// About is the event with the bundle that it is about.
func (e Event) About(bundle string, version otav1alpha1.Version, digest otav1alpha1.Digest) Event {
	e.Bundle, e.Version, e.Digest = bundle, version, digest
	return e
}

// EventKind is a row of an EventTable: what a controller tells of, and when.
type EventKind struct {
	Reason string // PascalCase; equal to the reason of a condition where there is one
	Type   string // Normal or Warning
	Action string
	When   string // in words, for docs/events.md
	Says   string // what the note says, for docs/events.md
}

// Normal is a row of what goes as it should.
func Normal(reason, action, when, says string) EventKind {
	return EventKind{Reason: reason, Type: corev1.EventTypeNormal, Action: action, When: when, Says: says}
}

// Warning is a row of what people should look at.
func Warning(reason, action, when, says string) EventKind {
	return EventKind{Reason: reason, Type: corev1.EventTypeWarning, Action: action, When: when, Says: says}
}

// EventTable is all that a controller tells of. docs/events.md is generated from it.
type EventTable []EventKind

// Find gives the row of a reason.
func (t EventTable) Find(reason string) (EventKind, bool) {
	for _, k := range t {
		if k.Reason == reason {
			return k, true
		}
	}
	return EventKind{}, false
}

// New is the event of a reason. One that is not in the table is a warning: a test holds that there is none (test/api).
func (t EventTable) New(reason, note string) Event {
	k, ok := t.Find(reason)
	if !ok {
		k = Warning(reason, "Reconcile", "", "")
	}
	return Event{Type: k.Type, Reason: k.Reason, Action: k.Action, Note: Clip(note, maxNote)}
}

// Tell makes the Kubernetes events of transitions. It is called once the status write that they are in has succeeded.
func Tell(recorder events.EventRecorder, about runtime.Object, told []Event) {
	for _, e := range told {
		recorder.Eventf(about, nil, e.Type, e.Reason, e.Action, "%s", e.Note)
	}
}

// Changed gives a condition whose status or reason is another now, else nil.
func Changed(old, now []metav1.Condition, kind string) *metav1.Condition {
	was, is := apimeta.FindStatusCondition(old, kind), apimeta.FindStatusCondition(now, kind)
	if is != nil && was != nil && was.Status == is.Status && was.Reason == is.Reason {
		return nil
	}
	return is
}

// CommandEvents tell what became of a command: CommandAccepted or CommandRefused, which the table has to have.
func CommandEvents(t EventTable, old, now *otav1alpha1.CommandStatus) []Event {
	if now == nil || old != nil && old.ID == now.ID {
		return nil
	}
	reason, note := "CommandAccepted", now.Name+" by "+now.By
	if now.Result == otav1alpha1.CommandRefused {
		reason = "CommandRefused"
	}
	if now.Message != "" {
		note += ": " + now.Message
	}
	return []Event{t.New(reason, note).Asked(now.By, now.Actor)}
}
