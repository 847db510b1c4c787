// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
)

// advance goes through steps until one needs a commit, time, samples or a person.
func advance(d *Decision, f Facts) {
	r := &d.Release
	for r.Step < len(f.Spec.Steps) {
		step := f.Spec.Steps[r.Step]
		if step.Pause {
			if !pauseOver(d, f, step) {
				return
			}
			next(r, f.Now)
			continue
		}
		if step.Weight == r.Weight {
			next(r, r.CommittedAt)
			continue
		}
		if step.Weight > r.Weight && !mayRise(d, f) {
			return
		}
		setWeight(d, step.Weight)
		return
	}
	promote(d, f)
}

// next enters the following step; its clock starts at the given time.
func next(r *Release, at time.Time) { r.Step, r.EnteredAt = r.Step+1, at }

// setWeight asks for a weight. Its clock starts when it is committed.
func setWeight(d *Decision, weight int32) {
	r := &d.Release
	r.Weight, r.CommittedAt, r.EnteredAt = weight, time.Time{}, time.Time{}
	if weight > 0 {
		wait(d, otav1alpha1.ProgressingReason, fmt.Sprintf("publishing %s %%", FormatWeight(weight)))
		return
	}
	next(r, time.Time{}) // nothing is offered at weight 0: there is no commit to wait for
	wait(d, otav1alpha1.ProgressingReason, "offered to no device")
	d.RequeueAfter = time.Second
}

// promote makes the bundle stable: for all who do not have it yet, that is a rise.
func promote(d *Decision, f Facts) {
	r := &d.Release
	if r.Weight == 0 {
		setWeight(d, FullWeight) // no step offered it to anybody: it has to be a candidate before it can be stable
		return
	}
	if !mayRise(d, f) {
		return
	}
	r.State = otav1alpha1.ReleasePromoting
	promoting(d, f)
}

// mayRise holds unless the analysis says Passing by measurements made after the present weight was committed (invariant 1 of
// the decision engine). The first weight of a release has nothing to measure yet.
func mayRise(d *Decision, f Facts) bool {
	r := &d.Release
	if f.Spec.Metrics == 0 || r.Weight == 0 || r.Step < f.Spec.FirstCheck {
		return true
	}
	ok, message := passing(f, *r)
	if !ok {
		hold(d, otav1alpha1.HoldingReason, describe(f, *r)+": "+message)
	}
	return ok
}

// passing tells whether every metric was measured since the commit, and passes.
func passing(f Facts, r Release) (bool, string) {
	if len(f.Analysis) < f.Spec.Metrics {
		return false, "waiting for the first measurement"
	}
	for _, m := range f.Analysis {
		if !m.MeasuredAt.After(r.CommittedAt) {
			return false, m.Name + ": waiting for a measurement of this weight"
		}
	}
	verdict, worst := analysis.Overall(f.Analysis)
	if verdict == otav1alpha1.VerdictPassing {
		return true, ""
	}
	return false, fmt.Sprintf("%s says %s: %s", worst.Name, verdict, worst.Message)
}

// pauseOver tells whether a pause has ended; if not, it says what is waited for.
func pauseOver(d *Decision, f Facts, step Step) bool {
	r := &d.Release
	if r.EnteredAt.IsZero() {
		r.EnteredAt = f.Now
		if r.Weight > 0 {
			r.EnteredAt = r.CommittedAt
		}
	}
	if step.Indefinite() {
		hold(d, otav1alpha1.PausedReason, describe(f, *r)+": waiting for a person to promote")
		return false
	}
	left := step.Duration - f.Now.Sub(r.EnteredAt)
	if f.Now.Before(r.EnteredAt) {
		left = step.Duration // a clock that was set back must not end a pause early, nor may it last for ever
	}
	samples := candidates(f.Analysis)
	switch {
	case samples < step.MinSamples:
		hold(d, otav1alpha1.ProgressingReason, fmt.Sprintf("%s: waiting for %d of %d samples", describe(f, *r), samples, step.MinSamples))
	case left > 0:
		hold(d, otav1alpha1.ProgressingReason, fmt.Sprintf("%s: pausing for %s", describe(f, *r), step.Duration))
	default:
		return mayRise(d, f)
	}
	d.RequeueAfter = max(left, 0)
	return false
}

// candidates is the number of candidate devices that reported.
func candidates(results []analysis.Result) int64 {
	var most int64
	for _, m := range results {
		if m.Candidate != nil {
			most = max(most, m.Candidate.Devices)
		}
	}
	return most
}

// adoptSteps finds the place in a changed list of steps: the weight stays, and what follows is the pause, if any, before the
// first step with a higher weight. It never jumps up.
func adoptSteps(d *Decision, f Facts) {
	r := &d.Release
	i := 0
	for i < len(f.Spec.Steps) && (f.Spec.Steps[i].Pause || f.Spec.Steps[i].Weight <= r.Weight) {
		i++
	}
	for i > 0 && f.Spec.Steps[i-1].Pause {
		i--
	}
	r.Step, r.StepsHash, r.EnteredAt = i, f.Spec.StepsHash, f.Now
}

// describe says where a release is: "5 % since 12:04, step 3/6".
func describe(f Facts, r Release) string {
	at := ""
	if !r.CommittedAt.IsZero() {
		at = " since " + r.CommittedAt.UTC().Format("15:04")
	}
	return fmt.Sprintf("%s %%%s, step %d/%d", FormatWeight(r.Weight), at, min(r.Step+1, len(f.Spec.Steps)), len(f.Spec.Steps))
}
