// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Verdict is what a Channel's admission says of a Bundle. Both empty: admitted.
type Verdict struct {
	Denied string // and nothing but a change of Bundle or Channel helps
	Wait   string // and time helps
}

// Admitted tells whether the bundle may be served.
func (v Verdict) Admitted() bool { return v == Verdict{} }

// rule is one rule of admission.
type rule func(AdmitFacts) Verdict

// AdmitFacts are what admission depends on.
type AdmitFacts struct {
	Channel  *otav1alpha1.Channel
	Bundle   *otav1alpha1.Bundle
	Upstream *otav1alpha1.Channel // that admission.promotedFrom names; nil: it does not exist
	Now      time.Time
}

// rules in the order in which people fix things.
var rules = []rule{sameApp, sameRepository, signedByAll, withinSize, withNotes, aboveFloor, forAudience, soaked}

// Admit says whether a Channel admits a Bundle: the first rule that objects decides.
func Admit(f AdmitFacts) Verdict {
	for _, r := range rules {
		if v := r(f); !v.Admitted() {
			return v
		}
	}
	return Verdict{}
}

func deny(format string, args ...any) Verdict { return Verdict{Denied: fmt.Sprintf(format, args...)} }

func sameApp(f AdmitFacts) Verdict {
	if f.Bundle.Spec.App != f.Channel.Spec.App {
		return deny("Bundle is for app %s, the channel serves %s", f.Bundle.Spec.App, f.Channel.Spec.App)
	}
	return Verdict{}
}

func sameRepository(f AdmitFacts) Verdict {
	have, want := RepositoryName(f.Bundle.Spec.RepositoryRef), RepositoryName(f.Channel.Spec.RepositoryRef)
	if have != want {
		return deny("Bundle is kept in Repository %s, the channel publishes from %s", have, want)
	}
	return Verdict{}
}

func signedByAll(f AdmitFacts) Verdict {
	if f.Channel.Spec.Admission == nil {
		return Verdict{}
	}
	var have []string
	for _, v := range f.Bundle.Status.Verifications {
		have = append(have, v.Authority)
	}
	var missing []string
	for _, want := range f.Channel.Spec.Admission.RequiredAuthorities {
		if !slices.Contains(have, want) {
			missing = append(missing, want)
		}
	}
	if len(missing) > 0 {
		return deny("the channel requires signatures of %s: missing %s, signed by %s",
			strings.Join(f.Channel.Spec.Admission.RequiredAuthorities, ", "), strings.Join(missing, ", "), orNobody(have))
	}
	return Verdict{}
}

func orNobody(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}

func content(f AdmitFacts) otav1alpha1.ContentPolicy {
	if f.Channel.Spec.Admission == nil || f.Channel.Spec.Admission.Content == nil {
		return otav1alpha1.ContentPolicy{}
	}
	return *f.Channel.Spec.Admission.Content
}

func withinSize(f AdmitFacts) Verdict {
	limit := content(f).MaxSize
	if limit == "" || f.Bundle.Status.Artifact == nil {
		return Verdict{}
	}
	q, err := resource.ParseQuantity(limit)
	if err != nil {
		return deny("admission.content.maxSize %q is not a size: %v", limit, err)
	}
	if size := f.Bundle.Status.Artifact.Size; size > q.Value() {
		return deny("the artifact has %d bytes, the channel allows %d (%s)", size, q.Value(), limit)
	}
	return Verdict{}
}

func withNotes(f AdmitFacts) Verdict {
	if content(f).ReleaseNotes == otav1alpha1.ReleaseNotesRequired && len(f.Bundle.Spec.ReleaseNotes) == 0 {
		return deny("the channel requires release notes: set spec.releaseNotes of the Bundle")
	}
	return Verdict{}
}

