// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/resolve"
)

const (
	second = millis(1000)
	minute = 60 * second
	day    = 24 * 60 * minute
	noon   = millis(1_800_000_000_000)
)

var usual = rules{ready: 30 * second, window: 10 * minute}

// what makes something said of a vote.
func what(m marks, after millis) *said {
	s := &said{what: m, votes: true, at: noon + after, heard: noon + after, client: Client{Platform: "ios"}}
	if m&markOf(Failed) != 0 {
		s.kind = KindRollback
	}
	if m&markOf(DeliveryFailed) != 0 {
		s.kind = KindNetwork
	}
	return s
}

// crash is a crash of the app.
func crash(after millis) *said {
	s := what(markOf(Failed), after)
	s.kind = KindCrash
	return s
}

// behind is what of a device whose clock is behind: it came in when the server's clock was that far.
func behind(m marks, after, by millis) *said {
	s := what(m, after-by)
	s.heard = noon + after
	return s
}

func folded(list ...*said) *vote {
	v := &vote{voting: true}
	for _, s := range list {
		v.fold(s, usual)
	}
	return v
}

func TestVote(t *testing.T) {
	t.Parallel()
	ready, fail, set := markOf(Confirmed), markOf(Failed), markOf(Installed)
	for _, tc := range []struct {
		name string
		said []*said
		vote string // empty: none
	}{
		{"offered only", []*said{what(markOf(Offered), 0)}, ""},
		{"installed only: active is not well", []*said{what(set, 0)}, ""},
		{"confirmed", []*said{what(ready, 0)}, "confirmed"},
		{"failed", []*said{what(fail, 0)}, "failed"},
		{"delivery failed: says nothing of the bundle", []*said{what(markOf(DeliveryFailed), 0)}, ""},
		{"delivery failed, then confirmed", []*said{what(markOf(DeliveryFailed), 0), what(ready, 1)}, "confirmed"},
		{"failed after confirmed", []*said{what(ready, 0), what(fail, 60*minute)}, "failed"},
		{"failed right after confirmed", []*said{what(ready, 0), what(fail, 1)}, "failed"},
		{"failed and confirmed at once", []*said{what(ready, 0), what(fail, 0)}, "failed"},
		{"confirmed soon after failed", []*said{what(fail, 0), what(ready, 10*minute)}, "confirmed"},
		{"confirmed long after failed", []*said{what(fail, 0), what(ready, 10*minute+1)}, "failed"},
		{"confirmed soon after failed, and well for days", []*said{what(fail, 0), what(ready, minute), what(ready, day), what(ready, 2*day)}, "confirmed"},
		{"well, failed, and soon well again", []*said{what(ready, 0), what(fail, minute), what(ready, 2*minute)}, "confirmed"},
		{"there and back", []*said{what(ready, 0), what(fail, 0), what(ready, minute), what(fail, minute)}, "failed"},
		{"failed again after it was made good", []*said{what(fail, 0), what(ready, minute), what(fail, day)}, "failed"},
		{"seen once", []*said{what(seen, 0)}, ""},
		{"seen again too soon", []*said{what(seen, 0), what(seen, 30*second-1)}, ""},
		{"seen again after the ready time", []*said{what(seen, 0), what(seen, 30*second)}, "confirmed"},
		{"seen once after it was set long ago: set may be of another clock", []*said{what(set, 0), what(seen, minute)}, ""},
		{"set, seen, failed", []*said{what(set, 0), what(seen, second), what(fail, 10*second)}, "failed"},
		{"seen, failed, and seen running it soon after", []*said{what(seen, 0), what(fail, second), what(seen, 5*minute)}, "confirmed"},
		{"seen, failed, and seen running it for days", []*said{what(seen, 0), what(fail, second), what(seen, 5*minute), what(seen, day), what(seen, 2*day)}, "confirmed"},
		{"seen running it soon after failed, and failed again", []*said{what(seen, 0), what(fail, second), what(seen, 5*minute), what(fail, 6*minute)}, "failed"},
		{"failed, and seen only once since", []*said{what(fail, 0), what(seen, minute)}, "failed"},
		{"seen twice, and then failed by a clock that is behind", []*said{what(seen, 0), what(seen, minute), behind(fail, 2*minute, 60*minute)}, "failed"},
		{"set and seen by a clock that is behind, and failed", []*said{behind(set, 0, 60*minute), what(seen, second), behind(fail, 20*second, 60*minute)}, "failed"},
		{"failed by a clock that is behind, and soon well", []*said{behind(fail, 0, 60*minute), behind(ready, minute, 60*minute)}, "confirmed"},
		{"failed by a clock that is behind, and soon seen", []*said{what(seen, 0), behind(fail, minute, 60*minute), what(seen, 2*minute)}, "confirmed"},
		{"the failure comes again after it was made good", []*said{what(fail, 0), what(ready, minute), what(ready, day), behind(fail, day, day)}, "confirmed"},
		{"the failure comes again after a check made it good", []*said{what(seen, 0), what(fail, 1), what(seen, minute), behind(fail, day+1, day)}, "confirmed"},
		{"an older failure comes late", []*said{what(fail, minute), what(ready, 2*minute), behind(fail, day, day)}, "confirmed"},
		{"crashed, and soon up again", []*said{what(seen, 0), what(seen, minute), crash(2 * minute), what(ready, 2*minute+second), what(seen, 3*minute)}, "failed"},
		{"a rollback that was made good, and a crash", []*said{what(fail, 0), what(ready, minute), crash(day), what(ready, day+second)}, "failed"},
		{"the failure comes after the proof", []*said{what(ready, minute), behind(fail, 2*minute, 2*minute)}, "confirmed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := folded(tc.said...)
			got := ""
			if o, ok := usual.voteOf(v); ok {
				got = names[o]
			}
			if got != tc.vote {
				t.Errorf("got the vote %q, want %q; of %+v", got, tc.vote, *v)
			}
			n := usual.counted(v)
			if want := map[string]tally{"confirmed": {Confirmed: 1}, "failed": {Failed: 1}}[tc.vote]; n[Confirmed] != want[Confirmed] || n[Failed] != want[Failed] {
				t.Errorf("counted %v, want the vote %q", n, tc.vote)
			}
		})
	}
}

