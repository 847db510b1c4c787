// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"math"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
	"github.com/windlass-dev/windlass/internal/window"
)

const (
	candidateDigest = "sha256:candidate"
	stableDigest    = "sha256:stable"
	uid             = "simulated"

	// looksApart bounds the number of looks: they become rarer with the age of a release, as its steps do.
	looksApart   = 240
	shortestLook = 15 * time.Second
	// mostPasses is how often plan may change its mind at one moment.
	mostPasses = 16
)

// Run simulates one rollout, with its timeline.
func Run(c Config) Trace { return c.withDefaults(0).run(0, true) }

// run simulates the i-th rollout of the seed.
func (c Config) run(i int, timeline bool) Trace {
	r := source(c.Options.Seed, i)
	w := newWorld(c.Fleet, c.Scenario, c.Options.Start, r)
	if c.Options.Rule != Windlass {
		return newPeer(c, w, timeline).run()
	}
	s := &rollout{config: c, world: w, timeline: timeline, commitAt: never}
	s.facts = plan.Facts{
		UID: uid, Spec: c.Policy.Spec,
		Bundle: plan.Bundle{Found: true, Ready: true, Version: "candidate", Digest: candidateDigest},
		Channel: plan.Channel{
			Ready: true, Refused: map[string]string{}, StableDigest: stableDigest,
			MaxFirstWeight: c.Options.MaxFirstWeight, MaxWeightPerHour: c.Options.MaxWeightPerHour,
		},
	}
	s.facts.Running = s.facts.Bundle
	return s.run()
}

// defaultLook is how far apart the looks of Many are: far enough for a hundred thousand rollouts in minutes. Sequential tests hold
// whenever one looks: looking more rarely takes longer to stop, and never alarms more often.
func defaultLook(c Config) time.Duration { return max(c.planned()/looksApart, shortestLook) }

// withDefaults fills in what was left out. Look is the one that Options have none of.
func (c Config) withDefaults(look time.Duration) Config {
	c.Fleet = c.Fleet.withDefaults()
	o := &c.Options
	total := c.planned()
	if o.Rule == "" {
		o.Rule = Windlass
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, time.January, 5, 9, 0, 0, 0, time.UTC)
	}
	if o.Horizon == 0 {
		o.Horizon = 3*total + 24*time.Hour
	}
	if o.Look == 0 {
		o.Look = look
	}
	if o.Commit == 0 {
		o.Commit = 2 * time.Second
	}
	if o.Person == 0 {
		o.Person = time.Hour
	}
	if o.MaxFirstWeight == 0 {
		o.MaxFirstWeight = plan.FullWeight
	}
	c.Scenario = c.Scenario.withDefaults(c.Policy)
	if c.Fleet.Weather == (Weather{}) && c.Scenario.Kind == Drift {
		c.Fleet.Weather = Weather{Correlation: 0.8, Spread: 0.5, Drift: 3, Night: 0.8}
	}
	if o.Peer == (Peer{}) {
		o.Peer = PeerOf(c)
	}
	return c
}

// planned is how long the steps and the bake take when nothing is waited for.
func (c Config) planned() time.Duration {
	total := c.Policy.Spec.Bake
	for _, s := range c.Policy.Spec.Steps {
		total += s.Duration
		if s.Indefinite() {
			total += c.Options.Person
		}
	}
	return total
}

func (s Scenario) withDefaults(p policy.Policy) Scenario {
	if s.Kind == "" {
		s.Kind = Good
	}
	if s.Ratio == 0 {
		s.Ratio = map[Kind]float64{Bad: 5, Slice: 20}[s.Kind]
	}
	if s.Factor == 0 {
		s.Factor = 10
	}
	if s.For == 0 {
		s.For = 10 * time.Minute
	}
	for _, step := range p.Spec.Steps {
		if s.After == 0 {
			s.After = step.Duration / 2
		}
	}
	return s
}

// never is a moment beyond every horizon.
const never = time.Duration(math.MaxInt64)

// rollout is one release as the controller sees it.
type rollout struct {
	config   Config
	world    *world
	facts    plan.Facts
	decision plan.Decision
	before   []traffic // of each metric, at its last measurement

	from     int32         // the first stage since a slice was excluded
	commitAt time.Duration // of what is assigned; never: it is committed
	timeline bool
	trace    Trace
	last     Event
}

