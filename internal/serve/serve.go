// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package serve decides what a channel serves: the next release document, from the Channel's policy, the committed document
// and what Rollouts ask for. It is pure.
package serve

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/release"
)

// Bounds of the list of refused digests. Nothing new is offered once fullRefused is reached, so that there is always room for
// what has to be refused of what is out already.
const (
	MaxRefused  = 128
	fullRefused = 96
	keptLow     = 8 // of those that a floor stands for, where there is little room
)

// DefaultLease is how long a candidate's lease holds when the Rollout says nothing.
const DefaultLease = time.Hour

// Facts are all that the next document depends on.
type Facts struct {
	Channel    *otav1alpha1.Channel
	Repository *otav1alpha1.Repository // that publishes it; nil: only its halt, which is not known then, is read here
	Committed  *release.Document       // nil: nothing is published yet
	Rollouts   []otav1alpha1.Rollout
	Bundles    map[string]*otav1alpha1.Bundle // by name: those of the assignments, of the document, and the floor
	Floor      *otav1alpha1.Bundle            // that guards.floor names; nil: none
	Upstream   *otav1alpha1.Channel           // that admission.promotedFrom names; nil: none
	PublicURL  string

	LeastVersion string                  // floor of the app in the Repository's root of trust; empty: none
	Withdrawn    map[string]string       // digests that the Repository knows under versions below it, see Withdrawn
	Authorities  []otav1alpha1.Authority // of the Repository

	Frozen bool // the policy cannot be carried out: withdraw as ever, but offer nothing new and nothing to more devices
	Now    time.Time
}

// Outcome is the next document and what people should know about it.
type Outcome struct {
	Document *release.Document
	Refusals map[string]Refusal // by digest: who refused it in this step, and why
	Active   *otav1alpha1.Rollout
	Warnings []string // of content checks about the candidate that is served
	Problem  string   // why the wanted candidate is not served
	Full     bool     // and that is because too many digests are refused
	NoFloor  string   // why the bundle of guards.floor is not served, though there is one
	Dated    string   // why stable stays though the channel would not admit it now
}

// Refusal says who refuses a digest and why.
type Refusal struct{ By, Reason string }

// byRollout is what By begins with when a Rollout refuses.
const byRollout = "rollout/"

// Next computes the document that a channel should serve. When nothing changes, it equals the committed one.
func Next(f Facts) Outcome {
	f = f.withOwn()
	o := Outcome{Document: base(f), Refusals: map[string]Refusal{}}
	applyPolicy(o.Document, f)
	o.floor(f)
	o.refuse(f)
	o.withdraw(f)
	o.retreat(f)
	o.takeBack(f)
	o.lift(f)
	o.allow(f)
	o.thin(f)
	o.drop(f)
	o.promote(f)
	o.candidate(f)
	o.review(f)
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
	if Halted(f.Channel, f.Repository) != "" {
		d.Serving = release.Halted
	}
	d.PublicURL = f.PublicURL
	d.Follow = follow(f)
	remember(d, &f.Channel.Status)
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
}

// floor is the bundle that old devices pass through. One that is new has to be admitted; the one that is committed stays.
func (o *Outcome) floor(f Facts) {
	d, g := o.Document, f.Channel.Spec.Guards
	switch {
	case g == nil || g.Floor == "":
		d.Guards.Floor = nil
		return
	case f.Floor != nil && d.Guards.Floor != nil && d.Guards.Floor.Digest == string(f.Floor.Spec.Digest):
		d.Guards.Floor = keepSince(Bundle(f.Floor), d.Guards.Floor, f.Now)
		return
	case f.Floor != nil:
		v := AdmitFloor(f.admission(f.Floor, d.Stable))
		if o.NoFloor = cmp.Or(v.Denied+v.Wait, f.unapproved(f.Floor)); o.NoFloor == "" {
			d.Guards.Floor = keepSince(Bundle(f.Floor), nil, f.Now)
			return
		}
	}
	if d.Guards.Floor != nil && d.Guards.Floor.Version != d.Guards.FloorVersion {
		d.Guards.Floor = nil // the version still holds: nothing below it is offered
	}
}

// admission are the facts of whether the channel admits a Bundle beside what it serves as stable.
func (f Facts) admission(b *otav1alpha1.Bundle, stable *release.Bundle) AdmitFacts {
	out := AdmitFacts{Channel: f.Channel, Bundle: b, Upstream: f.Upstream, LeastVersion: f.LeastVersion, Withdrawn: f.Withdrawn, Now: f.Now}
	if stable != nil {
		out.Stable = f.bundleOf(stable)
	}
	return out
}

