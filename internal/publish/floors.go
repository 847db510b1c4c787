// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
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
		doc := floors.Withdraw(c.doc, now)
		doc.Revision++
		raw, err := encode(doc)
		if err != nil {
			return nil, err
		}
		out = append(out, &submission{key: key, doc: doc, raw: raw})
	}
	return out, nil
}
