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
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// examine refuses what is revoked, what this version cannot do, and what the schema could not check.
func (r *Reconciler) examine(_ context.Context, s *scope) (time.Duration, error) {
	spec := s.bundle.Spec
	if spec.Revoked != "" {
		s.set(otav1alpha1.RevokedCondition, metav1.ConditionTrue, otav1alpha1.RevokedReason, spec.Revoked)
		r.pool.Drop(keyOf(s.bundle))
		return 0, kit.Stall(otav1alpha1.RevokedReason, "revoked for ever: %s", spec.Revoked)
	}
	if err := s.examineEncryption(); err != nil {
		return 0, err
	}
	if c := spec.Compatibility; c != nil {
		if _, err := compat.ParseRange(c.NativeVersion); err != nil {
			return 0, kit.Stall(otav1alpha1.InvalidSpecReason, "spec.compatibility.nativeVersion: %w", err)
		}
	}
	return 0, nil
}

// examineEncryption reads what devices need to open the artifact.
func (s *scope) examineEncryption() error {
	e := s.bundle.Spec.Encryption
	switch {
	case e == nil || e.Mode == otav1alpha1.EncryptionNone:
		return nil
	case e.Mode != otav1alpha1.EncryptionOpaque:
		return kit.Stall(otav1alpha1.NotSupportedYetReason, "spec.encryption.mode %s is not supported yet: use None or Opaque", e.Mode)
	}
	opens, err := envelope.Parse(e.SessionKey, e.Checksum, e.KeyID)
	if err != nil {
		return kit.Stall(otav1alpha1.InvalidSpecReason, "spec.encryption: %w", err)
	}
	s.envelope = &opens
	return nil
}