// drawSaid draws events of one device and bundle around the limits of the rules, in the order in which they happened. The device's
// clock may be behind.
func drawSaid(t *rapid.T) []*said {
	lag := rapid.SampledFrom([]millis{0, minute, 60 * minute}).Draw(t, "lag")
	list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *said {
		s := what(rapid.SampledFrom([]marks{
			markOf(Exposed), markOf(Exposed) | markOf(Offered), markOf(Downloaded), markOf(Installed), markOf(Exposed) | seen, markOf(Confirmed),
			markOf(Failed), markOf(DeliveryFailed), answered, seen,
		}).Draw(t, "what"), rapid.SampledFrom([]millis{0, 1, second, 29 * second, 30 * second, minute, 10 * minute, 11 * minute, day}).Draw(t, "after"))
		s.votes = rapid.IntRange(0, 9).Draw(t, "votes") > 0
		s.client = rapid.SampledFrom([]Client{{}, {Plugin: "capgo/8.51.23"}, {Plugin: "capgo/7.0.0", Platform: "ios"}, {Region: "DE"}, {Region: "DE", OSVersion: "14"}}).Draw(t, "client")
		if s.kind != "" {
			s.kind = rapid.SampledFrom([]Kind{KindCrash, KindRollback, KindVerification}).Draw(t, "kind")
		}
		if s.what&(markOf(Exposed)|seen|answered) == 0 {
			s.at -= lag
		}
		return s
	}), 1, 20).Draw(t, "said")
	slices.SortStableFunc(list, func(a, b *said) int { return int(a.heard - b.heard) })
	return list
}

