// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
)

// due is a release whose pause at 10 % is over, with a passing verdict: it rises to 50 % now.
func due() Facts {
	f := running()
	f.Now = noon.Add(time.Hour)
	f.Release.Stage, f.Channel.Candidate.Stage = 1, 1
	f.Release.Rises = []Rise{{noon.Add(-time.Minute), 1000}}
	f.Analysis[0].EvidenceLimit = 3
	return f
}

// done is a release that has done its steps, at 50 %.
func done(f *Facts) {
	f.Release.Step, f.Release.Weight, f.Release.Stage = 3, 5000, 2
	f.Release.Rises = append(f.Release.Rises, Rise{f.Now, 4000})
	f.Release.CommittedAt, f.Release.EnteredAt = f.Now, f.Now
	f.Channel.Candidate.Weight, f.Channel.Candidate.Stage = 5000, 2
	f.Now = f.Now.Add(time.Minute)
	f.Analysis[0].MeasuredAt = f.Now
}

// bakes is a release in its bake of a day, at 95 %, for an hour.
func bakes(f *Facts) {
	f.Spec.Bake, f.Spec.Holdout = 24*time.Hour, 500
	done(f)
	f.Release.Weight, f.Channel.Candidate.Weight = 9500, 9500
	f.Now = f.Release.CommittedAt.Add(time.Hour)
	f.Analysis[0].MeasuredAt = f.Now
}

func closed(f *Facts) {
	f.Window = Window{Closed: true, Reason: "inside the Deny window X", NextOpen: f.Now.Add(90 * time.Minute)}
}

func given(name string) func(*Facts) {
	return func(f *Facts) { f.Command = &Command{ID: "1", Name: name, By: "jane"} }
}

// suspicious is a metric that holds the release: since just now, or for too long.
func suspicious(long bool) func(*Facts) {
	return func(f *Facts) {
		f.Analysis[0] = analysis.Result{Name: "m", Verdict: otav1alpha1.VerdictNotEnoughSamples, Message: "evidence 8 of 20", MeasuredAt: f.Now,
			Held: f.Now.Add(-time.Minute), Pause: long}
	}
}

func onHold(f *Facts) { f.Release.State, f.Release.Reason = otav1alpha1.ReleasePaused, "held" }

// lastStep is a release in the pause after which its bundle becomes stable.
func lastStep(f *Facts) { f.Spec.Steps = f.Spec.Steps[:2] }

// samples is a pause for 100 devices, of which 60 reported.
func samples(f *Facts) {
	f.Spec.Steps[1].MinSamples, f.Analysis[0].Candidate = 100, &analysis.Counts{Devices: 60}
}

func slice(restFine bool) func(*Facts) {
	return func(f *Facts) {
		failing(f)
		f.Spec.OnSlice = otav1alpha1.SliceExclude
		f.Slice = &Slice{Match: otav1alpha1.Slice{Platform: "android"}, Message: "slice: android: 31/40 failures", RestFine: restFine}
	}
}

func notStarted(f *Facts) {
	f.Release.State, f.Release.Step, f.Release.Weight, f.Release.Stage = otav1alpha1.ReleasePending, 0, 0, 0
	f.Release.CommittedAt, f.Release.EnteredAt, f.Release.Rises = time.Time{}, time.Time{}, nil
	f.Channel.Candidate, f.Analysis = nil, nil
}

