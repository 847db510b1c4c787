// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/verify"
)

// openssl runs the tool that most authors sign with.
func openssl(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

// Signatures by the real openssl, with the commands that the manual gives, match under their names.
func TestVerifier_openssl(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	ec := func(curve string) []string {
		return []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" + curve}
	}
	rsa := []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}
	dgst := func(hash string, more ...string) []string {
		return append(append([]string{"dgst", "-" + hash, "-sign", "key.pem", "-out", "sig"}, more...), "artifact")
	}
	for name, tc := range map[string]struct{ key, sign []string }{
		"ECDSA-P256-SHA256":   {ec("P-256"), dgst("sha256")},
		"ECDSA-P384-SHA384":   {ec("P-384"), dgst("sha384")},
		"ECDSA-P384-SHA256":   {ec("P-384"), dgst("sha256")},
		"ECDSA-P521-SHA512":   {ec("P-521"), dgst("sha512")},
		"ECDSA-P521-SHA256":   {ec("P-521"), dgst("sha256")},
		"Ed25519":             {[]string{"-algorithm", "ED25519"}, []string{"pkeyutl", "-sign", "-rawin", "-inkey", "key.pem", "-in", "artifact", "-out", "sig"}},
		"RSA-PKCS1v15-SHA256": {rsa, dgst("sha256")},
		"RSA-PKCS1v15-SHA512": {rsa, dgst("sha512")},
		"RSA-PSS-SHA256":      {rsa, dgst("sha256", "-sigopt", "rsa_padding_mode:pss")},
		"RSA-PSS-SHA512":      {rsa, dgst("sha512", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			content := bytes.Repeat([]byte(name), 5000)
			if err := os.WriteFile(filepath.Join(dir, "artifact"), content, 0o600); err != nil {
				t.Fatal(err)
			}
			openssl(t, dir, append([]string{"genpkey", "-out", "key.pem"}, tc.key...)...)
			openssl(t, dir, "pkey", "-in", "key.pem", "-pubout", "-out", "pub.pem")
			openssl(t, dir, tc.sign...)
			public, err := os.ReadFile(filepath.Join(dir, "pub.pem"))
			key, err2 := verify.ParsePublicKey(must(t, public, err))
			ci := []verify.Authority{{Name: "ci", Key: must(t, key, err2)}}
			sig, err := os.ReadFile(filepath.Join(dir, "sig"))
			must(t, sig, err)
			for _, file := range [][]byte{sig, []byte(base64.StdEncoding.EncodeToString(sig) + "\n")} {
				if diff := cmp.Diff(map[string]string{"ci": name}, check(t, content, ci, decode(t, file))); diff != "" {
					t.Errorf("match (-want +got):\n%s", diff)
				}
			}
			content[len(content)/2] ^= 1
			if got := check(t, content, ci, decode(t, sig)); len(got) > 0 {
				t.Errorf("a changed artifact matches: %v", got)
			}
		})
	}
}
