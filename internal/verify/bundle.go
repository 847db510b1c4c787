// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
)

const bundleAdvice = "make one with cosign sign-blob --bundle artifact.sigstore.json"

// sigstoreBundle is a Sigstore bundle 0.1, 0.2 or 0.3, over the digest of the artifact or over a statement about it.
// https://docs.sigstore.dev/about/bundle/
type sigstoreBundle struct {
	proto *protobundle.Bundle // read only: bundles are used by several goroutines
	cert  *certificate        // nil: by key

	hash   hashID // of a message signature
	digest []byte // of a message signature; it is not signed

	statement *statement // nil: message signature
	signed    []byte     // what the signature over the statement is made over
}

// bundleTypes are the media types of 0.1, 0.2 and 0.3, and one of 0.3 that early tools wrote.
var bundleTypes = []string{
	"application/vnd.dev.sigstore.bundle+json;version=0.1", "application/vnd.dev.sigstore.bundle+json;version=0.2",
	"application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.dev.sigstore.bundle+json;version=0.3",
}

// recoverAs makes an error of a panic in a parser of others: a bad file must not stop the manager.
func recoverAs(err *error, what string) {
	if recover() != nil {
		*err = errors.New(what)
	}
}

// printable drops what could break a line of text.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// quoteless gives an error of sigstore-go without what it quotes of the input when a field has another type than expected.
func quoteless(err error) string {
	text, _, found := strings.Cut(err.Error(), "proto:")
	if found {
		text += "a field is unknown or has another type than expected"
	}
	return fmt.Sprintf("%.200s", printable(text))
}

func parseBundle(file []byte) (s Signature, err error) {
	defer recoverAs(&err, "the Sigstore bundle cannot be read; "+bundleAdvice)
	if err = checkJSON(file); err != nil {
		return Signature{}, fmt.Errorf("the Sigstore bundle cannot be read: %w; %s", err, bundleAdvice)
	}
	var parsed bundle.Bundle
	if err = parsed.UnmarshalJSON(file); err != nil {
		return Signature{}, fmt.Errorf("the JSON is no Sigstore bundle 0.1 to 0.3: %s; %s", quoteless(err), bundleAdvice)
	}
	if !slices.Contains(bundleTypes, parsed.GetMediaType()) {
		return Signature{}, fmt.Errorf("the media type of the Sigstore bundle is %.80q, expected one of %s", parsed.GetMediaType(), strings.Join(bundleTypes, ", "))
	}
	b := &sigstoreBundle{proto: parsed.Bundle}
	verification, err := parsed.VerificationContent()
	if err != nil {
		return Signature{}, fmt.Errorf("the Sigstore bundle has no key and no certificate: %w", err)
	}
	if cert := verification.Certificate(); cert != nil {
		if b.cert, err = parseCertificate(cert); err != nil {
			return Signature{}, fmt.Errorf("the certificate of the Sigstore bundle cannot be used: %w", err)
		}
	}
	s = Signature{format: SigstoreBundle, file: bytes.Clone(file), bundle: b}
	if parsed.GetDsseEnvelope() != nil {
		s.raw, err = b.parseEnvelope()
	} else {
		s.raw, err = b.parseMessage()
	}
	return s, err
}

var protoHashes = map[protocommon.HashAlgorithm]hashID{
	protocommon.HashAlgorithm_SHA2_256: sha256ID, protocommon.HashAlgorithm_SHA2_384: sha384ID, protocommon.HashAlgorithm_SHA2_512: sha512ID,
}

func (b *sigstoreBundle) parseMessage() ([]byte, error) {
	m := b.proto.GetMessageSignature()
	b.hash, b.digest = protoHashes[m.GetMessageDigest().GetAlgorithm()], m.GetMessageDigest().GetDigest()
	if b.hash == 0 || len(b.digest) != sizes[b.hash] {
		return nil, errors.New("the Sigstore bundle does not name the artifact by a digest of SHA-256, SHA-384 or SHA-512; " + bundleAdvice)
	}
	if len(m.GetSignature()) == 0 {
		return nil, errors.New("the Sigstore bundle has no signature; " + bundleAdvice)
	}
	return m.GetSignature(), nil
}

func (b *sigstoreBundle) parseEnvelope() ([]byte, error) {
	e := b.proto.GetDsseEnvelope()
	if n := len(e.GetSignatures()); n != 1 || len(e.GetSignatures()[0].GetSig()) == 0 {
		return nil, fmt.Errorf("the statement in the Sigstore bundle has %d signatures, expected one", n)
	}
	if e.GetPayloadType() != intotoPayload {
		return nil, fmt.Errorf("the Sigstore bundle holds %.80q, expected a statement of type %s", e.GetPayloadType(), intotoPayload)
	}
	var err error
	if b.statement, err = parseStatement(e.GetPayload()); err != nil {
		return nil, fmt.Errorf("the statement in the Sigstore bundle cannot be read: %w", err)
	}
	b.signed = dsse.PAE(e.GetPayloadType(), e.GetPayload())
	return e.GetSignatures()[0].GetSig(), nil
}