// How far a release may rise, when, and what it says of that.
func TestPlan_pace(t *testing.T) {
	type change = []func(*Facts)
	for name, tc := range map[string]struct {
		change change
		state  otav1alpha1.ReleaseState
		weight int32
		stage  int32
		reason string
		text   string
		again  time.Duration // 0: no time is due
	}{
		"rises": {nil, "Progressing", 5000, 2, "Progressing", "publishing 50 %", commitPatience},
		"window closed": {change{closed}, "Progressing", 1000, 1, "WaitingForWindow",
			"10 % since 07:59, step 3/3: inside the Deny window X: waiting for spec.windows to open at 2027-01-15 10:30 UTC, then shop-1 rises to 50 %", 90 * time.Minute},
		"window closed for ever": {change{closed, func(f *Facts) { f.Window.NextOpen = time.Time{} }}, "Progressing", 1000, 1, "WaitingForWindow",
			"waiting for spec.windows to open, which they do not within a year", 0},
		"window closed, no verdict":   {change{closed, func(f *Facts) { f.Analysis = nil }}, "Progressing", 1000, 1, "Holding", "waiting for the first measurement", 0},
		"window closed, and it fails": {change{closed, failing}, "RollingBack", 0, 1, "RollingBack", "8 of 100 devices failed", commitPatience},
		"window closed, in a pause":   {change{closed, func(f *Facts) { f.Now = noon }}, "Progressing", 1000, 1, "Progressing", "pausing for 1h0m0s", 59 * time.Minute},
		"window closed, promoted in full": {change{closed, given(PromoteFull)}, "Promoting", 1000, 1, "Progressing",
			"making shop-1 stable: promoted in full by jane, whatever steps and bake were left", commitPatience},
		"window closed, promoted": {change{closed, given(Promote)}, "Progressing", 1000, 1, "WaitingForWindow", "then shop-1 rises to 50 %", 90 * time.Minute},
		"window closed, not started": {change{notStarted, closed}, "Pending", 0, 0, "WaitingForWindow",
			"inside the Deny window X: waiting for spec.windows to open at 2027-01-15 10:30 UTC, then shop-1 starts", 90 * time.Minute},
		"window closed, all done": {change{done, closed}, "Progressing", 5000, 2, "WaitingForWindow", "50 % since 09:00, all steps done: inside the Deny window X", 90 * time.Minute},
		"window closed, at 100 %": {change{done, func(f *Facts) { f.Release.Weight, f.Channel.Candidate.Weight = FullWeight, FullWeight }, closed},
			"Promoting", FullWeight, 2, "Progressing", "making shop-1 stable", commitPatience},

		"limit":         {change{func(f *Facts) { f.Channel.MaxWeightPerHour = 4000 }}, "Progressing", 5000, 2, "Progressing", "publishing 50 %", commitPatience},
		"limit, a part": {change{func(f *Facts) { f.Channel.MaxWeightPerHour = 1500 }}, "Progressing", 2500, 2, "Progressing", "publishing 25 %, a part of the rise to 50 %", commitPatience},
		"limit, partly used": {change{func(f *Facts) { f.Channel.MaxWeightPerHour, f.Release.Rises[0].At = 1500, noon.Add(30*time.Minute) }},
			"Progressing", 1500, 2, "Progressing", "publishing 15 %, a part of the rise to 50 %", commitPatience},
		"limit, used up": {change{func(f *Facts) { f.Channel.MaxWeightPerHour, f.Release.Rises[0].At = 1000, noon.Add(30*time.Minute) }},
			"Progressing", 1000, 1, "WeightLimited", "the weight rose by the 10 percentage points that the Channel's maxWeightPerHour allows: it rises again at 2027-01-15 09:30 UTC", 30 * time.Minute},
		"limit, used up, window closes": {change{func(f *Facts) {
			f.Channel.MaxWeightPerHour, f.Release.Rises[0].At, f.Window.NextClose = 1000, noon.Add(30*time.Minute), f.Now.Add(time.Minute)
		}}, "Progressing", 1000, 1, "WeightLimited", "maxWeightPerHour", time.Minute},
		"limit, clock set back":   {change{func(f *Facts) { f.Channel.MaxWeightPerHour, f.Release.Rises[0].At = 1000, f.Now.Add(24*time.Hour) }}, "Progressing", 1000, 1, "WeightLimited", "maxWeightPerHour", time.Hour},
		"limit, all done":         {change{done, func(f *Facts) { f.Channel.MaxWeightPerHour = 5500 }}, "Progressing", 6500, 3, "Progressing", "publishing 65 %, a part of the rise to 100 %", commitPatience},
		"limit, promoted in full": {change{given(PromoteFull), func(f *Facts) { f.Channel.MaxWeightPerHour = 1000 }}, "Promoting", 1000, 1, "Progressing", "promoted in full by jane", commitPatience},

		"first weight":           {change{notStarted}, "Progressing", 1000, 1, "Progressing", "publishing 10 %", commitPatience},
		"first weight too large": {change{notStarted, func(f *Facts) { f.Channel.MaxFirstWeight = 100 }}, "Pending", 0, 0, "InvalidSpec", `the first weight is 10 %, above the 1 % that the Channel lets a release begin with: put a smaller step first, or raise spec.maxFirstWeight of the Channel to "10"`, 0},
		"no steps": {change{notStarted, func(f *Facts) { f.Spec.Steps, f.Channel.MaxFirstWeight = nil, 100 }}, "Pending", 0, 0, "InvalidSpec",
			`there are no steps, so that the first weight is 100 %, above the 1 % that the Channel lets a release begin with: put a smaller step first, or raise spec.maxFirstWeight of the Channel to "100"`, 0},
		"no steps, allowed": {change{notStarted, func(f *Facts) { f.Spec.Steps, f.Channel.MaxFirstWeight = nil, FullWeight }}, "Progressing", FullWeight, 1, "Progressing", "publishing 100 %", commitPatience},
		"no steps, but a bake": {change{notStarted, func(f *Facts) {
			f.Spec.Steps, f.Channel.MaxFirstWeight, f.Spec.Bake, f.Spec.Holdout = nil, 9500, time.Hour, 500
		}}, "Progressing", 9500, 1, "Progressing", "publishing 95 %", commitPatience},
		"first weight in parts":         {change{notStarted, func(f *Facts) { f.Channel.MaxWeightPerHour = 300 }}, "Progressing", 300, 1, "Progressing", "publishing 3 %, a part of the rise to 10 %", commitPatience},
		"first step changed meanwhile":  {change{notStarted, func(f *Facts) { f.Release.State, f.Channel.MaxFirstWeight = otav1alpha1.ReleaseProgressing, 100 }}, "Progressing", 0, 0, "InvalidSpec", "above the 1 %", 0},
		"invalid spec, not started yet": {change{notStarted, func(f *Facts) { f.Spec.Blocked = "steps fall" }}, "Pending", 0, 0, "InvalidSpec", "steps fall", 0},

		"in line": {change{notStarted, func(f *Facts) { f.Queue = Queue{Limit: 3, Active: 3, Ahead: 1, Names: []string{"a", "b"}} }}, "Pending", 0, 0, "Queued",
			"position 2 in the Repository's line: 3 of at most 3 releases are under way (a, b, ...), shop-1 starts when there is room", 0},
		"room for those before":     {change{notStarted, func(f *Facts) { f.Queue = Queue{Limit: 3, Active: 2, Ahead: 1} }}, "Pending", 0, 0, "Queued", "position 2", 0},
		"room":                      {change{notStarted, func(f *Facts) { f.Queue = Queue{Limit: 3, Active: 1, Ahead: 1} }}, "Progressing", 1000, 1, "Progressing", "publishing 10 %", commitPatience},
		"in line, and a window":     {change{notStarted, closed, func(f *Facts) { f.Queue = Queue{Limit: 1, Active: 1} }}, "Pending", 0, 0, "WaitingForWindow", "then shop-1 starts", 90 * time.Minute},
		"no line for what moves on": {change{func(f *Facts) { f.Queue = Queue{Limit: 1, Active: 1} }}, "Progressing", 5000, 2, "Progressing", "publishing 50 %", commitPatience},

		"rises to bake": {change{done, func(f *Facts) { f.Spec.Bake, f.Spec.Holdout = time.Hour, 500 }}, "Progressing", 9500, 3, "Progressing", "publishing 95 %", commitPatience},
		"bakes": {change{bakes}, "Progressing", 9500, 2, "Baking",
			"95 % since 09:00, all steps done: baking for 24h0m0s until 2027-01-16 09:00 UTC, then shop-1 becomes stable", 23 * time.Hour},
		"bakes, clock set back": {change{bakes, func(f *Facts) { f.Now = noon }}, "Progressing", 9500, 2, "Baking", "baking", 24 * time.Hour},
		"bakes, and fails":      {change{bakes, failing}, "RollingBack", 0, 2, "RollingBack", "8 of 100", commitPatience},
		"bake over": {change{bakes, func(f *Facts) { f.Now = f.Release.CommittedAt.Add(24 * time.Hour) }}, "Promoting", 9500, 2, "Progressing",
			"making shop-1 stable", commitPatience},
		"bake over, no verdict":    {change{bakes, func(f *Facts) { f.Now, f.Analysis = f.Release.CommittedAt.Add(24*time.Hour), nil }}, "Progressing", 9500, 2, "Holding", "first measurement", 0},
		"bake over, window closed": {change{bakes, func(f *Facts) { f.Now = f.Release.CommittedAt.Add(24 * time.Hour) }, closed}, "Progressing", 9500, 2, "WaitingForWindow", "then shop-1 rises to 100 %", 90 * time.Minute},
		"bake over, limit below the holdout": {change{bakes, func(f *Facts) {
			f.Now, f.Channel.MaxWeightPerHour = f.Release.CommittedAt.Add(24*time.Hour), 200
		}}, "Progressing", 9700, 3, "Progressing", "publishing 97 %, a part of the rise to 100 %", commitPatience},
		"bake ended by a person":         {change{bakes, given(Promote)}, "Promoting", 9500, 2, "Progressing", "making shop-1 stable: its bake was ended by jane", commitPatience},
		"bake ended, but no verdict":     {change{bakes, given(Promote), func(f *Facts) { f.Analysis = nil }}, "Progressing", 9500, 2, "Holding", "first measurement", 0},
		"bake skipped with all the rest": {change{bakes, given(PromoteFull)}, "Promoting", 9500, 2, "Progressing", "promoted in full by jane", commitPatience},

		"held":                     {change{suspicious(false)}, "Progressing", 1000, 1, "Holding", "m says NotEnoughSamples: evidence 8 of 20", 0},
		"held for too long":        {change{suspicious(true)}, "Paused", 1000, 1, "Paused", "the analysis cannot tell, a person has to look: m: evidence 8 of 20", 0},
		"held, and promoted":       {change{suspicious(true), given(Promote)}, "Progressing", 5000, 2, "Progressing", "publishing 50 %: promoted by jane although the analysis cannot tell", commitPatience},
		"held, paused, promoted":   {change{suspicious(true), onHold, given(Promote)}, "Progressing", 5000, 2, "Progressing", "promoted by jane although", commitPatience},
		"held, promoted, closed":   {change{suspicious(true), given(Promote), closed}, "Progressing", 1000, 1, "WaitingForWindow", "then shop-1 rises to 50 %", 90 * time.Minute},
		"held, promoted before":    {change{suspicious(true), func(f *Facts) { f.Release.Overruled = "jane" }}, "Progressing", 5000, 2, "Progressing", "promoted by jane", commitPatience},
		"held, resumed":            {change{suspicious(true), onHold, given(Resume)}, "Paused", 1000, 1, "Paused", "held", 0},
		"held, promoted to stable": {change{suspicious(true), lastStep, given(Promote)}, "Promoting", 1000, 1, "Progressing", "making shop-1 stable: promoted by jane although", commitPatience},
		"promoted, and fails":      {change{suspicious(true), func(f *Facts) { f.Release.Overruled = "jane" }, failing}, "RollingBack", 0, 1, "RollingBack", "8 of 100", commitPatience},
		"promoted, and another cannot tell": {change{suspicious(true), given(Promote), func(f *Facts) {
			f.Analysis = append(f.Analysis, analysis.Result{Name: "q", Verdict: otav1alpha1.VerdictNoData, MeasuredAt: f.Now})
		}}, "Progressing", 1000, 1, "Holding", "q says NoData", 0},

		"samples before the stage": {change{samples, func(f *Facts) { f.Analysis[0].MeasuredAt = f.Release.CommittedAt }}, "Progressing", 1000, 1, "Progressing", "waiting for 0 of 100 samples", 0},
		"samples in an outage": {change{samples, func(f *Facts) {
			f.Analysis[0].Verdict, f.Analysis[0].Message = otav1alpha1.VerdictProviderError, "refused"
		}},
			"Progressing", 1000, 1, "Progressing", "waiting for 60 of 100 samples: m says ProviderError: refused", 0},

		"slice excluded": {change{slice(true)}, "Progressing", 1000, 2, "Progressing",
			"excluding the slice that explains the failures, the other devices are counted anew: slice: android: 31/40 failures", commitPatience},
		"slice excluded, closed":         {change{slice(true), closed}, "Progressing", 1000, 2, "Progressing", "excluding the slice", commitPatience},
		"slice excluded, bakes":          {change{bakes, slice(true)}, "Progressing", 9500, 3, "Progressing", "excluding the slice", commitPatience},
		"slice excluded, and not paused": {change{slice(true), func(f *Facts) { f.Spec.OnFailure = otav1alpha1.OnFailurePause }}, "Progressing", 1000, 2, "Progressing", "excluding", commitPatience},
		"the rest fails, too":            {change{slice(false)}, "RollingBack", 0, 1, "RollingBack", "8 of 100 devices failed", commitPatience},
		"slice only recommended":         {change{slice(true), func(f *Facts) { f.Spec.OnSlice = otav1alpha1.SliceRecommend }}, "RollingBack", 0, 1, "RollingBack", "8 of 100", commitPatience},
		"slice excluded before":          {change{slice(true), func(f *Facts) { f.Release.Exclude = []otav1alpha1.Slice{f.Slice.Match} }}, "RollingBack", 0, 1, "RollingBack", "8 of 100", commitPatience},
		"fails in a query, too": {change{slice(true), func(f *Facts) {
			f.Analysis = append(f.Analysis, analysis.Result{Name: "q", Verdict: otav1alpha1.VerdictFailing, MeasuredAt: f.Now})
		}}, "RollingBack", 0, 1, "RollingBack", "failed", commitPatience},
		"too many slices": {change{slice(true), func(f *Facts) { f.Release.Exclude = make([]otav1alpha1.Slice, maxExclude) }}, "RollingBack", 0, 1, "RollingBack", "8 of 100", commitPatience},
		"slice of what is promoted": {change{slice(true), func(f *Facts) { f.Release.State = otav1alpha1.ReleasePromoting }},
			"RollingBack", 0, 1, "RollingBack", "8 of 100", commitPatience},
		"slice of what is superseded": {change{slice(true), func(f *Facts) { f.Spec.Bundle, f.Bundle = "shop-2", Bundle{Found: true, Digest: "d2"} }},
			"Superseding", 0, 1, "Progressing", "withdrawing shop-1", commitPatience},
		"exclusion not committed yet": {change{func(f *Facts) { f.Release.Exclude, f.Release.Stage = []otav1alpha1.Slice{{Region: "eu"}}, 2 }},
			"Progressing", 1000, 2, "Progressing", "publishing 10 %", commitPatience},
	} {
		t.Run(name, func(t *testing.T) {
			f := due()
			for _, c := range tc.change {
				c(&f)
			}
			d := Plan(f)
			r := d.Release
			if r.State != tc.state || r.Weight != tc.weight || r.Stage != tc.stage || d.Reason != tc.reason || !strings.Contains(d.Message, tc.text) || d.RequeueAfter != tc.again {
				t.Errorf("got %s at %d, stage %d, %s: %q, again in %s\nwant %s at %d, stage %d, %s: %q, again in %s", r.State, r.Weight, r.Stage, d.Reason, d.Message,
					d.RequeueAfter, tc.state, tc.weight, tc.stage, tc.reason, tc.text, tc.again)
			}
		})
	}
}

