// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha512"
	"slices"

	"filippo.io/edwards25519"
)

// checksFor lists the ways in which a signature may be one of an authority's key. None: the two do not fit each other.
func checksFor(a Authority, s Signature) []check {
	switch {
	case a.Key.ec != nil:
		return ecdsaChecks(a, s)
	case a.Key.rsa != nil:
		return rsaChecks(a, s)
	case a.Key.ed != nil:
		return ed25519Checks(a, s)
	}
	return nil
}

func newCheck(a Authority, s Signature, algorithm string) check {
	return check{match: Match{Authority: a.Name, KeyID: a.Key.ID(), Algorithm: algorithm, Signature: s}}
}

// ecdsaChecks tries the hash of the curve, and SHA-256 because many tools use it with every curve.
func ecdsaChecks(a Authority, s Signature) []check {
	if s.raw[0] != asn1Sequence {
		return nil
	}
	var out []check
	for _, h := range slices.Compact([]hashID{curveHash[a.Key.ec.Curve], sha256ID}) {
		c := newCheck(a, s, a.Key.String()+"-"+h.String())
		c.hash = h
		c.test = func(digest []byte) bool { return ecdsa.VerifyASN1(a.Key.ec, digest, s.raw) }
		out = append(out, c)
	}
	return out
}

// rsaChecks tries both paddings (RFC 8017, 8.1 and 8.2); the salt of PSS may have any length.
func rsaChecks(a Authority, s Signature) []check {
	if len(s.raw) != a.Key.rsa.Size() {
		return nil
	}
	var out []check
	for _, h := range []hashID{sha256ID, sha512ID} {
		pkcs, pss := newCheck(a, s, "RSA-PKCS1v15-"+h.String()), newCheck(a, s, "RSA-PSS-"+h.String())
		pkcs.hash, pss.hash = h, h
		pkcs.test = func(digest []byte) bool {
			return rsa.VerifyPKCS1v15(a.Key.rsa, crypto.Hash(h), digest, s.raw) == nil
		}
		pss.test = func(digest []byte) bool {
			return rsa.VerifyPSS(a.Key.rsa, crypto.Hash(h), digest, s.raw, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) == nil
		}
		out = append(out, pkcs, pss)
	}
	return out
}

// ed25519Checks verifies as RFC 8032, 5.1.7 says, without the cofactor, as crypto/ed25519 does: with k = SHA-512(R || A || M)
// it computes [S]B - [k]A and compares its encoding with R. S must be canonical.
func ed25519Checks(a Authority, s Signature) []check {
	if len(s.raw) != ed25519Size {
		return nil
	}
	r, scalar := s.raw[:32], s.raw[32:]
	bigS, err := edwards25519.NewScalar().SetCanonicalBytes(scalar)
	if err != nil {
		return nil
	}
	c := newCheck(a, s, a.Key.String())
	c.feed = sha512.New()
	c.feed.Write(r)
	c.feed.Write(a.Key.ed)
	c.test = func(digest []byte) bool {
		k, err := edwards25519.NewScalar().SetUniformBytes(digest)
		if err != nil {
			return false
		}
		got := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(k, a.Key.edA, bigS)
		return bytes.Equal(got.Bytes(), r)
	}
	return []check{c}
}
