// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/policy"
)

// spec is a Rollout with weights 1, 5 and 25 % for an hour each, which holds failures and silence against stable devices.
func spec() *otav1alpha1.Rollout {
	r := &otav1alpha1.Rollout{Spec: otav1alpha1.RolloutSpec{
		BundleRef: otav1alpha1.LocalReference{Name: "shop-2"},
		Analysis: &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{
			{Name: "failures", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed}, MaxIncrease: "1"},
			{Name: "silence", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeSilent}, MaxIncrease: "1.5"},
		}},
	}}
	for _, w := range []int32{1, 5, 25} {
		r.Spec.Steps = append(r.Spec.Steps, otav1alpha1.Step{SetWeight: new(intstr.FromInt32(w))}, otav1alpha1.Step{Pause: &otav1alpha1.PauseStep{Duration: "1h"}})
	}
	return r
}

func parse(t testing.TB, r *otav1alpha1.Rollout) policy.Policy {
	t.Helper()
	p, err := policy.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func config(t testing.TB, scenario string) Config {
	t.Helper()
	s, err := ParseScenario(scenario)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Policy: parse(t, spec()), Scenario: s, Options: Options{Seed: 7}}
}

func TestRun_sameSeedSameTrace(t *testing.T) {
	for _, scenario := range Kinds() {
		for _, rule := range Rules() {
			c := config(t, string(scenario))
			c.Options.Rule = rule
			if a, b := Run(c), Run(c); !reflect.DeepEqual(a, b) {
				t.Errorf("%s by %s: two traces of the same seed differ", scenario, rule)
			}
		}
	}
	c := config(t, "good")
	a := Run(c)
	c.Options.Seed++
	if reflect.DeepEqual(a, Run(c)) {
		t.Error("another seed gives the same trace")
	}
}

func TestMany_sameResultByAnyNumberOfGoroutines(t *testing.T) {
	for _, rule := range []Rule{Windlass, Argo} {
		c := config(t, "bad=x3")
		c.Options.Rule, c.Options.Parallel = rule, 1
		one := Many(c, 60, 0.99)
		c.Options.Parallel = 7
		if seven := Many(c, 60, 0.99); !reflect.DeepEqual(one, seven) {
			t.Errorf("%s: one goroutine gives\n%+v\nand seven give\n%+v", rule, one, seven)
		}
	}
}

// What each scenario is about comes out: counted over rollouts with a fixed seed.
func TestMany_outcomes(t *testing.T) {
	n := 60
	if os.Getenv("WINDLASS_CORPUS") == "full" {
		n = 200
	}
	for scenario, want := range map[string]map[Outcome][2]int{
		"good":     {Completed: {n * 9 / 10, n}, RolledBack: {0, n / 20}},
		"incident": {Completed: {n * 9 / 10, n}, RolledBack: {0, n / 20}},
		"drift":    {Completed: {n * 9 / 10, n}, RolledBack: {0, n / 20}},
		"bad=x5":   {RolledBack: {n, n}},
		"bad=x100": {RolledBack: {n, n}},
		"silent":   {RolledBack: {n, n}},
		"slice":    {RolledBack: {n, n}},
		"outage":   {Paused: {n * 9 / 10, n}, Completed: {0, 0}, RolledBack: {0, n / 20}},
	} {
		s := Many(config(t, scenario), n, 0.99)
		for o, bounds := range want {
			if got := s.Outcomes[o]; got < bounds[0] || got > bounds[1] {
				t.Errorf("%s: %d of %d are %s, expected %d to %d; all: %v", scenario, got, n, o, bounds[0], bounds[1], s.Outcomes)
			}
		}
	}
}

// A total failure is stopped after a handful of devices; of a good release all devices of the weight get the candidate.
func TestMany_exposure(t *testing.T) {
	bad := Many(config(t, "bad=x100"), 100, 0.99)
	if got := bad.Stopped.Failed.Median; got > 15 {
		t.Errorf("a release that fails on all devices fails on %v until the stop (median), expected at most 15", got)
	}
	good := Many(config(t, "good"), 100, 0.99)
	if got := good.All.Exposed.Median; got < 12_000 || got > 25_000 {
		t.Errorf("a good release was offered to %v devices, expected most of 25 %% of 100000", got)
	}
	silent := Many(config(t, "silent"), 100, 0.99)
	if got := silent.Stopped.Lost; got != silent.Stopped.Exposed {
		t.Errorf("silent devices: %v lost of %v exposed, expected all", got, silent.Stopped.Exposed)
	}
}

