// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/release"
)

// candidate serves what the active rollout asks for, as far as it is trusted and admitted.
func (o *Outcome) candidate(f Facts) {
	d := o.Document
	before := d.Candidate
	d.Candidate = nil
	r := active(f, before)
	if r == nil {
		return
	}
	o.Active = r
	a := r.Status.Assignment
	out := before != nil && owner(f, before) == r // devices can see it already
	weight, held, problem := weight(f, a, before, out)
	if problem != "" {
		o.Problem = problem
		return
	}
	bundle, problem := o.admitted(f, a, out)
	if bundle == nil {
		o.Problem = problem
		return
	}
	d.Candidate = &release.Candidate{
		Bundle: *bundle, Weight: weight, Salt: a.Salt, Rollout: r.Name, Release: a.Release, OnLoss: onLoss(r),
		Stage: a.Stage, Exclude: excluded(a.Exclude),
	}
	if held {
		d.Candidate.Stage = before.Stage // a stage has one weight
	}
	if before != nil && before.Bundle.Digest == bundle.Digest {
		d.Candidate.Bundle.Since = before.Bundle.Since
	}
	d.Candidate.LeaseExpires = lease(r, before, d.Candidate, f.Now)
}

// weight is the weight to serve, in basis points, and whether that is less than what the rollout asks for. A promotion that a
// frozen policy holds back stays where it is.
func weight(f Facts, a *otav1alpha1.Assignment, before *release.Candidate, out bool) (weight int32, held bool, problem string) {
	if f.Frozen && !out {
		return 0, false, "nothing new is offered: the Channel asks for what cannot be carried out"
	}
	if out && a.State == otav1alpha1.AssignmentPromoted {
		return before.Weight, true, ""
	}
	weight, err := plan.ParseWeight(string(a.Weight))
	if err != nil {
		return 0, false, "rollout " + a.Bundle + ": " + err.Error()
	}
	if f.Frozen && weight > before.Weight {
		return before.Weight, true, ""
	}
	return weight, false, ""
}

func excluded(parts []otav1alpha1.Slice) []release.Slice {
	var out []release.Slice
	for _, s := range parts {
		out = append(out, release.Slice{Platform: string(s.Platform), NativeVersion: s.NativeVersion, OSVersion: s.OSVersion, Region: s.Region})
	}
	return out
}

// active is the Rollout that may have a candidate: the one that has it already, else the oldest that asks.
func active(f Facts, committed *release.Candidate) *otav1alpha1.Rollout {
	if committed != nil {
		if r := owner(f, committed); r != nil && r.Status.Assignment.State != otav1alpha1.AssignmentWithdrawn {
			return r
		}
	}
	var oldest *otav1alpha1.Rollout
	for i := range f.Rollouts {
		r := &f.Rollouts[i]
		if a := r.Status.Assignment; a == nil || a.State != otav1alpha1.AssignmentCandidate || !r.DeletionTimestamp.IsZero() {
			continue
		}
		if oldest == nil || Older(r, oldest) {
			oldest = r
		}
	}
	return oldest
}

// Older orders Rollouts of one Channel: of two that want to start, the older one does.
func Older(a, b *otav1alpha1.Rollout) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Name < b.Name
}

// admitted gives the bundle of an assignment as devices need it, or says why it is not served. What is out already stays out
// while its Bundle is looked at again, waits for its deletion, or an upstream channel forgets it.
func (o *Outcome) admitted(f Facts, a *otav1alpha1.Assignment, out bool) (*release.Bundle, string) {
	b := f.Bundles[a.Bundle]
	switch {
	case o.refuses(string(a.Digest)):
		return nil, "digest of Bundle " + a.Bundle + " is refused"
	case !out && len(o.Document.Refused) >= fullRefused:
		o.Full = true
		return nil, o.full()
	case b == nil && out:
		return &f.Committed.Candidate.Bundle, ""
	case b == nil:
		return nil, "Bundle " + a.Bundle + " does not exist"
	case b.Spec.Digest != a.Digest:
		return nil, "Bundle " + a.Bundle + " has digest " + string(b.Spec.Digest) + ", the release has " + string(a.Digest)
	}
	return o.fits(f, b, out)
}

// fits gives a Bundle that may be served and is admitted.
func (o *Outcome) fits(f Facts, b *otav1alpha1.Bundle, out bool) (*release.Bundle, string) {
	ok, why := Trusted(b)
	if keep := out && b.Spec.Revoked == "" && Distrusted(b) == ""; !ok && !keep {
		return nil, "Bundle " + b.Name + " cannot be served: " + why
	}
	v := Admit(f.admission(b, o.Document.Stable))
	if v.Denied != "" || (v.Wait != "" && !out) {
		return nil, "Bundle " + b.Name + " is not admitted: " + v.Denied + v.Wait
	}
	o.Warnings = v.Warnings
	if !ok {
		return &f.Committed.Candidate.Bundle, ""
	}
	now := Bundle(b)
	now.Since = f.Now.Unix()
	return now, ""
}

// full says that the list of refused digests has no room, and what makes some.
func (o *Outcome) full() string {
	final := 0
	for _, x := range o.Document.Refused {
		if why, now := o.Refusals[x.Digest]; now && !strings.HasPrefix(why.By, byRollout) {
			final++
		}
	}
	return fmt.Sprintf("%d digests are refused, %d of them for good (revoked, no longer trusted, or below a floor): nothing is released before "+
		"others were tried again with the command retry of their Rollouts; or raise spec.floors of the Repository above what is refused, which "+
		"needs no place on the list then", len(o.Document.Refused), final)
}

func onLoss(r *otav1alpha1.Rollout) string {
	if r.Spec.OnControlPlaneLoss == "" {
		return string(otav1alpha1.LossStopOffering)
	}
	return string(r.Spec.OnControlPlaneLoss)
}

// lease renews when less than two thirds of it are left, so that an idle rollout is signed again a few times per lease and
// not more. A change of content renews it for free.
func lease(r *otav1alpha1.Rollout, before, after *release.Candidate, now time.Time) int64 {
	length, err := Duration(r.Spec.LeaseDuration, DefaultLease)
	if err != nil {
		length = DefaultLease
	}
	if before != nil {
		left := time.Unix(before.LeaseExpires, 0).Sub(now)
		same := *after
		same.LeaseExpires = before.LeaseExpires
		if left > length*2/3 && left <= length && reflect.DeepEqual(same, *before) {
			return before.LeaseExpires
		}
	}
	return now.Add(length).Unix()
}

// LeaseRenewal is when the lease of a document's candidate has to be renewed; zero when it has none.
func LeaseRenewal(d *release.Document, r *otav1alpha1.Rollout) time.Time {
	if d == nil || d.Candidate == nil || r == nil {
		return time.Time{}
	}
	length, err := Duration(r.Spec.LeaseDuration, DefaultLease)
	if err != nil {
		length = DefaultLease
	}
	return time.Unix(d.Candidate.LeaseExpires, 0).Add(-length * 2 / 3)
}
