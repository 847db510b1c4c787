// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"cmp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/release"
)

// remember puts into the document what must not get lost with a status: who halted the channel, and which command was the last.
func remember(d *release.Document, st *otav1alpha1.ChannelStatus) {
	d.Halt = nil
	if h := st.Halt; h != nil {
		d.Halt = &release.Halt{Reason: h.Reason, By: h.By, Actor: string(h.Actor)}
		if h.At != nil {
			d.Halt.At = h.At.Unix()
		}
	}
	if st.LastCommand != nil {
		d.LastCommand = st.LastCommand.ID
	}
}

// Fresh tells whether a Channel has no status of its own: it is new, or was restored without. It was never published as far as it knows,
// and has dealt with no command. Its commands wait until the committed document is known.
func Fresh(ch *otav1alpha1.Channel) bool {
	return ch.Status.Published == nil && ch.Status.LastCommand == nil
}

// Recall takes back into the status of a fresh Channel what the committed document remembers. Nil: there is nothing. A halt goes on, and
// a command that was dealt with is not dealt with again.
func Recall(ch *otav1alpha1.Channel, committed *release.Document) *otav1alpha1.ChannelStatus {
	if committed == nil || committed.LastCommand == "" || !Fresh(ch) {
		return nil
	}
	st := ch.Status.DeepCopy()
	st.LastCommand = &otav1alpha1.CommandStatus{ID: committed.LastCommand}
	if h := committed.Halt; h != nil {
		st.Halt = &otav1alpha1.Halt{Reason: h.Reason, By: cmp.Or(h.By, command.Unverified), Actor: otav1alpha1.Actor(h.Actor)}
		if h.At != 0 {
			st.Halt.At = &metav1.Time{Time: time.Unix(h.At, 0).UTC()}
		}
	}
	return st
}
