// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var (
	increase = Test{Kind: Increase, Limit: 1, Budget: 0.05}
	rate     = Test{Kind: Rate, Limit: 0.02, Budget: 0.05}
	silence  = Test{Kind: Silence, Limit: 1, Budget: 0.05}
)

// update fails the test on an error.
func update(t interface{ Fatal(...any) }, test Test, s State, stages ...Stage) State {
	next, err := test.Update(s, stages)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// stage of exposed and failed devices.
func stage(id int32, nC, fC, nS, fS int64) Stage {
	return Stage{ID: id, Candidate: Arm{Exposed: nC, Voted: nC, Failed: fC}, Control: Arm{Exposed: nS, Voted: nS, Failed: fS}}
}

// returned is a stage of which some devices have come back.
func returned(id int32, nC, gC, nS, gS int64) Stage {
	return Stage{ID: id, Candidate: Arm{Exposed: nC, Returned: gC}, Control: Arm{Exposed: nS, Returned: gS}}
}

func closeTo(t interface{ Fatalf(string, ...any) }, got, want float64) {
	if math.Abs(got-want) > 1e-9*max(1, math.Abs(want)) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// Known values, worked out by hand from the likelihood ratios.
func TestLog_known(t *testing.T) {
	mean := func(f func(ratio float64) float64) float64 {
		sum := 0.0
		for _, a := range alternatives {
			sum += a.weight * f(a.ratio)
		}
		return math.Log(sum)
	}
	for name, tc := range map[string]struct {
		test  Test
		stage Stage
		want  float64
	}{
		"nothing":                    {increase, Stage{ID: 1}, 0},
		"one of two fails, t0 = 1/2": {increase, stage(1, 1, 1, 1, 0), mean(func(r float64) float64 { return r / (r + 1) * 2 })},
		"one each, t0 = 1/2":         {increase, stage(1, 1, 1, 1, 1), mean(func(r float64) float64 { return r / (r + 1) / (r + 1) * 4 })},
		"twice is allowed, t0 = 2/3": {Test{Kind: Increase, Limit: 2}, stage(1, 1, 1, 1, 0), mean(func(r float64) float64 { return 3 * r / (2*r + 1) })},
		"no control":                 {increase, stage(1, 100, 100, 0, 0), 0},
		"control only":               {increase, stage(1, 0, 0, 100, 100), 0},
		"1 of 1 at most 1/2":         {Test{Kind: Rate, Limit: 0.5}, stage(1, 1, 1, 0, 0), mean(func(r float64) float64 { return 2 * r / (r + 1) })},
		"0 of 2 at most 1/2":         {Test{Kind: Rate, Limit: 0.5}, stage(1, 2, 0, 0, 0), mean(func(r float64) float64 { return 4 / (r + 1) / (r + 1) })},
		"a return of the control":    {silence, returned(1, 1, 0, 1, 1), mean(func(r float64) float64 { return 2 * r / (r + 1) })},
		"a return of the candidate":  {silence, returned(1, 1, 1, 1, 0), mean(func(r float64) float64 { return 2 / (r + 1) })},
		"nobody can come back":       {silence, Stage{ID: 1}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			closeTo(t, tc.test.Log(update(t, tc.test, State{}, tc.stage)), tc.want)
		})
	}
	closeTo(t, increase.LogLimit(), math.Log(20))
	closeTo(t, Test{Budget: 0.05, Tries: 3}.LogLimit(), math.Log(160))
	sum := 0.0
	for _, a := range alternatives {
		sum += a.weight
	}
	closeTo(t, sum, 1)
}

// Extreme counts, rates and limits give finite numbers of the right sign.
func TestLog_extremes(t *testing.T) {
	const billion = 1_000_000_000
	for name, tc := range map[string]struct {
		test    Test
		stage   Stage
		reached bool
	}{
		"a billion, as the control":   {increase, stage(1, billion, billion/100, billion, billion/100), false},
		"a billion, 1 % more":         {increase, stage(1, billion, billion/50, billion, billion/100), true},
		"all fail":                    {increase, stage(1, billion, billion, billion, 0), true},
		"all of the control fail":     {increase, stage(1, billion, 0, billion, billion), false},
		"one of a billion":            {increase, stage(1, billion, 1, billion, 0), false},
		"limit far above":             {Test{Kind: Increase, Limit: 1e300, Budget: 0.05}, stage(1, billion, billion, billion, 1), false},
		"limit far below":             {Test{Kind: Increase, Limit: 1e-300, Budget: 0.05}, stage(1, 2, 2, 2, 0), true},
		"limit 0":                     {Test{Kind: Increase, Budget: 0.05}, stage(1, 5, 5, 5, 0), true},
		"rate 0, none":                {Test{Kind: Rate, Budget: 0.05}, stage(1, billion, 0, 0, 0), false},
		"rate 0, one":                 {Test{Kind: Rate, Budget: 0.05}, stage(1, 10, 1, 0, 0), true},
		"rate 0, one, tenth try":      {Test{Kind: Rate, Budget: 1e-6, Tries: 10}, stage(1, 10, 1, 0, 0), true},
		"rate 1e-9, two of a hundred": {Test{Kind: Rate, Limit: 1e-9, Budget: 0.05}, stage(1, 100, 2, 0, 0), true},
		"rate 1e-9, one of a billion": {Test{Kind: Rate, Limit: 1e-9, Budget: 0.05}, stage(1, billion, 1, 0, 0), false},
		"rate close to 1":             {Test{Kind: Rate, Limit: 0.999999, Budget: 0.05}, stage(1, billion, billion, 0, 0), true},
		"silence of a billion":        {silence, returned(1, billion, 0, billion, billion), true},
		"no silence of a billion":     {silence, returned(1, billion, billion, billion, 0), false},
		"silence, limit far above":    {Test{Kind: Silence, Limit: 1e300, Budget: 0.05}, returned(1, billion, 0, billion, 5), false},
		"silence, limit 0":            {Test{Kind: Silence, Budget: 0.05}, returned(1, 5, 0, 5, 5), true},
	} {
		t.Run(name, func(t *testing.T) {
			s := update(t, tc.test, State{}, tc.stage)
			got := tc.test.Log(s)
			if math.IsNaN(got) || math.IsInf(got, 0) {
				t.Fatalf("the evidence is %v: %v", got, s.Logs)
			}
			if (got >= tc.test.LogLimit()) != tc.reached {
				t.Errorf("ln E is %v, limit %v, expected reached: %v", got, tc.test.LogLimit(), tc.reached)
			}
		})
	}
}

func TestUpdate_refuses(t *testing.T) {
	seen := update(t, increase, State{}, stage(1, 10, 1, 1000, 9), stage(2, 50, 1, 5000, 9))
	for name, tc := range map[string]struct {
		stages []Stage
		want   string
	}{
		"negative":               {[]Stage{stage(1, 10, -1, 1000, 9)}, "impossible counts: stage 1 has -1 failed of 10 voted of 10 exposed devices, 0 returned in the candidate's arm"},
		"more than devices":      {[]Stage{stage(1, 10, 1, 1000, 1001)}, "impossible counts: stage 1 has 1001 failed of 1000 voted"},
		"more returns":           {[]Stage{returned(1, 10, 11, 1000, 0)}, "11 returned in the candidate's arm"},
		"out of order":           {[]Stage{stage(2, 50, 1, 5000, 9), stage(1, 10, 1, 1000, 9)}, "stage 1 after stage 2, expected the oldest first"},
		"fell":                   {[]Stage{stage(1, 10, 1, 1000, 9), stage(2, 24, 0, 5000, 9)}, "counts fell from 50 to 24 devices in the candidate's arm of stage 2"},
		"control fell":           {[]Stage{stage(1, 10, 1, 499, 9), stage(2, 50, 0, 5000, 9)}, "counts fell from 1000 to 499 devices in the control arm of stage 1"},
		"gone":                   {nil, "counts fell from 10 to 0 devices in the candidate's arm of stage 1"},
		"close to the overflows": {[]Stage{stage(1, math.MaxInt64, 1, 1000, 9)}, "impossible counts"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := increase.Update(seen, tc.stages)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			if diff := cmp.Diff(seen, got); diff != "" {
				t.Errorf("the state changed:\n%s", diff)
			}
		})
	}
	if _, err := increase.Update(seen, []Stage{stage(1, 9, 1, 900, 9), stage(2, 25, 0, 2500, 9)}); err != nil {
		t.Errorf("a few devices fewer: %v", err)
	}
}

