// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"slices"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// aboveFloor is an error when a document names a bundle below the floor of its app.
func aboveFloor(doc *release.Document, floors tuf.Floors) error {
	below := floors.Withdrawn(doc)
	if len(below) == 0 {
		return nil
	}
	return kit.Stall(otav1alpha1.PublishFailedReason,
		"bundle %s has version %s, below the floor %s of app %s, which the root of trust holds: release a later version",
		below[0].Name, below[0].Version, floors[doc.App], doc.App)
}

// refuseBelow takes the submissions out of a batch that name a bundle below a floor, and gives their channels.
func (p *Publisher) refuseBelow(batch map[ChannelKey]*submission, floors tuf.Floors) (refused []ChannelKey) {
	for key, s := range batch {
		if s.doc == nil {
			continue
		}
		if err := aboveFloor(s.doc, floors); err != nil {
			delete(batch, key)
			p.settle(s, err)
			refused = append(refused, key)
		}
	}
	return refused
}

// withdrawals are documents that replace those with a bundle below a floor. Their channels are told, so that what they publish
// next is decided anew.
func withdrawals(w *world, floors tuf.Floors, changes map[ChannelKey]*submission, now time.Time) ([]*submission, error) {
	var out []*submission
	for key, c := range w.channels {
		if changes[key] != nil || len(floors.Withdrawn(c.doc)) == 0 {
			continue
		}
		doc := withdraw(c.doc, floors, now)
		raw, err := encode(doc)
		if err != nil {
			return nil, err
		}
		out = append(out, &submission{key: key, doc: doc, raw: raw})
	}
	return out, nil
}

// withdraw gives a document without the bundles below the floor: they are refused, as those of a revoked Bundle are, and what
// was stable before comes back, if it is above the floor.
func withdraw(doc *release.Document, floors tuf.Floors, now time.Time) *release.Document {
	next := *doc
	next.Revision++
	next.Refused = slices.Clone(doc.Refused)
	below := floors.Withdrawn(doc)
	for _, b := range below {
		if !next.Refuses(b.Digest) {
			next.Refused = append(next.Refused, release.Refusal{Digest: b.Digest, Version: b.Version, At: now.Unix()})
		}
	}
	slices.SortFunc(next.Refused, func(a, b release.Refusal) int {
		return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Digest, b.Digest))
	})
	gone := func(b *release.Bundle) bool { return b != nil && next.Refuses(b.Digest) }
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
