// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
)

func setWeight(v intstr.IntOrString) otav1alpha1.Step { return otav1alpha1.Step{SetWeight: &v} }

func pause(d otav1alpha1.Duration, samples *int32) otav1alpha1.Step {
	return otav1alpha1.Step{Pause: &otav1alpha1.PauseStep{Duration: d, MinSamples: samples}}
}

func web(url, jsonPath, cel string) otav1alpha1.Metric {
	return otav1alpha1.Metric{Name: "errors", ThresholdRange: &otav1alpha1.ThresholdRange{Max: "1"},
		Web: &otav1alpha1.WebMetric{URL: url, JSONPath: jsonPath, CEL: cel}}
}

func valid() *otav1alpha1.Rollout {
	return &otav1alpha1.Rollout{Spec: otav1alpha1.RolloutSpec{
		BundleRef: otav1alpha1.LocalReference{Name: "shop-1"},
		Steps:     []otav1alpha1.Step{setWeight(intstr.FromString("0.25")), pause("1h30m", new(int32(5))), setWeight(intstr.FromInt32(100))},
		Analysis: &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{
			{Name: "failures", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed}, MaxRate: "0.02"},
			{Name: "errors", Prometheus: &otav1alpha1.PrometheusMetric{Address: "http://p", Query: "up"}, ThresholdRange: &otav1alpha1.ThresholdRange{Max: "1"}},
		}},
	}}
}

func TestParse_defaults(t *testing.T) {
	p, err := Parse(valid())
	if err != nil {
		t.Fatal(err)
	}
	want := []plan.Step{{Weight: 25}, {Pause: true, Duration: 90 * time.Minute, MinSamples: 5}, {Weight: 10000}}
	if diff := cmp.Diff(want, p.Spec.Steps); diff != "" {
		t.Error(diff)
	}
	if p.Spec.OnFailure != otav1alpha1.OnFailureRollback || p.Spec.Metrics != 2 {
		t.Errorf("spec: %+v", p.Spec)
	}
	if p.Metrics[0].Interval != 5*time.Second || p.Metrics[1].Interval != 30*time.Second {
		t.Errorf("intervals: %s, %s", p.Metrics[0].Interval, p.Metrics[1].Interval)
	}
	if p.Spec.OnSlice != otav1alpha1.SliceRecommend || p.Spec.Bake != 0 || p.Spec.Holdout != 0 || p.Metrics[0].Limits.DryRun {
		t.Errorf("spec: %+v", p.Spec)
	}
	if got := p.Metrics[0].Limits.Budget; got != 0.05 {
		t.Errorf("budget is %v, want 0.05", got)
	}
	l := p.Metrics[1].Limits
	if l.ErrorLimit != 4 || l.FailureLimit != 0 || l.NoDataHold != 30*time.Minute || l.NoDataThen != otav1alpha1.NoDataPause || l.MinSamples != 1 {
		t.Errorf("limits: %+v", l)
	}
}

