// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/windlass-dev/windlass/internal/bucketing"
	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

var now = time.Unix(1_800_000_000, 0)

// digestOf makes a digest of one repeated hexadecimal digit.
func digestOf(c string) string { return release.DigestPrefix + strings.Repeat(c, 64) }

func bundle(version, hex string) release.Bundle {
	return release.Bundle{
		Name: "shop-" + version, Version: version, Digest: digestOf(hex), Size: 10,
		Path: release.BundleTarget("shop", version, "zip"),
	}
}

var (
	stable    = bundle("2.4.0", "a")
	candidate = bundle("2.4.1", "b")
	previous  = bundle("2.3.0", "c")
	floor     = bundle("2.1.0", "d")
	foreign   = digestOf("e")
)

// document is a channel in the middle of a rollout to everybody, with a lease that holds.
func document(edit ...func(*release.Document)) *release.Document {
	s, p := stable, previous
	d := &release.Document{
		Schema: release.Schema, App: "shop", Channel: "production", Revision: 3, Serving: release.Active,
		Stable: &s, Previous: &p,
		Candidate: &release.Candidate{
			Bundle: candidate, Weight: release.FullWeight, Salt: "salt", Rollout: "shop", Release: 1,
			LeaseExpires: now.Add(time.Hour).Unix(), OnLoss: "StopOffering",
		},
	}
	for _, e := range edit {
		e(d)
	}
	return d
}

// device is a production device on the embedded bundle of native build 2.0.0.
func device(edit ...func(*resolve.Device)) resolve.Device {
	d := resolve.Device{
		Device: compat.Device{Platform: "ios", NativeVersion: semver.MustParse("2.0.0"), RuntimeVersion: "52"},
		ID:     "device-1", Distribution: resolve.Production, Hardware: resolve.Physical,
	}
	for _, e := range edit {
		e(&d)
	}
	return d
}

func running(b release.Bundle) func(*resolve.Device) {
	return func(d *resolve.Device) { d.Version, d.Digest = semver.MustParse(b.Version), b.Digest }
}

func digest(hex string) func(*resolve.Device) { return func(d *resolve.Device) { d.Digest = hex } }
func version(v string) func(*resolve.Device) {
	return func(d *resolve.Device) { d.Version = semver.MustParse(v) }
}
func native(v string) func(*resolve.Device) {
	return func(d *resolve.Device) { d.NativeVersion = semver.MustParse(v) }
}
func platform(p string) func(*resolve.Device) { return func(d *resolve.Device) { d.Platform = p } }
func weight(w int32) func(*release.Document) {
	return func(d *release.Document) { d.Candidate.Weight = w }
}
func noCandidate(d *release.Document) { d.Candidate = nil }
func noStable(d *release.Document)    { d.Stable, d.Previous = nil, nil }
func halted(d *release.Document)      { d.Serving = release.Halted }
func emulator(d *resolve.Device)      { d.Hardware = resolve.Emulator }
func development(d *resolve.Device)   { d.Distribution = resolve.Development }
func refuse(b release.Bundle) func(*release.Document) {
	return func(d *release.Document) {
		d.Refused = append(d.Refused, release.Refusal{Digest: b.Digest, Version: b.Version, At: 1})
	}
}

func builds(names ...string) func(*release.Document) {
	return func(d *release.Document) { d.Audience.Builds = names }
}

func lease(onLoss string, left time.Duration) func(*release.Document) {
	return func(d *release.Document) {
		d.Candidate.OnLoss, d.Candidate.LeaseExpires = onLoss, now.Add(left).Unix()
	}
}

func guards(autoUpdate, belowNative string) func(*release.Document) {
	return func(d *release.Document) { d.Guards.AutoUpdate, d.Guards.BelowNative = autoUpdate, belowNative }
}

// promoted is the channel after the rollout.
func promoted(d *release.Document) {
	d.Candidate.Bundle.Exclude = d.Candidate.Exclude
	d.Previous, d.Stable, d.Candidate = d.Stable, &d.Candidate.Bundle, nil
}

// next lets out another candidate.
func next(weight int32) func(*release.Document) {
	return func(d *release.Document) {
		d.Candidate = document().Candidate
		d.Candidate.Bundle, d.Candidate.Weight, d.Candidate.Release = bundle("2.5.0", "f"), weight, 2
	}
}

