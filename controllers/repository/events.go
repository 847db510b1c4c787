// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// notice is one transition, for people who watch.
type notice struct{ kind, reason, action, note string }

// transitions are the events of a changed status: one a transition, none for what stays as it is.
func transitions(old, now *otav1alpha1.Repository) []notice {
	var out []notice
	if c := changed(old, now, otav1alpha1.SigningReadyCondition); c != nil && c.Reason == otav1alpha1.KeysGeneratedReason {
		out = append(out, notice{corev1.EventTypeNormal, c.Reason, "Sign", c.Message})
	}
	if c := changed(old, now, otav1alpha1.ReconcilingCondition); c != nil && c.Reason == otav1alpha1.InUseReason {
		out = append(out, notice{corev1.EventTypeWarning, c.Reason, "Delete", c.Message})
	}
	switch c := changed(old, now, otav1alpha1.ReadyCondition); {
	case c == nil:
	case c.Status == metav1.ConditionTrue:
		out = append(out, notice{corev1.EventTypeNormal, "RepositoryReady", "Open", "the bucket is reachable and metadata is published"})
	case c.Status == metav1.ConditionFalse:
		out = append(out, notice{corev1.EventTypeWarning, c.Reason, "Open", c.Message})
	}
	return out
}

// changed gives a condition whose status or reason is another now, else nil.
func changed(old, now *otav1alpha1.Repository, kind string) *metav1.Condition {
	was := apimeta.FindStatusCondition(old.Status.Conditions, kind)
	is := apimeta.FindStatusCondition(now.Status.Conditions, kind)
	if is != nil && was != nil && was.Status == is.Status && was.Reason == is.Reason {
		return nil
	}
	return is
}
