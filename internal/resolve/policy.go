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

// jump is the highest part of a version that differs.
type jump int

const (
	jumpNone jump = iota
	jumpPatch
	jumpMinor
	jumpMajor
)

// jumps by their names in the API; an empty name is the default.
var jumps = map[string]jump{"": jumpMajor, "None": jumpNone, "Patch": jumpPatch, "Minor": jumpMinor, "Major": jumpMajor}

// guards compare a bundle with the native build that is installed.
type guards struct {
	autoUpdate  jump
	belowNative bool            // older bundles than the native build are offered
	floor       *semver.Version // nil: none
}

func compileGuards(src release.Guards) (guards, error) {
	g := guards{belowNative: src.BelowNative == "Allowed"}
	var ok bool
	if g.autoUpdate, ok = jumps[src.AutoUpdate]; !ok {
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

// forbid gives the reason why a bundle may not be offered to a device with this native build, if it may not.
func (g *guards) forbid(bundle, native *semver.Version) Reason {
	switch {
	case g.floor != nil && bundle.LessThan(g.floor):
		return ReasonBelowFloor
	case g.autoUpdate == jumpNone || jumpBetween(native, bundle) > g.autoUpdate:
		return ReasonAutoUpdateDenied
	case !g.belowNative && bundle.LessThan(native):
		return ReasonBelowNative
	}
	return noReason
}

// jumpBetween gives the highest part that differs; whatever is less than minor counts as a patch.
func jumpBetween(a, b *semver.Version) jump {
	switch {
	case a.Major() != b.Major():
		return jumpMajor
	case a.Minor() != b.Minor():
		return jumpMinor
	}
	return jumpPatch
}

// mismatchReasons names what keeps a bundle from running on a device.
var mismatchReasons = [...]Reason{
	compat.None:           noReason,
	compat.Platform:       ReasonPlatformIncompatible,
	compat.NativeVersion:  ReasonNativeVersionIncompatible,
	compat.RuntimeVersion: ReasonRuntimeVersionIncompatible,
}

// unfit gives the reason why a bundle may not be offered to a device, if it may not.
func (c *Channel) unfit(b *Bundle, d *Device) Reason {
	if r := c.guards.forbid(b.version, d.NativeVersion); r != noReason {
		return r
	}
	return mismatchReasons[b.requires.Check(&d.Device)]
}
