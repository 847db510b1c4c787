// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"reflect"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Commit gives the channel that devices see once what a release of a Rollout asks for is committed, and whether it is another one. It
// stands in for the Channel's controller and the publisher where there are none: in simulations, replays and tests.
func (c Channel) Commit(uid string, r Release, at time.Time) (next Channel, changed bool) {
	a := Assignment(uid, r)
	next = c
	switch {
	case a == nil:
		next.Candidate = nil
	case a.State == otav1alpha1.AssignmentCandidate && c.Refused[r.Digest] == "":
		next.Candidate = &Candidate{Mine: true, Release: r.Revision, Digest: r.Digest, Weight: r.Weight, Stage: r.Stage}
	case a.State == otav1alpha1.AssignmentPromoted && c.Candidate != nil && c.Candidate.Release == r.Revision:
		next.StableDigest, next.Candidate = r.Digest, nil
	case a.State == otav1alpha1.AssignmentPromoted: // it is stable, or never was the candidate
	default:
		next.Candidate = nil
	}
	if a != nil {
		next.refuse(a)
	}
	if changed = !reflect.DeepEqual(c, next); changed {
		next.At = at
	}
	return next, changed
}

// refuse puts a digest on the list of those that are refused, or takes it off.
func (c *Channel) refuse(a *otav1alpha1.Assignment) {
	digest := string(a.Digest)
	if a.Refuse == "" && a.Lift == "" {
		return
	}
	if c.Refused = maps.Clone(c.Refused); c.Refused == nil {
		c.Refused = map[string]string{}
	}
	if a.Refuse != "" {
		c.Refused[digest] = a.Refuse
	}
	if a.Refuse != "" && c.StableDigest == digest {
		c.StableDigest = ""
	}
	if a.Lift != "" {
		delete(c.Refused, digest)
	}
}

// Waits tells whether a release is at a pause that only a person ends.
func (r Release) Waits(steps []Step) bool {
	return r.State == otav1alpha1.ReleaseProgressing && r.Step < len(steps) && steps[r.Step].Indefinite() && !r.EnteredAt.IsZero()
}
