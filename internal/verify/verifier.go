// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verify checks the detached signatures of authors over artifacts. All signatures are checked in one pass over the
// artifact with constant memory, Ed25519 too: its hash starts with the signature and the key, which are known beforehand.
package verify

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"time"
)

// hashID names a hash by which an artifact is digested once for all signatures.
type hashID crypto.Hash

const (
	sha256ID = hashID(crypto.SHA256)
	sha384ID = hashID(crypto.SHA384)
	sha512ID = hashID(crypto.SHA512)
)

func (h hashID) new() hash.Hash {
	switch h {
	case sha384ID:
		return sha512.New384()
	case sha512ID:
		return sha512.New()
	default:
		return sha256.New()
	}
}

func (h hashID) String() string {
	return map[hashID]string{sha256ID: "SHA256", sha384ID: "SHA384", sha512ID: "SHA512"}[h]
}

// maxStreams bounds the pairs of Ed25519 keys and signatures: each of them hashes the whole artifact.
const maxStreams = 32

// Authority is an author whose signatures count, known by a key or by an identity.
type Authority struct {
	Name       string
	Key        Key         // without Identity
	Hash       crypto.Hash // that signatures by Key are made over; zero: those that go with the key
	Identity   *Identity   // keyless; nil: by Key
	Provenance *Provenance // only signed provenance of this build counts; nil: any signature
	NotAfter   time.Time   // zero: for ever
}

// Subject is what signatures are about, for formats that name it.
type Subject struct {
	App     string
	Version string
}

// Expired tells whether the authority no longer counts for new verifications.
func (a Authority) Expired(now time.Time) bool { return !a.NotAfter.IsZero() && now.After(a.NotAfter) }

// Match is a signature that an authority made over the artifact.
type Match struct {
	Authority string
	Trust     string // Authority.Fingerprint of the authority
	KeyID     string // empty: keyless
	Issuer    string // of the certificate; empty: by key
	Subject   string // of the certificate; empty: by key
	Algorithm string // such as ECDSA-P256-SHA256
	Signature Signature
}

// Verifier is fed the artifact by Write and tells then which signatures match. It is for one artifact and one goroutine.
type Verifier struct {
	digests map[hashID]hash.Hash
	checks  []check
	tried   []string
	expired []string
}

// check is one way in which a signature may match an authority.
type check struct {
	match Match
	hash  hashID    // whose digest test wants, unless feed is set
	feed  hash.Hash // a hash of this check alone; else nil
	test  func(digest []byte) bool
}

// New prepares the check of all signatures against all authorities that count at the time now.
func New(now time.Time, _ Subject, authorities []Authority, signatures []Signature) (*Verifier, error) {
	v := &Verifier{digests: map[hashID]hash.Hash{sha256ID: sha256.New()}}
	streams := 0
	for _, a := range authorities {
		if a.Expired(now) {
			v.expired = append(v.expired, a.Name)
			continue
		}
		v.tried = append(v.tried, a.Name)
		for _, s := range distinct(signatures) {
			for _, c := range checksFor(a, s) {
				if c.feed != nil {
					streams++
				}
				v.checks = append(v.checks, c)
			}
		}
	}
	if streams > maxStreams {
		return nil, fmt.Errorf("there are %d pairs of Ed25519 keys and signatures, at most %d are checked: give fewer signatures", streams, maxStreams)
	}
	for _, c := range v.checks {
		if c.feed == nil && v.digests[c.hash] == nil {
			v.digests[c.hash] = c.hash.new()
		}
	}
	return v, nil
}

// Write digests more of the artifact. It does not fail.
func (v *Verifier) Write(p []byte) (int, error) {
	for _, h := range v.digests {
		h.Write(p)
	}
	for _, c := range v.checks {
		if c.feed != nil {
			c.feed.Write(p)
		}
	}
	return len(p), nil
}

// Digest is the SHA-256 of what was written, as the API writes it.
func (v *Verifier) Digest() string {
	return "sha256:" + hex.EncodeToString(v.digests[sha256ID].Sum(nil))
}

// Matches are the signatures that match what was written, the first for each authority and in the order of authorities.
func (v *Verifier) Matches() []Match {
	var out []Match
	for _, c := range v.checks {
		known := slices.ContainsFunc(out, func(m Match) bool { return m.Authority == c.match.Authority })
		if known {
			continue
		}
		digest := v.digests[c.hash]
		if c.feed != nil {
			digest = c.feed
		}
		if c.test(digest.Sum(nil)) {
			out = append(out, c.match)
		}
	}
	return out
}

// Tried are the names of the authorities that signatures were checked against, and of those that no longer count.
func (v *Verifier) Tried() (tried, expired []string) { return v.tried, v.expired }

// distinct leaves out signatures that are given twice.
func distinct(signatures []Signature) []Signature {
	var out []Signature
	for _, s := range signatures {
		if !slices.ContainsFunc(out, func(o Signature) bool { return bytes.Equal(o.raw, s.raw) }) {
			out = append(out, s)
		}
	}
	return out
}
