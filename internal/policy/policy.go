// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy reads the spec of a Rollout into what plan and analysis need. It is pure: the controller, the simulator and the replay
// read a spec in the same way.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/prometheus"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/serve"
)

// Defaults of what a metric does not say.
const (
	defaultTelemetryInterval  = 5 * time.Second
	defaultPrometheusInterval = 30 * time.Second
	minInterval               = time.Second
	defaultErrorLimit         = 4
	defaultNoDataHold         = 30 * time.Minute
	minLease                  = time.Minute
)

// Policy is a spec as the plan and the analysis need it.
type Policy struct {
	Spec    plan.Spec
	Metrics []Metric
}

// Metric is one measurement and what it is held against.
type Metric struct {
	Name     string
	Interval time.Duration
	Limits   analysis.Limits
	Source   *otav1alpha1.Metric // as the spec has it
}

// Error says why a spec cannot be carried out. Reason is that of the Ready condition: InvalidSpec or NotSupportedYet.
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
		Bundle: r.Spec.BundleRef.Name, Paused: r.Spec.Paused, StepsHash: hashSteps(r.Spec.Steps), OnFailure: otav1alpha1.OnFailureRollback,
	}}
	if r.Spec.Rollback != nil && r.Spec.Rollback.OnFailure != "" {
		p.Spec.OnFailure = r.Spec.Rollback.OnFailure
	}
	err := errors.Join(p.parseMetrics(r.Spec.Analysis), p.parseRest(r))
	if field := unsupported(&r.Spec); field != "" {
		return p, &Error{otav1alpha1.NotSupportedYetReason, fmt.Errorf("%s is not supported by this version: remove it", field)}
	}
	if err != nil {
		return p, &Error{otav1alpha1.InvalidSpecReason, fmt.Errorf("spec.%w", err)}
	}
	return p, nil
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
	return nil
}

// parseMetrics reads all metrics that can be read, and tells of the others.
func (p *Policy) parseMetrics(a *otav1alpha1.Analysis) error {
	if a == nil {
		return nil
	}
	if a.StartingStep != nil {
		p.Spec.FirstCheck = int(*a.StartingStep)
	}
	var problems error
	for i := range a.Metrics {
		m, err := parseMetric(&a.Metrics[i])
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("analysis.metrics[%s].%w", a.Metrics[i].Name, err))
			continue
		}
		p.Metrics = append(p.Metrics, m)
	}
	p.Spec.Metrics = len(p.Metrics)
	return problems
}

// checkSamples refuses a pause that would wait for samples that nothing counts.
func checkSamples(steps []plan.Step, a *otav1alpha1.Analysis) error {
	if a != nil && slices.ContainsFunc(a.Metrics, func(m otav1alpha1.Metric) bool { return m.Telemetry != nil }) {
		return nil
	}
	if i := slices.IndexFunc(steps, func(s plan.Step) bool { return s.MinSamples > 0 }); i >= 0 {
		return fmt.Errorf("steps[%d].pause.minSamples needs a telemetry metric in spec.analysis.metrics: nothing counts devices otherwise", i)
	}
	return nil
}

// unsupported names the first field whose behaviour this version does not have.
func unsupported(s *otav1alpha1.RolloutSpec) string {
	switch {
	case len(s.Windows) > 0:
		return "spec.windows"
	case s.Rollback != nil && s.Rollback.To != "" && s.Rollback.To != otav1alpha1.RollbackToStable:
		return "spec.rollback.to: " + string(s.Rollback.To)
	case s.Analysis == nil:
		return ""
	case s.Analysis.Bake != "":
		return "spec.analysis.bake"
	case s.Analysis.Holdout != nil:
		return "spec.analysis.holdout"
	}
	for _, m := range s.Analysis.Metrics {
		switch {
		case m.MaxIncrease != "":
			return "spec.analysis.metrics[" + m.Name + "].maxIncrease"
		case m.Confidence != "":
			return "spec.analysis.metrics[" + m.Name + "].confidence"
		}
	}
	return ""
}

