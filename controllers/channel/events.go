// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"fmt"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/serve"
)

// Events are all that the controller tells of.
var Events = kit.EventTable{
	kit.Normal("CommandAccepted", "Command", "a person's command was carried out", "the command, by whom, and what it did"),
	kit.Warning("CommandRefused", "Command", "a person's command was not carried out", "the command, by whom, and why"),
	kit.Normal("StableChanged", "Publish", "devices outside of a release are offered another bundle", "the version"),
	kit.Warning("BundleRefused", "Publish", "a digest came onto the list of what the channel refuses", "the version and why"),
	kit.Warning("Halted", "Publish", "devices are offered nothing any more", "why and by whom"),
	kit.Normal("Unhalted", "Publish", "devices are offered updates again", "that they are"),
	kit.Warning("Deleted", "Delete", "the Channel is gone, and devices are offered nothing from it", "that it is"),
}

// transitions are the events of a status change: one a transition, none for what stays as it is.
func transitions(old, now *otav1alpha1.ChannelStatus) []kit.Event {
	var out []kit.Event
	if b, a := digest(old.Stable), digest(now.Stable); a != b && now.Published != nil && old.Published != nil {
		out = append(out, aboutServed(now.Stable, Events.New("StableChanged", "serving "+stableVersion(*now))))
	}
	for _, r := range now.Refused {
		if !isRefused(*old, r.Digest) {
			out = append(out, refusal(r, now.Rollback))
		}
	}
	if c := now.LastCommand; c != nil && c.Result != "" { // else it was told before the status was lost
		out = append(out, kit.CommandEvents(Events, old.LastCommand, c)...)
	}
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

// refusal is the event of a digest that came onto the list. A person refuses by a rollback.
func refusal(x otav1alpha1.RefusedBundle, r *otav1alpha1.ChannelRollback) kit.Event {
	text := fmt.Sprintf("%s is refused: %s", x.Version, x.Reason)
	by, person := strings.CutPrefix(x.By, serve.ByUser)
	if person {
		text = fmt.Sprintf("%s is rolled back by %s: %s", x.Version, by, x.Reason)
	}
	e := Events.New("BundleRefused", text)
	e.Version, e.Digest = x.Version, x.Digest
	if person && r != nil {
		return e.Asked(by, r.Actor)
	}
	return e
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
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
