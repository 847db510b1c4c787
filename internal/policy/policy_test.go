// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
)

func setWeight(v intstr.IntOrString) otav1alpha1.Step { return otav1alpha1.Step{SetWeight: &v} }

func pause(d otav1alpha1.Duration, samples *int32) otav1alpha1.Step {
	return otav1alpha1.Step{Pause: &otav1alpha1.PauseStep{Duration: d, MinSamples: samples}}
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
		"range upside down":          {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[1].ThresholdRange.Min = "2" }, otav1alpha1.InvalidSpecReason, "min 2 is above max 1"},
		"short interval":             {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[1].Interval = "10ms" }, otav1alpha1.InvalidSpecReason, "interval is 10ms, expected at least 1s"},
		"broken template":            {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[1].Prometheus.Query = "{{ .app" }, otav1alpha1.InvalidSpecReason, "query"},
		"maxIncrease":                {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[0].MaxIncrease = "2" }, otav1alpha1.NotSupportedYetReason, "maxIncrease"},
		"confidence":                 {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[0].Confidence = "0.9" }, otav1alpha1.NotSupportedYetReason, "confidence"},
		"bake":                       {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Bake = "1h" }, otav1alpha1.NotSupportedYetReason, "bake"},
		"holdout":                    {func(s *otav1alpha1.RolloutSpec) { s.Analysis.Holdout = new(int32(2)) }, otav1alpha1.NotSupportedYetReason, "holdout"},
		"windows":                    {func(s *otav1alpha1.RolloutSpec) { s.Windows = []otav1alpha1.Window{{}} }, otav1alpha1.NotSupportedYetReason, "windows"},
		"rollback to a bundle": {func(s *otav1alpha1.RolloutSpec) {
			s.Rollback = &otav1alpha1.RollbackSpec{To: otav1alpha1.RollbackToBundle}
		}, otav1alpha1.NotSupportedYetReason, "spec.rollback.to: Bundle"},
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
