// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/windlass-dev/windlass/internal/release"
)

// Withdrawn gives the bundles of a release document that may not be offered.
func (f Floors) Withdrawn(doc *release.Document) []*release.Bundle {
	var out []*release.Bundle
	for _, b := range doc.Bundles() {
		if f.Below(doc.App, b.Version) {
			out = append(out, b)
		}
	}
	return out
}

// Withdraw gives a document without the bundles below the floor of its app: they are refused, as those of a revoked Bundle are,
// and what was stable before comes back, if it may. Content that the document also has under a version above the floor is not
// refused: only the lower version goes.
func (f Floors) Withdraw(doc *release.Document, at time.Time) *release.Document {
	next := *doc
	next.Refused = slices.Clone(doc.Refused)
	for _, b := range f.Withdrawn(doc) {
		if !next.Refuses(b.Digest) && !f.keeps(doc, b.Digest) {
			next.Refused = append(next.Refused, release.Refusal{Digest: b.Digest, Version: b.Version, At: at.Unix()})
		}
	}
	slices.SortFunc(next.Refused, func(a, b release.Refusal) int {
		return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Digest, b.Digest))
	})
	gone := func(b *release.Bundle) bool {
		return b != nil && (f.Below(doc.App, b.Version) || next.Refuses(b.Digest))
	}
	if gone(next.Previous) {
		next.Previous = nil
	}
	if gone(next.Stable) {
		next.Stable, next.Previous = next.Previous, nil
	}
	if gone(next.Guards.Floor) {
		next.Guards.Floor = nil
	}
	if next.Candidate != nil && gone(&next.Candidate.Bundle) {
		next.Candidate = nil
	}
	return &next
}

// keeps tells whether a document has an artifact under a version that may be offered.
func (f Floors) keeps(doc *release.Document, digest string) bool {
	return slices.ContainsFunc(doc.Bundles(), func(b *release.Bundle) bool {
		return b.Digest == digest && !f.Below(doc.App, b.Version)
	})
}
