// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"testing"
)

// CapgoKey is the key pair of an app, as capgo key create makes it.
type CapgoKey struct{ private *rsa.PrivateKey }

// NewCapgoKey makes a key of 2048 bits.
func NewCapgoKey(tb testing.TB) *CapgoKey {
	tb.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatalf("make an app's key: %v", err)
	}
	return &CapgoKey{private}
}

// PublicPEM is the public key in PKCS#1, as the app carries it.
func (k *CapgoKey) PublicPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&k.private.PublicKey)}))
}

// ID is the key id that devices report.
func (k *CapgoKey) ID() string {
	return base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&k.private.PublicKey))[:20]
}

// Seal does the private-key operation over a value, with padding of block type 1.
func (k *CapgoKey) Seal(tb testing.TB, value []byte) []byte {
	tb.Helper()
	out, err := rsa.SignPKCS1v15(nil, k.private, 0, value)
	if err != nil {
		tb.Fatalf("seal %d bytes: %v", len(value), err)
	}
	return out
}

// CapgoBundle is what capgo bundle encrypt makes of an archive.
type CapgoBundle struct {
	Content    []byte
	SessionKey string
	Checksum   string
}

// Encrypt does what capgo bundle encrypt does.
func (k *CapgoKey) Encrypt(tb testing.TB, archive []byte) *CapgoBundle {
	tb.Helper()
	secret := make([]byte, 2*aes.BlockSize)
	if _, err := rand.Read(secret); err != nil {
		tb.Fatalf("make a session key: %v", err)
	}
	key, iv := secret[:aes.BlockSize], secret[aes.BlockSize:]
	sum := sha256.Sum256(archive)
	return &CapgoBundle{
		Content:    EncryptCBC(tb, key, iv, PadBlocks(archive)),
		SessionKey: base64.StdEncoding.EncodeToString(iv) + ":" + base64.StdEncoding.EncodeToString(k.Seal(tb, key)),
		Checksum:   hex.EncodeToString(k.Seal(tb, sum[:])),
	}
}

// PadBlocks pads to whole blocks of AES as PKCS#7 says.
func PadBlocks(plain []byte) []byte {
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	return append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
}

// EncryptCBC encrypts whole blocks.
func EncryptCBC(tb testing.TB, key, iv, blocks []byte) []byte {
	tb.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		tb.Fatalf("encrypt: %v", err)
	}
	out := make([]byte, len(blocks))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, blocks)
	return out
}
