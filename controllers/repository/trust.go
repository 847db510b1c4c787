// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/verify"
)

// trust checks that every authority can be used. It comes last: a mistake here must not keep a rollback from devices.
func (r *Reconciler) trust(ctx context.Context, s *scope) (time.Duration, error) {
	for _, a := range s.repo.Spec.Trust.Authorities {
		if a.PublicKey == nil {
			return 0, kit.Stall(otav1alpha1.NotSupportedYetReason,
				"authority %s is keyless, which this version does not support: give it a publicKey", a.Name)
		}
		if err := r.checkKey(ctx, s, a); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func (r *Reconciler) checkKey(ctx context.Context, s *scope, a otav1alpha1.Authority) error {
	text, fail := a.PublicKey.Inline, kit.Stall
	if ref := a.PublicKey.ConfigMapRef; ref != nil {
		var err error
		if text, err = r.configMapValue(ctx, s, *ref, "the public key of authority "+a.Name); err != nil {
			return err
		}
		fail = kit.Retry // ConfigMaps are not watched
	}
	if _, err := verify.ParsePublicKey([]byte(text)); err != nil {
		return fail(otav1alpha1.InvalidKeyReason, "authority %s: %w", a.Name, err)
	}
	return nil
}
