// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import "testing"

// A failure that names no bundle is never of an offer that was made after it, whatever was offered again since.
func TestLaterOfferIsNotBlamed(t *testing.T) {
	t.Parallel()
	offered := func(s *Series, after millis) *event { return checkOf(s, markOf(Offered), after, "") }
	runs := func(s *Series, after millis) *event { return checkOf(s, seen, after, s.Version) }
	otherwise := func(after millis) *event { return checkOf(nil, 0, after, "1.0.0") }
	again := []*event{offered(&oldSeries, 0), offered(&newSeries, minute), offered(&oldSeries, 60*minute)}
	for name, tc := range map[string]struct {
		before     []*event
		at         millis
		afterOffer bool
		failed     string // digest; empty: none
		known      bool
	}{
		"A, B, A":                             {again, 2 * minute, false, newSeries.Digest, true},
		"A, B, A, after the last":             {again, 61 * minute, false, oldSeries.Digest, true},
		"A, B, A, of an old plugin":           {again, 2 * minute, true, newSeries.Digest, true},
		"A, B, A, B":                          {append(again[:3:3], offered(&newSeries, 120*minute)), 2 * minute, false, newSeries.Digest, true},
		"A ran before it was offered":         {[]*event{runs(&oldSeries, 0), offered(&oldSeries, 60*minute)}, 2 * minute, false, "", false},
		"B, while A ran before":               {[]*event{offered(&newSeries, 0), runs(&oldSeries, minute), offered(&oldSeries, 60*minute)}, 2 * minute, false, newSeries.Digest, true},
		"an old plugin before the next offer": {[]*event{offered(&newSeries, 0), otherwise(minute), offered(&newSeries, 60*minute)}, 2 * minute, true, "", true},
		"the first offer is too old":          {[]*event{offered(&newSeries, 0), offered(&newSeries, 3*day)}, 2 * day, false, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d device
			for _, e := range tc.before {
				d.apply(e, usual, always)
			}
			if known := d.apply(reportOf(Failed, tc.at, func(e *event) { e.afterOffer = tc.afterOffer }), usual, always); known != tc.known {
				t.Errorf("attributed: %v, want %v", known, tc.known)
			}
			got := ""
			for _, e := range d {
				if e.vote.failedAt != 0 {
					got += e.series.Digest
				}
			}
			if got != tc.failed {
				t.Errorf("failed: %q, want %q", got, tc.failed)
			}
		})
	}
}
