// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package serve decides what a channel serves: the next release document, from the Channel's policy, the committed document
// and what Rollouts ask for. It is pure.
package serve

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/release"
)

// Bounds of the list of refused digests. Nothing new is offered once fullRefused is reached, so that there is always room for
// what has to be refused of what is out already.
const (
	MaxRefused  = 128
	fullRefused = 96
)

// DefaultLease is how long a candidate's lease holds when the Rollout says nothing.
const DefaultLease = time.Hour

// Facts are all that the next document depends on.
type Facts struct {
	Channel   *otav1alpha1.Channel
	Committed *release.Document // nil: nothing is published yet
	Rollouts  []otav1alpha1.Rollout
	Bundles   map[string]*otav1alpha1.Bundle // by name: those of the assignments, of the document, and the floor
	Floor     *otav1alpha1.Bundle            // that guards.floor names; nil: none
	Upstream  *otav1alpha1.Channel           // that admission.promotedFrom names; nil: none
	PublicURL string
	Frozen    bool // the policy cannot be carried out: withdraw as ever, but offer nothing new and nothing to more devices
	Now       time.Time
}

// Outcome is the next document and what people should know about it.
type Outcome struct {
	Document *release.Document
	Refusals map[string]Refusal // by digest: who refused it in this step, and why
	Active   *otav1alpha1.Rollout
	Problem  string // why the wanted candidate is not served
	Full     bool   // and that is because too many digests are refused
}

// Refusal says who refuses a digest and why.
type Refusal struct{ By, Reason string }

// Next computes the document that a channel should serve. When nothing changes, it equals the committed one.
func Next(f Facts) Outcome {
	o := Outcome{Document: base(f), Refusals: map[string]Refusal{}}
	applyPolicy(o.Document, f)
	o.refuse(f)
	o.dropRefused()
	o.promote(f)
	o.candidate(f)
	o.number(f)
	return o
}

// base is a copy of the committed document, or an empty one.
func base(f Facts) *release.Document {
	if f.Committed == nil {
		return &release.Document{Schema: release.Schema, App: string(f.Channel.Spec.App), Channel: f.Channel.Name}
	}
	d := *f.Committed
	d.Refused = slices.Clone(d.Refused)
	return &d
}

// applyPolicy copies what the Channel says itself.
func applyPolicy(d *release.Document, f Facts) {
	spec := f.Channel.Spec
	d.Serving = release.Active
	if spec.Serving == otav1alpha1.ServingHalted {
		d.Serving = release.Halted
	}
	d.PublicURL = f.PublicURL
	d.Follow = follow(f)
	d.Audience, d.Guards = release.Audience{}, release.Guards{Floor: d.Guards.Floor}
	if spec.Guards != nil {
		d.Guards.FloorVersion = string(spec.Guards.Floor)
	}
	if a := spec.Audience; a != nil {
		d.Audience = release.Audience{Platforms: texts(a.Platforms), Builds: texts(a.Builds)}
	}
	if g := spec.Guards; g != nil {
		d.Guards.AutoUpdate, d.Guards.BelowNative = string(g.AutoUpdate), string(g.BelowNative)
	}
	switch {
	case spec.Guards == nil || spec.Guards.Floor == "":
		d.Guards.Floor = nil
	case f.Floor != nil:
		d.Guards.Floor = keepSince(Bundle(f.Floor), d.Guards.Floor, f.Now)
	case d.Guards.Floor != nil && d.Guards.Floor.Version != d.Guards.FloorVersion:
		d.Guards.Floor = nil // the version still holds: nothing below it is offered
	}
}

// follow is who may follow. A policy that lets nobody takes no devices away: what is committed stays.
func follow(f Facts) release.Follow {
	spec := &f.Channel.Spec
	out := release.Follow{Visibility: string(spec.Visibility), SelfAssignment: string(spec.SelfAssignment)}
	if f.Committed != nil && Unfollowable(spec) {
		out = f.Committed.Follow
	}
	out.Origins = origins(spec.AllowedOrigins)
	return out
}

// Unfollowable tells whether no device could follow a Channel: it is private, devices may not choose it, and nobody can put
// them there yet.
func Unfollowable(spec *otav1alpha1.ChannelSpec) bool {
	return spec.Visibility == otav1alpha1.VisibilityPrivate && spec.SelfAssignment != otav1alpha1.SelfAssignmentAllowed
}

// origins in a fixed order: they are a set, and another order is no other content.
func origins(in []otav1alpha1.Origin) []string {
	out := texts(in)
	slices.Sort(out)
	return out
}

