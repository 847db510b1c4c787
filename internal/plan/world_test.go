// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
)

// world is a Rollout with everything around it: a channel that commits what it is assigned, some time later or never, people
// who give commands, a clock that may go backwards, windows that open and close, a line of other releases, and metrics that say anything.
type world struct {
	facts   Facts
	bundles map[string]Bundle
	windows func(time.Time) Window
	full    bool // a person promoted in full in the last pass
	promote bool // a person promoted in the last pass
}

func newWorld(t *rapid.T) *world {
	w := &world{bundles: map[string]Bundle{}, windows: rapid.SampledFrom(calendars).Draw(t, "windows")}
	for i := range 3 {
		name := fmt.Sprintf("shop-%d", i)
		w.bundles[name] = Bundle{Found: true, Ready: true, Version: fmt.Sprintf("1.%d.0", i), Digest: fmt.Sprintf("sha256:%064d", i)}
	}
	w.facts = Facts{
		Now: time.Unix(1_800_000_000, 0).UTC(), UID: "uid",
		Channel: Channel{Ready: true, Refused: map[string]string{}, TakenBack: map[string]string{},
			MaxFirstWeight:   rapid.SampledFrom([]int32{FullWeight, FullWeight, FullWeight, 3000, 100}).Draw(t, "maxFirstWeight"),
			MaxWeightPerHour: rapid.SampledFrom([]int32{0, 0, 3000, 500}).Draw(t, "maxWeightPerHour"),
		},
		Spec: Spec{
			Bundle: "shop-0", StepsHash: "a", Metrics: rapid.IntRange(0, 2).Draw(t, "metrics"),
			FirstCheck: rapid.IntRange(0, 2).Draw(t, "firstCheck"),
			OnFailure:  rapid.SampledFrom([]otav1alpha1.OnFailure{otav1alpha1.OnFailureRollback, otav1alpha1.OnFailurePause}).Draw(t, "onFailure"),
			OnSlice:    rapid.SampledFrom([]otav1alpha1.OnSlice{otav1alpha1.SliceRecommend, otav1alpha1.SliceExclude}).Draw(t, "onSlice"),
			Bake:       time.Duration(rapid.SampledFrom([]int{0, 60, 500}).Draw(t, "bake")) * time.Second,
		},
	}
	if w.facts.Spec.Bake > 0 {
		w.facts.Spec.Holdout = rapid.SampledFrom([]int32{0, 500, 2500}).Draw(t, "holdout")
	}
	w.facts.Spec.Steps = drawSteps(t, w.facts.Spec.most())
	w.look()
	return w
}

// calendars are windows of tests: none, five minutes in ten, forty minutes an hour, an hour in five, and never.
var calendars = []func(time.Time) Window{
	func(time.Time) Window { return Window{} },
	func(time.Time) Window { return Window{} },
	func(at time.Time) Window { return periodic(at, 10*time.Minute, 5*time.Minute) },
	func(at time.Time) Window { return periodic(at, time.Hour, 40*time.Minute) },
	func(at time.Time) Window { return periodic(at, 5*time.Hour, time.Hour) },
	func(time.Time) Window { return Window{Closed: true, Reason: "never"} },
}

// periodic is a window that is open at the beginning of each period.
func periodic(at time.Time, period, open time.Duration) Window {
	began := at.Truncate(period)
	if at.Sub(began) < open {
		return Window{Reason: "inside", NextClose: began.Add(open)}
	}
	return Window{Closed: true, Reason: "outside", NextOpen: began.Add(period)}
}

func drawSteps(t *rapid.T, most int32) []Step {
	var steps []Step
	weight := int32(0)
	for range rapid.IntRange(0, 6).Draw(t, "steps") {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			steps = append(steps, Step{Pause: true, Duration: time.Duration(rapid.IntRange(0, 100).Draw(t, "pause")) * time.Second})
		case 1:
			steps = append(steps, Step{Pause: true, MinSamples: int64(rapid.IntRange(1, 50).Draw(t, "samples")), Duration: time.Minute})
		default:
			weight = int32(rapid.IntRange(int(weight), int(most)).Draw(t, "weight"))
			steps = append(steps, Step{Weight: weight})
		}
	}
	return steps
}

// look refreshes what is known of the bundles, and what time does.
func (w *world) look() {
	w.facts.Bundle = w.bundles[w.facts.Spec.Bundle]
	w.facts.Running = w.bundles[w.facts.Release.Bundle]
	w.facts.Window = w.windows(w.facts.Now)
}

// commit makes the channel do what it is assigned.
func (w *world) commit() {
	w.facts.Channel, _ = w.facts.Channel.Commit(w.facts.UID, w.facts.Release, w.facts.Now)
}

var verdicts = []otav1alpha1.Verdict{
	otav1alpha1.VerdictPassing, otav1alpha1.VerdictPassing, otav1alpha1.VerdictPassing, otav1alpha1.VerdictFailing,
	otav1alpha1.VerdictNotEnoughSamples, otav1alpha1.VerdictNoData, otav1alpha1.VerdictProviderError,
}

var androids = []*Slice{
	nil, nil,
	{Match: otav1alpha1.Slice{Platform: "android"}, Message: "android: 31/40 failures", RestFine: true},
	{Match: otav1alpha1.Slice{Platform: "android", NativeVersion: "<4.3.0"}, Message: "android, nativeVersion<4.3.0: 31/40 failures", RestFine: true},
	{Match: otav1alpha1.Slice{Region: "eu"}, Message: "eu: 31/40 failures"},
}