func floorVersion(v string) func(*release.Document) {
	return func(d *release.Document) { d.Guards.FloorVersion = v }
}

func withFloor(d *release.Document) { f := floor; d.Guards.Floor = &f }

func stableNative(r string) func(*release.Document) {
	return func(d *release.Document) { d.Stable.NativeVersion = r }
}

func failed(bundles ...release.Bundle) func(*resolve.Device) {
	return func(d *resolve.Device) {
		for _, b := range bundles {
			d.Failed = append(d.Failed, b.Digest)
		}
	}
}

func runsForeign(d *resolve.Device) { d.Foreign = true }

// carries says that the device told of its key, or that it has none.
func carries(key string) func(*resolve.Device) {
	return func(d *resolve.Device) { d.Key = resolve.Key{Told: true, ID: key} }
}

func encryptedTo(key string) func(*release.Document) {
	return func(d *release.Document) {
		d.Stable.Encryption = &release.Encryption{SessionKey: "aXY=:a2V5", Checksum: "ff", KeyID: key}
	}
}

// want is what a decision is compared by: what a device sees.
type want struct {
	action  resolve.Action
	reason  resolve.Reason
	version string // of the decision's bundle
	arm     resolve.Arm
}

func seen(d resolve.Decision) want {
	w := want{action: d.Action, reason: d.Reason, arm: d.Arm}
	if d.Bundle != nil {
		w.version = d.Bundle.Version
	}
	return w
}

type docEdits = []func(*release.Document)
type devEdits = []func(*resolve.Device)

