// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Verdict is what a Channel's admission says of a Bundle. Neither denied nor waiting: admitted.
type Verdict struct {
	Denied   string   // and nothing but a change of Bundle or Channel helps
	Wait     string   // and time helps
	Warnings []string // of content checks
}

// Admitted tells whether the bundle may be served.
func (v Verdict) Admitted() bool { return v.Denied == "" && v.Wait == "" }

// rule is one rule of admission.
type rule func(AdmitFacts) Verdict

// AdmitFacts are what admission depends on.
type AdmitFacts struct {
	Channel      *otav1alpha1.Channel
	Bundle       *otav1alpha1.Bundle
	Stable       *otav1alpha1.Bundle  // that the channel serves, with which content is compared; nil: none, or it is gone
	Upstream     *otav1alpha1.Channel // that admission.promotedFrom names; nil: it does not exist
	LeastVersion string               // floor of the app in the Repository's root of trust; empty: none
	Withdrawn    map[string]string    // digests that the Repository knows under versions below it, see Withdrawn
	Now          time.Time
}

// rules in the order in which people fix things.
var rules = []rule{sameApp, sameRepository, signed, aboveRepositoryFloor, withinSize, withNotes, clean, aboveFloor, forAudience}

// Admit says whether a Channel admits a Bundle as a candidate: the first rule that objects decides.
func Admit(f AdmitFacts) Verdict {
	v := AdmitFloor(f)
	if v.Admitted() {
		soak := soaked(f)
		v.Denied, v.Wait = soak.Denied, soak.Wait
	}
	return v
}

// AdmitFloor says whether a Channel admits a Bundle as the one that old devices pass through: as Admit, but it need not have
// been served by another channel first.
func AdmitFloor(f AdmitFacts) Verdict {
	var warnings []string
	for _, r := range rules {
		v := r(f)
		warnings = append(warnings, v.Warnings...)
		if v.Warnings = warnings; !v.Admitted() {
			return v
		}
	}
	return Verdict{Warnings: warnings}
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

// signed asks for the signatures that the channel requires. While they are verified again, nobody knows.
func signed(f AdmitFacts) Verdict {
	why := unsigned(f.Channel.Spec.Admission, signersOf(f.Bundle))
	switch {
	case why == "":
		return Verdict{}
	case unsettled(f.Bundle):
		return Verdict{Wait: "waiting until the signatures of Bundle " + f.Bundle.Name + " are verified again: " + why}
	}
	return deny("%s", why)
}

func aboveRepositoryFloor(f AdmitFacts) Verdict {
	if why := belowRepositoryFloor(string(f.Bundle.Spec.Digest), string(f.Bundle.Spec.Version), f.LeastVersion, f.Withdrawn); why != "" {
		return deny("%s", why)
	}
	return Verdict{}
}

func withinSize(f AdmitFacts) Verdict {
	limit := contentOf(f.Channel).MaxSize
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
	if contentOf(f.Channel).ReleaseNotes == otav1alpha1.ReleaseNotesRequired && len(f.Bundle.Spec.ReleaseNotes) == 0 {
		return deny("the channel requires release notes: set spec.releaseNotes of the Bundle")
	}
	return Verdict{}
}

func aboveFloor(f AdmitFacts) Verdict {
	if f.Channel.Spec.Guards == nil || f.Channel.Spec.Guards.Floor == "" {
		return Verdict{}
	}
	version, floor := string(f.Bundle.Spec.Version), string(f.Channel.Spec.Guards.Floor)
	if Below(version, floor) {
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
