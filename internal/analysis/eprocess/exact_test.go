// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

import (
	"fmt"
	"math"
	"testing"
)

// path is a state of the world with its probability.
type path struct {
	state State
	stage Stage
	p     float64
}

// binomial is the probability of k of n.
func binomial(n, k int64, p float64) float64 {
	if k < 0 || k > n {
		return 0
	}
	choose := 1.0
	for i := range k {
		choose *= float64(n-i) / float64(i+1)
	}
	return choose * math.Pow(p, float64(k)) * math.Pow(1-p, float64(n-k))
}

// arms enumerates what may happen in one look to a and b devices, with probabilities pa and pb.
func arms(a, b int64, pa, pb float64, f func(ka, kb int64, p float64)) {
	for ka := range a + 1 {
		for kb := range b + 1 {
			if p := binomial(a, ka, pa) * binomial(b, kb, pb); p > 0 {
				f(ka, kb, p)
			}
		}
	}
}

// nature says what may happen in one look, with which probabilities.
type nature func(s Stage, look int, then func(Stage, float64))

// stopped is the exact probability that the evidence ever reaches the limit within some looks.
func stopped(t *testing.T, test Test, looks int, n nature) (sum float64) {
	paths := []path{{stage: Stage{ID: 1}, p: 1}}
	for look := range looks {
		var next []path
		for _, p := range paths {
			n(p.stage, look, func(s Stage, probability float64) {
				s.Candidate.Voted, s.Control.Voted = s.Candidate.Failed, s.Control.Failed
				state, err := test.Update(p.state, []Stage{s})
				if err != nil {
					t.Fatal(err)
				}
				if test.Log(state) >= test.LogLimit() {
					sum += p.p * probability
					return
				}
				next = append(next, path{state, s, p.p * probability})
			})
		}
		paths = next
	}
	return sum
}

// instant exposes fixed numbers of devices a look, that fail at once.
func instant(c, s int64, pc, ps float64) nature {
	return func(st Stage, _ int, then func(Stage, float64)) {
		arms(c, s, pc, ps, func(fc, fs int64, p float64) {
			next := st
			next.Candidate.Exposed += c
			next.Control.Exposed += s
			next.Candidate.Failed += fc
			next.Control.Failed += fs
			then(next, p)
		})
	}
}

// drawn gives each of n new devices a look to the candidate's arm with a probability of w; they fail at once.
func drawn(n int64, w, pc, ps float64) nature {
	return func(st Stage, look int, then func(Stage, float64)) {
		for c := range n + 1 {
			instant(c, n-c, pc, ps)(st, look, func(next Stage, p float64) { then(next, p*binomial(n, c, w)) })
		}
	}
}

// hazard exposes devices in the first look; those that have not failed may fail in each.
func hazard(c, s int64, pc, ps float64) nature {
	return func(st Stage, _ int, then func(Stage, float64)) {
		st.Candidate.Exposed, st.Control.Exposed = c, s
		arms(c-st.Candidate.Failed, s-st.Control.Failed, pc, ps, func(fc, fs int64, p float64) {
			next := st
			next.Candidate.Failed += fc
			next.Control.Failed += fs
			then(next, p)
		})
	}
}

// returns exposes new devices in each look; those that have not returned may return in the next ones.
func returns(c, s int64, pc, ps float64) nature {
	return func(st Stage, _ int, then func(Stage, float64)) {
		arms(st.Candidate.Exposed-st.Candidate.Returned, st.Control.Exposed-st.Control.Returned, pc, ps, func(gc, gs int64, p float64) {
			next := st
			next.Candidate.Exposed += c
			next.Control.Exposed += s
			next.Candidate.Returned += gc
			next.Control.Returned += gs
			then(next, p)
		})
	}
}

// The published budget holds for the mixture, by exact enumeration of all outcomes and stopping at the limit.
func TestExact(t *testing.T) {
	reached := map[Kind]bool{}
	for _, budget := range []float64{0.3, 0.05} {
		for _, r0 := range []float64{1, 2} {
			for _, p := range []float64{0.05, 0.3, 0.5, 0.9, 1} {
				for name, tc := range map[string]struct {
					kind   Kind
					limit  float64
					looks  int
					nature nature
				}{
					"2+2 devices, failing at once":        {Increase, r0, 3, instant(2, 2, p, p/r0)},
					"1+3 devices, failing at once":        {Increase, r0, 3, instant(1, 3, p, p/r0)},
					"one by one, half of them":            {Increase, r0, 6, drawn(1, 0.5, p, p/r0)},
					"one by one, a fifth of them":         {Increase, r0, 6, drawn(1, 0.2, p, p/r0)},
					"three by three, half of them":        {Increase, r0, 3, drawn(3, 0.5, p, p/r0)},
					"3+3 devices, failing later":          {Increase, r0, 3, hazard(3, 3, p, p/r0)},
					"2+6 devices, failing later":          {Increase, r0, 3, hazard(2, 6, p, p/r0)},
					"rate":                                {Rate, p, 3, instant(3, 0, p, 0)},
					"rate below the limit":                {Rate, p, 3, instant(3, 0, p/2, 0)},
					"3+3 devices a look, coming back":     {Silence, r0, 3, returns(3, 3, p/r0, p)},
					"6+2 devices a look, coming back":     {Silence, r0, 3, returns(6, 2, p/r0, p)},
					"9+9 devices a look, coming back":     {Silence, r0, 2, returns(9, 9, p/r0, p)},
					"3+3 devices, as often as the others": {Silence, r0, 3, returns(3, 3, p, p)},
				} {
					if tc.kind == Rate && p == 1 {
						continue // no limit
					}
					got := stopped(t, Test{Kind: tc.kind, Limit: tc.limit, Budget: budget}, tc.looks, tc.nature)
					if got > budget {
						t.Errorf("%s, p %g, r0 %g: stopped with probability %g, budget %g", name, p, r0, got, budget)
					}
					reached[tc.kind] = reached[tc.kind] || got > 0
				}
			}
		}
	}
	if fmt.Sprint(reached) != "map[Increase:true Rate:true Silence:true]" {
		t.Errorf("limits that no outcome reaches prove nothing: %v", reached)
	}
}

// A release that breaks its limit is stopped more often than the budget: the enumeration can tell.
func TestExact_regressions(t *testing.T) {
	for name, tc := range map[string]struct {
		kind   Kind
		limit  float64
		nature nature
	}{
		"all fail":           {Increase, 1, instant(3, 3, 1, 0)},
		"all fail by rate":   {Rate, 0.01, instant(2, 0, 1, 0)},
		"nobody comes back":  {Silence, 1, returns(5, 5, 0, 0.9)},
		"one failure of 0 %": {Rate, 0, instant(1, 0, 1, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := stopped(t, Test{Kind: tc.kind, Limit: tc.limit, Budget: 0.05}, 4, tc.nature); got < 0.5 {
				t.Errorf("stopped with probability %g", got)
			}
		})
	}
}
