// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// note is one transition, for people who watch.
type note struct{ kind, reason, action, text string }

// transitions are the events of a status change: one a transition, none for what stays as it is.
func transitions(old, now *otav1alpha1.ChannelStatus) []note {
	var out []note
	if b, a := digest(old.Stable), digest(now.Stable); a != b && now.Published != nil && old.Published != nil {
		out = append(out, note{corev1.EventTypeNormal, "StableChanged", "Publish", "serving " + stableVersion(*now)})
	}
	for _, r := range now.Refused {
		if !isRefused(*old, r.Digest) {
			out = append(out, note{corev1.EventTypeWarning, "BundleRefused", "Publish", fmt.Sprintf("%s is refused: %s", r.Version, r.Reason)})
		}
	}
	out = append(out, commandNotes(old.LastCommand, now.LastCommand)...)
	was := apimeta.IsStatusConditionFalse(old.Conditions, otav1alpha1.ServingCondition)
	is := apimeta.IsStatusConditionFalse(now.Conditions, otav1alpha1.ServingCondition)
	if is && !was {
		out = append(out, note{corev1.EventTypeWarning, "Halted", "Publish", "no device is offered anything"})
	}
	if was && !is {
		out = append(out, note{corev1.EventTypeNormal, "Unhalted", "Publish", "devices are served again"})
	}
	return out
}

// commandNotes tell what became of a command.
func commandNotes(old, now *otav1alpha1.CommandStatus) []note {
	switch {
	case now == nil || old != nil && old.ID == now.ID:
		return nil
	case now.Result == otav1alpha1.CommandRefused:
		return []note{{corev1.EventTypeWarning, "CommandRefused", "Command", now.Name + " by " + now.By + ": " + now.Message}}
	}
	return []note{{corev1.EventTypeWarning, "CommandAccepted", "Command", now.Name + " by " + now.By}}
}

func digest(b *otav1alpha1.ServedBundle) otav1alpha1.Digest {
	if b == nil {
		return ""
	}
	return b.Digest
}