// An outage within the budget of errors ends nothing, and one that exceeds it pauses.
func TestRun_outage(t *testing.T) {
	r := spec()
	for i := range r.Spec.Analysis.Metrics {
		r.Spec.Analysis.Metrics[i].ConsecutiveErrorLimit = new(int32(200))
	}
	c := config(t, "outage")
	c.Policy = parse(t, r)
	if got := Run(c); got.Outcome != Completed {
		t.Errorf("outage of 10 m with a budget of 200 errors: %s, %s", got.Outcome, got.Reason)
	}
	if got := Run(config(t, "outage")); got.Outcome != Paused || got.Weight != 100 {
		t.Errorf("outage of 10 m with the default budget: %s at %d, expected a pause at 100", got.Outcome, got.Weight)
	}
}

// Other rollouts end because of the outage: that is what the comparison is about.
func TestRun_peersAbortOnOutage(t *testing.T) {
	c := config(t, "outage")
	c.Options.Rule = Argo
	c.Options.Peer = Peer{Interval: time.Minute, Window: 5 * time.Minute, MaxRate: 1, Failures: 3, Errors: 4}
	if got := Run(c); got.Outcome != RolledBack || !strings.Contains(got.Reason, "consecutiveErrors (5) > consecutiveErrorLimit (4)") {
		t.Errorf("argo: %s, %s", got.Outcome, got.Reason)
	}
	c.Options.Rule = Flagger
	c.Options.Peer = Peer{Interval: time.Minute, Window: time.Minute, MaxRate: 1, Failures: 2}
	c.Scenario.After = 2 * time.Minute
	if got := Run(c); got.Outcome != RolledBack || got.Reason != "failed checks threshold reached 2" {
		t.Errorf("flagger: %s, %s", got.Outcome, got.Reason)
	}
}

func TestRun_excludesSlice(t *testing.T) {
	r := spec()
	r.Spec.Analysis.OnSlice = otav1alpha1.SliceExclude
	c := config(t, "slice=x20")
	c.Policy = parse(t, r)
	excluded := 0
	for seed := range uint64(40) {
		c.Options.Seed = seed
		got := Run(c)
		if len(got.Excluded) == 0 {
			continue
		}
		excluded++
		if s := got.Excluded[0]; got.Outcome != Completed || s.Platform == "ios" || !contains(s.NativeVersion, "4.2.0") || contains(s.NativeVersion, "4.3.0") {
			t.Errorf("seed %d: %s, excluded %+v", seed, got.Outcome, got.Excluded)
		}
	}
	if excluded < 4 {
		t.Errorf("%d of 40 rollouts exclude the slice that fails, expected some", excluded)
	}
}

// Requests to the backend decide, when the policy measures them.
func TestRun_requests(t *testing.T) {
	r := spec()
	r.Spec.Analysis.Metrics = []otav1alpha1.Metric{{
		Name: "errors", Prometheus: &otav1alpha1.PrometheusMetric{Address: "http://prometheus.example", Query: "errors"}, Interval: "1m",
		ThresholdRange: &otav1alpha1.ThresholdRange{Max: "0.02"}, FailureLimit: new(int32(3)),
	}}
	for scenario, want := range map[string]Outcome{"good": Completed, "bad=x5": RolledBack, "incident": RolledBack} {
		c := config(t, scenario)
		c.Policy = parse(t, r)
		if got := Run(c); got.Outcome != want {
			t.Errorf("%s: %s (%s), expected %s", scenario, got.Outcome, got.Reason, want)
		}
		c.Options.Rule = Argo
		if got := Run(c); got.Outcome != want {
			t.Errorf("%s by argo: %s (%s), expected %s", scenario, got.Outcome, got.Reason, want)
		}
	}
}

