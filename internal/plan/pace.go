// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
)

// maxRises bounds the rises that are remembered; status keeps as many.
const maxRises = 64

// rise asks for a higher weight, or for the part of it that the Channel's limit has room for.
func rise(d *Decision, f Facts, to int32) {
	r := &d.Release
	if r.Weight == 0 && tooBold(d, f, to) {
		return
	}
	by := mayRise(d, f, to)
	if by == 0 {
		return
	}
	why := overruled(*r)
	remember(r, f.Now, by)
	setWeight(d, r.Weight+by)
	if r.Weight < to {
		d.Message += fmt.Sprintf(", a part of the rise to %s %%", FormatWeight(to))
	}
	d.Message = because(d.Message, why)
}

// tooBold holds a release whose first weight is above what the Channel lets a release begin with: nothing is known of it then.
func tooBold(d *Decision, f Facts, first int32) bool {
	most := f.Channel.MaxFirstWeight
	if first <= most {
		return false
	}
	what := "the first weight is"
	if len(f.Spec.Steps) == 0 {
		what = "there are no steps, so that the first weight is"
	}
	hold(d, otav1alpha1.InvalidSpecReason, fmt.Sprintf("%s %s %%, above the %s %% that the Channel lets a release begin with: "+
		"put a smaller step first, or raise spec.maxFirstWeight of the Channel to %q", what, FormatWeight(first), FormatWeight(most), FormatWeight(first)))
	return true
}

// mayRise is by how much the weight may rise now, towards a weight. At 0 it says what is waited for: the analysis, a window, or the
// rises of the last hour to pass.
func mayRise(d *Decision, f Facts, to int32) int32 {
	r := &d.Release
	if !vouched(d, f) {
		return 0
	}
	if f.Window.Closed {
		shut(d, f, fmt.Sprintf("%s rises to %s %%", r.Bundle, FormatWeight(to)))
		return 0
	}
	by := min(to-r.Weight, room(f, *r, f.Now))
	if by <= 0 {
		limited(d, f)
		return 0
	}
	return by
}

// vouched holds unless the analysis says Passing by measurements made after the present stage was committed (invariant 1 of
// the decision engine). The first weight of a release has nothing to measure yet.
func vouched(d *Decision, f Facts) bool {
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
	for i := range f.Analysis {
		if m := &f.Analysis[i]; !m.MeasuredAt.After(r.CommittedAt) {
			return false, m.Name + ": waiting for a measurement of this weight"
		}
	}
	rest := slices.DeleteFunc(slices.Clone(f.Analysis), r.overrules)
	if len(rest) == 0 {
		return true, "" // a person answers for all of them
	}
	verdict, worst := analysis.Overall(rest)
	if verdict == otav1alpha1.VerdictPassing {
		return true, ""
	}
	return false, fmt.Sprintf("%s says %s: %s", worst.Name, verdict, worst.Message)
}

// shut holds until a window opens, and says what happens then.
func shut(d *Decision, f Facts, then string) {
	text := f.Window.Reason + ": waiting for spec.windows to open"
	if at := f.Window.NextOpen; at.IsZero() {
		text += ", which they do not within a year"
	} else {
		text += " at " + minute(at) + ", then " + then
		d.RequeueAfter = max(at.Sub(f.Now), time.Second)
	}
	if d.Release.Weight > 0 {
		text = describe(f, d.Release) + ": " + text
	}
	hold(d, otav1alpha1.WaitingForWindowReason, text)
}

// limited holds until enough of the rises of the last hour have passed.
func limited(d *Decision, f Facts) {
	r := &d.Release
	at := roomAt(f, *r)
	hold(d, otav1alpha1.WeightLimitedReason, fmt.Sprintf("%s: the weight rose by the %s percentage points that the Channel's maxWeightPerHour allows: "+
		"it rises again at %s", describe(f, *r), FormatWeight(f.Channel.MaxWeightPerHour), minute(at)))
	d.RequeueAfter = max(at.Sub(f.Now), time.Second)
	whileOpen(d, f)
}

// whileOpen looks again when the windows close, if that is sooner: from then on it is they that are waited for.
func whileOpen(d *Decision, f Facts) {
	if f.Window.NextClose.IsZero() {
		return
	}
	if closes := max(f.Window.NextClose.Sub(f.Now), time.Second); d.RequeueAfter == 0 || closes < d.RequeueAfter {
		d.RequeueAfter = closes
	}
}

// room is by how much the weight may rise at a time, in basis points. A clock that was set back makes no room.
func room(f Facts, r Release, at time.Time) int32 {
	left := f.Channel.MaxWeightPerHour
	if left == 0 {
		return FullWeight
	}
	for _, rise := range r.Rises {
		if rise.At.After(at.Add(-time.Hour)) {
			left -= rise.By
		}
	}
	return max(left, 0)
}

// roomAt is when there is room for a rise again.
func roomAt(f Facts, r Release) time.Time {
	at := f.Now.Add(time.Hour)
	for _, rise := range r.Rises {
		if past := rise.At.Add(time.Hour); past.After(f.Now) && past.Before(at) && room(f, r, past) > 0 {
			at = past
		}
	}
	return at
}

// remember notes a rise, and forgets those that count no more. Of too many, the two oldest become one: the limit is kept.
func remember(r *Release, now time.Time, by int32) {
	kept := make([]Rise, 0, len(r.Rises)+1)
	for _, rise := range r.Rises {
		if rise.At.After(now.Add(-time.Hour)) {
			kept = append(kept, rise)
		}
	}
	if len(kept) == maxRises {
		kept[1].By += kept[0].By
		kept = kept[1:]
	}
	kept = append(kept, Rise{now, by})
	r.Rises = kept
}

// minute is a time as messages have it.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
