// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"math/rand/v2"

	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
)

// Lab is a world without a rollout: devices are exposed at a steady pace, whatever is decided about them, so that rules can be compared on
// the very same devices. One look is one hour of its Weather.
type Lab struct {
	Weights   []int32 // share of the exposures that are the candidate's, in basis points: a stage each, all of the same length
	Looks     int
	Exposures int64 // new devices a look, in both arms together

	BaseRate float64 // share of exposed stable devices that fail
	Ratio    float64 // of the candidate's failures to those; what exceeds all devices is all of them
	Silent   bool    // candidate devices never come back
	Return   float64 // share of the devices that were not back yet which come back in a look

	Weather    Weather
	Incident   float64 // factor of the base rate in the middle fifth of the looks; 0: 1
	Late       float64 // mean number of looks until a failure is reported; 0: at once
	Duplicates float64 // share of devices that are counted twice, by gateways with ledgers of their own
}

// Look is what is known at one look.
type Look struct {
	Stages []eprocess.Stage // the oldest first; the next look changes them

	Exposed, Failed         int64 // candidate devices since the last look, as reported
	AllExposed, AllFailed   int64 // candidate devices so far; failed or lost, reported or not
	AllTold                 int64 // of AllFailed: reported
	ControlAll, ControlFail int64 // control devices so far; failed, as reported
}

// bench is a Lab as it goes on.
type bench struct {
	lab    Lab
	rand   *rand.Rand
	sky    sky
	look   int
	stages []eprocess.Stage
	known  Look
	owed   [2]float64 // exposures of candidate and control that are not whole yet
	late   [2]int64   // failures that were not reported yet
}

// Run shows the looks of the i-th experiment of a seed, one after the other, until the watcher has seen enough or none is left.
func (l Lab) Run(seed uint64, i int, watch func(look int, k *Look) (enough bool)) {
	r := source(seed, i)
	b := bench{lab: l, rand: r, sky: newSky(l.Weather, 24*r.Float64(), r)}
	for b.look = range l.Looks {
		b.step()
		if watch(b.look, &b.known) {
			return
		}
	}
}

// step exposes the devices of one look.
func (b *bench) step() {
	l := &b.lab
	b.sky.advance(1, b.rand)
	if stage := b.look * len(l.Weights) / l.Looks; stage == len(b.stages) {
		b.stages = append(b.stages, eprocess.Stage{ID: int32(stage) + 1})
		b.late = [2]int64{} // who was late reports for a stage that nobody looks at any more
	}
	at := len(b.stages) - 1
	weight := float64(l.Weights[at]) / fullWeight
	fresh := float64(l.Exposures) * b.sky.checkIns()
	rate := min(l.BaseRate*b.sky.rate()*b.incident(), 1)
	s := &b.stages[at]
	exposed, failed, told := b.expose(0, fresh*weight, min(rate*l.Ratio, 1))
	if l.Silent {
		failed, told = exposed, 0
	}
	controlExposed, _, controlTold := b.expose(1, fresh*(1-weight), rate)
	b.count(&s.Control, 1, controlExposed, controlTold)
	if l.Silent {
		s.Candidate.Exposed += exposed
	} else {
		b.count(&s.Candidate, 0, exposed, told)
	}
	k := &b.known
	k.Stages, k.Exposed, k.Failed = b.stages, exposed, told
	k.AllExposed, k.AllFailed = k.AllExposed+exposed, k.AllFailed+failed
	k.AllTold += told
	k.ControlAll, k.ControlFail = k.ControlAll+controlExposed, k.ControlFail+controlTold
}

// expose draws the devices of one arm: how many, how many of them fail, and how many failures are told in this look.
func (b *bench) expose(arm int, mean, rate float64) (exposed, failed, told int64) {
	b.owed[arm] += mean
	n := int64(b.owed[arm])
	b.owed[arm] -= float64(n)
	twice := binomial(b.rand, n, b.lab.Duplicates)
	failed = binomial(b.rand, n-twice, rate) + 2*binomial(b.rand, twice, rate)
	if b.lab.Late == 0 {
		return n + twice, failed, failed
	}
	b.late[arm] += failed
	told = binomial(b.rand, b.late[arm], within(1, b.lab.Late))
	b.late[arm] -= told
	return n + twice, failed, told
}

// count adds to an arm. Devices that are well say so in the same look.
func (b *bench) count(a *eprocess.Arm, arm int, exposed, told int64) {
	a.Returned += binomial(b.rand, a.Exposed-a.Returned, b.lab.Return)
	a.Exposed += exposed
	a.Failed += told
	a.Voted = a.Exposed - b.late[arm]
}

// incident is the factor of the base rate at this look.
func (b *bench) incident() float64 {
	if f := b.lab.Incident; f > 0 && b.look >= b.lab.Looks*2/5 && b.look < b.lab.Looks*3/5 {
		return f
	}
	return 1
}
