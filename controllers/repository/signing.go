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

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/serve"
	"github.com/windlass-dev/windlass/internal/store"
)

const (
	// generatedLabel marks a Secret whose keys the manager made.
	generatedLabel = otav1alpha1.Group + "/generated"
	// minTimestampExpiry keeps re-signing far from expiry even when the bucket is away for a while.
	minTimestampExpiry = time.Minute
)

// findKeys reads the signing keys, and makes them when there is no Secret and the bucket is not one that other keys signed.
func (r *Reconciler) findKeys(ctx context.Context, s *scope) (time.Duration, error) {
	name := secretName(s.repository)
	data, err := r.secret(ctx, s.repository.Namespace, name)
	if kit.Classify(errOrNil(err)).Reason == otav1alpha1.SecretNotFoundReason {
		data, err = r.makeKeys(ctx, s, name)
	}
	if err != nil {
		return 0, s.unsigned(err)
	}
	keys, err := publish.ParseKeys(data)
	if err != nil {
		return 0, s.unsigned(err)
	}
	s.keys, s.generated = keys, string(data[generatedKey]) != ""
	s.identity = fingerprint([]any{s.config, data, s.repository.Spec.Signing})
	return 0, nil
}

// generatedKey in the Secret says that the manager made the keys.
const generatedKey = "generated-by"

func errOrNil(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

func secretName(repo *otav1alpha1.Repository) string {
	if s := repo.Spec.Signing; s != nil && s.KeysSecretRef != nil {
		return s.KeysSecretRef.Name
	}
	return repo.Name + "-signing"
}

// makeKeys makes all keys for a first try. A bucket that already has a root of trust would refuse them: then the Secret was
// lost, and making another would only hide that.
func (r *Reconciler) makeKeys(ctx context.Context, s *scope, name string) (map[string][]byte, error) {
	bucket, err := store.Open(s.config)
	if err != nil {
		return nil, kit.Stall(otav1alpha1.InvalidSpecReason, "spec.storage: %w", err)
	}
	switch _, err := bucket.Head(ctx, "metadata/timestamp.json"); {
	case err == nil:
		return nil, kit.Retry(otav1alpha1.SecretNotFoundReason, "there is no Secret %s, but the bucket was signed with its keys: restore it from a backup", name)
	case !errors.Is(err, store.ErrNotExist):
		return nil, err
	}
	data, err := publish.GenerateKeys()
	if err != nil {
		return nil, err
	}
	data[generatedKey] = []byte("windlass manager")
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.repository.Namespace, Labels: map[string]string{generatedLabel: "true"}},
		Data:       data,
		Immutable:  new(true),
	}
	if err := r.Client.Create(ctx, secret); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return r.secret(ctx, s.repository.Namespace, name) // another manager was faster
		}
		return nil, fmt.Errorf("create Secret %s: %w", name, err)
	}
	return data, nil
}

// unsigned shows an error of the keys on its condition.
func (s *scope) unsigned(err error) error {
	s.set(otav1alpha1.SigningReadyCondition, metav1.ConditionFalse, kit.Classify(err).Reason, err.Error())
	return err
}

// open makes sure that the publisher is at work with the present settings.
func (r *Reconciler) open(ctx context.Context, s *scope) (time.Duration, error) {
	cfg := publish.Config{Keys: s.keys}
	if m := s.repository.Status.Metadata; m != nil {
		cfg.Floor = m.Version
	}
	if err := lifetimes(s.repository.Spec.Signing, &cfg); err != nil {
		return 0, s.unsigned(err)
	}
	bucket, err := store.Open(s.config)
	if err != nil {
		return 0, s.unreachable(kit.Stall(otav1alpha1.InvalidSpecReason, "spec.storage: %w", err))
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s.publisher, err = r.Set.Open(ctx, key(s.repository), s.identity, bucket, cfg)
	if err != nil {
		return 0, s.unsigned(err)
	}
	reason, message := otav1alpha1.KeysProvidedReason, ""
	if s.generated {
		reason = otav1alpha1.KeysGeneratedReason
		message = "the manager made all keys itself, the root key among them: for production keep the root key offline"
	}
	s.set(otav1alpha1.SigningReadyCondition, metav1.ConditionTrue, reason, message)
	return 0, nil
}

// lifetimes reads how long metadata holds.
func lifetimes(spec *otav1alpha1.SigningSpec, cfg *publish.Config) error {
	if spec == nil {
		return nil
	}
	var err error
	if cfg.RootExpiry, err = serve.Duration(spec.RootExpiry, 0); err != nil {
		return kit.Stall(otav1alpha1.InvalidSpecReason, "spec.signing.rootExpiry: %w", err)
	}
	if cfg.TimestampExpiry, err = serve.Duration(spec.TimestampExpiry, 0); err != nil {
		return kit.Stall(otav1alpha1.InvalidSpecReason, "spec.signing.timestampExpiry: %w", err)
	}
	if spec.TimestampExpiry != "" && cfg.TimestampExpiry < minTimestampExpiry {
		return kit.Stall(otav1alpha1.InvalidSpecReason, "spec.signing.timestampExpiry is %s, expected at least %s", spec.TimestampExpiry, minTimestampExpiry)
	}
	if spec.RootExpiry != "" && cfg.RootExpiry < cfg.TimestampExpiry {
		return kit.Stall(otav1alpha1.InvalidSpecReason, "spec.signing.rootExpiry is %s, expected at least the timestampExpiry %s", spec.RootExpiry, cfg.TimestampExpiry)
	}
	return nil
}
