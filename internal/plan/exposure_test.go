// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
)

// What holds of each rise: windows are open, no hour has more than its limit, the first one is small, and nothing starts in line.
// Only a person who promotes in full overrules it.
func TestPlan_risesKeepLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		var rises []Rise
		for range 80 {
			w.live(t)
			before := w.facts
			w.step()
			is := w.facts.Release
			if is.Revision != before.Release.Revision {
				rises = nil
			}
			if before.Queue.Limit > 0 && before.Queue.Active+before.Queue.Ahead >= before.Queue.Limit &&
				is.State == otav1alpha1.ReleaseProgressing && (is.Revision != before.Release.Revision || before.Release.State == otav1alpha1.ReleasePending) {
				t.Fatalf("starts in a line of %+v", before.Queue)
			}
			by := rose(before.Release, is)
			if by == 0 || w.full {
				continue
			}
			if before.Window.Closed {
				t.Fatalf("rose by %d while windows are closed", by)
			}
			if exposure(is) == by && by > before.Channel.MaxFirstWeight {
				t.Fatalf("began with %d, at most %d is allowed", by, before.Channel.MaxFirstWeight)
			}
			hour := by
			for _, r := range rises {
				if r.At.After(before.Now.Add(-time.Hour)) {
					hour += r.By
				}
			}
			if rises = append(rises, Rise{before.Now, by}); before.Channel.MaxWeightPerHour > 0 && hour > before.Channel.MaxWeightPerHour {
				t.Fatalf("rose by %d within an hour: %+v", hour, rises)
			}
			if len(is.Rises) > maxRises {
				t.Fatalf("remembers %d rises", len(is.Rises))
			}
		}
	})
}

// However many rises there are, those that are remembered keep the limit.
func TestRemember_tooMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Release
		var all []Rise
		now, f := noon, Facts{Channel: Channel{MaxWeightPerHour: FullWeight}}
		for range 90 {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			remember(&r, now, 7)
			all = append(all, Rise{now, 7})
			exact := room(f, Release{Rises: all}, now)
			if got := room(f, r, now); got > exact || len(r.Rises) > maxRises {
				t.Fatalf("room for %d, at most %d is left; %d rises", got, exact, len(r.Rises))
			}
		}
	})
}

// A bake lasts as long as it should, by a clock that is set back at times, in one stage and at the highest weight, unless a
// person ends it.
func TestPlan_bakeIsNeverShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.facts.Spec.Bake = 10 * time.Minute
		var clock time.Duration // that really passed
		var since time.Duration // that the present stage is seen at
		for range 120 {
			passed := time.Duration(rapid.IntRange(0, 200).Draw(t, "passed")) * time.Second
			w.kind(passed)
			clock += passed
			if rapid.IntRange(0, 5).Draw(t, "clock") == 0 {
				w.facts.Now = w.facts.Now.Add(-time.Duration(rapid.IntRange(0, 300).Draw(t, "back")) * time.Second)
				w.look()
			}
			before := w.facts
			w.step()
			was, is := before.Release, w.facts.Release
			if was.CommittedAt.IsZero() && !is.CommittedAt.IsZero() {
				since = clock - passed // it is committed, and then time passes
			}
			last := len(before.Spec.Steps)
			over := was.Step <= last && (is.Step > last || is.State == otav1alpha1.ReleasePromoting)
			if !over || w.promote || w.full || is.Ended() {
				continue
			}
			if clock-since < before.Spec.Bake || was.Weight < before.Spec.most() {
				t.Fatalf("baked for %s at %d", clock-since, was.Weight)
			}
		}
	})
}

// Each weight and each exclusion is a stage of its own, and stages only rise.
func TestPlan_stages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 80 {
			w.live(t)
			was := w.facts.Release
			w.step()
			is := w.facts.Release
			if is.Revision != was.Revision || !was.Active() || is.State != otav1alpha1.ReleaseProgressing && is.State != otav1alpha1.ReleasePaused {
				continue
			}
			changed := is.Weight != was.Weight || !slices.Equal(is.Exclude, was.Exclude)
			if changed && (is.Stage != was.Stage+1 || !is.CommittedAt.IsZero() || !is.EnteredAt.IsZero()) {
				t.Fatalf("a change without a new stage, or without new clocks:\n%+v\n%+v", was, is)
			}
			if !changed && is.Stage != was.Stage {
				t.Fatalf("a new stage without a change:\n%+v\n%+v", was, is)
			}
			if a := Assignment("uid", is); a.Stage != is.Stage || !reflect.DeepEqual(a.Exclude, is.Exclude) {
				t.Fatalf("asks for %+v", a)
			}
		}
	})
}

// An exclusion needs a failing verdict, a slice without which nothing is wrong, and consent. It leads to a new stage and to more
// needed evidence, and is no rise. Tries only grow, by one for each time that the analysis has spoken.
func TestPlan_exclusion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.facts.Spec.OnSlice, w.facts.Spec.Metrics = otav1alpha1.SliceExclude, 1
		for range 80 {
			w.live(t)
			before := w.facts
			w.step()
			was, is := before.Release, w.facts.Release
			if is.Revision != was.Revision {
				if is.Digest == was.Digest && is.Tries < was.Tries {
					t.Fatalf("%d tries are forgotten:\n%+v", was.Tries, is)
				}
				continue
			}
			verdict, _ := analysis.Overall(before.Analysis)
			spoke := is.Tries - was.Tries
			if spoke != 0 && (spoke != 1 || verdict != otav1alpha1.VerdictFailing) {
				t.Fatalf("%d tries after %s", spoke, verdict)
			}
			if grown := len(is.Exclude) - len(was.Exclude); grown > 0 && (grown != 1 || spoke != 1 || is.Weight != was.Weight || is.Stage != was.Stage+1 ||
				is.State != was.State || is.Exclude[len(was.Exclude)] != before.Slice.Match || !before.Slice.RestFine) {
				t.Fatalf("excluded from\n%+v\nto\n%+v", was, is)
			}
			if is.Outcome == otav1alpha1.ReleaseRolledBack && was.Outcome == "" && spoke != 1 {
				t.Fatalf("rolled back by the analysis without counting it: %+v", is)
			}
		}
	})
}

// Plan changes nothing of what it is given.
func TestPlan_isPure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 60 {
			w.live(t)
			before := w.facts.Release
			before.Rises, before.Exclude = slices.Clone(before.Rises), slices.Clone(before.Exclude)
			Plan(w.facts)
			if !reflect.DeepEqual(before, w.facts.Release) {
				t.Fatalf("was\n%+v, is\n%+v", before, w.facts.Release)
			}
			w.step()
		}
	})
}