// bundleOf is the Bundle that a part of a document was made from; nil: it is gone, or was made anew.
func (f Facts) bundleOf(served *release.Bundle) *otav1alpha1.Bundle {
	if b := f.Bundles[served.Name]; b != nil && string(b.Spec.Digest) == served.Digest {
		return b
	}
	return nil
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

// refuse puts on the list what rollouts took back.
func (o *Outcome) refuse(f Facts) {
	for i := range f.Rollouts {
		if a := f.Rollouts[i].Status.Assignment; a != nil && a.Refuse != "" {
			o.add(f, string(a.Digest), version(f, a.Bundle), Refusal{By: byRollout + f.Rollouts[i].Name, Reason: a.Refuse})
		}
	}
}

// lift takes off the list what a person allowed again, but for what has to be refused all the same.
func (o *Outcome) lift(f Facts) {
	for i := range f.Rollouts {
		a := f.Rollouts[i].Status.Assignment
		if a == nil || a.Lift == "" {
			continue
		}
		o.liftDigest(string(a.Digest))
	}
}

func (o *Outcome) liftDigest(digest string) {
	if _, refusing := o.Refusals[digest]; !refusing {
		o.Document.Refused = slices.DeleteFunc(o.Document.Refused, func(x release.Refusal) bool { return x.Digest == digest })
	}
}

// add refuses a digest. What a floor keeps away needs no place on the list, unless devices may have just got it.
func (o *Outcome) add(f Facts, digest, version string, why Refusal) {
	o.Refusals[digest] = why
	if o.Document.Refuses(digest) || len(o.Document.Refused) >= MaxRefused || f.low(digest, version) != "" && !f.out(digest) {
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

// out tells whether the committed document serves a digest.
func (f Facts) out(digest string) bool {
	return f.Committed != nil && slices.ContainsFunc(f.Committed.Bundles(), func(b *release.Bundle) bool { return b.Digest == digest })
}

func version(f Facts, bundle string) string {
	if b := f.Bundles[bundle]; b != nil {
		return string(b.Spec.Version)
	}
	return ""
}

// drop takes what is refused, or below the Repository's floor, out of everything that is served: what was stable before comes
// back, else the embedded bundle.
func (o *Outcome) drop(f Facts) {
	d := o.Document
	bad := func(b *release.Bundle) bool {
		return b != nil && (o.refuses(b.Digest) || f.low(b.Digest, b.Version) != "")
	}
	if bad(d.Previous) {
		d.Previous = nil
	}
	if bad(d.Stable) {
		d.Stable, d.Previous = d.Previous, nil
	}
	if bad(d.Guards.Floor) {
		d.Guards.Floor = nil
	}
	if d.Candidate != nil && bad(&d.Candidate.Bundle) {
		d.Candidate = nil
	}
}

// refuses tells whether a digest is refused, also when the list has no room for it.
func (o *Outcome) refuses(digest string) bool {
	_, now := o.Refusals[digest]
	return now || o.Document.Refuses(digest)
}

// promote makes the committed candidate stable when its own release asks for it. What it is kept from goes on to get what was stable
// before: nothing says that it is well there. The next release is for all again.
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
	stable.Since, stable.Exclude = f.Now.Unix(), excluded(r.Status.Assignment.Exclude)
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

// review says of stable, which an admission that became stricter does not take back, that it would not be admitted now.
func (o *Outcome) review(f Facts) {
	if o.Document.Stable == nil {
		return
	}
	if b := f.bundleOf(o.Document.Stable); b != nil {
		o.Dated = AdmitFloor(f.admission(b, o.Document.Stable)).Denied
	}
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

// SameContent tells whether two documents differ at most in revision, lease, and what only the manager keeps in them.
func SameContent(a, b *release.Document) bool { return reflect.DeepEqual(timeless(a), timeless(b)) }

func timeless(d *release.Document) release.Document {
	c := *d
	c.Revision, c.Halt, c.LastCommand = 0, nil, ""
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
		out.Signatures = append(out.Signatures, signature(v))
	}
	return out
}

// signature is what devices need of a verification. Why and when it counts is left out, so that verifying it again is no new
// content; so is the format of most signatures.
func signature(v otav1alpha1.Verification) release.Signature {
	out := release.Signature{
		Authority: v.Authority, KeyID: v.KeyID, Algorithm: v.Algorithm, Signature: v.Signature,
		Issuer: v.Issuer, Subject: v.Subject, Evidence: string(v.Evidence),
	}
	if v.Format != otav1alpha1.FormatDetached {
		out.Format = string(v.Format)
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
