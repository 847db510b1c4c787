// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
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

func TestParsePolicy_defaults(t *testing.T) {
	p, err := parsePolicy(valid())
	if err != nil {
		t.Fatal(err)
	}
	want := []plan.Step{{Weight: 25}, {Pause: true, Duration: 90 * time.Minute, MinSamples: 5}, {Weight: 10000}}
	if diff := cmp.Diff(want, p.spec.Steps); diff != "" {
		t.Error(diff)
	}
	if p.spec.OnFailure != otav1alpha1.OnFailureRollback || p.spec.Metrics != 2 {
		t.Errorf("spec: %+v", p.spec)
	}
	if p.metrics[0].interval != 5*time.Second || p.metrics[1].interval != 30*time.Second {
		t.Errorf("intervals: %s, %s", p.metrics[0].interval, p.metrics[1].interval)
	}
	l := p.metrics[1].limits
	if l.ErrorLimit != 4 || l.FailureLimit != 0 || l.NoDataHold != 30*time.Minute || l.NoDataThen != otav1alpha1.NoDataPause || l.MinSamples != 1 {
		t.Errorf("limits: %+v", l)
	}
}

func TestParsePolicy_refuses(t *testing.T) {
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
			_, err := parsePolicy(r)
			if err == nil {
				t.Fatal("accepted")
			}
			if e := kit.Classify(err); e.Class != kit.Stalled || e.Reason != tc.reason || !strings.Contains(e.Error(), tc.text) {
				t.Errorf("got %s: %s, want %s with %q", e.Reason, e, tc.reason, tc.text)
			}
		})
	}
}

// The table of design/api.md: what each reason means to kstatus.
func TestReadiness(t *testing.T) {
	for reason, want := range map[string]struct {
		ready    metav1.ConditionStatus
		abnormal string
	}{
		"Completed":         {metav1.ConditionTrue, ""},
		"Progressing":       {metav1.ConditionUnknown, "Reconciling"},
		"WaitingForBundle":  {metav1.ConditionUnknown, "Reconciling"},
		"ChannelBusy":       {metav1.ConditionUnknown, "Reconciling"},
		"Paused":            {metav1.ConditionUnknown, "Reconciling"},
		"Holding":           {metav1.ConditionUnknown, "Reconciling"},
		"Halted":            {metav1.ConditionUnknown, "Reconciling"},
		"RollingBack":       {metav1.ConditionFalse, "Reconciling"},
		"RolledBack":        {metav1.ConditionFalse, "Stalled"},
		"Aborted":           {metav1.ConditionFalse, "Stalled"},
		"BundleRefused":     {metav1.ConditionFalse, "Stalled"},
		"BundleNotAdmitted": {metav1.ConditionFalse, "Stalled"},
	} {
		if ready, abnormal := readiness(reason); ready != want.ready || abnormal != want.abnormal {
			t.Errorf("%s: Ready=%s with %q, want %s with %q", reason, ready, abnormal, want.ready, want.abnormal)
		}
	}
}

// A release survives the way into status and back: nothing that a decision needs is kept in memory only.
func TestRelease_roundTrip(t *testing.T) {
	at := time.Unix(1_800_000_000, 123_000).UTC()
	for _, want := range []plan.Release{
		{},
		{Revision: 3, Bundle: "shop-1", Version: "1.0.0", Digest: "sha256:x", State: otav1alpha1.ReleaseProgressing, StepsHash: "h",
			Step: 2, Weight: 25, CommittedAt: at, EnteredAt: at.Add(time.Second), StartedAt: at.Add(-time.Hour)},
		{Revision: 4, Bundle: "shop-1", Digest: "sha256:x", State: otav1alpha1.ReleaseRollingBack, Outcome: otav1alpha1.ReleaseAborted,
			Reason: "aborted by jane", StartedAt: at},
		{Revision: 5, Bundle: "shop-1", Digest: "sha256:x", State: otav1alpha1.ReleasePending, Lift: true, StartedAt: at},
	} {
		s := &scope{rollout: valid(), decision: plan.Decision{Release: want}}
		if want.Revision > 0 {
			s.record()
		}
		got := release(s.rollout.Status)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSignificant(t *testing.T) {
	base := func() *otav1alpha1.RolloutStatus {
		return &otav1alpha1.RolloutStatus{Message: "3 of 10", Weight: "1", Analysis: []otav1alpha1.MetricStatus{{
			Name: "m", Verdict: otav1alpha1.VerdictPassing, Value: "0.1", MeasuredAt: micro(time.Unix(1, 0)), Candidate: &otav1alpha1.ArmCounts{Devices: 3},
		}}}
	}
	for name, tc := range map[string]struct {
		change func(*otav1alpha1.RolloutStatus)
		want   bool
	}{
		"nothing": {func(*otav1alpha1.RolloutStatus) {}, false},
		"values only": {func(s *otav1alpha1.RolloutStatus) {
			s.Message, s.Analysis[0].Value, s.Analysis[0].Candidate.Devices = "4 of 10", "0.2", 4
		}, false},
		"time only":      {func(s *otav1alpha1.RolloutStatus) { s.Analysis[0].MeasuredAt = micro(time.Unix(9, 0)) }, false},
		"weight":         {func(s *otav1alpha1.RolloutStatus) { s.Weight = "5" }, true},
		"verdict":        {func(s *otav1alpha1.RolloutStatus) { s.Analysis[0].Verdict = otav1alpha1.VerdictFailing }, true},
		"failure budget": {func(s *otav1alpha1.RolloutStatus) { s.Analysis[0].Failures = 1 }, true},
		"error budget":   {func(s *otav1alpha1.RolloutStatus) { s.Analysis[0].Errors = 1 }, true},
	} {
		now := base()
		tc.change(now)
		if got := significant(base(), now); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
