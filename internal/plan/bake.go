// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// most is the highest weight before the bundle becomes stable, in basis points: a holdout stays on stable.
func (s Spec) most() int32 { return FullWeight - s.Holdout }

// firstWeight is the first weight above 0 that the spec asks for.
func (s Spec) firstWeight() int32 {
	for _, step := range s.Steps {
		if step.Weight > 0 {
			return step.Weight
		}
	}
	return s.most()
}

// baking tells whether a release is in its bake: all steps are done, and the bake is not. After it, Step is one more.
func baking(f Facts, r Release) bool {
	return f.Spec.Bake > 0 && r.Step == len(f.Spec.Steps) && r.Weight >= f.Spec.most()
}

// finish carries a release that has done its steps through the bake, and makes it stable.
func finish(d *Decision, f Facts) {
	r := &d.Release
	if f.Spec.Bake > 0 && r.Step == len(f.Spec.Steps) {
		if !baking(f, *r) {
			rise(d, f, f.Spec.most())
			return
		}
		if !baked(d, f) {
			return
		}
		next(r, f.Now)
	}
	promote(d, f)
}

// baked tells whether the bake is over; if not, it says what is waited for.
func baked(d *Decision, f Facts) bool {
	r := &d.Release
	enter(r, f.Now)
	if rest := remaining(f.Spec.Bake, *r, f.Now); rest > 0 {
		hold(d, otav1alpha1.BakingReason, fmt.Sprintf("%s: baking for %s until %s, then %s becomes stable",
			describe(f, *r), f.Spec.Bake, minute(f.Now.Add(rest)), r.Bundle))
		d.RequeueAfter = rest
		return false
	}
	return vouched(d, f)
}

// promote makes the bundle stable: for all who do not have it yet, that is a rise, which takes parts when the Channel's limit has
// no room for it.
func promote(d *Decision, f Facts) {
	r := &d.Release
	rest := FullWeight - r.Weight
	switch {
	case r.Weight == 0, room(f, *r, f.Now) < rest:
		rise(d, f, FullWeight) // no step offered it to anybody: it has to be a candidate before it can be stable
		return
	case rest == 0 && !vouched(d, f), rest > 0 && mayRise(d, f, FullWeight) == 0:
		return
	case rest > 0:
		remember(r, f.Now, rest)
	}
	if r.Overruled != "" {
		r.Reason = overruled(*r)
	}
	r.State, r.Overruled = otav1alpha1.ReleasePromoting, ""
	promoting(d, f)
}
