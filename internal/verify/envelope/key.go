// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"

	"github.com/windlass-dev/windlass/internal/verify"
)

// keyIDSize is how many characters of the body of a PEM file name its key to Capgo's clients and server.
const keyIDSize = 20

// sizes of keys in bytes. The CLI makes the first; clients take any that their system's RSA takes.
var sizes = []int{2048 / 8, 3072 / 8, 4096 / 8}

// minPadding is how many bytes of padding an encrypted value has at least (RFC 8017, 9.2).
const minPadding = 8

// PublicKey is the RSA key that an app carries. It undoes what the app's private key, which CI has, did.
type PublicKey struct {
	rsa *rsa.PublicKey
	der []byte // PKCS#1
}

// ParsePublicKey reads the key of an app in PEM: PKCS#1 as capgo key create writes it, or SubjectPublicKeyInfo. Errors say what
// was found instead, and never quote the input.
func ParsePublicKey(text []byte) (PublicKey, error) {
	key, err := verify.ParsePublicKey(text)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w; the key of a Capgo app is in the file .capgo_key_v2.pub", err)
	}
	pub := key.RSA()
	switch {
	case pub == nil:
		return PublicKey{}, fmt.Errorf("the key is of kind %s, expected RSA: the key of a Capgo app is in the file .capgo_key_v2.pub", key)
	case pub.N.BitLen()%8 != 0 || !slices.Contains(sizes, pub.Size()):
		return PublicKey{}, fmt.Errorf("the RSA key has %d bits, expected 2048, 3072 or 4096", pub.N.BitLen())
	case pub.E < 3 || pub.E%2 == 0 || pub.N.Bit(0) == 0:
		return PublicKey{}, fmt.Errorf("the RSA key has the exponent %d or an even modulus: it protects nothing, make a new one with capgo key create", pub.E)
	}
	return PublicKey{rsa: pub, der: x509.MarshalPKCS1PublicKey(pub)}, nil
}

// ID is what Capgo calls the key id: the first 20 characters of the body of the key's PKCS#1 PEM. The first 12 are the same for
// all keys of a size; the rest are 48 bits of the modulus.
func (k PublicKey) ID() string { return base64.StdEncoding.EncodeToString(k.der)[:keyIDSize] }

// DER is the key in PKCS#1, which tells keys apart that share an id.
func (k PublicKey) DER() []byte { return k.der }

// recover undoes the private-key operation (RFC 8017, 5.2.2) over a value that was padded as block type 1 (9.2, but without a
// hash around the value). What it recovers was made with the private key: nobody else can make padding of that length.
func (k PublicKey) recover(sealed []byte) ([]byte, bool) {
	if len(sealed) != k.rsa.Size() {
		return nil, false
	}
	c := new(big.Int).SetBytes(sealed)
	if c.Cmp(k.rsa.N) >= 0 {
		return nil, false
	}
	block := new(big.Int).Exp(c, big.NewInt(int64(k.rsa.E)), k.rsa.N)
	return unpad(block.FillBytes(make([]byte, len(sealed))))
}

// unpad takes the padding off: 00 01, at least eight FF, 00.
func unpad(block []byte) ([]byte, bool) {
	if len(block) < minPadding+3 || block[0] != 0 || block[1] != 1 {
		return nil, false
	}
	end := 2
	for end < len(block) && block[end] == 0xff {
		end++
	}
	if end < 2+minPadding || end == len(block) || block[end] != 0 {
		return nil, false
	}
	return block[end+1:], true
}
