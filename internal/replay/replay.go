// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package replay runs a policy over what was recorded, on a virtual clock: it tells when the release would have advanced, held or been taken
// back, had it started then. What decides is the real thing: plan.Plan, policies of policy.Parse and analysis.Judge. The channel commits at once.
package replay

import (
	"context"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
	"github.com/windlass-dev/windlass/internal/window"
)

const (
	candidateDigest = "sha256:candidate"
	stableDigest    = "sha256:stable"
	uid             = "replayed"
	// mostPasses is how often plan may change its mind at one moment.
	mostPasses = 16
)

// Measurer tells what a metric would have said.
type Measurer interface {
	// Measure gives the measurement at a time, of a weight that was committed at another one. An error ends the replay.
	Measure(ctx context.Context, m policy.Metric, at, committed time.Time) (analysis.Measurement, error)
}

// Config is a policy and the time to replay.
type Config struct {
	Policy   policy.Policy
	Measurer Measurer

	From, To time.Time
	Person   time.Duration // after which a person promotes from a pause without an end

	MaxFirstWeight   int32 // of the channel, in basis points
	MaxWeightPerHour int32 // of the channel, in basis points; 0: no limit
}

// Event is a change that a person would see.
type Event struct {
	At      time.Time
	Weight  int32 // wanted, in basis points
	State   otav1alpha1.ReleaseState
	Reason  string // of the Ready condition
	Verdict otav1alpha1.Verdict
	Message string // one sentence
}

// Look is one measurement with what was made of it.
type Look struct {
	Metric string
	At     time.Time
	Value  float64 // when there is one: the verdict is neither NoData nor ProviderError
	Result analysis.Result
}

// Trace is what would have happened.
type Trace struct {
	Release plan.Release // at the end
	Ended   time.Time    // when it had its outcome, or To
	Message string       // one sentence, as status.message has it
	Events  []Event
	Looks   []Look
}

// Run replays a release that starts at From.
func Run(ctx context.Context, c Config) (Trace, error) {
	r := &run{config: c, results: make([]analysis.Result, len(c.Policy.Metrics))}
	for i, m := range c.Policy.Metrics {
		r.results[i] = analysis.Result{Name: m.Name, DryRun: m.Limits.DryRun}
	}
	bundle := plan.Bundle{Found: true, Ready: true, Version: "candidate", Digest: candidateDigest}
	r.facts = plan.Facts{
		Now: c.From, UID: uid, Spec: c.Policy.Spec, Bundle: bundle, Running: bundle,
		Channel: plan.Channel{
			Ready: true, Refused: map[string]string{}, StableDigest: stableDigest,
			MaxFirstWeight: c.MaxFirstWeight, MaxWeightPerHour: c.MaxWeightPerHour,
		},
	}
	for {
		r.decide()
		if r.over() {
			break
		}
		r.facts.Now = r.next()
		if err := r.look(ctx); err != nil {
			return r.trace, err
		}
	}
	r.trace.Release, r.trace.Ended, r.trace.Message = r.facts.Release, r.facts.Now, r.decision.Message
	return r.trace, nil
}

// run is one release as the controller sees it.
type run struct {
	config   Config
	facts    plan.Facts
	decision plan.Decision
	results  []analysis.Result
	trace    Trace
	last     Event
}

// decide plans, and lets the channel commit, until nothing changes.
func (r *run) decide() {
	f := &r.facts
	for range mostPasses {
		before := f.Release
		f.Window = plan.Window(window.At(r.config.Policy.Windows, f.Now))
		f.Analysis = analysis.Deciding(r.results)
		r.decision = plan.Plan(*f)
		f.Release, f.Command = r.decision.Release, nil
		r.note()
		if committed := r.commit(); !committed && f.Release.Equal(before) {
			return
		}
	}
}

// commit makes devices see what is assigned. It is false when they do already.
func (r *run) commit() (changed bool) {
	r.facts.Channel, changed = r.facts.Channel.Commit(uid, r.facts.Release, r.facts.Now)
	return changed
}

// over tells whether nothing more will happen, or the recorded time is over.
func (r *run) over() bool {
	rel := r.facts.Release
	return rel.Ended() || rel.State == otav1alpha1.ReleasePaused || r.decision.Reason == otav1alpha1.InvalidSpecReason || !r.facts.Now.Before(r.config.To)
}

// next is when something is due: a measurement, what plan asks to look at again, or a person.
func (r *run) next() time.Time {
	now, next := r.facts.Now, r.config.To
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if d := r.decision.RequeueAfter; d > 0 {
		sooner(now.Add(d))
	}
	if r.measuring() {
		for i := range r.results {
			sooner(r.due(i))
		}
	}
	if at, waiting := r.person(); waiting {
		sooner(at)
	}
	if !next.After(now) {
		next = now.Add(time.Millisecond)
	}
	return next
}

// measuring tells whether devices see the candidate.
func (r *run) measuring() bool {
	rel := r.facts.Release
	return rel.Active() && !rel.CommittedAt.IsZero()
}

// due is when a metric is measured next.
func (r *run) due(i int) time.Time {
	return r.config.Policy.Metrics[i].Due(r.results[i], r.facts.Release.CommittedAt)
}

// person is when a person promotes from a pause that has no end.
func (r *run) person() (time.Time, bool) {
	rel := r.facts.Release
	return rel.EnteredAt.Add(r.config.Person), rel.Waits(r.facts.Spec.Steps)
}

// look measures what is due, and lets the person promote.
func (r *run) look(ctx context.Context) error {
	now := r.facts.Now
	if r.measuring() {
		for i := range r.results {
			if now.Before(r.due(i)) {
				continue
			}
			if err := r.measure(ctx, i); err != nil {
				return err
			}
		}
	}
	if at, waiting := r.person(); waiting && !now.Before(at) {
		r.facts.Command = &plan.Command{ID: "promote", Name: plan.Promote, By: "a person"}
	}
	return ctx.Err()
}

func (r *run) measure(ctx context.Context, i int) error {
	m, rel := r.config.Policy.Metrics[i], r.facts.Release
	measured, err := r.config.Measurer.Measure(ctx, m, r.facts.Now, rel.CommittedAt)
	if err != nil {
		return err
	}
	measured.At = r.facts.Now
	r.results[i] = m.Judge(rel, 0, r.results[i], measured)
	r.trace.Looks = append(r.trace.Looks, Look{Metric: m.Name, At: r.facts.Now, Value: measured.Value, Result: r.results[i]})
	return nil
}

// note records what a person would see change.
func (r *run) note() {
	rel := r.facts.Release
	e := Event{Weight: rel.Weight, State: rel.State, Reason: r.decision.Reason}
	if r.measuring() {
		e.Verdict, _ = analysis.Overall(r.facts.Analysis)
	}
	if e == r.last {
		return
	}
	r.last = e
	e.At, e.Message = r.facts.Now, r.decision.Message
	r.trace.Events = append(r.trace.Events, e)
}
