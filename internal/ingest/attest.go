// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/verify"
)

// maxAttestation is the largest attestation in bytes: what the API takes inline, decoded, and more.
const maxAttestation = 128 << 10

// Bounds of what a report may hold, as the API has them.
const (
	maxFindings = 64
	maxValue    = 256 // characters
	maxPackages = 256
	maxName     = 214
	maxRange    = 128
)

// attested is what an authority says of the inside of an artifact.
type attested struct {
	report   content.Report
	by       verify.Match
	evidence string   // digest
	subjects []string // digests
}

// attest verifies all attestations. It gives the first that tells what is in the artifact, nil when none does; others must not
// contradict it. Those about other things are kept as evidence.
func (r *run) attest(ctx context.Context) (*attested, error) {
	var first *attested
	for i, f := range r.job.Attestations {
		one, err := r.attestation(ctx, f)
		if err == nil && one != nil && first.contradicts(one.report) {
			err = kit.Stall(otav1alpha1.AttestationInvalidReason,
				"it is by %s and says something else of the artifact than the one by %s: keep those that are right", one.by.Authority, first.by.Authority)
		}
		if err != nil {
			return nil, rephrase(err, "attestation %d of %d", i+1, len(r.job.Attestations))
		}
		if first == nil {
			first = one
		}
	}
	return first, nil
}

// contradicts tells whether another report by the same checks differs. Nothing contradicts nobody.
func (a *attested) contradicts(other content.Report) bool {
	return a != nil && a.report.Ruleset == other.Ruleset && !same(a.report, other)
}

// attestation verifies one. It is nil for a statement that tells something else.
func (r *run) attestation(ctx context.Context, f File) (*attested, error) {
	file, err := r.statementFile(ctx, f)
	if err != nil {
		return nil, err
	}
	statement, match, err := verify.VerifyStatement(r.Now(), r.job.Authorities, file)
	if err != nil {
		return nil, kit.Stall(otav1alpha1.AttestationInvalidReason, "%w", err)
	}
	subjects := slices.Sorted(maps.Values(statement.Digests))
	if !slices.Contains(subjects, r.job.Digest) {
		return nil, kit.Stall(otav1alpha1.AttestationInvalidReason,
			"it is about other artifacts: expected a subject with the digest of the spec %s; attest the file that is released", r.job.Digest)
	}
	evidence := r.keep(match.Signature.Evidence())
	if statement.PredicateType != content.PredicateType {
		return nil, nil
	}
	if r.job.Envelope != nil && len(slices.Compact(subjects)) < 2 {
		return nil, kit.Stall(otav1alpha1.AttestationInvalidReason, "it is about the encrypted file alone: expected a second subject with the digest "+
			"of the readable archive; make it with kubectl windlass bundle inspect --encrypted")
	}
	report, err := decodeReport(statement.Predicate)
	if err != nil {
		return nil, kit.Stall(otav1alpha1.AttestationInvalidReason, "its predicate is no inspection of this version: %w", err)
	}
	return &attested{report: report, by: match, evidence: evidence, subjects: subjects}, nil
}

// statementFile gets an attestation, from the bucket when its source is gone and it counted before.
func (r *run) statementFile(ctx context.Context, f File) ([]byte, error) {
	file, err := r.read(ctx, f, maxAttestation)
	if err != nil {
		for _, k := range r.job.Known {
			if k.Format != "" {
				continue // of a signature
			}
			if old, recallErr := r.recall(ctx, k.Evidence, maxAttestation); recallErr != nil || old != nil {
				return old, recallErr
			}
		}
		return nil, err
	}
	return file, nil
}

// agrees holds an attestation against what the manager found itself. Plain is the digest of what was in an encrypted artifact.
func (a *attested) agrees(found content.Report, plain string) error {
	switch {
	case a == nil:
		return nil
	case plain != "" && !slices.Contains(a.subjects, plain):
		return kit.Stall(otav1alpha1.AttestationInvalidReason,
			"the attestation by %s is about another archive than the one in the artifact: expected a subject with digest %s", a.by.Authority, plain)
	case a.contradicts(found):
		return kit.Stall(otav1alpha1.AttestationInvalidReason,
			"the attestation by %s says something else than the manager found in the artifact: inspect and attest the artifact itself", a.by.Authority)
	}
	return nil
}

// same compares reports as they are written: an empty list is none.
func same(a, b content.Report) bool {
	one, err := json.Marshal(a)
	other, otherErr := json.Marshal(b)
	return err == nil && otherErr == nil && bytes.Equal(one, other)
}

// decodeReport reads a predicate strictly: what is not understood may be what matters.
func decodeReport(predicate []byte) (content.Report, error) {
	var out content.Report
	d := json.NewDecoder(bytes.NewReader(predicate))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		return out, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return out, errors.New("there is more behind it")
	}
	if out.Ruleset < 1 || out.Ruleset > content.Ruleset {
		return out, fmt.Errorf("it was made by ruleset %d, expected 1 to %d: use kubectl-windlass of the manager's version", out.Ruleset, content.Ruleset)
	}
	if out.Files < 0 || out.Unpacked < 0 {
		return out, errors.New("it counts fewer than no files or bytes")
	}
	if err := checkFindings(out.Findings); err != nil {
		return out, err
	}
	return out, checkPackages(out.Native)
}

func checkFindings(findings []content.Finding) error {
	if len(findings) > maxFindings {
		return fmt.Errorf("it has %d findings, expected at most %d", len(findings), maxFindings)
	}
	seen := map[string]bool{}
	for _, f := range findings {
		switch {
		case !content.Known(f.Check) && f.Check != content.CheckCSP:
			return fmt.Errorf("it has a finding of check %.63q, which nobody knows", f.Check)
		case seen[f.Check]:
			return fmt.Errorf("it has two findings of check %s", f.Check)
		case f.Count < 1:
			return fmt.Errorf("it has a finding of check %s that counts %d", f.Check, f.Count)
		case len(f.Values) > content.MaxValues:
			return fmt.Errorf("its finding of check %s has %d values, expected at most %d", f.Check, len(f.Values), content.MaxValues)
		}
		for _, v := range f.Values {
			if len([]rune(v)) > maxValue {
				return fmt.Errorf("its finding of check %s has a value of %d characters, expected at most %d", f.Check, len([]rune(v)), maxValue)
			}
		}
		seen[f.Check] = true
	}
	return nil
}

func checkPackages(native *content.Native) error {
	if native == nil {
		return nil
	}
	if len(native.Packages) > maxPackages {
		return fmt.Errorf("it has %d native dependencies, expected at most %d", len(native.Packages), maxPackages)
	}
	for name, version := range native.Packages {
		if name == "" || len(name) > maxName || len(version) > maxRange {
			return fmt.Errorf("it has a native dependency with a name of %d characters and a range of %d, expected 1 to %d and at most %d",
				len(name), len(version), maxName, maxRange)
		}
	}
	return nil
}
