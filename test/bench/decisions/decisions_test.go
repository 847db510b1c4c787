// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
	"github.com/windlass-dev/windlass/internal/simulate"
)

func parsed(t *testing.T, outcomes ...otav1alpha1.TelemetryOutcome) policy.Policy {
	t.Helper()
	p, err := parsePolicy(outcomes...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Each null keeps alpha, as far as few rollouts can tell; the whole benchmark has ten thousand of each.
func TestNulls_keepAlpha(t *testing.T) {
	for _, c := range nulls() {
		r := run(c, []rule{windlass(parsed(t, c.outcomes...))}, 100)[0]
		if r.Low > alpha {
			t.Errorf("%s", r.name())
		}
	}
}

// The issue names at least these.
func TestNulls_areAllThere(t *testing.T) {
	have := map[string]bool{}
	rates := map[float64]bool{}
	for _, c := range nulls() {
		have[c.scenario] = true
		rates[c.lab.BaseRate] = true
	}
	for _, want := range []string{
		"steady", "autocorrelation 0", "autocorrelation 0.5", "autocorrelation 0.8", "drift", "day and night", "backend incident", "duplicates",
		"late reports", "tiny control", "rising weights",
	} {
		if !have[want] {
			t.Errorf("there is no null %q", want)
		}
	}
	if !rates[0.001] || !rates[0.01] || !rates[0.05] {
		t.Errorf("base rates are %v", rates)
	}
}

// The aims of the issue: five times as many failures at 1 % are stopped after a handful, and nothing that fails or falls silent gets far.
func TestRegressions_areStopped(t *testing.T) {
	for _, c := range regressions() {
		r := run(c, []rule{windlass(parsed(t, c.outcomes...))}, 200)[0]
		if r.Stopped < 0.95 {
			t.Errorf("%s", r.name())
			continue
		}
		most := map[string]float64{"x2": 60, "x3": 35, "x5": 30, "x10": 50, "total outage": 250, "silence": 1000}[c.scenario]
		if c.scenario == "x5" && c.weight() == 100 {
			most = 6
		}
		if *r.MedianFailed > most {
			t.Errorf("%s at weight %s fails on %v devices until the stop (median), expected at most %v", c.scenario, percent(r.Weight), *r.MedianFailed, most)
		}
	}
}

// everyLook asks Judge at each look, as the controller does.
type everyLook struct {
	metric policy.Metric
	result analysis.Result
	now    time.Time
}

func (e *everyLook) look(k *simulate.Look) bool {
	e.now = e.now.Add(time.Minute)
	e.result = e.metric.Judge(plan.Release{}, 0, e.result, analysis.Measurement{At: e.now, Stages: k.Stages})
	return e.result.Verdict == otav1alpha1.VerdictFailing
}

// What the benchmark leaves out of a look changes nothing: verdicts of Judge stop the same rollouts at the same look.
func TestWindlass_stopsWhereJudgeSaysFailing(t *testing.T) {
	for _, c := range append(regressions(), nulls()...) {
		p := parsed(t, c.outcomes...)
		if len(p.Metrics) > 1 {
			continue
		}
		judge := rule{"judge", func() watcher { return &everyLook{metric: p.Metrics[0], now: time.Unix(1_800_000_000, 0)} }}
		for i := range 5 {
			c.lab.Run(seed, i, sameLook(t, c, windlass(p).watch(), judge.watch()))
		}
	}
}

func sameLook(t *testing.T, c cell, a, b watcher) func(int, *simulate.Look) bool {
	return func(look int, k *simulate.Look) bool {
		stopA, stopB := a.look(k), b.look(k)
		if stopA != stopB {
			t.Errorf("%s at weight %d, look %d: the test stops: %v; Judge says Failing: %v", c.scenario, c.weight(), look, stopA, stopB)
		}
		return stopA || stopB
	}
}

// Peers are tuned to what is allowed on the rollouts that they are tuned with, use nearly all of it, and find what is clearly worse.
func TestTune(t *testing.T) {
	const n, allowed = 1000, 0.05
	got := tune(baseRate, 500, n, allowed)
	lab := calm(baseRate, 500)
	for _, r := range []rule{argo(got.argo), flagger(got.flagger)} {
		stopped := 0
		for i := range n {
			w := r.watch()
			lab.Run(tuningSeed, i, func(_ int, k *simulate.Look) bool {
				if !w.look(k) {
					return false
				}
				stopped++
				return true
			})
		}
		if share := float64(stopped) / n; share > allowed || share < allowed/10 {
			t.Errorf("%s: %v of the good rollouts that it was tuned with are stopped, allowed are %v", r.name, share, allowed)
		}
		worse := lab
		worse.Ratio = 10
		if found := run(cell{lab: worse}, []rule{r}, 200)[0]; found.Stopped < 1 || *found.MedianExposed > 300 {
			t.Errorf("%s: %+v", r.name, found)
		}
	}
}

func TestFewestFailures(t *testing.T) {
	tun := tuning{window: 1, peer: simulate.Peer{MaxRate: 0.1}}
	good := [][]int64{{0, 0, 0, 0}, {2, 0, 0, 0}, {2, 0, 2, 0}, {2, 2, 2, 2}}
	for allowed, want := range map[float64]int{0: 4, 0.25: 2, 0.5: 1, 0.75: 0} {
		if got := fewestFailures(good, tun, 10, allowed); got != want {
			t.Errorf("%v allowed: %d, expected %d", allowed, got, want)
		}
	}
}

// The window forgets looks that are older than it.
func TestWindow_rate(t *testing.T) {
	w := newWindow(tuning{window: 2})
	for i, c := range []struct {
		failed, exposed int64
		want            float64
	}{{1, 10, 0.1}, {3, 10, 0.2}, {0, 10, 0.15}, {0, 20, 0}} {
		if got := w.rate(c.failed, c.exposed); got != c.want {
			t.Errorf("look %d: %v, expected %v", i, got, c.want)
		}
	}
}

// The whole program on very few rollouts: the file has what the issue asks for, and the table says what was missed.
func TestDecide_writes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bin", "bench-decisions.json")
	var out bytes.Buffer
	if err := decide(&out, 40, true, file); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cells []map[string]any
	if err := json.Unmarshal(raw, &cells); err != nil {
		t.Fatal(err)
	}
	rules := map[any]int{}
	for _, c := range cells {
		for _, key := range []string{
			"kind", "scenario", "base_rate", "weight", "ratio", "rule", "alpha", "rollouts", "stopped_rate", "low", "high", "median_failed", "median_exposed",
		} {
			if _, ok := c[key]; !ok {
				t.Fatalf("%v has no %s", c, key)
			}
		}
		if c["kind"] == "regression" {
			rules[c["rule"]]++
		}
	}
	for _, r := range simulate.Rules() {
		if want := len(weights) * (len(ratios) + 2); rules[string(r)] != want {
			t.Errorf("%s has %d regressions, expected %d", r, rules[string(r)], want)
		}
	}
	if !strings.Contains(out.String(), "tuned for base rate 1 %, weight 5 %") || !strings.Contains(out.String(), "fewer devices exposed than a tuned peer in") {
		t.Errorf("the table lacks what was tuned or compared:\n%s", out.String())
	}
}

// A broken promise is an error.
func TestJudge_brokenPromise(t *testing.T) {
	var out bytes.Buffer
	bad := result{Kind: "null", Scenario: "drift", Rule: simulate.Windlass, Alpha: alpha, Stopped: 0.08, Low: 0.07, High: 0.09}
	if err := judge(&out, []result{bad}); err == nil || !strings.Contains(out.String(), "ABOVE ALPHA: drift") {
		t.Errorf("%v\n%s", err, out.String())
	}
	bad.Low = 0.04
	if err := judge(&out, []result{bad}); err != nil {
		t.Error(err)
	}
	bad.Rule, bad.Low = simulate.Argo, 0.07
	if err := judge(&out, []result{bad}); err != nil {
		t.Errorf("a peer made no promise: %v", err)
	}
}
