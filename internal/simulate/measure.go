// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"

	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
)

// result is the last one of a metric, or an empty one with its name.
func (s *rollout) result(i int) analysis.Result {
	name := s.config.Policy.Metrics[i].Name
	if at := slices.IndexFunc(s.facts.Analysis, func(r analysis.Result) bool { return r.Name == name }); at >= 0 {
		return s.facts.Analysis[at]
	}
	return analysis.Result{Name: name}
}

// look measures what is due, and lets the person promote.
func (s *rollout) look() {
	if s.measuring() {
		results := make([]analysis.Result, len(s.config.Policy.Metrics))
		looked := false
		for i, m := range s.config.Policy.Metrics {
			results[i] = s.result(i)
			if s.world.now < s.due(i) {
				continue
			}
			results[i] = m.Judge(s.facts.Release, s.from, results[i], s.measurement(m, &s.before[i]))
			looked = true
		}
		if looked {
			s.facts.Analysis = results
			s.facts.Slice = s.slice()
			s.mark()
		}
	}
	if at, waiting := s.person(); waiting && s.world.now >= at {
		s.facts.Command = &plan.Command{ID: "promote", Name: plan.Promote, By: "a person"}
	}
}

// measurement is what an adapter would bring home. Requests are those since the last measurement of the metric.
func (s *rollout) measurement(m policy.Metric, before *traffic) analysis.Measurement {
	w := s.world
	out := analysis.Measurement{At: s.clock()}
	switch {
	case w.scenario.Kind == Outage && w.disturbed():
		out.Err = "the metrics system refuses connections"
	case m.Source == nil || m.Source.Telemetry != nil:
		out.Stages = w.stages
	default:
		since := traffic{w.traffic.requests - before.requests, w.traffic.errors - before.errors}
		*before = w.traffic
		if since.requests == 0 {
			out.NoData = "no requests"
			break
		}
		out.Value = since.errors / since.requests
		if l := m.Limits; l.Min != nil && l.Max == nil { // a lower bound alone is that of a success rate
			out.Value = 1 - out.Value
		}
	}
	return out
}

// adopt takes over what plan decided, and what of the evidence still holds after it, as the controller does.
func (s *rollout) adopt(d plan.Decision) {
	was, is := s.facts.Release, d.Release
	s.decision, s.facts.Release, s.facts.Command = d, is, nil
	s.facts.Analysis, _ = s.config.Policy.After(was, is, s.facts.Analysis, nil)
	if len(is.Exclude) > len(was.Exclude) {
		s.from, s.facts.Slice = is.Stage, nil
	}
}

// mark notes a look.
func (s *rollout) mark() {
	if !s.timeline {
		return
	}
	w := s.world
	p := Point{At: w.now, AllExposed: w.offered, BaseRate: w.baseRate()}
	if c := s.facts.Channel.Candidate; c != nil {
		p.Weight = c.Weight
	}
	p.Verdict, _ = analysis.Overall(s.facts.Analysis)
	for i := range s.facts.Analysis {
		r := &s.facts.Analysis[i]
		if r.EvidenceLimit > 0 && !r.DryRun && (p.Limit == 0 || r.Evidence-r.EvidenceLimit > p.Evidence-p.Limit) {
			p.Evidence, p.Limit = r.Evidence, r.EvidenceLimit
		}
	}
	last := w.last()
	p.Stage = last.ID
	p.Exposed, p.Failed = last.Candidate.Exposed, last.Candidate.Failed
	p.ControlExposed, p.ControlFailed = last.Control.Exposed, last.Control.Failed
	s.trace.Points = append(s.trace.Points, p)
}

// note records what a person would see change.
func (s *rollout) note() {
	if !s.timeline {
		return
	}
	r := s.facts.Release
	e := Event{Weight: r.Weight, State: string(r.State), Reason: s.decision.Reason}
	if s.measuring() && len(s.config.Policy.Metrics) > 0 {
		e.Verdict, _ = analysis.Overall(s.facts.Analysis)
	}
	if e == s.last {
		return
	}
	s.last = e
	e.At, e.Message = s.world.now, s.decision.Message
	s.trace.Events = append(s.trace.Events, e)
}
