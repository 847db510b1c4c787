// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

var start = time.Unix(1_800_000_000, 0).UTC()

func TestJudge_range(t *testing.T) {
	limits := Limits{Min: new(0.9), Max: new(1.0)}
	for name, tc := range map[string]struct {
		in   Measurement
		want otav1alpha1.Verdict
	}{
		"inside":      {Measurement{Value: 0.95}, otav1alpha1.VerdictPassing},
		"lower end":   {Measurement{Value: 0.9}, otav1alpha1.VerdictPassing},
		"upper end":   {Measurement{Value: 1}, otav1alpha1.VerdictPassing},
		"below":       {Measurement{Value: 0.8999}, otav1alpha1.VerdictFailing},
		"above":       {Measurement{Value: 1.0001}, otav1alpha1.VerdictFailing},
		"NaN":         {Measurement{Value: math.NaN()}, otav1alpha1.VerdictNoData},
		"+Inf":        {Measurement{Value: math.Inf(1)}, otav1alpha1.VerdictProviderError},
		"-Inf":        {Measurement{Value: math.Inf(-1)}, otav1alpha1.VerdictProviderError},
		"negative":    {Measurement{Value: -0.5}, otav1alpha1.VerdictProviderError},
		"empty":       {Measurement{NoData: "no series"}, otav1alpha1.VerdictNoData},
		"unreachable": {Measurement{Err: "timeout"}, otav1alpha1.VerdictProviderError},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Judge(limits, Result{}, tc.in); got.Verdict != tc.want {
				t.Errorf("got %s (%s), want %s", got.Verdict, got.Message, tc.want)
			}
		})
	}
}

// series judges one measurement after another, a minute apart.
func series(l Limits, in ...Measurement) []Result {
	var out []Result
	prev := Result{Name: "m"}
	for i, m := range in {
		m.At = start.Add(time.Duration(i) * time.Minute)
		prev = Judge(l, prev, m)
		out = append(out, prev)
	}
	return out
}

func TestJudge_consecutiveFailures(t *testing.T) {
	l := Limits{Max: new(1.0), FailureLimit: 2}
	bad, good := Measurement{Value: 2}, Measurement{Value: 0.5}
	var got []otav1alpha1.Verdict
	for _, r := range series(l, bad, bad, good, bad, bad, Measurement{Err: "x"}, bad) {
		got = append(got, r.Verdict)
	}
	want := []otav1alpha1.Verdict{
		otav1alpha1.VerdictNotEnoughSamples, otav1alpha1.VerdictNotEnoughSamples, otav1alpha1.VerdictPassing,
		otav1alpha1.VerdictNotEnoughSamples, otav1alpha1.VerdictNotEnoughSamples, otav1alpha1.VerdictProviderError, otav1alpha1.VerdictFailing,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestJudge_budgets(t *testing.T) {
	broken, none, good := Measurement{Err: "x"}, Measurement{NoData: "none"}, Measurement{Value: 0.5}
	t.Run("errors are counted in a row", func(t *testing.T) {
		rs := series(Limits{Max: new(1.0), ErrorLimit: 2}, broken, broken, good, broken, broken, broken)
		var got []bool
		for _, r := range rs {
			got = append(got, r.Pause)
		}
		if diff := cmp.Diff([]bool{false, false, false, false, false, true}, got); diff != "" {
			t.Error(diff)
		}
	})
	for then, want := range map[otav1alpha1.NoDataAction]Result{
		otav1alpha1.NoDataPause:  {Verdict: otav1alpha1.VerdictNoData, Pause: true},
		otav1alpha1.NoDataFail:   {Verdict: otav1alpha1.VerdictFailing},
		otav1alpha1.NoDataIgnore: {Verdict: otav1alpha1.VerdictNoData, Ignored: true},
	} {
		t.Run("no data then "+string(then), func(t *testing.T) {
			rs := series(Limits{Max: new(1.0), NoDataHold: 2 * time.Minute, NoDataThen: then}, none, none, none)
			if early := rs[1]; early.Verdict != otav1alpha1.VerdictNoData || early.Pause || early.Ignored {
				t.Errorf("before the hold is over: %+v", early)
			}
			got := Result{Verdict: rs[2].Verdict, Pause: rs[2].Pause, Ignored: rs[2].Ignored}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOverall(t *testing.T) {
	r := func(v otav1alpha1.Verdict) Result { return Result{Verdict: v} }
	ignored := Result{Verdict: otav1alpha1.VerdictNoData, Ignored: true}
	for name, tc := range map[string]struct {
		in   []Result
		want otav1alpha1.Verdict
	}{
		"none":                    {nil, otav1alpha1.VerdictNoData},
		"ignored only":            {[]Result{ignored}, otav1alpha1.VerdictPassing},
		"ignored beside":          {[]Result{ignored, r(otav1alpha1.VerdictPassing)}, otav1alpha1.VerdictPassing},
		"failing beats an outage": {[]Result{r(otav1alpha1.VerdictProviderError), r(otav1alpha1.VerdictFailing)}, otav1alpha1.VerdictFailing},
		"an outage beats passing": {[]Result{r(otav1alpha1.VerdictPassing), r(otav1alpha1.VerdictProviderError)}, otav1alpha1.VerdictProviderError},
		"samples":                 {[]Result{r(otav1alpha1.VerdictPassing), r(otav1alpha1.VerdictNotEnoughSamples)}, otav1alpha1.VerdictNotEnoughSamples},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _ := Overall(tc.in); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// Whatever lies the provider tells, only a measured value within limits passes, and only measured values outside fail, unless
// the lack of data was asked to count as a failure.
func TestJudge_liesNeverPassNorFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{Max: new(rapid.Float64Range(0, 10).Draw(t, "max")), FailureLimit: int32(rapid.IntRange(0, 3).Draw(t, "limit")),
			ErrorLimit: 2, NoDataHold: time.Minute, NoDataThen: otav1alpha1.NoDataPause}
		prev := Result{}
		inRow := 0
		for range 30 {
			m := Measurement{At: start}
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				m.Err = "x"
			case 1:
				m.NoData = "x"
			default:
				m.Value = rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0})).Draw(t, "value")
			}
			prev = Judge(l, prev, m)
			number := m.Err == "" && m.NoData == "" && !math.IsNaN(m.Value) && !math.IsInf(m.Value, 0) && m.Value >= 0
			if number && m.Value > *l.Max {
				inRow++
			} else if number {
				inRow = 0
			}
			if passing := prev.Verdict == otav1alpha1.VerdictPassing; passing != (number && m.Value <= *l.Max) {
				t.Fatalf("%+v gives %s", m, prev.Verdict)
			}
			if failing := prev.Verdict == otav1alpha1.VerdictFailing; failing != (number && m.Value > *l.Max && inRow > int(l.FailureLimit)) {
				t.Fatalf("%+v gives %s after %d in a row", m, prev.Verdict, inRow)
			}
		}
	})
}
