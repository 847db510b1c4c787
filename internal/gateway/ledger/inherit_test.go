// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// control gives the series of a device that stays on the old bundle, in a stage.
func control(stage int32) *Series {
	s := embedded
	s.Digest, s.Version, s.Stage = oldSeries.Digest, oldSeries.Version, stage
	return &s
}

// What proves that a bundle does well may begin in an earlier stage, but not before a failure.
func TestProofGoesOn(t *testing.T) {
	t.Parallel()
	runs := func(s *Series, after millis) *event { return checkOf(s, seen, after, s.Version) }
	candidate := func(stage int32, after millis) *event { return runs(newSeries.at(stage), after) }
	failed := func(after millis, kind Kind) *event {
		return reportOf(Failed, after, func(e *event) { e.digest, e.said.kind = newSeries.Digest, kind })
	}
	native := func(e *event, version string) *event {
		e.said.client.NativeVersion = version
		return e
	}
	for name, tc := range map[string]struct {
		said  []*event
		votes string // of each stage
	}{
		"first check of the second stage":  {[]*event{candidate(1, 0), candidate(2, 60*minute)}, "1: 2:confirmed"},
		"too soon":                         {[]*event{candidate(1, 0), candidate(2, 30*second-1)}, "1: 2:"},
		"just in time":                     {[]*event{candidate(1, 0), candidate(2, 30*second)}, "1: 2:confirmed"},
		"over three stages":                {[]*event{candidate(1, 0), candidate(2, 20*second), candidate(3, 40*second)}, "1: 2: 3:confirmed"},
		"the earlier stage comes later":    {[]*event{candidate(2, 60*minute), candidate(1, 0)}, "2:confirmed 1:"},
		"no check in the second stage":     {[]*event{candidate(1, 0), checkOf(newSeries.at(2), markOf(Offered), 60*minute, "1.0.0")}, "1: 2:"},
		"offered only in between":          {[]*event{candidate(1, 0), checkOf(newSeries.at(2), markOf(Offered), minute, "1.0.0"), candidate(3, 60*minute)}, "1: 2: 3:confirmed"},
		"offered only in the first":        {[]*event{checkOf(newSeries.at(1), markOf(Offered), 0, "1.0.0"), candidate(2, 60*minute)}, "1: 2:"},
		"failed in between":                {[]*event{candidate(1, 0), failed(minute, KindRollback), candidate(2, 60*minute)}, "1:failed 2:"},
		"crashed in between":               {[]*event{candidate(1, 0), failed(minute, KindCrash), candidate(2, 60*minute)}, "1:failed 2:"},
		"failed in between, told late":     {[]*event{candidate(1, 0), candidate(2, 60*minute), failed(minute, KindRollback)}, "1:failed 2:"},
		"failed, and anew":                 {[]*event{candidate(1, 0), failed(minute, KindRollback), candidate(2, 60*minute), candidate(3, 61*minute)}, "1:failed 2: 3:confirmed"},
		"failed, and anew in its stage":    {[]*event{candidate(1, 0), failed(minute, KindCrash), candidate(1, 2*minute), candidate(2, 3*minute)}, "1:failed 2:confirmed"},
		"failed in the second stage":       {[]*event{candidate(1, 0), candidate(2, 60*minute), failed(61*minute+second, KindRollback)}, "1: 2:failed"},
		"failed in the second, seen again": {[]*event{candidate(1, 0), candidate(2, 60*minute), failed(61*minute, KindCrash), candidate(2, 62*minute)}, "1: 2:failed"},
		"failed in a later stage":          {[]*event{candidate(1, 0), candidate(2, 60*minute), candidate(3, 61*minute), failed(80*minute, KindCrash)}, "1: 2:confirmed 3:failed"},
		"another trial":                    {[]*event{candidate(1, 0), runs(retry.at(2), 60*minute)}, "1: 2:"},
		"another native build":             {[]*event{native(candidate(1, 0), "1"), native(candidate(2, 60*minute), "2")}, "1: 2:"},
		"control":                          {[]*event{runs(control(1), 0), runs(control(2), 60*minute)}, "1: 2:confirmed"},
		"control, from before the trial":   {[]*event{runs(&oldSeries, 0), runs(control(1), 60*minute)}, "0: 1:confirmed"},
		"control, of another bundle":       {[]*event{runs(&oldSeries, 0), runs(&embedded, 60*minute)}, "0: 0:"},
		"after the trial: no arm":          {[]*event{runs(control(1), 0), runs(&oldSeries, 60*minute)}, "1: 0:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d device
			for _, e := range tc.said {
				d.apply(e, usual, always)
			}
			got := ""
			for _, e := range d {
				got += fmt.Sprintf(" %d:", e.series.Stage)
				if o, ok := usual.voteOf(&e.vote); ok {
					got += names[o]
				}
			}
			if got = got[1:]; got != tc.votes {
				t.Errorf("got the votes %q, want %q", got, tc.votes)
			}
		})
	}
}

