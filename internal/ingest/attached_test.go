// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"encoding/base64"
	"strings"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/author"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// image is a job over the first layer of an image, with what is attached to it.
func (b *bench) image(t *testing.T, name string, layer []byte) ingest.Job {
	t.Helper()
	job := b.job(t, &testkit.Artifact{Digest: testkit.Digest(layer)})
	job.Source, job.Attached = source.OCI{Image: name, Layer: job.Digest}, true
	return job
}

// approval is what cosign signs for an image by keyless identity.
func approval(t *testing.T, manifest []byte) []byte {
	t.Helper()
	return must[[]byte](t)(author.Statement("https://sigstore.dev/cosign/sign/v1", struct{}{}, about(manifest)...))
}

func decoded(t *testing.T, text string) []byte {
	t.Helper()
	return must[[]byte](t)(base64.StdEncoding.DecodeString(text))
}

// Signatures that are attached to the image count, whichever way; what was verified can be verified again without the registry.
func TestWorker_attached(t *testing.T) {
	s, github := keyless(t)
	zip := testkit.Zip(t, map[string]string{"a": "1"})
	for name, sign := range map[string]func(t *testing.T, b *bench, i *testkit.Images, manifest []byte) (authority string){
		"bundle over the manifest": func(t *testing.T, _ *bench, i *testkit.Images, manifest []byte) string {
			i.Attach(t, manifest, must[[]byte](t)(s.SignBlob(issuer, workflow, manifest)))
			return "github"
		},
		"statement about the manifest": func(t *testing.T, _ *bench, i *testkit.Images, manifest []byte) string {
			i.Attach(t, manifest, must[[]byte](t)(s.SignStatement(issuer, workflow, approval(t, manifest))))
			return "github"
		},
		"simple signing": func(t *testing.T, b *bench, i *testkit.Images, manifest []byte) string {
			payload := testkit.SimpleSigning(manifest)
			i.Tag(t, manifest, payload, decoded(t, b.author.Sign(t, payload)))
			return "ci"
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, images := newBench(t, source.Options{}), testkit.NewImages(t, nil)
			manifest, ref := images.Push(t, zip, []byte("another layer"))
			job := b.image(t, ref, zip)
			job.Authorities = append(job.Authorities, github)
			want := sign(t, b, images, manifest)
			res, err := b.worker.Run(t.Context(), job)
			if err != nil || len(res.Matches) != 1 || res.Matches[0].Authority != want || res.Matches[0].Format != otav1alpha1.FormatCosignImage || res.Matches[0].Evidence == "" {
				t.Fatalf("matches are %+v, error %v", res.Matches, err)
			}
			images.Stop()
			if _, err := b.worker.Run(t.Context(), job); kit.Classify(err).Class != kit.Transient {
				t.Errorf("got error %v, want one that may pass", err)
			}
			job.Known = []ingest.Known{{Format: otav1alpha1.FormatCosignImage, Evidence: res.Matches[0].Evidence}}
			if again, err := b.worker.Run(t.Context(), job); err != nil || len(again.Matches) != 1 || again.Matches[0].Evidence != res.Matches[0].Evidence {
				t.Errorf("matches are %+v, error %v without the registry", again.Matches, err)
			}
		})
	}
}

