// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/release"
)

// Kinds of installation, as in the API.
const (
	Production  = "Production"
	Development = "Development"
	Emulator    = "Emulator"
	Physical    = "Device"
)

// audience restricts which devices are served; empty lists restrict nothing.
type audience struct {
	platforms     []string
	distributions []string // of Production and Development
	hardware      []string // of Emulator and Device
}

// compileAudience splits the builds into their two groups. A device has to match one of a group if any of it is listed.
func compileAudience(src release.Audience) audience {
	a := audience{platforms: src.Platforms}
	for _, build := range src.Builds {
		if build == Emulator || build == Physical {
			a.hardware = append(a.hardware, build)
		} else {
			a.distributions = append(a.distributions, build)
		}
	}
	return a
}

// excludes gives the reason why a device is not served, if it is not.
func (a *audience) excludes(d *Device) Reason {
	switch {
	case !compat.MatchesPlatform(a.platforms, d.Platform):
		return ReasonPlatformNotServed
	case len(a.distributions) > 0 && !slices.Contains(a.distributions, d.Distribution),
		len(a.hardware) > 0 && !slices.Contains(a.hardware, d.Hardware):
		return ReasonBuildNotServed
	}
	return noReason
}

// contains tells whether all devices that another audience serves are served by this one.
func (a *audience) contains(other *audience) bool {
	return subset(other.platforms, a.platforms) && subset(other.distributions, a.distributions) && subset(other.hardware, a.hardware)
}

// subset tells whether a list restricts at least as much as another does; an empty list has all.
func subset(list, of []string) bool {
	outside := func(s string) bool { return !slices.Contains(of, s) }
	return len(of) == 0 || len(list) > 0 && !slices.ContainsFunc(list, outside)
}

// Jump is the highest part of a version that differs.
type Jump int

// The jumps.
const (
	JumpNone Jump = iota
	JumpPatch
	JumpMinor
	JumpMajor
)

var jumpNames = [...]string{JumpNone: "None", JumpPatch: "Patch", JumpMinor: "Minor", JumpMajor: "Major"}

// String gives the jump's name in the API.
func (j Jump) String() string { return jumpNames[j] }

// parseJump reads a jump by its name in the API; an empty name is the default.
func parseJump(name string) (Jump, bool) {
	if name == "" {
		return JumpMajor, true
	}
	i := slices.Index(jumpNames[:], name)
	return Jump(i), i >= 0
}

// guards compare a bundle with the native build that is installed.
type guards struct {
	autoUpdate  Jump
	belowNative bool            // older bundles than the native build are offered
	floor       *semver.Version // nil: none
}

func compileGuards(src release.Guards) (guards, error) {
	g := guards{belowNative: src.BelowNative == "Allowed"}
	var ok bool
	if g.autoUpdate, ok = parseJump(src.AutoUpdate); !ok {
		return g, fmt.Errorf("guard autoUpdate: expected None, Patch, Minor or Major, got %q", src.AutoUpdate)
	}
	if src.BelowNative != "" && src.BelowNative != "Denied" && !g.belowNative {
		return g, fmt.Errorf("guard belowNative: expected Denied or Allowed, got %q", src.BelowNative)
	}
	floor := src.FloorVersion
	if floor == "" && src.Floor != nil { // documents of before there was a floorVersion
		floor = src.Floor.Version
	}
	if floor == "" {
		return g, nil
	}
	var err error
	if g.floor, err = semver.StrictNewVersion(floor); err != nil {
		return g, fmt.Errorf("guard floorVersion: expected a semantic version, got %q", floor)
	}
	return g, nil
}

// skips gives ReasonBelowFloor for a bundle that no device may be offered.
func (g *guards) skips(b *Bundle) Reason {
	if g.floor != nil && b.version.LessThan(g.floor) {
		return ReasonBelowFloor
	}
	return noReason
}

// leaps gives ReasonAutoUpdateDenied for a bundle too far from the native build.
func (g *guards) leaps(b *Bundle, native *semver.Version) Reason {
	if g.autoUpdate == JumpNone || b.Jump(native) > g.autoUpdate {
		return ReasonAutoUpdateDenied
	}
	return noReason
}

// ages gives ReasonBelowNative for a bundle that is older than the native build, where that is denied.
func (g *guards) ages(b *Bundle, native *semver.Version) Reason {
	if !g.belowNative && b.version.LessThan(native) {
		return ReasonBelowNative
	}
	return noReason
}

// Jump gives the highest part in which the bundle's version differs from that of a native build; whatever is less than minor
// counts as a patch.
func (b *Bundle) Jump(native *semver.Version) Jump {
	switch {
	case b.version.Major() != native.Major():
		return JumpMajor
	case b.version.Minor() != native.Minor():
		return JumpMinor
	}
	return JumpPatch
}

// locks gives ReasonKeyMismatch for a bundle that a device could not open: encrypted to another key, or to any when the app
// carries none. A device that carries a key does not take what is not encrypted, from whoever it comes.
func (b *Bundle) locks(k *Key) Reason {
	switch e := b.Encryption; {
	case !k.Told:
	case (e == nil) != (k.ID == ""), e != nil && e.KeyID != "" && e.KeyID != k.ID:
		return ReasonKeyMismatch
	}
	return noReason
}

// mismatchReasons names what keeps a bundle from running on a device.
var mismatchReasons = [...]Reason{
	compat.None:           noReason,
	compat.Platform:       ReasonPlatformIncompatible,
	compat.NativeVersion:  ReasonNativeVersionIncompatible,
	compat.RuntimeVersion: ReasonRuntimeVersionIncompatible,
}

// unfit gives the first reason why a bundle may not be offered to a device, if it may not. The order is that of Capgo's server,
// which users know; the floor is ours, and goes before the guards that compare with the native build.
func (c *Channel) unfit(b *Bundle, d *Device, t *trace) Reason {
	if why := t.key(b, d, b.locks(&d.Key)); why != noReason {
		return why
	}
	if why := t.minimum(c, b, c.guards.skips(b)); why != noReason {
		return why
	}
	if why := t.autoUpdate(c, b, d, c.guards.leaps(b, d.NativeVersion)); why != noReason {
		return why
	}
	if why := t.compatibility(b, d, mismatchReasons[b.requires.Check(&d.Device)]); why != noReason {
		return why
	}
	return t.belowNative(c, b, d, c.guards.ages(b, d.NativeVersion))
}