// heardFailed gives when the last failure of a stage, by the device's clock, came in first.
func heardFailed(list []*event, stage int32) (heard millis) {
	at := millis(0)
	for _, e := range list {
		if e.said.what&markOf(Failed) != 0 && e.series.Stage == stage && e.said.at > at {
			at, heard = e.said.at, e.said.heard
		}
	}
	return heard
}

// provenBy says by all that was said, in any order, whether checks prove a stage's bundle: two of them the ready time apart, the second one in
// the stage, and the first one there, or in an earlier stage after the last failure that those tell of. Of a stage only the first
// and the last check are kept; the model is that of all checks, so that it allows more.
func provenBy(list []*event, stage int32) bool {
	failed := millis(0)
	for s := range stage {
		last(&failed, heardFailed(list, s))
	}
	for _, a := range list {
		for _, b := range list {
			if a.said.what&b.said.what&seen != 0 && b.series.Stage == stage && b.said.at-a.said.at >= usual.ready &&
				(a.series.Stage == stage || a.series.Stage < stage && a.said.at > failed) {
				return true
			}
		}
	}
	return false
}

// What is said of stages, folded into them in any order and again and again, gives the same votes, and confirms no device without a proof or
// over a failure.
func TestProofIsOfASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *event {
			stage := rapid.Int32Range(1, 3).Draw(t, "stage")
			after := rapid.SampledFrom([]millis{0, second, 29 * second, 30 * second, minute, 2 * minute, 11 * minute, 60 * minute, day}).Draw(t, "after")
			e := checkOf(newSeries.at(stage), seen, after, newSeries.Version)
			if rapid.IntRange(0, 4).Draw(t, "fails") == 0 {
				e.said = *what(markOf(Failed), after)
			}
			return e
		}), 1, 12).Draw(t, "said")
		fold := func(list []*event) map[int32]tally {
			var d device
			for _, e := range list { // where a report belongs is not asked: it may depend on what the ledger knew then
				d.in(e, always).vote.fold(&e.said, usual)
				d.inherit(usual)
			}
			out := map[int32]tally{}
			for _, have := range d {
				n := usual.counted(&have.vote)
				out[have.series.Stage] = n
				if n[Confirmed] == 1 && n[failedOnce] == 0 && !provenBy(list, have.series.Stage) {
					t.Fatalf("stage %d is confirmed without a proof: %+v", have.series.Stage, have.vote)
				}
			}
			return out
		}
		a := fold(list)
		b := fold(rapid.Permutation(append(slices.Clone(list), rapid.SliceOf(rapid.SampledFrom(list)).Draw(t, "again")...)).Draw(t, "order"))
		for stage, n := range a {
			m := b[stage]
			if n[failedOnce] == 1 { // healing may be overlooked in another order, as TestHealing says
				n[Confirmed], n[Failed], m[Confirmed], m[Failed] = 0, 0, 0, 0
			}
			if n != m {
				t.Fatalf("stage %d: one order counts %v, another %v", stage, n, m)
			}
		}
	})
}

// The order of all checks of a device, before its reports, makes no difference to its votes.
func TestProofInAnyOrderOfChecks(t *testing.T) {
	t.Parallel()
	all := []*Series{newSeries.at(1), newSeries.at(2), control(1), control(2), &oldSeries}
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *event {
			s := rapid.SampledFrom(all).Draw(t, "series")
			after := rapid.SampledFrom([]millis{0, second, 29 * second, 30 * second, minute, 60 * minute}).Draw(t, "after")
			return checkOf(s, seen, after, s.Version)
		}), 1, 10).Draw(t, "said")
		votes := func(list []*event) map[seriesKey]tally {
			var d device
			for _, e := range list {
				d.apply(e, usual, always)
			}
			out := map[seriesKey]tally{}
			for _, have := range d {
				out[have.series.key()] = usual.counted(&have.vote)
			}
			return out
		}
		a, b := votes(list), votes(rapid.Permutation(list).Draw(t, "order"))
		for key, n := range a {
			if n != b[key] {
				t.Fatalf("%+v: one order counts %v, another %v", key, n, b[key])
			}
		}
	})
}
