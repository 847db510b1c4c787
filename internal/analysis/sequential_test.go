// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
)

// arms are stages, of which each has exposed and failed devices of candidate and control. All have voted.
func arms(counts ...[4]int64) Measurement {
	var m Measurement
	for i, c := range counts {
		m.Stages = append(m.Stages, eprocess.Stage{ID: int32(i + 1),
			Candidate: eprocess.Arm{Exposed: c[0], Voted: c[0], Failed: c[1]}, Control: eprocess.Arm{Exposed: c[2], Voted: c[2], Failed: c[3]}})
	}
	return m
}

func back(nC, gC, nS, gS int64) Measurement {
	return Measurement{Stages: []eprocess.Stage{{ID: 1,
		Candidate: eprocess.Arm{Exposed: nC, Voted: nC, Returned: gC}, Control: eprocess.Arm{Exposed: nS, Voted: nS, Returned: gS}}}}
}

func TestJudge_sequential(t *testing.T) {
	rate := Limits{MaxRate: new(0.02), MinSamples: 100, Budget: 0.05}
	increase := Limits{MaxIncrease: new(1.0), MinSamples: 10, Budget: 0.05}
	both := Limits{MaxRate: new(0.05), MaxIncrease: new(1.5), MinSamples: 10, Budget: 0.025}
	silent := Limits{MaxIncrease: new(1.0), Silent: true, MinSamples: 10, Budget: 0.05}
	const (
		passing, failing, more, broken = otav1alpha1.VerdictPassing, otav1alpha1.VerdictFailing,
			otav1alpha1.VerdictNotEnoughSamples, otav1alpha1.VerdictProviderError
	)
	for name, tc := range map[string]struct {
		limits      Limits
		in          Measurement
		want        otav1alpha1.Verdict
		wantMessage string
	}{
		"nobody":                         {rate, Measurement{}, more, "no candidate device has checked in since the weight was raised"},
		"too few":                        {rate, arms([4]int64{99, 0}), more, "99 of 100 devices reported, waiting for more"},
		"enough and good":                {rate, arms([4]int64{100, 2}), passing, "2 of 100 devices failed, limit 2 %: evidence 0.25 of 20 against it, it may go on"},
		"above the limit, may be chance": {rate, arms([4]int64{100, 4}), passing, "4 of 100 devices failed, limit 2 %"},
		"suspicious":                     {rate, arms([4]int64{94, 6}), more, "6 of 94 devices failed, limit 2 %: evidence 8.1 of 20 against it, waiting for more devices"},
		"bad":                            {rate, arms([4]int64{100, 8}), failing, "8 of 100 devices failed, limit 2 %: evidence 73 of 20 against it, which is enough to stop"},
		"bad below minSamples":           {rate, arms([4]int64{20, 6}), failing, "6 of 20 devices failed, limit 2 %: evidence"},
		"more failures than devices":     {rate, arms([4]int64{5, 6}), broken, "impossible counts: stage 1 has 6 failed of 5 voted of 5 exposed devices, 0 returned in the candidate's arm"},
		"gateway gone":                   {rate, Measurement{Err: "refused"}, broken, "refused"},
		"as the control":                 {increase, arms([4]int64{100, 2, 9900, 198}), passing, "2 of 100 candidate and 198 of 9900 control devices failed, limit 1x the control: evidence"},
		"an incident in both arms":       {increase, arms([4]int64{100, 50, 9900, 4950}), passing, "50 of 100 candidate and 4950 of 9900 control"},
		"five times the control":         {increase, arms([4]int64{100, 6, 9900, 99}), failing, "6 of 100 candidate and 99 of 9900 control devices failed, limit 1x the control: evidence 106 of 20"},
		"evidence over stages":           {increase, arms([4]int64{60, 3, 5940, 60}, [4]int64{100, 5, 1900, 19}), failing, "against it in all stages, which is enough to stop"},
		"no control":                     {increase, arms([4]int64{100, 90}), more, "no control device has checked in: waiting for more, as there is no maxRate to judge by"},
		"tiny control":                   {increase, arms([4]int64{100, 0, 4, 0}), more, "only 4 control devices have checked in, and with fewer than 6 not even a total failure would show: waiting for more"},
		"no control, falls back":         {both, arms([4]int64{100, 2}), passing, "evidence 1 of 40 against it, it may go on; no control device has checked in, so maxRate alone decides"},
		"tiny control, falls back":       {both, arms([4]int64{100, 2, 3, 0}), passing, "only 3 control devices have checked in"},
		"no control, and too many":       {both, arms([4]int64{100, 30}), failing, "30 of 100 candidate and 0 of 0 control devices failed, limit 5 % or 1.5x the control"},
		"devices come back":              {silent, back(100, 80, 9900, 7920), passing, "80 of 100 candidate and 7920 of 9900 control devices came back, limit 1x as long as the control: evidence"},
		"devices do not come back":       {silent, back(100, 40, 9900, 7920), failing, "40 of 100 candidate and 7920 of 9900 control devices came back"},
		"nobody comes back anywhere":     {silent, back(100, 0, 9900, 0), passing, "0 of 100 candidate and 0 of 9900 control"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Judge(tc.limits, Result{Name: "m"}, tc.in)
			if got.Verdict != tc.want || !strings.HasPrefix(got.Message, tc.wantMessage) && !strings.Contains(got.Message, tc.wantMessage) {
				t.Errorf("got %s: %s\nwant %s: %s", got.Verdict, got.Message, tc.want, tc.wantMessage)
			}
			if len(got.Message) > 512 {
				t.Errorf("the message has %d bytes, expected at most 512", len(got.Message))
			}
		})
	}
}

