// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Bundles that were made by the public instance of Sigstore, and by others for sigstore-go, are verified as far as it goes without
// their artifacts: identity, certificate, logs, and the signature over the digest. They come with the module of sigstore-go.
func TestPublicBundles(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/sigstore-go").Output()
	if err != nil {
		t.Skipf("the module cache cannot be asked for sigstore-go: %v", err)
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	const github, data = "https://token.actions.githubusercontent.com", "pkg/testing/data/"
	for _, tc := range []struct{ file, root, issuer, subject, builder, repository string }{
		{
			"examples/bundle-provenance.json", "examples/trusted-root-public-good.json", github,
			"https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main",
			"https://github.com/actions/runner", "https://github.com/sigstore/sigstore-js",
		},
		{
			data + "bundles/sigstore.js@2.0.0-provenance.sigstore.json", data + "trusted-roots/public-good.json", github,
			"https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main",
			"https://github.com/actions/runner/github-hosted", "https://github.com/sigstore/sigstore-js",
		},
		{data + "bundles/othername.sigstore.json", data + "trusted-roots/scaffolding.json", "http://oidc.local:8080", "foo!oidc.local", "", ""},
	} {
		t.Run(filepath.Base(tc.file), func(t *testing.T) {
			root, err := ParseTrustedRoot(read(tc.root))
			if err != nil {
				t.Fatal(err)
			}
			sig, err := DecodeSignature(read(tc.file))
			if err != nil {
				t.Fatal(err)
			}
			id := Identity{Issuer: tc.issuer, Subject: tc.subject, Root: root}
			if sig.bundle.statement == nil {
				testPublicMessage(t, id, sig)
				return
			}
			about := sig.bundle.statement.subjects[0]
			if _, err := signedBy(Authority{Name: "ci", Identity: &id}, sig); err != nil {
				t.Errorf("a good bundle of %s: %v", about, err)
			}
			policy := Provenance{BuilderID: tc.builder, SourceRepository: tc.repository, Ref: "refs/heads/main"}
			if err := sig.bundle.statement.approves(&policy); err != nil {
				t.Error(err)
			}
			id.Subject += "x"
			if _, err := signedBy(Authority{Name: "ci", Identity: &id}, sig); err == nil {
				t.Error("another subject is accepted")
			}
		})
	}
}

func testPublicMessage(t *testing.T, id Identity, sig Signature) {
	t.Helper()
	if got := sig.bundle.cert; got.issuer != id.Issuer || got.subject != id.Subject {
		t.Errorf("got issuer %q and subject %q, want %q and %q", got.issuer, got.subject, id.Issuer, id.Subject)
	}
	if err := id.verify(sig.bundle, sig.bundle.hash, sig.bundle.digest); err != nil {
		t.Error(err)
	}
	other := make([]byte, len(sig.bundle.digest))
	if err := id.verify(sig.bundle, sig.bundle.hash, other); err == nil {
		t.Error("another digest is accepted")
	}
}
