// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// in-toto attestation framework: https://github.com/in-toto/attestation/tree/main/spec
const (
	intotoPayload = "application/vnd.in-toto+json"
	statementV1   = "https://in-toto.io/Statement/v1"
	statementV01  = "https://in-toto.io/Statement/v0.1"

	slsaV02    = "https://slsa.dev/provenance/v0.2"
	slsaV1     = "https://slsa.dev/provenance/v1"
	cosignSign = "https://sigstore.dev/cosign/sign/v1"

	maxSubjects = 1024
)

// approvals are the predicate types by which a signed statement approves of its subjects. Others only tell something of them: an
// SBOM or a report of vulnerabilities is signed for a bad artifact, too.
var approvals = []string{slsaV02, slsaV1, cosignSign}

// subject of a statement: an artifact by its digests.
type subject struct {
	name    string
	digests map[hashID][]byte // of SHA-256, SHA-384 and SHA-512 those that are given
}

// statement is an in-toto statement.
type statement struct {
	predicateType string
	predicate     json.RawMessage
	subjects      []subject
}

// subjectHashes are the hashes of subjects that are strong, by the name that in-toto has for them.
var subjectHashes = map[string]hashID{"sha256": sha256ID, "sha384": sha384ID, "sha512": sha512ID}

// parseStatement reads an in-toto statement strictly: what two readers may read in two ways is refused.
func parseStatement(payload []byte) (*statement, error) {
	if err := checkJSON(payload); err != nil {
		return nil, err
	}
	top, err := parseObject(payload)
	if err != nil {
		return nil, err
	}
	kind, err := top.text("_type")
	switch {
	case err != nil:
		return nil, err
	case kind != statementV1 && kind != statementV01:
		return nil, fmt.Errorf("its _type is %.80q, expected %s or %s", kind, statementV1, statementV01)
	}
	s := &statement{}
	if s.predicateType, err = top.text("predicateType"); err != nil {
		return nil, err
	}
	if err = top.read("predicate", &s.predicate); err != nil {
		return nil, err
	}
	list, err := top.list("subject")
	if err != nil {
		return nil, err
	}
	if n := len(list); n == 0 || n > maxSubjects {
		return nil, fmt.Errorf("it has %d subjects, expected 1 to %d", n, maxSubjects)
	}
	return s, s.addSubjects(list)
}

func (s *statement) addSubjects(list []object) error {
	names := map[string]bool{}
	for _, o := range list {
		one, err := parseSubject(o)
		if err != nil {
			return err
		}
		if names[one.name] {
			return fmt.Errorf("it has two subjects with the name %.80q", one.name)
		}
		names[one.name] = true
		s.subjects = append(s.subjects, one)
	}
	return nil
}

func parseSubject(o object) (subject, error) {
	out := subject{digests: map[hashID][]byte{}}
	var given object
	var err error
	if out.name, err = o.text("name"); err != nil {
		return out, err
	}
	if err = o.read("digest", &given); err != nil {
		return out, err
	}
	for name, id := range subjectHashes {
		text, err := given.text(name)
		if err != nil {
			return out, err
		}
		if text == "" {
			continue
		}
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != sizes[id] || hex.EncodeToString(raw) != text {
			return out, fmt.Errorf("the %s digest of subject %.80q is not %d lower-case hexadecimal digits", name, out.name, 2*sizes[id])
		}
		out.digests[id] = raw
	}
	return out, nil
}

// sizes of digests in bytes.
var sizes = map[hashID]int{sha256ID: sha256.Size, sha384ID: sha512.Size384, sha512ID: sha512.Size}

// wants lists the hashes that subjects are given by.
func (s *statement) wants() []hashID {
	var out []hashID
	for _, one := range s.subjects {
		for id := range one.digests {
			if !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	slices.Sort(out)
	return out
}

// about finds the subject that is the artifact. All of its digests must be those of the artifact.
func (s *statement) about(d digests) (subject, error) {
	for _, one := range s.subjects {
		same, other := 0, 0
		for id, digest := range one.digests {
			if bytes.Equal(digest, d.of[id]) {
				same++
			} else {
				other++
			}
		}
		if same > 0 && other > 0 {
			return one, fmt.Errorf("is a statement whose subject %.80q has digests of two different artifacts", one.name)
		}
		if same > 0 {
			return one, nil
		}
	}
	return subject{}, fmt.Errorf("is a statement about %s, expected sha256:%x", s.subjects[0], d.of[sha256ID])
}

// String names the subject by a digest.
func (s subject) String() string {
	if id := s.usual(); id != 0 {
		return fmt.Sprintf("%s:%x", intotoName(id), s.digests[id])
	}
	return fmt.Sprintf("%.80q without a digest of SHA-2", s.name)
}

// usual is SHA-256 where the subject has it, else what it has; 0: nothing.
func (s subject) usual() hashID {
	for _, id := range []hashID{sha256ID, sha384ID, sha512ID} {
		if s.digests[id] != nil {
			return id
		}
	}
	return 0
}

// exported gives the statement to callers, who know artifacts by SHA-256.
func (s *statement) exported() (Statement, error) {
	out := Statement{PredicateType: s.predicateType, Predicate: s.predicate, Digests: map[string]string{}}
	for _, one := range s.subjects {
		digest, ok := one.digests[sha256ID]
		if !ok {
			return Statement{}, fmt.Errorf("the statement has no sha256 digest for subject %.80q", one.name)
		}
		out.Digests[one.name] = "sha256:" + hex.EncodeToString(digest)
	}
	return out, nil
}

// approves tells whether the statement counts as a signature of the artifact.
func (s *statement) approves(p *Provenance) error {
	switch {
	case p != nil:
		return p.check(s)
	case !slices.Contains(approvals, s.predicateType):
		return fmt.Errorf("is a statement of type %.100q, which does not approve of an artifact; expected SLSA provenance or %s", s.predicateType, cosignSign)
	}
	return nil
}

// ParseSimpleSigning reads the payload that cosign signs for an image and gives the digest of the manifest that it is about, as
// "sha256:<hex>". The payload is read strictly; its reference to a registry is not compared, as with cosign.
// https://github.com/containers/image/blob/main/docs/containers-signature.5.md
func ParseSimpleSigning(payload []byte) (string, error) {
	const kind = "cosign container image signature"
	if len(payload) > maxPlainFile {
		return "", fmt.Errorf("the payload has %d bytes, expected at most %d", len(payload), maxPlainFile)
	}
	if err := checkJSON(payload); err != nil {
		return "", fmt.Errorf("the payload cannot be read: %w", err)
	}
	top, err := parseObject(payload)
	if err != nil {
		return "", fmt.Errorf("the payload cannot be read: %w", err)
	}
	got, err := top.text("critical", "type")
	if err != nil || got != kind {
		return "", fmt.Errorf("the payload is of type %.80q, expected %q", got, kind)
	}
	digest, err := top.text("critical", "image", "docker-manifest-digest")
	if err != nil || !isSHA256(digest) {
		return "", errors.New("the payload names no manifest by its sha256 digest: expected critical.image.docker-manifest-digest")
	}
	return digest, nil
}

// isSHA256 tells whether text is a digest as the API writes it.
func isSHA256(text string) bool {
	raw, err := hex.DecodeString(text[min(len("sha256:"), len(text)):])
	return err == nil && len(raw) == sha256.Size && "sha256:"+hex.EncodeToString(raw) == text
}
