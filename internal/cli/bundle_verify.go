// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/windlass-dev/windlass/internal/verify"
)

// verification is what verify prints.
type verification struct {
	File         string    `json:"file"`
	Digest       string    `json:"digest"`
	Size         int64     `json:"size"` // bytes
	Verified     bool      `json:"verified"`
	Signatures   []signer  `json:"signatures,omitempty"`
	Attestations []claimed `json:"attestations,omitempty"`
	Refusals     []string  `json:"refusals,omitempty"`
}

// signer is who made a signature that matches.
type signer struct {
	Authority string        `json:"authority"`
	KeyID     string        `json:"keyID,omitempty"`
	Issuer    string        `json:"issuer,omitempty"`
	Subject   string        `json:"subject,omitempty"`
	Format    verify.Format `json:"format"`
	Algorithm string        `json:"algorithm"`
}

// claimed is a signed statement about the file.
type claimed struct {
	signer
	PredicateType string `json:"predicateType"`
	As            string `json:"as"` // name of the subject that is the file
}

func signerOf(m verify.Match) signer {
	return signer{
		Authority: m.Authority, KeyID: m.KeyID, Issuer: m.Issuer, Subject: m.Subject, Format: m.Signature.Format(), Algorithm: m.Algorithm,
	}
}

func signersOf(found verified) (out []signer) {
	for _, m := range found.matches {
		out = append(out, signerOf(m))
	}
	return out
}

type verifyOptions struct {
	trust        trust
	signatures   []string
	attestations []string
}

func (a *app) verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := verb("verify FILE", "Check signatures as the operator does", `
Checks signatures over FILE with the code of the operator: detached ones, those of minisign, and Sigstore bundles by key or
keyless, offline. Each author that is named (every --key, and --identity) must have made one of the signatures or attestations, and is
named once.

Exit code 3 when one of them did not, or when an attestation is not about FILE.`, `
# by key
kubectl windlass bundle verify shop-2.4.1.zip --key ci.pub --signature shop-2.4.1.zip.sig

# keyless, by a workflow of GitHub
kubectl windlass bundle verify shop-2.4.1.zip --signature shop-2.4.1.zip.sigstore.json --trusted-root trusted_root.json \
  --issuer https://token.actions.githubusercontent.com \
  --identity https://github.com/example/shop/.github/workflows/release.yml@refs/tags/v2.4.1

# what bundle inspect stated about an encrypted file
kubectl windlass bundle verify shop-2.4.1.zip_encrypted.zip --key ci.pub --attestation statement.sigstore.json`,
		func(ctx context.Context, args []string) error { return a.verify(ctx, args[0], o) })
	o.trust.bind(cmd.Flags())
	cmd.Flags().StringArrayVar(&o.signatures, "signature", nil, "file with a signature over FILE; may be repeated")
	cmd.Flags().StringArrayVar(&o.attestations, "attestation", nil, "Sigstore bundle with a signed statement about FILE; may be repeated")
	return cmd
}

func (a *app) verify(ctx context.Context, path string, o verifyOptions) error {
	if len(o.signatures)+len(o.attestations) == 0 {
		return usage("expected a signature, got none; give --signature or --attestation")
	}
	by, err := a.authorities(o.trust)
	if err != nil {
		return err
	}
	var signatures []verify.Signature
	for _, name := range o.signatures {
		s, _, err := a.signatureFile(name)
		if err != nil {
			return err
		}
		signatures = append(signatures, s)
	}
	found, err := a.verifyFile(ctx, path, o.trust, by, signatures...)
	if err != nil {
		return err
	}
	result := verification{File: path, Digest: found.Digest, Size: found.Size, Refusals: found.refusals, Signatures: signersOf(found)}
	var why []string
	made := result.Signatures
	for _, name := range o.attestations {
		c, err := a.attested(name, by, found.Digest)
		if err != nil {
			why = append(why, fmt.Sprintf("%s: %v", name, err))
			continue
		}
		result.Attestations, made = append(result.Attestations, c), append(made, c.signer)
	}
	why = append(why, missing(by, made, found.refusals)...)
	result.Verified = len(why) == 0
	if err := a.print(result, func(w io.Writer) { a.printVerification(w, result) }); err != nil {
		return err
	}
	if !result.Verified {
		return refused("%s: %s", path, sentences(why))
	}
	return nil
}

// missing lists the authors that made none of the signatures and attestations.
func missing(by []verify.Authority, made []signer, refusals []string) []string {
	var out []string
	for _, one := range by {
		if slices.ContainsFunc(made, func(s signer) bool { return s.Authority == one.Name }) {
			continue
		}
		why := fmt.Sprintf("expected a signature of %s, got none that matches", one.Name)
		if len(refusals) > 0 {
			why += ": " + sentences(refusals)
		}
		out = append(out, why)
	}
	return out
}

// attested checks that a statement about the digest was signed by one of the authors.
func (a *app) attested(path string, by []verify.Authority, digest string) (claimed, error) {
	text, err := a.readFile(path, verify.MaxSignatureFile)
	if err != nil {
		return claimed{}, err
	}
	statement, match, err := verify.VerifyStatement(a.Now(), by, text)
	if err != nil {
		return claimed{}, err
	}
	for _, name := range sorted(statement.Digests) {
		if statement.Digests[name] == digest {
			return claimed{signer: signerOf(match), PredicateType: statement.PredicateType, As: name}, nil
		}
	}
	return claimed{}, fmt.Errorf("expected a statement about %s, got one about other files; make it for this file", digest)
}

func (a *app) printVerification(w io.Writer, r verification) {
	word := a.colour(green, "verified")
	if !r.Verified {
		word = a.colour(red, "NOT VERIFIED")
	}
	fmt.Fprintf(w, "%s   %s   %s\n", word, printable(r.File), r.Digest)
	var rows [][]string
	for _, s := range r.Signatures {
		rows = append(rows, []string{"signed by", printable(s.Authority), string(s.Format), s.Algorithm, s.KeyID})
	}
	for _, s := range r.Attestations {
		rows = append(rows, []string{"stated by", printable(s.Authority), string(s.Format), s.Algorithm, s.PredicateType + " as " + printable(s.As)})
	}
	table(w, rows...)
}
