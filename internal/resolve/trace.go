// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/windlass-dev/windlass/internal/bucketing"
)

// trace records the rules that were looked at. Its methods give back what the rule found, so that they can stand where the rule
// is asked. A nil trace records nothing, formats nothing and allocates nothing.
type trace struct{ steps []Step }

func (t *trace) add(rule Rule, why Reason, format string, args ...any) {
	t.steps = append(t.steps, Step{Rule: rule, Reason: why, Detail: fmt.Sprintf(format, args...)})
}

// percent of a weight or slot in basis points.
func percent(points int32) string { return fmt.Sprintf("%d.%02d %%", points/100, points%100) }

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

func orAny(list []string) string {
	if len(list) == 0 {
		return "any"
	}
	return strings.Join(list, ", ")
}

func orNone(v *semver.Version) string {
	if v == nil {
		return "none"
	}
	return v.String()
}

// bundleRun says what a device runs.
func (d *Device) bundleRun() string {
	switch {
	case d.embedded():
		return "the embedded bundle of native build " + d.NativeVersion.String()
	case d.Version == nil && d.Digest == "":
		return "an unknown bundle"
	case d.Version == nil:
		return "the bundle " + d.Digest
	case d.Digest == "":
		return "bundle " + d.Version.String()
	}
	return "bundle " + d.Version.String() + " (" + d.Digest + ")"
}

func (t *trace) metadata(v *View, app string, why Reason) Reason {
	switch {
	case t == nil:
	case v == nil:
		t.add(RuleMetadata, why, "nothing was read since the start")
	case why == ReasonUnknownApp:
		t.add(RuleMetadata, why, "no channel of app %s is published", app)
	default:
		t.add(RuleMetadata, why, "%d channels of app %s; the metadata hold until %s", len(v.Apps[app]), app, stamp(v.Expires))
	}
	return why
}

func (t *trace) override(wish *Wish, c *Channel, why Reason) Reason {
	switch {
	case t == nil:
	case c == nil:
		t.add(RuleOverride, why, "stored for the device: %s, which does not exist; it is passed over", wish.Override)
	case why != noReason:
		t.add(RuleOverride, why, "stored for the device: %s, which does not serve it and is passed over: %s", wish.Override, c.policy())
	default:
		t.add(RuleOverride, why, "stored for the device: %s", wish.Override)
	}
	return why
}

func (t *trace) wish(wish *Wish, c *Channel, why Reason) Reason {
	if t == nil {
		return why
	}
	if c == nil {
		t.add(RuleWish, why, "asks for %q, which does not exist", wish.Channel)
		return why
	}
	t.add(RuleWish, why, "asks for %s: %s", wish.Channel, c.policy())
	return why
}

func (t *trace) public(c *Channel, why Reason) Reason {
	switch {
	case t == nil:
	case c == nil:
		t.add(RulePublic, why, "no public channel")
	default:
		t.add(RulePublic, why, "%s: %s", c.Name, c.policy())
	}
	return why
}

// policy says who may follow a channel.
func (c *Channel) policy() string {
	const torn = "its release document cannot be read; "
	if c.follow.visibility == unknown {
		return torn + "who follows it is not known, but for devices that name it"
	}
	state, visibility, choice := "", "Public", "Denied"
	if c.unreadable {
		state = torn
	}
	if c.follow.visibility == private {
		visibility = "Private"
	}
	if c.follow.selfAssignable {
		choice = "Allowed"
	}
	return fmt.Sprintf("%svisibility %s, selfAssignment %s, %s", state, visibility, choice, &c.audience)
}

// String says which devices are served.
func (a *audience) String() string {
	return fmt.Sprintf("platforms %s, builds %s, on %s", orAny(a.platforms), orAny(a.distributions), orAny(a.hardware))
}

func (t *trace) signed(c *Channel, why Reason) Reason {
	if t != nil && !c.expires.IsZero() {
		t.add(RuleSigned, why, "the metadata of %s hold until %s", c.Name, stamp(c.expires))
	}
	return why
}

func (t *trace) serving(c *Channel, why Reason) Reason {
	if t != nil {
		t.add(RuleServing, why, "channel %s, revision %d", c.Name, c.Revision)
	}
	return why
}

func (t *trace) audience(c *Channel, d *Device, why Reason) Reason {
	if t != nil {
		t.add(RuleAudience, why, "device: %s, %s, %s; serves %s", d.Platform, d.Distribution, d.Hardware, &c.audience)
	}
	return why
}

func (t *trace) lease(trial *Trial, lost bool) bool {
	if t != nil {
		why := noReason
		if lost {
			why = ReasonLeaseExpired
		}
		t.add(RuleLease, why, "of candidate %s until %s, then %s", trial.Bundle.Version, stamp(trial.LeaseExpires), trial.OnLoss)
	}
	return lost
}

