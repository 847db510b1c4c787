// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/store"
)

// Keys of the Secret with the bucket's credentials.
const (
	accessKeyID     = "accessKeyID"
	secretAccessKey = "secretAccessKey"
	sessionToken    = "sessionToken"
)

// storage reaches the bucket, and finds out from time to time what it can be trusted with.
func (r *Reconciler) storage(ctx context.Context, s *scope) (time.Duration, error) {
	err := r.reach(ctx, s)
	if err == nil {
		s.set(otav1alpha1.StorageReachableCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason, "")
		return r.Options.Recheck, nil
	}
	e := kit.Classify(err)
	s.set(otav1alpha1.StorageReachableCondition, metav1.ConditionFalse, e.Reason, e.Error())
	return 0, err
}

func (r *Reconciler) reach(ctx context.Context, s *scope) error {
	if err := r.storeConfig(ctx, s); err != nil {
		return err
	}
	bucket, err := store.Open(s.config)
	if err != nil {
		return kit.Stall(otav1alpha1.InvalidSpecReason, "spec.storage: %w", err)
	}
	if !r.probeDue(s) {
		_, err := bucket.Head(ctx, timestampObject)
		if err != nil && !errors.Is(err, store.ErrNotExist) {
			return err
		}
		return r.openBucket(s)
	}
	caps, err := bucket.Probe(ctx)
	if err != nil {
		return err
	}
	r.memory.probed(s.key(), s.identity.String())
	s.repo.Status.Storage = &otav1alpha1.StorageStatus{
		ConditionalWrites: caps.ConditionalWrites, Versioning: caps.Versioning,
		CheckedAt: &metav1.Time{Time: r.Now().Truncate(time.Second)},
	}
	return r.openBucket(s)
}

// timestampObject is asked for to see whether the bucket answers.
const timestampObject = "metadata/timestamp.json"

// openBucket opens the bucket as the probe says that it is to be used.
func (r *Reconciler) openBucket(s *scope) (err error) {
	s.config.ConditionalWrites = s.repo.Status.Storage.ConditionalWrites
	s.identity.add("conditional", []byte(s.config.ConditionalWrites))
	s.bucket, err = store.Open(s.config)
	return err
}

// probeDue tells whether the bucket has to be probed: it never was, access to it changed or failed, or it is long ago.
func (r *Reconciler) probeDue(s *scope) bool {
	st := s.repo.Status.Storage
	return st == nil || st.CheckedAt == nil || !s.isTrue(otav1alpha1.StorageReachableCondition) ||
		r.memory.changed(s.key(), s.identity.String()) || r.Now().Sub(st.CheckedAt.Time) > r.Options.ProbeEvery
}

// storeConfig gathers how to reach the bucket.
func (r *Reconciler) storeConfig(ctx context.Context, s *scope) error {
	spec := s.repo.Spec.Storage
	s.config = store.Config{Endpoint: spec.Endpoint, Bucket: spec.Bucket, Prefix: spec.Prefix, Region: spec.Region, Egress: &r.Options.Egress}
	if ref := spec.CredentialsSecretRef; ref != nil {
		if err := r.credentials(ctx, s, ref.Name); err != nil {
			return err
		}
	}
	if ref := spec.CABundleConfigMapRef; ref != nil {
		text, err := r.configMapValue(ctx, s, *ref, "the CA bundle of the object store")
		if err != nil {
			return err
		}
		s.config.CABundle = []byte(text)
	}
	for name, value := range map[string]string{
		"endpoint": spec.Endpoint, "region": spec.Region, "access": s.config.AccessKey, "secret": s.config.SecretKey,
		"token": s.config.SessionToken, "ca": string(s.config.CABundle),
	} {
		s.identity.add(name, []byte(value))
	}
	return nil
}

func (r *Reconciler) credentials(ctx context.Context, s *scope, name string) error {
	var secret corev1.Secret
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: s.repo.Namespace, Name: name}, &secret)
	if apierrors.IsNotFound(err) {
		return kit.Retry(otav1alpha1.SecretNotFoundReason, "there is no Secret %s, which spec.storage.credentialsSecretRef names", name)
	}
	if err != nil {
		return fmt.Errorf("get Secret %s: %w", name, err)
	}
	for _, key := range []string{accessKeyID, secretAccessKey} {
		if len(secret.Data[key]) == 0 {
			return kit.Retry(otav1alpha1.SecretNotFoundReason, "Secret %s has no %s", name, key)
		}
	}
	s.config.AccessKey, s.config.SecretKey = string(secret.Data[accessKeyID]), string(secret.Data[secretAccessKey])
	s.config.SessionToken = string(secret.Data[sessionToken])
	return nil
}

// configMapValue reads one key of a ConfigMap.
func (r *Reconciler) configMapValue(ctx context.Context, s *scope, ref otav1alpha1.KeyReference, what string) (string, error) {
	var cm corev1.ConfigMap
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: s.repo.Namespace, Name: ref.Name}, &cm)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("get ConfigMap %s: %w", ref.Name, err)
	}
	text, ok := cm.Data[ref.Key]
	if !ok {
		return "", kit.Retry(otav1alpha1.ConfigMapNotFoundReason, "there is no ConfigMap %s with key %s, which holds %s", ref.Name, ref.Key, what)
	}
	return text, nil
}
