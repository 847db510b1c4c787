// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/source"
)

// job gathers all that a transfer needs, so that it does without the API server.
func (r *Reconciler) job(ctx context.Context, s *scope) (ingest.Job, error) {
	spec := s.bundle.Spec
	src, err := r.source(ctx, s.bundle)
	if err != nil {
		return ingest.Job{}, err
	}
	job := ingest.Job{
		App: string(spec.App), Version: string(spec.Version), Digest: string(spec.Digest),
		Source: src, Known: s.known(), Authorities: s.voters(r.Now()), Envelope: s.envelope, Keys: s.keys.usable,
		Native: native(spec.NativeDependencies), Bucket: s.bucket,
	}
	for _, sig := range spec.Signatures {
		if sig.Attached != "" {
			job.Attached = true
			continue
		}
		job.Signatures = append(job.Signatures, file(sig.Inline, string(sig.URL), src))
	}
	for _, a := range spec.Attestations {
		job.Attestations = append(job.Attestations, file(a.Inline, string(a.URL), src))
	}
	return job, nil
}

// file is inline, or at a URL beside the artifact: on the same server the artifact's credentials serve for it too.
func file(inline, url string, beside source.Source) ingest.File {
	if url == "" {
		return ingest.File{Inline: inline}
	}
	if h, ok := beside.(source.HTTP); ok && h.SameOrigin(url) {
		h.URL = url
		return ingest.File{Source: h}
	}
	return ingest.File{Source: source.HTTP{URL: url}}
}

// source resolves where the artifact is, with its credentials.
func (r *Reconciler) source(ctx context.Context, b *otav1alpha1.Bundle) (source.Source, error) {
	switch from := b.Spec.Source; {
	case from.HTTP != nil:
		return r.httpSource(ctx, b.Namespace, *from.HTTP)
	case from.S3 != nil:
		return r.s3Source(ctx, b.Namespace, *from.S3)
	default:
		return r.ociSource(ctx, b, *from.OCI)
	}
}

func (r *Reconciler) httpSource(ctx context.Context, namespace string, from otav1alpha1.HTTPSource) (source.Source, error) {
	src := source.HTTP{URL: string(from.URL)}
	if from.SecretRef == nil {
		return src, nil
	}
	object, err := r.secretObject(ctx, namespace, from.SecretRef.Name)
	if err != nil {
		return nil, err
	}
	if err := kit.MayBeShown(object, src.URL); err != nil {
		return nil, err
	}
	secret := values(object)
	src.Token, src.Username, src.Password = secret["token"], secret["username"], secret["password"]
	if src.Token == "" && src.Username == "" {
		return nil, missingKeys(from.SecretRef.Name, "token, or username and password")
	}
	return src, nil
}

func (r *Reconciler) s3Source(ctx context.Context, namespace string, from otav1alpha1.S3Source) (source.Source, error) {
	src := source.S3{Endpoint: from.Endpoint, Bucket: from.Bucket, Key: from.Key, Region: from.Region}
	if from.CredentialsSecretRef == nil {
		return src, nil
	}
	secret, err := r.secret(ctx, namespace, from.CredentialsSecretRef.Name)
	if err != nil {
		return nil, err
	}
	src.AccessKeyID, src.SecretAccessKey, src.SessionToken = secret["accessKeyID"], secret["secretAccessKey"], secret["sessionToken"]
	if src.AccessKeyID == "" || src.SecretAccessKey == "" {
		return nil, missingKeys(from.CredentialsSecretRef.Name, "accessKeyID and secretAccessKey")
	}
	return src, nil
}

func (r *Reconciler) ociSource(ctx context.Context, b *otav1alpha1.Bundle, from otav1alpha1.OCISource) (source.Source, error) {
	src := source.OCI{Image: from.Image, Layer: string(b.Spec.Digest)}
	if from.PullSecretRef == nil {
		return src, nil
	}
	secret, err := r.secret(ctx, b.Namespace, from.PullSecretRef.Name)
	if err != nil {
		return nil, err
	}
	text, ok := secret[corev1.DockerConfigJsonKey]
	if !ok {
		return nil, missingKeys(from.PullSecretRef.Name, corev1.DockerConfigJsonKey+", as Secrets of type kubernetes.io/dockerconfigjson have it")
	}
	if src.Auth, err = source.ParseDockerConfig([]byte(text), src.Registry()); err != nil {
		return nil, kit.Retry(otav1alpha1.SecretNotFoundReason, "Secret %s: %w", from.PullSecretRef.Name, err)
	}
	return src, nil
}

// secret reads the values of a Secret.
func (r *Reconciler) secret(ctx context.Context, namespace, name string) (map[string]string, error) {
	object, err := r.secretObject(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return values(object), nil
}

// secretObject reads a Secret live: the manager neither lists nor watches Secrets.
func (r *Reconciler) secretObject(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, kit.Retry(otav1alpha1.SecretNotFoundReason, "there is no Secret %s, which holds the credentials of the source", name)
	}
	if err != nil {
		return nil, fmt.Errorf("get Secret %s: %w", name, err)
	}
	return secret, nil
}

func values(secret *corev1.Secret) map[string]string {
	out := make(map[string]string, len(secret.Data))
	for key, value := range secret.Data {
		out[key] = string(value)
	}
	return out
}

func missingKeys(name, keys string) error {
	return kit.Retry(otav1alpha1.SecretNotFoundReason, "Secret %s has no credentials of the source: expected the keys %s", name, keys)
}
