// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

// Limits of what is attached to an image. Whoever may push to the repository can attach more.
const (
	maxAttachments = 32      // signatures
	maxAttachment  = 1 << 20 // bytes of one
	maxAttached    = 4 << 20 // bytes of all
	attachTimeout  = 2 * time.Minute
)

// How cosign attaches signatures (cosign, specs/SIGNATURE_SPEC.md and specs/BUNDLE_SPEC.md).
const (
	bundleType          = "application/vnd.dev.sigstore.bundle.v0.3+json"
	simpleSigningType   = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	// certificateAnnotation is on keyless signatures of cosign 1 and 2, whose evidence is spread over annotations.
	certificateAnnotation = "dev.sigstore.cosign/certificate"
)

// Attachment is a signature that is attached to an image.
type Attachment struct {
	// Manifest of the image, whose digest is that of OCI.Image.
	Manifest []byte
	// Signed is what the signature is over: Manifest, or a payload of simple signing, which names Manifest by its digest.
	Signed []byte
	// File is the signature: a Sigstore bundle when Payload is false, else a decoded signature over Signed.
	File []byte
	// Payload tells that Signed is a payload of simple signing, which has to be held against Manifest.
	Payload bool
}

// Attachments reads the signatures that cosign attached to the image: bundles as referrers, or the tag sha256-<hex>.sig. There
// is at least one without an error. They are not verified, only what is asked for by digest has that digest.
func (o OCI) Attachments(ctx context.Context, c *Client) ([]Attachment, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, attachTimeout, errTooSlow)
	defer cancel()
	repo, ref, err := o.repository(c)
	if err != nil {
		return nil, err
	}
	a := attached{OCI: o, repo: repo, digest: ref.Reference, left: maxAttached}
	if a.manifest, err = o.manifest(ctx, repo, a.digest); err != nil {
		return nil, err
	}
	if err := a.referrers(ctx); err != nil {
		return nil, err
	}
	if err := a.tag(ctx); err != nil {
		return nil, err
	}
	switch {
	case len(a.found) > 0:
		return a.found, nil
	case a.legacy:
		return nil, kit.Retry(otav1alpha1.SignatureUnreadableReason,
			"%s has keyless signatures in the form of cosign 2 only: sign with cosign 3 or later, which attaches Sigstore bundles", o)
	}
	return nil, kit.Retry(otav1alpha1.SignatureUnreadableReason,
		"no signature is attached to %s: sign the image by its digest with cosign 3 or later", o)
}

// attached gathers the signatures of one image.
type attached struct {
	OCI
	repo     *remote.Repository
	digest   string
	manifest []byte
	found    []Attachment
	left     int64 // bytes that may still be read
	legacy   bool  // there are signatures that are not read
}

// errMany ends a list of referrers.
var errMany = errors.New("too many signatures")

// referrers reads the bundles of the referrers API, or of the tag that stands in for it.
func (a *attached) referrers(ctx context.Context) error {
	subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(a.digest), Size: int64(len(a.manifest))}
	var list []ocispec.Descriptor
	err := a.repo.Referrers(ctx, subject, bundleType, func(page []ocispec.Descriptor) error {
		if list = append(list, page...); len(list) > maxAttachments {
			return errMany
		}
		return nil
	})
	if errors.Is(err, errMany) {
		return a.tooMany()
	}
	if err != nil {
		return a.failed(ctx, err)
	}
	for _, d := range list {
		if err := a.referrer(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// referrer reads one manifest with a bundle. What has another form than cosign's is passed over, as other tools attach things too.
func (a *attached) referrer(ctx context.Context, d ocispec.Descriptor) error {
	if !sha256Form.MatchString(d.Digest.String()) {
		return nil
	}
	raw, err := a.OCI.manifest(ctx, a.repo, d.Digest.String())
	if err != nil {
		return err
	}
	m := parseManifest(raw)
	if m.Subject == nil || m.Subject.Digest.String() != a.digest {
		return nil
	}
	for _, layer := range m.Layers {
		if layer.MediaType != bundleType {
			continue
		}
		file, err := a.blob(ctx, layer)
		if err != nil {
			return err
		}
		if err := a.add(Attachment{Signed: a.manifest, File: file}); err != nil {
			return err
		}
	}
	return nil
}

// tag reads the signatures of cosign 1 and 2.
func (a *attached) tag(ctx context.Context) error {
	raw, err := a.OCI.manifest(ctx, a.repo, strings.Replace(a.digest, ":", "-", 1)+".sig")
	if err != nil {
		if kit.Classify(err).Reason == otav1alpha1.SourceNotFoundReason {
			return nil
		}
		return err
	}
	for _, layer := range parseManifest(raw).Layers {
		if layer.MediaType != simpleSigningType {
			continue
		}
		if layer.Annotations[certificateAnnotation] != "" {
			a.legacy = true
			continue
		}
		signature, err := base64.StdEncoding.DecodeString(layer.Annotations[signatureAnnotation])
		if err != nil || len(signature) == 0 {
			continue
		}
		payload, err := a.blob(ctx, layer)
		if err != nil {
			return err
		}
		if err := a.add(Attachment{Signed: payload, File: signature, Payload: true}); err != nil {
			return err
		}
	}
	return nil
}

// parseManifest reads a manifest. What is none has no layers.
func parseManifest(raw []byte) ocispec.Manifest {
	var m ocispec.Manifest
	if json.Unmarshal(raw, &m) != nil {
		return ocispec.Manifest{}
	}
	return m
}

func (a *attached) add(found Attachment) error {
	if len(a.found) == maxAttachments {
		return a.tooMany()
	}
	found.Manifest = a.manifest
	a.found = append(a.found, found)
	return nil
}

func (a *attached) tooMany() error {
	return kit.Retry(otav1alpha1.SignatureUnreadableReason, "%s has more than %d signatures attached, which is the most that are read", a, maxAttachments)
}

// blob reads a small layer and holds it to its digest.
func (a *attached) blob(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	if limit := min(maxAttachment, a.left); d.Size < 0 || d.Size > limit {
		return nil, kit.Retry(otav1alpha1.SignatureUnreadableReason,
			"a signature that is attached to %s has %d bytes, expected at most %d, and %d with all others", a, d.Size, maxAttachment, maxAttached)
	}
	body, err := a.repo.Blobs().Fetch(ctx, d)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, d.Size+1))
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	if int64(len(raw)) != d.Size || digestOf(raw) != d.Digest.String() {
		return nil, kit.Retry(otav1alpha1.SignatureUnreadableReason, "the registry gave a signature of %s with another digest", a)
	}
	a.left -= d.Size
	return raw, nil
}