func parseSteps(in []otav1alpha1.Step) ([]plan.Step, error) {
	out := make([]plan.Step, 0, len(in))
	for i, s := range in {
		if s.SetWeight != nil {
			weight, err := plan.ParseWeight(weightText(s.SetWeight))
			if err != nil {
				return nil, fmt.Errorf("steps[%d].setWeight: %w", i, err)
			}
			out = append(out, plan.Step{Weight: weight})
			continue
		}
		d, err := serve.Duration(s.Pause.Duration, 0)
		if err != nil {
			return nil, fmt.Errorf("steps[%d].pause.duration: %w", i, err)
		}
		if s.Pause.Duration != "" && d == 0 {
			return nil, fmt.Errorf("steps[%d].pause.duration is %s: leave it out to pause until a person promotes, or give a time above 0", i, s.Pause.Duration)
		}
		step := plan.Step{Pause: true, Duration: d}
		if s.Pause.MinSamples != nil {
			step.MinSamples = int64(*s.Pause.MinSamples)
		}
		out = append(out, step)
	}
	return out, plan.Validate(out)
}

func weightText(w *intstr.IntOrString) string {
	if w.Type == intstr.Int {
		return strconv.Itoa(int(w.IntVal))
	}
	return w.StrVal
}

// hashSteps notices a changed list of steps.
func hashSteps(steps []otav1alpha1.Step) string {
	raw, err := json.Marshal(steps)
	if err != nil {
		return "" // cannot happen: steps came from JSON
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

func parseMetric(m *otav1alpha1.Metric) (Metric, error) {
	out := Metric{Name: m.Name, Source: m, Interval: defaultTelemetryInterval}
	if m.Prometheus != nil {
		out.Interval = defaultPrometheusInterval
		if _, err := prometheus.Parse(m.Prometheus.Query); err != nil {
			return out, fmt.Errorf("prometheus.%w", err)
		}
	}
	var err error
	if out.Interval, err = serve.Duration(m.Interval, out.Interval); err != nil {
		return out, fmt.Errorf("interval: %w", err)
	}
	if out.Interval < minInterval {
		return out, fmt.Errorf("interval is %s, expected at least %s", out.Interval, minInterval)
	}
	out.Limits, err = parseLimits(m)
	return out, err
}

func parseLimits(m *otav1alpha1.Metric) (analysis.Limits, error) {
	l := analysis.Limits{MinSamples: 1, ErrorLimit: defaultErrorLimit, NoDataHold: defaultNoDataHold, NoDataThen: otav1alpha1.NoDataPause}
	var err error
	if l.MaxRate, err = number(m.MaxRate); err != nil {
		return l, fmt.Errorf("maxRate: %w", err)
	}
	if l.MaxRate != nil && *l.MaxRate > 1 {
		return l, fmt.Errorf("maxRate is %s, expected a share from 0 to 1", m.MaxRate)
	}
	if err := parseRange(m.ThresholdRange, &l); err != nil {
		return l, err
	}
	if m.MinSamples != nil {
		l.MinSamples = int64(*m.MinSamples)
	}
	if m.FailureLimit != nil {
		l.FailureLimit = *m.FailureLimit
	}
	if m.ConsecutiveErrorLimit != nil {
		l.ErrorLimit = *m.ConsecutiveErrorLimit
	}
	if n := m.NoData; n != nil {
		if l.NoDataHold, err = serve.Duration(n.Hold, l.NoDataHold); err != nil {
			return l, fmt.Errorf("noData.hold: %w", err)
		}
		if n.Then != "" {
			l.NoDataThen = n.Then
		}
	}
	return l, nil
}

func parseRange(t *otav1alpha1.ThresholdRange, l *analysis.Limits) (err error) {
	if t == nil {
		return nil
	}
	if l.Min, err = number(t.Min); err != nil {
		return fmt.Errorf("thresholdRange.min: %w", err)
	}
	if l.Max, err = number(t.Max); err != nil {
		return fmt.Errorf("thresholdRange.max: %w", err)
	}
	if l.Min != nil && l.Max != nil && *l.Min > *l.Max {
		return fmt.Errorf("thresholdRange: min %s is above max %s", t.Min, t.Max)
	}
	return nil
}

func number(d otav1alpha1.Decimal) (*float64, error) {
	if d == "" {
		return nil, nil
	}
	v, err := strconv.ParseFloat(string(d), 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a decimal number", d)
	}
	return &v, nil
}