func TestParse_refuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*otav1alpha1.RolloutSpec)
		reason string
		text   string
	}{
		"falling weights":            {func(s *otav1alpha1.RolloutSpec) { s.Steps = append(s.Steps, setWeight(intstr.FromInt32(5))) }, otav1alpha1.InvalidSpecReason, "steps[3].setWeight is 5, below the 100"},
		"samples that nobody counts": {func(s *otav1alpha1.RolloutSpec) { s.Analysis = nil }, otav1alpha1.InvalidSpecReason, "steps[1].pause.minSamples needs a telemetry metric"},
		"short lease":                {func(s *otav1alpha1.RolloutSpec) { s.LeaseDuration = "10s" }, otav1alpha1.InvalidSpecReason, `spec.leaseDuration is "10s", expected at least 1m0s`},
		"rate above one":             {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[0].MaxRate = "2" }, otav1alpha1.InvalidSpecReason, "metrics[failures].maxRate is 2"},
		"rate of one":                {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[0].MaxRate = "1" }, otav1alpha1.InvalidSpecReason, "maxRate is 1, expected a share from 0 to below 1"},
		"range upside down":          {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[1].ThresholdRange.Min = "2" }, otav1alpha1.InvalidSpecReason, "min 2 is above max 1"},
		"short interval":             {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[1].Interval = "10ms" }, otav1alpha1.InvalidSpecReason, "interval is 10ms, expected at least 1s"},
		"broken template":            {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[1].Prometheus.Query = "{{ .app" }, otav1alpha1.InvalidSpecReason, "query"},
		"variable that is none":      {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[1].Prometheus.Query = "{{ .versions }}" }, otav1alpha1.InvalidSpecReason, "metrics[errors].prometheus.query"},
		"broken template of a URL":   {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[1] = web("https://h/{{ .app", "{.rate}", "") }, otav1alpha1.InvalidSpecReason, "metrics[errors].web.url"},
		"broken path":                {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[1] = web("https://h/", "{.rate", "") }, otav1alpha1.InvalidSpecReason, "metrics[errors].web.jsonPath"},
		"broken expression":          {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[1] = web("https://h/", "", "result.") }, otav1alpha1.InvalidSpecReason, "metrics[errors].web.cel"},
		"expression of a text":       {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[1] = web("https://h/", "", "'a'") }, otav1alpha1.InvalidSpecReason, "expected an expression that gives a number"},
		"increase of none":           {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[0].MaxIncrease = "0" }, otav1alpha1.InvalidSpecReason, "metrics[failures].maxIncrease is 0: a bundle that does as well as the stable one"},
		"increase below one":         {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[0].MaxIncrease = "0.02" }, otav1alpha1.InvalidSpecReason, "maxIncrease is 0.02"},
		"coin toss":                  {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[0].Confidence = "0.4" }, otav1alpha1.InvalidSpecReason, "metrics[failures].confidence is 0.4, expected 0.5 to 0.999999"},
		"certainty":                  {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[0].Confidence = "1" }, otav1alpha1.InvalidSpecReason, "confidence is 1, expected 0.5 to 0.999999"},
		"bake of no time":            {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Bake = "0s" }, otav1alpha1.InvalidSpecReason, "analysis.bake is 0s: leave it out, or give a time above 0"},
		"holdout without a bake":     {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Holdout = new(int32(2)) }, otav1alpha1.InvalidSpecReason, "analysis.holdout is 2: it needs analysis.bake"},
		"step into the holdout": {func(s *otav1alpha1.RolloutSpec) {
			s.Analysis.Bake, s.Analysis.Holdout = "1h", new(int32(2))
		}, otav1alpha1.InvalidSpecReason, "steps[2].setWeight is 100, above the 98 that analysis.holdout leaves: remove the step, the bake rises to 98"},
		"increase without a control": {func(s *otav1alpha1.RolloutSpec) {
			s.Analysis.Metrics[0].MaxRate, s.Analysis.Metrics[0].MaxIncrease = "", "2"
		}, otav1alpha1.InvalidSpecReason, "metrics[failures].maxIncrease has no stable devices to compare with at 100 %, where the release would wait for ever: " +
			"set analysis.bake and analysis.holdout, or let steps end below 100 without a bake, or set maxRate beside it"},
		"bake without a control": {func(s *otav1alpha1.RolloutSpec) {
			s.Steps, s.Analysis.Bake = s.Steps[:2], "1h"
			s.Analysis.Metrics[0].MaxRate, s.Analysis.Metrics[0].MaxIncrease = "", "2"
		}, otav1alpha1.InvalidSpecReason, "has no stable devices to compare with"},
		"silence at once": {func(s *otav1alpha1.RolloutSpec) {
			s.Steps = nil
			s.Analysis.Metrics[0] = otav1alpha1.Metric{Name: "silence", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeSilent}, MaxIncrease: "2"}
		}, otav1alpha1.InvalidSpecReason, "metrics[silence].maxIncrease has no stable devices to compare with"},
		"several problems": {func(s *otav1alpha1.RolloutSpec) {
			s.Analysis.Holdout, s.Analysis.Metrics[0].Confidence = new(int32(2)), "1"
		}, otav1alpha1.InvalidSpecReason, "stay on stable; spec.analysis.metrics[failures].confidence is 1, expected 0.5 to 0.999999; spec.steps[2].setWeight is 100"},
		"slices that nobody counts": {func(s *otav1alpha1.RolloutSpec) {
			s.Steps, s.Analysis.Metrics, s.Analysis.OnSlice = s.Steps[:1], s.Analysis.Metrics[1:], otav1alpha1.SliceExclude
		}, otav1alpha1.InvalidSpecReason, "analysis.onSlice is Exclude: it needs a telemetry metric with outcome Failed"},
		"window of nonsense": {func(s *otav1alpha1.RolloutSpec) {
			s.Windows = []otav1alpha1.Window{{Kind: otav1alpha1.WindowAllow, Schedule: "0 9 * * 1-4", Duration: "8h"}, {Kind: otav1alpha1.WindowDeny, Schedule: "0 25 * * *", Duration: "8h"}}
		}, otav1alpha1.InvalidSpecReason, "spec.windows[1].schedule is \"0 25 * * *\": expected five fields of cron"},
	} {
		t.Run(name, func(t *testing.T) {
			r := valid()
			tc.change(&r.Spec)
			_, err := Parse(r)
			if err == nil {
				t.Fatal("accepted")
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != tc.reason || !strings.Contains(e.Error(), tc.text) {
				t.Errorf("got %v, want %s with %q", err, tc.reason, tc.text)
			}
		})
	}
}