// bundleChecks verify a bundle by key with our own code, which does not need a log: the key alone decides. Keyless ones are checked
// by our own code first, and then by sigstore-go, which knows certificates and logs.
func bundleChecks(a Authority, s Signature) ([]check, error) {
	if s.bundle.statement == nil {
		return messageChecks(a, s)
	}
	if err := s.bundle.statement.approves(a.Provenance); err != nil {
		return nil, err
	}
	if err := a.Provenance.checkCertificate(s.bundle.cert); err != nil {
		return nil, err
	}
	c, err := statementCheck(a, s)
	if err != nil {
		return nil, err
	}
	return []check{c}, nil
}

// signerOf gives the authority with the key that must have made the signature: its own, or that of the certificate.
func signerOf(a Authority, b *sigstoreBundle) (Authority, error) {
	switch {
	case a.Identity == nil && b.cert != nil:
		return a, fmt.Errorf("is keyless by %.200q of %.200q, expected one by key %s", b.cert.subject, b.cert.issuer, a.Key.ID())
	case a.Identity == nil && a.Key.mini != nil:
		return a, errors.New("is not one of minisign, as the key is")
	case a.Identity == nil:
		return a, nil
	case b.cert == nil:
		return a, fmt.Errorf("is by a key, expected a keyless one of the issuer %.200q", a.Identity.Issuer)
	case b.cert.issuer != a.Identity.Issuer:
		return a, fmt.Errorf("is of the issuer %.200q, expected %.200q", b.cert.issuer, a.Identity.Issuer)
	case !a.Identity.matches(b.cert.subject):
		return a, fmt.Errorf("is of the subject %.200q, expected %s", b.cert.subject, a.Identity.expected())
	}
	return Authority{Name: a.Name, Key: b.cert.key}, nil
}

// claim makes the check one of the authority, whoever's key it was made for.
func (c check) claim(a Authority, b *sigstoreBundle) check {
	c.match.Authority, c.match.Trust = a.Name, a.Fingerprint()
	if a.Identity != nil {
		c.match.KeyID, c.match.Issuer, c.match.Subject = "", b.cert.issuer, b.cert.subject
	}
	return c
}

// messageChecks verify a signature over the digest of the artifact. An Ed25519 key without a certificate may have signed the
// artifact itself: then that is streamed, as for a detached signature, which sigstore-go cannot do by digest.
func messageChecks(a Authority, s Signature) ([]check, error) {
	b := s.bundle
	if a.Provenance != nil {
		return nil, errors.New("is over the artifact alone, expected signed provenance")
	}
	signer, err := signerOf(a, b)
	if err != nil {
		return nil, err
	}
	var checks []check
	if a.Identity == nil || signer.Key.ed == nil {
		checks = keyChecks(signer, s)
	}
	if signer.Key.ed != nil && len(s.raw) == ed25519Size {
		checks = append(checks, ed25519phCheck(signer, s))
	}
	if len(checks) == 0 {
		return nil, fmt.Errorf("with its %d bytes is not one of the %s key", len(s.raw), signer.Key)
	}
	for i, c := range checks {
		c = c.claim(a, b)
		c.wants = append(c.wants, b.hash, sha256ID)
		primitive := c.test
		c.test = func(d digests) error {
			if !bytes.Equal(b.digest, d.of[b.hash]) {
				return fmt.Errorf("is over the artifact with %s %x, expected %x", b.hash, b.digest, d.of[b.hash])
			}
			if err := primitive(d); err != nil || a.Identity == nil {
				return err
			}
			return a.Identity.verify(b, b.hash, b.digest)
		}
		checks[i] = c
	}
	return checks, nil
}

// statementCheck verifies the signature over a statement now, and what it is about once the artifact was read.
func statementCheck(a Authority, s Signature) (check, error) {
	b := s.bundle
	signer, err := signerOf(a, b)
	if err != nil {
		return check{}, err
	}
	algorithm, err := verifyMessage(signer, s, b.signed)
	if err != nil {
		return check{}, fmt.Errorf("is not by the %s key %s over its statement", signer.Key, signer.Key.ID())
	}
	c := newCheck(signer, s, algorithm, append(b.statement.wants(), sha256ID)...).claim(a, b)
	c.test = func(d digests) error {
		about, err := b.statement.about(d)
		if err != nil || a.Identity == nil {
			return err
		}
		id := about.usual()
		return a.Identity.verify(b, id, about.digests[id])
	}
	return c, nil
}
