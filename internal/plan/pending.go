// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// pending waits for the Bundle, its admission, approvals, the Channel, a window and the Repository's line, in this order: what waits in
// line waits for nothing else.
func pending(d *Decision, f Facts) {
	r := &d.Release
	if r.Revision != f.Release.Revision { // it has just begun: what was measured is of the release before
		f.Analysis, f.Slice = nil, nil
	}
	if b := f.Bundle; r.Digest != b.Digest {
		r.Digest, r.Tries = b.Digest, b.Tries
	}
	r.Version = f.Bundle.Version
	if unfit(d, f) || invalid(d, f) || unapproved(d, f) || waits(d, f) || queued(d, f) {
		return
	}
	r.State, r.Lift, r.StepsHash = otav1alpha1.ReleaseProgressing, false, f.Spec.StepsHash
	release(d, f)
}

// unfit holds, or ends, a release whose Bundle cannot be released, or not yet.
func unfit(d *Decision, f Facts) bool {
	r := &d.Release
	b := f.Bundle
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
	default:
		return false
	}
	return true
}

// invalid holds a release that the spec, or the Channel, does not let begin as the spec is.
func invalid(d *Decision, f Facts) bool {
	if f.Spec.Blocked != "" {
		hold(d, otav1alpha1.InvalidSpecReason, f.Spec.Blocked)
		return true
	}
	return tooBold(d, f, f.Spec.firstWeight())
}

// waits holds a release for other Rollouts, for people and for a window.
func waits(d *Decision, f Facts) bool {
	switch {
	case f.Channel.Busy != "":
		hold(d, otav1alpha1.ChannelBusyReason, "Rollout "+f.Channel.Busy+" is active on the channel")
	case f.Channel.Halted != "":
		hold(d, otav1alpha1.HaltedReason, "the channel is halted: "+f.Channel.Halted)
	case d.Release.Reason != "": // nothing else gives a pending release one
		hold(d, otav1alpha1.PausedReason, d.Release.Reason)
	case f.Spec.Paused != "":
		hold(d, otav1alpha1.PausedReason, "paused in the spec: "+f.Spec.Paused)
	case f.Window.Closed:
		shut(d, f, d.Release.Bundle+" starts")
	default:
		return false
	}
	return true
}

// queued holds a release until the Repository has room for it and for those that came before it. The end of another release is
// an event: no time is due but that at which the windows close.
func queued(d *Decision, f Facts) bool {
	q := f.Queue
	if q.Limit == 0 || q.Active+q.Ahead < q.Limit {
		return false
	}
	active := ""
	if len(q.Names) > 0 {
		active = " (" + strings.Join(q.Names, ", ")
		if len(q.Names) < q.Active {
			active += ", ..."
		}
		active += ")"
	}
	hold(d, otav1alpha1.QueuedReason, fmt.Sprintf("position %d in the Repository's line: %d of at most %d releases are under way%s, "+
		"%s starts when there is room", q.Ahead+1, q.Active, q.Limit, active, d.Release.Bundle))
	whileOpen(d, f)
	return true
}
