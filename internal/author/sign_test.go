// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package author_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/author"
	"github.com/windlass-dev/windlass/internal/verify"
)

func must[T any](t testing.TB, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(t testing.TB, private any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	return block("PRIVATE KEY", must(t, der, err))
}

// privateKeys are one of each kind and form, by name. They are made once: RSA takes its time.
func privateKeys(t testing.TB) map[string][]byte {
	t.Helper()
	made.Do(func() { keys = makeKeys(t) })
	return keys
}

var (
	made sync.Once
	keys map[string][]byte
)

func makeKeys(t testing.TB) map[string][]byte {
	t.Helper()
	ec := func(c elliptic.Curve) *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		return must(t, key, err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, rsaKey, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, ed, err)
	p256 := ec(elliptic.P256())
	sec1, err := x509.MarshalECPrivateKey(p256)
	must(t, sec1, err)
	return map[string][]byte{
		"P-256":       pkcs8(t, p256),
		"P-256 SEC 1": append(block("EC PARAMETERS", []byte{6, 1, 0}), block("EC PRIVATE KEY", sec1)...),
		"P-384":       pkcs8(t, ec(elliptic.P384())),
		"P-521":       pkcs8(t, ec(elliptic.P521())),
		"RSA":         pkcs8(t, rsaKey),
		"RSA PKCS #1": block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)),
		"Ed25519":     pkcs8(t, ed),
	}
}

func parse(t testing.TB, text []byte) author.Key {
	t.Helper()
	key, err := author.ParsePrivateKey(text)
	return must(t, key, err)
}

// matches tells under which name package verify takes a signature, or why not.
func matches(t testing.TB, key author.Key, h crypto.Hash, artifact, file []byte) string {
	t.Helper()
	s, err := verify.DecodeSignature(file)
	must(t, s, err)
	v, err := verify.New(time.Now(), verify.Subject{}, []verify.Authority{{Name: "ci", Key: key.Public(), Hash: h}}, []verify.Signature{s})
	must(t, v, err)
	if _, err := v.Write(artifact); err != nil {
		t.Fatal(err)
	}
	if m := v.Matches(); len(m) == 1 {
		return m[0].Algorithm
	}
	return strings.Join(v.Refusals(), "; ")
}

func TestSign_verify(t *testing.T) {
	artifact := bytes.Repeat([]byte("artifact"), 100_000)
	keys := privateKeys(t)
	for _, tc := range []struct {
		key  string
		hash crypto.Hash
		want string
	}{
		{"P-256", 0, "ECDSA-P256-SHA256"},
		{"P-256 SEC 1", 0, "ECDSA-P256-SHA256"},
		{"P-384", 0, "ECDSA-P384-SHA384"},
		{"P-384", crypto.SHA256, "ECDSA-P384-SHA256"},
		{"P-521", 0, "ECDSA-P521-SHA512"},
		{"RSA", 0, "RSA-PKCS1v15-SHA256"},
		{"RSA PKCS #1", crypto.SHA512, "RSA-PKCS1v15-SHA512"},
		{"Ed25519", 0, "Ed25519"},
	} {
		t.Run(tc.want, func(t *testing.T) {
			key := parse(t, keys[tc.key])
			signed, err := key.Sign(bytes.NewReader(artifact), tc.hash)
			must(t, signed, err)
			if got := matches(t, key, signed.Hash, artifact, signed.Signature); got != tc.want {
				t.Errorf("the signature matches as %q, want %q", got, tc.want)
			}
			if got := matches(t, key, signed.Hash, append([]byte("x"), artifact...), signed.Signature); got == tc.want {
				t.Error("another artifact matches")
			}
		})
	}
}

func TestSign_refusesHash(t *testing.T) {
	keys := privateKeys(t)
	for key, hash := range map[string]crypto.Hash{"P-256": crypto.SHA512, "P-384": crypto.SHA512, "RSA": crypto.SHA384, "Ed25519": crypto.SHA512} {
		if _, err := parse(t, keys[key]).Sign(strings.NewReader("x"), hash); err == nil {
			t.Errorf("%s signs %v, which nothing verifies", key, hash)
		}
	}
}

