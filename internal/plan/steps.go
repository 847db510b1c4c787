// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strconv"
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
		if step.Weight > r.Weight {
			rise(d, f, step.Weight)
		} else {
			setWeight(d, step.Weight)
		}
		return
	}
	finish(d, f)
}

// next enters the following step; its clock starts at the given time.
func next(r *Release, at time.Time) { r.Step, r.EnteredAt = r.Step+1, at }

// enter starts a step's clock, unless it runs already.
func enter(r *Release, now time.Time) {
	if r.EnteredAt.IsZero() && r.Weight > 0 {
		now = r.CommittedAt
	}
	if r.EnteredAt.IsZero() {
		r.EnteredAt = now
	}
}

// remaining is how much of a time is left since a step was entered. A clock that was set back must not end it early.
func remaining(whole time.Duration, r Release, now time.Time) time.Duration {
	if now.Before(r.EnteredAt) {
		return whole
	}
	return whole - now.Sub(r.EnteredAt)
}

// pauseOver tells whether a pause has ended; if not, it says what is waited for.
func pauseOver(d *Decision, f Facts, step Step) bool {
	r := &d.Release
	enter(r, f.Now)
	if step.Indefinite() {
		hold(d, otav1alpha1.PausedReason, describe(f, *r)+": waiting for a person to promote")
		return false
	}
	if samples := candidates(f.Analysis, r.CommittedAt); samples < step.MinSamples {
		message := fmt.Sprintf("%s: waiting for %d of %d samples", describe(f, *r), samples, step.MinSamples)
		hold(d, otav1alpha1.ProgressingReason, because(message, out(f.Analysis)))
		return false
	}
	if rest := remaining(step.Duration, *r, f.Now); rest > 0 {
		hold(d, otav1alpha1.ProgressingReason, fmt.Sprintf("%s: pausing for %s", describe(f, *r), step.Duration))
		d.RequeueAfter = rest
		return false
	}
	return vouched(d, f)
}

// candidates is the number of candidate devices that reported, as measured after the stage was committed: those before are of another one.
func candidates(results []analysis.Result, committed time.Time) int64 {
	var most int64
	for _, m := range results {
		if m.Candidate != nil && m.MeasuredAt.After(committed) {
			most = max(most, m.Candidate.Devices)
		}
	}
	return most
}

// out says which metric cannot be measured now; nothing when all can.
func out(results []analysis.Result) string {
	for _, m := range results {
		if m.Verdict == otav1alpha1.VerdictProviderError || m.Verdict == otav1alpha1.VerdictNoData {
			return fmt.Sprintf("%s says %s: %s", m.Name, m.Verdict, m.Message)
		}
	}
	return ""
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
	text := make([]byte, 0, 48)
	text = append(text, FormatWeight(r.Weight)...)
	text = append(text, " %"...)
	if !r.CommittedAt.IsZero() {
		text = r.CommittedAt.UTC().AppendFormat(append(text, " since "...), "15:04")
	}
	steps := len(f.Spec.Steps)
	if r.Step >= steps {
		return string(append(text, ", all steps done"...))
	}
	text = strconv.AppendInt(append(text, ", step "...), int64(r.Step+1), 10)
	return string(strconv.AppendInt(append(text, '/'), int64(steps), 10))
}
