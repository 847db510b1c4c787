// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
)

// world is a Rollout with everything around it: a channel that commits what it is assigned, some time later or never, people
// who give commands, a clock that may go backwards, and metrics that say anything.
type world struct {
	facts   Facts
	bundles map[string]Bundle
	full    bool // a person promoted in full since the last pass
}

func newWorld(t *rapid.T) *world {
	w := &world{bundles: map[string]Bundle{}}
	for i := range 3 {
		name := fmt.Sprintf("shop-%d", i)
		w.bundles[name] = Bundle{Found: true, Ready: true, Version: fmt.Sprintf("1.%d.0", i), Digest: fmt.Sprintf("sha256:%064d", i)}
	}
	w.facts = Facts{
		Now: time.Unix(1_800_000_000, 0).UTC(), UID: "uid",
		Channel: Channel{Ready: true, MaxFirstWeight: FullWeight, Refused: map[string]string{}},
		Spec: Spec{
			Bundle: "shop-0", Steps: drawSteps(t), StepsHash: "a", Metrics: rapid.IntRange(0, 2).Draw(t, "metrics"),
			FirstCheck: rapid.IntRange(0, 2).Draw(t, "firstCheck"),
			OnFailure:  rapid.SampledFrom([]otav1alpha1.OnFailure{otav1alpha1.OnFailureRollback, otav1alpha1.OnFailurePause}).Draw(t, "onFailure"),
		},
	}
	w.look()
	return w
}

func drawSteps(t *rapid.T) []Step {
	var steps []Step
	weight := int32(0)
	for range rapid.IntRange(0, 6).Draw(t, "steps") {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			steps = append(steps, Step{Pause: true, Duration: time.Duration(rapid.IntRange(0, 100).Draw(t, "pause")) * time.Second})
		case 1:
			steps = append(steps, Step{Pause: true, MinSamples: int64(rapid.IntRange(1, 50).Draw(t, "samples")), Duration: time.Minute})
		default:
			weight = int32(rapid.IntRange(int(weight), FullWeight).Draw(t, "weight"))
			steps = append(steps, Step{Weight: weight})
		}
	}
	return steps
}

// look refreshes what is known of the bundles.
func (w *world) look() {
	w.facts.Bundle = w.bundles[w.facts.Spec.Bundle]
	w.facts.Running = w.bundles[w.facts.Release.Bundle]
}

// commit makes the channel do what it is assigned, as serve.Next would.
func (w *world) commit() {
	a, ch := Assignment(w.facts.UID, w.facts.Release), &w.facts.Channel
	own := ch.Candidate != nil
	switch {
	case a == nil:
		ch.Candidate = nil
	case a.State == otav1alpha1.AssignmentCandidate && ch.Refused[string(a.Digest)] == "":
		weight, _ := ParseWeight(string(a.Weight))
		next := &Candidate{Mine: true, Release: a.Release, Digest: string(a.Digest), Weight: weight, Stage: a.Stage}
		if !reflect.DeepEqual(next, ch.Candidate) {
			ch.At = w.facts.Now
		}
		ch.Candidate = next
	case a.State == otav1alpha1.AssignmentPromoted && own && ch.Candidate.Release == a.Release:
		ch.StableDigest, ch.Candidate = string(a.Digest), nil
	case a.State == otav1alpha1.AssignmentPromoted:
	default:
		ch.Candidate = nil
	}
	if a != nil && a.Refuse != "" {
		ch.Refused[string(a.Digest)] = a.Refuse
		if ch.StableDigest == string(a.Digest) {
			ch.StableDigest = ""
		}
	}
	if a != nil && a.Lift != "" {
		delete(ch.Refused, string(a.Digest))
	}
}

var verdicts = []otav1alpha1.Verdict{
	otav1alpha1.VerdictPassing, otav1alpha1.VerdictPassing, otav1alpha1.VerdictPassing, otav1alpha1.VerdictFailing,
	otav1alpha1.VerdictNotEnoughSamples, otav1alpha1.VerdictNoData, otav1alpha1.VerdictProviderError,
}

