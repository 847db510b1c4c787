// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package author_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sigbundle "github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/windlass-dev/windlass/internal/author"
	"github.com/windlass-dev/windlass/internal/verify"
)

const digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" // of test

// foreign verifies a bundle with sigstore-go alone, as cosign and others do.
func foreign(t testing.TB, key author.Key, h crypto.Hash, file []byte, artifact sigverify.ArtifactPolicyOption) error {
	t.Helper()
	b := &sigbundle.Bundle{}
	if err := b.UnmarshalJSON(file); err != nil {
		return err
	}
	der, _ := pem.Decode(key.PublicPEM())
	public, err := x509.ParsePKIXPublicKey(der.Bytes)
	must(t, public, err)
	verifier, err := signature.LoadVerifier(public, h)
	must(t, verifier, err)
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(verifier, time.Time{}, time.Time{}), nil
	})
	v, err := sigverify.NewVerifier(material, sigverify.WithNoObserverTimestamps())
	must(t, v, err)
	_, err = v.Verify(b, sigverify.NewPolicy(artifact, sigverify.WithKey()))
	return err
}

func TestBundle(t *testing.T) {
	artifact := []byte("test")
	for name, text := range privateKeys(t) {
		key := parse(t, text)
		signed, err := key.Sign(bytes.NewReader(artifact), 0)
		must(t, signed, err)
		file, err := signed.Bundle()
		if name == "Ed25519" {
			if err == nil {
				t.Error("there is a bundle over a digest that Ed25519 did not sign")
			}
			continue
		}
		must(t, file, err)
		if err := foreign(t, key, signed.Hash, file, sigverify.WithArtifact(bytes.NewReader(artifact))); err != nil {
			t.Errorf("%s: sigstore-go refuses the bundle: %v", name, err)
		}
		if err := foreign(t, key, signed.Hash, file, sigverify.WithArtifact(strings.NewReader("other"))); err == nil {
			t.Errorf("%s: sigstore-go takes the bundle for another artifact", name)
		}
		if got := matches(t, key, signed.Hash, artifact, file); strings.Contains(got, " ") || got == "" {
			t.Errorf("%s: package verify refuses the bundle: %s", name, got)
		}
	}
}

func TestAttest(t *testing.T) {
	type predicate struct {
		Files int `json:"files"`
	}
	other := strings.Replace(digest, "9f86", "0000", 1)
	about := []author.Subject{{Name: "plaintext", Digest: digest}, {Name: "ciphertext", Digest: other}}
	statement, err := author.Statement("https://example.com/facts/v1", predicate{3}, about...)
	must(t, statement, err)
	for name, text := range privateKeys(t) {
		key := parse(t, text)
		file, err := key.Attest(statement)
		must(t, file, err)
		h := map[string]crypto.Hash{"P-384": crypto.SHA384, "P-521": crypto.SHA512}[name]
		if h == 0 {
			h = crypto.SHA256
		}
		raw := []byte{0x9f, 0x86, 0xd0, 0x81, 0x88, 0x4c, 0x7d, 0x65, 0x9a, 0x2f, 0xea, 0xa0, 0xc5, 0x5a, 0xd0, 0x15, 0xa3, 0xbf, 0x4f, 0x1b, 0x2b, 0x0b, 0x82, 0x2c, 0xd1, 0x5d, 0x6c, 0x15, 0xb0, 0xf0, 0x0a, 0x08}
		if err := foreign(t, key, h, file, sigverify.WithArtifactDigest("sha256", raw)); err != nil {
			t.Errorf("%s: sigstore-go refuses the statement: %v", name, err)
		}
		got, match, err := verify.VerifyStatement(time.Now(), []verify.Authority{{Name: "ci", Key: key.Public()}}, file)
		if err != nil {
			t.Errorf("%s: package verify refuses the statement: %v", name, err)
			continue
		}
		want := verify.Statement{
			PredicateType: "https://example.com/facts/v1", Predicate: []byte(`{"files":3}`),
			Digests: map[string]string{"plaintext": digest, "ciphertext": other},
		}
		if diff := cmp.Diff(want, got); diff != "" || match.Authority != "ci" {
			t.Errorf("%s: statement of %s (-want +got):\n%s", name, match.Authority, diff)
		}
		kind, subjects, err := author.ReadStatement(file)
		if diff := cmp.Diff(about, subjects); err != nil || kind != want.PredicateType || diff != "" {
			t.Errorf("%s: read again: %s, %v (-want +got):\n%s", name, kind, err, diff)
		}
	}
	if _, err := author.Statement("x", nil, author.Subject{Name: "a", Digest: "sha512:00"}); err == nil {
		t.Error("a digest of another hash is taken for SHA-256")
	}
}

// The same bytes come out each time: Ed25519 signs without chance, and protojson's spaces are gone.
func TestAttest_deterministic(t *testing.T) {
	key := parse(t, privateKeys(t)["Ed25519"])
	one, err := key.Attest([]byte(`{}`))
	must(t, one, err)
	if compact := new(bytes.Buffer); json.Compact(compact, one) != nil || !bytes.Equal(append(compact.Bytes(), '\n'), one) {
		t.Errorf("the bundle has spaces: %s", one)
	}
}

func TestReadStatement_refuses(t *testing.T) {
	key := parse(t, privateKeys(t)["P-256"])
	signed, err := key.Sign(strings.NewReader("test"), 0)
	must(t, signed, err)
	signature, err := signed.Bundle()
	must(t, signature, err)
	noJSON, err := key.Attest([]byte(`no JSON`))
	must(t, noJSON, err)
	for name, file := range map[string][]byte{"nothing": nil, "no bundle": []byte("[]"), "a signature": signature, "no statement": noJSON} {
		if _, _, err := author.ReadStatement(file); err == nil || !strings.HasPrefix(err.Error(), "expected ") {
			t.Errorf("%s: got %v, want an error that says what was expected", name, err)
		}
	}
}
