// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"errors"
	"fmt"
	"slices"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/release"
)

// ByUser is what the name of a person who refuses a digest begins with.
const ByUser = "user/"

// rollback takes back the candidate or, without one, what is stable.
func rollback(o *order) error {
	t, err := command.ParseRollback(o.Args)
	if err != nil {
		return badArgs(err)
	}
	f := o.facts.withOwn()
	if f.Committed == nil {
		return errors.New("nothing is published yet, so that nothing can be taken back")
	}
	from := newest(f)
	if from == "" && t.To != otav1alpha1.RollbackToBundle {
		return errors.New("devices have the embedded bundle already")
	}
	if t.To == otav1alpha1.RollbackToBundle {
		if err := returnable(f, t.Bundle, from); err != nil {
			return err
		}
	}
	if from != "" && !f.Committed.Refuses(from) && len(f.Committed.Refused) >= MaxRefused {
		return fmt.Errorf("%d digests are refused, and there is no room for another one: lift some with the command %s, or halt the Channel meanwhile",
			MaxRefused, command.Allow)
	}
	o.status.Rollback = &otav1alpha1.ChannelRollback{
		Order: o.next(), From: otav1alpha1.Digest(from), To: t.To, Bundle: t.Bundle, Reason: t.Reason, By: o.By, Actor: o.Actor, At: o.at,
	}
	return nil
}

// Wanted names the Bundles that people, or Rollouts, want devices to be brought back to.
func Wanted(ch *otav1alpha1.Channel, rollouts []otav1alpha1.Rollout) []string {
	var names []string
	for i := range rollouts {
		if r := rollouts[i].Spec.Rollback; r != nil && r.BundleRef != nil {
			names = append(names, r.BundleRef.Name)
		}
	}
	if r := ch.Status.Rollback; r != nil && r.Bundle != "" {
		names = append(names, r.Bundle)
	}
	if g := command.Read(ch.Annotations, ch.Status.LastCommand); g != nil && g.Name == command.Rollback {
		if t, err := command.ParseRollback(g.Args); err == nil && t.Bundle != "" {
			names = append(names, t.Bundle)
		}
	}
	return names
}

// newest is the digest that a rollback takes back: of the candidate, also of one whose commit is under way, else of what is stable.
func newest(f Facts) string {
	if c := f.Committed.Candidate; c != nil {
		return c.Bundle.Digest
	}
	if r := active(f, nil); r != nil {
		return string(r.Status.Assignment.Digest)
	}
	if s := f.Committed.Stable; s != nil {
		return s.Digest
	}
	return ""
}

// returnable says why devices cannot be brought back to a Bundle. A rollback is no release: the Bundle has been stable on the channel
// before, so that it was admitted and approved, if that was asked for.
func returnable(f Facts, name, from string) error {
	b := f.Bundles[name]
	if b == nil {
		return fmt.Errorf("there is no Bundle %s in this namespace", name)
	}
	a := f.admission(b, nil)
	if v := firstOf(a, sameApp, sameRepository, aboveRepositoryFloor, aboveFloor); v != "" {
		return errors.New(v)
	}
	digest := string(b.Spec.Digest)
	ok, why := Trusted(b)
	switch {
	case digest == from:
		return fmt.Errorf("Bundle %s is what is taken back: name another one", name)
	case !ok:
		return fmt.Errorf("Bundle %s cannot be served: %s", name, why)
	case f.Committed.Refuses(digest):
		return fmt.Errorf("Bundle %s is refused: lift that first with the command %s %s", name, command.Allow, digest)
	case f.Committed.Stable != nil && f.Committed.Stable.Digest == digest && f.Committed.Candidate == nil && active(f, nil) == nil:
		return fmt.Errorf("Bundle %s is stable already", name)
	case !beenStable(f, digest):
		return fmt.Errorf("Bundle %s has not been stable here, as far as status.history tells: release it with a Rollout", name)
	}
	return nil
}

func firstOf(f AdmitFacts, rules ...rule) string {
	for _, r := range rules {
		if v := r(f); v.Denied != "" {
			return v.Denied
		}
	}
	return ""
}

// beenStable tells whether the channel serves a digest as stable, or has done so.
func beenStable(f Facts, digest string) bool {
	for _, b := range []*release.Bundle{f.Committed.Stable, f.Committed.Previous} {
		if b != nil && b.Digest == digest {
			return true
		}
	}
	return slices.ContainsFunc(f.Channel.Status.History, func(h otav1alpha1.ChannelHistoryEntry) bool {
		return h.As == otav1alpha1.RoleStable && string(h.Digest) == digest
	})
}

