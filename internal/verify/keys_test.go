// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/verify"
)

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func publicPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(t, der, err)})
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	return must(t, key, err)
}

// ed25519KeyOf encodes 32 bytes as a public key (RFC 8410).
func ed25519KeyOf(point []byte) []byte {
	der := append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}, point...)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestParsePublicKey_accepts(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, ed, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, rsaKey, err)
	for want, key := range map[string]crypto.Signer{
		"ECDSA-P256": ecKey(t, elliptic.P256()), "ECDSA-P384": ecKey(t, elliptic.P384()), "ECDSA-P521": ecKey(t, elliptic.P521()),
		"Ed25519": ed, "RSA": rsaKey,
	} {
		text := publicPEM(t, key)
		got, err := verify.ParsePublicKey(append([]byte("# our key\n"), text...))
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		block, _ := pem.Decode(text)
		sum := sha256.Sum256(block.Bytes)
		if id := hex.EncodeToString(sum[:8]); got.ID() != id || got.String() != want {
			t.Errorf("got key %s %s, want %s %s", got, got.ID(), want, id)
		}
	}
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)})
	a, err := verify.ParsePublicKey(pkcs1)
	must(t, a, err)
	if b, _ := verify.ParsePublicKey(publicPEM(t, rsaKey)); a.ID() != b.ID() {
		t.Errorf("one key has two ids, %s and %s, by how it is written", a.ID(), b.ID())
	}
}

func TestParsePublicKey_refuses(t *testing.T) {
	ec := ecKey(t, elliptic.P256())
	private, err := x509.MarshalPKCS8PrivateKey(ec)
	must(t, private, err)
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour),
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &ec.PublicKey, ec)
	must(t, cert, err)
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	must(t, x25519, err)
	x25519DER, err := x509.MarshalPKIXPublicKey(x25519.PublicKey())
	must(t, x25519DER, err)
	good := string(publicPEM(t, ec))
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	identity := make([]byte, 32)
	identity[0] = 1
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":          {"", "no PEM block"},
		"garbage":          {"not a key", "no PEM block"},
		"an OpenSSH key":   {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA ci@example", "no PEM block"},
		"private":          {secret, "private key"},
		"private and more": {secret + good, "more than one PEM block"},
		"two keys":         {good + good, "more than one PEM block"},
		"certificate":      {block("CERTIFICATE", cert), "certificate"},
		"bad DER":          {block("PUBLIC KEY", []byte("garbage")), "cannot be read"},
		"bad PKCS#1":       {block("RSA PUBLIC KEY", []byte("garbage")), "cannot be read"},
		"other block":      {block("PGP MESSAGE", []byte("garbage")), "expected PUBLIC KEY"},
		"P-224":            {string(publicPEM(t, ecKey(t, elliptic.P224()))), "P-224"},
		"weak RSA":         {weakRSA, "1024 bits"},
		"X25519":           {block("PUBLIC KEY", x25519DER), "expected ECDSA, Ed25519 or RSA"},
		"no point":         {string(ed25519KeyOf(append([]byte{2}, make([]byte, 31)...))), "not a point"},
		"small order":      {string(ed25519KeyOf(identity)), "small order"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verify.ParsePublicKey([]byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got error %v, want one that says %q", err, tc.want)
			}
			if body := strings.Split(secret, "\n")[1]; strings.Contains(err.Error(), body[:16]) {
				t.Error("the error quotes the private key")
			}
		})
	}
}

// weakRSA was made by openssl genrsa 1024; Go refuses to make one.
const weakRSA = `-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCxlYDH1++EuhGU/eKhDKlF9djy
HF30Zvwrbez9s/9YZy294LiA0eu8WJ7SZ2xcw+48XE/aR0/G0uctNQFtU8gzehCk
pi5NNpg7wS5/cXtCaBmRVN7s3wsGagknZcrkqXVUiARTLTceZZ4U31dFjY4RO7lZ
IRUYEPDkF/aBtHWP/QIDAQAB
-----END PUBLIC KEY-----
`
