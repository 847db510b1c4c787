// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package resolve decides what a device is offered: one pure function of what the channel publishes, the device and the
// time. Gateways, the manager and the plugin share it, so that what a simulation says is what devices get.
package resolve

import (
	"cmp"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/windlass-dev/windlass/internal/bucketing"
	"github.com/windlass-dev/windlass/internal/compat"
)

// Device is what a device tells about itself. Platform and NativeVersion are required.
type Device struct {
	compat.Device

	ID           string
	OSVersion    *semver.Version // of the operating system; nil when not told
	Region       string          // where it is, as the gateway's edge knows; empty when not told
	Distribution string          // Production or Development
	Hardware     string          // Device or Emulator
	Version      *semver.Version // of the bundle that runs; nil when not told
	Digest       string          // of the bundle that runs; empty when not told
	Foreign      bool            // it runs a bundle that says no version and no digest: not the embedded one, and none of ours
	Key          Key             // to open encrypted bundles
	Failed       []string        // digests of bundles that failed on this device: they are not offered again
}

// Key says what a device can open. The zero value is a device of a protocol that tells nothing of keys.
type Key struct {
	Told bool   // the device would have told its key, if it had one
	ID   string // of the public key that the app carries; empty: none
}

// embedded tells whether the device runs the bundle that the app was installed with.
func (d *Device) embedded() bool { return d.Version == nil && d.Digest == "" && !d.Foreign }

// Votes tells whether the device counts in the analysis of a rollout.
func (d *Device) Votes() bool { return d.Distribution == Production && d.Hardware == Physical }

// Decision is what a device is told, and why.
type Decision struct {
	Action Action
	Reason Reason
	Bundle *Bundle // what the device should run; to be offered only with Update; nil: the embedded bundle, or nothing is known
	Arm    Arm
	Trial  *Trial // of the arm; nil without one
	Slot   int32  // of the device in the trial's cohorts; 0 without a trial
}

// View is the compiled state of all channels. It is immutable. NewView makes one.
type View struct {
	Apps    map[string]map[string]*Channel // by app and channel
	Expires time.Time                      // when the signed metadata stop to hold

	rosters map[string]roster // by app
	origins map[string]bool   // web origins that any channel allows
}

// Channel finds a channel, or says why there is none to be had. Follow also asks whether a device may follow it.
func (v *View) Channel(app, channel string, now time.Time) (*Channel, Reason) {
	if why := v.lacks(app, now); why != noReason {
		return nil, why
	}
	c, ok := v.Apps[app][channel]
	if !ok {
		return nil, ReasonUnknownChannel
	}
	if why := c.expired(now); why != noReason {
		return nil, why
	}
	return c, noReason
}

// lacks gives the reason why nothing can be said of an app, if it cannot.
func (v *View) lacks(app string, now time.Time) Reason {
	switch {
	case v == nil:
		return ReasonNoMetadata
	case !now.Before(v.Expires):
		return ReasonMetadataExpired
	case v.Apps[app] == nil:
		return ReasonUnknownApp
	}
	return noReason
}

// Decide gives the decision for a device that follows this channel.
func (c *Channel) Decide(d *Device, now time.Time) Decision { return c.decide(d, now, nil) }

func (c *Channel) decide(d *Device, now time.Time, t *trace) Decision {
	if why := t.serving(c, c.shut()); why != noReason {
		return Decision{Action: None, Reason: why}
	}
	if why := t.audience(c, d, c.audience.excludes(d)); why != noReason {
		return Decision{Action: None, Reason: why}
	}
	if v := c.variant(d, t); v != c {
		out := v.offer(d, now, t)
		if c.trial != nil {
			out.Slot = bucketing.Slot(c.trial.Salt, d.ID) // also of a device that is kept from the candidate
		}
		return out
	}
	return c.offer(d, now, t)
}

// offer gives the decision for a device that the channel serves.
func (c *Channel) offer(d *Device, now time.Time, t *trace) Decision {
	out := c.assign(d, now, t)
	if out.Reason == ReasonLeaseExpired {
		return out
	}
	if t.passage(c, d, c.belowFloor(d)) {
		if c.floor == nil {
			return c.withoutFloor(d, out.Slot, t)
		}
		out = Decision{Bundle: c.floor, Reason: ReasonFloor, Slot: out.Slot}
	}
	return c.settle(out, d, t)
}

// shut gives the reason why the channel offers nothing to anybody, if it does not.
func (c *Channel) shut() Reason {
	switch {
	case c.unreadable:
		return ReasonReleaseUnreadable
	case c.halted:
		return ReasonHalted
	}
	return noReason
}

// assign chooses the device's arm and the bundle of that arm. A device that cannot run the candidate is in no arm at any
// slot: it gets stable, and the two arms stay comparable. Nor is a device the control that the candidate failed on, when the
// weight was higher or in a trial before: one device has no vote on both sides.
func (c *Channel) assign(d *Device, now time.Time, t *trace) Decision {
	stable, trial := Decision{Bundle: c.stable, Reason: ReasonStable}, c.trial
	if trial == nil {
		return stable
	}
	stable.Slot = bucketing.Slot(trial.Salt, d.ID)
	if c.unfit(trial.Bundle, d, t) != noReason {
		return stable
	}
	if lost := t.lease(trial, trial.leaseLost(now)); lost {
		if trial.OnLoss == StopOffering && d.runs(trial.Bundle) {
			return Decision{Action: None, Reason: ReasonLeaseExpired, Bundle: trial.Bundle, Arm: Candidate, Trial: trial, Slot: stable.Slot}
		}
		return stable
	}
	if t.cohort(trial, stable.Slot, bucketing.InCohort(stable.Slot, trial.Weight)) {
		return Decision{Bundle: trial.Bundle, Reason: ReasonCandidate, Arm: Candidate, Trial: trial, Slot: stable.Slot}
	}
	if t.failed(trial.Bundle, d.failed(trial.Bundle)) == noReason {
		stable.Arm, stable.Trial = Control, trial
	}
	return stable
}