// refuse brings the list of refused digests up to date: what rollouts took back, what was revoked or lost its trust, and
// what a person allowed again.
func (o *Outcome) refuse(f Facts) {
	d := o.Document
	for i := range f.Rollouts {
		if a := f.Rollouts[i].Status.Assignment; a != nil && a.Refuse != "" {
			o.add(f, string(a.Digest), version(f, a.Bundle), Refusal{By: "rollout/" + f.Rollouts[i].Name, Reason: a.Refuse})
		}
	}
	for i := range f.Rollouts {
		a := f.Rollouts[i].Status.Assignment
		if a == nil || a.Lift == "" {
			continue
		}
		if _, refusing := o.Refusals[string(a.Digest)]; !refusing {
			d.Refused = slices.DeleteFunc(d.Refused, func(x release.Refusal) bool { return x.Digest == string(a.Digest) })
		}
	}
	// Last, so that nobody lifts a revocation.
	for _, b := range f.Bundles {
		if b.Spec.Revoked != "" && b.Spec.App == f.Channel.Spec.App && touched(f, string(b.Spec.Digest)) {
			o.add(f, string(b.Spec.Digest), string(b.Spec.Version), Refusal{By: "bundle/" + b.Name, Reason: "revoked: " + b.Spec.Revoked})
		}
	}
}

func (o *Outcome) add(f Facts, digest, version string, why Refusal) {
	o.Refusals[digest] = why
	if o.Document.Refuses(digest) || len(o.Document.Refused) >= MaxRefused {
		return
	}
	o.Document.Refused = append(o.Document.Refused, release.Refusal{Digest: digest, Version: version, At: f.Now.Unix()})
	slices.SortFunc(o.Document.Refused, func(a, b release.Refusal) int {
		if a.At != b.At {
			return int(a.At - b.At)
		}
		return slices.Compare([]byte(a.Digest), []byte(b.Digest))
	})
}

// touched tells whether devices may run a digest because this channel serves it or has served it.
func touched(f Facts, digest string) bool {
	if f.Committed != nil {
		for _, b := range f.Committed.Bundles() {
			if b.Digest == digest {
				return true
			}
		}
		if f.Committed.Refuses(digest) {
			return true
		}
	}
	return slices.ContainsFunc(f.Channel.Status.History, func(h otav1alpha1.ChannelHistoryEntry) bool { return string(h.Digest) == digest })
}

func version(f Facts, bundle string) string {
	if b := f.Bundles[bundle]; b != nil {
		return string(b.Spec.Version)
	}
	return ""
}

// dropRefused takes refused digests out of everything that is served: what was stable before comes back, else the embedded
// bundle.
func (o *Outcome) dropRefused() {
	d := o.Document
	if d.Previous != nil && o.refuses(d.Previous.Digest) {
		d.Previous = nil
	}
	if d.Stable != nil && o.refuses(d.Stable.Digest) {
		d.Stable, d.Previous = d.Previous, nil
	}
	if d.Guards.Floor != nil && o.refuses(d.Guards.Floor.Digest) {
		d.Guards.Floor = nil
	}
	if d.Candidate != nil && o.refuses(d.Candidate.Bundle.Digest) {
		d.Candidate = nil
	}
}

// refuses tells whether a digest is refused, also when the list has no room for it.
func (o *Outcome) refuses(digest string) bool {
	_, now := o.Refusals[digest]
	return now || o.Document.Refuses(digest)
}

// promote makes the committed candidate stable when its own release asks for it.
func (o *Outcome) promote(f Facts) {
	d := o.Document
	if d.Candidate == nil {
		return
	}
	r := owner(f, d.Candidate)
	if r == nil || r.Status.Assignment.State != otav1alpha1.AssignmentPromoted || f.Frozen {
		return
	}
	if d.Stable != nil {
		d.Previous = d.Stable
	}
	stable := d.Candidate.Bundle
	stable.Since = f.Now.Unix()
	d.Stable, d.Candidate = &stable, nil
}

// owner is the Rollout whose present assignment is the committed candidate. The salt holds the Rollout's UID, so that a
// namesake does not match.
func owner(f Facts, c *release.Candidate) *otav1alpha1.Rollout {
	for i := range f.Rollouts {
		r := &f.Rollouts[i]
		a := r.Status.Assignment
		if r.Name == c.Rollout && a != nil && a.Release == c.Release && string(a.Digest) == c.Bundle.Digest && a.Salt == c.Salt {
			return r
		}
	}
	return nil
}

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
	weight, problem := o.weight(f, a, before, out)
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
	}
	if before != nil && before.Bundle.Digest == bundle.Digest {
		d.Candidate.Bundle.Since = before.Bundle.Since
	}
	d.Candidate.LeaseExpires = lease(r, before, d.Candidate, f.Now)
}