// drawAgain adds repetitions of what was said, each later than that.
func drawAgain(t *rapid.T, list []*said) []*said {
	out := slices.Clone(list)
	for range rapid.IntRange(0, 5).Draw(t, "repetitions") {
		from := rapid.IntRange(0, len(out)-1).Draw(t, "from")
		to := rapid.IntRange(from+1, len(out)).Draw(t, "to")
		again := *out[from]
		if again.what&(markOf(Exposed)|seen|answered) == 0 { // a report; who checks again says something new
			again.heard = max(again.heard, out[to-1].heard)
		}
		out = slices.Insert(out, to, &again)
	}
	return out
}

// What is kept of a device does not depend on the order of what comes in, nor on how often it does; but for what is made of proofs.
func TestFoldIsOfASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := drawSaid(t)
		other := rapid.Permutation(append(slices.Clone(list), rapid.SliceOfN(rapid.SampledFrom(list), 0, 10).Draw(t, "repeated")...)).Draw(t, "order")
		a, b := folded(list...), folded(other...)
		for _, v := range []*vote{a, b} {
			v.recoveredAt, v.provenAt, v.barred = 0, 0, false
		}
		if *a != *b {
			t.Fatalf("one order gives %+v, another %+v", *a, *b)
		}
	})
}

// wellAfterAll says by all that was said, in any order, whether a device that failed made that good.
func wellAfterAll(list []*said) bool {
	var failedAt, heard, firstSeen millis
	var kind Kind
	for _, s := range list {
		if s.what&seen != 0 {
			first(&firstSeen, s.at)
		}
		switch {
		case s.what&markOf(Failed) == 0:
		case s.at > failedAt:
			failedAt, heard, kind = s.at, s.heard, s.kind
		case s.at == failedAt:
			heard, kind = min(heard, s.heard), max(kind, s.kind)
		}
	}
	return slices.ContainsFunc(list, func(s *said) bool {
		word := s.what&markOf(Confirmed) != 0 && s.at > failedAt && s.at-failedAt <= usual.window
		check := s.what&seen != 0 && s.at-firstSeen >= usual.ready && s.at > heard && s.at-heard <= usual.window
		return kind != KindCrash && (word || check)
	})
}

// A failure that was made good stays so until the next one, whatever comes again. What comes in another order may hide that, and
// never makes good what was not.
func TestHealing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := drawAgain(t, drawSaid(t))
		v := folded(list...)
		o, _ := usual.voteOf(v)
		if v.failedAt != 0 && (o == Confirmed) != wellAfterAll(list) {
			t.Fatalf("in order: %s, want well: %v; of %+v", names[o], wellAfterAll(list), *v)
		}
		failed := slices.DeleteFunc(slices.Clone(list), func(s *said) bool { return s.what&markOf(Failed) == 0 })
		gaveUp := slices.ContainsFunc(failed, func(s *said) bool { return s.kind.bars() })
		if v.barred && (!gaveUp || o == Confirmed) || !v.barred && o == Failed && v.failedAt != 0 && v.failedKind.bars() {
			t.Fatalf("barred: %v, with the vote %s; of %+v", v.barred, names[o], *v)
		}
		shuffled := rapid.Permutation(list).Draw(t, "order")
		if o, ok := usual.voteOf(folded(shuffled...)); ok && o == Confirmed && v.failedAt != 0 && !wellAfterAll(list) {
			t.Fatal("another order made a failure good")
		}
	})
}

// A rollback that was made good bars nothing when it comes again, also after a crash.
func TestRepeatedRollbackBarsNothing(t *testing.T) {
	t.Parallel()
	rollback := what(markOf(Failed), 0)
	said := []*said{rollback, what(markOf(Confirmed), second), crash(day)}
	if v := folded(append(said, rollback)...); v.barred {
		t.Errorf("barred by what was made good: %+v", *v)
	}
	if v := folded(append(said, what(markOf(Failed), day+second))...); !v.barred {
		t.Errorf("not barred by another rollback: %+v", *v)
	}
}

