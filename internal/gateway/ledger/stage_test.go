// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/resolve"
)

// at gives a series in another stage.
func (s Series) at(stage int32) *Series {
	s.Stage = stage
	return &s
}

// A report is of the newest stage in which its device had checked when it happened, and comes again in the same one.
func TestStageOfReports(t *testing.T) {
	t.Parallel()
	offered := func(stage int32, after millis) *event {
		return checkOf(newSeries.at(stage), markOf(Offered), after, "1.0.0")
	}
	runs := func(stage int32, after millis) *event { return checkOf(newSeries.at(stage), seen, after, "2.0.0") }
	failed := func(after millis) *event {
		return reportOf(Failed, after, func(e *event) { e.digest = newSeries.Digest })
	}
	nameless := func(after millis) *event { return reportOf(Failed, after, nil) }
	ready := func(after millis) *event {
		return reportOf(Confirmed, after, func(e *event) { e.digest = newSeries.Digest })
	}
	for name, tc := range map[string]struct {
		said  []*event
		votes string // of each stage
	}{
		"in the first":                        {[]*event{offered(1, 0), failed(minute)}, "1:failed"},
		"in the second":                       {[]*event{offered(1, 0), runs(2, minute), failed(2 * minute)}, "1: 2:failed"},
		"late, of the first":                  {[]*event{offered(1, 0), runs(2, 60*minute), failed(30 * minute)}, "1:failed 2:"},
		"late by less than clocks are behind": {[]*event{offered(1, 0), runs(2, 60*minute), failed(58 * minute)}, "1:failed 2:"},
		"again, after the next stage began":   {[]*event{offered(1, 0), failed(minute), runs(2, 2*minute), failed(minute)}, "1:failed 2:"},
		"again, seen in both": {
			[]*event{offered(1, 0), failed(3 * minute), runs(2, 2*minute), failed(3 * minute)}, "1:failed 2:",
		},
		"in both":                    {[]*event{offered(1, 0), failed(minute), runs(2, 60*minute), failed(61 * minute)}, "1:failed 2:failed"},
		"in the third of three":      {[]*event{runs(3, 2*minute), offered(1, 0), runs(2, minute), failed(3 * minute)}, "3:failed 1: 2:"},
		"in the second of three":     {[]*event{offered(1, 0), runs(2, minute), runs(3, 60*minute), failed(30 * minute)}, "1: 2:failed 3:"},
		"nameless":                   {[]*event{offered(1, 0), checkOf(newSeries.at(2), markOf(Offered), 60*minute, ""), nameless(61 * minute)}, "1: 2:failed"},
		"nameless, late":             {[]*event{offered(1, 0), checkOf(newSeries.at(2), markOf(Offered), 60*minute, ""), nameless(58 * minute)}, "1:failed 2:"},
		"nameless, no second offer":  {[]*event{offered(1, 0), runs(2, minute), nameless(2 * minute)}, "1: 2:failed"},
		"nameless, confirmed since":  {[]*event{offered(1, 0), runs(2, minute), ready(2 * minute), nameless(3 * minute)}, "1: 2:confirmed"},
		"nameless, proven since":     {[]*event{offered(1, 0), runs(2, minute), runs(2, 2*minute), nameless(3 * minute)}, "1: 2:confirmed"},
		"clock behind by hours":      {[]*event{offered(1, 0), runs(2, minute), failed(-180 * minute)}, "1:failed 2:"},
		"made good in the next one":  {[]*event{offered(1, 0), failed(minute), runs(2, 2*minute), ready(3 * minute)}, "1:confirmed 2:confirmed"},
		"made good by a check":       {[]*event{offered(1, 0), runs(1, second), failed(minute), runs(2, 2*minute)}, "1:confirmed 2:"},
		"not made good in time":      {[]*event{offered(1, 0), failed(minute), runs(2, 20*minute), ready(21 * minute)}, "1:failed 2:confirmed"},
		"not made good by the proof": {[]*event{offered(1, 0), ready(minute), failed(2 * minute), runs(2, 3*minute)}, "1:failed 2:"},
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

// A crash is made good by nothing, in no stage.
func TestCrashStaysInItsStage(t *testing.T) {
	t.Parallel()
	var d device
	crashed := reportOf(Failed, minute, func(e *event) { e.digest = newSeries.Digest })
	crashed.said.kind = KindCrash
	for _, e := range []*event{
		checkOf(newSeries.at(1), seen, 0, ""), crashed, checkOf(newSeries.at(2), seen, 2*minute, ""), checkOf(newSeries.at(2), seen, 3*minute, ""),
	} {
		d.apply(e, usual, always)
	}
	for i, want := range []Outcome{Failed, Confirmed} {
		if o, ok := usual.voteOf(&d[i].vote); !ok || o != want {
			t.Errorf("stage %d: %s, want %s", i+1, names[o], names[want])
		}
	}
}

// A device returns in a series with any check the heal window or more after its first one there, whichever series that check is in, in
// whichever order the checks come in and how often they do.
func TestReturned(t *testing.T) {
	t.Parallel()
	all := []*Series{newSeries.at(1), newSeries.at(2), newSeries.at(3), embedded.at(1), &oldSeries, &retry}
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *event {
			after := rapid.SampledFrom([]millis{0, 1, second, 29 * second, 30 * second, 31 * second, 10*minute - 1, 10 * minute, 10*minute + second, 20 * minute, day}).Draw(t, "after")
			if rapid.IntRange(0, 4).Draw(t, "report") == 0 { // it is no check
				return reportOf(Confirmed, after, func(e *event) { e.series, e.placed, e.digest = *newSeries.at(4), true, newSeries.Digest })
			}
			e := checkOf(rapid.SampledFrom(all).Draw(t, "series"), rapid.SampledFrom([]marks{seen, markOf(Offered), 0}).Draw(t, "marks"), after, "")
			e.said.votes = true
			return e
		}), 1, 12).Draw(t, "said")
		var d device
		for _, e := range rapid.Permutation(append(list, rapid.SliceOf(rapid.SampledFrom(list)).Draw(t, "again")...)).Draw(t, "order") {
			d.apply(e, usual, always)
		}
		firstOf, lastCheck := map[seriesKey]millis{}, millis(0)
		for _, e := range list {
			if e.report {
				continue
			}
			last(&lastCheck, e.said.at)
			if at, ok := firstOf[e.series.key()]; !ok || e.said.at < at {
				firstOf[e.series.key()] = e.said.at
			}
		}
		for _, e := range d {
			at, checked := firstOf[e.series.key()]
			want := checked && lastCheck-at >= usual.window
			if got := usual.counted(&e.vote)[Returned] == 1; got != want {
				t.Fatalf("returned in %+v: %v, want %v: first check %d, last check of all %d", *e.series, got, want, at, lastCheck)
			}
		}
	})
}

