// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy reads the spec of a Rollout into what plan and analysis need. It is pure: the controller, the simulator and the replay
// read a spec in the same way.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/serve"
	"github.com/windlass-dev/windlass/internal/window"
)

const minLease = time.Minute

// Policy is a spec as the plan and the analysis need it.
type Policy struct {
	Spec    plan.Spec
	Metrics []Metric
	Windows []window.Window
}

// Metric is one measurement and what it is held against.
type Metric struct {
	Name     string
	Interval time.Duration
	Limits   analysis.Limits
	Source   *otav1alpha1.Metric // as the spec has it
}

// Due is when the metric is measured next. What came in before a weight was committed says nothing about that weight.
func (m Metric) Due(last analysis.Result, committed time.Time) time.Time {
	from := last.MeasuredAt
	if !from.After(committed) {
		from = committed
	}
	return from.Add(m.Interval)
}

// Error says why a spec cannot be carried out. Reason is that of the Ready condition.
type Error struct {
	Reason string
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Parse reads a spec. What cannot be carried out is an *Error with a clear message.
//
// What parses is returned along with the error: a release that is under way is still protected by it.
func Parse(r *otav1alpha1.Rollout) (Policy, error) {
	p := Policy{Spec: plan.Spec{
		Bundle: r.Spec.BundleRef.Name, Paused: r.Spec.Paused, StepsHash: hashSteps(r.Spec.Steps),
		OnFailure: otav1alpha1.OnFailureRollback, OnSlice: otav1alpha1.SliceRecommend,
	}}
	if r.Spec.Rollback != nil && r.Spec.Rollback.OnFailure != "" {
		p.Spec.OnFailure = r.Spec.Rollback.OnFailure
	}
	err := errors.Join(p.parseAnalysis(r.Spec.Analysis), p.parseWindows(r.Spec.Windows), p.parseRest(r))
	if err != nil {
		return p, &Error{otav1alpha1.InvalidSpecReason, errors.New(strings.Join(lines(err), "; "))}
	}
	return p, nil
}

// lines are the problems that were joined, each on one line.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{"spec." + strings.ReplaceAll(err.Error(), "\n", " ")}
	}
	var out []string
	for _, e := range joined.Unwrap() {
		out = append(out, lines(e)...)
	}
	return out
}

// parseAnalysis reads all metrics that can be read, and tells of the others.
func (p *Policy) parseAnalysis(a *otav1alpha1.Analysis) error {
	if a == nil {
		return nil
	}
	if a.StartingStep != nil {
		p.Spec.FirstCheck = int(*a.StartingStep)
	}
	if a.OnSlice != "" {
		p.Spec.OnSlice = a.OnSlice
	}
	problems := p.parseBake(a)
	for i := range a.Metrics {
		m, err := parseMetric(&a.Metrics[i])
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("analysis.metrics[%s].%w", a.Metrics[i].Name, err))
			continue
		}
		p.Metrics = append(p.Metrics, m)
		if decides(a.Metrics[i]) {
			p.Spec.Metrics++
		}
	}
	splitBudget(p.Metrics)
	if p.Spec.OnSlice == otav1alpha1.SliceExclude && !counts(a) {
		problems = errors.Join(problems, errors.New("analysis.onSlice is Exclude: it needs a telemetry metric with outcome Failed that is no dry run, nothing counts devices otherwise"))
	}
	return problems
}

func (p *Policy) parseBake(a *otav1alpha1.Analysis) (err error) {
	if p.Spec.Bake, err = serve.Duration(a.Bake, 0); err != nil {
		return fmt.Errorf("analysis.bake: %w", err)
	}
	if a.Bake != "" && p.Spec.Bake == 0 {
		return fmt.Errorf("analysis.bake is %s: leave it out, or give a time above 0", a.Bake)
	}
	if a.Holdout != nil {
		p.Spec.Holdout = *a.Holdout * plan.FullWeight / 100
	}
	if p.Spec.Holdout > 0 && p.Spec.Bake == 0 {
		return fmt.Errorf("analysis.holdout is %d: it needs analysis.bake, the time for which these devices stay on stable", *a.Holdout)
	}
	return nil
}