func TestJudge_values(t *testing.T) {
	both := Limits{MaxRate: new(0.05), MaxIncrease: new(1.5), Budget: 0.025}
	for name, tc := range map[string]struct {
		limits Limits
		in     Measurement
		want   [2]string
	}{
		"rate and ratio":  {both, arms([4]int64{100, 3, 1000, 10}), [2]string{"0.03, 3x", "5 % or 1.5x the control"}},
		"ratio unknown":   {both, arms([4]int64{100, 3, 1000, 0}), [2]string{"0.03", "5 % or 1.5x the control"}},
		"nothing known":   {both, Measurement{}, [2]string{"", "5 % or 1.5x the control"}},
		"silence":         {Limits{MaxIncrease: new(2.0), Silent: true, Budget: 0.05}, back(100, 25, 100, 50), [2]string{"2x", "2x as long as the control"}},
		"silence, nobody": {Limits{MaxIncrease: new(2.0), Silent: true, Budget: 0.05}, back(100, 0, 100, 50), [2]string{"", "2x as long as the control"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Judge(tc.limits, Result{}, tc.in)
			if diff := cmp.Diff(tc.want, [2]string{got.Value, got.Limit}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Counts that fall are an outage of the provider: they say nothing, and what was seen before is kept.
func TestJudge_counterReset(t *testing.T) {
	l := Limits{MaxIncrease: new(1.0), Budget: 0.05, ErrorLimit: 1, NoDataHold: time.Hour}
	rs := series(l, arms([4]int64{100, 4, 9900, 90}), arms([4]int64{10, 9, 990, 0}), arms([4]int64{0, 0, 0, 0}), arms([4]int64{101, 4, 9999, 90}))
	for i, want := range []struct {
		verdict otav1alpha1.Verdict
		message string
		pause   bool
	}{
		{otav1alpha1.VerdictNotEnoughSamples, "waiting for more devices", false},
		{otav1alpha1.VerdictProviderError, "counts fell from 100 to 10 devices in the candidate's arm of stage 1", false},
		{otav1alpha1.VerdictProviderError, "counts fell from 100 to 0 devices", true},
		{otav1alpha1.VerdictNotEnoughSamples, "4 of 101 candidate", false},
	} {
		if r := rs[i]; r.Verdict != want.verdict || !strings.Contains(r.Message, want.message) || r.Pause != want.pause {
			t.Errorf("measurement %d gives %s: %s (pause %v), want %+v", i, r.Verdict, r.Message, r.Pause, want)
		}
	}
	if rs[1].Evidence != rs[0].Evidence || rs[2].Evidence != rs[0].Evidence || cmp.Diff(rs[0].Tests, rs[2].Tests) != "" {
		t.Error("the evidence changed by counts that say nothing")
	}
	if c := rs[2].Candidate; c == nil || c.Exposed != 100 {
		t.Errorf("an outage forgets what was counted: %+v", c)
	}
	if math.Abs(rs[3].Evidence-rs[0].Evidence) > 1e-9 {
		t.Error("the evidence changed by an outage")
	}
}

// A state that is lost is rebuilt from what the ledger has.
func TestJudge_lostState(t *testing.T) {
	l := Limits{MaxRate: new(0.02), MaxIncrease: new(1.0), Budget: 0.025}
	in := arms([4]int64{100, 4, 9900, 99}, [4]int64{200, 3, 9800, 98})
	kept := Judge(l, Result{}, in)
	prev := kept
	prev.Tests = nil
	if lost := Judge(l, prev, in); math.Abs(lost.Evidence-kept.Evidence) > 1e-9 {
		t.Errorf("ln E is %v after the state was lost, %v before", lost.Evidence, kept.Evidence)
	}
}

func TestJudge_tries(t *testing.T) {
	l := Limits{MaxIncrease: new(1.0), Budget: 0.05}
	in := arms([4]int64{100, 6, 9900, 99}) // evidence 106
	for tries, want := range []otav1alpha1.Verdict{otav1alpha1.VerdictFailing, otav1alpha1.VerdictFailing, otav1alpha1.VerdictFailing, otav1alpha1.VerdictNotEnoughSamples} {
		l.Tries = int32(tries)
		if r := Judge(l, Result{}, in); r.Verdict != want {
			t.Errorf("try %d: %s, %s", tries, r.Verdict, r.Message)
		}
	}
}

// A device on which the bundle failed once counts, also when the ledger should forget it.
func TestJudge_fewerFailures(t *testing.T) {
	rs := series(Limits{MaxIncrease: new(1.0), Budget: 0.05}, arms([4]int64{100, 4, 9900, 90}), arms([4]int64{100, 1, 9900, 90}))
	if rs[0].Verdict != otav1alpha1.VerdictNotEnoughSamples || rs[1].Verdict != rs[0].Verdict || rs[1].Evidence != rs[0].Evidence {
		t.Errorf("got %s: %s, then %s: %s", rs[0].Verdict, rs[0].Message, rs[1].Verdict, rs[1].Message)
	}
}

// What is said of the present is counted in the stage of the release, and devices of the stages before are no samples of it.
func TestJudge_stage(t *testing.T) {
	good := [4]int64{1000, 10, 9000, 90}
	for name, tc := range map[string]struct {
		stage       int32
		in          Measurement
		want        otav1alpha1.Verdict
		wantMessage string
		candidates  int64
	}{
		"its own":        {2, arms(good, [4]int64{100, 1, 900, 9}), otav1alpha1.VerdictPassing, "stage 2: 1 of 100 candidate and 9 of 900", 100},
		"too few in it":  {2, arms(good, [4]int64{9, 0, 900, 9}), otav1alpha1.VerdictNotEnoughSamples, "9 of 10 devices reported", 9},
		"nobody in it":   {2, arms(good), otav1alpha1.VerdictNotEnoughSamples, "no candidate device has checked in since the weight was raised", 0},
		"nobody at all":  {3, arms(), otav1alpha1.VerdictNotEnoughSamples, "no candidate device has checked in since the weight was raised", 0},
		"only controls":  {2, arms(good, [4]int64{0, 0, 900, 9}), otav1alpha1.VerdictNotEnoughSamples, "no candidate device has checked in since the weight was raised", 0},
		"bad before it":  {2, arms([4]int64{1000, 60, 9000, 90}), otav1alpha1.VerdictFailing, "which is enough to stop", 0},
		"newer ones":     {1, arms(good, good), otav1alpha1.VerdictProviderError, "devices are counted in stage 2, and the release is in stage 1", 0},
		"of any release": {0, arms(good, good), otav1alpha1.VerdictPassing, "stage 2: 10 of 1000", 1000},
	} {
		t.Run(name, func(t *testing.T) {
			got := Judge(Limits{MaxIncrease: new(1.0), Budget: 0.05, MinSamples: 10, Stage: tc.stage}, Result{}, tc.in)
			if got.Verdict != tc.want || !strings.Contains(got.Message, tc.wantMessage) {
				t.Errorf("got %s: %s\nwant %s: %s", got.Verdict, got.Message, tc.want, tc.wantMessage)
			}
			if got.Candidate != nil && got.Candidate.Exposed != tc.candidates {
				t.Errorf("%d candidates, want %d", got.Candidate.Exposed, tc.candidates)
			}
		})
	}
}

// One failure by chance, while none of the stable devices fails, holds no release: nothing but a failure of those would end that. With
// less confidence than 0.95 it may, until a person looks.
func TestJudge_oneFailure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{
			MaxIncrease: new(rapid.Float64Range(1, 5).Draw(t, "limit")), Budget: rapid.Float64Range(1e-6, 0.05).Draw(t, "budget"),
			Tries: rapid.Int32Range(0, 3).Draw(t, "tries"), NoDataHold: time.Minute,
		}
		m := arms([4]int64{rapid.Int64Range(1, 1e9).Draw(t, "candidate"), 1, rapid.Int64Range(1e3, 1e9).Draw(t, "control"), 0})
		m.At = start
		if r := Judge(l, Result{}, m); r.Verdict != otav1alpha1.VerdictPassing || !r.Held.IsZero() {
			t.Fatalf("%s: %s", r.Verdict, r.Message)
		}
	})
	if r := Judge(Limits{MaxIncrease: new(1.0), Budget: 0.1}, Result{}, arms([4]int64{100, 1, 9900, 0})); !r.Suspicious() {
		t.Errorf("with a confidence of 0.9: %s", r.Message)
	}
}

// Nothing but failures of stable devices ends a suspicion: a person looks when they do not come. So it is with a control that is too small.
func TestJudge_held(t *testing.T) {
	increase := Limits{MaxIncrease: new(1.0), Budget: 0.05, NoDataHold: 2 * time.Minute, ErrorLimit: 9, NoDataThen: otav1alpha1.NoDataIgnore}
	rate, both, silent, dry := increase, increase, increase, increase
	rate.MaxIncrease, rate.MaxRate = nil, new(0.02)
	both.MaxRate, silent.Silent, dry.DryRun = new(0.9), true, true
	suspicious, alone := arms([4]int64{100, 4, 9900, 90}), arms([4]int64{99, 1, 1, 0})
	for name, tc := range map[string]struct {
		limits  Limits
		in      []Measurement
		want    string // empty: no person is asked
		message string
	}{
		"not long enough":          {increase, []Measurement{suspicious, suspicious}, "", "waiting for more devices"},
		"suspicion":                {increase, []Measurement{suspicious, suspicious, suspicious}, "failures of stable devices", "against it, waiting for more devices; so it is for over 2m0s: only "},
		"an outage in it":          {increase, []Measurement{suspicious, {Err: "x"}, suspicious}, "failures of stable devices", ""},
		"suspicion of a rate":      {rate, []Measurement{arms([4]int64{94, 6}), arms([4]int64{94, 6}), arms([4]int64{94, 6})}, "more devices that do not fail", ""},
		"suspicion by one of both": {both, []Measurement{suspicious, suspicious, suspicious}, "failures of stable devices and devices that do not fail", ""},
		"silence":                  {silent, []Measurement{back(20, 0, 990, 150), back(20, 0, 990, 150), back(20, 0, 990, 150)}, "candidate devices that come back", ""},
		"dry run":                  {dry, []Measurement{suspicious, suspicious, suspicious}, "", ""},
		"control too small":        {increase, []Measurement{alone, alone, alone}, "more stable devices", "only 1 control devices have checked in"},
		"ends by a failure":        {increase, []Measurement{suspicious, arms([4]int64{100, 4, 9900, 200}), suspicious}, "", "may go on"},
		"nobody yet":               {increase, []Measurement{{}, {}, {}}, "", "no candidate device"},
		"enough to stop":           {increase, []Measurement{suspicious, suspicious, arms([4]int64{100, 9, 9900, 90})}, "", "enough to stop"},
	} {
		t.Run(name, func(t *testing.T) {
			rs := series(tc.limits, tc.in...)
			r := rs[len(rs)-1]
			if r.Pause != (tc.want != "") || !strings.Contains(r.Message, tc.message) || len(r.Message) > 512 {
				t.Fatalf("pause %v, %s: %s", r.Pause, r.Verdict, r.Message)
			}
			if r.Pause && !strings.Contains(r.Message, "only "+tc.want+" settle it, or a person") {
				t.Errorf("%s", r.Message)
			}
		})
	}
}

func TestJudge_dryRun(t *testing.T) {
	l := Limits{MaxIncrease: new(1.0), Budget: 0.05, DryRun: true, NoDataThen: otav1alpha1.NoDataPause}
	rs := series(l, arms([4]int64{100, 50, 9900, 99}), Measurement{Err: "x"}, Measurement{NoData: "x"})
	for i, want := range []otav1alpha1.Verdict{otav1alpha1.VerdictFailing, otav1alpha1.VerdictProviderError, otav1alpha1.VerdictNoData} {
		r := rs[i]
		if r.Verdict != want || !r.DryRun || r.Pause {
			t.Errorf("measurement %d: %+v, want %s that pauses nothing", i, r, want)
		}
		if got, _ := Overall([]Result{r, {Verdict: otav1alpha1.VerdictNotEnoughSamples}}); got != otav1alpha1.VerdictNotEnoughSamples {
			t.Errorf("a dry run that says %s makes the rollout %s", r.Verdict, got)
		}
	}
}

func TestJudge_history(t *testing.T) {
	l := Limits{MaxIncrease: new(1.0), Budget: 0.05}
	good, bad := arms([4]int64{100, 0, 9900, 99}), arms([4]int64{100, 50, 9900, 99})
	r := Result{Name: "m"}
	say := func(at time.Duration, m Measurement) {
		m.At = start.Add(at)
		r = Judge(l, r, m)
	}
	want := func(seconds ...int) {
		t.Helper()
		var got []int
		for _, p := range r.History {
			got = append(got, int(p.At.Sub(start).Seconds()))
		}
		if diff := cmp.Diff(seconds, got); diff != "" {
			t.Error(diff)
		}
	}
	say(0, good)
	say(30*time.Second, good)
	want(0)
	say(31*time.Second, bad)
	want(31, 0)
	if p := r.History[0]; p.Verdict != otav1alpha1.VerdictFailing || p.Evidence != r.Evidence || p.Value != "50x" {
		t.Errorf("the history has %+v", p)
	}
	say(90*time.Second, bad)
	want(31, 0)
	say(91*time.Second, bad)
	want(91, 31, 0)
	say(80*time.Second, bad) // by a clock that was set back
	want(80, 91, 31, 0)
	for i := range 20 {
		say(time.Duration(200+60*i)*time.Second, bad)
	}
	want(1340, 1280, 1220, 1160, 1100, 1040, 980, 920, 860, 800)
}

// What nothing changed is told in the same words.
func TestJudge_stable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := rapid.SampledFrom([]Limits{
			{MaxRate: new(0.02), Budget: 0.05}, {MaxIncrease: new(1.0), Budget: 0.05},
			{MaxRate: new(0.02), MaxIncrease: new(1.0), Budget: 0.025}, {MaxIncrease: new(1.0), Silent: true, Budget: 0.05},
		}).Draw(t, "limits")
		n := func(name string, most int64) int64 { return rapid.Int64Range(0, most).Draw(t, name) }
		nC, nS := n("candidate", 300), n("control", 3000)
		m := arms([4]int64{nC, n("failed", nC), nS, n("control failed", nS)})
		m.Stages[0].Candidate.Returned, m.Stages[0].Control.Returned = n("returned", nC), n("control returned", nS)
		m.At = start
		once := Judge(limits, Result{Name: "m"}, m)
		m.At = start.Add(time.Second)
		again := Judge(limits, once, m)
		again.MeasuredAt = once.MeasuredAt
		if diff := cmp.Diff(once, again); diff != "" {
			t.Fatal(diff)
		}
		if failing, enough := once.Verdict == otav1alpha1.VerdictFailing, once.Evidence >= once.EvidenceLimit; failing != enough {
			t.Fatalf("%s with evidence %v of %v", once.Verdict, once.Evidence, once.EvidenceLimit)
		}
		if once.Verdict == otav1alpha1.VerdictPassing && once.Suspicious() {
			t.Fatalf("passing with evidence %v of %v", once.Evidence, once.EvidenceLimit)
		}
	})
}

