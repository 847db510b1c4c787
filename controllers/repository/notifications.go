// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/notify"
)

// failingAfter is for how long a receiver may take nothing before people are told.
const failingAfter = 5 * time.Minute

// notifications puts into the status how far each receiver is, and gives the time until that has to be looked at again.
func (r *Reconciler) notifications(s *scope) time.Duration {
	st := &s.repo.Status
	old := st.Notifications
	st.Notifications = nil
	for _, n := range s.repo.Spec.Notifications {
		if entry, ok := r.receiver(s, n.Name, old); ok {
			st.Notifications = append(st.Notifications, entry)
		}
	}
	return s.judgeReceivers(r.Now())
}

// receiver gives the entry of a receiver: what the dispatcher knows, else what status says. A new one begins at the end of the log;
// it has no entry before that is known.
func (r *Reconciler) receiver(s *scope, name string, old []otav1alpha1.NotificationStatus) (otav1alpha1.NotificationStatus, bool) {
	if r.Notifier != nil {
		if state, ok := r.Notifier.State(s.key(), name); ok {
			return receiverStatus(name, state), true
		}
	}
	for _, entry := range old {
		if entry.Name == name {
			return entry, true
		}
	}
	if r.Notifier != nil {
		if head, ok := r.Notifier.Head(s.key()); ok {
			return receiverStatus(name, notify.State{Delivered: head}), true
		}
	}
	return otav1alpha1.NotificationStatus{}, false
}

// receiverStatus is the state of a receiver as status has it; its inverse is receiverState.
func receiverStatus(name string, state notify.State) otav1alpha1.NotificationStatus {
	out := otav1alpha1.NotificationStatus{Name: name, Delivered: &state.Delivered, Message: kit.Clip(state.Message, 512)}
	if !state.Since.IsZero() {
		out.Since = seconds(state.Since)
	}
	return out
}

func receiverState(entry otav1alpha1.NotificationStatus) notify.State {
	out := notify.State{Message: entry.Message}
	if entry.Delivered != nil {
		out.Delivered = *entry.Delivered
	}
	if entry.Since != nil {
		out.Since = entry.Since.Time
	}
	return out
}

// judgeReceivers sets the condition of the receivers, and gives the time until one of them has failed for too long.
func (s *scope) judgeReceivers(now time.Time) (after time.Duration) {
	if len(s.repo.Spec.Notifications) == 0 {
		apimeta.RemoveStatusCondition(&s.repo.Status.Conditions, otav1alpha1.NotificationsDeliveredCondition)
		return 0
	}
	var failing []string
	for _, n := range s.repo.Status.Notifications {
		if n.Since == nil {
			continue
		}
		if left := failingAfter - now.Sub(n.Since.Time); left > 0 {
			after = kit.Soonest(after, left)
			continue
		}
		failing = append(failing, n.Name+": "+n.Message)
	}
	if len(failing) == 0 {
		s.set(otav1alpha1.NotificationsDeliveredCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason, "")
		return after
	}
	s.set(otav1alpha1.NotificationsDeliveredCondition, metav1.ConditionFalse, otav1alpha1.NotificationFailingReason, strings.Join(failing, "; "))
	return after
}

// serve lets the dispatcher know what was written: a receiver that no status tells of gets nothing yet.
func (r *Reconciler) serve(s *scope) {
	if r.Notifier == nil {
		return
	}
	var receivers []notify.Receiver
	var known []notify.State
	for _, n := range s.repo.Spec.Notifications {
		for _, entry := range s.repo.Status.Notifications {
			if entry.Name == n.Name {
				receivers = append(receivers, notify.Receiver{Name: n.Name, URL: n.URL, Secret: n.SecretRef.Name, Actions: n.Actions})
				known = append(known, receiverState(entry))
			}
		}
	}
	r.Notifier.Serve(s.key(), receivers, known)
}

// forsake ends deliveries for a Repository that is gone.
func (r *Reconciler) forsake(repository types.NamespacedName) {
	if r.Notifier != nil {
		r.Notifier.Serve(repository, nil, nil)
	}
}

// receiverEvents tell of receivers that have begun to fail for long, or to take notifications again.
func receiverEvents(old, now *otav1alpha1.Repository) []kit.Event {
	c := kit.Changed(old.Status.Conditions, now.Status.Conditions, otav1alpha1.NotificationsDeliveredCondition)
	switch {
	case c == nil:
		return nil
	case c.Status == metav1.ConditionFalse:
		return []kit.Event{Events.New(c.Reason, c.Message)}
	case apimeta.IsStatusConditionFalse(old.Status.Conditions, c.Type):
		return []kit.Event{Events.New("NotificationsResumed", "all receivers take notifications again")}
	}
	return nil
}
