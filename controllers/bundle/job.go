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
		Source: src, Authorities: s.trust.authorities, Envelope: s.envelope, Keys: s.keys.usable, Bucket: s.bucket,
	}
	for _, sig := range spec.Signatures {
		out := ingest.Signature{Inline: sig.Inline}
		if sig.URL != "" {
			out.Source = signatureSource(string(sig.URL), src)
		}
		job.Signatures = append(job.Signatures, out)
	}
	return job, nil
}

// signatureSource is a URL beside the artifact: on the same server the artifact's credentials serve for it too.
func signatureSource(url string, artifact source.Source) source.Source {
	if h, ok := artifact.(source.HTTP); ok && h.SameOrigin(url) {
		h.URL = url
		return h
	}
	return source.HTTP{URL: url}
}

// source resolves where the artifact is, with its credentials.
func (r *Reconciler) source(ctx context.Context, b *otav1alpha1.Bundle) (source.Source, error) {
	if h := b.Spec.Source.HTTP; h != nil {
		src := source.HTTP{URL: string(h.URL)}
		if h.SecretRef == nil {
			return src, nil
		}
		secret, err := r.secret(ctx, b.Namespace, h.SecretRef.Name)
		if err != nil {
			return nil, err
		}
		src.Token, src.Username, src.Password = secret["token"], secret["username"], secret["password"]
		if src.Token == "" && src.Username == "" {
			return nil, missingKeys(h.SecretRef.Name, "token, or username and password")
		}
		return src, nil
	}
	h := b.Spec.Source.S3
	src := source.S3{Endpoint: h.Endpoint, Bucket: h.Bucket, Key: h.Key, Region: h.Region}
	if h.CredentialsSecretRef == nil {
		return src, nil
	}
	secret, err := r.secret(ctx, b.Namespace, h.CredentialsSecretRef.Name)
	if err != nil {
		return nil, err
	}
	src.AccessKeyID, src.SecretAccessKey, src.SessionToken = secret["accessKeyID"], secret["secretAccessKey"], secret["sessionToken"]
	if src.AccessKeyID == "" || src.SecretAccessKey == "" {
		return nil, missingKeys(h.CredentialsSecretRef.Name, "accessKeyID and secretAccessKey")
	}
	return src, nil
}

// secret reads a Secret live: the manager neither lists nor watches Secrets.
func (r *Reconciler) secret(ctx context.Context, namespace, name string) (map[string]string, error) {
	var secret corev1.Secret
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &secret)
	if apierrors.IsNotFound(err) {
		return nil, kit.Retry(otav1alpha1.SecretNotFoundReason, "there is no Secret %s, which holds the credentials of the source", name)
	}
	if err != nil {
		return nil, fmt.Errorf("get Secret %s: %w", name, err)
	}
	values := make(map[string]string, len(secret.Data))
	for key, value := range secret.Data {
		values[key] = string(value)
	}
	return values, nil
}

func missingKeys(name, keys string) error {
	return kit.Retry(otav1alpha1.SecretNotFoundReason, "Secret %s has no credentials of the source: expected the keys %s", name, keys)
}
