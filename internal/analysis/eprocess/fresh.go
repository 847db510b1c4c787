// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

import "math"

// Fresh counts the devices of both arms that came into a stage since their shares began to lean to the side that is worse for the
// candidate: more of them than of all devices are in its arm (fewer, for Silence). It is a cumulative sum (CUSUM: Page, 1954), so that it
// finds the same whether there are many devices in a look or one.
type Fresh struct{ Candidate, Control int64 }

// visible is the logarithm of how improbable a share of fresh devices has to be before it is no chance.
const visible = 6

// add takes in the new devices of one look, and begins anew when they do not lean any more.
func (f *Fresh) add(k Kind, before, after *Stage) {
	f.Candidate += after.Candidate.Exposed - before.Candidate.Exposed
	f.Control += after.Control.Exposed - before.Control.Exposed
	leans := float64(f.Candidate)*float64(after.Control.Exposed) - float64(f.Control)*float64(after.Candidate.Exposed)
	if k == Silence {
		leans = -leans
	}
	if leans <= 0 {
		*f = Fresh{}
	}
}

// uneven tells whether fresh devices were divided between the arms in another way than all devices of the stage, by more than chance
// (Chernoff's bound for a binomial number). Then devices of one arm came in that have no match in the other at that time.
func (f Fresh) uneven(all *Stage) bool {
	c, s := float64(f.Candidate), float64(f.Control)
	n, share := c+s, float64(all.Candidate.Exposed)/float64(all.Candidate.Exposed+all.Control.Exposed)
	surprise := 0.0
	if c > 0 {
		surprise += c * math.Log(c/n/share)
	}
	if s > 0 {
		surprise += s * math.Log(s/n/(1-share))
	}
	return surprise > visible
}
