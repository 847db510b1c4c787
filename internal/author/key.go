// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package author makes what the author of an update makes, in CI and away from the operator: archives, signatures and signed
// statements. Package verify is its other half. It is pure: keys, readers and file systems are given to it.
package author

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/windlass-dev/windlass/internal/verify"
)

// ErrEncryptedKey is in the chain of errors about private keys that a password protects.
var ErrEncryptedKey = errors.New("the private key is encrypted")

// Key is a private key that signs. Nothing prints it.
type Key struct {
	signer crypto.Signer
	public verify.Key
	pem    []byte // the public half
	der    []byte // the same, SubjectPublicKeyInfo
}

// Public is the half that verifies.
func (k Key) Public() verify.Key { return k.public }

// PublicPEM is the half that verifies, as spec.trust of a Repository takes it.
func (k Key) PublicPEM() []byte { return k.pem }

// String names the kind of key: ECDSA-P256, Ed25519 or RSA.
func (k Key) String() string { return k.public.String() }

// ParsePrivateKey reads one private key in PEM: PKCS#8 (PRIVATE KEY), SEC 1 (EC PRIVATE KEY) or PKCS#1 (RSA PRIVATE KEY), of the
// kinds that package verify accepts. Its errors never quote the input; those about encrypted keys have ErrEncryptedKey in
// their chain.
func ParsePrivateKey(text []byte) (Key, error) {
	block, rest := pem.Decode(text)
	if block != nil && block.Type == "EC PARAMETERS" { // openssl ecparam -genkey writes the curve first
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return Key{}, errors.New("no PEM block found: expected a private key that starts with -----BEGIN PRIVATE KEY-----")
	}
	if bytes.Contains(rest, []byte("-----BEGIN ")) {
		return Key{}, errors.New("more than one PEM block found: expected one private key")
	}
	parsed, err := parsePrivate(block)
	if err != nil {
		return Key{}, err
	}
	return newKey(parsed)
}

func parsePrivate(block *pem.Block) (any, error) {
	var parsed any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		return nil, fmt.Errorf("%w with a password of cosign: hand over to cosign with --cosign -- --key FILE", ErrEncryptedKey)
	case "ENCRYPTED PRIVATE KEY":
		return nil, fmt.Errorf("%w: decrypt it where CI keeps its secrets (openssl pkey -in key.pem), and give the result", ErrEncryptedKey)
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return nil, errors.New("this is a public key, expected the private key that signs")
	default:
		return nil, fmt.Errorf("the PEM block is a %.40q, expected PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY", block.Type)
	}
	if block.Headers["DEK-Info"] != "" { // RFC 1421, as openssl wrote it before version 3
		return nil, fmt.Errorf("%w: decrypt it where CI keeps its secrets (openssl pkey -in key.pem), and give the result", ErrEncryptedKey)
	}
	if err != nil { // the cause may hold bytes of the key
		return nil, fmt.Errorf("the %s cannot be read: make a new one with openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", block.Type)
	}
	return parsed, nil
}

// newKey accepts the private keys whose public half package verify accepts.
func newKey(parsed any) (Key, error) {
	var signer crypto.Signer
	switch private := parsed.(type) {
	case *ecdsa.PrivateKey:
		signer = private
	case *rsa.PrivateKey:
		signer = private
	case ed25519.PrivateKey:
		signer = private
	default:
		return Key{}, fmt.Errorf("the key is a %T, expected ECDSA, Ed25519 or RSA", parsed)
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return Key{}, fmt.Errorf("encode public key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	public, err := verify.ParsePublicKey(text)
	if err != nil {
		return Key{}, err
	}
	return Key{signer: signer, public: public, pem: text, der: der}, nil
}
