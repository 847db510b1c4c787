// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package signatures_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/windlass-dev/windlass/internal/verify"
)

// goods counts good signatures of one class.
type goods struct {
	class          string
	tried, refused int
}

func (g *goods) try(t *testing.T, content []byte, s signed, what string) {
	t.Helper()
	g.tried++
	if !accepted(t, content, s.file, s.authority) {
		g.refused++
		sig, err := verify.DecodeSignature(s.file)
		t.Errorf("%s: refused: %s: %d bytes, error %v", g.class, what, len(sig.Bytes()), err)
	}
}

func (g *goods) print() {
	fmt.Fprintf(os.Stdout, "GOOD signatures-%s %d REFUSED %d\n", g.class, g.tried, g.refused)
}

// tool runs a program in a folder with an artifact.
type tool struct {
	t       *testing.T
	dir     string
	content []byte
}

func newTool(t *testing.T, name, packageName string) tool {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed: apt-get install %s", name, packageName)
	}
	w := tool{t: t, dir: t.TempDir(), content: bytes.Repeat([]byte("artifact"), 20_000)}
	must(t, 0, os.WriteFile(filepath.Join(w.dir, "artifact"), w.content, 0o600))
	return w
}

func (w tool) run(args ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), args[0], args[1:]...)
	cmd.Dir = w.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// result is the file sig with the key in file pub.
func (w tool) result(sig, pub string) signed {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, pub))
	key, err2 := verify.ParsePublicKey(must(w.t, text, err))
	must(w.t, key, err2)
	file, err := os.ReadFile(filepath.Join(w.dir, sig))
	return signed{verify.Authority{Name: "ci", Key: key}, must(w.t, file, err)}
}

func TestGood_openssl(t *testing.T) {
	w := newTool(t, "openssl", "openssl")
	g := &goods{class: "openssl"}
	defer g.print()
	keys := map[string][]string{
		"P-256": {"EC", "ec_paramgen_curve:P-256"}, "P-384": {"EC", "ec_paramgen_curve:P-384"}, "P-521": {"EC", "ec_paramgen_curve:P-521"},
		"RSA": {"RSA", "rsa_keygen_bits:2048"}, "RSA-3072": {"RSA", "rsa_keygen_bits:3072"},
	}
	for name, key := range keys {
		w.run("openssl", "genpkey", "-algorithm", key[0], "-pkeyopt", key[1], "-out", name)
		w.run("openssl", "pkey", "-in", name, "-pubout", "-out", name+".pub")
	}
	for _, tc := range [][]string{
		{"P-256", "sha256"}, {"P-384", "sha384"}, {"P-384", "sha256"}, {"P-521", "sha512"}, {"P-521", "sha256"}, {"RSA", "sha256"}, {"RSA", "sha512"}, {"RSA-3072", "sha256"},
		{"RSA", "sha256", "-sigopt", "rsa_padding_mode:pss"}, {"RSA", "sha512", "-sigopt", "rsa_padding_mode:pss"},
		{"RSA-3072", "sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:0"},
	} {
		w.run(append(append([]string{"openssl", "dgst", "-" + tc[1], "-sign", tc[0], "-out", "sig"}, tc[2:]...), "artifact")...)
		w.run("openssl", "base64", "-in", "sig", "-out", "sig.b64")
		g.try(t, w.content, w.result("sig", tc[0]+".pub"), fmt.Sprint(tc))
		g.try(t, w.content, w.result("sig.b64", tc[0]+".pub"), fmt.Sprint(tc, "in base64"))
	}
	w.run("openssl", "genpkey", "-algorithm", "ED25519", "-out", "ed")
	w.run("openssl", "pkey", "-in", "ed", "-pubout", "-out", "ed.pub")
	w.run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", "ed", "-in", "artifact", "-out", "sig")
	g.try(t, w.content, w.result("sig", "ed.pub"), "Ed25519")
}

func TestGood_minisign(t *testing.T) {
	w := newTool(t, "minisign", "minisign")
	g := &goods{class: "minisign"}
	defer g.print()
	for i := range 5 {
		pub, sec, sig := fmt.Sprintf("%d.pub", i), fmt.Sprintf("%d.sec", i), fmt.Sprintf("%d.minisig", i)
		w.run("minisign", "-G", "-W", "-p", pub, "-s", sec)
		w.run("minisign", "-S", "-s", sec, "-m", "artifact", "-x", sig, "-t", about.App+"/"+about.Version)
		g.try(t, w.content, w.result(sig, pub), sig)
		w.run("openssl", "base64", "-A", "-in", sig, "-out", "b64")
		g.try(t, w.content, w.result("b64", pub), sig+" in base64")
	}
}

// Bundles by the code that cosign signs with.
func TestGood_sigstore(t *testing.T) {
	content := bytes.Repeat([]byte("artifact"), 20_000)
	g := &goods{class: "sigstore-go"}
	defer g.print()
	for _, kind := range []protocommon.PublicKeyDetails{
		protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, protocommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
		protocommon.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512, protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256,
		protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256, protocommon.PublicKeyDetails_PKIX_ED25519_PH,
	} {
		pair, err := sign.NewEphemeralKeypair(&sign.EphemeralKeypairOptions{Algorithm: kind})
		must(t, pair, err)
		text, err := pair.GetPublicKeyPem()
		key, err2 := verify.ParsePublicKey([]byte(must(t, text, err)))
		authority := verify.Authority{Name: "ci", Key: must(t, key, err2)}
		contents := map[string]sign.Content{"blob": &sign.PlainData{Data: content}}
		if kind != protocommon.PublicKeyDetails_PKIX_ED25519_PH { // DSSE is signed with plain Ed25519
			contents["statement"] = &sign.DSSEData{Data: marshal(t, provenance(content)), PayloadType: "application/vnd.in-toto+json"}
		}
		for name, what := range contents {
			b, err := sign.Bundle(what, pair, sign.BundleOptions{Context: t.Context()})
			file, err2 := protojson.Marshal(must(t, b, err))
			g.try(t, content, signed{authority, must(t, file, err2)}, kind.String()+" "+name)
		}
	}
}

func TestGood_keyless(t *testing.T) {
	content := bytes.Repeat([]byte("artifact"), 20_000)
	g := &goods{class: "bundles"}
	defer g.print()
	for name, good := range bundles(t, content) {
		g.try(t, content, good, name)
	}
}
