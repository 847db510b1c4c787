// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// Identity is who made a keyless signature, as the certificate of a Sigstore bundle says.
type Identity struct {
	Issuer        string // exact
	Subject       string // exact; empty: SubjectRegExp
	SubjectRegExp string // anchored at both ends
	LogOptional   bool   // a signed timestamp does where no transparency log has the signature
	Root          *TrustedRoot
}

// TrustedRoot holds the certificate authorities and transparency logs of a Sigstore instance.
type TrustedRoot struct {
	digest string
	root   *root.TrustedRoot
}

// MaxTrustedRoot is the largest text in bytes that ParseTrustedRoot reads; that of the public instance has 7 KiB.
const MaxTrustedRoot = 512 << 10

// Digest of the text that the trusted root was read from, as the API writes it.
func (t *TrustedRoot) Digest() string { return t.digest }

// ParseTrustedRoot reads a trusted_root.json (media type application/vnd.dev.sigstore.trustedroot+json).
func ParseTrustedRoot(text []byte) (t *TrustedRoot, err error) {
	defer recoverAs(&err, "the trusted root cannot be read")
	if len(text) > MaxTrustedRoot {
		return nil, fmt.Errorf("the trusted root has %d bytes, expected at most %d", len(text), MaxTrustedRoot)
	}
	if err = checkJSON(text); err != nil {
		return nil, fmt.Errorf("the trusted root cannot be read: %w; expected a trusted_root.json of Sigstore", err)
	}
	parsed, err := root.NewTrustedRootFromJSON(text)
	if err != nil {
		return nil, fmt.Errorf("the trusted root cannot be read: %s; expected a trusted_root.json of Sigstore", quoteless(err))
	}
	if len(parsed.FulcioCertificateAuthorities()) == 0 {
		return nil, errors.New("the trusted root names no certificate authority, so no identity could be verified against it")
	}
	if len(parsed.RekorLogs()) == 0 && len(parsed.TimestampingAuthorities()) == 0 {
		return nil, errors.New("the trusted root names neither a transparency log nor a timestamp authority, so nobody could tell when something was signed")
	}
	sum := sha256.Sum256(text)
	return &TrustedRoot{digest: "sha256:" + hex.EncodeToString(sum[:]), root: parsed}, nil
}

// Fingerprint identifies all of an authority that decides whether a signature counts: key or identity, hash, trusted root and
// provenance, but neither its name nor notAfter. It has 64 hexadecimal digits.
func (a Authority) Fingerprint() string {
	parts := []string{hex.EncodeToString(a.Key.spki[:]), "", strconv.Itoa(int(a.Hash))}
	if a.Key.mini != nil {
		parts[1] = minisignID(*a.Key.mini)
	}
	if id := a.Identity; id != nil {
		parts = append(parts, "keyless", id.Issuer, id.Subject, id.SubjectRegExp, strconv.FormatBool(id.LogOptional))
		if id.Root != nil {
			parts = append(parts, id.Root.digest)
		}
	}
	if p := a.Provenance; p != nil {
		parts = append(parts, "provenance", p.BuilderID, p.SourceRepository, p.Ref)
	}
	text, _ := json.Marshal(parts) //nolint:errchkjson // strings
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Check tells why an authority cannot be used. It does not read the clock: see Expired.
func (a Authority) Check() error {
	switch {
	case a.Identity != nil && !a.Key.zero():
		return errors.New("the authority has a key and an identity, expected one of them")
	case a.Identity != nil && a.Hash != 0:
		return errors.New("the authority is keyless: its hash is that of the certificate, so none can be set")
	case a.Identity != nil:
		return a.Identity.Check()
	case a.Key.zero():
		return errors.New("the authority has neither a key nor an identity")
	case a.Hash == 0:
		return nil
	case a.Key.ed != nil:
		return fmt.Errorf("the hash of a key of %s is given by its signatures, so none can be set", a.Key)
	case sizes[hashID(a.Hash)] == 0:
		return fmt.Errorf("the hash is %s, expected SHA-256, SHA-384 or SHA-512", a.Hash)
	}
	return nil
}

// Check tells why an identity cannot be used.
func (i Identity) Check() error {
	switch {
	case i.Issuer == "":
		return errors.New("the identity has no issuer")
	case (i.Subject == "") == (i.SubjectRegExp == ""):
		return errors.New("the identity has a subject and a regular expression for it, or none of both: expected one")
	case i.Root == nil:
		return errors.New("the identity has no trusted root")
	case i.Subject != "":
		return nil
	}
	_, err := compileSubject(i.SubjectRegExp)
	return err
}

// matches tells whether the subject of a certificate is this identity's.
func (i Identity) matches(subject string) bool {
	if i.Subject != "" {
		return subject == i.Subject
	}
	re, err := compileSubject(i.SubjectRegExp)
	return err == nil && re.MatchString(subject)
}

// expected names the subject for messages.
func (i Identity) expected() string {
	if i.Subject != "" {
		return fmt.Sprintf("%.200q", i.Subject)
	}
	return fmt.Sprintf("one that matches %.200q", i.SubjectRegExp)
}

// compileSubject compiles a regular expression that can match a subject as a whole only. The pattern is looked at on its own
// first, so that no bracket in it closes the one around it; then ^(?:...)$ is around it whatever its anchors mean.
func compileSubject(pattern string) (*regexp.Regexp, error) {
	const advice = "expected one that starts with ^ and ends with $, with alternatives in brackets: ^(?:a|b)$"
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("the regular expression for the subject cannot be read: %w", err)
	}
	if !strings.HasPrefix(pattern, "^") || !strings.HasSuffix(pattern, "$") || !anchored(parsed) {
		return nil, errors.New("the regular expression for the subject is not anchored at both ends: " + advice)
	}
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return nil, fmt.Errorf("the regular expression for the subject cannot be read: %w", err)
	}
	if i := slices.IndexFunc(strangers, re.MatchString); i >= 0 {
		return nil, fmt.Errorf("the regular expression for the subject matches anybody, such as %+q: expected one that names somebody, such as "+
			`^https://github\.com/<owner>/<repository>/\.github/workflows/<file>\.yml@refs/tags/v[0-9.]+$`, strangers[i])
	}
	return re, nil
}

