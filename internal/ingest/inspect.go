// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"fmt"
	"maps"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
)

// inspect asks for what is in the artifact: what was seen while it streamed by, else what an authority attests. Attestations are
// held against what was seen, also where they are not needed.
func (r *run) inspect(ctx context.Context) error {
	attested, err := r.attest(ctx)
	if err != nil {
		return err
	}
	facts := encryptedFacts
	switch {
	case r.scan != nil:
		if err := r.scan.verdict(); err != nil {
			return err
		}
		report := r.scan.scanner.Report()
		if err := attested.agrees(report, r.plain); err != nil {
			return err
		}
		r.result.Inspection = &Inspection{Report: report}
		if r.job.Envelope == nil {
			facts = r.scan.facts
		} else { // devices download the one and unpack the other
			facts.Files, facts.Unpacked = r.scan.facts.Files, r.scan.facts.Unpacked
		}
	case attested != nil:
		r.result.Inspection = &Inspection{Report: attested.report, Attested: &attested.by, Evidence: attested.evidence}
	case len(r.job.Attestations) > 0:
		return kit.Stall(otav1alpha1.AttestationInvalidReason, "none of %d attestations tells what is in the artifact, which nobody here can open: "+
			"make one with kubectl windlass bundle inspect", len(r.job.Attestations))
	}
	r.result.Facts = facts
	r.result.Path = release.BundleTarget(r.job.App, r.job.Version, facts.Ext)
	return r.compareNative()
}

// compareNative refuses native dependencies of the spec that are not those of the archive: one of the two is a mistake, and nobody
// knows which.
func (r *run) compareNative() error {
	if r.job.Native == nil || r.result.Inspection == nil || r.result.Inspection.Native == nil {
		return nil
	}
	said, found := r.job.Native.Packages, r.result.Inspection.Native.Packages
	if maps.Equal(said, found) {
		return nil
	}
	return kit.Stall(otav1alpha1.InvalidSpecReason, "spec.nativeDependencies differs from native-dependencies.json in the archive%s: make both the same, or leave one out",
		firstDifference(said, found))
}

// firstDifference names one package, the same at each try.
func firstDifference(said, found map[string]string) string {
	worst := ""
	for _, packages := range []map[string]string{said, found} {
		for name := range packages {
			_, a := said[name]
			_, b := found[name]
			if (a != b || said[name] != found[name]) && (worst == "" || name < worst) {
				worst = name
			}
		}
	}
	return fmt.Sprintf(" (package %.214q: %s in the spec, %s in the archive)", worst, rangeOf(said, worst), rangeOf(found, worst))
}

func rangeOf(packages map[string]string, name string) string {
	version, ok := packages[name]
	switch {
	case !ok:
		return "absent"
	case version == "":
		return "any version"
	}
	return fmt.Sprintf("%.128q", version)
}
