// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"time"
)

// Identity is who made a keyless signature, as the certificate of a Sigstore bundle says.
type Identity struct {
	Issuer        string // exact
	Subject       string // exact; empty: SubjectRegExp
	SubjectRegExp string // anchored at both ends
	LogOptional   bool   // a signed timestamp does where no transparency log has the signature
	Root          *TrustedRoot
}

// Provenance is a build that in-toto statements with SLSA provenance name. Empty fields are not compared.
type Provenance struct {
	BuilderID        string
	SourceRepository string
	Ref              string
}

// TrustedRoot holds the certificate authorities and transparency logs of a Sigstore instance.
type TrustedRoot struct{ digest string }

// Digest of the text that the trusted root was read from, as the API writes it.
func (t *TrustedRoot) Digest() string { return t.digest }

// ParseTrustedRoot reads a trusted_root.json (media type application/vnd.dev.sigstore.trustedroot+json).
func ParseTrustedRoot([]byte) (*TrustedRoot, error) { return nil, errors.New("not written yet") }

// Fingerprint identifies all of an authority that decides whether a signature counts: key or identity, hash, trusted root and
// provenance, but neither its name nor notAfter.
func (a Authority) Fingerprint() string { return a.Key.ID() }

// Statement is an in-toto statement that an authority signed (in-toto attestation framework, v1 and v0.1).
type Statement struct {
	PredicateType string
	Predicate     []byte            // JSON
	Digests       map[string]string // of the subjects, "sha256:<hex>" by subject name
}

// VerifyStatement checks a Sigstore bundle with a signed in-toto statement against authorities, whatever its predicate is. An
// authority that has a provenance policy vouches for provenance only, and does not count here.
func VerifyStatement(_ time.Time, _ []Authority, _ []byte) (Statement, Match, error) {
	return Statement{}, Match{}, errors.New("not written yet")
}