func TestParse_bake(t *testing.T) {
	r := valid()
	r.Spec.Steps = r.Spec.Steps[:2]
	r.Spec.Analysis.Bake, r.Spec.Analysis.Holdout, r.Spec.Analysis.OnSlice = "24h", new(int32(2)), otav1alpha1.SliceExclude
	r.Spec.Analysis.Metrics[0].MaxRate, r.Spec.Analysis.Metrics[0].MaxIncrease = "", "1"
	p, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if p.Spec.Bake != 24*time.Hour || p.Spec.Holdout != 200 || p.Spec.OnSlice != otav1alpha1.SliceExclude {
		t.Errorf("spec: %+v", p.Spec)
	}
}

// All sequential tests that decide share one budget; one that only watches has its own, and takes nothing from the others.
func TestParse_budget(t *testing.T) {
	telemetry := func(name, rate, increase, confidence otav1alpha1.Decimal, dry otav1alpha1.DryRun) otav1alpha1.Metric {
		return otav1alpha1.Metric{Name: string(name), Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed},
			MaxRate: rate, MaxIncrease: increase, Confidence: confidence, DryRun: dry}
	}
	query := valid().Spec.Analysis.Metrics[1]
	for name, tc := range map[string]struct {
		metrics []otav1alpha1.Metric
		want    []float64
		decide  int
	}{
		"one test":                      {[]otav1alpha1.Metric{telemetry("a", "0.02", "", "", "")}, []float64{0.05}, 1},
		"two tests of a metric":         {[]otav1alpha1.Metric{telemetry("a", "0.02", "2", "", "")}, []float64{0.025}, 1},
		"a query takes no share":        {[]otav1alpha1.Metric{telemetry("a", "0.02", "", "", ""), query}, []float64{0.05, 0}, 2},
		"the highest confidence counts": {[]otav1alpha1.Metric{telemetry("a", "0.02", "", "0.9", ""), telemetry("b", "", "2", "0.99", "")}, []float64{0.005, 0.005}, 2},
		"a lower one than the default":  {[]otav1alpha1.Metric{telemetry("a", "0.02", "", "0.5", "")}, []float64{0.5}, 1},
		"the lower one of two":          {[]otav1alpha1.Metric{telemetry("a", "0.02", "", "0.5", ""), telemetry("b", "0.02", "", "", "")}, []float64{0.025, 0.025}, 2},
		"the smallest budget":           {[]otav1alpha1.Metric{telemetry("a", "0.02", "", "0.999999", "")}, []float64{1e-6}, 1},
		"a dry run is as if alone": {[]otav1alpha1.Metric{telemetry("a", "0.02", "2", "", ""), telemetry("b", "0.02", "2", "0.999", otav1alpha1.DryRunEnabled)},
			[]float64{0.025, 0.0005}, 1},
		"nothing decides": {[]otav1alpha1.Metric{telemetry("a", "0.02", "", "", otav1alpha1.DryRunEnabled)}, []float64{0.05}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := valid()
			r.Spec.Steps, r.Spec.Analysis.Metrics = r.Spec.Steps[:1], tc.metrics
			p, err := Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			if p.Spec.Metrics != tc.decide {
				t.Errorf("%d metrics decide, want %d", p.Spec.Metrics, tc.decide)
			}
			for i, want := range tc.want {
				if got := p.Metrics[i].Limits.Budget; math.Abs(got-want) > 1e-12 {
					t.Errorf("budget of %s is %v, want %v", p.Metrics[i].Name, got, want)
				}
			}
		})
	}
}

// The samples, and what the README shows, can be carried out.
func TestParse_samples(t *testing.T) {
	sample, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", "rollout.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(sample)}
	for _, page := range []string{"README.md", filepath.Join("docs", "spec", "v1alpha1", "rollout.md")} {
		raw, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(raw), "```") {
			if text, ok := strings.CutPrefix(part, "yaml\n"); ok && strings.Contains(text, "kind: Rollout\n") {
				texts = append(texts, text)
			}
		}
	}
	if len(texts) < 3 {
		t.Fatalf("found %d Rollouts, expected those of the sample, the README and the manual", len(texts))
	}
	for _, text := range texts {
		var r otav1alpha1.Rollout
		if err := yaml.UnmarshalStrict([]byte(text), &r); err != nil {
			t.Errorf("%v\n%s", err, text)
			continue
		}
		if _, err := Parse(&r); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}