// What was counted once is not taken back: a ledger that forgets a few devices changes nothing, nor does it when it finds them again.
func TestUpdate_fewer(t *testing.T) {
	for _, test := range []Test{increase, rate, silence} {
		most := Stage{ID: 1, Candidate: Arm{100, 50, 9, 20}, Control: Arm{900, 400, 12, 300}}
		fewer := Stage{ID: 1, Candidate: Arm{90, 40, 3, 15}, Control: Arm{800, 300, 2, 200}}
		once := update(t, test, State{}, most)
		for _, st := range []Stage{fewer, most, fewer} {
			if next := update(t, test, once, st); next.Logs != once.Logs || next.Seen != once.Seen {
				t.Errorf("%s: %+v changes the evidence", test.Kind, st)
			}
		}
	}
}

// A burst of devices in one arm, that have no match in the other at their time, says little about what fails among them.
func TestUpdate_shift(t *testing.T) {
	even := update(t, increase, State{}, stage(1, 100, 1, 100, 1))
	burst := update(t, increase, even, stage(1, 200, 31, 110, 2)) // 30 of 100 and 1 of 10
	matched := update(t, increase, even, stage(1, 200, 31, 200, 2))
	if got, limit := increase.Log(burst), increase.LogLimit(); got >= limit/2 {
		t.Errorf("a burst in one arm has ln E %v of %v", got, limit)
	}
	if got, limit := increase.Log(matched), increase.LogLimit(); got < limit {
		t.Errorf("as many failures among matched devices have ln E %v of %v", got, limit)
	}
}

