// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
)

var start = time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC) // a Monday

func weight(w string) otav1alpha1.Step {
	v := intstr.FromString(w)
	return otav1alpha1.Step{SetWeight: &v}
}

func pause(d otav1alpha1.Duration) otav1alpha1.Step {
	return otav1alpha1.Step{Pause: &otav1alpha1.PauseStep{Duration: d}}
}

// rollout is 1 % for 10 minutes, 10 % for 20, and 50 % for 30. An error rate of 2 % may be exceeded twice in a row.
func rollout(change func(*otav1alpha1.RolloutSpec)) *otav1alpha1.Rollout {
	tolerated := int32(2)
	r := &otav1alpha1.Rollout{Spec: otav1alpha1.RolloutSpec{
		ChannelRef: otav1alpha1.LocalReference{Name: "production"}, BundleRef: otav1alpha1.LocalReference{Name: "shop"},
		Steps: []otav1alpha1.Step{weight("1"), pause("10m"), weight("10"), pause("20m"), weight("50"), pause("30m")},
		Analysis: &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{{
			Name: "errors", Interval: "1m", FailureLimit: &tolerated, ThresholdRange: &otav1alpha1.ThresholdRange{Max: "0.02"},
			Prometheus: &otav1alpha1.PrometheusMetric{Address: "http://localhost:9090", Query: "errors"},
		}}},
	}}
	if change != nil {
		change(&r.Spec)
	}
	return r
}

// past is a Measurer by a function of the time since the start.
type past func(since time.Duration) analysis.Measurement

func (p past) Measure(_ context.Context, _ policy.Metric, at, _ time.Time) (analysis.Measurement, error) {
	return p(at.Sub(start)), nil
}

func config(t interface{ Fatal(args ...any) }, r *otav1alpha1.Rollout, m Measurer) Config {
	p, err := policy.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Policy: p, Measurer: m, From: start, To: start.Add(24 * time.Hour), Person: time.Hour, MaxFirstWeight: 100}
}

func value(v float64) analysis.Measurement { return analysis.Measurement{Value: v} }

// rises lists when which weight was asked for, and how it ended: 0s 1, 10m0s 10.
func rises(t Trace) string {
	var out []string
	last := int32(-1)
	for _, e := range t.Events {
		if e.Weight != last {
			last = e.Weight
			out = append(out, fmt.Sprintf("%s %s", e.At.Sub(start), plan.FormatWeight(e.Weight)))
		}
	}
	return strings.Join(append(out, fmt.Sprintf("%s %s", t.Ended.Sub(start), t.Release.State)), ", ")
}