func TestRun_windowsPersonsAndFirstWeights(t *testing.T) {
	r := spec()
	r.Spec.Windows = []otav1alpha1.Window{{Kind: otav1alpha1.WindowAllow, Schedule: "0 9 * * *", Duration: "90m"}}
	r.Spec.Steps[1].Pause = &otav1alpha1.PauseStep{}
	c := config(t, "good")
	c.Policy = parse(t, r)
	got := Run(c)
	if got.Outcome != Completed || got.Took < 24*time.Hour || got.Took > 26*time.Hour {
		t.Errorf("%s after %s, expected the last rises in the window of 90 minutes of the second day; %s", got.Outcome, got.Took, got.Reason)
	}
	for _, e := range got.Events {
		if strings.Contains(e.Message, "publishing") && e.At > 0 {
			if clock := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC).Add(e.At); clock.Hour() != 9 && clock.Hour() != 10 {
				t.Errorf("rises at %s: %s", clock, e.Message)
			}
		}
	}
	c = config(t, "good")
	c.Options.MaxFirstWeight = 50
	if got := Run(c); got.Outcome != Refused || got.Exposed != 0 {
		t.Errorf("first weight 1 %% of at most 0.5 %%: %s, %d exposed; %s", got.Outcome, got.Exposed, got.Reason)
	}
}

// The invariants of the plan hold in traces: nothing rises without a passing look since the last commit, and the end is what it says.
func TestRun_invariants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := config(t, rapid.SampledFrom([]string{"good", "bad=x2", "bad=x5", "slice", "silent", "outage=1m", "incident", "drift"}).Draw(rt, "scenario"))
		c.Options.Seed = rapid.Uint64().Draw(rt, "seed")
		c.Options.Horizon = 8 * time.Hour
		c.Options.Look = time.Duration(rapid.IntRange(20, 200).Draw(rt, "look")) * time.Second
		c.Fleet.Devices = rapid.Int64Range(10, 200_000).Draw(rt, "devices")
		c.Fleet.CheckIns = rapid.Float64Range(0.1, 20).Draw(rt, "checkIns")
		c.Fleet.BaseRate = rapid.Float64Range(0, 0.3).Draw(rt, "baseRate")
		c.Fleet.Report = time.Duration(rapid.IntRange(1, 7200).Draw(rt, "report")) * time.Second
		c.Options.MaxWeightPerHour = rapid.SampledFrom([]int32{0, 0, 1000}).Draw(rt, "perHour")
		check(rt, c, Run(c))
	})
}

func check(t *rapid.T, c Config, tr Trace) {
	var before Event
	for i, e := range tr.Events {
		if i > 0 && e.At < before.At {
			t.Fatalf("event %d is at %s, before %s", i, e.At, before.At)
		}
		if rise := e.Weight > before.Weight && before.Weight > 0; rise && !passed(tr.Points, before.Weight, e.At) {
			t.Fatalf("rises from %d to %d at %s without a passing look", before.Weight, e.Weight, e.At)
		}
		before = e
	}
	for i, p := range tr.Points {
		if p.Failed > p.Exposed || p.ControlFailed > p.ControlExposed || p.Exposed < 0 || p.ControlExposed < 0 {
			t.Fatalf("impossible look: %+v", p)
		}
		if p.Exposed+p.ControlExposed > c.Fleet.Devices || p.AllExposed > c.Fleet.Devices {
			t.Fatalf("more devices than there are: %+v", p)
		}
		if i > 0 && (p.AllExposed < tr.Points[i-1].AllExposed || p.Stage < tr.Points[i-1].Stage) {
			t.Fatalf("look %d goes back: %+v after %+v", i, p, tr.Points[i-1])
		}
		if p.Limit > 0 && p.Evidence >= p.Limit && p.Verdict != otav1alpha1.VerdictFailing {
			t.Fatalf("evidence %v reaches %v, and the verdict is %s", p.Evidence, p.Limit, p.Verdict)
		}
	}
	if tr.Outcome == "" || tr.Reason == "" || tr.Exposed > c.Fleet.Devices || tr.Lost > tr.Exposed {
		t.Fatalf("impossible end: %s %q, %d exposed, %d lost", tr.Outcome, tr.Reason, tr.Exposed, tr.Lost)
	}
}

// passed tells whether the last look before a moment was at the weight, and passing.
func passed(points []Point, weight int32, at time.Duration) bool {
	ok := false
	for _, p := range points {
		if p.At <= at {
			ok = p.Weight == weight && p.Verdict == otav1alpha1.VerdictPassing
		}
	}
	return ok
}

