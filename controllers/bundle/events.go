// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// notice is one transition, for people who watch.
type notice struct{ kind, reason, action, note string }

// transitions are the events of a changed status: one a transition, none for what stays as it is.
func transitions(old, now *otav1alpha1.Bundle) []notice {
	if c := changed(old, now, otav1alpha1.ReconcilingCondition); c != nil && c.Reason == otav1alpha1.InUseReason {
		return []notice{inUseEvent(c)}
	}
	c := changed(old, now, otav1alpha1.ReadyCondition)
	switch {
	case c == nil:
		return nil
	case c.Status == metav1.ConditionTrue:
		return []notice{readyEvent(c)}
	case c.Reason == otav1alpha1.ArtifactLostReason:
		return []notice{lostEvent(c)}
	case c.Status == metav1.ConditionFalse:
		return []notice{failedEvent(c)}
	}
	return nil
}

// changed gives a condition whose status or reason is another now, else nil.
func changed(old, now *otav1alpha1.Bundle, kind string) *metav1.Condition {
	was := apimeta.FindStatusCondition(old.Status.Conditions, kind)
	is := apimeta.FindStatusCondition(now.Status.Conditions, kind)
	if is != nil && was != nil && was.Status == is.Status && was.Reason == is.Reason {
		return nil
	}
	return is
}

// readyEvent: the artifact is verified and stored, or found in order again.
func readyEvent(c *metav1.Condition) notice {
	return notice{corev1.EventTypeNormal, "BundleReady", "Store", c.Message}
}

// lossEvents: somebody no longer vouches for the Bundle.
func lossEvents(losses []string) []notice {
	if len(losses) == 0 {
		return nil
	}
	return []notice{{corev1.EventTypeWarning, "TrustLost", "Verify", strings.Join(losses, "; ")}}
}

// inUseEvent: a deletion has to wait.
func inUseEvent(c *metav1.Condition) notice {
	return notice{corev1.EventTypeWarning, c.Reason, "Delete", c.Message}
}

// lostEvent: the bucket no longer has the artifact.
func lostEvent(c *metav1.Condition) notice {
	return notice{corev1.EventTypeWarning, c.Reason, "Check", c.Message}
}

// failedEvent: the artifact was refused or could not be taken in; the reason is that of the condition.
func failedEvent(c *metav1.Condition) notice {
	action := map[string]string{
		otav1alpha1.FetchFailedReason: "Fetch", otav1alpha1.SourceNotFoundReason: "Fetch", otav1alpha1.SourceAccessDeniedReason: "Fetch",
		otav1alpha1.CredentialsNotAllowedReason: "Fetch",
		otav1alpha1.AddressDeniedReason:         "Fetch", otav1alpha1.TooLargeReason: "Fetch", otav1alpha1.DigestMismatchReason: "Fetch", otav1alpha1.SignatureInvalidReason: "Verify",
		otav1alpha1.SignatureUnreadableReason: "Verify", otav1alpha1.ChecksumMismatchReason: "Verify",
		otav1alpha1.EncryptionInvalidReason: "Verify", otav1alpha1.ArchiveInvalidReason: "Inspect", otav1alpha1.AttestationInvalidReason: "Inspect",
		otav1alpha1.RevokedReason: "Revoke",
	}[c.Reason]
	if action == "" {
		action = "Reconcile"
	}
	return notice{corev1.EventTypeWarning, c.Reason, action, c.Message}
}