// weight is the weight to serve, in basis points. A promotion that a frozen policy holds back stays where it is.
func (o *Outcome) weight(f Facts, a *otav1alpha1.Assignment, before *release.Candidate, out bool) (weight int32, problem string) {
	if f.Frozen && !out {
		return 0, "nothing new is offered: the Channel asks for what cannot be carried out"
	}
	if out && a.State == otav1alpha1.AssignmentPromoted {
		return before.Weight, ""
	}
	weight, err := plan.ParseWeight(string(a.Weight))
	if err != nil {
		return 0, "rollout " + a.Bundle + ": " + err.Error()
	}
	if f.Frozen {
		weight = min(weight, before.Weight)
	}
	return weight, ""
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
		return nil, fmt.Sprintf("%d digests are refused: nothing is released before some of them were tried again", len(o.Document.Refused))
	case b == nil && out:
		return &f.Committed.Candidate.Bundle, ""
	case b == nil:
		return nil, "Bundle " + a.Bundle + " does not exist"
	case b.Spec.Digest != a.Digest:
		return nil, "Bundle " + a.Bundle + " has digest " + string(b.Spec.Digest) + ", the release has " + string(a.Digest)
	}
	ok, why := Trusted(b)
	if keep := out && !Distrusted(b); !ok && !keep {
		return nil, "Bundle " + a.Bundle + " cannot be served: " + why
	}
	v := Admit(AdmitFacts{Channel: f.Channel, Bundle: b, Upstream: f.Upstream, Now: f.Now})
	if v.Denied != "" || (v.Wait != "" && !out) {
		return nil, "Bundle " + a.Bundle + " is not admitted: " + v.Denied + v.Wait
	}
	if !ok {
		return &f.Committed.Candidate.Bundle, ""
	}
	now := Bundle(b)
	now.Since = f.Now.Unix()
	return now, ""
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

// number gives the document the next revision when its content differs from the committed one.
func (o *Outcome) number(f Facts) {
	if f.Committed == nil {
		o.Document.Revision = 1
		return
	}
	if !SameContent(o.Document, f.Committed) {
		o.Document.Revision = f.Committed.Revision + 1
	}
}

// SameContent tells whether two documents differ at most in revision and lease.
func SameContent(a, b *release.Document) bool { return reflect.DeepEqual(timeless(a), timeless(b)) }

func timeless(d *release.Document) release.Document {
	c := *d
	c.Revision = 0
	if c.Candidate != nil {
		candidate := *c.Candidate
		candidate.LeaseExpires = 0
		c.Candidate = &candidate
	}
	if len(c.Refused) == 0 {
		c.Refused = nil
	}
	return c
}

// Bundle is a Bundle object as devices need it.
func Bundle(b *otav1alpha1.Bundle) *release.Bundle {
	out := &release.Bundle{Name: b.Name, Version: string(b.Spec.Version), Digest: string(b.Spec.Digest)}
	if a := b.Status.Artifact; a != nil {
		out.Size, out.Path, out.MediaType = a.Size, a.Path, a.MediaType
	}
	if c := b.Spec.Compatibility; c != nil {
		out.Platforms, out.NativeVersion, out.RuntimeVersion = texts(c.Platforms), c.NativeVersion, c.RuntimeVersion
	}
	out.Encryption = encryption(b)
	for _, v := range b.Status.Verifications {
		out.Signatures = append(out.Signatures, release.Signature{
			Authority: v.Authority, KeyID: v.KeyID, Algorithm: v.Algorithm, Signature: v.Signature,
		})
	}
	return out
}

// encryption passes on what CI wrote. Where it names no key, that of the Repository which opened the artifact is named.
func encryption(b *otav1alpha1.Bundle) *release.Encryption {
	e := b.Spec.Encryption
	if e == nil || e.Mode != otav1alpha1.EncryptionOpaque {
		return nil
	}
	out := &release.Encryption{SessionKey: e.SessionKey, Checksum: e.Checksum, KeyID: e.KeyID}
	if a := b.Status.Artifact; out.KeyID == "" && a != nil && a.Encryption != nil {
		out.KeyID = a.Encryption.KeyID
	}
	return out
}

func keepSince(b, before *release.Bundle, now time.Time) *release.Bundle {
	b.Since = now.Unix()
	if before != nil && before.Digest == b.Digest {
		b.Since = before.Since
	}
	return b
}

func texts[T ~string](in []T) []string {
	var out []string
	for _, v := range in {
		out = append(out, string(v))
	}
	return out
}
