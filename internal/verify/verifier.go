// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verify checks the signatures of authors over artifacts: detached ones, those of minisign, and Sigstore bundles by key or
// keyless. All signatures are checked in one pass over the artifact with constant memory, Ed25519 too: its hash starts with the
// signature and the key, which are known beforehand.
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

	"golang.org/x/crypto/blake2b"
)

// hashID names a hash by which an artifact is digested once for all signatures.
type hashID crypto.Hash

const (
	sha256ID  = hashID(crypto.SHA256)
	sha384ID  = hashID(crypto.SHA384)
	sha512ID  = hashID(crypto.SHA512)
	blake2bID = hashID(crypto.BLAKE2b_512)
)

func (h hashID) new() hash.Hash {
	switch h {
	case sha384ID:
		return sha512.New384()
	case sha512ID:
		return sha512.New()
	case blake2bID:
		out, _ := blake2b.New512(nil) // fails with keys only
		return out
	default:
		return sha256.New()
	}
}

func (h hashID) String() string {
	return map[hashID]string{sha256ID: "SHA256", sha384ID: "SHA384", sha512ID: "SHA512", blake2bID: "BLAKE2b512"}[h]
}

// hashes digest a message by several hashes at once.
type hashes map[hashID]hash.Hash

func newHashes(ids ...hashID) hashes {
	out := hashes{}
	for _, id := range ids {
		if out[id] == nil {
			out[id] = id.new()
		}
	}
	return out
}

func (h hashes) write(p []byte) {
	for _, one := range h {
		one.Write(p)
	}
}

// digests are of what was written.
type digests struct {
	of  map[hashID][]byte
	fed []byte // of the hash of the check alone; nil: it has none
}

func (h hashes) sums(feed hash.Hash) digests {
	out := digests{of: make(map[hashID][]byte, len(h))}
	for id, one := range h {
		out.of[id] = one.Sum(nil)
	}
	if feed != nil {
		out.fed = feed.Sum(nil)
	}
	return out
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
	Payload bool // what is written is a payload that was made to be signed, such as cosign's, and no artifact
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
	hashes  hashes
	pairs   []pair
	payload bool   // Subject.Payload
	head    []byte // of what was written
	tried   []string
	expired []string
}

// pair is an authority and a signature.
type pair struct {
	authority string
	signature int // index in what New was given
	format    Format
	checks    []check
	err       error // why there are none
}

// check is one way in which a signature may match an authority.
type check struct {
	match Match
	wants []hashID            // whose digests test needs
	feed  hash.Hash           // a hash of this check alone; else nil
	test  func(digests) error // why it does not match: it goes on after the name of the signature, and is stable
}

// New prepares the check of all signatures against all authorities that count at the time now. An authority that cannot be used
// (see Authority.Check) matches nothing.
func New(now time.Time, subject Subject, authorities []Authority, signatures []Signature) (*Verifier, error) {
	v := &Verifier{hashes: newHashes(sha256ID), payload: subject.Payload}
	streams := 0
	for _, a := range authorities {
		if a.Expired(now) {
			v.expired = append(v.expired, a.Name)
			continue
		}
		v.tried = append(v.tried, a.Name)
		for _, i := range distinct(signatures) {
			p := pair{authority: a.Name, signature: i, format: signatures[i].format}
			p.checks, p.err = checksFor(a, signatures[i], subject)
			streams += p.streams()
			v.pairs = append(v.pairs, p)
		}
	}
	if streams > maxStreams {
		return nil, fmt.Errorf("%d authorities and %d signatures make %d pairs of Ed25519 keys and signatures over the artifact itself, "+
			"at most %d are checked: give fewer signatures, or sign with an ECDSA key", len(authorities), len(signatures), streams, maxStreams)
	}
	for _, p := range v.pairs {
		for _, c := range p.checks {
			for _, id := range c.wants {
				if v.hashes[id] == nil {
					v.hashes[id] = id.new()
				}
			}
		}
	}
	return v, nil
}

func (p pair) streams() (n int) {
	for _, c := range p.checks {
		if c.feed != nil {
			n++
		}
	}
	return n
}

// Write digests more of the artifact. It does not fail.
func (v *Verifier) Write(data []byte) (int, error) {
	v.hashes.write(data)
	v.head = append(v.head, data[:min(len(data), maxHead-len(v.head))]...)
	for _, p := range v.pairs {
		for _, c := range p.checks {
			if c.feed != nil {
				c.feed.Write(data)
			}
		}
	}
	return len(data), nil
}

// Digest is the SHA-256 of what was written, as the API writes it.
func (v *Verifier) Digest() string {
	return "sha256:" + hex.EncodeToString(v.hashes[sha256ID].Sum(nil))
}

// Matches are the signatures that match what was written, the first for each authority and in the order of authorities.
func (v *Verifier) Matches() []Match {
	var out []Match
	sums := v.hashes.sums(nil)
	for _, p := range v.pairs {
		known := slices.ContainsFunc(out, func(m Match) bool { return m.Authority == p.authority })
		if known {
			continue
		}
		if m, err := v.match(p, sums); err == nil {
			out = append(out, m)
		}
	}
	return out
}

// otherMessages are how messages begin that an author signs with the same key and that are no artifacts: a statement, in the encoding
// of DSSE (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md), and what cosign signs for an image. Given as an
// artifact, with the signature taken from there, they would have an author who never approved of them as one.
var otherMessages = []string{"DSSEv1 ", `{"critical":`}

// maxHead is how many bytes of the artifact are kept to tell otherMessages, which are shorter.
const maxHead = 16

// match is that of the pair for what may be an artifact.
func (v *Verifier) match(p pair, sums digests) (Match, error) {
	for _, begin := range otherMessages {
		if !v.payload && bytes.HasPrefix(v.head, []byte(begin)) {
			return Match{}, fmt.Errorf("is over what begins with %s, which is signed for another purpose and is no artifact", begin)
		}
	}
	return p.match(sums)
}

// match gives the first check that holds, or what the most telling one has to say.
func (p pair) match(sums digests) (Match, error) {
	why := p.err
	for _, c := range p.checks {
		sums.fed = nil
		if c.feed != nil {
			sums.fed = c.feed.Sum(nil)
		}
		err := c.test(sums)
		if err == nil {
			return c.match, nil
		}
		if why == nil || why == errNoMatch { //nolint:errorlint // it is never wrapped
			why = err
		}
	}
	return Match{}, why
}

// Tried are the names of the authorities that signatures were checked against, and of those that no longer count.
func (v *Verifier) Tried() (tried, expired []string) { return v.tried, v.expired }

// distinct gives the indexes of signatures without those that are given twice.
func distinct(signatures []Signature) []int {
	var out []int
	for i, s := range signatures {
		if !slices.ContainsFunc(out, func(o int) bool { return signatures[o].equal(s) }) {
			out = append(out, i)
		}
	}
	return out
}
