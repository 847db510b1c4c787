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
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/store"
)

const (
	// signingSuffix ends the name of the Secret when spec.signing names none.
	signingSuffix = "-signing"
	// RepositoryLabel names the Repository whose keys a Secret holds. It is no owner reference: devices pin the root that these
	// keys have signed, so they must outlive the Repository object.
	RepositoryLabel = otav1alpha1.Group + "/repository"
	// generatedAnnotation marks a Secret whose keys the manager has made.
	generatedAnnotation = otav1alpha1.Group + "/generated-by"
	managerName         = "windlass"

	rootObject = "metadata/1.root.json"
)

// Values of status.metadata.keys.
const (
	keysGenerated = "Generated"
	keysProvided  = "Provided"
)

// signing is what the Secret with the signing keys holds.
type signing struct {
	keys   *publish.Keys
	source string // keysGenerated or keysProvided

	roots    map[int64][]byte // that were signed offline, by version; nil: the spec names none
	rootLife time.Duration    // of a root that is made now
	problem  error            // of the roots; it holds nothing else up
	floors   error            // of the floors; the same
}

// keys reads the signing keys, and makes them for a repository that never had any.
func (r *Reconciler) keys(ctx context.Context, s *scope) (time.Duration, error) {
	secret, err := r.signingSecret(ctx, s)
	if err == nil {
		s.signing.keys, err = publish.ParseKeys(secret.Data)
	}
	if err != nil {
		return 0, s.signingFailed(err)
	}
	s.signing.source = keysProvided
	if secret.Annotations[generatedAnnotation] == managerName {
		s.signing.source = keysGenerated
	}
	for name, value := range secret.Data {
		s.identity.add("key "+name, value)
	}
	return 0, nil
}

// signingFailed records an error of the keys, and passes it on.
func (s *scope) signingFailed(err error) error {
	e := kit.Classify(err)
	s.set(otav1alpha1.SigningReadyCondition, metav1.ConditionFalse, e.Reason, e.Error())
	return err
}

func signingSecretName(repo *otav1alpha1.Repository) string {
	if s := repo.Spec.Signing; s != nil && s.KeysSecretRef != nil {
		return s.KeysSecretRef.Name
	}
	return repo.Name + signingSuffix
}

func (r *Reconciler) signingSecret(ctx context.Context, s *scope) (*corev1.Secret, error) {
	name := signingSecretName(s.repo)
	var secret corev1.Secret
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: s.repo.Namespace, Name: name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return r.makeKeys(ctx, s, name)
	case err != nil:
		return nil, fmt.Errorf("get Secret %s: %w", name, err)
	}
	return &secret, nil
}

// makeKeys creates the Secret of a repository that has no root of trust yet. Where there is one, new keys would be of no use.
func (r *Reconciler) makeKeys(ctx context.Context, s *scope, name string) (*corev1.Secret, error) {
	_, err := s.bucket.Head(ctx, rootObject)
	switch {
	case s.signing.roots != nil:
		return nil, kit.Retry(otav1alpha1.SecretNotFoundReason,
			"there is no Secret %s, whose keys the roots of spec.signing.rootConfigMapRef name: apply signing.secret.yaml of the ceremony", name)
	case err == nil || s.repo.Status.Metadata != nil:
		return nil, kit.Retry(otav1alpha1.SecretNotFoundReason,
			"there is no Secret %s, and the bucket has a root of trust that its keys have signed: restore the Secret from its backup", name)
	case !errors.Is(err, store.ErrNotExist):
		return nil, err
	}
	data, err := publish.GenerateKeys()
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.repo.Namespace, Name: name,
			Labels:      map[string]string{RepositoryLabel: s.repo.Name},
			Annotations: map[string]string{generatedAnnotation: managerName},
		},
		Type: corev1.SecretTypeOpaque, Immutable: new(true), Data: data,
	}
	if err := r.Client.Create(ctx, secret, fieldOwner); err != nil {
		return nil, fmt.Errorf("create Secret %s: %w", name, err)
	}
	return secret, nil
}