// A check that is told of no bundle at all, such as on a halted channel, is one of a device that came back.
func TestReturnedToNothing(t *testing.T) {
	t.Parallel()
	for after, want := range map[millis]int64{30 * second: 0, 10*minute - 1: 0, 10 * minute: 1} {
		var d device
		d.apply(checkOf(&newSeries, markOf(Offered), 0, ""), usual, always)
		d.apply(checkOf(nil, 0, after, "1.0.0"), usual, always)
		if got := usual.counted(&d[0].vote); len(d) != 1 || got[Returned] != want {
			t.Errorf("a check after %d ms: counted %v, want %d returned", after, got, want)
		}
	}
}

// Once a device has returned, its checks are written in its own series only.
func TestReturnsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	var d device
	for _, e := range []*event{checkOf(newSeries.at(1), 0, 0, ""), checkOf(newSeries.at(2), 0, 10*minute, "")} {
		d.apply(e, usual, always)
	}
	before := d[0].vote
	d.apply(checkOf(newSeries.at(2), 0, day, ""), usual, always)
	if d[0].vote != before || !usual.returned(&before) {
		t.Errorf("the first stage's vote became %+v, was %+v", d[0].vote, before)
	}
	if d[1].vote.checkedAt != noon+day {
		t.Errorf("the second stage's last check is %d, want %d", d[1].vote.checkedAt, noon+day)
	}
}

// Stages do not make series of other bundles, arms, trials or channels one.
func TestContinues(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*Series)
		want   bool
	}{
		"the same":        {func(*Series) {}, true},
		"another stage":   {func(s *Series) { s.Stage = 7 }, true},
		"another trial":   {func(s *Series) { s.Trial = "u" }, false},
		"another arm":     {func(s *Series) { s.Arm = resolve.Control }, false},
		"another bundle":  {func(s *Series) { s.Digest = "sha256:old" }, false},
		"another channel": {func(s *Series) { s.Channel = "d" }, false},
	} {
		other := newSeries
		tc.change(&other)
		if got := newSeries.continues(&other); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
