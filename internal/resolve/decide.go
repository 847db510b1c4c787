// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package resolve decides what a device is offered: one pure function of what the channel publishes, the device and the
// time. Gateways, the manager and the plugin share it, so that what a simulation says is what devices get.
package resolve

import (
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/windlass-dev/windlass/internal/bucketing"
	"github.com/windlass-dev/windlass/internal/compat"
)

// Device is what a device tells about itself. Platform and NativeVersion are required.
type Device struct {
	compat.Device

	ID           string
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

// View is the compiled state of all channels. It is immutable.
type View struct {
	Apps    map[string]map[string]*Channel // by app and channel
	Expires time.Time                      // when the signed metadata stop to hold
}

// Decide gives the decision for a device that follows a channel. A nil View is one that was never loaded.
func (v *View) Decide(app, channel string, d *Device, now time.Time) Decision {
	c, reason := v.Channel(app, channel, now)
	if c == nil {
		return Decision{Action: None, Reason: reason}
	}
	return c.Decide(d, now)
}

// Channel finds a channel, or says why there is none to be had.
func (v *View) Channel(app, channel string, now time.Time) (*Channel, Reason) {
	if v == nil {
		return nil, ReasonNoMetadata
	}
	if !now.Before(v.Expires) {
		return nil, ReasonMetadataExpired
	}
	channels, ok := v.Apps[app]
	if !ok {
		return nil, ReasonUnknownApp
	}
	c, ok := channels[channel]
	if !ok {
		return nil, ReasonUnknownChannel
	}
	if !c.expires.IsZero() && !now.Before(c.expires) {
		return nil, ReasonMetadataExpired
	}
	return c, noReason
}

// Decide gives the decision for a device that follows this channel.
func (c *Channel) Decide(d *Device, now time.Time) Decision {
	if r := c.closedTo(d); r != noReason {
		return Decision{Action: None, Reason: r}
	}
	out := c.assign(d, now)
	if out.Reason == ReasonLeaseExpired {
		return out
	}
	if c.belowFloor(d) {
		if c.floor == nil {
			return c.withoutFloor(d, out.Slot)
		}
		out = Decision{Bundle: c.floor, Reason: ReasonFloor, Slot: out.Slot}
	}
	return c.settle(out, d)
}

// closedTo gives the reason why the channel offers this device nothing at all, if it does not.
func (c *Channel) closedTo(d *Device) Reason {
	switch {
	case c.unreadable:
		return ReasonReleaseUnreadable
	case c.halted:
		return ReasonHalted
	}
	return c.audience.excludes(d)
}

// assign chooses the device's arm and the bundle of that arm. A device that cannot run the candidate is in no arm at any
// slot: it gets stable, and the two arms stay comparable.
func (c *Channel) assign(d *Device, now time.Time) Decision {
	stable := Decision{Bundle: c.stable, Reason: ReasonStable}
	t := c.trial
	if t == nil {
		return stable
	}
	stable.Slot = bucketing.Slot(t.Salt, d.ID)
	switch {
	case c.unfit(t.Bundle, d) != noReason:
		return stable
	case t.leaseLost(now) && t.OnLoss == StopOffering && d.runs(t.Bundle):
		return Decision{Action: None, Reason: ReasonLeaseExpired, Bundle: t.Bundle, Arm: Candidate, Trial: t, Slot: stable.Slot}
	case t.leaseLost(now):
		return stable
	case bucketing.InCohort(stable.Slot, t.Weight):
		return Decision{Bundle: t.Bundle, Reason: ReasonCandidate, Arm: Candidate, Trial: t, Slot: stable.Slot}
	}
	stable.Arm, stable.Trial = Control, t
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
func (c *Channel) withoutFloor(d *Device, slot int32) Decision {
	if c.runsRefused(d) {
		return Decision{Action: Reset, Reason: ReasonRefused, Slot: slot}
	}
	return Decision{Action: None, Reason: ReasonBelowFloor, Slot: slot}
}

// versionOn gives the version that a device runs: what it says, what its digest means here, or that of the native build.
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
func (c *Channel) settle(out Decision, d *Device) Decision {
	refused := c.runsRefused(d)
	switch {
	case out.Bundle == nil:
		out.Action, out.Reason = backToEmbedded(d, refused)
		return out
	case d.runs(out.Bundle):
		out.Action, out.Reason = None, ReasonUpToDate
		return out
	}
	unfit := c.unfit(out.Bundle, d)
	switch {
	case unfit != noReason && refused: // nothing fits, but what it runs must go
		out.Action, out.Reason, out.Bundle = Reset, ReasonRefused, nil
	case unfit != noReason:
		out.Action, out.Reason = None, unfit
	case refused:
		out.Action, out.Reason = Update, ReasonRefused
	default:
		out.Action = Update
	}
	return out
}

// backToEmbedded tells a device of a channel that serves no bundle what to do.
func backToEmbedded(d *Device, refused bool) (Action, Reason) {
	switch {
	case d.embedded():
		return None, ReasonNothingReleased
	case refused:
		return Reset, ReasonRefused
	}
	return Reset, ReasonNoStable
}

// runs tells whether the device runs a bundle: by digest, by version when it tells no digest, and by the native build's
// version when it runs the embedded bundle, since a version means one content for ever.
func (d *Device) runs(b *Bundle) bool {
	switch {
	case d.Digest != "":
		return d.Digest == b.Digest
	case d.Version != nil:
		return d.Version.Equal(b.version)
	}
	return d.NativeVersion.Equal(b.version)
}

// runsRefused tells whether the device runs a bundle that was taken back. Versions are compared by precedence, as everywhere:
// build metadata that a device adds to a version make no other bundle of it.
func (c *Channel) runsRefused(d *Device) bool {
	if d.embedded() {
		return false
	}
	for i := range c.refused {
		r := &c.refused[i]
		if d.Digest != "" && d.Digest == r.digest || d.Digest == "" && d.Version.Equal(r.version) {
			return true
		}
	}
	return false
}