// What is attached must be about this image, and the image must have the artifact.
func TestWorker_attachedRefused(t *testing.T) {
	s, github := keyless(t)
	zip, other := testkit.Zip(t, map[string]string{"a": "1"}), []byte(`{"schemaVersion":2,"layers":[]}`)
	for name, tc := range map[string]struct {
		sign   func(t *testing.T, b *bench, i *testkit.Images, manifest []byte)
		digest string
		reason string
		want   string
	}{
		"nothing attached": {func(*testing.T, *bench, *testkit.Images, []byte) {}, "", otav1alpha1.SignatureUnreadableReason, "no signature is attached"},
		"bundle over another manifest": {func(t *testing.T, _ *bench, i *testkit.Images, manifest []byte) {
			i.Attach(t, manifest, must[[]byte](t)(s.SignBlob(issuer, workflow, other)))
		}, "", otav1alpha1.SignatureInvalidReason, "attached signature 1 of 1"},
		"bundle over the artifact": {func(t *testing.T, _ *bench, i *testkit.Images, manifest []byte) {
			i.Attach(t, manifest, must[[]byte](t)(s.SignBlob(issuer, workflow, zip)))
		}, "", otav1alpha1.SignatureInvalidReason, "attached signature 1 of 1"},
		"statement that is no approval": {func(t *testing.T, _ *bench, i *testkit.Images, manifest []byte) {
			sbom := must[[]byte](t)(author.Statement("https://spdx.dev/Document/v2.3", struct{}{}, about(manifest)...))
			i.Attach(t, manifest, must[[]byte](t)(s.SignStatement(issuer, workflow, sbom)))
		}, "", otav1alpha1.SignatureInvalidReason, "spdx"},
		"payload of another manifest": {func(t *testing.T, b *bench, i *testkit.Images, manifest []byte) {
			payload := testkit.SimpleSigning(other)
			i.Tag(t, manifest, payload, decoded(t, b.author.Sign(t, payload)))
		}, "", otav1alpha1.SignatureInvalidReason, "it is about manifest " + testkit.Digest(other)},
		"payload that is none": {func(t *testing.T, b *bench, i *testkit.Images, manifest []byte) {
			i.Tag(t, manifest, []byte("{}"), decoded(t, b.author.Sign(t, []byte("{}"))))
		}, "", otav1alpha1.SignatureInvalidReason, "payload"},
		"stranger": {func(t *testing.T, _ *bench, i *testkit.Images, manifest []byte) {
			i.Attach(t, manifest, must[[]byte](t)(s.SignBlob(issuer, workflow+"x", manifest)))
		}, "", otav1alpha1.SignatureInvalidReason, "github"},
		"image without the artifact": {func(t *testing.T, _ *bench, i *testkit.Images, manifest []byte) {
			i.Attach(t, manifest, must[[]byte](t)(s.SignBlob(issuer, workflow, manifest)))
		}, testkit.Digest(other), otav1alpha1.InvalidSpecReason, "no layer with the digest"},
	} {
		t.Run(name, func(t *testing.T) {
			b, images := newBench(t, source.Options{}), testkit.NewImages(t, nil)
			manifest, ref := images.Push(t, zip)
			job := b.image(t, ref, zip)
			job.Authorities = append(job.Authorities, github)
			if tc.digest != "" {
				job.Digest, job.Source = tc.digest, source.OCI{Image: ref, Layer: tc.digest}
			}
			tc.sign(t, b, images, manifest)
			_, err := b.worker.Run(t.Context(), job)
			if err == nil || kit.Classify(err).Reason != tc.reason || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want %s that says %q", err, tc.reason, tc.want)
			}
			if keys := b.objects(t); len(keys) > 0 {
				t.Errorf("the bucket has %v of a refused artifact", keys)
			}
		})
	}
}

// An artifact that is in the bucket already is still held against the image that was signed.
func TestWorker_attachedStored(t *testing.T) {
	s, github := keyless(t)
	b, images := newBench(t, source.Options{}), testkit.NewImages(t, nil)
	zip, evil := testkit.Zip(t, map[string]string{"a": "1"}), testkit.Zip(t, map[string]string{"a": "2"})
	if _, err := b.worker.Run(t.Context(), b.job(t, b.site.Publish(t, "/a", evil, b.author))); err != nil {
		t.Fatal(err)
	}
	manifest, ref := images.Push(t, zip)
	images.Attach(t, manifest, must[[]byte](t)(s.SignBlob(issuer, workflow, manifest)))
	job := b.image(t, ref, evil)
	job.Authorities = append(job.Authorities[:0], github)
	if res, err := b.worker.Run(t.Context(), job); kit.Classify(err).Reason != otav1alpha1.InvalidSpecReason || res.Reached != ingest.Fetched {
		t.Errorf("reached %s with error %v: the image does not have this artifact", res.Reached, err)
	}
}