// The same burst is found when its devices come one by one.
func TestUpdate_sparse(t *testing.T) {
	now := stage(1, 100, 1, 1000, 10)
	s := update(t, increase, State{}, now)
	for range 100 { // two of five fail
		now.Candidate.Exposed, now.Candidate.Voted = now.Candidate.Exposed+1, now.Candidate.Voted+1
		if now.Candidate.Exposed%5 < 2 {
			now.Candidate.Failed++
		}
		s = update(t, increase, s, now)
	}
	if got, limit := increase.Log(s), increase.LogLimit(); got >= limit/2 {
		t.Errorf("devices that come one by one to one arm alone have ln E %v of %v", got, limit)
	}
}

// Stages that make room keep what they have said, and say nothing more.
func TestUpdate_manyStages(t *testing.T) {
	var stages []Stage
	sum := State{}
	for id := range int32(7) {
		stages = append(stages, stage(id+1, 10, 2, 90, 1))
		one := update(t, increase, State{}, stages[id])
		for j := range sum.Logs {
			sum.Logs[j] += one.Logs[j]
		}
	}
	all := update(t, increase, State{}, stages...)
	if diff := cmp.Diff(sum.Logs, all.Logs, cmpopts.EquateApprox(1e-12, 0)); diff != "" {
		t.Error(diff)
	}
	ids := []int32{}
	for _, s := range all.Seen[:all.Len] {
		ids = append(ids, s.ID)
	}
	if diff := cmp.Diff([]int32{4, 5, 6, 7}, ids); diff != "" {
		t.Error(diff)
	}
	stages[0].Candidate.Failed = 9
	if diff := cmp.Diff(all, update(t, increase, all, stages...)); diff != "" {
		t.Errorf("a late report of an old stage counts:\n%s", diff)
	}
	stages[3].Candidate.Failed = 9
	if increase.Log(update(t, increase, all, stages...)) <= increase.Log(all) {
		t.Error("a late report of a stage that is kept does not count")
	}
}

func TestState_restart(t *testing.T) {
	old := stage(1, 10, 9, 90, 0)
	s := update(t, increase, State{}, old).Restart(2)
	s = update(t, increase, s, old)
	closeTo(t, increase.Log(s), 0)
	s = update(t, increase, s, old, stage(2, 10, 9, 90, 0))
	closeTo(t, increase.Log(s), increase.Log(update(t, increase, State{}, old)))
}

func TestState_capped(t *testing.T) {
	reached := update(t, increase, State{}, stage(1, 20, 20, 90, 0))
	carried := reached.Capped(increase)
	closeTo(t, increase.Log(carried), increase.LogLimit())
	again := increase
	again.Tries = 1
	if e := again.Log(carried); e >= again.LogLimit() {
		t.Errorf("the retry starts with ln E %v of %v", e, again.LogLimit())
	}
	// The next try has stages of the same numbers, with none of the devices.
	next := update(t, again, carried, stage(1, 5, 0, 50, 0))
	closeTo(t, again.Log(next), again.Log(carried))
	little := update(t, increase, State{}, stage(1, 20, 1, 90, 0))
	closeTo(t, increase.Log(little.Capped(increase)), increase.Log(little))
}

// What was seen under another limit is no evidence under this one.
func TestUpdate_otherLimit(t *testing.T) {
	now := stage(1, 20, 6, 200, 20)
	other := Test{Kind: Increase, Limit: 3, Budget: 0.05}
	if diff := cmp.Diff(update(t, other, State{}, now), update(t, other, update(t, increase, State{}, now), now)); diff != "" {
		t.Error(diff)
	}
}

// counts draws a stage in which everything can be divided by n.
func counts(t *rapid.T, n int64) Stage {
	arm := func(name string) Arm {
		a := Arm{Exposed: n * rapid.Int64Range(1, 300).Draw(t, name)}
		a.Failed = n * rapid.Int64Range(0, a.Exposed/n).Draw(t, name+" failed")
		a.Returned = n * rapid.Int64Range(0, a.Exposed/n).Draw(t, name+" returned")
		a.Voted = a.Exposed
		return a
	}
	return Stage{ID: 1, Candidate: arm("candidate"), Control: arm("control")}
}

