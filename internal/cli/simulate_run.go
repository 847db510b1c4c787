// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/simulate"
)

const (
	confidence   = 0.99             // of intervals
	samples      = 9                // rollouts of which the typical one is shown
	shortestLook = 10 * time.Second // in them
)

// simulation is what simulate prints.
type simulation struct {
	Rollout     string  `json:"rollout"`
	Channel     string  `json:"channel"`
	Steps       string  `json:"steps"` // in one line
	Devices     int64   `json:"devices"`
	CheckIns    float64 `json:"checkInsPerHour"` // of a device
	BaseRate    float64 `json:"baseRate"`        // share of devices
	FalseAlarms float64 `json:"falseAlarms"`     // highest share of good releases that the sequential tests take back
	Runs        int     `json:"runs"`
	Seed        uint64  `json:"seed"`
	// Power is what each step can see in its time, as status.power has it for real devices.
	Power     []otav1alpha1.StepPower `json:"power"`
	Scenarios []experiment            `json:"scenarios"`
}

// experiment is one scenario.
type experiment struct {
	Scenario string    `json:"scenario"`
	Bad      bool      `json:"bad"` // the release should be stopped
	Typical  timeline  `json:"typical"`
	Rules    []tally   `json:"rules"`
	trace    traceLine // for the plot
	slice    bool      // a part of the devices is to be left out, or the release stopped
}

// timeline is one rollout by Windlass.
type timeline struct {
	Outcome  simulate.Outcome    `json:"outcome"`
	Reason   string              `json:"reason"`
	Seconds  float64             `json:"seconds"` // from the start to the outcome
	Exposed  int64               `json:"exposed"` // devices that were offered the candidate
	Failed   int64               `json:"failed"`  // among them
	Lost     int64               `json:"lost"`    // among them: never came back
	Excluded []otav1alpha1.Slice `json:"excluded,omitempty"`
	Events   []event             `json:"events"`
}

// event is a change that a person would see.
type event struct {
	Seconds float64             `json:"seconds"` // since the start
	Weight  otav1alpha1.Percent `json:"weight"`
	State   string              `json:"state"`
	Reason  string              `json:"reason"`
	Verdict otav1alpha1.Verdict `json:"verdict,omitempty"`
	Message string              `json:"message"`
}

// tally is what a rule made of all rollouts of a scenario.
type tally struct {
	Rule         simulate.Rule            `json:"rule"`
	Rollouts     int                      `json:"rollouts"`
	Outcomes     map[simulate.Outcome]int `json:"outcomes"`
	TakenBack    interval                 `json:"takenBack"`
	BecameStable interval                 `json:"becameStable"`
	Excluded     int                      `json:"excluded"`          // went on without a part of the devices, whatever the outcome
	All          ends                     `json:"all"`               // of all rollouts
	Stopped      *ends                    `json:"stopped,omitempty"` // of those that were taken back
	Tuning       *tuning                  `json:"tuning,omitempty"`  // of the peers
}

