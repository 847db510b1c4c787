// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/trust"
	"github.com/windlass-dev/windlass/internal/verify"
)

// How long to wait for a Repository.
const (
	absentWait   = 10 * time.Second // a watch wakes the Bundle sooner
	notReadyWait = 5 * time.Second  // after a restart its status says ready before its publisher is, and does not change then
)

func repositoryKey(b *otav1alpha1.Bundle) types.NamespacedName {
	return types.NamespacedName{Namespace: b.Namespace, Name: index.RepositoryName(b.Spec.RepositoryRef)}
}

// findRepository waits for the Repository and its bucket. A Bundle that is ready stays so while the manager has only just
// started, or the Repository cannot be reached for the moment.
func (r *Reconciler) findRepository(ctx context.Context, s *scope) (time.Duration, error) {
	key := repositoryKey(s.bundle)
	s.repository = &otav1alpha1.Repository{}
	err := r.Client.Get(ctx, key, s.repository)
	switch {
	case apierrors.IsNotFound(err):
		return 0, kit.Wait(otav1alpha1.RepositoryNotFoundReason, absentWait, "there is no Repository %s in this namespace: create it, or set spec.repositoryRef", key.Name)
	case err != nil:
		return 0, fmt.Errorf("get Repository %s: %w", key.Name, err)
	}
	bucket, ok := r.Repositories.Bucket(key)
	if !ok {
		s.routine(notReadyWait)
		return 0, kit.Wait(otav1alpha1.RepositoryNotReadyReason, notReadyWait, "Repository %s cannot publish yet: see its conditions", key.Name)
	}
	s.bucket = bucket
	return 0, nil
}

// trusted is whose signatures count, as it is now.
type trusted struct {
	authorities []verify.Authority
	unknown     []otav1alpha1.Authority // whose key or trusted root cannot be had: nobody can tell whether it changed
	broken      []error                 // why
	live        bool                    // some keys or trusted roots are in ConfigMaps, which nothing watches
	fingerprint string                  // changes when another try could end in another way
}

// findAuthorities reads keys and trusted roots. An authority of which they cannot be had counts for nothing new, but keeps neither
// the others from counting nor what it vouched for from holding.
func (r *Reconciler) findAuthorities(ctx context.Context, s *scope) (time.Duration, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, s.repository.UID, s.repository.Generation)
	for _, a := range s.repository.Spec.Trust.Authorities {
		s.trust.live = s.trust.live || trust.Unwatched(a)
		authority, err := r.library.Authority(ctx, s.repository, a)
		if e, ok := errors.AsType[*kit.Error](err); ok {
			s.trust.broken, s.trust.unknown = append(s.trust.broken, e), append(s.trust.unknown, a)
			continue
		}
		if err != nil {
			return 0, err
		}
		fmt.Fprintln(hash, a.Name, authority.Fingerprint())
		s.trust.authorities = append(s.trust.authorities, authority.Authority)
	}
	s.trust.fingerprint = hex.EncodeToString(hash.Sum(nil))
	return 0, nil
}
