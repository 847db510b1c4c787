// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/windlass-dev/windlass/internal/simulate"
)

// seed of all cells: rules are compared on the same devices.
const seed = 2026

// result is one row of the table, and one object of the file.
type result struct {
	Kind     string        `json:"kind"`
	Scenario string        `json:"scenario"`
	BaseRate float64       `json:"base_rate"`
	Weight   float64       `json:"weight"` // share of the exposures; the first one where it rises
	Ratio    float64       `json:"ratio"`
	Rule     simulate.Rule `json:"rule"`
	Alpha    float64       `json:"alpha"`
	Rollouts int           `json:"rollouts"`
	Stopped  float64       `json:"stopped_rate"`
	Low      float64       `json:"low"` // of the 99 % interval of stopped_rate
	High     float64       `json:"high"`

	// Candidate devices failed, or lost, and exposed until the stop. Half of all rollouts were stopped by then: those that were not count as
	// worse than any, so that a rule gains nothing by never stopping the slow ones. null when fewer than half were stopped.
	MedianFailed  *float64 `json:"median_failed"`
	MedianExposed *float64 `json:"median_exposed"`
}

// end is how one rollout ended under one rule.
type end struct {
	stopped         bool
	exposed, failed int64
}

// run lets all rules watch the same rollouts.
func run(c cell, rules []rule, rollouts int) []result {
	ends := make([][]end, len(rules))
	for i := range ends {
		ends[i] = make([]end, rollouts)
	}
	simulate.Parallel(rollouts, 0, func(i int) {
		watchers := make([]watcher, len(rules))
		for j, r := range rules {
			watchers[j] = r.watch()
		}
		left := len(rules)
		c.lab.Run(seed, i, func(_ int, k *simulate.Look) bool {
			for j, w := range watchers {
				if e := &ends[j][i]; !e.stopped && w.look(k) {
					*e = end{true, k.AllExposed, k.AllFailed}
					left--
				}
			}
			return left == 0
		})
	})
	out := make([]result, len(rules))
	for j, r := range rules {
		out[j] = c.result(r.name, ends[j])
	}
	return out
}

func (c cell) result(name simulate.Rule, ends []end) result {
	exposed, failed := make([]float64, len(ends)), make([]float64, len(ends))
	stopped := 0
	for i, e := range ends {
		exposed[i], failed[i] = math.Inf(1), math.Inf(1)
		if e.stopped {
			exposed[i], failed[i] = float64(e.exposed), float64(e.failed)
			stopped++
		}
	}
	rate := simulate.RateOf(stopped, len(ends), level)
	r := result{
		Kind: c.kind, Scenario: c.scenario, BaseRate: c.lab.BaseRate, Weight: float64(c.weight()) / 10_000, Ratio: c.lab.Ratio, Rule: name,
		Alpha: alpha, Rollouts: len(ends), Stopped: rate.Estimate, Low: rate.Low, High: rate.High,
	}
	if 2*stopped >= len(ends) {
		r.MedianExposed, r.MedianFailed = new(simulate.QuantilesOf(exposed).Median), new(simulate.QuantilesOf(failed).Median)
	}
	return r
}

// bench runs cells and reports each as soon as it is done.
type bench struct {
	rollouts int
	generous bool // tune the peers to alpha
	tunings  map[string]tuned
	report   func(results []result)
	note     func(string)
}

// run runs all cells.
func (b *bench) run(cells []cell) ([]result, error) {
	var out []result
	for _, c := range cells {
		rules, err := b.rules(c)
		if err != nil {
			return nil, err
		}
		results := run(c, rules, b.rollouts)
		b.report(results)
		out = append(out, results...)
	}
	return out, nil
}

// rules of a cell.
func (b *bench) rules(c cell) ([]rule, error) {
	p, err := parsePolicy(c.outcomes...)
	if err != nil {
		return nil, fmt.Errorf("policy of the benchmark: %w", err)
	}
	out := []rule{windlass(p)}
	if c.peers {
		t, err := b.tune(c.lab.BaseRate, c.weight())
		if err != nil {
			return nil, err
		}
		out = append(out, argo(t.argo), flagger(t.flagger), peeking())
	}
	return out, nil
}

// tune searches a tuning once.
func (b *bench) tune(base float64, weight int32) (tuned, error) {
	key := fmt.Sprint(base, weight)
	if t, ok := b.tunings[key]; ok {
		return t, nil
	}
	allowed := alpha
	if !b.generous {
		p, err := parsePolicy(failures...)
		if err != nil {
			return tuned{}, fmt.Errorf("policy of the benchmark: %w", err)
		}
		steady := cell{kind: "null", lab: calm(base, weight)}
		allowed = run(steady, []rule{windlass(p)}, b.rollouts)[0].Stopped
	}
	t := tune(base, weight, b.rollouts, allowed)
	b.tunings[key] = t
	b.note(fmt.Sprintf("tuned for base rate %s, weight %s to %s false alarms: argo fails at %s; flagger at %s",
		percent(base), percent(float64(weight)/10_000), percent(allowed), t.argo, t.flagger))
	return t, nil
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func percent(v float64) string { return short(100*v) + " %" }