func TestRun(t *testing.T) {
	good := past(func(time.Duration) analysis.Measurement { return value(0.01) })
	between := func(from, to time.Duration, then analysis.Measurement) past {
		return func(at time.Duration) analysis.Measurement {
			if at >= from && at < to {
				return then
			}
			return value(0.01)
		}
	}
	for name, tc := range map[string]struct {
		change  func(*otav1alpha1.RolloutSpec)
		adjust  func(*Config)
		past    past
		want    string
		message string
	}{
		"good": {past: good, want: "0s 1, 10m0s 10, 30m0s 50, 1h0m0s 100, 1h0m0s Completed", message: "shop is stable"},
		"bad from 40m on": {
			past: between(40*time.Minute, 24*time.Hour, value(0.5)), want: "0s 1, 10m0s 10, 30m0s 50, 42m0s 0, 42m0s RolledBack", message: "errors: 0.5 is above 0.02",
		},
		"two bad measurements are tolerated": {
			past: between(40*time.Minute, 42*time.Minute, value(0.5)), want: "0s 1, 10m0s 10, 30m0s 50, 1h0m0s 100, 1h0m0s Completed",
		},
		"nothing rises on a bad measurement": {
			past: between(9*time.Minute, 11*time.Minute, value(0.5)), want: "0s 1, 11m0s 10, 31m0s 50, 1h1m0s 100, 1h1m0s Completed",
		},
		"an outage of 3 minutes holds": {
			past: between(8*time.Minute, 11*time.Minute, analysis.Measurement{Err: "refuses connections"}),
			want: "0s 1, 11m0s 10, 31m0s 50, 1h1m0s 100, 1h1m0s Completed",
		},
		"an outage of 5 minutes pauses": {
			past: between(8*time.Minute, 13*time.Minute, analysis.Measurement{Err: "refuses connections"}),
			want: "0s 1, 12m0s Paused", message: "the analysis cannot tell",
		},
		"no data for half an hour": {
			past: between(0, 24*time.Hour, analysis.Measurement{NoData: "the query gives no series"}), want: "0s 1, 31m0s Paused", message: "no series",
		},
		"the recorded time is over": {
			past: good, adjust: func(c *Config) { c.To = start.Add(25 * time.Minute) }, want: "0s 1, 10m0s 10, 25m0s Progressing", message: "step 4/6",
		},
		"a person promotes": {
			past: good, change: func(s *otav1alpha1.RolloutSpec) { s.Steps[3] = pause("") }, adjust: func(c *Config) { c.Person = 5 * time.Minute },
			want: "0s 1, 10m0s 10, 15m0s 50, 45m0s 100, 45m0s Completed",
		},
		"the first weight is too high": {
			past: good, adjust: func(c *Config) { c.MaxFirstWeight = 50 }, want: "0s 0, 0s Pending", message: "0.5",
		},
		"a window closes": {
			past: good, change: func(s *otav1alpha1.RolloutSpec) {
				s.Windows = []otav1alpha1.Window{{Kind: otav1alpha1.WindowDeny, Schedule: "5 8 * * *", Duration: "55m"}}
			}, want: "0s 1, 1h0m0s 10, 1h20m0s 50, 1h50m0s 100, 1h50m0s Completed",
		},
		"not more than 20 points an hour": {
			past: good, adjust: func(c *Config) { c.MaxWeightPerHour = 2000 },
			want: "0s 1, 10m0s 10, 30m0s 20, 1h0m0s 21, 1h10m0s 30, 1h30m0s 40, 2h0m0s 41, 2h10m0s 50, 2h40m0s 60, 3h0m0s 61, 3h10m0s 70, " +
				"3h40m0s 80, 4h0m0s 81, 4h10m0s 90, 4h40m0s 100, 4h40m0s Completed",
		},
		"no weight at all": {
			past: good, change: func(s *otav1alpha1.RolloutSpec) { s.Steps[0] = weight("0") }, want: "0s 0, 10m0s 10, 30m0s 50, 1h0m0s 100, 1h0m0s Completed",
			adjust: func(c *Config) { c.MaxFirstWeight = plan.FullWeight },
		},
		"a dry run": {
			past: between(0, 24*time.Hour, value(0.9)), change: func(s *otav1alpha1.RolloutSpec) { s.Analysis.Metrics[0].DryRun = otav1alpha1.DryRunEnabled },
			want: "0s 1, 10m0s 10, 30m0s 50, 1h0m0s 100, 1h0m0s Completed",
		},
		"paused on failure": {
			past: between(5*time.Minute, 24*time.Hour, value(0.5)),
			change: func(s *otav1alpha1.RolloutSpec) {
				s.Rollback = &otav1alpha1.RollbackSpec{OnFailure: otav1alpha1.OnFailurePause}
			}, want: "0s 1, 7m0s Paused", message: "a person has to decide",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, rollout(tc.change), tc.past)
			if tc.adjust != nil {
				tc.adjust(&c)
			}
			got, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, rises(got)); diff != "" {
				t.Errorf("-want +got:\n%s%s", diff, got.Message)
			}
			if !strings.Contains(got.Message, tc.message) {
				t.Errorf("message %q, want %q", got.Message, tc.message)
			}
		})
	}
}

// failing is a Measurer that cannot measure.
type failing struct{ err error }

func (f failing) Measure(context.Context, policy.Metric, time.Time, time.Time) (analysis.Measurement, error) {
	return analysis.Measurement{}, f.err
}

func TestRunEnds(t *testing.T) {
	broken := errors.New("refuses connections")
	if _, err := Run(t.Context(), config(t, rollout(nil), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("got %v, want that the server cannot be asked", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	good := past(func(time.Duration) analysis.Measurement { return value(0) })
	if _, err := Run(ctx, config(t, rollout(nil), good)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was canceled", err)
	}
}

// Whatever was recorded: the weight rises only at a moment at which the last measurement passes, a replay ends, and once more gives the same.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.SampledFrom([]analysis.Measurement{
			value(0.01), value(0.01), value(0.01), value(0.5), {Err: "refuses connections"}, {NoData: "no series"},
		}), 1, 200).Draw(t, "past")
		p := past(func(at time.Duration) analysis.Measurement { return list[int(at/time.Minute)%len(list)] })
		c := config(t, rollout(nil), p)
		got, err := Run(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Run(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rises(got), rises(again)); diff != "" {
			t.Fatalf("another replay gives:\n%s", diff)
		}
		last := int32(0)
		for _, e := range got.Events {
			if e.Weight > last && last > 0 && verdictAt(got, e.At) != otav1alpha1.VerdictPassing {
				t.Fatalf("%s: rose to %d, the metric says %s", e.At.Sub(start), e.Weight, verdictAt(got, e.At))
			}
			last = e.Weight
		}
		if got.Ended.After(c.To) {
			t.Fatalf("ended at %s, after the recorded time", got.Ended)
		}
	})
}

// verdictAt is what the metric said last before or at a time.
func verdictAt(t Trace, at time.Time) (v otav1alpha1.Verdict) {
	for _, l := range t.Looks {
		if !l.At.After(at) {
			v = l.Result.Verdict
		}
	}
	return v
}
