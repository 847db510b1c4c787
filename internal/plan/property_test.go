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

// Invariant 1: the weight never rises without a passing verdict measured after the previous rise was committed, but for suspicions, and
// controls that are too small, that a person overrules by promote for that rise alone.
func TestPlan_risesOnlyOnPassing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 60 {
			w.disturb(t)
			before := w.facts
			w.step()
			after := w.facts.Release
			same := after.Revision == before.Release.Revision && before.Release.Revision > 0
			rise := exposure(after) > exposure(before.Release) && exposure(before.Release) > 0
			if !same || !rise || before.Spec.Metrics == 0 || after.Step < before.Spec.FirstCheck || w.full {
				continue
			}
			rest := slices.DeleteFunc(slices.Clone(before.Analysis), func(m analysis.Result) bool {
				return m.Verdict == otav1alpha1.VerdictNotEnoughSamples && !m.Held.IsZero() && (before.Release.Overruled != "" || w.promote)
			})
			verdict, _ := analysis.Overall(rest)
			if len(rest) == 0 && len(before.Analysis) > 0 {
				verdict = otav1alpha1.VerdictPassing // a person answers for all of them
			}
			if after.Overruled != "" {
				t.Fatalf("rose, and %s overrules the next rise, too", after.Overruled)
			}
			if verdict != otav1alpha1.VerdictPassing || len(before.Analysis) < before.Spec.Metrics {
				t.Fatalf("rose from %d to %d on %s", exposure(before.Release), exposure(after), verdict)
			}
			committed := before.Release.CommittedAt
			if committed.IsZero() {
				committed = before.Channel.At
			}
			for _, m := range before.Analysis {
				if committed.IsZero() || !m.MeasuredAt.After(committed) {
					t.Fatalf("rose from %d to %d on a measurement of %s, committed at %s", exposure(before.Release), exposure(after), m.MeasuredAt, committed)
				}
			}
		}
	})
}

// Invariant 4: from any state a failing verdict leads to weight 0 within one plan call and one commit, and once refused a
// digest is never asked for again unless a person retries.
func TestPlan_failingRollsBackAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.facts.Spec.OnFailure = otav1alpha1.OnFailureRollback
		w.facts.Spec.Metrics = 1
		for range rapid.IntRange(0, 50).Draw(t, "before") {
			w.disturb(t)
			w.step()
		}
		w.facts.Spec.OnFailure = otav1alpha1.OnFailureRollback
		r := w.facts.Release
		moving := r.State == otav1alpha1.ReleaseProgressing || r.State == otav1alpha1.ReleasePaused || r.State == otav1alpha1.ReleasePromoting
		if !moving || r.Step < w.facts.Spec.FirstCheck || w.facts.Spec.Bundle != r.Bundle {
			return
		}
		w.facts.Command = nil
		if s := w.facts.Slice; s != nil {
			w.facts.Slice = &Slice{Match: s.Match, Message: s.Message} // the other devices are not fine either
		}
		w.facts.Analysis = []analysis.Result{{Name: "m0", EvidenceLimit: 3, Verdict: otav1alpha1.VerdictFailing, Message: "bad", MeasuredAt: w.facts.Now}}
		w.step()
		if got := exposure(w.facts.Release); got != 0 {
			t.Fatalf("asks for %d after a failing verdict, state %s", got, w.facts.Release.State)
		}
		w.commit()
		if c := w.facts.Channel.Candidate; c != nil || w.facts.Channel.StableDigest == r.Digest {
			t.Fatalf("devices still see %s: candidate %+v, stable %s", r.Digest, c, w.facts.Channel.StableDigest)
		}
	})
}

// Invariant 5: the same facts give the same decision, and deciding again with nothing changed comes to rest.
func TestPlan_deterministicAndComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 40 {
			w.disturb(t)
			if a, b := Plan(w.facts), Plan(w.facts); !reflect.DeepEqual(a, b) {
				t.Fatalf("two decisions on the same facts:\n%+v\n%+v", a, b)
			}
			w.step()
			for i := 0; ; i++ {
				before := w.facts.Release
				if w.step(); w.facts.Release.Equal(before) {
					break
				}
				if i > 6 {
					t.Fatalf("does not come to rest: %+v", w.facts.Release)
				}
			}
		}
	})
}

