// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/verify"
)

// decode gets all signatures before the artifact: Ed25519 needs them first, and what cannot be read is known sooner. So is
// what no key fits.
func (r *run) decode(ctx context.Context) error {
	for i, f := range r.job.Signatures {
		signature, err := r.signature(ctx, f)
		if err == nil {
			r.signatures = append(r.signatures, signature)
			continue
		}
		err = rephrase(err, "signature %d of %d", i+1, len(r.job.Signatures))
		if f.Source == nil {
			return err
		}
		r.gone = cmp.Or(r.gone, err)
	}
	if err := r.remember(ctx); err != nil {
		return err
	}
	if err := r.attach(ctx); err != nil {
		return err
	}
	return r.unlock()
}

func (r *run) signature(ctx context.Context, f File) (verify.Signature, error) {
	file, err := r.read(ctx, f, verify.MaxSignatureFile)
	if err != nil {
		return verify.Signature{}, err
	}
	signature, err := verify.DecodeSignature(file)
	if err != nil {
		return verify.Signature{}, kit.Stall(signatureReason(err), "%w", err)
	}
	return signature, nil
}

// remember takes signatures that counted before beside those at sources: these vanish or change with time, and the signatures
// have to be verified again when the trusted root of their authority is refreshed. Without any, what is gone is an error.
func (r *run) remember(ctx context.Context) error {
	if !slices.ContainsFunc(r.job.Signatures, func(f File) bool { return f.Source != nil }) {
		return nil
	}
	known := 0
	for _, k := range r.job.Known {
		if k.Format == "" || k.Format == otav1alpha1.FormatCosignImage {
			continue
		}
		file := []byte(k.Signature)
		if k.Signature == "" {
			var err error
			if file, err = r.recall(ctx, k.Evidence, verify.MaxSignatureFile); err != nil {
				return err
			}
		}
		if signature, err := verify.DecodeSignature(file); err == nil {
			r.signatures = append(r.signatures, signature)
			known++
		}
	}
	if known == 0 {
		return r.gone
	}
	return nil
}

func signatureReason(err error) string {
	if errors.Is(err, verify.ErrNotSupportedYet) {
		return otav1alpha1.NotSupportedYetReason
	}
	return otav1alpha1.SignatureUnreadableReason
}

// rephrase says what an error is about and keeps its class and reason.
func rephrase(err error, format string, args ...any) error {
	e := kit.Classify(err)
	return &kit.Error{Class: e.Class, Reason: e.Reason, After: e.After, Err: fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), e.Err)}
}

// formats as the API names them.
var formats = map[verify.Format]otav1alpha1.SignatureFormat{
	verify.Detached: otav1alpha1.FormatDetached, verify.Minisign: otav1alpha1.FormatMinisign, verify.SigstoreBundle: otav1alpha1.FormatSigstoreBundle,
}

// verify asks for at least one signature by an authority, and opens what is encrypted.
func (r *run) verify(ctx context.Context) error {
	for _, m := range r.verifier.Matches() {
		evidence := r.keep(m.Signature.Evidence())
		r.result.Matches = append(r.result.Matches, Match{Match: m, Format: formats[m.Signature.Format()], Evidence: evidence})
	}
	attached, refusals, err := r.matchAttached()
	if err != nil {
		return err
	}
	for _, m := range attached {
		if !slices.ContainsFunc(r.result.Matches, func(o Match) bool { return o.Authority == m.Authority }) {
			r.result.Matches = append(r.result.Matches, m)
		}
	}
	r.result.Untried = r.gone != nil
	switch {
	case len(r.result.Matches) > 0:
		return r.open(ctx)
	case r.gone != nil: // what counted before is here, and counts no more; what is gone may come back
		return kit.Retry(otav1alpha1.SignatureInvalidReason, "none of the signatures that counted before matches an authority of the Repository: tried %s; and %w",
			r.tried(), r.gone)
	}
	tried, expired := r.verifier.Tried()
	return kit.Stall(otav1alpha1.SignatureInvalidReason, "%s%s",
		Unmatched(len(r.job.Signatures)+len(r.attached), tried, expired), refusalNote(append(r.verifier.Refusals(), refusals...)))
}

// Unmatched says that no signature matches, and which authorities were tried or no longer count.
func Unmatched(signatures int, tried, expired []string) string {
	return fmt.Sprintf("none of %d signatures matches an authority of the Repository: tried %s%s", signatures, orNone(tried), expiredNote(expired))
}

// tried names the authorities that signatures were held against.
func (r *run) tried() string {
	tried, expired := r.verifier.Tried()
	return orNone(tried) + expiredNote(expired)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func expiredNote(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; no longer valid: " + strings.Join(names, ", ")
}

func refusalNote(why []string) string {
	if len(why) == 0 {
		return ""
	}
	return "; " + strings.Join(why, "; ")
}
