// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"fmt"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

// Events are all that the controller tells of.
var Events = kit.EventTable{
	kit.Normal("CommandAccepted", "Command", "a person's command was carried out", "the command, by whom, and what it did"),
	kit.Warning("CommandRefused", "Command", "a person's command was not carried out", "the command, by whom, and why"),
	kit.Normal("StableChanged", "Publish", "devices outside of a release are offered another bundle", "the version"),
	kit.Warning("BundleRefused", "Publish", "a digest came onto the list of what the channel refuses", "the version and why"),
	kit.Warning("Halted", "Publish", "devices are offered nothing any more", "why and by whom"),
	kit.Normal("Unhalted", "Publish", "devices are offered updates again", "that they are"),
}

// transitions are the events of a status change: one a transition, none for what stays as it is.
func transitions(old, now *otav1alpha1.ChannelStatus) []kit.Event {
	var out []kit.Event
	if b, a := digest(old.Stable), digest(now.Stable); a != b && now.Published != nil && old.Published != nil {
		out = append(out, aboutServed(now.Stable, Events.New("StableChanged", "serving "+stableVersion(*now))))
	}
	for _, r := range now.Refused {
		if !isRefused(*old, r.Digest) {
			e := Events.New("BundleRefused", fmt.Sprintf("%s is refused: %s", r.Version, r.Reason))
			e.Version, e.Digest = r.Version, r.Digest
			out = append(out, e)
		}
	}
	out = append(out, commandEvents(old.LastCommand, now.LastCommand)...)
	was := apimeta.IsStatusConditionFalse(old.Conditions, otav1alpha1.ServingCondition)
	is := apimeta.FindStatusCondition(now.Conditions, otav1alpha1.ServingCondition)
	halted := apimeta.IsStatusConditionFalse(now.Conditions, otav1alpha1.ServingCondition)
	if halted && !was {
		out = append(out, Events.New("Halted", "no device is offered anything"+because(is.Message)))
	}
	if was && !halted {
		out = append(out, Events.New("Unhalted", "devices are served again"))
	}
	return out
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// commandEvents tell what became of a command.
func commandEvents(old, now *otav1alpha1.CommandStatus) []kit.Event {
	if now == nil || old != nil && old.ID == now.ID {
		return nil
	}
	reason := "CommandAccepted"
	if now.Result == otav1alpha1.CommandRefused {
		reason = "CommandRefused"
	}
	return []kit.Event{Events.New(reason, now.Name+" by "+now.By+because(now.Message)).Asked(now.By, now.Actor)}
}

func aboutServed(b *otav1alpha1.ServedBundle, e kit.Event) kit.Event {
	if b == nil {
		return e
	}
	return e.About(b.Bundle, b.Version, b.Digest)
}

func digest(b *otav1alpha1.ServedBundle) otav1alpha1.Digest {
	if b == nil {
		return ""
	}
	return b.Digest
}