// A device counts once at most for each outcome, and never for both votes; what it reached it does not lose.
func TestOneVote(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := &vote{voting: true}
		for _, s := range drawSaid(t) {
			before := usual.reached(v)
			v.fold(s, usual)
			n, reached := usual.counted(v), usual.reached(v)
			if n[Confirmed]+n[Failed] > 1 || slices.Min(n[:]) < 0 || slices.Max(n[:]) > 1 {
				t.Fatalf("counted %v for one device", n)
			}
			if gone := before.minus(reached); v.voting && slices.Max(gone[:]) > 0 {
				t.Fatalf("reached %v, and then %v", before, reached)
			}
			if !v.voting && n != (tally{}) {
				t.Fatalf("a device that does not vote counted %v", n)
			}
			if n[Failed] > n[failedOnce] || n[failedOnce] > n[Confirmed]+n[Failed] {
				t.Fatalf("counted %v: who failed once voted, and who failed did so once", n)
			}
			if v.failedAt != 0 && v.voting && (reached[Failed] != 1 || n[failedOnce] != 1) {
				t.Fatalf("failed, but reached %v", reached)
			}
		}
	})
}

var (
	oldSeries = Series{App: "a", Channel: "c", Digest: "sha256:old", Version: "1.0.0"}
	newSeries = Series{App: "a", Channel: "c", Digest: "sha256:new", Version: "2.0.0", Arm: resolve.Candidate, Trial: "t", Candidate: "sha256:new", Release: 1}
	embedded  = Series{App: "a", Channel: "c", Version: "embedded", Arm: resolve.Control, Trial: "t", Candidate: "sha256:new", Release: 1}
	retry     = Series{App: "a", Channel: "c", Digest: "sha256:new", Version: "2.0.0", Arm: resolve.Candidate, Trial: "u", Candidate: "sha256:new", Release: 2}
)

func always(*event) bool { return true }

// checkOf makes the event of a check that was told to update, or not.
func checkOf(s *Series, m marks, after millis, runs string) *event {
	e := &event{said: *what(markOf(Exposed)|m, after), version: runs}
	if s != nil {
		e.series, e.placed = *s, true
	}
	return e
}

func reportOf(o Outcome, after millis, change func(*event)) *event {
	e := &event{report: true, said: *what(markOf(o), after)}
	if change != nil {
		change(e)
	}
	return e
}

