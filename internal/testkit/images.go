// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/windlass-dev/windlass/internal/devcluster"
)

// Media types of what cosign attaches.
const (
	bundleType        = "application/vnd.dev.sigstore.bundle.v0.3+json"
	simpleSigningType = "application/vnd.dev.cosign.simplesigning.v1+json"
)

// Images is a repository of a real container registry. It may be stopped before the test ends.
type Images struct {
	*devcluster.Registry
	repo *remote.Repository
}

// NewImages starts a registry. With users, given as names and passwords, it lets only them in.
func NewImages(tb testing.TB, users map[string]string) *Images {
	tb.Helper()
	r, err := devcluster.StartRegistry(tb.Context(), tb.TempDir(), users)
	if err != nil {
		tb.Fatalf("no registry for this test: %v", err)
	}
	tb.Cleanup(r.Stop)
	repo, err := remote.NewRepository(r.Host + "/shop/updates")
	if err != nil {
		tb.Fatalf("no repository for this test: %v", err)
	}
	client := &auth.Client{Client: &http.Client{Timeout: Timeout}}
	for name, password := range users {
		client.Credential = auth.StaticCredential(r.Host, auth.Credential{Username: name, Password: password})
	}
	repo.PlainHTTP, repo.Client = true, client
	return &Images{Registry: r, repo: repo}
}

// Push makes an image of layers, and gives its manifest and its name by digest.
func (i *Images) Push(tb testing.TB, layers ...[]byte) (manifest []byte, image string) {
	tb.Helper()
	var m ocispec.Manifest
	for _, layer := range layers {
		m.Layers = append(m.Layers, i.blob(tb, "application/zip", layer))
	}
	manifest = i.manifest(tb, m, "")
	return manifest, i.Host + "/shop/updates@" + digest.FromBytes(manifest).String()
}

// Attach attaches a Sigstore bundle to an image as a referrer, as cosign 3 does.
func (i *Images) Attach(tb testing.TB, manifest, bundle []byte) {
	tb.Helper()
	i.manifest(tb, ocispec.Manifest{
		ArtifactType: bundleType, Subject: new(descriptorOf(ocispec.MediaTypeImageManifest, manifest)),
		Layers: []ocispec.Descriptor{i.blob(tb, bundleType, bundle)},
	}, "")
}

// Tag attaches a payload of simple signing and its signature by a tag, as cosign 1 and 2 do.
func (i *Images) Tag(tb testing.TB, manifest, payload, signature []byte) {
	tb.Helper()
	layer := i.blob(tb, simpleSigningType, payload)
	layer.Annotations = map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signature)}
	i.manifest(tb, ocispec.Manifest{Layers: []ocispec.Descriptor{layer}}, strings.Replace(digest.FromBytes(manifest).String(), ":", "-", 1)+".sig")
}

// SimpleSigning is the payload that cosign signs for an image.
func SimpleSigning(manifest []byte) []byte {
	return []byte(`{"critical":{"identity":{"docker-reference":"shop/updates"},"image":{"docker-manifest-digest":"` +
		digest.FromBytes(manifest).String() + `"},"type":"cosign container image signature"},"optional":null}`)
}

func descriptorOf(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

func (i *Images) blob(tb testing.TB, mediaType string, raw []byte) ocispec.Descriptor {
	tb.Helper()
	d := descriptorOf(mediaType, raw)
	if err := i.repo.Blobs().Push(tb.Context(), d, bytes.NewReader(raw)); err != nil {
		tb.Fatalf("push a blob: %v", err)
	}
	return d
}

// manifest pushes a manifest by its digest, or by a tag.
func (i *Images) manifest(tb testing.TB, m ocispec.Manifest, tag string) []byte {
	tb.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	m.Config = i.blob(tb, ocispec.MediaTypeEmptyJSON, []byte("{}"))
	raw, err := json.Marshal(m)
	if err != nil {
		tb.Fatalf("encode a manifest: %v", err)
	}
	d := descriptorOf(m.MediaType, raw)
	if tag == "" {
		tag = d.Digest.String()
	}
	if err := i.repo.Manifests().PushReference(tb.Context(), d, bytes.NewReader(raw), tag); err != nil {
		tb.Fatalf("push a manifest: %v", err)
	}
	return raw
}
