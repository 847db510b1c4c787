// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// maxExclude bounds the slices that a release is taken back from; status keeps as many.
const maxExclude = 8

// nextStage begins to count devices anew. The clocks start when the stage is committed.
func nextStage(r *Release) {
	r.Stage++
	r.Overruled = ""
	r.CommittedAt, r.EnteredAt = time.Time{}, time.Time{}
}

// setWeight asks for a weight, in a stage of its own.
func setWeight(d *Decision, weight int32) {
	r := &d.Release
	r.Weight = weight
	nextStage(r)
	if weight > 0 {
		wait(d, otav1alpha1.ProgressingReason, fmt.Sprintf("publishing %s %%", FormatWeight(weight)))
		return
	}
	next(r, time.Time{}) // nothing is offered at weight 0: there is no commit to wait for
	wait(d, otav1alpha1.ProgressingReason, "offered to no device")
	d.RequeueAfter = time.Second
}

// noteCommit starts the clocks when the wanted weight is visible, and stops them when the channel withdrew it.
func noteCommit(r *Release, f Facts) {
	switch seen := Visible(f, *r); {
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

// mine tells whether devices can see this release as the candidate.
func mine(f Facts, r Release) bool {
	c := f.Channel.Candidate
	return c != nil && c.Mine && c.Release == r.Revision && c.Digest == r.Digest
}

// Visible tells whether devices can see this release at the wanted weight, without the slices that are excluded.
func Visible(f Facts, r Release) bool {
	return r.Weight > 0 && mine(f, r) && f.Channel.Candidate.Weight == r.Weight && f.Channel.Candidate.Stage == r.Stage
}

// Offered tells whether devices can see this release, at whatever weight, and it is not taken back already.
func Offered(f Facts, r Release) bool {
	return r.Active() && r.State != otav1alpha1.ReleaseRollingBack && mine(f, r)
}

// promoted tells whether devices can see this release as stable.
func promoted(f Facts, r Release) bool {
	return f.Channel.StableDigest == r.Digest && r.Digest != "" && !mine(f, r)
}