// allow lifts the refusal of a digest, unless something still stands for it.
func allow(o *order) error {
	a, err := command.ParseAllowed(o.Args)
	if err != nil {
		return badArgs(err)
	}
	f := *o.facts
	if f.Committed == nil || !f.Committed.Refuses(string(a.Digest)) {
		return errors.New("this digest is not refused here: status.refused lists those that are")
	}
	if why, stands := Next(f).Refusals[string(a.Digest)]; stands {
		return fmt.Errorf("the refusal stays: %s (%s)", why.Reason, why.By)
	}
	o.status.Allowed = &otav1alpha1.AllowedBundle{Order: o.next(), Digest: a.Digest, Reason: a.Reason, By: o.By, Actor: o.Actor, At: o.at}
	return nil
}

// takeBack carries out a rollback that a person asked for, once.
func (o *Outcome) takeBack(f Facts) {
	r, d := f.Channel.Status.Rollback, o.Document
	if r == nil || f.Committed == nil || r.Order <= f.Committed.Orders {
		return
	}
	d.Orders = max(d.Orders, r.Order)
	from := string(r.From)
	if _, refusing := o.Refusals[from]; from != "" && !refusing {
		o.add(f, from, f.versionOf(from), Refusal{By: ByUser + r.By, Reason: r.Reason})
	}
	back := f.Bundles[r.Bundle]
	switch {
	case r.To == otav1alpha1.RollbackToEmbedded, r.To == otav1alpha1.RollbackToBundle && back != nil && o.servable(f, back):
		o.replaceStable(f, r.To, back)
	case d.Stable != nil && d.Stable.Digest == from:
		d.Stable, d.Previous = o.before(f), nil
	}
}

// replaceStable makes nothing, or a Bundle, stable. What was stable is nothing to fall back to.
func (o *Outcome) replaceStable(f Facts, to otav1alpha1.RollbackTarget, back *otav1alpha1.Bundle) {
	d := o.Document
	if d.Previous = nil; to == otav1alpha1.RollbackToEmbedded {
		d.Stable = nil
		return
	}
	d.Stable = keepSince(Bundle(back), d.Stable, f.Now)
}

// retreat brings all devices back to what a Rollout names for the case that its analysis fails, in the commit that withdraws its bundle,
// and so once. A Bundle that cannot be served, or has not been stable here, leaves what was stable.
func (o *Outcome) retreat(f Facts) {
	for i := range f.Rollouts {
		a, spec, rel := f.Rollouts[i].Status.Assignment, f.Rollouts[i].Spec.Rollback, f.Rollouts[i].Status.Release
		if a == nil || a.Refuse == "" || spec == nil || rel == nil || rel.Outcome != otav1alpha1.ReleaseRolledBack || !f.runs(string(a.Digest)) {
			continue
		}
		switch {
		case spec.To == otav1alpha1.RollbackToEmbedded:
			o.replaceStable(f, spec.To, nil)
		case spec.BundleRef != nil && returnable(f, spec.BundleRef.Name, string(a.Digest)) == nil && o.servable(f, f.Bundles[spec.BundleRef.Name]):
			o.replaceStable(f, spec.To, f.Bundles[spec.BundleRef.Name])
		}
	}
}

// runs tells whether devices get a digest as candidate or as stable.
func (f Facts) runs(digest string) bool {
	d := f.Committed
	return d != nil && (d.Candidate != nil && d.Candidate.Bundle.Digest == digest || d.Stable != nil && d.Stable.Digest == digest)
}

// before is what was stable before, if it can still be served: as the document has it, else by the newest entry of the history. None:
// the embedded bundle.
func (o *Outcome) before(f Facts) *release.Bundle {
	if p := o.Document.Previous; p != nil && !o.refuses(p.Digest) && f.low(p.Digest, p.Version) == "" {
		return p
	}
	for _, h := range f.Channel.Status.History {
		b := f.Bundles[h.Bundle]
		if h.As == otav1alpha1.RoleStable && b != nil && b.Spec.Digest == h.Digest && o.servable(f, b) {
			return keepSince(Bundle(b), nil, f.Now)
		}
	}
	return nil
}

// servable tells whether devices can be brought back to a Bundle.
func (o *Outcome) servable(f Facts, b *otav1alpha1.Bundle) bool {
	ok, _ := Trusted(b)
	return ok && !o.refuses(string(b.Spec.Digest)) && f.low(string(b.Spec.Digest), string(b.Spec.Version)) == ""
}

// allow carries out an allowance that a person gave, once.
func (o *Outcome) allow(f Facts) {
	a := f.Channel.Status.Allowed
	if a == nil || f.Committed == nil || a.Order <= f.Committed.Orders {
		return
	}
	o.Document.Orders = max(o.Document.Orders, a.Order)
	o.liftDigest(string(a.Digest))
}

// versionOf is the version under which the channel serves a digest, or is about to.
func (f Facts) versionOf(digest string) string {
	for _, b := range f.Committed.Bundles() {
		if b.Digest == digest {
			return b.Version
		}
	}
	for _, b := range f.Bundles {
		if string(b.Spec.Digest) == digest {
			return string(b.Spec.Version)
		}
	}
	return ""
}