// A step above the limit is taken in parts, an hour's worth at a time, each after a verdict on the one before.
func TestPlan_partsOfAStep(t *testing.T) {
	f := due()
	f.Channel.MaxWeightPerHour = 1500
	var got []string
	for len(got) < 5 {
		d := Plan(f)
		f.Release = d.Release
		if d.Waiting {
			got = append(got, f.Now.Format("15:04 ")+string(FormatWeight(d.Release.Weight)))
			f.Channel.At, f.Channel.Candidate = f.Now, &Candidate{Mine: true, Release: 1, Digest: "d1", Weight: d.Release.Weight, Stage: d.Release.Stage}
			if d = Plan(f); d.Reason != otav1alpha1.HoldingReason {
				t.Fatalf("rises on an old verdict: %s: %q", d.Reason, d.Message)
			}
			f.Release, f.Now = d.Release, f.Now.Add(time.Minute)
			f.Analysis[0].MeasuredAt = f.Now
			continue
		}
		if d.Reason != otav1alpha1.WeightLimitedReason {
			t.Fatalf("waits for %s: %q", d.Reason, d.Message)
		}
		f.Now = f.Now.Add(d.RequeueAfter)
	}
	if want := []string{"09:00 25", "10:00 40", "11:00 50", "11:01 55", "12:00 65"}; !slices.Equal(got, want) {
		t.Errorf("rises at %v, want %v", got, want)
	}
}

