// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import "github.com/windlass-dev/windlass/internal/analysis/eprocess"

// wantedPower is the probability with which a step is to find what it says that it finds.
const wantedPower = 0.8

// Outlook is what a step is expected to see.
type Outlook struct {
	Candidate, Control float64 // devices that are expected to be exposed in the step
	BaseRate           float64 // share of the control's devices with the outcome in the step, 0 to 1: that fail; that come back, for Silent
}

// Detects gives the smallest ratio to the base rate that one of the metric's tests finds within a step, at the latest at its end, with a
// probability of at least 0.8: 5 is five times as many failures; for Silent, five times as long to come back. It is not ok when the
// step would not even see a total outage, and for a thresholdRange, of which nothing is known. A BaseRate of 0 counts as half
// a device in both arms. Evidence of earlier steps, and what they may find, is left out.
func (l Limits) Detects(o Outlook) (ratio float64, ok bool) {
	base := min(o.BaseRate, 1)
	if !(base > 0) {
		base = min(0.5/(o.Candidate+o.Control), 1)
	}
	for _, t := range l.Tests() {
		if r, sees := t.Detects(eprocess.Outlook{Candidate: o.Candidate, Control: o.Control, Base: base}, wantedPower); sees && (!ok || r < ratio) {
			ratio, ok = r, true
		}
	}
	return ratio, ok
}
