// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"fmt"

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
	if c := changed(old, now, otav1alpha1.SigningReadyCondition); c != nil && c.Status == metav1.ConditionTrue && c.Reason == otav1alpha1.RootSignatureNeededReason {
		out = append(out, notice{corev1.EventTypeWarning, c.Reason, "Sign", c.Message})
	}
	if is, was := now.Status.Metadata, old.Status.Metadata; is != nil && was != nil && is.RootVersion > was.RootVersion {
		out = append(out, notice{corev1.EventTypeNormal, "RootPublished", "Sign", fmt.Sprintf("version %d of the root of trust is published", is.RootVersion)})
	}
	out = append(out, floorNotices(old, now)...)
	out = append(out, ageNotices(old, now)...)
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

// floorNotices tell of floors that were published, and of those that were not.
func floorNotices(old, now *otav1alpha1.Repository) (out []notice) {
	before := map[otav1alpha1.AppID]otav1alpha1.Version{}
	for _, f := range old.Status.Floors {
		before[f.App] = f.MinVersion
	}
	for _, f := range now.Status.Floors {
		if before[f.App] != f.MinVersion {
			out = append(out, notice{corev1.EventTypeWarning, "FloorRaised", "Withdraw",
				fmt.Sprintf("no version of app %s below %s is offered any more", f.App, f.MinVersion)})
		}
	}
	if c := changed(old, now, otav1alpha1.FloorsPublishedCondition); c != nil && c.Status == metav1.ConditionFalse {
		out = append(out, notice{corev1.EventTypeWarning, c.Reason, "Withdraw", c.Message})
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
