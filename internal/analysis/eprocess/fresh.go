// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

import "math"

// Fresh counts the devices of both arms that came into a stage lately, since their shares began to lean to the side that is worse for
// the candidate: more of them than of all devices are in its arm (fewer, for Silence). It is a cumulative sum (CUSUM: Page, 1954), so that
// it finds the same whether there are many devices in a look or one. Older ones are forgotten by halves while fewer devices are enough to see
// that they lean, and when they are a large part of the stage: else those that came while little leaned would hide what came later.
type Fresh struct{ Candidate, Control int64 }

const (
	// visible is the logarithm of how improbable a share of fresh devices has to be before it counts. Chance reaches it now and then, which
	// costs little, since a worse share is never wrong. From 1 on, x5 at 1 % is still found by 5 failures in looks of 1000 devices, but
	// by 7 in those of 10; at 6, three times as many releases are taken back for devices that come late.
	visible = 2
	// recent is the largest part of the devices of a stage that is fresh.
	recent = 0.25
)

// add takes in the new devices of one look, and begins anew when they do not lean any more.
func (f *Fresh) add(k Kind, before, after *Stage) {
	f.Candidate += after.Candidate.Exposed - before.Candidate.Exposed
	f.Control += after.Control.Exposed - before.Control.Exposed
	leans := float64(f.Candidate)*float64(after.Control.Exposed) - float64(f.Control)*float64(after.Candidate.Exposed)
	if k == Silence {
		leans = -leans
	}
	half := Fresh{f.Candidate / 2, f.Control / 2}
	switch {
	case leans <= 0:
		*f = Fresh{}
	case half.uneven(after) || float64(f.Candidate+f.Control) > recent*float64(after.Candidate.Exposed+after.Control.Exposed):
		*f = half
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
