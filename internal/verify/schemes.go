// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"

	"filippo.io/edwards25519"
)

// errNoMatch is the answer of a check whose signature is by another key or over something else.
var errNoMatch = errors.New("is not over this artifact by this key")

// checksFor lists the ways in which a signature may be one of an authority. Without any the error says why the two do not fit
// each other; it goes on after the name of the signature.
func checksFor(a Authority, s Signature, subject Subject) ([]check, error) {
	if err := a.Check(); err != nil {
		return nil, fmt.Errorf("cannot be checked: %w", err)
	}
	switch {
	case s.bundle != nil:
		return bundleChecks(a, s)
	case a.Provenance != nil:
		return nil, errors.New("is no signed provenance, which is all that counts: expected a Sigstore bundle with a statement")
	case a.Identity != nil:
		return nil, errors.New("is no Sigstore bundle, which is all that counts for a keyless identity")
	case s.mini != nil:
		return minisignChecks(a, s, subject)
	case a.Key.mini != nil:
		return nil, errors.New("is not one of minisign, as the key is")
	}
	checks := keyChecks(a, s)
	if len(checks) == 0 {
		return nil, fmt.Errorf("with its %d bytes is not one of the %s key", len(s.raw), a.Key)
	}
	return checks, nil
}

// keyChecks lists the ways in which the bytes of a signature may be made by a key over a message.
func keyChecks(a Authority, s Signature) []check {
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

func newCheck(a Authority, s Signature, algorithm string, wants ...hashID) check {
	match := Match{Authority: a.Name, Trust: a.Fingerprint(), KeyID: a.Key.ID(), Algorithm: algorithm, Signature: s}
	return check{match: match, wants: wants}
}

// matches makes the answer of a check from that of a primitive.
func matches(ok bool) error {
	if !ok {
		return errNoMatch
	}
	return nil
}

// hashes are those to try: the one that the authority names, or these.
func (a Authority) hashes(usual ...hashID) []hashID {
	if a.Hash != 0 {
		return []hashID{hashID(a.Hash)}
	}
	return slices.Compact(usual)
}

// ecdsaChecks tries the hash of the curve, and SHA-256 because many tools use it with every curve.
func ecdsaChecks(a Authority, s Signature) []check {
	if len(s.raw) == 0 || s.raw[0] != asn1Sequence {
		return nil
	}
	var out []check
	for _, h := range a.hashes(curveHash[a.Key.ec.Curve], sha256ID) {
		c := newCheck(a, s, a.Key.String()+"-"+h.String(), h)
		c.test = func(d digests) error { return matches(ecdsa.VerifyASN1(a.Key.ec, d.of[h], s.raw)) }
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
	for _, h := range a.hashes(sha256ID, sha512ID) {
		pkcs, pss := newCheck(a, s, "RSA-PKCS1v15-"+h.String(), h), newCheck(a, s, "RSA-PSS-"+h.String(), h)
		pkcs.test = func(d digests) error {
			return matches(rsa.VerifyPKCS1v15(a.Key.rsa, crypto.Hash(h), d.of[h], s.raw) == nil)
		}
		pss.test = func(d digests) error {
			options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}
			return matches(rsa.VerifyPSS(a.Key.rsa, crypto.Hash(h), d.of[h], s.raw, options) == nil)
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
	c.test = func(d digests) error {
		k, err := edwards25519.NewScalar().SetUniformBytes(d.fed)
		if err != nil {
			return errNoMatch
		}
		got := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(k, a.Key.edA, bigS)
		return matches(bytes.Equal(got.Bytes(), r))
	}
	return []check{c}
}

// ed25519phCheck verifies Ed25519ph (RFC 8032, 5.1) over the SHA-512 of the artifact, as Sigstore signs blobs with Ed25519 keys:
// a transparency log knows digests only. Its prefix keeps it apart from signatures over the artifact.
func ed25519phCheck(a Authority, s Signature) check {
	c := newCheck(a, s, "Ed25519ph-"+sha512ID.String(), sha512ID)
	c.test = func(d digests) error {
		options := &ed25519.Options{Hash: crypto.SHA512}
		return matches(ed25519.VerifyWithOptions(a.Key.ed, d.of[sha512ID], s.raw, options) == nil)
	}
	return c
}

// verifyMessage verifies a signature over a message that is at hand, and names the algorithm.
func verifyMessage(a Authority, s Signature, message []byte) (algorithm string, err error) {
	for _, c := range keyChecks(a, s) {
		d := newHashes(c.wants...)
		d.write(message)
		if c.feed != nil {
			c.feed.Write(message)
		}
		if c.test(d.sums(c.feed)) == nil {
			return c.match.Algorithm, nil
		}
	}
	return "", errNoMatch
}
