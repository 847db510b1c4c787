// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Extensions of certificates: RFC 5280 and https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
var (
	oidSAN      = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidIssuerV1 = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1} // bytes of the text
	oidIssuerV2 = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8} // UTF8String
)

// Tags of a GeneralName in a certificate.
var (
	tagOtherName = cryptobyteasn1.Tag(0).ContextSpecific().Constructed()
	tagEmail     = cryptobyteasn1.Tag(1).ContextSpecific()
	tagURI       = cryptobyteasn1.Tag(6).ContextSpecific()
)

// maxName bounds issuers and subjects in bytes, so that status can hold them.
const maxName = 1024

// certificate is what a signing certificate says of its holder; nothing of it is verified yet.
type certificate struct {
	key     Key
	issuer  string
	subject string
	build   map[string]string // what Fulcio says of the build, by the name of the extension
}

// buildExtensions are those of a certificate that Fulcio fills from the token of the CI system. Whoever makes a statement in the
// build writes it freely, and cannot change these.
var buildExtensions = map[string]asn1.ObjectIdentifier{
	buildSigner:      {1, 3, 6, 1, 4, 1, 57264, 1, 9},
	sourceRepository: {1, 3, 6, 1, 4, 1, 57264, 1, 12},
	sourceRef:        {1, 3, 6, 1, 4, 1, 57264, 1, 14},
}

// Names of buildExtensions in https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
const (
	buildSigner      = "Build Signer URI"
	sourceRepository = "Source Repository URI"
	sourceRef        = "Source Repository Ref"
)

// buildOf reads what a certificate says of the build. None of it has to be there: people have no build.
func buildOf(cert *x509.Certificate) (map[string]string, error) {
	out := map[string]string{}
	for name, id := range buildExtensions {
		for _, e := range cert.Extensions {
			if !e.Id.Equal(id) {
				continue
			}
			var text string
			rest, err := asn1.UnmarshalWithParams(e.Value, &text, "utf8")
			if _, twice := out[name]; twice || err != nil || len(rest) > 0 {
				return nil, fmt.Errorf("its extension %s cannot be read, or is there twice", name)
			}
			out[name] = text
		}
	}
	return out, nil
}

func parseCertificate(cert *x509.Certificate) (*certificate, error) {
	key, err := newKey(cert.PublicKey)
	if err != nil {
		return nil, err
	}
	out := &certificate{key: key}
	if out.issuer, err = issuerOf(cert); err != nil {
		return nil, err
	}
	if out.subject, err = subjectOf(cert); err != nil {
		return nil, err
	}
	if out.build, err = buildOf(cert); err != nil {
		return nil, err
	}
	for _, text := range []string{out.issuer, out.subject} {
		if len(text) > maxName {
			return nil, fmt.Errorf("its issuer or subject has %d bytes, expected at most %d", len(text), maxName)
		}
		if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return nil, fmt.Errorf("its issuer or subject is %.80q, expected text in one line", text)
		}
	}
	return out, nil
}

// issuerOf reads the issuer of the identity. Certificates have it in two forms, which must be the same.
func issuerOf(cert *x509.Certificate) (string, error) {
	var found []string
	for _, e := range cert.Extensions {
		switch {
		case e.Id.Equal(oidIssuerV1):
			found = append(found, string(e.Value))
		case e.Id.Equal(oidIssuerV2):
			var text string
			if rest, err := asn1.UnmarshalWithParams(e.Value, &text, "utf8"); err != nil || len(rest) > 0 {
				return "", errors.New("the issuer of its identity cannot be read")
			}
			found = append(found, text)
		}
	}
	if len(found) == 0 {
		return "", errors.New("it names no issuer of an identity: it is not one of Fulcio")
	}
	for _, text := range found {
		if text != found[0] {
			return "", errors.New("it names two different issuers of an identity")
		}
	}
	return found[0], nil
}

// subjectOf reads the one subject alternative name byte by byte: packages that parse and print it again may see another one.
func subjectOf(cert *x509.Certificate) (string, error) {
	var found []pkix.Extension
	for _, e := range cert.Extensions {
		if e.Id.Equal(oidSAN) {
			found = append(found, e)
		}
	}
	many := errors.New("it does not have one subject alternative name, which is the subject of the identity")
	if len(found) != 1 {
		return "", many
	}
	var names, name cryptobyte.String
	var tag cryptobyteasn1.Tag
	input := cryptobyte.String(found[0].Value)
	ok := input.ReadASN1(&names, cryptobyteasn1.SEQUENCE) && input.Empty() && names.ReadAnyASN1(&name, &tag) && names.Empty()
	switch {
	case !ok:
		return "", many
	case tag == tagEmail, tag == tagURI:
		return string(name), nil
	case tag == tagOtherName:
		return cryptoutils.UnmarshalOtherNameSAN(cert.Extensions)
	}
	return "", errors.New("its subject alternative name is neither a URI nor an email address nor a name of Sigstore")
}