// The rises of the last hour count in the next release, too: an abort and a retry make no room.
func TestPlan_risesOutliveARelease(t *testing.T) {
	for name, change := range map[string]func(*Facts){
		"retry":          func(f *Facts) { f.Command = &Command{ID: "1", Name: Retry, By: "jane"} },
		"another bundle": func(f *Facts) { f.Spec.Bundle, f.Bundle.Digest = "shop-2", "d2" },
	} {
		f := due()
		f.Release.State, f.Release.Weight, f.Release.Rises = otav1alpha1.ReleaseAborted, 0, []Rise{{f.Now.Add(-30 * time.Minute), 800}}
		f.Channel.Candidate, f.Channel.MaxWeightPerHour, f.Analysis = nil, 1000, nil
		change(&f)
		var d Decision
		for range 3 { // starts, and asks for its first weight
			d = Plan(f)
			if f.Release, f.Command = d.Release, nil; d.Release.Weight > 0 {
				break
			}
		}
		if d.Release.Weight != 200 || d.Release.Revision != 2 {
			t.Errorf("%s: release %d at %d, want what the limit has left, 200: %s", name, d.Release.Revision, d.Release.Weight, d.Message)
		}
	}
}

// What the analysis has said against a digest is remembered in the next release of it, whichever way it comes about.
func TestPlan_tries(t *testing.T) {
	f := due()
	failing(&f)
	d := Plan(f)
	if d.Release.Tries != 1 {
		t.Fatalf("taken back once, %d tries", d.Release.Tries)
	}
	f.Release, f.Command = d.Release, &Command{ID: "1", Name: Retry, By: "jane"}
	f.Release.State, f.Release.Outcome, f.Analysis, f.Channel.Candidate = otav1alpha1.ReleaseRolledBack, "", nil, nil
	for name, tc := range map[string]struct {
		change func(*Facts)
		want   int32
	}{
		"retried":                    {func(*Facts) {}, 1},
		"retried, history has more":  {func(f *Facts) { f.Bundle.Tries = 3 }, 3},
		"another bundle":             {func(f *Facts) { f.Command, f.Spec.Bundle, f.Bundle.Digest = nil, "shop-2", "d2" }, 0},
		"another one with a history": {func(f *Facts) { f.Command, f.Spec.Bundle, f.Bundle.Digest, f.Bundle.Tries = nil, "shop-2", "d2", 2 }, 2},
		"made anew":                  {func(f *Facts) { f.Bundle.Digest = "d9" }, 0},
		"not there now":              {func(f *Facts) { f.Bundle = Bundle{} }, 0},
	} {
		g := f
		tc.change(&g)
		if is := Plan(g).Release; is.Revision != 2 || is.Tries != tc.want {
			t.Errorf("%s: release %d with %d tries, want %d", name, is.Revision, is.Tries, tc.want)
		}
	}
	f.Bundle = Bundle{}
	f.Release, f.Command = Plan(f).Release, nil
	f.Bundle = Bundle{Found: true, Ready: true, Digest: "d1", Tries: 1}
	if is := Plan(f).Release; is.Tries != 1 || is.State != otav1alpha1.ReleaseProgressing {
		t.Errorf("back again: %+v", is)
	}
}