var cases = []struct {
	name   string
	doc    docEdits
	device devEdits
	want   want
}{
	{"candidate cohort", nil, nil, want{"update", "Candidate", "2.4.1", "candidate"}},
	{"control", docEdits{weight(0)}, nil, want{"update", "Stable", "2.4.0", "control"}},
	{"no rollout", docEdits{noCandidate}, nil, want{"update", "Stable", "2.4.0", ""}},
	{"candidate is up to date", nil, devEdits{running(candidate)}, want{"none", "UpToDate", "2.4.1", "candidate"}},
	{"stable is up to date", docEdits{weight(0)}, devEdits{running(stable)}, want{"none", "UpToDate", "2.4.0", "control"}},
	{"version alone is up to date", docEdits{weight(0)}, devEdits{version("2.4.0")}, want{"none", "UpToDate", "2.4.0", "control"}},
	{"digest counts before version", docEdits{weight(0)}, devEdits{version("2.4.0"), digest(foreign)}, want{"update", "Stable", "2.4.0", "control"}},
	{"native build has that version", docEdits{noCandidate}, devEdits{native("2.4.0")}, want{"none", "UpToDate", "2.4.0", ""}},

	{"halted offers nothing", docEdits{halted}, nil, want{"none", "Halted", "", ""}},
	{"halted leaves refused bundles alone", docEdits{halted, refuse(candidate)}, devEdits{running(candidate)}, want{"none", "Halted", "", ""}},
	{"platform not served", docEdits{func(d *release.Document) { d.Audience.Platforms = []string{"android"} }}, nil, want{"none", "PlatformNotServed", "", ""}},
	{"development not served", docEdits{builds("Production")}, devEdits{development}, want{"none", "BuildNotServed", "", ""}},
	{"production serves emulators too", docEdits{builds("Production"), weight(0)}, devEdits{emulator}, want{"update", "Stable", "2.4.0", "control"}},
	{"production on a device only", docEdits{builds("Production", "Device")}, devEdits{emulator}, want{"none", "BuildNotServed", "", ""}},
	{"both distributions, devices only", docEdits{builds("Production", "Development", "Device"), weight(0)}, devEdits{development}, want{"update", "Stable", "2.4.0", "control"}},

	{"refused candidate is not offered", docEdits{refuse(candidate)}, nil, want{"update", "Stable", "2.4.0", ""}},
	{"refused candidate is brought back", docEdits{refuse(candidate)}, devEdits{running(candidate)}, want{"update", "Refused", "2.4.0", ""}},
	{"refused version is brought back", docEdits{refuse(candidate)}, devEdits{version("2.4.1")}, want{"update", "Refused", "2.4.0", ""}},
	{"refused version with build metadata", docEdits{refuse(candidate)}, devEdits{version("2.4.1+17")}, want{"update", "Refused", "2.4.0", ""}},
	{"refused version with a v", docEdits{refuse(candidate)}, devEdits{version("v2.4.1")}, want{"update", "Refused", "2.4.0", ""}},
	{"refused version, another digest", docEdits{refuse(candidate)}, devEdits{version("2.4.1"), digest(foreign)}, want{"update", "Stable", "2.4.0", ""}},
	{"refusal without version", docEdits{refuse(release.Bundle{Digest: candidate.Digest})}, devEdits{version("2.4.1")}, want{"update", "Stable", "2.4.0", ""}},
	{"refused without stable", docEdits{refuse(candidate), noStable}, devEdits{running(candidate)}, want{"reset", "Refused", "", ""}},
	{"refused and stable does not fit", docEdits{refuse(candidate)}, devEdits{running(candidate), native("2.4.1-rc.1")}, want{"reset", "Refused", "", ""}},
	{"refused stable gives way to previous", docEdits{refuse(stable), noCandidate}, devEdits{running(stable)}, want{"update", "Refused", "2.3.0", ""}},
	{"all refused", docEdits{refuse(stable), refuse(previous), noCandidate}, devEdits{running(stable)}, want{"reset", "Refused", "", ""}},
	{"foreign digest", docEdits{noCandidate}, devEdits{version("9.9.9"), digest(foreign)}, want{"update", "Stable", "2.4.0", ""}},
	{"foreign digest without stable", docEdits{noStable, noCandidate}, devEdits{digest(foreign)}, want{"reset", "NoStable", "", ""}},
	{"nothing released", docEdits{noStable, noCandidate}, nil, want{"none", "NothingReleased", "", ""}},
	{"control without stable", docEdits{noStable, weight(0)}, nil, want{"none", "NothingReleased", "", "control"}},
	{"first release", docEdits{noStable}, nil, want{"update", "Candidate", "2.4.1", "candidate"}},
	{"out of the cohort again", docEdits{weight(0)}, devEdits{running(candidate)}, want{"update", "Stable", "2.4.0", "control"}},

	{"lease lost, stop offering", docEdits{lease("StopOffering", -time.Second)}, nil, want{"update", "Stable", "2.4.0", ""}},
	{"lease lost, stop offering, has it", docEdits{lease("StopOffering", -time.Second)}, devEdits{running(candidate)}, want{"none", "LeaseExpired", "2.4.1", "candidate"}},
	{"lease lost, default", docEdits{lease("", 0)}, devEdits{running(candidate)}, want{"none", "LeaseExpired", "2.4.1", "candidate"}},
	{"lease lost, retract", docEdits{lease("Retract", -time.Second)}, devEdits{running(candidate)}, want{"update", "Stable", "2.4.0", ""}},
	{"lease lost, continue", docEdits{lease("Continue", -time.Second)}, nil, want{"update", "Candidate", "2.4.1", "candidate"}},
	{"lease holds", docEdits{lease("Retract", time.Second)}, nil, want{"update", "Candidate", "2.4.1", "candidate"}},

	{"floor first", docEdits{withFloor}, nil, want{"update", "Floor", "2.1.0", ""}},
	{"floor first, by native build", docEdits{withFloor}, devEdits{native("2.1.0")}, want{"update", "Candidate", "2.4.1", "candidate"}},
	{"floor passed", docEdits{withFloor}, devEdits{running(floor)}, want{"update", "Candidate", "2.4.1", "candidate"}},
	{"floor passed, digest alone", docEdits{withFloor}, devEdits{digest(floor.Digest)}, want{"update", "Candidate", "2.4.1", "candidate"}},
	{"below floor is not offered", docEdits{withFloor, noCandidate, func(d *release.Document) { d.Guards.Floor.Version = "2.9.0" }}, devEdits{version("3.0.0")}, want{"none", "BelowFloor", "2.4.0", ""}},
	{"refused floor is not skipped", docEdits{withFloor, refuse(floor)}, nil, want{"none", "BelowFloor", "", ""}},
	{"refused floor still bounds", docEdits{floorVersion("2.9.0"), refuse(stable), noCandidate}, devEdits{version("3.0.0")}, want{"none", "BelowFloor", "2.3.0", ""}},
	{"floor version alone bounds", docEdits{floorVersion("2.4.1"), noCandidate}, devEdits{version("2.4.2")}, want{"none", "BelowFloor", "2.4.0", ""}},
	{"floor version alone bounds the candidate's cohort", docEdits{floorVersion("2.9.0")}, devEdits{version("3.0.0")}, want{"none", "BelowFloor", "2.4.0", ""}},
	{"floor version alone is not skipped", docEdits{floorVersion("2.1.0")}, nil, want{"none", "BelowFloor", "", ""}},
	{"floor version alone, passed", docEdits{floorVersion("2.1.0")}, devEdits{version("2.1.0")}, want{"update", "Candidate", "2.4.1", "candidate"}},
	{"floor version alone, refused below", docEdits{floorVersion("2.1.0"), refuse(bundle("2.0.5", "9"))}, devEdits{version("2.0.5")}, want{"reset", "Refused", "", ""}},
	{"floor bundle of the version before", docEdits{withFloor, floorVersion("2.2.0")}, nil, want{"none", "BelowFloor", "2.1.0", ""}},
	{"floor bundle and version", docEdits{withFloor, floorVersion("2.1.0")}, nil, want{"update", "Floor", "2.1.0", ""}},

	{"auto update none", docEdits{guards("None", ""), noCandidate}, nil, want{"none", "AutoUpdateDenied", "2.4.0", ""}},
	{"auto update none, not even the same version", docEdits{guards("None", ""), noCandidate}, devEdits{native("2.4.0"), running(previous)}, want{"none", "AutoUpdateDenied", "2.4.0", ""}},
	{"auto update patch", docEdits{guards("Patch", ""), noCandidate}, nil, want{"none", "AutoUpdateDenied", "2.4.0", ""}},
	{"auto update patch, same minor", docEdits{guards("Patch", "Allowed"), noCandidate}, devEdits{native("2.4.7")}, want{"update", "Stable", "2.4.0", ""}},
	{"auto update minor", docEdits{guards("Minor", ""), noCandidate}, nil, want{"update", "Stable", "2.4.0", ""}},
	{"auto update minor, other major", docEdits{guards("Minor", "Allowed"), noCandidate}, devEdits{native("3.0.0")}, want{"none", "AutoUpdateDenied", "2.4.0", ""}},
	{"below native is denied by default", docEdits{noCandidate}, devEdits{native("2.5.0")}, want{"none", "BelowNative", "2.4.0", ""}},
	{"below native allowed", docEdits{guards("", "Allowed"), noCandidate}, devEdits{native("2.5.0")}, want{"update", "Stable", "2.4.0", ""}},
	{"guarded candidate falls back to stable", docEdits{guards("Minor", ""), func(d *release.Document) { d.Candidate.Bundle.Version = "3.0.0" }}, nil, want{"update", "Stable", "2.4.0", ""}},

	{"auto update is asked before the native range", docEdits{guards("Patch", ""), noCandidate, stableNative(">=9.0.0")}, nil, want{"none", "AutoUpdateDenied", "2.4.0", ""}},
	{"the native range is asked before below native", docEdits{noCandidate, stableNative(">=9.0.0")}, devEdits{native("2.5.0")}, want{"none", "NativeVersionIncompatible", "2.4.0", ""}},

	{"failed candidate gives way to stable", nil, devEdits{failed(candidate)}, want{"update", "Stable", "2.4.0", ""}},
	{"failed candidate, runs stable", nil, devEdits{failed(candidate), running(stable)}, want{"none", "FailedBefore", "2.4.1", "candidate"}},
	{"failed candidate, no stable", docEdits{noStable}, devEdits{failed(candidate)}, want{"none", "FailedBefore", "2.4.1", "candidate"}},
	{"failed candidate, stable does not fit", docEdits{stableNative(">=9.0.0")}, devEdits{failed(candidate)}, want{"none", "FailedBefore", "2.4.1", "candidate"}},
	{"failed candidate and stable", nil, devEdits{failed(stable, candidate)}, want{"none", "FailedBefore", "2.4.1", "candidate"}},
	{"failed candidate, floor first", docEdits{withFloor}, devEdits{failed(candidate)}, want{"update", "Floor", "2.1.0", ""}},
	{"failed candidate, runs it all the same", nil, devEdits{failed(candidate), running(candidate)}, want{"none", "UpToDate", "2.4.1", "candidate"}},
	{"failed candidate, control", docEdits{weight(0)}, devEdits{failed(candidate)}, want{"update", "Stable", "2.4.0", ""}},
	{"failed candidate, control, runs stable", docEdits{weight(0)}, devEdits{failed(candidate), running(stable)}, want{"none", "UpToDate", "2.4.0", ""}},
	{"failed candidate, control, no stable", docEdits{noStable, weight(0)}, devEdits{failed(candidate)}, want{"none", "NothingReleased", "", ""}},
	{"failed candidate, lease lost", docEdits{lease("Retract", -time.Second)}, devEdits{failed(candidate)}, want{"update", "Stable", "2.4.0", ""}},
	{"failed candidate, runs a refused bundle", docEdits{refuse(previous)}, devEdits{failed(candidate), running(previous)}, want{"update", "Refused", "2.4.0", ""}},
	{"failed candidate and stable, runs a refused bundle", docEdits{refuse(previous)}, devEdits{failed(stable, candidate), running(previous)}, want{"reset", "Refused", "", "candidate"}},
	{"failed stable", docEdits{weight(0)}, devEdits{failed(stable)}, want{"none", "FailedBefore", "2.4.0", "control"}},
	{"failed stable, runs a refused bundle", docEdits{noCandidate, refuse(previous)}, devEdits{failed(stable), running(previous)}, want{"reset", "Refused", "", ""}},
	{"failed stable, control, runs a refused bundle", docEdits{weight(0), refuse(previous)}, devEdits{failed(stable), running(previous)}, want{"reset", "Refused", "", "control"}},
	{"failed stable, candidate, runs a refused bundle", docEdits{refuse(previous)}, devEdits{failed(stable), running(previous)}, want{"update", "Refused", "2.4.1", "candidate"}},
	{"failed stable, runs the refused candidate", docEdits{refuse(candidate)}, devEdits{failed(stable), running(candidate)}, want{"reset", "Refused", "", ""}},
	{"failed stable is refused, runs it", docEdits{noCandidate, refuse(stable)}, devEdits{failed(stable), running(stable)}, want{"update", "Refused", "2.3.0", ""}},
	{"failed stable and previous, stable is refused, runs it", docEdits{noCandidate, refuse(stable)}, devEdits{failed(stable, previous), running(stable)}, want{"reset", "Refused", "", ""}},

	{"failed floor", docEdits{withFloor}, devEdits{failed(floor)}, want{"none", "FailedBefore", "2.1.0", ""}},
	{"failed floor, runs it all the same", docEdits{withFloor}, devEdits{failed(floor), running(floor)}, want{"update", "Candidate", "2.4.1", "candidate"}},
	{"failed floor, runs a refused bundle below it", docEdits{withFloor, refuse(bundle("2.0.5", "9"))}, devEdits{failed(floor), running(bundle("2.0.5", "9"))}, want{"reset", "Refused", "", ""}},
	{"failed floor and candidate", docEdits{withFloor}, devEdits{failed(floor, candidate)}, want{"none", "FailedBefore", "2.1.0", ""}},

	{"failed candidate is promoted", docEdits{promoted}, devEdits{failed(candidate)}, want{"none", "FailedBefore", "2.4.1", ""}},
	{"failed candidate is promoted, runs what was stable", docEdits{promoted}, devEdits{failed(candidate), running(stable)}, want{"none", "FailedBefore", "2.4.1", ""}},
	{"failed candidate is promoted, what was stable is refused", docEdits{promoted, refuse(stable)}, devEdits{failed(candidate), running(stable)}, want{"reset", "Refused", "", ""}},
	{"failed candidate is promoted, the next one", docEdits{promoted, next(release.FullWeight)}, devEdits{failed(candidate)}, want{"update", "Candidate", "2.5.0", "candidate"}},
	{"failed candidate is promoted, control of the next one", docEdits{promoted, next(0)}, devEdits{failed(candidate)}, want{"none", "FailedBefore", "2.4.1", "control"}},

	{"unknown bundle gets stable", docEdits{noCandidate}, devEdits{runsForeign}, want{"update", "Stable", "2.4.0", ""}},
	{"unknown bundle on a native build of that version", docEdits{noCandidate}, devEdits{runsForeign, native("2.4.0")}, want{"update", "Stable", "2.4.0", ""}},
	{"unknown bundle without stable", docEdits{noStable, noCandidate}, devEdits{runsForeign}, want{"reset", "NoStable", "", ""}},
	{"unknown bundle is not a refused one", docEdits{noCandidate, refuse(release.Bundle{Digest: foreign})}, devEdits{runsForeign}, want{"update", "Stable", "2.4.0", ""}},
	{"unknown bundle on a native build below the floor", docEdits{withFloor}, devEdits{runsForeign}, want{"update", "Floor", "2.1.0", ""}},
	{"unknown bundle on a native build above the floor", docEdits{withFloor}, devEdits{runsForeign, native("2.2.0")}, want{"update", "Candidate", "2.4.1", "candidate"}},

	{"key that fits", docEdits{noCandidate, encryptedTo("MIIB")}, devEdits{carries("MIIB")}, want{"update", "Stable", "2.4.0", ""}},
	{"another key", docEdits{noCandidate, encryptedTo("MIIB")}, devEdits{carries("MIIC")}, want{"none", "KeyMismatch", "2.4.0", ""}},
	{"bundle that names no key", docEdits{noCandidate, encryptedTo("")}, devEdits{carries("MIIC")}, want{"update", "Stable", "2.4.0", ""}},
	{"key, bundle is not encrypted", docEdits{noCandidate}, devEdits{carries("MIIC")}, want{"none", "KeyMismatch", "2.4.0", ""}},
	{"no key, bundle is encrypted", docEdits{noCandidate, encryptedTo("")}, devEdits{carries("")}, want{"none", "KeyMismatch", "2.4.0", ""}},
	{"no key, bundle is not encrypted", docEdits{noCandidate}, devEdits{carries("")}, want{"update", "Stable", "2.4.0", ""}},
	{"nothing told of keys, bundle is encrypted", docEdits{noCandidate, encryptedTo("MIIB")}, nil, want{"update", "Stable", "2.4.0", ""}},
	{"candidate of another key", docEdits{encryptedTo("MIIB")}, devEdits{carries("MIIB")}, want{"update", "Stable", "2.4.0", ""}},
	{"the key is asked first", docEdits{noCandidate, encryptedTo("MIIB"), guards("None", "")}, devEdits{carries("MIIC")}, want{"none", "KeyMismatch", "2.4.0", ""}},

	{"platform of the bundle", docEdits{noCandidate, func(d *release.Document) { d.Stable.Platforms = []string{"android"} }}, nil, want{"none", "PlatformIncompatible", "2.4.0", ""}},
	{"native range", docEdits{noCandidate, func(d *release.Document) { d.Stable.NativeVersion = ">=2.1.0 <3.0.0" }}, nil, want{"none", "NativeVersionIncompatible", "2.4.0", ""}},
	{"runtime version", docEdits{noCandidate, func(d *release.Document) { d.Stable.RuntimeVersion = "53" }}, nil, want{"none", "RuntimeVersionIncompatible", "2.4.0", ""}},
	{"candidate does not fit", docEdits{func(d *release.Document) { d.Candidate.Bundle.Platforms = []string{"android"} }}, nil, want{"update", "Stable", "2.4.0", ""}},
	{"excluded is as without the candidate", docEdits{exclude(ios)}, nil, want{"update", "Stable", "2.4.0", ""}},
	{"excluded is up to date", docEdits{exclude(ios)}, devEdits{running(stable)}, want{"none", "UpToDate", "2.4.0", ""}},
	{"excluded is brought back", docEdits{exclude(ios)}, devEdits{running(candidate)}, want{"update", "Excluded", "2.4.0", ""}},
	{"excluded is brought back, by version", docEdits{exclude(ios)}, devEdits{version("2.4.1")}, want{"update", "Excluded", "2.4.0", ""}},
	{"excluded is brought back to no bundle", docEdits{exclude(ios), noStable}, devEdits{running(candidate)}, want{"reset", "Excluded", "", ""}},
	{"excluded is brought back, stable does not fit", docEdits{exclude(ios), stableNative(">=9.0.0")}, devEdits{running(candidate)}, want{"reset", "Excluded", "", ""}},
	{"excluded is brought back without a lease", docEdits{exclude(ios), lease("StopOffering", -time.Second)}, devEdits{running(candidate)}, want{"update", "Excluded", "2.4.0", ""}},
	{"excluded passes no floor of the candidate", docEdits{exclude(ios), floorOfCandidate}, devEdits{running(candidate)}, want{"reset", "Excluded", "", ""}},
	{"excluded at any weight", docEdits{exclude(ios), weight(0)}, nil, want{"update", "Stable", "2.4.0", ""}},
	{"excluded, runs a refused bundle", docEdits{exclude(ios), refuse(previous)}, devEdits{running(previous)}, want{"update", "Refused", "2.4.0", ""}},
	{"excluded and promoted", docEdits{exclude(ios), promoted}, nil, want{"update", "Stable", "2.4.0", ""}},
	{"excluded and promoted, runs it", docEdits{exclude(ios), promoted}, devEdits{running(candidate)}, want{"update", "Excluded", "2.4.0", ""}},
	{"excluded and promoted, the next one", docEdits{exclude(ios), promoted, next(release.FullWeight)}, devEdits{running(stable)}, want{"update", "Candidate", "2.5.0", "candidate"}},
	{"excluded and promoted, control of the next one", docEdits{exclude(ios), promoted, next(0)}, nil, want{"update", "Stable", "2.4.0", "control"}},
	{"excluded from both", docEdits{exclude(ios), promoted, next(release.FullWeight), exclude(ios)}, devEdits{running(bundle("2.5.0", "f"))}, want{"update", "Excluded", "2.4.0", ""}},
	{"another slice is excluded", docEdits{exclude(android)}, nil, want{"update", "Candidate", "2.4.1", "candidate"}},

	{"candidate fits the other platform", docEdits{func(d *release.Document) { d.Candidate.Bundle.Platforms = []string{"android"} }}, devEdits{platform("android")}, want{"update", "Candidate", "2.4.1", "candidate"}},
}