// Our detached signatures are those that people check with openssl.
func TestSign_openssl(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	for name, text := range privateKeys(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			content := []byte(strings.Repeat(name, 5000))
			key := parse(t, text)
			signed, err := key.Sign(bytes.NewReader(content), 0)
			must(t, signed, err)
			for file, what := range map[string][]byte{"artifact": content, "sig": signed.Signature, "pub.pem": key.PublicPEM()} {
				if err := os.WriteFile(filepath.Join(dir, file), what, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			args := []string{"dgst", "-" + strings.ReplaceAll(strings.ToLower(signed.Hash.String()), "-", ""), "-verify", "pub.pem", "-signature", "sig", "artifact"}
			if signed.Hash == 0 {
				args = []string{"pkeyutl", "-verify", "-pubin", "-inkey", "pub.pem", "-rawin", "-in", "artifact", "-sigfile", "sig"}
			}
			cmd := exec.CommandContext(t.Context(), "openssl", args...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("openssl %v: %v\n%s", args, err, out)
			}
		})
	}
}

// The two passes give what RFC 8032 says: Ed25519 is deterministic, so the bytes are those of the standard library.
func TestSign_ed25519(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		private := ed25519.NewKeyFromSeed(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "seed"))
		message := rapid.SliceOf(rapid.Byte()).Draw(rt, "message")
		signed, err := parse(t, pkcs8(t, private)).Sign(bytes.NewReader(message), 0)
		if err != nil || !bytes.Equal(signed.Signature, ed25519.Sign(private, message)) {
			rt.Fatalf("got %x and %v", signed.Signature, err)
		}
	})
}

// changing gives other bytes each time that it is read from the start.
type changing struct {
	io.ReadSeeker
	passes [][]byte
}

func (c *changing) Seek(int64, int) (int64, error) {
	c.ReadSeeker, c.passes = bytes.NewReader(c.passes[0]), c.passes[1:]
	return 0, nil
}

// With two messages under one nonce, anybody could compute the private key.
func TestSign_changedMeanwhile(t *testing.T) {
	key := parse(t, privateKeys(t)["Ed25519"])
	signed, err := key.Sign(&changing{passes: [][]byte{[]byte("first"), []byte("other")}}, 0)
	if !errors.Is(err, author.ErrChanged) || signed.Signature != nil {
		t.Errorf("got signature %x and error %v, want none and ErrChanged", signed.Signature, err)
	}
}

// endless is an artifact of a size that nobody has in memory.
type endless struct{ left, size int64 }

func (e *endless) Seek(int64, int) (int64, error) { e.left = e.size; return 0, nil }
func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(e.left, int64(len(p)))
	e.left -= n
	return int(n), nil
}

func TestSign_memory(t *testing.T) {
	const size = 128 << 20
	for _, name := range []string{"P-256", "Ed25519"} {
		key := parse(t, privateKeys(t)[name])
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := key.Sign(&endless{size: size}, 0); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%s: %d KiB were allocated for %d MiB, want at most 1 MiB", name, got>>10, size>>20)
		}
	}
}

func TestParsePrivateKey_refuses(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, small, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, p224, err)
	good := privateKeys(t)["P-256"]
	for name, tc := range map[string]struct {
		text []byte
		want string
	}{
		"nothing":         {nil, "no PEM block"},
		"two":             {append(bytes.Clone(good), good...), "more than one"},
		"public":          {parse(t, good).PublicPEM(), "public key, expected the private key"},
		"garbage":         {block("PRIVATE KEY", []byte("garbage-bytes")), "cannot be read"},
		"certificate":     {block("CERTIFICATE", []byte("x")), "CERTIFICATE"},
		"of cosign":       {block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("{}")), "--cosign"},
		"encrypted":       {block("ENCRYPTED PRIVATE KEY", []byte("x")), "openssl pkey"},
		"encrypted, old":  {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("x")}), "openssl pkey"},
		"small RSA":       {pkcs8(t, small), "1024 bits"},
		"curve":           {pkcs8(t, p224), "P-224"},
		"only parameters": {block("EC PARAMETERS", []byte{6, 1, 0}), "no PEM block"},
	} {
		_, err := author.ParsePrivateKey(tc.text)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error that says %q", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "garbage-bytes") {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
		if encrypted := strings.Contains(name, "encrypted") || name == "of cosign"; encrypted != errors.Is(err, author.ErrEncryptedKey) {
			t.Errorf("%s: ErrEncryptedKey in the chain of %v: %v", name, err, !encrypted)
		}
	}
}

func FuzzParsePrivateKey(f *testing.F) {
	for _, text := range privateKeys(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := author.ParsePrivateKey(text)
		if err != nil {
			return
		}
		signed, err := key.Sign(strings.NewReader("artifact"), 0)
		if err != nil {
			t.Skip(err) // an inconsistent RSA key
		}
		if got := matches(t, key, signed.Hash, []byte("artifact"), signed.Signature); strings.Contains(got, " ") {
			t.Errorf("a key that is accepted makes a signature that is not: %s", got)
		}
	})
}