// Refused commands say what a person can do instead.
func TestPlan_refusalsHelp(t *testing.T) {
	for name, tc := range map[string]struct {
		command string
		change  func(*Facts)
		want    string
	}{
		"promote what was rolled back":  {Promote, func(f *Facts) { f.Release.State = otav1alpha1.ReleaseRolledBack }, `it is RolledBack; first: kubectl windlass retry`},
		"promote in full what fails":    {PromoteFull, failing, "to take the release back: kubectl windlass abort"},
		"resume what cannot be told":    {Resume, func(f *Facts) { f.Release.State, f.Analysis[0].Pause = otav1alpha1.ReleasePaused, true }, "to overrule it: kubectl windlass promote --full"},
		"resume what is held":           {Resume, func(f *Facts) { suspicious(true)(f); onHold(f) }, "promote does so for the next rise, promote-full for all of them, and abort takes the release back: kubectl windlass promote"},
		"retry what is under way":       {Retry, func(*Facts) {}, "first: kubectl windlass abort"},
		"retry what is stable":          {Retry, func(f *Facts) { f.Release.State = otav1alpha1.ReleaseCompleted }, "it is Completed"},
		"dance":                         {"dance", func(*Facts) {}, "not dance: kubectl windlass promote"},
		"promote in full, not excluded": {PromoteFull, func(f *Facts) { f.Release.Exclude, f.Release.Stage = []otav1alpha1.Slice{{Region: "eu"}}, 2 }, "the exclusion of a slice is not published yet"},
	} {
		f := due()
		tc.change(&f)
		given(tc.command)(&f)
		if d := Plan(f); !strings.Contains(d.Command.Refused, tc.want) || len(d.Command.Refused) > 512 {
			t.Errorf("%s: got %q, want %q", name, d.Command.Refused, tc.want)
		}
	}
}
