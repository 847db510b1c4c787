// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"

// promoting waits until the bundle is committed as stable.
func promoting(d *Decision, f Facts) {
	r := &d.Release
	if promoted(f, *r) {
		complete(d, f)
		return
	}
	wait(d, otav1alpha1.ProgressingReason, because("making "+r.Bundle+" stable", r.Reason))
}

// complete ends a release that has become stable.
func complete(d *Decision, f Facts) {
	reason := d.Release.Reason
	if reason != "" {
		reason = d.Release.Bundle + " is stable: " + reason
	}
	end(d, f, otav1alpha1.ReleaseCompleted, reason)
}

// because adds why, if there is more to say.
func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
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
	if person := f.Channel.TakenBack[r.Digest]; r.State == otav1alpha1.ReleaseCompleted && person != "" {
		end(d, f, otav1alpha1.ReleaseRolledBack, person)
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
