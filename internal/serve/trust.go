// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"maps"
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/release"
)

// Distrusted says why nobody vouches for a Bundle any more. Empty: somebody does, or nobody can tell at the moment: while signatures
// are verified again, and while that fails for reasons that may pass, Verified is Unknown (docs/adr/0010).
func Distrusted(b *otav1alpha1.Bundle) string {
	c := apimeta.FindStatusCondition(b.Status.Conditions, otav1alpha1.VerifiedCondition)
	if c == nil || c.Status != metav1.ConditionFalse {
		return ""
	}
	return "no longer trusted: " + c.Reason + ": " + c.Message
}

// unsettled tells whether a Bundle is verified again, so that what it lacks may be there in a moment.
func unsettled(b *otav1alpha1.Bundle) bool {
	c := apimeta.FindStatusCondition(b.Status.Conditions, otav1alpha1.VerifiedCondition)
	return c != nil && c.Status == metav1.ConditionUnknown
}

// Trusted tells whether a Bundle may be served at all: verified, stored and not revoked. Otherwise it says why not.
func Trusted(b *otav1alpha1.Bundle) (ok bool, why string) {
	switch {
	case b.Spec.Revoked != "":
		return false, "revoked: " + b.Spec.Revoked
	case !b.DeletionTimestamp.IsZero():
		return false, "it is being deleted"
	}
	c := apimeta.FindStatusCondition(b.Status.Conditions, otav1alpha1.ReadyCondition)
	switch {
	case c == nil:
		return false, "it has not been looked at yet"
	case c.Status != metav1.ConditionTrue || b.Status.Artifact == nil:
		return false, c.Reason + ": " + c.Message
	}
	return true, ""
}

// RepositoryFloor is the floor of an app in the Repository's published root of trust; empty: there is none.
func RepositoryFloor(r *otav1alpha1.Repository, app otav1alpha1.AppID) otav1alpha1.Version {
	for _, f := range r.Status.Floors {
		if f.App == app {
			return f.MinVersion
		}
	}
	return ""
}

// withdraw refuses what must not be served any more, whoever asks for it: what was revoked, has lost its trust, or is below the
// Repository's floor.
func (o *Outcome) withdraw(f Facts) {
	for _, name := range slices.Sorted(maps.Keys(f.Bundles)) {
		b := f.Bundles[name]
		if why := unfit(f, b); why != "" {
			o.add(f, string(b.Spec.Digest), string(b.Spec.Version), Refusal{By: "bundle/" + b.Name, Reason: why})
		}
	}
	o.withdrawLow(f)
}

// withdrawLow refuses what devices may run because it is served, when a floor comes to lie above it, and lets nobody lift what was
// refused below a floor. What was served longer ago the floor keeps away by itself.
func (o *Outcome) withdrawLow(f Facts) {
	if f.Committed == nil {
		return
	}
	by := "repository/" + RepositoryName(f.Channel.Spec.RepositoryRef)
	for _, b := range f.Committed.Bundles() {
		if low := f.low(b.Digest, b.Version); low != "" {
			o.add(f, b.Digest, b.Version, Refusal{By: by, Reason: low})
		}
	}
	for _, x := range f.Committed.Refused {
		if low := f.low(x.Digest, x.Version); low != "" {
			o.Refusals[x.Digest] = Refusal{By: by, Reason: low}
		}
	}
}

// thin drops refusals that floors stand for, but for the newest, when they leave no room for others: nothing below a floor is served
// again, listed or not.
func (o *Outcome) thin(f Facts) {
	d := o.Document
	if len(d.Refused) < fullRefused {
		return
	}
	kept := 0
	for i, x := range slices.Backward(d.Refused) {
		if f.low(x.Digest, x.Version) == "" {
			continue
		}
		if kept++; kept > keptLow {
			d.Refused = slices.Delete(d.Refused, i, i+1)
		}
	}
}

// unfit says why a Bundle that devices may run must not be served; empty: it may.
func unfit(f Facts, b *otav1alpha1.Bundle) string {
	digest := string(b.Spec.Digest)
	if b.Spec.App != f.Channel.Spec.App {
		return ""
	}
	if b.Spec.Revoked != "" && touched(f, digest) {
		return "revoked: " + b.Spec.Revoked
	}
	if !touchedBy(f, b) {
		return ""
	}
	if why := Distrusted(b); why != "" {
		return why
	}
	if f.Committed == nil || !apimeta.IsStatusConditionTrue(b.Status.Conditions, otav1alpha1.VerifiedCondition) {
		return ""
	}
	for _, out := range f.Committed.Bundles() {
		if out.Name == b.Name && out.Digest == digest {
			return lostSignatures(f, out, b)
		}
	}
	if f.Committed.Refuses(digest) && !explained(f.Channel, b.Spec.Digest) {
		return missingSignatures(f, b) // the commit that refused it took its signatures along
	}
	return ""
}

// explained tells whether status says why a digest is refused.
func explained(ch *otav1alpha1.Channel, digest otav1alpha1.Digest) bool {
	return slices.ContainsFunc(ch.Status.Refused, func(r otav1alpha1.RefusedBundle) bool { return r.Digest == digest })
}

// touched tells whether devices may run a digest because this channel serves it or has served it.
func touched(f Facts, digest string) bool {
	served := func(b *release.Bundle) bool { return b.Digest == digest }
	if f.Committed != nil && (slices.ContainsFunc(f.Committed.Bundles(), served) || f.Committed.Refuses(digest)) {
		return true
	}
	return slices.ContainsFunc(f.Channel.Status.History, func(h otav1alpha1.ChannelHistoryEntry) bool { return string(h.Digest) == digest })
}

// touchedBy tells whether devices may run a digest because of this very Bundle: another one with the same artifact and bad
// signatures says nothing of it.
func touchedBy(f Facts, b *otav1alpha1.Bundle) bool {
	digest := string(b.Spec.Digest)
	served := func(o *release.Bundle) bool { return o.Name == b.Name && o.Digest == digest }
	if f.Committed != nil && (slices.ContainsFunc(f.Committed.Bundles(), served) || f.Committed.Refuses(digest)) {
		return true
	}
	return slices.ContainsFunc(f.Channel.Status.History, func(h otav1alpha1.ChannelHistoryEntry) bool {
		return h.Bundle == b.Name && string(h.Digest) == digest
	})
}
