// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
)

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
	case f.Channel.TakenBack[r.Digest] != "":
		rollBack(d, f, otav1alpha1.ReleaseAborted, f.Channel.TakenBack[r.Digest])
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
		return fails(d, f, worst.Name+": "+worst.Message)
	}
	for _, m := range f.Analysis {
		if m.Pause && r.State == otav1alpha1.ReleaseProgressing && !r.overrules(m) {
			pauseFor(r, "the analysis cannot tell, a person has to look: "+m.Name+": "+m.Message)
		}
	}
	return false
}

// fails does what a failing verdict asks for, and tells whether that is all that is done now.
func fails(d *Decision, f Facts, reason string) bool {
	r := &d.Release
	switch {
	case excludable(f, *r):
		if r.Bundle != f.Spec.Bundle {
			return false // it is withdrawn now, and not refused: on the other devices it does well
		}
		exclude(d, f)
		return true
	case f.Spec.OnFailure == otav1alpha1.OnFailurePause:
		pauseFor(r, "the analysis fails, a person has to decide: "+reason)
		return false
	}
	r.Tries++
	rollBack(d, f, otav1alpha1.ReleaseRolledBack, reason)
	return true
}

// excludable tells whether it is enough to take the release back from a slice. It is not when a metric fails that does not count
// devices: it says nothing of slices.
func excludable(f Facts, r Release) bool {
	if f.Spec.OnSlice != otav1alpha1.SliceExclude || f.Slice == nil || !f.Slice.RestFine || slices.Contains(r.Exclude, f.Slice.Match) {
		return false
	}
	offered := r.State == otav1alpha1.ReleaseProgressing || r.State == otav1alpha1.ReleasePaused
	if !offered || r.Weight == 0 || len(r.Exclude) >= maxExclude {
		return false
	}
	return !slices.ContainsFunc(f.Analysis, func(m analysis.Result) bool {
		return m.Verdict == otav1alpha1.VerdictFailing && !m.Ignored && m.EvidenceLimit == 0
	})
}

// exclude goes on with the devices outside the slice, in the next stage. The weight stays. Whoever keeps the results of the
// analysis forgets them: they counted the slice.
func exclude(d *Decision, f Facts) {
	r := &d.Release
	r.Exclude = append(slices.Clone(r.Exclude), f.Slice.Match)
	r.Tries++
	nextStage(r)
	wait(d, otav1alpha1.ProgressingReason, "excluding the slice that explains the failures, the other devices are counted anew: "+f.Slice.Message)
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
	r.CommittedAt, r.EnteredAt, r.Overruled = time.Time{}, time.Time{}, ""
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
