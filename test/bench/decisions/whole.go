// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/policy"
	"github.com/windlass-dev/windlass/internal/simulate"
)

// wholes are good releases that go through all steps of a policy: plan, channel and fleet take part.
var wholes = []struct {
	scenario string
	does     simulate.Scenario
	fleet    simulate.Fleet
}{
	{"whole rollout", simulate.Scenario{Kind: simulate.Good}, simulate.Fleet{}},
	{"whole rollout, drift and night", simulate.Scenario{Kind: simulate.Drift}, simulate.Fleet{}},
	{"whole rollout, backend incident", simulate.Scenario{Kind: simulate.Incident, For: 30 * time.Minute}, simulate.Fleet{}},
	{"whole rollout, late reports", simulate.Scenario{Kind: simulate.Good}, simulate.Fleet{Report: time.Hour}},
	{"whole rollout, small fleet", simulate.Scenario{Kind: simulate.Good}, simulate.Fleet{Devices: 2000}},
}

// wholePolicy has the weights 1, 5, 25 and 50 %, for an hour each, and holds failures and silence against stable devices.
func wholePolicy() (policy.Policy, error) {
	r := &otav1alpha1.Rollout{Spec: otav1alpha1.RolloutSpec{Analysis: &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{
		{Name: "failures", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed}, MaxIncrease: "1"},
		{Name: "silence", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeSilent}, MaxIncrease: "1"},
	}}}}
	for _, w := range rising {
		r.Spec.Steps = append(r.Spec.Steps, otav1alpha1.Step{SetWeight: new(intstr.FromInt32(w / 100))},
			otav1alpha1.Step{Pause: &otav1alpha1.PauseStep{Duration: "1h"}})
	}
	p, err := policy.Parse(r)
	if err != nil {
		return p, fmt.Errorf("policy of whole rollouts: %w", err)
	}
	return p, nil
}

// whole runs whole rollouts. Their false alarms are those that were rolled back.
func (b *bench) whole() ([]result, error) {
	p, err := wholePolicy()
	if err != nil {
		return nil, err
	}
	var out []result
	for _, w := range wholes {
		s := simulate.Many(simulate.Config{Policy: p, Scenario: w.does, Fleet: w.fleet, Options: simulate.Options{Seed: seed}}, b.rollouts, level)
		r := result{
			Kind: "null", Scenario: w.scenario, BaseRate: baseRate, Weight: float64(rising[0]) / 10_000, Ratio: 1, Rule: simulate.Windlass,
			Alpha: alpha, Rollouts: b.rollouts, Stopped: s.RolledBack.Estimate, Low: s.RolledBack.Low, High: s.RolledBack.High,
		}
		b.report([]result{r})
		b.note(fmt.Sprint("outcomes: ", s.Outcomes))
		out = append(out, r)
	}
	return out, nil
}
