// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"filippo.io/edwards25519"
)

const (
	// minRSA and maxRSA bound the modulus in bits: NIST SP 800-131A asks for 2048, and above 8192 a verification takes
	// long enough to be a burden.
	minRSA = 2048
	maxRSA = 8192
)

// Key is a public key that verifies signatures.
type Key struct {
	spki [sha256.Size]byte // SHA-256 of the SubjectPublicKeyInfo
	mini *[8]byte          // id of a minisign key; nil: another key
	ec   *ecdsa.PublicKey
	rsa  *rsa.PublicKey
	ed   ed25519.PublicKey
	edA  *edwards25519.Point // the point of ed, negated
	name string
}

// ID is the first 16 hexadecimal digits of the SHA-256 of the key's SubjectPublicKeyInfo in DER.
func (k Key) ID() string { return hex.EncodeToString(k.spki[:8]) }

// String names the kind of key: ECDSA-P256, Ed25519, RSA or Minisign.
func (k Key) String() string { return k.name }

// RSA is the key itself when it is one of RSA, else nil.
func (k Key) RSA() *rsa.PublicKey { return k.rsa }

// zero tells whether there is no key.
func (k Key) zero() bool { return k.name == "" }

// MaxPublicKey is the largest text in bytes that ParsePublicKey reads.
const MaxPublicKey = 64 << 10

// ParsePublicKey reads one public key in PEM: ECDSA P-256, P-384 or P-521, Ed25519, or RSA of 2048 to 8192 bits; or the public
// key file of minisign. Its errors say what was found instead and what to do, and never quote the input.
func ParsePublicKey(text []byte) (Key, error) {
	if len(text) > MaxPublicKey {
		return Key{}, fmt.Errorf("the public key has %d bytes, expected at most %d", len(text), MaxPublicKey)
	}
	if raw, ok := minisignText(text); ok {
		return parseMinisignKey(raw)
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return Key{}, errors.New("no PEM block found: expected a public key that starts with -----BEGIN PUBLIC KEY-----, or the .pub file of minisign")
	}
	if bytes.Contains(rest, []byte("-----BEGIN ")) {
		return Key{}, errors.New("more than one PEM block found: expected one public key; make an authority for each key")
	}
	parsed, err := parseBlock(block)
	if err != nil {
		return Key{}, err
	}
	return newKey(parsed)
}

// newKey takes an *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey.
func newKey(parsed any) (Key, error) {
	key, err := accept(parsed)
	if err != nil {
		return Key{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(parsed)
	if err != nil {
		return Key{}, fmt.Errorf("encode public key: %w", err)
	}
	key.spki = sha256.Sum256(der)
	return key, nil
}

func parseBlock(block *pem.Block) (any, error) {
	switch {
	case block.Type == "PUBLIC KEY":
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the public key cannot be read: %w", err)
		}
		return parsed, nil
	case block.Type == "RSA PUBLIC KEY":
		parsed, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the RSA public key cannot be read: %w", err)
		}
		return parsed, nil
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("this is a private key, expected a public key: take it away from here, count it as leaked, " +
			"and give the public half of a new key (openssl pkey -in key.pem -pubout)")
	case block.Type == "CERTIFICATE":
		return nil, errors.New("this is a certificate, expected a public key: take the key out with openssl x509 -in cert.pem -noout -pubkey")
	}
	return nil, fmt.Errorf("the PEM block is a %.40q, expected PUBLIC KEY", block.Type)
}

// accept refuses keys that are too weak, or of a kind that nothing here verifies.
func accept(parsed any) (Key, error) {
	switch pub := parsed.(type) {
	case *ecdsa.PublicKey:
		if _, ok := curveHash[pub.Curve]; !ok {
			return Key{}, fmt.Errorf("the ECDSA key is on curve %s, expected P-256, P-384 or P-521", pub.Curve.Params().Name)
		}
		return Key{ec: pub, name: "ECDSA-" + strings.ReplaceAll(pub.Curve.Params().Name, "-", "")}, nil
	case *rsa.PublicKey:
		if bits := pub.N.BitLen(); bits < minRSA || bits > maxRSA {
			return Key{}, fmt.Errorf("the RSA key has %d bits, expected %d to %d", bits, minRSA, maxRSA)
		}
		return Key{rsa: pub, name: "RSA"}, nil
	case ed25519.PublicKey:
		return acceptEd25519(pub)
	}
	return Key{}, fmt.Errorf("the key is a %T, expected ECDSA, Ed25519 or RSA", parsed)
}

// acceptEd25519 refuses encodings that are no point, and points of small order: for those, signatures exist that match
// almost any message.
func acceptEd25519(pub ed25519.PublicKey) (Key, error) {
	point, err := new(edwards25519.Point).SetBytes(pub)
	if err != nil {
		return Key{}, errors.New("the Ed25519 key is not a point of the curve")
	}
	if new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return Key{}, errors.New("the Ed25519 key is a point of small order, which matches forged signatures: make a new key")
	}
	return Key{ed: pub, edA: new(edwards25519.Point).Negate(point), name: "Ed25519"}, nil
}

// curveHash is the hash that goes with a curve (FIPS 186-5 asks for at least its strength).
var curveHash = map[elliptic.Curve]hashID{
	elliptic.P256(): sha256ID,
	elliptic.P384(): sha384ID,
	elliptic.P521(): sha512ID,
}
