// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"math/rand/v2"
	"time"

	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
)

// fullWeight is 100 % in basis points.
const fullWeight = 10_000

// cohort is the devices of one kind in one arm, in the present stage.
type cohort struct {
	size int64
	arm  eprocess.Arm // as the gateways count it

	failing    int64 // failed, and did not say so yet
	confirming int64 // well, and did not say so yet
	absent     int64 // exposed, and not back yet
	late       int64 // as failing, of the stages before
	closed     int64 // of late: told, and counted in the stage before, since the device was not seen in this one
}

// part is what is known of one kind of devices.
type part struct {
	kind
	size               int64
	excluded           bool
	candidate, control cohort
	fresh              int64 // devices of the candidate's arm that were never offered it
	past               []blame.Group
}

// traffic is what requests of candidate devices came to.
type traffic struct{ requests, errors float64 }

// world is the fleet as it is now.
type world struct {
	fleet    Fleet
	scenario Scenario
	rand     *rand.Rand
	sky      sky
	now      time.Duration // since the start

	parts  []part
	stages []eprocess.Stage // none: nobody was offered the candidate yet

	traffic traffic // so far
	begun   float64 // request that is not whole yet
	offered int64   // devices that were offered the candidate, once each
	failed  int64   // failures on them, reported or not
	lost    int64   // never came back
}

func newWorld(f Fleet, s Scenario, start time.Time, r *rand.Rand) *world {
	clock := start.UTC()
	w := &world{fleet: f, scenario: s, rand: r}
	w.sky = newSky(f.Weather, float64(clock.Hour())+float64(clock.Minute())/60, r)
	kinds := alike
	if s.Kind == Slice {
		kinds = mixed
	}
	before, sum := int64(0), 0.0
	for _, k := range kinds {
		sum += k.share
		upTo := share(f.Devices, sum)
		w.parts = append(w.parts, part{kind: k, size: upTo - before})
		before = upTo
	}
	return w
}

// begin starts a stage: devices of both arms are counted anew, from their first check in it.
func (w *world) begin(stage int32, weight int32, excluded func(kind) bool) {
	for i := range w.parts {
		p := &w.parts[i]
		if len(w.stages) > 0 {
			p.past = append(p.past, p.group(w.last().ID))
		}
		before := p.candidate.size
		p.excluded = excluded != nil && excluded(p.kind)
		of := share(p.size, float64(weight)/fullWeight)
		if p.excluded {
			p.candidate, p.control = cohort{}, cohort{}
			continue
		}
		p.candidate = p.candidate.again(of)
		p.control = p.control.again(p.size - of)
		p.fresh += max(of-before, 0)
	}
	w.stages = append(w.stages, eprocess.Stage{ID: stage})
}

// last is the present stage.
func (w *world) last() eprocess.Stage {
	if len(w.stages) == 0 {
		return eprocess.Stage{}
	}
	return w.stages[len(w.stages)-1]
}

// again is the cohort at the begin of a stage. What it has not reported yet is still to come.
func (c cohort) again(size int64) cohort {
	late := c.late + c.failing
	if c.size > 0 && size < c.size { // who left the arm reports for a series that is over
		late = share(late, float64(size)/float64(c.size))
	}
	return cohort{size: size, late: late}
}

// advance lets time pass.
func (w *world) advance(dt time.Duration) {
	w.now += dt
	h := hours(dt)
	w.sky.advance(h, w.rand)
	if len(w.stages) == 0 || h <= 0 {
		return
	}
	seen := within(h*w.sky.checkIns()*w.fleet.CheckIns, 1)
	rate := w.baseRate()
	for i := range w.parts {
		p := &w.parts[i]
		if p.excluded {
			continue
		}
		w.offer(p, h, seen, min(rate*w.ratio(p.kind), 1))
		w.step(&p.control, h, seen, min(rate, 1), false)
	}
	w.sum()
	w.request(h)
}

// offer lets the candidate's arm go on.
func (w *world) offer(p *part, h, seen, rate float64) {
	waiting := p.candidate.size - p.candidate.arm.Exposed
	silent := w.scenario.Kind == Silent
	exposed, failed := w.step(&p.candidate, h, seen, rate, silent)
	if waiting > 0 {
		first := min(binomial(w.rand, exposed, float64(p.fresh)/float64(waiting)), p.fresh)
		p.fresh -= first
		w.offered += first
		if silent {
			w.lost += first
		}
	}
	w.failed += failed
}

