// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/verify"
)

// maxManifest is how large a manifest may be, in bytes (OCI distribution specification 1.1, "Pushing manifests").
const maxManifest = 4 << 20

// simpleSigning is the evidence of a signature by tag: what cosign signed, and the signature.
type simpleSigning struct {
	PayloadType string `json:"payloadType"`
	Payload     []byte `json:"payload"`
	Signature   []byte `json:"signature"`
}

const simpleSigningType = "application/vnd.dev.cosign.simplesigning.v1+json"

// attach gets the signatures that are attached to the image of the artifact. They are over its manifest, which names the artifact
// by its digest.
func (r *run) attach(ctx context.Context) error {
	if !r.job.Attached {
		return nil
	}
	image, ok := r.job.Source.(source.OCI)
	if !ok {
		return kit.Stall(otav1alpha1.InvalidSpecReason, "attached signatures are those of an image, expected source.oci")
	}
	known, err := r.recallAttached(ctx, image)
	if err != nil {
		return err
	}
	found, err := image.Attachments(ctx, r.Client)
	if err != nil && len(known) == 0 {
		return err
	}
	r.gone = cmp.Or(r.gone, err)
	r.attached = found
	for _, k := range known {
		if !slices.ContainsFunc(found, func(a source.Attachment) bool { return bytes.Equal(a.File, k.File) }) {
			r.attached = append(r.attached, k)
		}
	}
	return nil
}

// recallAttached gives what was attached when it counted before: registries forget, and what is attached changes.
func (r *run) recallAttached(ctx context.Context, image source.OCI) ([]source.Attachment, error) {
	_, digest, _ := strings.Cut(image.Image, "@")
	manifest, err := r.recall(ctx, digest, maxManifest)
	if err != nil || manifest == nil {
		return nil, err
	}
	var out []source.Attachment
	for _, k := range r.job.Known {
		if k.Format != otav1alpha1.FormatCosignImage {
			continue
		}
		file, err := r.recall(ctx, k.Evidence, verify.MaxSignatureFile)
		if err != nil {
			return nil, err
		}
		var s simpleSigning
		switch err := json.Unmarshal(file, &s); {
		case err == nil && s.PayloadType == simpleSigningType:
			out = append(out, source.Attachment{Manifest: manifest, Signed: s.Payload, File: s.Signature, Payload: true})
		case err == nil:
			out = append(out, source.Attachment{Manifest: manifest, Signed: manifest, File: file})
		}
	}
	return out, nil
}

// matchAttached verifies what is attached, each signature over what it is made over. It tells why one that matches nobody does not.
func (r *run) matchAttached() (matches []Match, refusals []string, err error) {
	for i, a := range r.attached {
		if err := r.names(a.Manifest); err != nil {
			return nil, nil, err
		}
		matched, why := r.matchOne(a)
		for _, m := range matched {
			matches = append(matches, Match{Match: m, Format: otav1alpha1.FormatCosignImage, Evidence: r.keepAttached(a)})
		}
		if len(matched) == 0 {
			refusals = append(refusals, fmt.Sprintf("attached signature %d of %d: %s", i+1, len(r.attached), why))
		}
	}
	return matches, refusals, nil
}

func (r *run) matchOne(a source.Attachment) (matches []verify.Match, why string) {
	if a.Payload {
		about, err := verify.ParseSimpleSigning(a.Signed)
		switch {
		case err != nil:
			return nil, err.Error()
		case about != digestOf(a.Manifest):
			return nil, fmt.Sprintf("it is about manifest %s, expected %s", about, digestOf(a.Manifest))
		}
	}
	file := a.File
	if a.Payload { // bytes of a signature may look like base64
		file = []byte(base64.StdEncoding.EncodeToString(a.File))
	}
	signature, err := verify.DecodeSignature(file)
	if err != nil {
		return nil, err.Error()
	}
	v, err := verify.New(r.Now(), verify.Subject{Payload: a.Payload}, r.job.Authorities, []verify.Signature{signature})
	if err != nil {
		return nil, err.Error()
	}
	_, _ = v.Write(a.Signed) // does not fail
	return v.Matches(), strings.Join(v.Refusals(), "; ")
}

// names tells whether a manifest has the artifact for one of its layers: who signed it meant these bytes.
func (r *run) names(manifest []byte) error {
	var m struct {
		Layers []struct {
			Digest string `json:"digest"`
		} `json:"layers"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return kit.Stall(otav1alpha1.InvalidSpecReason, "%s is no manifest of an image or artifact of OCI", r.job.Source)
	}
	for _, layer := range m.Layers {
		if layer.Digest == r.job.Digest {
			return nil
		}
	}
	return kit.Stall(otav1alpha1.InvalidSpecReason, "%s has no layer with the digest %s: expected spec.digest to be that of one of its %d layers",
		r.job.Source, r.job.Digest, len(m.Layers))
}

// keepAttached keeps the manifest, and what was signed of it. It gives the digest of the latter.
func (r *run) keepAttached(a source.Attachment) string {
	r.keep(a.Manifest)
	if !a.Payload {
		return r.keep(slices.Clone(a.File))
	}
	file, err := json.Marshal(simpleSigning{PayloadType: simpleSigningType, Payload: a.Signed, Signature: a.File})
	if err != nil {
		return "" // bytes and texts can be encoded
	}
	return r.keep(file)
}