func TestEvidence(t *testing.T) {
	for log, want := range map[float64]string{
		math.Inf(-1): "0", -800: "0", math.Log(0.0123): "0.012", 0: "1", math.Log(5.12): "5.1", math.Log(20): "20", math.Log(99.4): "99", math.Log(99.7): "100",
		math.Log(160): "160", math.Log(123456): "123456", 25: "over 1e9", 1e6: "over 1e9",
	} {
		if got := Evidence(log); got != want {
			t.Errorf("%v is %s, want %s", log, got, want)
		}
	}
}

// What a step sees, for the examples of the manual.
func TestDetects(t *testing.T) {
	increase := Limits{MaxIncrease: new(1.0), Budget: 0.05}
	both := Limits{MaxIncrease: new(1.0), MaxRate: new(0.02), Budget: 0.025}
	silent := Limits{MaxIncrease: new(1.0), Silent: true, Budget: 0.05}
	for name, tc := range map[string]struct {
		limits   Limits
		outlook  Outlook
		from, to float64 // 0: sees nothing
	}{
		"1 %, half an hour":              {increase, Outlook{400, 39_600, 0.01}, 3, 4},
		"a tenth of that":                {increase, Outlook{40, 3_960, 0.01}, 10, 15},
		"one device":                     {increase, Outlook{1, 99, 0.01}, 0, 0},
		"no device":                      {increase, Outlook{0, 0, 0.01}, 0, 0},
		"no control":                     {increase, Outlook{400, 0, 0.01}, 0, 0},
		"no control, but a rate":         {both, Outlook{400, 0, 0.01}, 5, 8},
		"nothing fails on stable":        {increase, Outlook{400, 39_600, 0}, 100, 40_000},
		"a million devices":              {increase, Outlook{1e6, 1e6, 0.01}, 1.01, 1.1},
		"a billion devices":              {increase, Outlook{1e9, 1e9, 0.01}, 1.01, 1.1},
		"silence":                        {silent, Outlook{400, 39_600, 0.5}, 1.2, 1.5},
		"silence where few come back":    {silent, Outlook{400, 39_600, 0.001}, 0, 0},
		"a range, of which nobody knows": {Limits{Max: new(1.0)}, Outlook{400, 39_600, 0.01}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := tc.limits.Detects(tc.outlook)
			if ok != (tc.to > 0) || got < tc.from || got > tc.to {
				t.Errorf("sees x%v (%v), expected x%v to x%v", got, ok, tc.from, tc.to)
			}
		})
	}
}