// step lets an arm go on: devices check in, fail, report and come back. Silent devices do nothing but check in once.
func (w *world) step(c *cohort, h, seen, rate float64, silent bool) (exposed, failed int64) {
	r := w.rand
	if !silent {
		back := binomial(r, c.absent, seen)
		c.absent -= back
		c.arm.Returned += back
	}
	exposed = binomial(r, c.size-c.arm.Exposed, seen)
	c.arm.Exposed += exposed
	c.absent += exposed
	if silent {
		return exposed, 0
	}
	failed = binomial(r, exposed, rate)
	c.failing += failed
	c.confirming += exposed - failed
	told := binomial(r, c.failing, within(h, hours(w.fleet.Report)))
	c.failing -= told
	well := binomial(r, c.confirming, within(h, hours(w.fleet.Confirm)))
	c.confirming -= well
	c.arm.Failed += told
	c.arm.Voted += told + well
	w.reportLate(c, h)
	return exposed, failed
}

// reportLate counts failures of the stages before for this one, where the device was seen in it: a report belongs to the newest stage of its
// device.
func (w *world) reportLate(c *cohort, h float64) {
	if c.late == 0 || c.size == 0 {
		return
	}
	told := binomial(w.rand, c.late, within(h, hours(w.fleet.Report)))
	c.late -= told
	here := min(binomial(w.rand, told, float64(c.arm.Exposed)/float64(c.size)), c.confirming) // one device, one vote
	c.confirming -= here
	c.closed = told - here
	c.arm.Failed += here
	c.arm.Voted += here
}

// sum adds up the parts, as the gateways' counts do.
func (w *world) sum() {
	last := len(w.stages) - 1
	s := eprocess.Stage{ID: w.stages[last].ID}
	for i := range w.parts {
		p := &w.parts[i]
		s.Candidate = add(s.Candidate, p.candidate.arm)
		s.Control = add(s.Control, p.control.arm)
		if last > 0 {
			before := &w.stages[last-1]
			before.Candidate = add(before.Candidate, p.candidate.takeClosed())
			before.Control = add(before.Control, p.control.takeClosed())
		}
	}
	w.stages[last] = s
}

// takeClosed gives the failures that belong to the stage before, once.
func (c *cohort) takeClosed() eprocess.Arm {
	n := c.closed
	c.closed = 0
	return eprocess.Arm{Voted: n, Failed: n}
}

func add(a, b eprocess.Arm) eprocess.Arm {
	return eprocess.Arm{
		Exposed: a.Exposed + b.Exposed, Voted: a.Voted + b.Voted, Failed: a.Failed + b.Failed, Returned: a.Returned + b.Returned,
	}
}

// request counts requests of the candidate's devices, and those that failed.
func (w *world) request(h float64) {
	rate := w.fleet.RequestErrors * w.factor()
	for i := range w.parts {
		p := &w.parts[i]
		w.begun += float64(p.candidate.arm.Exposed) * w.fleet.Requests * h
		whole := int64(w.begun)
		w.begun -= float64(whole)
		w.traffic.requests += float64(whole)
		w.traffic.errors += float64(binomial(w.rand, whole, min(rate*w.ratio(p.kind), 1)))
	}
}

// baseRate is the share of newly exposed stable devices that fail now.
func (w *world) baseRate() float64 { return min(w.fleet.BaseRate*w.factor(), 1) }

// factor of the base rate now.
func (w *world) factor() float64 {
	f := w.sky.rate()
	if w.scenario.Kind == Incident && w.disturbed() {
		f *= w.scenario.Factor
	}
	return f
}

// disturbed tells whether the outage or incident goes on.
func (w *world) disturbed() bool {
	s := w.scenario
	return w.now >= s.After && w.now < s.After+s.For
}

// ratio of the candidate's failures to those of stable.
func (w *world) ratio(k kind) float64 {
	if w.scenario.Kind == Bad || w.scenario.Kind == Slice && k.bad {
		return w.scenario.Ratio
	}
	return 1
}

// group is a part as the gateways tell it, of the present stage.
func (p *part) group(stage int32) blame.Group {
	return blame.Group{
		Stage: stage, Platform: p.platform, NativeVersion: p.native, OSVersion: p.os, Region: p.region, Candidate: p.candidate.arm, Control: p.control.arm,
	}
}
