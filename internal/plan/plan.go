// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
)

// commitPatience is how soon to look again for a commit whose event got lost.
const commitPatience = 30 * time.Second

// Plan decides what a rollout does next. It takes at most one transition that devices can see.
func Plan(f Facts) Decision {
	d := &Decision{Release: f.Release}
	obey(d, f)
	if f.Release.Revision == 0 {
		start(d, f, false)
	}
	if superseded := f.Spec.Bundle != d.Release.Bundle || d.Release.State == otav1alpha1.ReleaseSuperseding; superseded && !supersede(d, f) {
		return *d
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
	if old := d.Release; old.Revision > 0 {
		d.Ended = &old
	}
	d.Release = Release{
		Revision: d.Release.Revision + 1, Bundle: f.Spec.Bundle, State: otav1alpha1.ReleasePending,
		Version: f.Bundle.Version, Digest: f.Bundle.Digest, StartedAt: f.Now, StepsHash: f.Spec.StepsHash, Lift: lift,
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
		end(d, f, otav1alpha1.ReleaseCompleted, r.Reason)
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

// pending waits for the Bundle, its admission and the Channel.
func pending(d *Decision, f Facts) {
	r := &d.Release
	b := f.Bundle
	r.Version, r.Digest = b.Version, b.Digest
	refusal := f.Channel.Refused[b.Digest]
	switch {
	case !b.Found:
		hold(d, otav1alpha1.WaitingForBundleReason, "Bundle "+r.Bundle+" does not exist yet")
	case b.Revoked != "":
		end(d, f, otav1alpha1.ReleaseBundleRefused, "Bundle is revoked: "+b.Revoked)
	case refusal != "" && r.Lift:
		wait(d, otav1alpha1.ProgressingReason, "lifting the refusal of "+r.Bundle)
	case refusal != "":
		end(d, f, otav1alpha1.ReleaseBundleRefused, "the channel refuses this digest: "+refusal)
	case !b.Ready:
		hold(d, otav1alpha1.WaitingForBundleReason, "Bundle "+r.Bundle+" is not ready: "+b.Message)
	case !f.Channel.Ready:
		hold(d, otav1alpha1.WaitingForChannelReason, f.Channel.Message)
	case b.Denied != "":
		end(d, f, otav1alpha1.ReleaseBundleNotAdmitted, b.Denied)
	case b.Wait != "":
		hold(d, otav1alpha1.ProgressingReason, b.Wait)
		d.RequeueAfter = commitPatience
	case f.Channel.StableDigest == b.Digest:
		end(d, f, otav1alpha1.ReleaseCompleted, r.Bundle+" is stable already")
	case f.Channel.Busy != "":
		hold(d, otav1alpha1.ChannelBusyReason, "Rollout "+f.Channel.Busy+" is active on the channel")
	case f.Channel.Halted:
		hold(d, otav1alpha1.HaltedReason, "the channel is halted")
	case f.Spec.Paused != "":
		hold(d, otav1alpha1.PausedReason, "paused in the spec: "+f.Spec.Paused)
	default:
		r.State, r.Lift, r.StepsHash = otav1alpha1.ReleaseProgressing, false, f.Spec.StepsHash
		release(d, f)
	}
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
	d.Measure = f.Spec.Metrics > 0 && !r.CommittedAt.IsZero()
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
	case f.Channel.Halted:
		hold(d, otav1alpha1.HaltedReason, "the channel is halted")
	default:
		advance(d, f)
	}
}

// noteCommit starts the clocks when the wanted weight is visible, and stops them when the channel withdrew it.
func noteCommit(r *Release, f Facts) {
	switch seen := visible(f, *r); {
	case r.CommittedAt.IsZero() && seen:
		r.CommittedAt = f.Channel.At
	case !r.CommittedAt.IsZero() && !seen:
		r.CommittedAt, r.EnteredAt = time.Time{}, time.Time{}
	}
}

// publishing waits for the commit of the wanted weight, or for another Rollout that has the channel.
func publishing(d *Decision, f Facts) {
	if f.Channel.Busy != "" && !mine(f, d.Release) {
		hold(d, otav1alpha1.ChannelBusyReason, "Rollout "+f.Channel.Busy+" is active on the channel")
		return
	}
	message := fmt.Sprintf("publishing %s %%", FormatWeight(d.Release.Weight))
	if f.Channel.Problem != "" {
		message += ": " + f.Channel.Problem
	}
	wait(d, otav1alpha1.ProgressingReason, message)
}

// endangered rolls back, or pauses, when the bundle must not be used any more or does not do well.
func endangered(d *Decision, f Facts) bool {
	r := &d.Release
	b := f.Running
	if r.Bundle == f.Spec.Bundle {
		b = f.Bundle
	}
	refusal := f.Channel.Refused[r.Digest]
	switch {
	case b.Found && b.Digest != r.Digest:
		rollBack(d, f, otav1alpha1.ReleaseBundleNotAdmitted, "Bundle "+r.Bundle+" was made anew with another digest")
		return true
	case b.Revoked != "":
		rollBack(d, f, otav1alpha1.ReleaseBundleRefused, "Bundle is revoked: "+b.Revoked)
		return true
	case refusal != "":
		rollBack(d, f, otav1alpha1.ReleaseBundleRefused, "the channel refuses this digest: "+refusal)
		return true
	case b.Denied != "":
		rollBack(d, f, otav1alpha1.ReleaseBundleNotAdmitted, b.Denied)
		return true
	}
	if f.Spec.Metrics == 0 || r.Step < f.Spec.FirstCheck {
		return false
	}
	if verdict, worst := analysis.Overall(f.Analysis); verdict == otav1alpha1.VerdictFailing {
		reason := worst.Name + ": " + worst.Message
		if f.Spec.OnFailure == otav1alpha1.OnFailurePause {
			pauseFor(r, "the analysis fails, a person has to decide: "+reason)
			return false
		}
		rollBack(d, f, otav1alpha1.ReleaseRolledBack, reason)
		return true
	}
	for _, m := range f.Analysis {
		if m.Pause && r.State == otav1alpha1.ReleaseProgressing {
			pauseFor(r, "the analysis cannot tell, a person has to look: "+m.Name+": "+m.Message)
		}
	}
	return false
}

func pauseFor(r *Release, reason string) {
	if r.State == otav1alpha1.ReleaseProgressing {
		r.State, r.Reason = otav1alpha1.ReleasePaused, reason
	}
}

// rollBack withdraws the candidate. The release has ended only when the withdrawal is committed.
func rollBack(d *Decision, f Facts, outcome otav1alpha1.ReleaseState, reason string) {
	r := &d.Release
	r.State, r.Outcome, r.Reason, r.Weight = otav1alpha1.ReleaseRollingBack, outcome, reason, 0
	r.CommittedAt, r.EnteredAt = time.Time{}, time.Time{}
	d.Measure = false
	rollingBack(d, f)
}

// rollingBack waits until devices can no longer see the candidate, and the digest is refused if it has to be.
func rollingBack(d *Decision, f Facts) {
	r := &d.Release
	if r.Outcome == otav1alpha1.ReleaseBundleNotAdmitted && promoted(f, *r) {
		end(d, f, otav1alpha1.ReleaseCompleted, "became stable before the channel stopped admitting it: "+r.Reason)
		return
	}
	refused := r.Outcome == otav1alpha1.ReleaseBundleNotAdmitted || f.Channel.Refused[r.Digest] != "" || r.Digest == ""
	if mine(f, *r) || promoted(f, *r) || !refused {
		wait(d, otav1alpha1.RollingBackReason, "withdrawing "+r.Bundle+": "+r.Reason)
		return
	}
	end(d, f, r.Outcome, r.Reason)
}

// promoting waits until the bundle is committed as stable.
func promoting(d *Decision, f Facts) {
	if r := &d.Release; promoted(f, *r) {
		end(d, f, otav1alpha1.ReleaseCompleted, "")
		return
	}
	d.Measure = f.Spec.Metrics > 0
	wait(d, otav1alpha1.ProgressingReason, "making "+d.Release.Bundle+" stable")
}

// end closes a release.
func end(d *Decision, f Facts, state otav1alpha1.ReleaseState, reason string) {
	r := &d.Release
	r.State, r.Reason, r.EndedAt, r.Lift = state, reason, f.Now, false
	if state == otav1alpha1.ReleaseCompleted {
		r.Step, r.Weight = len(f.Spec.Steps), FullWeight
	} else {
		r.Weight = 0
	}
	ended(d, f)
}

// ended says how a release ended. A bundle that was not admitted gets another chance when that changes.
func ended(d *Decision, f Facts) {
	r := &d.Release
	if r.State == otav1alpha1.ReleaseBundleNotAdmitted && f.Bundle.Found && f.Bundle.Denied == "" {
		start(d, f, false)
		pending(d, f)
		return
	}
	if r.State == otav1alpha1.ReleaseCompleted && r.Bundle == f.Spec.Bundle && f.Bundle.Revoked != "" {
		end(d, f, otav1alpha1.ReleaseBundleRefused, "Bundle is revoked: "+f.Bundle.Revoked)
		return
	}
	if refusal := f.Channel.Refused[r.Digest]; r.State == otav1alpha1.ReleaseCompleted && refusal != "" {
		end(d, f, otav1alpha1.ReleaseBundleRefused, "the channel refuses this digest: "+refusal)
		return
	}
	d.Reason, d.Message = string(r.State), r.Reason
	if r.State == otav1alpha1.ReleaseCompleted && d.Message == "" {
		d.Message = r.Bundle + " is stable"
	}
}

// mine tells whether devices can see this release as the candidate.
func mine(f Facts, r Release) bool {
	c := f.Channel.Candidate
	return c != nil && c.Mine && c.Release == r.Revision && c.Digest == r.Digest
}

// visible tells whether devices can see this release at the wanted weight.
func visible(f Facts, r Release) bool {
	return r.Weight > 0 && mine(f, r) && f.Channel.Candidate.Weight == r.Weight
}

// promoted tells whether devices can see this release as stable.
func promoted(f Facts, r Release) bool {
	return f.Channel.StableDigest == r.Digest && r.Digest != "" && !mine(f, r)
}

// hold says what is waited for; an event ends it.
func hold(d *Decision, reason, message string) { d.Reason, d.Message = reason, message }

// wait says that a commit is under way.
func wait(d *Decision, reason, message string) {
	hold(d, reason, message)
	d.Waiting = true
	d.RequeueAfter = commitPatience
}
