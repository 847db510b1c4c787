// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/kit"
)

// examine refuses what is revoked, what this version cannot do, and what the schema could not check.
func (r *Reconciler) examine(_ context.Context, s *scope) (time.Duration, error) {
	spec := s.bundle.Spec
	if spec.Revoked != "" {
		s.set(otav1alpha1.RevokedCondition, metav1.ConditionTrue, otav1alpha1.RevokedReason, spec.Revoked)
		r.pool.Drop(keyOf(s.bundle))
		return 0, kit.Stall(otav1alpha1.RevokedReason, "revoked for ever: %s", spec.Revoked)
	}
	if spec.Source.OCI != nil {
		return 0, kit.Stall(otav1alpha1.NotSupportedYetReason, "spec.source.oci is not supported yet: use http or s3")
	}
	if e := spec.Encryption; e != nil && e.Mode != otav1alpha1.EncryptionNone {
		return 0, kit.Stall(otav1alpha1.NotSupportedYetReason, "spec.encryption.mode %s is not supported yet: use None", e.Mode)
	}
	if c := spec.Compatibility; c != nil {
		if _, err := compat.ParseRange(c.NativeVersion); err != nil {
			return 0, kit.Stall(otav1alpha1.InvalidSpecReason, "spec.compatibility.nativeVersion: %w", err)
		}
	}
	return 0, nil
}