// Invariant 6: a release that moves always says why it does not, and there is a time to look again exactly when time alone
// changes something: then, and not before.
func TestPlan_noLivelock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 40 {
			w.disturb(t)
			w.step()
			d := w.step()
			if d.Reason == "" || d.Message == "" {
				t.Fatalf("says nothing: %+v", d)
			}
			if d.Waiting && d.RequeueAfter <= 0 {
				t.Fatalf("waits for a commit without looking again: %+v", d)
			}
			d = Plan(w.facts)
			if d.Waiting || !d.Release.Equal(w.facts.Release) || ahead(w.facts) {
				continue // what changes is looked at again at once
			}
			if d.RequeueAfter < 0 {
				t.Fatalf("looks again in the past: %+v", d)
			}
			early := []time.Duration{time.Second, time.Hour, 30 * time.Hour, 300 * 24 * time.Hour}
			if d.RequeueAfter > 0 {
				early = []time.Duration{d.RequeueAfter / 2, d.RequeueAfter - 1}
				if w.same(d, d.RequeueAfter) {
					t.Fatalf("nothing changes after %s: %+v", d.RequeueAfter, d)
				}
			}
			for _, passed := range early {
				if !w.same(d, passed) {
					t.Fatalf("changes after %s, looks again after %s: %+v", passed, d.RequeueAfter, d)
				}
			}
		}
	})
}

// same tells whether a decision is still the same when nothing but time has passed.
func (w *world) same(d Decision, passed time.Duration) bool {
	f := w.facts
	f.Now = f.Now.Add(passed)
	f.Window = w.windows(f.Now)
	is := Plan(f)
	return is.Reason == d.Reason && is.Message == d.Message && is.Release.Equal(d.Release)
}

// ahead tells whether the clock was set back to before something that it has seen.
func ahead(f Facts) bool {
	r := f.Release
	late := f.Now.Before(r.EnteredAt) || f.Now.Before(r.CommittedAt)
	for _, rise := range r.Rises {
		late = late || f.Now.Before(rise.At)
	}
	return late
}

// Invariant 2, the part of the plan: a refused or revoked digest is never asked for.
func TestPlan_neverAsksForRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 60 {
			w.disturb(t)
			before := w.facts
			w.step()
			r := w.facts.Release
			_, refused := before.Channel.Refused[r.Digest]
			wrong := refused || (before.bundleOf(r).Revoked != "" && r.State != otav1alpha1.ReleaseCompleted)
			if wrong && exposure(r) > 0 {
				t.Fatalf("asks for %d of refused or revoked %s in state %s", exposure(r), r.Bundle, r.State)
			}
		}
	})
}

func (f Facts) bundleOf(r Release) Bundle {
	if r.Bundle == f.Spec.Bundle {
		return f.Bundle
	}
	return f.Running
}

// A good release completes whatever the steps, the windows, the limits, the line and the bake are, when commits, time and
// verdicts are kind.
func TestPlan_goodReleaseCompletes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.facts.Channel.MaxFirstWeight = FullWeight
		w.facts.Queue = Queue{Limit: 2, Active: rapid.IntRange(0, 5).Draw(t, "active"), Ahead: rapid.IntRange(0, 1).Draw(t, "ahead")}
		if w.windows(noon).NextOpen.IsZero() && w.windows(noon).Closed {
			w.windows = calendars[3]
		}
		for range 600 {
			d := w.step()
			passed := d.RequeueAfter
			if passed == 0 || d.Waiting {
				passed = time.Second
			}
			w.kind(passed)
			if w.facts.Release.State == otav1alpha1.ReleaseCompleted {
				return
			}
		}
		t.Fatalf("did not complete: %+v", Plan(w.facts))
	})
}

// What a person takes back of the channel, be it under way or stable, ends its release by name at the next look, and stays ended until
// a person asks for it again.
func TestPlan_takenBackByPerson(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(0, 80).Draw(t, "before") {
			w.live(t)
			w.step()
		}
		w.facts.Command = nil
		ch, r := w.facts.Channel, w.facts.Release
		wanted := r.Bundle == w.facts.Spec.Bundle && w.facts.Bundle.Revoked == "" && ch.Refused[r.Digest] == ""
		under := ch.Candidate != nil && ch.Candidate.Digest == r.Digest &&
			(r.State == otav1alpha1.ReleaseProgressing || r.State == otav1alpha1.ReleasePaused || r.State == otav1alpha1.ReleasePromoting)
		done := r.State == otav1alpha1.ReleaseCompleted && ch.Candidate == nil && ch.StableDigest == r.Digest
		if !wanted || !under && !done {
			return
		}
		w.overrule(true)
		w.step()
		want := otav1alpha1.ReleaseAborted
		if done {
			want = otav1alpha1.ReleaseRolledBack
		}
		is := w.facts.Release
		if is.State != want || is.Reason != "rolled back by jane: logins fail" || exposure(is) != 0 || is.Revision != r.Revision {
			t.Fatalf("was %s, is %s at %d: %q", r.State, is.State, exposure(is), is.Reason)
		}
		for range 5 {
			w.commit()
			w.facts.Now = w.facts.Now.Add(time.Hour)
			if w.look(); w.step().Release.State != want || w.facts.Channel.Candidate != nil {
				t.Fatalf("comes back: %+v", w.facts.Release)
			}
		}
	})
}