func TestDecide(t *testing.T) {
	t.Parallel()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := resolve.Compile(document(tc.doc...))
			if err != nil {
				t.Fatal(err)
			}
			d := device(tc.device...)
			if got := seen(c.Decide(&d, now)); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// Every reason is shown by a case, and comes with no other action than the table says.
func TestCasesShowEveryReason(t *testing.T) {
	t.Parallel()
	shown := map[resolve.Reason]bool{
		// shown by TestView and TestUnreadable
		resolve.ReasonUnknownApp: true, resolve.ReasonUnknownChannel: true, resolve.ReasonMetadataExpired: true,
		resolve.ReasonNoMetadata: true, resolve.ReasonReleaseUnreadable: true,
		// shown by TestFollow
		resolve.ReasonChannelPrivate: true, resolve.ReasonNoChannel: true,
	}
	for _, tc := range cases {
		shown[tc.want.reason] = true
		if !slices.Contains(resolve.Reasons[tc.want.reason], tc.want.action) {
			t.Errorf("%s: %s does not come with %s", tc.name, tc.want.reason, tc.want.action)
		}
	}
	for reason := range resolve.Reasons {
		if !shown[reason] {
			t.Errorf("no case shows %s", reason)
		}
	}
}

func TestView(t *testing.T) {
	t.Parallel()
	c, err := resolve.Compile(document())
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string, expires time.Time) *resolve.Channel {
		out := c.Until(expires)
		out.Name = name
		return out
	}
	view := resolve.NewView(now.Add(time.Minute), c, named("old", now), named("new", now.Add(time.Second)))
	for _, tc := range []struct {
		view         *resolve.View
		app, channel string
		at           time.Time
		want         resolve.Reason
	}{
		{view, "shop", "production", now, "Candidate"},
		{view, "shop", "beta", now, "UnknownChannel"},
		{view, "shop", "old", now, "MetadataExpired"},
		{view, "shop", "new", now, "Candidate"},
		{view, "bank", "production", now, "UnknownApp"},
		{view, "shop", "production", now.Add(time.Minute), "MetadataExpired"},
		{nil, "shop", "production", now, "NoMetadata"},
	} {
		d := device()
		c, got := tc.view.Channel(tc.app, tc.channel, tc.at)
		if c != nil {
			got = c.Decide(&d, tc.at).Reason
		}
		if got != tc.want {
			t.Errorf("%s/%s at %v: %s, want %s", tc.app, tc.channel, tc.at, got, tc.want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	d := device(running(candidate))
	if got := seen(resolve.Unreadable("shop", "production", nil, nil).Decide(&d, now)); got != (want{"none", "ReleaseUnreadable", "", ""}) {
		t.Errorf("got %+v", got)
	}
}

func TestCompileRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	for text, edit := range map[string]func(*release.Document){
		`serving: expected Active or Halted, got "Paused"`:   func(d *release.Document) { d.Serving = "Paused" },
		`autoUpdate: expected None, Patch, Minor or Major`:   guards("Huge", ""),
		`belowNative: expected Denied or Allowed`:            guards("", "Perhaps"),
		`version: expected a semantic version, got "2.4"`:    func(d *release.Document) { d.Stable.Version = "2.4" },
		`digest: expected sha256: and 64 hexadecimal digits`: func(d *release.Document) { d.Stable.Digest = "md5:1" },
		`expected a path and a size`:                         func(d *release.Document) { d.Stable.Path = "" },
		`bundle shop-2.4.1: native version`:                  func(d *release.Document) { d.Candidate.Bundle.NativeVersion = "x y" },
		`refused sha256:bb`:                                  refuse(release.Bundle{Digest: candidate.Digest, Version: "2.4"}),
		`guard floorVersion: expected a semantic version`:    floorVersion("2.4"),
		`candidate weight: expected 0 to 10000 basis points`: weight(10_001),
		`candidate stage: expected 0 or more, got -1`:        func(d *release.Document) { d.Candidate.Stage = -1 },
		`bundle shop-2.4.1: expected a platform, versions`:   exclude(release.Slice{}),
		`bundle shop-2.4.1: native version: expected a ver`:  exclude(ios, release.Slice{NativeVersion: "old"}),
		`version of the operating system: expected a versi`:  exclude(release.Slice{OSVersion: "<Tahoe"}),
		`exclusion from bundle shop-2.4.0: native version:`:  func(d *release.Document) { d.Stable.Exclude = []release.Slice{{NativeVersion: "?"}} },
		`onLoss: expected StopOffering, Retract or Continue`: lease("Panic", 0),
		`visibility: expected Public or Private`:             follow("Secret", ""),
		`selfAssignment: expected Denied or Allowed`:         follow("", "Perhaps"),
	} {
		if _, err := resolve.Compile(document(edit)); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want an error with %q", err, text)
		}
	}
}

func TestJump(t *testing.T) {
	t.Parallel()
	c, err := resolve.Compile(document())
	if err != nil {
		t.Fatal(err)
	}
	for native, want := range map[string]resolve.Jump{
		"2.4.0": resolve.JumpPatch, "2.4.7": resolve.JumpPatch, "2.3.0": resolve.JumpMinor, "3.4.0": resolve.JumpMajor,
	} {
		if got := c.Stable().Jump(semver.MustParse(native)); got != want {
			t.Errorf("from %s to 2.4.0: %s, want %s", native, got, want)
		}
	}
}

func TestSlotIsThatOfTheSalt(t *testing.T) {
	t.Parallel()
	c, err := resolve.Compile(document())
	if err != nil {
		t.Fatal(err)
	}
	d := device()
	if got, want := c.Decide(&d, now).Slot, bucketing.Slot("salt", d.ID); got != want {
		t.Errorf("slot %d, want %d", got, want)
	}
}
