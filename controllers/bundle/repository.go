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

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/kit"
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

// trust is whose signatures count, as it is now.
type trust struct {
	authorities []verify.Authority
	broken      []error  // of authorities whose key cannot be had
	missing     []string // names of those whose ConfigMap is not there: nobody can tell whether their key changed
	live        bool     // some keys are in ConfigMaps, which nothing watches
	fingerprint string   // changes when another try could end in another way
}

// findAuthorities reads the public keys. An authority without a usable key counts for nothing, but does not keep the others
// from counting.
func (r *Reconciler) findAuthorities(ctx context.Context, s *scope) (time.Duration, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, s.repository.UID, s.repository.Generation)
	for _, a := range s.repository.Spec.Trust.Authorities {
		if a.PublicKey == nil {
			continue // keyless: the Repository says that it is not supported yet
		}
		key, err := r.publicKey(ctx, s, a)
		if e, ok := errors.AsType[*kit.Error](err); ok {
			s.trust.broken = append(s.trust.broken, e)
			if e.Reason == otav1alpha1.ConfigMapNotFoundReason {
				s.trust.missing = append(s.trust.missing, a.Name)
			}
			continue
		}
		if err != nil {
			return 0, err
		}
		authority := verify.Authority{Name: a.Name, Key: key}
		if a.NotAfter != nil {
			authority.NotAfter = a.NotAfter.Time
		}
		fmt.Fprintln(hash, a.Name, key.ID())
		s.trust.authorities = append(s.trust.authorities, authority)
	}
	s.trust.fingerprint = hex.EncodeToString(hash.Sum(nil))
	return 0, nil
}

// publicKey reads the key of an authority. Its errors are of package kit when the Repository or its ConfigMap are at fault.
func (r *Reconciler) publicKey(ctx context.Context, s *scope, a otav1alpha1.Authority) (verify.Key, error) {
	text, err := r.keyText(ctx, s, *a.PublicKey, "authority "+a.Name)
	if err != nil {
		return verify.Key{}, err
	}
	key, err := verify.ParsePublicKey([]byte(text))
	if err != nil {
		return verify.Key{}, kit.Stall(otav1alpha1.InvalidKeyReason, "authority %s of Repository %s: %w", a.Name, s.repository.Name, err)
	}
	return key, nil
}

// keyText gives the PEM of a public key, which owner has.
func (r *Reconciler) keyText(ctx context.Context, s *scope, from otav1alpha1.PublicKeySource, owner string) (string, error) {
	ref := from.ConfigMapRef
	if ref == nil {
		return from.Inline, nil
	}
	s.trust.live = true
	var cm corev1.ConfigMap
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: s.bundle.Namespace, Name: ref.Name}, &cm)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("get ConfigMap %s: %w", ref.Name, err)
	}
	text, ok := cm.Data[ref.Key]
	if !ok {
		return "", kit.Retry(otav1alpha1.ConfigMapNotFoundReason, "there is no ConfigMap %s with key %s, which holds the public key of %s", ref.Name, ref.Key, owner)
	}
	return text, nil
}