// What the power function promises is what happens in the laboratory: a regression of the ratio that it gives is found within the step with
// about the probability of 0.8, and one of half of it much more rarely.
func TestPower_agreesWithDetection(t *testing.T) {
	p := parse(t, spec())
	l := p.Metrics[0].Limits
	for _, c := range []struct {
		weight int32
		looks  int
		base   float64
	}{{100, 50, 0.01}, {500, 50, 0.01}, {2500, 50, 0.01}, {500, 100, 0.002}, {2500, 20, 0.05}} {
		candidate := 1000 * float64(c.looks) * float64(c.weight) / 10_000
		ratio, ok := l.Detects(analysis.Outlook{Candidate: candidate, Control: 1000*float64(c.looks) - candidate, BaseRate: c.base})
		if !ok {
			t.Errorf("%+v: says that it sees nothing", c)
			continue
		}
		lab := Lab{Weights: []int32{c.weight}, Looks: c.looks, Exposures: 1000, BaseRate: c.base, Ratio: ratio}
		if got := detected(l.Tests()[0], lab, 1000); got < 0.7 || got > 0.93 {
			t.Errorf("%+v: x%.3g is found in %.0f %% of the experiments, expected about 80 %%", c, ratio, 100*got)
		}
		lab.Ratio = 1 + (ratio-1)/2
		if got := detected(l.Tests()[0], lab, 1000); got > 0.6 {
			t.Errorf("%+v: x%.3g is found in %.0f %% of the experiments, though x%.3g is said to be the smallest", c, lab.Ratio, 100*got, ratio)
		}
	}
}

// detected is the share of experiments in which a test reaches its limit.
func detected(test eprocess.Test, lab Lab, n int) float64 {
	found := make([]float64, n)
	Parallel(n, 0, func(i int) {
		var s eprocess.State
		lab.Run(11, i, func(_ int, k *Look) bool {
			s, _ = test.Update(s, k.Stages)
			if test.Log(s) >= test.LogLimit() {
				found[i] = 1
			}
			return found[i] == 1
		})
	})
	return QuantilesOf(found).Mean
}

func TestParseScenario(t *testing.T) {
	for text, want := range map[string]Scenario{
		"good": {Kind: Good}, "bad": {Kind: Bad}, "bad=x5": {Kind: Bad, Ratio: 5}, "bad=2.5": {Kind: Bad, Ratio: 2.5}, "slice=x30": {Kind: Slice, Ratio: 30},
		"outage=90s": {Kind: Outage, For: 90 * time.Second}, "incident=x3": {Kind: Incident, Factor: 3}, "silent": {Kind: Silent}, "drift": {Kind: Drift},
	} {
		if got, err := ParseScenario(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; expected %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "ugly", "bad=", "bad=x", "bad=x0", "bad=x-1", "bad=xNaN", "bad=x1e9", "good=x2", "silent=1", "outage=5", "outage=-1m", "Bad"} {
		if got, err := ParseScenario(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

// Known values: Clopper and Pearson for 0 of 10 and 5 of 10 at 95 %.
func TestRateOf(t *testing.T) {
	for _, c := range []struct {
		count, of int
		low, high float64
	}{{0, 10, 0, 0.30850}, {5, 10, 0.18709, 0.81291}, {10, 10, 0.69150, 1}, {0, 0, 0, 1}} {
		r := RateOf(c.count, c.of, 0.95)
		if math.Abs(r.Low-c.low) > 1e-5 || math.Abs(r.High-c.high) > 1e-5 {
			t.Errorf("%d of %d: %v to %v, expected %v to %v", c.count, c.of, r.Low, r.High, c.low, c.high)
		}
	}
}

func TestQuantilesOf(t *testing.T) {
	if got, want := QuantilesOf([]float64{4, 1, 3, 2, 10}), (Quantiles{Mean: 4, Median: 3, P90: 10, Max: 10}); got != want {
		t.Errorf("%+v, expected %+v", got, want)
	}
	if got := QuantilesOf(nil); !math.IsNaN(got.Median) {
		t.Errorf("of nothing: %+v", got)
	}
}

func BenchmarkMany(b *testing.B) {
	c := config(b, "good")
	for b.Loop() {
		Many(c, 100, 0.99)
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(100*b.N), "ms/rollout")
}

func ExampleRun() {
	r := spec()
	p, err := policy.Parse(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	t := Run(Config{Policy: p, Scenario: Scenario{Kind: Bad, Ratio: 20}})
	fmt.Println(t.Outcome)
	// Output: RolledBack
}