// disturb does one random thing to the world.
func (w *world) disturb(t *rapid.T) {
	f := &w.facts
	switch rapid.IntRange(0, 12).Draw(t, "what") {
	case 0, 1, 2:
		w.commit()
	case 3, 4:
		f.Now = f.Now.Add(time.Duration(rapid.IntRange(-20, 200).Draw(t, "seconds")) * time.Second)
	case 5, 6, 7:
		f.Analysis = nil
		for i := range f.Spec.Metrics {
			f.Analysis = append(f.Analysis, analysis.Result{
				Name: fmt.Sprint("m", i), Verdict: rapid.SampledFrom(verdicts).Draw(t, "verdict"), MeasuredAt: f.Now,
				Pause:     rapid.IntRange(0, 9).Draw(t, "spent") == 0,
				Candidate: &analysis.Counts{Devices: int64(rapid.IntRange(0, 100).Draw(t, "devices"))},
			})
		}
	case 8:
		f.Command = &Command{ID: "x", By: "jane", Name: rapid.SampledFrom([]string{Promote, PromoteFull, Pause, Resume, Abort, Retry, "dance"}).Draw(t, "command")}
	case 9:
		f.Spec.Bundle = rapid.SampledFrom([]string{"shop-0", "shop-1", "shop-2"}).Draw(t, "bundle")
	case 10:
		f.Channel.Halted = rapid.Bool().Draw(t, "halted")
		f.Spec.Paused = rapid.SampledFrom([]string{"", "lunch"}).Draw(t, "paused")
	case 11:
		if rapid.IntRange(0, 5).Draw(t, "rare") == 0 {
			b := w.bundles[f.Spec.Bundle]
			b.Revoked = "CVE"
			w.bundles[f.Spec.Bundle] = b
		}
	case 12:
		f.Spec.Steps, f.Spec.StepsHash = drawSteps(t), fmt.Sprint(rapid.IntRange(0, 1000).Draw(t, "hash"))
	}
	w.look()
}

// step plans once and takes over what it says, as a reconcile does.
func (w *world) step() Decision {
	d := Plan(w.facts)
	w.full = d.Command != nil && d.Command.Command.Name == PromoteFull && d.Command.Refused == ""
	if d.Release.Revision != w.facts.Release.Revision {
		w.facts.Analysis = nil
	}
	w.facts.Release, w.facts.Command = d.Release, nil
	w.look()
	return d
}

// exposure is the share of devices that a release asks for.
func exposure(r Release) int32 {
	if a := Assignment("uid", r); a != nil && a.State == otav1alpha1.AssignmentPromoted {
		return FullWeight
	}
	return r.Weight
}

// Invariant 1: the weight never rises without a passing verdict measured after the previous rise was committed.
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
			verdict, _ := analysis.Overall(before.Analysis)
			if verdict != otav1alpha1.VerdictPassing || len(before.Analysis) < before.Spec.Metrics {
				t.Fatalf("rose from %d to %d on %s", exposure(before.Release), exposure(after), verdict)
			}
			for _, m := range before.Analysis {
				if before.Release.CommittedAt.IsZero() && before.Channel.At.IsZero() || !m.MeasuredAt.After(before.Release.CommittedAt) {
					t.Fatalf("rose from %d to %d on a measurement of %s, committed at %s", exposure(before.Release), exposure(after),
						m.MeasuredAt, before.Release.CommittedAt)
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
		w.facts.Analysis = []analysis.Result{{Name: "m0", Verdict: otav1alpha1.VerdictFailing, Message: "bad", MeasuredAt: w.facts.Now}}
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

// Invariant 6: while something is due by time, there is a time to look again; a release that moves always says why it does not.
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
			r := d.Release
			if d.Reason != otav1alpha1.ProgressingReason || r.State != otav1alpha1.ReleaseProgressing || d.Waiting || r.Step >= len(w.facts.Spec.Steps) {
				continue
			}
			if s := w.facts.Spec.Steps[r.Step]; s.Pause && candidates(w.facts.Analysis) >= s.MinSamples && d.RequeueAfter <= 0 {
				t.Fatalf("pauses without looking again: %+v", d)
			}
		}
	})
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

// A good release completes whatever the steps are, when commits, time and verdicts are kind.
func TestPlan_goodReleaseCompletes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 200 {
			w.step()
			w.commit()
			w.facts.Now = w.facts.Now.Add(50 * time.Second)
			w.facts.Analysis = nil
			for i := range w.facts.Spec.Metrics {
				w.facts.Analysis = append(w.facts.Analysis, analysis.Result{
					Name: fmt.Sprint(i), Verdict: otav1alpha1.VerdictPassing, MeasuredAt: w.facts.Now, Candidate: &analysis.Counts{Devices: 100},
				})
			}
			if s := w.facts.Spec.Steps; w.facts.Release.Step < len(s) && s[w.facts.Release.Step].Indefinite() {
				w.facts.Command = &Command{ID: "go", Name: Promote}
			}
			if w.facts.Spec.Metrics == 0 { // samples come from metrics: without them a person has to go on
				w.facts.Command = &Command{ID: "go", Name: Promote}
			}
			if w.facts.Release.State == otav1alpha1.ReleaseCompleted {
				return
			}
		}
		t.Fatalf("did not complete: %+v", Plan(w.facts))
	})
}