// parseWindows reads all windows, or none: with some of them weights could rise when the others deny it.
func (p *Policy) parseWindows(in []otav1alpha1.Window) error {
	out := make([]window.Window, 0, len(in))
	for i, w := range in {
		parsed, err := window.Parse(w.Kind, w.Schedule, w.Duration, w.TimeZone)
		if err != nil {
			return fmt.Errorf("windows[%d].%w", i, err)
		}
		out = append(out, parsed)
	}
	p.Windows = out
	return nil
}

// parseRest reads lease and steps.
func (p *Policy) parseRest(r *otav1alpha1.Rollout) error {
	lease, err := serve.Duration(r.Spec.LeaseDuration, serve.DefaultLease)
	if err != nil || lease < minLease {
		return fmt.Errorf("leaseDuration is %q, expected at least %s", r.Spec.LeaseDuration, minLease)
	}
	if p.Spec.Steps, err = parseSteps(r.Spec.Steps); err != nil {
		return err
	}
	if err := checkSamples(p.Spec.Steps, r.Spec.Analysis); err != nil {
		return err
	}
	if last := max(len(p.Spec.Steps)-1, 0); p.Spec.FirstCheck > last {
		return fmt.Errorf("analysis.startingStep is %d, the last step is %d", p.Spec.FirstCheck, last)
	}
	if err := checkHoldout(p.Spec); err != nil {
		return err
	}
	return p.checkControl()
}

// checkSamples refuses a pause that would wait for samples that nothing counts.
func checkSamples(steps []plan.Step, a *otav1alpha1.Analysis) error {
	if a != nil && slices.ContainsFunc(a.Metrics, func(m otav1alpha1.Metric) bool { return m.Telemetry != nil && decides(m) }) {
		return nil
	}
	if i := slices.IndexFunc(steps, func(s plan.Step) bool { return s.MinSamples > 0 }); i >= 0 {
		return fmt.Errorf("steps[%d].pause.minSamples needs a telemetry metric in spec.analysis.metrics that is no dry run: nothing counts devices otherwise", i)
	}
	return nil
}

// counts tells whether a metric counts the devices on which the bundle fails.
func counts(a *otav1alpha1.Analysis) bool {
	return slices.ContainsFunc(a.Metrics, func(m otav1alpha1.Metric) bool {
		return m.Telemetry != nil && m.Telemetry.Outcome == otav1alpha1.OutcomeFailed && decides(m)
	})
}

func decides(m otav1alpha1.Metric) bool { return m.DryRun != otav1alpha1.DryRunEnabled }

// checkHoldout refuses a step that leaves fewer devices on stable than the holdout keeps there.
func checkHoldout(s plan.Spec) error {
	for i, step := range s.Steps {
		if most := plan.FullWeight - s.Holdout; !step.Pause && step.Weight > most {
			return fmt.Errorf("steps[%d].setWeight is %s, above the %s that analysis.holdout leaves: remove the step, the bake rises to %s",
				i, plan.FormatWeight(step.Weight), plan.FormatWeight(most), plan.FormatWeight(most))
		}
	}
	return nil
}

// checkControl refuses a metric that could never pass: one that compares with stable devices, at a weight that leaves none.
func (p *Policy) checkControl() error {
	if !p.reachesAll() {
		return nil
	}
	for _, m := range p.Metrics {
		if m.Limits.MaxIncrease == nil || m.Limits.MaxRate != nil || m.Limits.DryRun {
			continue
		}
		also := ", or set maxRate beside it"
		if m.Limits.Silent {
			also = ""
		}
		return fmt.Errorf("analysis.metrics[%s].maxIncrease has no stable devices to compare with at 100 %%, where the release would wait for ever: "+
			"set analysis.bake and analysis.holdout, or let steps end below 100 without a bake%s", m.Name, also)
	}
	return nil
}

// reachesAll tells whether the release is offered to all devices before it becomes stable.
func (p *Policy) reachesAll() bool {
	var last int32
	for _, step := range p.Spec.Steps {
		last = max(last, step.Weight)
	}
	switch {
	case p.Spec.Bake > 0:
		return p.Spec.Holdout == 0
	case last == 0: // no step offers it to anybody: it has to be a candidate before it can be stable
		return true
	}
	return last == plan.FullWeight
}
