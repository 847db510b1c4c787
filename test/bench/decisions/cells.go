// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/simulate"
)

const (
	alpha     = 0.05  // 1 less the confidence of the policy
	level     = 0.99  // of the intervals
	looks     = 400   // after which a rollout counts as not stopped
	exposures = 1000  // of both arms, a look
	baseRate  = 0.01  // of the regressions
	returning = 0.3   // share of devices that come back in a look
	spread    = 0.7   // of the logarithm of a base rate that varies: it halves or doubles in a third of the time
	tiny      = 9_950 // weight that leaves 5 of 1000 devices to the control
)

var (
	baseRates = []float64{0.001, 0.01, 0.05}
	weights   = []int32{100, 500, 2500}
	ratios    = []float64{2, 3, 5, 10}
	rising    = []int32{100, 500, 2500, 5000}
)

// cell is one experiment.
type cell struct {
	kind, scenario string
	lab            simulate.Lab
	outcomes       []otav1alpha1.TelemetryOutcome // of the policy's metrics
	peers          bool                           // there is a fair tuning for it
}

// weight is the first one.
func (c cell) weight() int32 { return c.lab.Weights[0] }

func calm(base float64, weights ...int32) simulate.Lab {
	return simulate.Lab{Weights: weights, Looks: looks, Exposures: exposures, BaseRate: base, Ratio: 1, Return: returning}
}

var failures = []otav1alpha1.TelemetryOutcome{otav1alpha1.OutcomeFailed}

// nulls are releases that are as good as stable.
func nulls() []cell {
	var out []cell
	add := func(scenario string, peers bool, lab simulate.Lab) {
		out = append(out, cell{kind: "null", scenario: scenario, lab: lab, outcomes: failures, peers: peers})
	}
	for _, w := range weights {
		for _, base := range baseRates {
			add("steady", true, calm(base, w))
		}
		for _, d := range disturbances {
			lab := calm(baseRate, w)
			d.do(&lab)
			add(d.name, true, lab)
		}
	}
	for _, base := range baseRates {
		add("tiny control", false, calm(base, tiny))
	}
	steps := calm(baseRate, rising...)
	add("rising weights", false, steps)
	steps.Weather = simulate.Weather{Drift: driftADay}
	add("rising weights, drift", false, steps)
	steps.Weather, steps.Late = simulate.Weather{Correlation: 0.8, Spread: spread, Night: 0.8}, 10
	add("rising weights, late, night, autocorrelation 0.8", false, steps)
	for _, w := range weights {
		out = append(out, cell{kind: "null", scenario: "silence test", lab: calm(baseRate, w), outcomes: silence},
			cell{kind: "null", scenario: "failures and silence", lab: calm(baseRate, w), outcomes: append(slices.Clip(failures), silence...)})
	}
	return out
}

var silence = []otav1alpha1.TelemetryOutcome{otav1alpha1.OutcomeSilent}

// driftADay multiplies the base rate by ten within the looks.
var driftADay = math.Pow(10, 24./looks)

// disturbances hit both arms alike.
var disturbances = []struct {
	name string
	do   func(*simulate.Lab)
}{
	{"autocorrelation 0", func(l *simulate.Lab) { l.Weather = simulate.Weather{Spread: spread} }},
	{"autocorrelation 0.5", func(l *simulate.Lab) { l.Weather = simulate.Weather{Spread: spread, Correlation: 0.5} }},
	{"autocorrelation 0.8", func(l *simulate.Lab) { l.Weather = simulate.Weather{Spread: spread, Correlation: 0.8} }},
	{"drift", func(l *simulate.Lab) { l.Weather = simulate.Weather{Drift: driftADay} }},
	{"day and night", func(l *simulate.Lab) { l.Weather = simulate.Weather{Night: 0.8} }},
	{"backend incident", func(l *simulate.Lab) { l.Incident = 10 }},
	{"duplicates", func(l *simulate.Lab) { l.Duplicates = 0.05 }},
	{"late reports", func(l *simulate.Lab) { l.Late = 20 }},
}

// regressions are releases that have to be stopped.
func regressions() []cell {
	var out []cell
	for _, w := range weights {
		out = append(out, worse(baseRate, w)...)
		lab := calm(baseRate, w)
		lab.Silent = true
		out = append(out, cell{kind: "regression", scenario: "silence", lab: lab, outcomes: silence, peers: true})
	}
	return out
}

// worse are the regressions by failures, for one base rate and weight.
func worse(base float64, weight int32) []cell {
	var out []cell
	for _, r := range append(slices.Clip(ratios), 1/base) {
		lab := calm(base, weight)
		lab.Ratio = r
		scenario := "x" + short(r)
		if r == 1/base {
			scenario = "total outage"
		}
		out = append(out, cell{kind: "regression", scenario: scenario, lab: lab, outcomes: failures, peers: true})
	}
	return out
}
