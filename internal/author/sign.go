// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package author

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"filippo.io/edwards25519"
)

// ErrChanged means that an artifact changed while it was being signed.
var ErrChanged = errors.New("the file changed while it was being signed: sign it again once nothing writes to it")

// Signed is a signature over an artifact.
type Signed struct {
	Signature []byte      // ASN.1 for ECDSA, 64 bytes for Ed25519, as long as the modulus for RSA
	Hash      crypto.Hash // that was signed; zero for Ed25519, which signs the artifact itself
	Digest    []byte      // of the artifact with Hash; nil for Ed25519
	key       Key
}

// Sign signs an artifact with constant memory. ECDSA and RSA (PKCS#1 v1.5) sign its hash, which h chooses; zero is the one of
// the curve, and SHA-256 for RSA. Ed25519 takes no hash and reads the artifact twice.
func (k Key) Sign(artifact io.ReadSeeker, h crypto.Hash) (Signed, error) {
	if private, ok := k.signer.(ed25519.PrivateKey); ok {
		if h != 0 {
			return Signed{}, errors.New("an Ed25519 key signs the file itself: give no hash")
		}
		sig, err := signEd25519(private, artifact)
		return Signed{Signature: sig, key: k}, err
	}
	h, err := k.hashOr(h)
	if err != nil {
		return Signed{}, err
	}
	if _, err := artifact.Seek(0, io.SeekStart); err != nil {
		return Signed{}, err
	}
	sum := h.New()
	if _, err := io.Copy(sum, artifact); err != nil {
		return Signed{}, err
	}
	digest := sum.Sum(nil)
	sig, err := k.signer.Sign(rand.Reader, digest, h)
	return Signed{Signature: sig, Hash: h, Digest: digest, key: k}, err
}

// hashOr gives the hash to sign with: one that package verify tries.
func (k Key) hashOr(wanted crypto.Hash) (crypto.Hash, error) {
	hashes := []crypto.Hash{crypto.SHA256, crypto.SHA512} // of RSA
	if private, ok := k.signer.(*ecdsa.PrivateKey); ok {
		hashes = []crypto.Hash{curveHash[private.Curve.Params().BitSize], crypto.SHA256}
	}
	switch {
	case wanted == 0:
		return hashes[0], nil
	case !slices.Contains(hashes, wanted):
		return 0, fmt.Errorf("a key of %s signs %v, got %v: nothing would verify that", k, hashes, wanted)
	}
	return wanted, nil
}

// curveHash is the hash that goes with a curve, by its size in bits (FIPS 186-5).
var curveHash = map[int]crypto.Hash{256: crypto.SHA256, 384: crypto.SHA384, 521: crypto.SHA512}

// signEd25519 signs as RFC 8032, 5.1.6 says, without the artifact in memory: the first pass makes the nonce from it, the second
// one the challenge. A nonce that is used for two artifacts gives the private key away, so that the second pass makes it again
// and nothing is signed when it differs.
func signEd25519(private ed25519.PrivateKey, artifact io.ReadSeeker) ([]byte, error) {
	expanded := sha512.Sum512(private.Seed())
	secret, err := edwards25519.NewScalar().SetBytesWithClamping(expanded[:32])
	if err != nil {
		return nil, err
	}
	nonce := keyed(expanded[32:])
	if err := pass(artifact, nonce); err != nil {
		return nil, err
	}
	r, err := edwards25519.NewScalar().SetUniformBytes(nonce.Sum(nil))
	if err != nil {
		return nil, err
	}
	bigR := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	again, challenge := keyed(expanded[32:]), keyed(bigR, private[32:])
	if err := pass(artifact, again, challenge); err != nil {
		return nil, err
	}
	if !bytes.Equal(nonce.Sum(nil), again.Sum(nil)) {
		return nil, ErrChanged
	}
	k, err := edwards25519.NewScalar().SetUniformBytes(challenge.Sum(nil))
	if err != nil {
		return nil, err
	}
	return append(bigR, edwards25519.NewScalar().MultiplyAdd(k, secret, r).Bytes()...), nil
}

// keyed is a SHA-512 that has these parts behind it.
func keyed(parts ...[]byte) hash.Hash {
	h := sha512.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h
}

// pass feeds the whole artifact to hashes.
func pass(artifact io.ReadSeeker, to ...hash.Hash) error {
	if _, err := artifact.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var writers []io.Writer
	for _, h := range to {
		writers = append(writers, h)
	}
	_, err := io.Copy(io.MultiWriter(writers...), artifact)
	return err
}

// raw signs a short message as DSSE needs it: its hash, or the message itself with Ed25519.
func (k Key) raw(message []byte) ([]byte, error) {
	signed, err := k.Sign(bytes.NewReader(message), 0)
	return signed.Signature, err
}
