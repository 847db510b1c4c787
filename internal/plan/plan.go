// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// commitPatience is how soon to look again for a commit whose event got lost.
const commitPatience = 30 * time.Second

// Plan decides what a rollout does next. It takes at most one transition that devices can see.
func Plan(f Facts) Decision {
	d := &Decision{Release: f.Release}
	if !f.ofWanted() {
		obey(d, f)
	}
	if f.Release.Revision == 0 {
		start(d, f, false)
	}
	if superseded := f.Spec.Bundle != d.Release.Bundle || d.Release.State == otav1alpha1.ReleaseSuperseding; superseded && !supersede(d, f) {
		return *d
	}
	if f.ofWanted() && d.Release.Bundle == f.Spec.Bundle {
		obey(d, f)
	}
	switch d.Release.State {
	case otav1alpha1.ReleasePending:
		pending(d, f)
	case otav1alpha1.ReleaseProgressing, otav1alpha1.ReleasePaused, otav1alpha1.ReleasePromoting:
		release(d, f)
	case otav1alpha1.ReleaseRollingBack:
		rollingBack(d, f)
	default:
		ended(d, f)
	}
	return *d
}

// start begins the next release of the Bundle that the spec names.
func start(d *Decision, f Facts, lift bool) {
	old := d.Release
	if old.Revision > 0 {
		d.Ended = &old
	}
	d.Release = Release{
		Revision: old.Revision + 1, Bundle: f.Spec.Bundle, State: otav1alpha1.ReleasePending,
		Version: f.Bundle.Version, Digest: f.Bundle.Digest, StartedAt: f.Now, StepsHash: f.Spec.StepsHash, Lift: lift, Tries: f.Bundle.Tries,
		Rises: old.Rises, // the Channel's limit is one of the Rollout, not of a release
	}
	if !old.Ended() { // of a digest, which may be the same; what was tried already has to be approved again
		d.Release.Approval = old.Approval
	}
	if old.Digest == f.Bundle.Digest {
		d.Release.Tries = max(old.Tries, f.Bundle.Tries)
	}
}

// supersede ends the present release for another bundle. It is false while the old candidate has to be withdrawn first.
func supersede(d *Decision, f Facts) bool {
	r := &d.Release
	if r.State == otav1alpha1.ReleaseRollingBack {
		return true // what is refused has to be refused before the next one starts
	}
	if !r.Active() {
		startNext(d, f)
		return true
	}
	if endangered(d, f) {
		return true // a bad bundle is refused, also when another one is wanted already
	}
	if r.State == otav1alpha1.ReleaseSuperseding && !mine(f, *r) {
		startNext(d, f)
		return true
	}
	if r.State == otav1alpha1.ReleasePromoting && promoted(f, *r) {
		complete(d, f)
		startNext(d, f)
		return true
	}
	r.State, r.Weight, r.CommittedAt, r.EnteredAt = otav1alpha1.ReleaseSuperseding, 0, time.Time{}, time.Time{}
	wait(d, otav1alpha1.ProgressingReason, "withdrawing "+r.Bundle+" before "+f.Spec.Bundle+" starts")
	return false
}

// startNext closes a superseded release and begins the one that the spec asks for.
func startNext(d *Decision, f Facts) {
	if r := &d.Release; !r.Ended() {
		r.Reason, r.EndedAt = "superseded by "+f.Spec.Bundle, f.Now
		r.State = otav1alpha1.ReleaseSuperseding
	}
	start(d, f, false)
}

// release carries a release through its steps: first what protects devices, then what moves.
func release(d *Decision, f Facts) {
	r := &d.Release
	if endangered(d, f) {
		return
	}
	if r.State == otav1alpha1.ReleasePromoting {
		promoting(d, f)
		return
	}
	noteCommit(r, f)
	if r.StepsHash != f.Spec.StepsHash && f.Spec.Blocked == "" {
		adoptSteps(d, f)
	}
	switch {
	case f.Spec.Blocked != "":
		hold(d, otav1alpha1.InvalidSpecReason, f.Spec.Blocked)
	case r.Weight > 0 && r.CommittedAt.IsZero():
		publishing(d, f)
	case r.State == otav1alpha1.ReleasePaused:
		hold(d, otav1alpha1.PausedReason, r.Reason)
	case f.Spec.Paused != "":
		hold(d, otav1alpha1.PausedReason, "paused in the spec: "+f.Spec.Paused)
	case f.Channel.Halted != "":
		hold(d, otav1alpha1.HaltedReason, "the channel is halted: "+f.Channel.Halted)
	default:
		advance(d, f)
	}
}

// hold says what is waited for; an event ends it.
func hold(d *Decision, reason, message string) { d.Reason, d.Message = reason, message }

// wait says that a commit is under way.
func wait(d *Decision, reason, message string) {
	hold(d, reason, message)
	d.Waiting = true
	d.RequeueAfter = commitPatience
}
