// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

func publicPEM(t testing.TB, key *rsa.PrivateKey) string {
	t.Helper()
	return block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey))
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// rawPrivate does the private-key operation over a block as it is (RFC 8017, 5.2.1).
func rawPrivate(key *rsa.PrivateKey, raw []byte) []byte {
	m := new(big.Int).SetBytes(raw)
	return m.Exp(m, key.D, key.N).FillBytes(make([]byte, key.Size()))
}

// One key has one id, however it is written, and it is that of the file that the app carries.
func TestParsePublicKey_id(t *testing.T) {
	pkcs1 := appKeys(t)[0].PublicPEM()
	p, _ := pem.Decode([]byte(pkcs1))
	parsed, err := x509.ParsePKCS1PublicKey(p.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(parsed)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(pkcs1, "\n")[1][:20]
	for _, text := range []string{pkcs1, "our key\n" + pkcs1, block("PUBLIC KEY", spki)} {
		if got := public(t, text).ID(); got != want || got != appKeys(t)[0].ID() {
			t.Errorf("key id is %s, want %s", got, want)
		}
	}
}

func TestParsePublicKey_refuses(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	odd := func(n *big.Int, e int64) string {
		der, err := asn1.Marshal(struct{ N, E *big.Int }{n, big.NewInt(e)})
		if err != nil {
			t.Fatal(err)
		}
		return block("RSA PUBLIC KEY", der)
	}
	bits := func(n uint) *big.Int { return new(big.Int).SetBit(big.NewInt(1), int(n)-1, 1) }
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":      {"", ".capgo_key_v2.pub"},
		"private key":  {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private)), "private key"},
		"ECDSA":        {block("PUBLIC KEY", ecDER), "ECDSA-P256, expected RSA"},
		"1024 bits":    {odd(bits(1024), 65537), "1024 bits"},
		"2560 bits":    {odd(bits(2560), 65537), "2560 bits, expected 2048, 3072 or 4096"},
		"2047 bits":    {odd(bits(2047), 65537), "2047 bits"},
		"4095 bits":    {odd(bits(4095), 65537), "4095 bits"},
		"exponent 1":   {odd(bits(2048), 1), "exponent 1"},
		"exponent 4":   {odd(bits(2048), 4), "exponent 4"},
		"even modulus": {odd(new(big.Int).Sub(bits(2048), big.NewInt(1)), 65537), "even modulus"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := envelope.ParsePublicKey([]byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one that says %q", err, tc.want)
			}
		})
	}
}
