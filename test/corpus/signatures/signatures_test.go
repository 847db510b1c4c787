// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package signatures_test holds what internal/verify accepts and refuses against changed, forged and good signatures, and counts.
package signatures_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"testing"
	"time"

	"aead.dev/minisign"

	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify"
)

const (
	issuer  = "https://token.actions.githubusercontent.com"
	subject = "https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main"
	seed    = 4
)

var about = verify.Subject{App: "shop", Version: "1.4.0"}

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// random draws the same for a class each time.
func random(class string) *mathrand.Rand {
	sum := sha256.Sum256([]byte(class))
	return mathrand.New(mathrand.NewPCG(seed, uint64(sum[0])<<8|uint64(sum[1])))
}

// flip changes one bit.
func flip(r *mathrand.Rand, content []byte) []byte {
	out := bytes.Clone(content)
	out[r.IntN(len(out))] ^= 1 << r.IntN(8)
	return out
}

// tally counts one class and prints it.
type tally struct {
	class                 string
	tried, accepted, same int
}

// try counts a bad input. Same: the change changed nothing that anyone signed or reads, so it may be accepted, and is counted apart.
func (c *tally) try(t *testing.T, accepted, same bool, what string) {
	t.Helper()
	switch {
	case accepted && same:
		c.same++
		return
	case accepted:
		c.accepted++
		t.Errorf("%s: accepted: %s", c.class, what)
	}
	c.tried++
}

func (c *tally) print(t *testing.T, atLeast int) {
	t.Helper()
	fmt.Fprintf(os.Stdout, "TRIED signatures-%s %d ACCEPTED %d\n", c.class, c.tried, c.accepted)
	if c.same > 0 {
		fmt.Fprintf(os.Stdout, "SAME signatures-%s %d: the change is none to the meaning, and it is accepted\n", c.class, c.same)
	}
	if c.tried < atLeast {
		t.Errorf("%s: tried %d, want at least %d", c.class, c.tried, atLeast)
	}
}

// accepted tells whether any authority takes the file as a signature of the artifact. A file that cannot be read is not taken.
func accepted(t testing.TB, content, file []byte, authorities ...verify.Authority) bool {
	t.Helper()
	sig, err := verify.DecodeSignature(file)
	if err != nil {
		return false
	}
	v, err := verify.New(time.Now(), about, authorities, []verify.Signature{sig})
	must(t, v, err)
	must(t, 0, write(v, content))
	return len(v.Matches()) > 0
}

func write(v *verify.Verifier, content []byte) error {
	_, err := v.Write(content)
	return err
}

// signed is a good signature and who made it.
type signed struct {
	authority verify.Authority
	file      []byte
}

func publicKey(t testing.TB, key crypto.PublicKey) verify.Authority {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	must(t, der, err)
	parsed, err := verify.ParsePublicKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return verify.Authority{Name: "ci", Key: must(t, parsed, err)}
}

func keyless(t testing.TB, s *testkit.Sigstore) verify.Authority {
	t.Helper()
	root, err := verify.ParseTrustedRoot(s.TrustedRoot())
	return verify.Authority{Name: "ci", Identity: &verify.Identity{Issuer: issuer, Subject: subject, Root: must(t, root, err)}}
}

func newSigstore(t testing.TB) *testkit.Sigstore {
	t.Helper()
	s, err := testkit.NewSigstore()
	return must(t, s, err)
}

// detached are good signatures by key, over an artifact.
func detached(t testing.TB, content []byte) map[string]signed {
	t.Helper()
	out := map[string]signed{}
	small, large := sha256.Sum256(content), sha512.Sum384(content)
	for name, tc := range map[string]struct {
		curve  elliptic.Curve
		digest []byte
	}{"p256": {elliptic.P256(), small[:]}, "p384": {elliptic.P384(), large[:]}} {
		key, err := ecdsa.GenerateKey(tc.curve, rand.Reader)
		must(t, key, err)
		sig, err := ecdsa.SignASN1(rand.Reader, key, tc.digest)
		out[name] = signed{publicKey(t, &key.PublicKey), must(t, sig, err)}
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, public, err)
	out["ed25519"] = signed{publicKey(t, public), ed25519.Sign(private, content)}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, key, err)
	pkcs, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, small[:])
	out["rsa-pkcs1"] = signed{publicKey(t, &key.PublicKey), must(t, pkcs, err)}
	pss, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, small[:], nil)
	out["rsa-pss"] = signed{publicKey(t, &key.PublicKey), must(t, pss, err)}
	return out
}

// minisigned is a good signature of minisign with a trusted comment.
func minisigned(t testing.TB, content []byte, comment string) signed {
	t.Helper()
	public, private, err := minisign.GenerateKey(rand.Reader)
	must(t, public, err)
	return signed{minisignKey(t, public), minisignBy(t, private, content, comment)}
}

func minisignKey(t testing.TB, public minisign.PublicKey) verify.Authority {
	t.Helper()
	text, err := public.MarshalText()
	key, err2 := verify.ParsePublicKey(must(t, text, err))
	return verify.Authority{Name: "ci", Key: must(t, key, err2)}
}

func minisignBy(t testing.TB, private minisign.PrivateKey, content []byte, comment string) []byte {
	t.Helper()
	r := minisign.NewReader(bytes.NewReader(content))
	_, err := new(bytes.Buffer).ReadFrom(r)
	must(t, 0, err)
	return r.SignWithComments(private, comment, "signature of a test")
}

type object = map[string]any

// provenance is an in-toto statement with SLSA provenance 1 over the artifact.
func provenance(content []byte) object {
	sum := sha256.Sum256(content)
	return object{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
		"subject": []any{object{"name": "shop.zip", "digest": object{"sha256": hex.EncodeToString(sum[:])}}},
		"predicate": object{
			"buildDefinition": object{
				"externalParameters":   object{"workflow": object{"ref": "refs/heads/main", "repository": "https://github.com/acme/shop"}},
				"resolvedDependencies": []any{object{"uri": "git+https://github.com/acme/shop@refs/heads/main"}},
			},
			"runDetails": object{"builder": object{"id": builder}},
		},
	}
}

const builder = "https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main"

func policy() *verify.Provenance {
	return &verify.Provenance{BuilderID: builder, SourceRepository: "https://github.com/acme/shop", Ref: "refs/heads/main"}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	return must(t, text, err)
}

// bundles are good Sigstore bundles of all kinds.
func bundles(t testing.TB, content []byte) map[string]signed {
	t.Helper()
	s := newSigstore(t)
	out := map[string]signed{}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, key, err)
	private, byKey := keyless(t, s), publicKey(t, &key.PublicKey)
	private.Identity.LogOptional = true
	for name, tc := range map[string]struct {
		authority verify.Authority
		signing   testkit.Signing
	}{
		"0.3": {keyless(t, s), testkit.Signing{}}, "0.2": {keyless(t, s), testkit.Signing{Version: "0.2"}},
		"0.1": {keyless(t, s), testkit.Signing{Version: "0.1"}}, "key": {byKey, testkit.Signing{ByKey: true, Key: key}},
		"timestamp": {private, testkit.Signing{NoLog: true, Timestamp: true}},
	} {
		tc.signing.Issuer, tc.signing.Subject = issuer, subject
		blob, err := s.Blob(tc.signing, content)
		out["blob-"+name] = signed{tc.authority, must(t, blob, err)}
		statement, err := s.Statement(tc.signing, marshal(t, provenance(content)))
		out["statement-"+name] = signed{tc.authority, must(t, statement, err)}
	}
	return out
}