func ExampleJudge() {
	limits := Limits{MaxIncrease: new(1.0), MinSamples: 50, Budget: 0.05}
	fmt.Println(Judge(limits, Result{}, arms([4]int64{240, 4, 23_760, 238})).Message)
	// Output: 4 of 240 candidate and 238 of 23760 control devices failed, limit 1x the control: evidence 0.57 of 20 against it, it may go on
}

// The examples of docs/analysis.md are what the tests say.
func TestManual(t *testing.T) {
	raw, err := os.ReadFile("../../docs/analysis.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(raw)
	l := Limits{MaxIncrease: new(1.0), MinSamples: 50, Budget: 0.05}
	var r Result
	for i, failed := range []int64{0, 1, 1, 2, 2, 3, 4, 5} {
		n := int64(i + 1)
		r = Judge(l, r, arms([4]int64{10 * n, failed, 990 * n, 10 * n}))
		if row := fmt.Sprintf(" | %d, %d | %s", failed, 10*n, Evidence(r.Evidence)); n != 2 && n != 4 && !strings.Contains(manual, row) {
			t.Errorf("the example does not have %q", row)
		}
	}
	if !strings.Contains(manual, r.Message) {
		t.Errorf("the example does not have %q", r.Message)
	}
	for row, o := range map[string]Outlook{
		"| 10 of 1 000 | 1 % |":      {10, 990, 0.01},
		"| 40 of 4 000 | 1 % |":      {40, 3_960, 0.01},
		"| 400 of 40 000 | 1 % |":    {400, 39_600, 0.01},
		"| 400 of 40 000 | 0.1 % |":  {400, 39_600, 0.001},
		"| 2 000 of 40 000 | 1 % |":  {2_000, 38_000, 0.01},
		"| 20 000 of 40 000 | 1 % |": {20_000, 20_000, 0.01},
	} {
		alone, ok := l.Detects(o)
		shared := l
		shared.Budget /= 4
		four, okToo := shared.Detects(o)
		if want := fmt.Sprintf("%s ×%.2g | ×%.2g |", row, alone, four); !ok || !okToo || !strings.Contains(manual, want) {
			t.Errorf("the table of what steps see does not have %q", want)
		}
	}
}