func aboveFloor(f AdmitFacts) Verdict {
	if f.Channel.Spec.Guards == nil || f.Channel.Spec.Guards.Floor == "" {
		return Verdict{}
	}
	floor, err := semver.StrictNewVersion(string(f.Channel.Spec.Guards.Floor))
	if err != nil {
		return deny("guards.floor: %v", err)
	}
	version, err := semver.StrictNewVersion(string(f.Bundle.Spec.Version))
	if err != nil {
		return deny("version of the Bundle: %v", err)
	}
	if version.LessThan(floor) {
		return deny("version %s is below the channel's floor %s", version, floor)
	}
	return Verdict{}
}

func forAudience(f AdmitFacts) Verdict {
	if f.Channel.Spec.Audience == nil || f.Bundle.Spec.Compatibility == nil {
		return Verdict{}
	}
	have, want := f.Bundle.Spec.Compatibility.Platforms, f.Channel.Spec.Audience.Platforms
	if len(have) == 0 || len(want) == 0 {
		return Verdict{}
	}
	if !slices.ContainsFunc(have, func(p otav1alpha1.Platform) bool { return slices.Contains(want, p) }) {
		return deny("Bundle runs on %v, the channel serves %v: no device would get it", have, want)
	}
	return Verdict{}
}

// soaked asks that an upstream channel has served the digest as stable for long enough.
func soaked(f AdmitFacts) Verdict {
	if f.Channel.Spec.Admission == nil || f.Channel.Spec.Admission.PromotedFrom == nil {
		return Verdict{}
	}
	from := f.Channel.Spec.Admission.PromotedFrom
	if f.Upstream == nil || f.Upstream.Spec.App != f.Channel.Spec.App {
		return deny("admission.promotedFrom: there is no Channel %s of app %s in this namespace", from.Name, f.Channel.Spec.App)
	}
	need, err := Duration(from.RequiredSoakTime, 0)
	if err != nil {
		return deny("admission.promotedFrom.requiredSoakTime: %v", err)
	}
	served, ok := servedFor(f.Upstream, f.Bundle.Spec.Digest, f.Now)
	switch {
	case !ok:
		return Verdict{Wait: fmt.Sprintf("waiting until channel %s serves %s as stable", from.Name, f.Bundle.Spec.Version)}
	case served < need:
		return Verdict{Wait: fmt.Sprintf("waiting until channel %s has served %s for %s", from.Name, f.Bundle.Spec.Version, need)}
	}
	return Verdict{}
}

// servedFor is how long a channel has served, or had served, a digest as stable: the longest time without a break.
func servedFor(ch *otav1alpha1.Channel, digest otav1alpha1.Digest, now time.Time) (time.Duration, bool) {
	var longest time.Duration
	found := false
	if s := ch.Status.Stable; s != nil && s.Digest == digest && s.Since != nil {
		longest, found = now.Sub(s.Since.Time), true
	}
	for _, h := range ch.Status.History {
		if h.Digest == digest && h.As == otav1alpha1.RoleStable && h.From != nil && h.To != nil {
			longest, found = max(longest, h.To.Sub(h.From.Time)), true
		}
	}
	return longest, found
}

// RepositoryName is the Repository that a reference names, or the default one.
func RepositoryName(ref *otav1alpha1.LocalReference) string {
	if ref == nil {
		return otav1alpha1.DefaultRepository
	}
	return ref.Name
}

// Duration reads an API duration; empty gives the default.
func Duration(d otav1alpha1.Duration, unset time.Duration) (time.Duration, error) {
	if d == "" {
		return unset, nil
	}
	v, err := time.ParseDuration(string(d))
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 30s, 10m or 1h30m", d)
	}
	return v, nil
}

// Distrusted tells whether a Bundle must not be served any more: revoked, or no signature of it counts.
func Distrusted(b *otav1alpha1.Bundle) bool {
	return b.Spec.Revoked != "" || apimeta.IsStatusConditionFalse(b.Status.Conditions, otav1alpha1.VerifiedCondition)
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
	case c.Status != "True" || b.Status.Artifact == nil:
		return false, c.Reason + ": " + c.Message
	}
	return true, ""
}