// verify asks sigstore-go whether the certificate is of the trusted root, was valid at a proven time, and is in its logs, and whether
// the signature is by it over the digest. Its yes is held against what we read ourselves.
func (i Identity) verify(b *sigstoreBundle, id hashID, digest []byte) (err error) {
	defer recoverAs(&err, "cannot be checked: its log entry or timestamp is damaged")
	var options []sigstore.VerifierOption
	if len(i.Root.root.CTLogs()) > 0 { // a private instance may have none
		options = append(options, sigstore.WithSignedCertificateTimestamps(1))
	}
	err = i.verifyWith(b, id, digest, append(slices.Clone(options), sigstore.WithTransparencyLog(1), sigstore.WithObserverTimestamps(1)))
	if err != nil && i.LogOptional {
		err = i.verifyWith(b, id, digest, append(slices.Clone(options), sigstore.WithSignedTimestamps(1)))
	}
	return err
}

func (i Identity) verifyWith(b *sigstoreBundle, id hashID, digest []byte, options []sigstore.VerifierOption) error {
	entity, err := bundle.NewBundle(b.proto)
	if err != nil {
		return fmt.Errorf("cannot be checked: %.200s", printable(err.Error()))
	}
	want, err := sigstore.NewShortCertificateIdentity(i.Issuer, "", b.cert.subject, "")
	if err != nil {
		return fmt.Errorf("cannot be checked: %w", err)
	}
	verifier, err := sigstore.NewVerifier(i.Root.root, append(options, sigstore.WithoutStatementPredicate())...)
	if err != nil {
		return fmt.Errorf("cannot be checked: %w", err)
	}
	policy := sigstore.NewPolicy(sigstore.WithArtifactDigest(intotoName(id), digest), sigstore.WithCertificateIdentity(want))
	result, err := verifier.Verify(entity, policy)
	if err != nil {
		return explain(err, i)
	}
	return i.recheck(b, id, digest, result)
}

// recheck holds the result of sigstore-go against the policy: no single verifier is trusted alone.
func (i Identity) recheck(b *sigstoreBundle, id hashID, digest []byte, result *sigstore.VerificationResult) error {
	wrong := errors.New("is read in two ways by two verifiers: tell its author")
	if result.Signature == nil || result.Signature.Certificate == nil || len(result.VerifiedTimestamps) == 0 {
		return wrong
	}
	got := result.Signature.Certificate
	if got.Issuer != i.Issuer || got.SubjectAlternativeName != b.cert.subject || !i.matches(got.SubjectAlternativeName) {
		return wrong
	}
	switch {
	case b.statement == nil && (result.Statement != nil || b.hash != id || !bytes.Equal(b.digest, digest)):
		return wrong
	case b.statement == nil:
		return nil
	case result.Statement == nil, result.Statement.GetPredicateType() != b.statement.predicateType,
		len(result.Statement.GetSubject()) != len(b.statement.subjects):
		return wrong
	}
	for n, one := range result.Statement.GetSubject() {
		if one.GetName() != b.statement.subjects[n].name {
			return wrong
		}
	}
	return nil
}

func intotoName(id hashID) string {
	for name, one := range subjectHashes {
		if one == id {
			return name
		}
	}
	return ""
}

// explain says in our words what sigstore-go refuses: its messages quote what was not verified.
func explain(err error, i Identity) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "integrated time outside certificate validity"):
		return errors.New("was put into a log at a time when its certificate was not valid")
	case strings.HasPrefix(text, "failed to verify log inclusion: not enough"):
		return errors.New("is in no transparency log of the trusted root")
	case strings.HasPrefix(text, "failed to verify log inclusion"):
		return errors.New("has an entry of a transparency log that does not prove it")
	case strings.HasPrefix(text, "failed to verify timestamps") && i.LogOptional:
		return errors.New("has no timestamp of an authority of the trusted root")
	case strings.HasPrefix(text, "failed to verify timestamps"):
		return errors.New("has no time that a log or an authority of the trusted root signed")
	case strings.HasPrefix(text, "failed to verify leaf certificate"):
		return errors.New("has a certificate of no authority of the trusted root, or was not made in the certificate's time")
	case strings.HasPrefix(text, "failed to verify signed certificate timestamp"):
		return errors.New("has a certificate that is in no certificate log of the trusted root")
	}
	return fmt.Errorf("is refused by sigstore-go: %.160s", printable(text))
}
