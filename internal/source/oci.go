// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

// maxManifest is how large a manifest may be, in bytes (OCI distribution specification 1.1, "Pushing manifests").
const maxManifest = 4 << 20

// OCI is a layer of an image or artifact in a container registry.
type OCI struct {
	Image string // registry/repository@sha256:<hex>, by digest of the manifest
	Layer string // sha256:<hex>, the digest of the layer that is the artifact
	Auth  Login
}

// String names the image.
func (o OCI) String() string { return "image " + o.Image }

// Registry of the image, as logins are found by it; empty: the image cannot be read.
func (o OCI) Registry() string {
	ref, err := o.reference()
	if err != nil {
		return ""
	}
	return ref.Registry
}

func (o OCI) host() string {
	ref, err := o.reference()
	if err != nil {
		return ""
	}
	return (&url.URL{Host: ref.Host()}).Hostname()
}

var sha256Form = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)

// reference reads the image. Its error is one of package kit.
func (o OCI) reference() (registry.Reference, error) {
	ref, err := registry.ParseReference(o.Image)
	if err != nil || !sha256Form.MatchString(ref.Reference) {
		return ref, kit.Stall(otav1alpha1.InvalidSpecReason,
			"the image of the source cannot be read: expected registry/repository@sha256:<digest>, such as registry.example.com/shop/updates@sha256:...")
	}
	return ref, nil
}

// repository prepares to ask the registry. Without TLS it asks only where the operator's list of addresses says so.
func (o OCI) repository(c *Client) (*remote.Repository, registry.Reference, error) {
	ref, err := o.reference()
	if err != nil {
		return nil, ref, err
	}
	client := &auth.Client{Client: c.web, Cache: auth.NewCache()}
	client.SetUserAgent(userAgent)
	if o.Auth != (Login{}) {
		client.Credential = auth.StaticCredential(ref.Registry, auth.Credential{
			Username: o.Auth.Username, Password: o.Auth.Password, RefreshToken: o.Auth.IdentityToken,
		})
	}
	return &remote.Repository{
		Client: client, Reference: ref, PlainHTTP: c.opts.Egress.PlainHTTP(ref.Host()),
		MaxMetadataBytes: maxManifest, ReferrerListMaxPages: 4,
	}, ref, nil
}

func (o OCI) open(ctx context.Context, c *Client) (io.ReadCloser, int64, error) {
	repo, ref, err := o.repository(c)
	if err != nil {
		return nil, 0, err
	}
	if !sha256Form.MatchString(o.Layer) {
		return nil, 0, kit.Stall(otav1alpha1.InvalidSpecReason, "the digest of the layer is %q, expected sha256:<hex>", o.Layer)
	}
	raw, err := o.manifest(ctx, repo, ref.Reference)
	if err != nil {
		return nil, 0, err
	}
	layer, err := o.layer(raw)
	if err != nil {
		return nil, 0, err
	}
	body, err := repo.Blobs().Fetch(ctx, layer)
	if err != nil {
		return nil, 0, o.failed(ctx, err)
	}
	return body, layer.Size, nil
}

// manifest reads a manifest by its digest, and holds it to that; or by a tag.
func (o OCI) manifest(ctx context.Context, repo *remote.Repository, reference string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, smallTimeout, errTooSlow)
	defer cancel()
	_, body, err := repo.Manifests().FetchReference(ctx, reference)
	if err != nil {
		return nil, o.failed(ctx, err)
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, maxManifest+1))
	switch {
	case err != nil:
		return nil, o.failed(ctx, err)
	case len(raw) > maxManifest:
		return nil, kit.Stall(otav1alpha1.TooLargeReason, "the manifest of %s is larger than the limit of %d bytes", o, maxManifest)
	case strings.HasPrefix(reference, "sha256:") && digestOf(raw) != reference:
		return nil, kit.Retry(otav1alpha1.DigestMismatchReason, "the registry gave a manifest of %s with another digest", o)
	}
	return raw, nil
}

func digestOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// layer finds the artifact among the layers of a manifest. An index is refused also when it says that it is a manifest: what
// counts is what it holds (CVE-2021-41190).
func (o OCI) layer(raw []byte) (ocispec.Descriptor, error) {
	var m struct {
		ocispec.Manifest
		Manifests json.RawMessage `json:"manifests"`
	}
	err := json.Unmarshal(raw, &m)
	switch {
	case err != nil || m.SchemaVersion != 2:
		return ocispec.Descriptor{}, kit.Stall(otav1alpha1.InvalidSpecReason, "%s is no manifest of an image or artifact of OCI", o)
	case m.Manifests != nil, strings.Contains(m.MediaType, "index"), strings.Contains(m.MediaType, "manifest.list"):
		return ocispec.Descriptor{}, kit.Stall(otav1alpha1.InvalidSpecReason,
			"%s is an index of images: expected the digest of one manifest in it, such as that of one platform", o)
	}
	for _, layer := range m.Layers {
		if layer.Digest == digest.Digest(o.Layer) && layer.Size >= 0 {
			return layer, nil
		}
	}
	return ocispec.Descriptor{}, kit.Stall(otav1alpha1.InvalidSpecReason,
		"%s has no layer with the digest %s: expected spec.digest to be that of one of its %d layers", o, o.Layer, len(m.Layers))
}

// failed types an error of the registry client, whose texts may hold what the registry sent.
func (o OCI) failed(ctx context.Context, err error) error {
	if answer, ok := errors.AsType[*errcode.ErrorResponse](err); ok {
		return statusError(o, answer.StatusCode)
	}
	_, isURL := errors.AsType[*url.Error](err)
	_, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return kit.Retry(otav1alpha1.SourceNotFoundReason, "%s is not there, or not all of it", o)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return kit.Retry(otav1alpha1.SourceAccessDeniedReason, "%s may not be read without credentials: set pullSecretRef", o)
	case strings.Contains(err.Error(), "bearer realm"): // of oras-go, which has no type for it
		return kit.Retry(otav1alpha1.FetchFailedReason, "%s names a token server that gets no login: expected one at the host name of the registry itself or at "+
			"a public address, by https if the registry is asked so; --allow-address does not change that (docs/egress.md)", o)
	case !isURL && !isNet && ctx.Err() == nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return kit.Retry(otav1alpha1.FetchFailedReason, "%s could not be fetched: the answer is not that of a registry, or names a token server that is not asked", o)
	}
	return failed(ctx, o, err)
}
