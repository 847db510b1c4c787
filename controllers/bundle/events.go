// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

// Events are all that the controller tells of. Reasons of failures are those of Ready.
var Events = kit.EventTable{
	kit.Normal("BundleReady", "Store", "the artifact is verified, inspected and stored, or found in order again", "who signed it"),
	kit.Warning("TrustLost", "Verify", "an authority no longer vouches for the artifact", "which, and why"),
	kit.Warning(otav1alpha1.RevokedReason, "Revoke", "the Bundle must not be used any more", "why"),
	kit.Warning(otav1alpha1.ArtifactLostReason, "Check", "the bucket no longer has the artifact, which is fetched again", "what is missing"),
	kit.Normal("Deleted", "Delete", "the Bundle is gone", "what becomes of the artifact"),
	kit.Warning(otav1alpha1.InUseReason, "Delete", "a deletion waits until nothing serves the artifact", "what serves it"),

	kit.Warning(otav1alpha1.FetchFailedReason, "Fetch", "the artifact cannot be read; it is tried again", "why"),
	kit.Warning(otav1alpha1.SourceNotFoundReason, "Fetch", "the source has no such artifact", "which"),
	kit.Warning(otav1alpha1.SourceAccessDeniedReason, "Fetch", "the source refuses the credentials", "what to check"),
	kit.Warning(otav1alpha1.CredentialsNotAllowedReason, "Fetch", "the Secret is not meant for the server of the source", "who can allow it, and how"),
	kit.Warning(otav1alpha1.AddressDeniedReason, "Fetch", "the manager does not connect to the address", "what would allow it"),
	kit.Warning(otav1alpha1.TooLargeReason, "Fetch", "the artifact is larger than the limit", "both sizes"),
	kit.Warning(otav1alpha1.DigestMismatchReason, "Fetch", "the artifact is not what the spec names", "both digests"),
	kit.Warning(otav1alpha1.SignatureInvalidReason, "Verify", "no signature matches an authority", "what was tried"),
	kit.Warning(otav1alpha1.SignatureUnreadableReason, "Verify", "a signature cannot be fetched or decoded", "why"),
	kit.Warning(otav1alpha1.ChecksumMismatchReason, "Verify", "the encrypted checksum is that of another archive", "what to do"),
	kit.Warning(otav1alpha1.EncryptionInvalidReason, "Verify", "no key of the app opens the artifact", "what was tried"),
	kit.Warning(otav1alpha1.AttestationInvalidReason, "Inspect", "a statement about the artifact is not signed by an authority, or about another one", "what is wrong"),
	kit.Warning(otav1alpha1.ArchiveInvalidReason, "Inspect", "the archive is broken, or not one that devices can unpack", "what is wrong"),

	kit.Warning(otav1alpha1.InvalidSpecReason, "Reconcile", "the spec cannot be carried out", "what is wrong and what to do"),
	kit.Warning(otav1alpha1.NotSupportedYetReason, "Reconcile", "the spec asks for what this version cannot do", "what, and what to do"),
	kit.Warning(otav1alpha1.VersionConflictReason, "Reconcile", "another Bundle has the same app and version", "which"),
	kit.Warning(otav1alpha1.SecretNotFoundReason, "Reconcile", "a Secret, or a key of it, is missing", "which"),
	kit.Warning(otav1alpha1.ConfigMapNotFoundReason, "Reconcile", "a ConfigMap, or a key of it, is missing", "which"),
	kit.Warning(otav1alpha1.InvalidKeyReason, "Reconcile", "a key cannot be read or is too weak", "which, and why"),
	kit.Warning(otav1alpha1.TrustedRootInvalidReason, "Reconcile", "the trusted root of a keyless authority cannot be read", "why"),
	kit.Warning(otav1alpha1.StorageUnreachableReason, "Store", "the object store does not answer; it is tried again", "why"),
	kit.Warning(otav1alpha1.StorageAccessDeniedReason, "Store", "the object store refuses the credentials", "what to check"),
	kit.Warning(otav1alpha1.BucketNotFoundReason, "Store", "the bucket does not exist", "what to do"),
	kit.Warning(otav1alpha1.StorageFailedReason, "Store", "the artifact cannot be written or read back; it is tried again", "why"),
	kit.Warning(otav1alpha1.InternalErrorReason, "Reconcile", "an error without a better name; it is tried again", "the error"),
}

// transitions are the events of a changed status: one a transition, none for what stays as it is.
func transitions(s *scope) []kit.Event {
	var out []kit.Event
	if len(s.losses) > 0 {
		out = append(out, Events.New("TrustLost", strings.Join(s.losses, "; ")))
	}
	old, now := s.old.Status.Conditions, s.bundle.Status.Conditions
	if c := kit.Changed(old, now, otav1alpha1.ReconcilingCondition); c != nil && c.Reason == otav1alpha1.InUseReason {
		out = append(out, Events.New(c.Reason, c.Message))
	} else if c := kit.Changed(old, now, otav1alpha1.ReadyCondition); c != nil {
		switch {
		case c.Status == metav1.ConditionTrue:
			out = append(out, Events.New("BundleReady", c.Message))
		case c.Status == metav1.ConditionFalse, c.Reason == otav1alpha1.ArtifactLostReason:
			out = append(out, Events.New(c.Reason, c.Message))
		}
	}
	for i := range out {
		out[i] = out[i].About(s.bundle.Name, s.bundle.Spec.Version, s.bundle.Spec.Digest)
	}
	return out
}