// A failure that names no bundle is of what was offered last, and one that names a bundle of the newest vote on it.
func TestAttribution(t *testing.T) {
	t.Parallel()
	offerOld, offerNew := checkOf(&oldSeries, markOf(Offered), 0, ""), checkOf(&newSeries, markOf(Offered), minute, "1.0.0")
	named := func(digest, version string) func(*event) {
		return func(e *event) { e.digest, e.version = digest, version }
	}
	assigned := func(s Series, digest string) func(*event) {
		return func(e *event) { e.series, e.placed, e.digest = s, true, digest }
	}
	oldPlugin := func(e *event) { e.afterOffer = true }
	for _, tc := range []struct {
		name   string
		before []*event
		report *event
		counts string // trial or digest of the series that got a delivery failure; empty: none
		known  bool
	}{
		{"nothing is known", nil, reportOf(DeliveryFailed, minute, nil), "", false},
		{"the last offer", []*event{offerOld, offerNew}, reportOf(DeliveryFailed, 2*minute, nil), newSeries.Digest, true},
		{"the last offer, in any order", []*event{offerNew, offerOld}, reportOf(DeliveryFailed, 2*minute, nil), newSeries.Digest, true},
		{"an offer of the day before", []*event{offerOld}, reportOf(DeliveryFailed, day, nil), oldSeries.Digest, true},
		{"an offer that is too old", []*event{offerOld}, reportOf(DeliveryFailed, day+1, nil), "", false},
		{"an offer that was confirmed since", []*event{offerNew, reportOf(Confirmed, 2*minute, named("", "2.0.0"))}, reportOf(DeliveryFailed, 3*minute, nil), "", false},
		{"by digest", []*event{offerOld, offerNew}, reportOf(DeliveryFailed, 2*minute, named(oldSeries.Digest, "")), oldSeries.Digest, true},
		{"by version", []*event{offerOld, offerNew}, reportOf(DeliveryFailed, 2*minute, named("", "1.0.0")), oldSeries.Digest, true},
		{"by digest before version", []*event{offerOld, offerNew}, reportOf(DeliveryFailed, 2*minute, named(oldSeries.Digest, "2.0.0")), oldSeries.Digest, true},
		{"by version when nobody knows the digest", []*event{offerOld, offerNew}, reportOf(DeliveryFailed, 2*minute, named("sha256:x", "2.0.0")), newSeries.Digest, true},
		{
			"the newest of a bundle that was tried twice", []*event{offerNew, checkOf(&retry, markOf(Offered), 5*minute, "")},
			reportOf(DeliveryFailed, 6*minute, named(newSeries.Digest, "")), retry.Trial, true,
		},
		{"a bundle that nobody knows", []*event{offerOld}, reportOf(DeliveryFailed, 2*minute, named("sha256:x", "")), "", false},
		{"a bundle of the channel that the device was not seen with", []*event{offerOld}, reportOf(DeliveryFailed, 2*minute, assigned(newSeries, newSeries.Digest)), newSeries.Digest, true},
		{"a device that was never seen", nil, reportOf(DeliveryFailed, 2*minute, assigned(newSeries, "")), newSeries.Digest, true},
		{"an old plugin after an offer", []*event{offerOld, offerNew}, reportOf(DeliveryFailed, 2*minute, oldPlugin), newSeries.Digest, true},
		{"an old plugin after an answer without an offer", []*event{offerNew, checkOf(nil, 0, 2*minute, "1.0.0")}, reportOf(DeliveryFailed, 3*minute, oldPlugin), "", true},
		{"an old plugin that is up to date", []*event{offerNew, checkOf(&newSeries, seen, 2*minute, "2.0.0")}, reportOf(DeliveryFailed, 3*minute, oldPlugin), "", true},
		{
			"a late one of a bundle that was tried again since", []*event{offerNew, checkOf(&retry, markOf(Offered), 60*minute, "")},
			reportOf(DeliveryFailed, 2*minute, named(newSeries.Digest, "")), newSeries.Digest, true,
		},
		{
			"a clock that is behind by minutes", []*event{offerNew, checkOf(&retry, markOf(Offered), 60*minute, "")},
			reportOf(DeliveryFailed, 56*minute, named(newSeries.Digest, "")), retry.Trial, true,
		},
		{
			"a clock that is behind by hours: the oldest", []*event{offerNew, checkOf(&retry, markOf(Offered), 60*minute, "")},
			reportOf(DeliveryFailed, -60*minute, named(newSeries.Digest, "")), newSeries.Digest, true,
		},
		{
			"a late one of a bundle that was checked with until now", []*event{offerNew, checkOf(&newSeries, seen, 10*minute, ""), checkOf(&retry, markOf(Offered), 60*minute, ""), checkOf(&retry, seen, day, "")},
			reportOf(DeliveryFailed, 2*60*minute, named(newSeries.Digest, "")), retry.Trial, true,
		},
		{"nameless, before the offer", []*event{checkOf(&newSeries, markOf(Offered), 60*minute, "")}, reportOf(DeliveryFailed, 0, nil), "", false},
		{"nameless, before the last offer", []*event{offerOld, checkOf(&newSeries, markOf(Offered), 60*minute, "")}, reportOf(DeliveryFailed, 2*minute, nil), oldSeries.Digest, true},
		{
			"nameless, after an offer that was made again since", []*event{offerNew, checkOf(&newSeries, markOf(Offered), 60*minute, "")},
			reportOf(DeliveryFailed, 2*minute, nil), newSeries.Digest, true,
		},
		{"the embedded bundle", []*event{checkOf(&embedded, 0, 0, ""), offerNew}, reportOf(DeliveryFailed, 2*minute, named("", "embedded")), "embedded", true},
		{"an old plugin that was never seen", nil, reportOf(DeliveryFailed, 0, oldPlugin), "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var d device
			for _, e := range tc.before {
				d.apply(e, usual, always)
			}
			if known := d.apply(tc.report, usual, always); known != tc.known {
				t.Errorf("attributed: %v, want %v", known, tc.known)
			}
			got := ""
			for _, e := range d {
				if e.vote.deliveryFailedAt == 0 {
					continue
				}
				got += e.series.Digest
				switch {
				case e.series.Trial == retry.Trial:
					got = retry.Trial
				case e.series.Digest == "":
					got = e.series.Version
				}
			}
			if got != tc.counts {
				t.Errorf("counted for %q, want %q", got, tc.counts)
			}
		})
	}
}

