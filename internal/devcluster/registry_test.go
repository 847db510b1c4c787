// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// What is pushed is kept, and who has no password is not let in.
func TestStartRegistry(t *testing.T) {
	r, err := StartRegistry(t.Context(), t.TempDir(), map[string]string{"ci": "password"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	repo, err := remote.NewRepository(r.Host + "/shop/updates")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	blob := []byte("artifact")
	desc := ocispec.Descriptor{MediaType: "application/zip", Digest: digest.FromBytes(blob), Size: int64(len(blob))}
	repo.Client = &auth.Client{Client: http.DefaultClient}
	if err := repo.Push(t.Context(), desc, bytes.NewReader(blob)); err == nil {
		t.Error("the registry takes what nobody signed in for")
	}
	repo.Client = &auth.Client{Client: http.DefaultClient, Credential: auth.StaticCredential(r.Host, auth.Credential{Username: "ci", Password: "password"})}
	if err := repo.Push(t.Context(), desc, bytes.NewReader(blob)); err != nil {
		t.Fatal(err)
	}
	if ok, err := repo.Exists(t.Context(), desc); err != nil || !ok {
		t.Errorf("got %v and error %v, want the blob that was pushed", ok, err)
	}
}