// strangers are subjects of nobody, in the forms that certificates have and in others, without a length or an alphabet in common.
// An expression that matches one of them lets in everybody, or everybody of a service that anybody may use.
var strangers = []string{
	"https://github.com/q7zvx-nobody/w3kfj/.github/workflows/jx9q.yml@refs/heads/zz81", "https://gitlab.com/pq0x7/vv2//.gitlab-ci.yml@refs/tags/k4",
	"xk29fq@q8vz.invalid", "repo:zq81/jw7:ref:refs/heads/q",
	"spiffe://zx7.invalid/q", "7", "\u043a\u0444 \u0444", "qzxjkvwqzxjkvwqzxjkvw",
}

// anchored tells whether the expression is a sequence from the start to the end of the text; (?m) makes those of lines instead.
func anchored(re *syntax.Regexp) bool {
	if re.Op != syntax.OpConcat || len(re.Sub) < 2 {
		return false
	}
	return re.Sub[0].Op == syntax.OpBeginText && re.Sub[len(re.Sub)-1].Op == syntax.OpEndText
}

// Statement is an in-toto statement that an authority signed (in-toto attestation framework, v1 and v0.1).
type Statement struct {
	PredicateType string
	Predicate     []byte            // JSON
	Digests       map[string]string // of the subjects, "sha256:<hex>" by subject name
}

// VerifyStatement checks a Sigstore bundle with a signed in-toto statement against authorities, whatever its predicate is. An
// authority that has a provenance policy vouches for provenance only, and does not count here.
func VerifyStatement(now time.Time, authorities []Authority, file []byte) (Statement, Match, error) { //nolint:revive // verify.Statement is what it gives
	s, err := DecodeSignature(file)
	if err != nil {
		return Statement{}, Match{}, err
	}
	if s.bundle == nil || s.bundle.statement == nil {
		return Statement{}, Match{}, errors.New("the attestation is no Sigstore bundle with a signed statement")
	}
	out, err := s.bundle.statement.exported()
	if err != nil {
		return Statement{}, Match{}, err
	}
	var why []string
	for _, a := range authorities {
		if a.Expired(now) || a.Provenance != nil {
			continue
		}
		m, err := signedBy(a, s)
		if err == nil {
			return out, m, nil
		}
		why = append(why, fmt.Sprintf("for authority %s it %s", a.Name, err))
	}
	if len(why) == 0 {
		return Statement{}, Match{}, errors.New("there is no authority that may sign statements")
	}
	return Statement{}, Match{}, errors.New(refusal(0, s.format, why))
}

// signedBy checks the signature of a statement, whatever it is about.
func signedBy(a Authority, s Signature) (Match, error) {
	if err := a.Check(); err != nil {
		return Match{}, fmt.Errorf("cannot be checked: %w", err)
	}
	// It is about its first subject, so nothing needs to leave that check out.
	c, err := statementCheck(a, s)
	if err != nil {
		return Match{}, err
	}
	if err := c.test(digests{of: s.bundle.statement.subjects[0].digests}); err != nil {
		return Match{}, err
	}
	return c.match, nil
}