func (t *trace) cohort(trial *Trial, slot int32, in bool) bool {
	if t != nil {
		why, arm := noReason, Control
		if in {
			why, arm = ReasonCandidate, Candidate
		}
		t.add(RuleCohort, why, "slot %d of %d, candidate %s at weight %d (%s): %s",
			slot, bucketing.Slots, trial.Bundle.Version, trial.Weight, percent(trial.Weight), arm)
	}
	return in
}

func (t *trace) passage(c *Channel, d *Device, below bool) bool {
	if t == nil || c.guards.floor == nil {
		return below
	}
	why := noReason
	switch {
	case below && c.floor == nil:
		why = ReasonBelowFloor
	case below:
		why = ReasonFloor
	}
	bundle := "none"
	if c.floor != nil {
		bundle = c.floor.Version
	}
	t.add(RulePassage, why, "device counts as version %s, floor %s, bundle to pass through: %s", c.versionOn(d), c.guards.floor, bundle)
	return below
}

func (t *trace) refused(d *Device, why Reason) Reason {
	if t != nil {
		t.add(RuleRefused, why, "device runs %s", d.bundleRun())
	}
	return why
}

func (t *trace) exclusion(x *exclusion, d *Device, holds bool) bool {
	if t == nil {
		return holds
	}
	why, parts := noReason, make([]string, 0, len(x.slices))
	if holds {
		why = ReasonExcluded
	}
	for i := range x.slices {
		parts = append(parts, x.slices[i].String())
	}
	t.add(RuleExclude, why, "bundle %s is kept from %s; device: %s, native %s, system %s, region %s", x.version,
		strings.Join(parts, "; and from "), d.Platform, d.NativeVersion, orNone(d.OSVersion), cmp.Or(d.Region, "none"))
	return holds
}

func (t *trace) running(b *Bundle, d *Device, runs bool) bool {
	if t != nil {
		why := noReason
		if runs {
			why = ReasonUpToDate
		}
		t.add(RuleRunning, why, "device runs %s, bundle %s", d.bundleRun(), b.Version)
	}
	return runs
}

func (t *trace) failed(b *Bundle, why Reason) Reason {
	if t != nil {
		t.add(RuleFailed, why, "bundle %s", b.Version)
	}
	return why
}

func (t *trace) key(b *Bundle, d *Device, why Reason) Reason {
	if t == nil {
		return why
	}
	bundle, device := "not encrypted", "tells nothing of keys"
	if e := b.Encryption; e != nil {
		bundle = fmt.Sprintf("encrypted to key %q", e.KeyID)
	}
	switch {
	case d.Key.Told && d.Key.ID == "":
		device = "no key"
	case d.Key.Told:
		device = fmt.Sprintf("key %q", d.Key.ID)
	}
	t.add(RuleKey, why, "bundle %s: %s; device: %s", b.Version, bundle, device)
	return why
}

func (t *trace) minimum(c *Channel, b *Bundle, why Reason) Reason {
	if t != nil {
		t.add(RuleFloor, why, "bundle %s, floor %s", b.Version, orNone(c.guards.floor))
	}
	return why
}

func (t *trace) autoUpdate(c *Channel, b *Bundle, d *Device, why Reason) Reason {
	if t != nil {
		t.add(RuleAutoUpdate, why, "bundle %s, native %s: %s, allowed %s", b.Version, d.NativeVersion, b.Jump(d.NativeVersion), c.guards.autoUpdate)
	}
	return why
}

func (t *trace) compatibility(b *Bundle, d *Device, why Reason) Reason {
	if t != nil {
		t.add(RuleCompatibility, why, "bundle %s: platforms %s, native version %q, runtime version %q; device: %s, %s, %q",
			b.Version, orAny(b.Platforms), b.NativeVersion, b.RuntimeVersion, d.Platform, d.NativeVersion, d.RuntimeVersion)
	}
	return why
}

func (t *trace) belowNative(c *Channel, b *Bundle, d *Device, why Reason) Reason {
	if t != nil {
		allowed := "Denied"
		if c.guards.belowNative {
			allowed = "Allowed"
		}
		t.add(RuleBelowNative, why, "bundle %s, native %s: older is %s", b.Version, d.NativeVersion, allowed)
	}
	return why
}

func (t *trace) answer(told Decision) {
	bundle := "embedded or none"
	if told.Bundle != nil {
		bundle = told.Bundle.Version
	}
	arm := told.Arm
	if arm == NoArm {
		arm = "none"
	}
	t.add(RuleAnswer, told.Reason, "%s; bundle: %s; arm: %s", told.Action, bundle, arm)
}
