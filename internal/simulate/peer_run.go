// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"math"
	"slices"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
)

// sample is what a peer's query can look back to.
type sample struct {
	at              time.Duration
	exposed, failed float64
}

// peer is one rollout as another system would run it.
type peer struct {
	config   Config
	peer     Peer
	world    *world
	steps    []plan.Step
	step     int
	entered  time.Duration // the present step
	measured time.Duration // when the next measurement is due
	requests bool          // the policy has no telemetry: what is measured is failed requests
	samples  []sample
	checks   Checks
	bad      bool // Flagger: the next check rolls back
	timeline bool
	trace    Trace
}

func newPeer(c Config, w *world, timeline bool) *peer {
	p := &peer{config: c, peer: c.Options.Peer, world: w, timeline: timeline, steps: c.Policy.Spec.Steps, requests: len(c.Policy.Metrics) > 0}
	if bake := c.Policy.Spec.Bake; bake > 0 { // they have no word for it
		p.steps = append(slices.Clip(p.steps), plan.Step{Weight: plan.FullWeight - c.Policy.Spec.Holdout},
			plan.Step{Pause: true, Duration: bake})
	}
	for _, m := range c.Policy.Metrics {
		if m.Source == nil || m.Source.Telemetry != nil {
			p.requests = false
		}
	}
	return p
}

func (p *peer) run() Trace {
	advance := p.walk
	if p.config.Options.Rule == Flagger {
		advance = p.tick
	}
	for !advance() {
		if p.world.now >= p.config.Options.Horizon {
			p.end(Held, "has not ended")
			break
		}
		next := min(max(p.measured, p.world.now+1), p.config.Options.Horizon)
		if left := p.pauseLeft(); left > 0 {
			next = min(next, p.world.now+left)
		}
		p.world.advance(next - p.world.now)
		p.remember()
	}
	t := &p.trace
	t.Took, t.Exposed, t.Failed, t.Lost = p.world.now, p.world.offered, p.world.failed, p.world.lost
	return *t
}

// walk goes through the steps as Argo Rollouts does, while the analysis runs in the background. It is true at the end.
func (p *peer) walk() bool {
	if p.step >= p.config.Policy.Spec.FirstCheck && len(p.world.stages) > 0 && p.world.now >= p.measured && len(p.config.Policy.Metrics) > 0 && p.measure() {
		return true
	}
	for p.step < len(p.steps) {
		s := p.steps[p.step]
		if s.Pause && p.pauseLeft() > 0 {
			return false
		}
		if !s.Pause && s.Weight > 0 {
			p.setWeight(s.Weight)
		}
		p.step, p.entered = p.step+1, p.world.now
	}
	return p.end(Completed, "promoted")
}

// pauseLeft is what is left of the present pause of walk.
func (p *peer) pauseLeft() time.Duration {
	if p.config.Options.Rule == Flagger || p.step >= len(p.steps) || !p.steps[p.step].Pause {
		return 0
	}
	length := p.steps[p.step].Duration
	if length == 0 {
		length = p.config.Options.Person // somebody promotes; they do not count samples
	}
	return p.entered + length - p.world.now
}

// measure takes a measurement and tells whether it ends the rollout.
func (p *peer) measure() bool {
	p.measured = p.world.now + p.peer.Interval
	rate, err := p.query()
	if p.config.Options.Rule == Peeking {
		last := p.world.last()
		if err || !p.peer.Peek(last.Candidate.Failed, last.Candidate.Exposed, last.Control.Failed, last.Control.Exposed) {
			return false
		}
		return p.end(RolledBack, "the test calls the candidate worse")
	}
	if err {
		p.measured = p.world.now + min(argoErrorRetry, p.peer.Interval)
	}
	if !p.peer.Argo(&p.checks, rate, err) {
		return false
	}
	if p.checks.Errors > p.peer.Errors {
		return p.end(RolledBack, fmt.Sprintf("consecutiveErrors (%d) > consecutiveErrorLimit (%d)", p.checks.Errors, p.peer.Errors))
	}
	return p.end(RolledBack, fmt.Sprintf("failed (%d) > failureLimit (%d)", p.checks.Failed, p.peer.Failures))
}

