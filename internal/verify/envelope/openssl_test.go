// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What openssl encrypts in the same format is opened: nothing of the format is our own idea.
func TestOpen_openssl(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	openssl := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		t.Fatal(err)
	}
	archive := make([]byte, 100_001)
	sum := sha256.Sum256(archive)
	write("archive", archive)
	write("aes", secret[:16])
	write("sum", sum[:])
	for _, bits := range []string{"2048", "4096"} {
		openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:"+bits, "-out", "key.pem")
		openssl("rsa", "-in", "key.pem", "-RSAPublicKey_out", "-out", "pub.pem")
		openssl("enc", "-aes-128-cbc", "-K", hex.EncodeToString(secret[:16]), "-iv", hex.EncodeToString(secret[16:]), "-in", "archive", "-out", "artifact")
		for _, name := range []string{"aes", "sum"} { // without a digest, the value is padded as it is
			openssl("pkeyutl", "-sign", "-inkey", "key.pem", "-pkeyopt", "rsa_padding_mode:pkcs1", "-in", name, "-out", name+".sealed")
		}
		session := base64.StdEncoding.EncodeToString(secret[16:]) + ":" + base64.StdEncoding.EncodeToString(read("aes.sealed"))
		_, opener, err := open(read("artifact"), session, hex.EncodeToString(read("sum.sealed")), "", public(t, string(read("pub.pem"))))
		if err != nil {
			t.Errorf("%s bits: opened by %q with error %v", bits, opener.KeyID, err)
		}
	}
}