func (s *rollout) run() Trace {
	s.before = make([]traffic, len(s.config.Policy.Metrics))
	for {
		s.decide()
		if s.ended() {
			break
		}
		next := s.next()
		s.world.advance(next - s.world.now)
		s.commit()
		s.look()
	}
	w := s.world
	s.trace.Exposed, s.trace.Failed, s.trace.Lost = w.offered, w.failed, w.lost
	s.trace.Excluded = s.facts.Release.Exclude
	return s.trace
}

// clock is the time that the controller sees.
func (s *rollout) clock() time.Time { return s.config.Options.Start.Add(s.world.now) }

// decide plans until nothing changes, and starts the commit of what is assigned.
func (s *rollout) decide() {
	f := &s.facts
	f.Now = s.clock()
	f.Window = plan.Window(window.At(s.config.Policy.Windows, f.Now))
	changed := false
	for range mostPasses {
		before := f.Release
		s.adopt(plan.Plan(*f))
		s.note()
		if f.Release.Equal(before) {
			break
		}
		changed = true
	}
	if changed && s.commitAt == never && !s.served() { // what is assigned follows from the release alone
		s.commitAt = s.world.now + time.Duration(s.world.rand.ExpFloat64()*float64(s.config.Options.Commit)) + 1
	}
}

// served tells whether devices see what is assigned.
func (s *rollout) served() bool {
	_, changed := s.facts.Channel.Commit(uid, s.facts.Release, s.clock())
	return !changed
}

// commit makes devices see what is assigned, once the channel is ready with it.
func (s *rollout) commit() {
	if s.world.now < s.commitAt {
		return
	}
	s.commitAt = never
	was := s.facts.Channel.StableDigest
	s.facts.Channel, _ = s.facts.Channel.Commit(uid, s.facts.Release, s.clock())
	switch c := s.facts.Channel.Candidate; {
	case c != nil:
		s.trace.Weight = max(s.trace.Weight, c.Weight)
		exclude := s.facts.Release.Exclude
		s.world.begin(c.Stage, c.Weight, func(k kind) bool { return matchesAny(exclude, k) })
	case s.facts.Channel.StableDigest != was:
		s.trace.Weight = plan.FullWeight
	}
}

// next is when something is due: a commit, a measurement, or what plan asks to look at again.
func (s *rollout) next() time.Duration {
	next := min(s.commitAt, s.config.Options.Horizon)
	if d := s.decision.RequeueAfter; d > 0 {
		next = min(next, s.world.now+d)
	}
	if s.measuring() {
		for i := range s.config.Policy.Metrics {
			next = min(next, s.due(i))
		}
	}
	if at, waiting := s.person(); waiting {
		next = min(next, at)
	}
	return max(next, s.world.now+1)
}

// person is when a person promotes from a pause that has no end.
func (s *rollout) person() (time.Duration, bool) {
	r := s.facts.Release
	return r.EnteredAt.Sub(s.config.Options.Start) + s.config.Options.Person, r.Waits(s.facts.Spec.Steps)
}

// measuring tells whether devices see the candidate.
func (s *rollout) measuring() bool {
	r := s.facts.Release
	return r.Active() && !r.CommittedAt.IsZero()
}

// due is when a metric is measured next.
func (s *rollout) due(i int) time.Duration {
	o, m := s.config.Options, s.config.Policy.Metrics[i]
	if o.Look > 0 {
		m.Interval = max(m.Interval, o.Look, s.world.now/looksApart)
	}
	return m.Due(s.result(i), s.facts.Release.CommittedAt).Sub(o.Start)
}

// ended closes the trace when the rollout is over.
func (s *rollout) ended() bool {
	r := s.facts.Release
	t := &s.trace
	t.Took, t.Reason = s.world.now, s.decision.Message
	settled := s.commitAt == never
	switch {
	case r.State == otav1alpha1.ReleaseCompleted && settled:
		t.Outcome = Completed
	case r.Ended() && settled:
		t.Outcome = RolledBack
	case r.State == otav1alpha1.ReleasePaused:
		t.Outcome = Paused
	case s.decision.Reason == otav1alpha1.InvalidSpecReason:
		t.Outcome = Refused
	case s.world.now >= s.config.Options.Horizon:
		t.Outcome = Held
	default:
		return false
	}
	return true
}