// tick is one pass of Flagger's scheduler: at most one of rolling back, a failed check, and a rise. It is true at the end.
func (p *peer) tick() bool {
	if p.world.now < p.measured {
		return false
	}
	p.measured = p.world.now + p.peer.Interval
	if p.bad {
		return p.end(RolledBack, fmt.Sprintf("failed checks threshold reached %d", p.checks.Failed))
	}
	if len(p.world.stages) > 0 && len(p.config.Policy.Metrics) > 0 {
		failed := p.checks.Failed
		rate, err := p.query()
		p.bad = p.peer.Flagger(&p.checks, rate, err)
		if p.checks.Failed > failed {
			p.note("halt advancement")
			return false
		}
	}
	for p.step < len(p.steps) {
		s := p.steps[p.step]
		p.step++
		if !s.Pause && s.Weight > 0 {
			p.setWeight(s.Weight)
			return false
		}
	}
	return p.end(Completed, "promoted")
}

// query gives the share of candidate devices that failed of those that checked in within the window, or that of requests. It is not a
// number when there were none.
func (p *peer) query() (rate float64, err bool) {
	w := p.world
	if w.scenario.Kind == Outage && w.disturbed() {
		return 0, true
	}
	now, before := p.total(), sample{}
	for _, s := range slices.Backward(p.samples) {
		if s.at <= w.now-p.peer.Window {
			before = s
			break
		}
	}
	exposed := now.exposed - before.exposed
	if exposed <= 0 {
		return math.NaN(), false
	}
	if p.timeline {
		p.point()
	}
	return (now.failed - before.failed) / exposed, false
}

// total counts the candidate's devices, or requests, since the start.
func (p *peer) total() sample {
	w := p.world
	s := sample{at: w.now}
	if p.requests {
		s.exposed, s.failed = w.traffic.requests, w.traffic.errors
		return s
	}
	for _, stage := range w.stages {
		s.exposed += float64(stage.Candidate.Exposed)
		s.failed += float64(stage.Candidate.Failed)
	}
	return s
}

// remember keeps samples as long as the query can look back to them.
func (p *peer) remember() {
	p.samples = append(p.samples, p.total())
	old := 0
	for old+1 < len(p.samples) && p.samples[old+1].at <= p.world.now-p.peer.Window {
		old++
	}
	p.samples = p.samples[old:]
}

func (p *peer) setWeight(weight int32) {
	p.world.begin(p.world.last().ID+1, weight, nil)
	p.trace.Weight = max(p.trace.Weight, weight)
	p.note("set weight to " + string(plan.FormatWeight(weight)) + " %")
}

func (p *peer) end(o Outcome, reason string) bool {
	p.trace.Outcome, p.trace.Reason = o, reason
	if o == Completed {
		p.trace.Weight = plan.FullWeight
	}
	p.note(reason)
	return true
}

func (p *peer) note(message string) {
	if p.timeline {
		p.trace.Events = append(p.trace.Events, Event{At: p.world.now, Weight: p.weight(), State: string(p.state()), Message: message})
	}
}

func (p *peer) state() Outcome {
	if p.trace.Outcome == "" {
		return "Progressing"
	}
	return p.trace.Outcome
}

// weight is the present one.
func (p *peer) weight() int32 {
	if p.trace.Outcome == RolledBack {
		return 0
	}
	return p.trace.Weight
}

func (p *peer) point() {
	w := p.world
	last := w.last()
	verdict := otav1alpha1.VerdictPassing
	if p.bad {
		verdict = otav1alpha1.VerdictFailing
	}
	p.trace.Points = append(p.trace.Points, Point{
		At: w.now, Weight: p.weight(), Stage: last.ID, Verdict: verdict,
		Exposed: last.Candidate.Exposed, Failed: last.Candidate.Failed,
		ControlExposed: last.Control.Exposed, ControlFailed: last.Control.Failed, AllExposed: w.offered, BaseRate: w.baseRate(),
	})
}