// disturb does one random thing to the world.
func (w *world) disturb(t *rapid.T) {
	f := &w.facts
	switch rapid.IntRange(0, 16).Draw(t, "what") {
	case 0, 1, 2:
		w.commit()
	case 3, 4:
		f.Now = f.Now.Add(time.Duration(rapid.IntRange(-20, 200).Draw(t, "seconds")) * time.Second)
	case 5, 6, 7:
		w.measure(t)
	case 8:
		f.Command = &Command{ID: "x", By: "jane", Name: rapid.SampledFrom([]string{Promote, PromoteFull, Pause, Resume, Abort, Retry, "dance"}).Draw(t, "command")}
	case 9:
		f.Spec.Bundle = rapid.SampledFrom([]string{"shop-0", "shop-1", "shop-2"}).Draw(t, "bundle")
	case 10:
		f.Channel.Halted = rapid.SampledFrom([]string{"", "halted by jane: logins fail"}).Draw(t, "halted")
		f.Spec.Paused = rapid.SampledFrom([]string{"", "lunch"}).Draw(t, "paused")
	case 11:
		if rapid.IntRange(0, 5).Draw(t, "rare") == 0 {
			b := w.bundles[f.Spec.Bundle]
			b.Revoked = "CVE"
			w.bundles[f.Spec.Bundle] = b
		}
	case 12:
		f.Spec.Steps, f.Spec.StepsHash = drawSteps(t, f.Spec.most()), fmt.Sprint(rapid.IntRange(0, 1000).Draw(t, "hash"))
	case 13:
		f.Queue = Queue{Limit: rapid.IntRange(0, 2).Draw(t, "limit"), Active: rapid.IntRange(0, 2).Draw(t, "active"), Ahead: rapid.IntRange(0, 1).Draw(t, "ahead")}
	case 14:
		f.Slice = rapid.SampledFrom(androids).Draw(t, "slice")
	case 15:
		f.Now = f.Now.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "minutes")) * time.Minute)
	case 16:
		w.overrule(rapid.IntRange(0, 3).Draw(t, "rarely") == 0)
	}
	w.look()
}

// overrule is a person who rolls the channel back, or allows again what is refused.
func (w *world) overrule(rollback bool) {
	ch := &w.facts.Channel
	if !rollback {
		clear(ch.Refused)
		clear(ch.TakenBack)
		return
	}
	digest := ch.StableDigest
	if ch.Candidate != nil {
		digest = ch.Candidate.Digest
	}
	if digest != "" {
		ch.Refused[digest], ch.TakenBack[digest] = "logins fail (user/jane)", "rolled back by jane: logins fail"
	}
	if ch.Candidate = nil; ch.StableDigest == digest {
		ch.StableDigest = ""
	}
}

// live lets something happen, mostly good: so that releases come far.
func (w *world) live(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "luck") == 0 {
		w.disturb(t)
		return
	}
	w.kind(time.Duration(rapid.IntRange(1, 900).Draw(t, "passed")) * time.Second)
}

func (w *world) measure(t *rapid.T) {
	f := &w.facts
	f.Analysis = nil
	for i := range f.Spec.Metrics {
		f.Analysis = append(f.Analysis, analysis.Result{
			Name: fmt.Sprint("m", i), Verdict: rapid.SampledFrom(verdicts).Draw(t, "verdict"), MeasuredAt: f.Now,
			Pause:         rapid.IntRange(0, 9).Draw(t, "spent") == 0,
			EvidenceLimit: rapid.SampledFrom([]float64{3, 3, 0}).Draw(t, "evidence limit"),
			Candidate:     &analysis.Counts{Devices: int64(rapid.IntRange(0, 100).Draw(t, "devices"))},
		})
		if rapid.Bool().Draw(t, "held") {
			f.Analysis[i].Held = f.Now.Add(-time.Minute)
		}
	}
}

// kind is a world in which all goes well: metrics pass, commits land, those in line are done, and a person ends what only a person can.
func (w *world) kind(passed time.Duration) {
	w.commit()
	f := &w.facts
	f.Now = f.Now.Add(passed)
	f.Analysis, f.Queue.Active, f.Queue.Ahead = nil, max(f.Queue.Active-1, 0), 0
	for i := range f.Spec.Metrics {
		f.Analysis = append(f.Analysis, analysis.Result{
			Name: fmt.Sprint(i), Verdict: otav1alpha1.VerdictPassing, MeasuredAt: f.Now, Candidate: &analysis.Counts{Devices: 100},
		})
	}
	r := f.Release
	person := f.Spec.Metrics == 0 && r.Step < len(f.Spec.Steps) && f.Spec.Steps[r.Step].MinSamples > 0 // nothing counts samples
	if s := f.Spec.Steps; person || (r.Step < len(s) && s[r.Step].Indefinite()) {
		f.Command = &Command{ID: "go", Name: Promote}
	}
	w.look()
}

// step plans once and takes over what it says, as a reconcile does.
func (w *world) step() Decision {
	was := w.facts.Release
	d := Plan(w.facts)
	did := func(name string) bool {
		return d.Command != nil && d.Command.Command.Name == name && d.Command.Refused == ""
	}
	w.full, w.promote = did(PromoteFull), did(Promote)
	if d.Release.Revision != was.Revision || !slices.Equal(d.Release.Exclude, was.Exclude) {
		w.facts.Analysis, w.facts.Slice = nil, nil
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

// rose is by how much the exposure of a release rose in a pass. What completes has risen before.
func rose(was, is Release) int32 {
	if is.State == otav1alpha1.ReleaseCompleted {
		return 0
	}
	from := int32(0)
	if was.Revision == is.Revision {
		from = exposure(was)
	}
	return max(exposure(is)-from, 0)
}
