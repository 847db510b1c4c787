// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package author

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	// BundleMediaType of the Sigstore bundles that are made here.
	BundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

	statementType = "https://in-toto.io/Statement/v1"
	payloadType   = "application/vnd.in-toto+json"
)

// Subject is what a statement is about.
type Subject struct {
	Name   string
	Digest string // sha256: and 64 hexadecimal digits
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// Statement makes an in-toto statement (attestation framework, v1), unsigned.
func Statement(predicateType string, predicate any, about ...Subject) ([]byte, error) {
	var subjects []subject
	for _, s := range about {
		digest, ok := strings.CutPrefix(s.Digest, "sha256:")
		if !ok {
			return nil, fmt.Errorf("expected sha256:... as the digest of %s, got %.80q", s.Name, s.Digest)
		}
		subjects = append(subjects, subject{Name: s.Name, Digest: map[string]string{"sha256": digest}})
	}
	return json.Marshal(struct {
		Type          string    `json:"_type"`
		Subject       []subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     any       `json:"predicate"`
	}{statementType, subjects, predicateType, predicate})
}

// Attest signs a statement: a Sigstore bundle with a DSSE envelope, by public key.
func (k Key) Attest(statement []byte) ([]byte, error) {
	sig, err := k.raw(preAuthEncoding(statement))
	if err != nil {
		return nil, err
	}
	return k.bundle(&protobundle.Bundle{Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
		Payload: statement, PayloadType: payloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
	}}})
}

// preAuthEncoding is what a DSSE envelope signs (DSSE protocol 1.0.2).
func preAuthEncoding(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

var protoHashes = map[crypto.Hash]protocommon.HashAlgorithm{
	crypto.SHA256: protocommon.HashAlgorithm_SHA2_256,
	crypto.SHA384: protocommon.HashAlgorithm_SHA2_384,
	crypto.SHA512: protocommon.HashAlgorithm_SHA2_512,
}

// Bundle is the signature as a Sigstore bundle with a message signature, by public key. Sigstore signs digests, so that there
// is none for Ed25519.
func (s Signed) Bundle() ([]byte, error) {
	if s.Hash == 0 {
		return nil, errors.New("a Sigstore bundle signs a digest, and an Ed25519 key the file itself: use a detached signature, or an ECDSA key")
	}
	return s.key.bundle(&protobundle.Bundle{Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
		MessageDigest: &protocommon.HashOutput{Algorithm: protoHashes[s.Hash], Digest: s.Digest}, Signature: s.Signature,
	}}})
}

// bundle adds who signed, and encodes. protojson adds spaces at random, which are taken out again.
func (k Key) bundle(b *protobundle.Bundle) ([]byte, error) {
	sum := sha256.Sum256(k.der)
	b.MediaType = BundleMediaType
	b.VerificationMaterial = &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_PublicKey{
		PublicKey: &protocommon.PublicKeyIdentifier{Hint: base64.StdEncoding.EncodeToString(sum[:])},
	}}
	text, err := protojson.Marshal(b)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		return nil, err
	}
	return append(out.Bytes(), '\n'), nil
}

// ReadStatement gives predicate type and subjects of the statement in a Sigstore bundle. It verifies nothing.
func ReadStatement(bundle []byte) (predicateType string, about []Subject, err error) {
	var b protobundle.Bundle
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(bundle, &b); err != nil {
		return "", nil, errors.New("expected a Sigstore bundle, got something else")
	}
	envelope := b.GetDsseEnvelope()
	if envelope == nil || envelope.GetPayloadType() != payloadType {
		return "", nil, errors.New("expected a Sigstore bundle with an in-toto statement, got one without; a signature goes to --signature")
	}
	var s struct {
		PredicateType string    `json:"predicateType"`
		Subject       []subject `json:"subject"`
	}
	if err := json.Unmarshal(envelope.GetPayload(), &s); err != nil {
		return "", nil, errors.New("expected an in-toto statement in the Sigstore bundle, got something else")
	}
	for _, one := range s.Subject {
		about = append(about, Subject{Name: one.Name, Digest: "sha256:" + one.Digest["sha256"]})
	}
	return s.PredicateType, about, nil
}
