// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"github.com/windlass-dev/windlass/internal/bucketing"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// AssignedTo gives the series of a device that reports on a bundle of its channel which the ledger may never have seen it with:
// where a check would put it now. It gives false when the channel hands out no such bundle, and for a nil channel.
func AssignedTo(c *resolve.Channel, deviceID string, is func(*resolve.Bundle) bool) (Series, bool) {
	if c == nil {
		return Series{}, false
	}
	s := Series{App: c.App, Channel: c.Name}
	t := c.Trial()
	if t != nil && is(t.Bundle) { // at any slot: the weight may have been reduced since it was offered
		s.Digest, s.Version, s.Arm = t.Bundle.Digest, t.Bundle.Version, resolve.Candidate
		s.Trial, s.Stage, s.Candidate, s.Release = t.Salt, t.Stage, t.Bundle.Digest, t.Release
		return s, true
	}
	for _, b := range c.Bundles() {
		if !is(b) {
			continue
		}
		s.Digest, s.Version = b.Digest, b.Version
		if t != nil && b == c.Stable() && !bucketing.InCohort(bucketing.Slot(t.Salt, deviceID), t.Weight) {
			s.Arm, s.Trial, s.Stage, s.Candidate, s.Release = resolve.Control, t.Salt, t.Stage, t.Bundle.Digest, t.Release
		}
		return s, true
	}
	return Series{}, false
}