// interval is a share with its 99 % interval.
type interval struct {
	Share float64 `json:"share"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// ends are quantiles over rollouts at their end.
type ends struct {
	Seconds quantiles `json:"seconds"`
	Exposed quantiles `json:"exposed"`
	Failed  quantiles `json:"failed"`
	Lost    quantiles `json:"lost"`
}

type quantiles struct {
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	Max    float64 `json:"max"`
}

// tuning is how a peer was set.
type tuning struct {
	Seconds float64 `json:"intervalSeconds"`
	MaxRate float64 `json:"maxRate,omitempty"`
	Allowed int     `json:"failuresAllowed"`
	Level   float64 `json:"level,omitempty"`
}

func (a *app) simulate(ctx context.Context, o simulateOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	scenarios, names, err := o.kinds()
	if err != nil {
		return err
	}
	rules, err := o.rules()
	if err != nil {
		return err
	}
	m, err := a.readManifests(ctx, o.file, o.channel)
	if err != nil {
		return err
	}
	p, err := m.policy()
	if err != nil {
		return err
	}
	world, err := o.world(m, p)
	if err != nil {
		return err
	}
	out := simulation{
		Rollout: m.rollout.Name, Channel: m.rollout.Spec.ChannelRef.Name, Steps: stepsText(p.Spec), Devices: o.fleet, CheckIns: o.checkIns,
		BaseRate: o.baseRate, FalseAlarms: falseAlarms(p), Runs: o.runs, Seed: o.seed, Power: p.Power(traffic(world, o.baseRate)),
	}
	l := lab{rules: rules, runs: o.runs, work: a.counter("simulating", len(scenarios)*(len(rules)+1))}
	for i, s := range scenarios {
		world.Scenario = s
		e, err := l.experiment(ctx, names[i], world)
		if err != nil {
			l.work.end()
			return err
		}
		out.Scenarios = append(out.Scenarios, e)
	}
	l.work.end()
	if o.plot != "" {
		if err := plotSimulation(o.plot, out); err != nil {
			return err
		}
	}
	return a.print(out, func(w io.Writer) { a.printSimulation(w, out) })
}

// lab runs experiments.
type lab struct {
	rules []simulate.Rule
	runs  int
	work  *counter
}

// experiment runs one scenario by all rules.
func (l lab) experiment(ctx context.Context, name string, c simulate.Config) (experiment, error) {
	kind := c.Scenario.Kind
	e := experiment{Scenario: name, slice: kind == simulate.Slice, Bad: kind == simulate.Bad || kind == simulate.Slice || kind == simulate.Silent}
	l.work.next(name)
	typical, err := await(ctx, func() simulate.Trace { return typicalRun(c) })
	if err != nil {
		return e, err
	}
	e.Typical, e.trace = timelineOf(typical), traceLine{name, typical}
	for _, rule := range l.rules {
		l.work.next(name + " by " + string(rule))
		c.Options.Rule, c.Options.Peer = rule, simulate.Peer{}
		c.Options.Done = func() { l.work.tick(l.runs) }
		s, err := await(ctx, func() simulate.Summary { return simulate.Many(c, l.runs, confidence) })
		if err != nil {
			return e, err
		}
		e.Rules = append(e.Rules, tallyOf(s, c))
	}
	return e, nil
}

// await gives up waiting when the context ends; the work itself then ends with the process.
func await[T any](ctx context.Context, work func() T) (T, error) {
	done := make(chan T, 1)
	go func() { done <- work() }()
	select {
	case v := <-done:
		return v, ctx.Err()
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// typicalRun is the rollout that has the most frequent outcome of a few, and among those the middle one by its length.
func typicalRun(c simulate.Config) simulate.Trace {
	traces := make([]simulate.Trace, samples)
	count := map[simulate.Outcome]int{}
	simulate.Parallel(samples, 0, func(i int) {
		mine := c
		mine.Options.Seed += uint64(i)
		mine.Options.Look = shortestLook // enough for a picture, also of a policy that takes weeks
		traces[i] = simulate.Run(mine)
	})
	for _, t := range traces {
		count[t.Outcome]++
	}
	usual := slices.MaxFunc(slices.Sorted(maps.Keys(count)), func(a, b simulate.Outcome) int { return cmp.Compare(count[a], count[b]) })
	traces = slices.DeleteFunc(traces, func(t simulate.Trace) bool { return t.Outcome != usual })
	slices.SortStableFunc(traces, func(a, b simulate.Trace) int { return cmp.Compare(a.Took, b.Took) })
	return traces[len(traces)/2]
}

func timelineOf(t simulate.Trace) timeline {
	out := timeline{
		Outcome: t.Outcome, Reason: t.Reason, Seconds: t.Took.Seconds(), Exposed: t.Exposed, Failed: t.Failed, Lost: t.Lost,
		Excluded: t.Excluded, Events: make([]event, 0, len(t.Events)),
	}
	for _, e := range t.Events {
		out.Events = append(out.Events, event{
			Seconds: e.At.Seconds(), Weight: weightOf(e.Weight), State: e.State, Reason: e.Reason, Verdict: e.Verdict, Message: e.Message,
		})
	}
	return out
}

func tallyOf(s simulate.Summary, c simulate.Config) tally {
	t := tally{
		Rule: s.Rule, Rollouts: s.Rollouts, Outcomes: s.Outcomes, Excluded: s.Excluded, TakenBack: intervalOf(s.RolledBack), BecameStable: intervalOf(s.Completed), All: endsOf(s.All),
	}
	if !math.IsNaN(s.Stopped.Took.Median) {
		stopped := endsOf(s.Stopped)
		t.Stopped = &stopped
	}
	if s.Rule != simulate.Windlass {
		p := simulate.PeerOf(c)
		t.Tuning = &tuning{Seconds: p.Interval.Seconds(), MaxRate: p.MaxRate, Allowed: p.Failures}
		if s.Rule == simulate.Peeking {
			t.Tuning = &tuning{Seconds: p.Interval.Seconds(), Level: p.Level}
		}
	}
	return t
}

func intervalOf(r simulate.Rate) interval { return interval{r.Estimate, r.Low, r.High} }

func endsOf(e simulate.Ends) ends {
	of := func(q simulate.Quantiles) quantiles { return quantiles{q.Median, q.P90, q.Max} }
	return ends{of(e.Took), of(e.Exposed), of(e.Failed), of(e.Lost)}
}

// other tells what the rates do not tell of: 12 Paused; 3 without a slice.
func (t *tally) other() string {
	var parts []string
	if t.Excluded > 0 {
		parts = append(parts, fmt.Sprintf("%d without a slice", t.Excluded))
	}
	for _, o := range slices.Sorted(maps.Keys(t.Outcomes)) {
		if o != simulate.Completed && o != simulate.RolledBack {
			parts = append(parts, fmt.Sprintf("%d %s", t.Outcomes[o], o))
		}
	}
	return sentences(parts)
}
