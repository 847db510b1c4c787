// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/verify"
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// trust checks that every authority and every key of an app can be used. It comes last: a mistake here must not keep a rollback from devices.
func (r *Reconciler) trust(ctx context.Context, s *scope) (time.Duration, error) {
	for _, a := range s.repo.Spec.Trust.Authorities {
		if a.PublicKey == nil {
			return 0, kit.Stall(otav1alpha1.NotSupportedYetReason,
				"authority %s is keyless, which this version does not support: give it a publicKey", a.Name)
		}
		if err := r.checkKey(ctx, s, *a.PublicKey, "authority "+a.Name, parsed(verify.ParsePublicKey)); err != nil {
			return 0, err
		}
	}
	for _, k := range s.repo.Spec.Trust.EncryptionKeys {
		if err := r.checkKey(ctx, s, k.PublicKey, "encryption key "+k.Name, parsed(envelope.ParsePublicKey)); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// checkKey tells whether the public key that owner has can be used.
func (r *Reconciler) checkKey(ctx context.Context, s *scope, from otav1alpha1.PublicKeySource, owner string, check func([]byte) error) error {
	text, fail := from.Inline, kit.Stall
	if ref := from.ConfigMapRef; ref != nil {
		var err error
		if text, err = r.configMapValue(ctx, s, *ref, "the public key of "+owner); err != nil {
			return err
		}
		fail = kit.Retry // ConfigMaps are not watched
	}
	if err := check([]byte(text)); err != nil {
		return fail(otav1alpha1.InvalidKeyReason, "%s: %w", owner, err)
	}
	return nil
}

// parsed makes a check of a parser.
func parsed[K any](parse func([]byte) (K, error)) func([]byte) error {
	return func(text []byte) error {
		_, err := parse(text)
		return err
	}
}