// A check on a bundle proves that bundle, whatever the device is told to run next.
func TestSeenWhileTakenBack(t *testing.T) {
	t.Parallel()
	var d device
	for _, e := range []*event{
		checkOf(&newSeries, markOf(Offered), 0, ""),
		checkOf(&newSeries, seen, second, "2.0.0"),
		checkOf(&oldSeries, markOf(Offered), minute, "2.0.0"),
	} {
		d.apply(e, usual, always)
	}
	var got []string
	for _, e := range d {
		if _, ok := usual.voteOf(&e.vote); ok {
			got = append(got, e.series.Version)
		}
	}
	if diff := cmp.Diff([]string{"2.0.0"}, got); diff != "" {
		t.Errorf("votes (-want +got):\n%s", diff)
	}
}

// A report of a device whose clock is behind does not seem to be of before the offer.
func TestExposedByChecksOnly(t *testing.T) {
	t.Parallel()
	v := folded(what(markOf(Exposed)|markOf(Offered), 0), behind(markOf(Installed), second, 60*minute))
	if v.exposedAt != noon || v.updatedAt != noon+second {
		t.Errorf("exposed at %d, updated at %d, want %d and %d", v.exposedAt, v.updatedAt, noon, noon+second)
	}
	if n := usual.counted(folded(what(markOf(Installed), 0))); n[Exposed] != 1 {
		t.Errorf("a device that only reports counts %v, want it exposed", n)
	}
}

// A check says something new when the device, what it runs or what it is told changed, and again after the period.
func TestFilter(t *testing.T) {
	t.Parallel()
	f := newFilter(1024, 30*second)
	said := func(after millis, change func(*event)) bool {
		e := checkOf(&oldSeries, seen, after, "1.0.0")
		if change != nil {
			change(e)
		}
		_, _, news := f.pass(e)
		return news
	}
	for i, step := range []struct {
		after  millis
		change func(*event)
		news   bool
	}{
		{0, nil, true},
		{0, nil, false},
		{29 * second, nil, false},
		{30*second + 999, nil, false}, // by whole seconds it may be too soon to prove anything
		{31 * second, nil, true},      // it proves that the bundle does well
		{32 * second, func(e *event) { e.version = "2.0.0" }, true},
		{32 * second, func(e *event) { e.series.Trial = "t" }, true},
		{32 * second, func(e *event) { e.series.Trial, e.series.Stage = "t", 2 }, true},
		{32 * second, func(e *event) { e.said.what = markOf(Offered) }, true},
		{32 * second, func(e *event) { e.said.what, e.said.votes = markOf(Offered), false }, true},
		{33 * second, func(e *event) { e.said.what, e.said.votes = markOf(Offered), false }, false},
		{33 * second, nil, true},
	} {
		if got := said(step.after, step.change); got != step.news {
			t.Errorf("step %d: news %v, want %v", i, got, step.news)
		}
	}
	others := 0
	for i := range 100 {
		if said(40*second, func(e *event) { copy(e.device[:], fmt.Sprint("device ", i)) }) {
			others++
		}
	}
	if others != 100 {
		t.Errorf("%d of 100 devices said something new, want all", others)
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"4.2.0": "4.2.0", "": "", "a\x00b": "a?b", "a\xffb": "a?b",
		string(make([]byte, 65)): string(slices.Repeat([]byte("?"), 64)),
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if zero := millisOf(time.Time{}); zero != 0 || !timeOf(0).IsZero() {
		t.Error("a time that is not set is 0, and back")
	}
}
