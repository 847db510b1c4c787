// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"time"

	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/trust"
)

// trust checks that every authority and every key of an app can be used. It comes last: a mistake here must not keep a rollback from
// devices. The first mistake is said; the others do not hide how old the trusted roots are.
func (r *Reconciler) trust(ctx context.Context, s *scope) (time.Duration, error) {
	var first error
	var roots []sigstoreRoot
	for _, a := range s.repo.Spec.Trust.Authorities {
		read, err := r.library.Authority(ctx, s.repo, a)
		switch {
		case err != nil && first == nil:
			first = again(err, trust.Unwatched(a))
		case err == nil && a.Keyless != nil:
			roots = append(roots, sigstoreRoot{authority: read, from: a.Keyless.TrustedRootConfigMapRef})
		}
	}
	s.describeRoots(roots, r.Now())
	for _, k := range s.repo.Spec.Trust.EncryptionKeys {
		if _, err := r.library.EncryptionKey(ctx, s.repo, k); err != nil && first == nil {
			first = again(err, k.PublicKey.ConfigMapRef != nil)
		}
	}
	return 0, first
}

// again has what is wrong in a ConfigMap tried again, since nobody tells when it is mended.
func again(err error, unwatched bool) error {
	if e := kit.Classify(err); unwatched && e.Class == kit.Stalled {
		return kit.Retry(e.Reason, "%w", e.Err)
	}
	return err
}