// belowFloor tells whether the device has to pass through the floor first.
func (c *Channel) belowFloor(d *Device) bool {
	if c.guards.floor == nil {
		return false
	}
	v := c.versionOn(d)
	return v.LessThan(c.guards.floor) || c.floor != nil && v.LessThan(c.floor.version)
}

// withoutFloor is what a device below the floor is told when there is no bundle that it could pass through: nothing, since to
// skip the floor is what the guard forbids. What was taken back has to go all the same.
func (c *Channel) withoutFloor(d *Device, slot int32, t *trace) Decision {
	if why := t.refused(d, c.runsRefused(d)); why != noReason {
		return Decision{Action: Reset, Reason: why, Slot: slot}
	}
	return Decision{Action: None, Reason: ReasonBelowFloor, Slot: slot}
}

// versionOn gives the version that a device runs: what it says, what its digest means here, or that of the native build. The
// last also counts for a device that runs something unknown: whatever it is, it came later than that build.
func (c *Channel) versionOn(d *Device) *semver.Version {
	if d.Version != nil {
		return d.Version
	}
	for _, b := range c.bundles {
		if b.Digest == d.Digest {
			return b.version
		}
	}
	return d.NativeVersion
}

// settle turns the bundle that a device should run into what it is told.
func (c *Channel) settle(out Decision, d *Device, t *trace) Decision {
	refused := t.refused(d, c.runsRefused(d))
	switch {
	case out.Bundle == nil:
		out.Action, out.Reason = backToEmbedded(d, refused)
		return out
	case t.running(out.Bundle, d, d.runs(out.Bundle)):
		out.Action, out.Reason = None, ReasonUpToDate
		return out
	}
	why := c.barred(out, d, t)
	if why == ReasonFailedBefore && out.Arm == Candidate && c.standsIn(d, t) {
		out, why = Decision{Bundle: c.stable, Reason: ReasonStable, Slot: out.Slot}, noReason
	}
	switch {
	case why != noReason && refused != noReason: // nothing fits, but what it runs must go
		out.Action, out.Reason, out.Bundle = Reset, refused, nil
	case why != noReason:
		out.Action, out.Reason = None, why
	case refused != noReason:
		out.Action, out.Reason = Update, refused
	default:
		out.Action = Update
	}
	return out
}

// barred gives the reason why a device may not be offered what it should run, if it may not. To be in the candidate's arm means
// that the candidate fits.
func (c *Channel) barred(out Decision, d *Device, t *trace) Reason {
	if out.Arm != Candidate {
		if why := c.unfit(out.Bundle, d, t); why != noReason {
			return why
		}
	}
	return t.failed(out.Bundle, d.failed(out.Bundle))
}

// standsIn tells whether a device gets stable, because the candidate failed on it. It is in no arm with that: its failure counts
// for the candidate already, and what stable does then says nothing of either arm.
func (c *Channel) standsIn(d *Device, t *trace) bool {
	if c.stable == nil || t.running(c.stable, d, d.runs(c.stable)) {
		return false
	}
	return c.barred(Decision{Bundle: c.stable}, d, t) == noReason
}

// failed gives ReasonFailedBefore for a bundle that failed on this device.
func (d *Device) failed(b *Bundle) Reason {
	if slices.Contains(d.Failed, b.Digest) {
		return ReasonFailedBefore
	}
	return noReason
}

// backToEmbedded tells a device of a channel that serves no bundle what to do.
func backToEmbedded(d *Device, refused Reason) (Action, Reason) {
	if d.embedded() {
		return None, ReasonNothingReleased
	}
	return Reset, cmp.Or(refused, ReasonNoStable)
}

// runs tells whether the device runs a bundle: by digest, by version when it tells no digest, and by the native build's
// version when it runs the embedded bundle, since a version means one content for ever. What is unknown is none of ours.
func (d *Device) runs(b *Bundle) bool {
	switch {
	case d.Digest != "":
		return d.Digest == b.Digest
	case d.Version != nil:
		return d.Version.Equal(b.version)
	case d.Foreign:
		return false
	}
	return d.NativeVersion.Equal(b.version)
}

// runsRefused gives the reason why the bundle that the device runs was taken back, if it was. Versions are compared by precedence,
// as everywhere: build metadata that a device adds to a version make no other bundle of it.
func (c *Channel) runsRefused(d *Device) Reason {
	if d.Version == nil && d.Digest == "" {
		return noReason
	}
	for i := range c.refused {
		r := &c.refused[i]
		if d.Digest != "" && d.Digest == r.digest || d.Digest == "" && d.Version.Equal(r.version) {
			return r.why
		}
	}
	return noReason
}