// part is k/n of a stage.
func part(s Stage, k, n int64) Stage {
	arm := func(a Arm) Arm {
		return Arm{Exposed: a.Exposed * k / n, Voted: a.Voted * k / n, Failed: a.Failed * k / n, Returned: a.Returned * k / n}
	}
	return Stage{ID: s.ID, Candidate: arm(s.Candidate), Control: arm(s.Control)}
}

func anyTest(t *rapid.T) Test {
	return rapid.SampledFrom([]Test{increase, rate, silence, {Kind: Increase, Limit: 2.5, Budget: 0.01}, {Kind: Rate, Limit: 0, Budget: 0.05}}).Draw(t, "test")
}

func TestUpdate_properties(t *testing.T) {
	t.Run("the same counts change nothing", rapid.MakeCheck(func(t *rapid.T) {
		test, s := anyTest(t), counts(t, 1)
		once := update(t, test, State{}, s)
		if diff := cmp.Diff(once, update(t, test, once, s)); diff != "" {
			t.Fatal(diff)
		}
	}))
	t.Run("looking more often keeps the evidence while the share stays", rapid.MakeCheck(func(t *rapid.T) {
		test := rapid.SampledFrom([]Test{increase, rate, {Kind: Increase, Limit: 2.5}}).Draw(t, "test")
		n := rapid.Int64Range(2, 6).Draw(t, "looks")
		s := counts(t, n)
		var looked State
		for k := range n {
			looked = update(t, test, looked, part(s, k+1, n))
		}
		closeTo(t, test.Log(looked), test.Log(update(t, test, State{}, s))) // rebuilt from totals
	}))
	t.Run("the order of devices within a look does not matter", rapid.MakeCheck(func(t *rapid.T) {
		// All orders of the devices of a look have the same counts; those of two stages come in one look as in two.
		test, a, b := anyTest(t), counts(t, 1), counts(t, 1)
		b.ID = 2
		both := update(t, test, State{}, a, b)
		closeTo(t, test.Log(both), test.Log(update(t, test, update(t, test, State{}, b), a, b)))
		closeTo(t, test.Log(both), test.Log(update(t, test, update(t, test, State{}, a), a, b)))
	}))
	t.Run("another failure of the candidate never speaks for it, one of the control never against it", rapid.MakeCheck(func(t *rapid.T) {
		test, s := anyTest(t), counts(t, 1)
		more, other := s, s
		more.Candidate.Failed = min(more.Candidate.Failed+1, more.Candidate.Exposed)
		more.Candidate.Returned = max(more.Candidate.Returned-1, 0)
		other.Control.Failed = min(other.Control.Failed+1, other.Control.Exposed)
		other.Control.Returned = max(other.Control.Returned-1, 0)
		e := test.Log(update(t, test, State{}, s))
		if got := test.Log(update(t, test, State{}, more)); got < e-1e-9*math.Abs(e) {
			t.Fatalf("%+v: ln E fell from %v to %v", more, e, got)
		}
		if got := test.Log(update(t, test, State{}, other)); got > e+1e-9*math.Abs(e) {
			t.Fatalf("%+v: ln E rose from %v to %v", other, e, got)
		}
	}))
	t.Run("where the candidate does no worse, there is no evidence", rapid.MakeCheck(func(t *rapid.T) {
		test, s := anyTest(t), counts(t, 1)
		s.Candidate.Failed, s.Control.Returned = 0, 0
		if e := test.Log(update(t, test, State{}, s)); e > 1e-9 {
			t.Fatalf("ln E is %v", e)
		}
	}))
}

func BenchmarkUpdate(b *testing.B) {
	for name, tc := range map[string]struct {
		test  Test
		grows func(s *Stage, i int64)
	}{
		"increase, nothing failed": {increase, func(*Stage, int64) {}},
		"increase, one failed":     {increase, func(s *Stage, i int64) { s.Control.Failed = i; s.Control.Voted = i }},
		"rate, nothing failed":     {rate, func(*Stage, int64) {}},
		"silence, one returned":    {silence, func(s *Stage, i int64) { s.Control.Returned, s.Candidate.Returned = i, i/90 }},
	} {
		b.Run(name, func(b *testing.B) {
			stages := []Stage{{ID: 1}}
			var s State
			b.ReportAllocs()
			for i := int64(1); b.Loop(); i++ {
				stages[0].Candidate.Exposed = 10 * i
				stages[0].Control.Exposed = 990 * i
				tc.grows(&stages[0], i)
				var err error
				if s, err = tc.test.Update(s, stages); err != nil {
					b.Fatal(err)
				}
				if tc.test.Log(s) > 100 {
					b.Fatal("it does not fail more often")
				}
			}
		})
	}
}
