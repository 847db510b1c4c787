// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

var pool = []release.Bundle{stable, candidate, previous, floor, bundle("3.0.0", "f"), bundle("2.5.0-rc.1", "9")}

func anyBundle(t *rapid.T, label string) *release.Bundle {
	i := rapid.IntRange(-1, len(pool)-1).Draw(t, label)
	if i < 0 {
		return nil
	}
	b := pool[i]
	b.Platforms = rapid.SampledFrom([][]string{nil, {"ios"}, {"android"}}).Draw(t, label+" platforms")
	b.NativeVersion = rapid.SampledFrom([]string{"", ">=2.0.0", "<2.4.0", ">=9.0.0"}).Draw(t, label+" native")
	b.RuntimeVersion = rapid.SampledFrom([]string{"", "52", "53"}).Draw(t, label+" runtime")
	if rapid.IntRange(0, 2).Draw(t, label+" encrypted") == 0 {
		b.Encryption = &release.Encryption{KeyID: rapid.SampledFrom([]string{"", "one", "two"}).Draw(t, label+" key")}
	}
	return &b
}

func anyDocument(t *rapid.T) *release.Document {
	d := &release.Document{
		Schema: release.Schema, App: "shop", Channel: "production",
		Serving:  rapid.SampledFrom([]string{release.Active, release.Active, release.Halted}).Draw(t, "serving"),
		Stable:   anyBundle(t, "stable"),
		Previous: anyBundle(t, "previous"),
	}
	d.Guards.AutoUpdate = rapid.SampledFrom([]string{"", "None", "Patch", "Minor", "Major"}).Draw(t, "autoUpdate")
	d.Guards.BelowNative = rapid.SampledFrom([]string{"", "Denied", "Allowed"}).Draw(t, "belowNative")
	d.Guards.Floor = anyBundle(t, "floor")
	d.Guards.FloorVersion = rapid.SampledFrom([]string{"", "2.1.0", "2.4.0", "2.4.1"}).Draw(t, "floor version")
	d.Audience.Platforms = rapid.SampledFrom([][]string{nil, nil, {"ios"}, {"android"}, {"ios", "android"}}).Draw(t, "platforms")
	d.Audience.Builds = rapid.SampledFrom([][]string{nil, {"Production"}, {"Emulator"}, {"Development", "Device"}}).Draw(t, "builds")
	if c := anyBundle(t, "candidate"); c != nil {
		d.Candidate = &release.Candidate{
			Bundle: *c, Weight: rapid.Int32Range(0, release.FullWeight).Draw(t, "weight"), Salt: rapid.String().Draw(t, "salt"),
			LeaseExpires: now.Unix() + rapid.Int64Range(-5, 5).Draw(t, "lease"),
			OnLoss:       rapid.SampledFrom([]string{"", "StopOffering", "Retract", "Continue"}).Draw(t, "onLoss"),
			Exclude:      anySlices(t, "candidate"),
		}
	}
	if d.Stable != nil {
		d.Stable.Exclude = anySlices(t, "stable")
	}
	for i, b := range pool {
		if rapid.IntRange(0, 3).Draw(t, fmt.Sprintf("refuse %d", i)) == 0 {
			d.Refused = append(d.Refused, release.Refusal{Digest: b.Digest, Version: b.Version})
		}
	}
	return d
}

func anyDevice(t *rapid.T) resolve.Device {
	d := device(
		platform(rapid.SampledFrom([]string{"ios", "android"}).Draw(t, "platform")),
		native(rapid.SampledFrom([]string{"1.0.0", "2.0.0", "2.4.0", "2.4.9", "3.1.0"}).Draw(t, "native")),
	)
	d.ID = rapid.String().Draw(t, "device")
	if os := rapid.SampledFrom([]string{"", "12.0.0", "14.1.0"}).Draw(t, "system"); os != "" {
		d.OSVersion = semver.MustParse(os)
	}
	d.Region = rapid.SampledFrom([]string{"", "DE", "FR"}).Draw(t, "region")
	d.Distribution = rapid.SampledFrom([]string{resolve.Production, resolve.Development}).Draw(t, "distribution")
	d.Hardware = rapid.SampledFrom([]string{resolve.Physical, resolve.Emulator}).Draw(t, "hardware")
	b := rapid.SampledFrom(append(pool, bundle("1.0.0", "e"))).Draw(t, "runs")
	switch rapid.IntRange(0, 4).Draw(t, "tells") {
	case 1:
		d.Digest = b.Digest
	case 2:
		d.Version = semver.MustParse(b.Version)
	case 3:
		running(b)(&d)
	case 4:
		d.Foreign = true
	}
	for i, b := range pool {
		if rapid.IntRange(0, 4).Draw(t, fmt.Sprintf("failed %d", i)) == 0 {
			failed(b)(&d)
		}
	}
	if rapid.Bool().Draw(t, "told of keys") {
		carries(rapid.SampledFrom([]string{"", "one", "two"}).Draw(t, "key"))(&d)
	}
	return d
}

func compiled(t *rapid.T, d *release.Document) *resolve.Channel {
	c, err := resolve.Compile(d)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return c
}

// What may never be offered, whatever else holds: refused digests, what failed on the device, bundles below the floor or that
// cannot run or be opened, the candidate outside its cohort or after its lease, and anything at all while halted.
func TestNothingForbiddenIsOffered(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc, dev := anyDocument(t), anyDevice(t)
		got := compiled(t, doc).Decide(&dev, now)
		allowed := false
		for _, a := range resolve.Reasons[got.Reason] {
			allowed = allowed || a == got.Action
		}
		if !allowed {
			t.Fatalf("%s with reason %q", got.Action, got.Reason)
		}
		if doc.Serving == release.Halted && got.Action != resolve.None {
			t.Fatalf("halted, but told to %s", got.Action)
		}
		if got.Action == resolve.Update {
			checkOffer(t, doc, &dev, got)
		}
	})
}

func checkOffer(t *rapid.T, doc *release.Document, dev *resolve.Device, got resolve.Decision) {
	b := got.Bundle
	if b.Digest != "" && slices.Contains(keptFrom(doc, dev), b.Digest) {
		t.Fatalf("offered %s, which is kept from the device", b.Version)
	}
	if doc.Refuses(b.Digest) {
		t.Fatalf("offered %s, which is refused", b.Version)
	}
	if slices.Contains(dev.Failed, b.Digest) {
		t.Fatalf("offered %s, which failed on this device", b.Version)
	}
	if k := dev.Key; k.Told && ((k.ID == "") != (b.Encryption == nil) || k.ID != "" && b.Encryption.KeyID != "" && b.Encryption.KeyID != k.ID) {
		t.Fatalf("offered %s, encrypted %+v, to a device with key %q", b.Version, b.Encryption, k.ID)
	}
	floor := doc.Guards.FloorVersion
	if floor == "" && doc.Guards.Floor != nil {
		floor = doc.Guards.Floor.Version
	}
	if floor != "" && semver.MustParse(b.Version).LessThan(semver.MustParse(floor)) {
		t.Fatalf("offered %s below the floor %s", b.Version, floor)
	}
	if len(b.Platforms) > 0 && b.Platforms[0] != dev.Platform || b.RuntimeVersion != "" && b.RuntimeVersion != dev.RuntimeVersion {
		t.Fatalf("offered %s, which cannot run on the device", b.Version)
	}
	if dev.Digest == b.Digest {
		t.Fatalf("offered %s, which the device runs", b.Version)
	}
	checkGuards(t, doc, dev, b)
	if got.Arm == resolve.Candidate {
		checkCandidate(t, doc.Candidate, got)
	}
}

// checkGuards compares an offer with the native build.
func checkGuards(t *rapid.T, doc *release.Document, dev *resolve.Device, b *resolve.Bundle) {
	v, native := semver.MustParse(b.Version), dev.NativeVersion
	if b.NativeVersion != "" {
		if c, err := semver.NewConstraint(b.NativeVersion); err != nil || !c.Check(native) {
			t.Fatalf("offered %s for native builds %s to one of %s", b.Version, b.NativeVersion, native)
		}
	}
	if doc.Guards.BelowNative != "Allowed" && v.LessThan(native) {
		t.Fatalf("offered %s below native %s", b.Version, native)
	}
	sameMajor, sameMinor := v.Major() == native.Major(), v.Major() == native.Major() && v.Minor() == native.Minor()
	if g := doc.Guards.AutoUpdate; g == "None" || g == "Minor" && !sameMajor || g == "Patch" && !sameMinor {
		t.Fatalf("offered %s to native %s with autoUpdate %s", b.Version, native, g)
	}
}

func checkCandidate(t *rapid.T, c *release.Candidate, got resolve.Decision) {
	if got.Slot >= c.Weight {
		t.Fatalf("offered the candidate to slot %d at weight %d", got.Slot, c.Weight)
	}
	if c.LeaseExpires <= now.Unix() && c.OnLoss != "Continue" {
		t.Fatal("offered the candidate after its lease")
	}
}

// The random documents and devices are no toys: they meet every reason of a decision, with every action that it comes with.
func TestRandomMeetsEveryReason(t *testing.T) {
	t.Parallel()
	type answer struct {
		reason resolve.Reason
		action resolve.Action
	}
	met := map[answer]bool{}
	gen := rapid.Custom(func(t *rapid.T) answer {
		doc, dev := anyDocument(t), anyDevice(t)
		got := compiled(t, doc).Decide(&dev, now)
		return answer{got.Reason, got.Action}
	})
	for seed := range 9_000 { // the same ones each time
		met[gen.Example(seed)] = true
	}
	view := []resolve.Reason{ // of no decision of a channel that can be read
		resolve.ReasonChannelPrivate, resolve.ReasonNoChannel, resolve.ReasonUnknownApp, resolve.ReasonUnknownChannel,
		resolve.ReasonReleaseUnreadable, resolve.ReasonMetadataExpired, resolve.ReasonNoMetadata,
	}
	for reason, actions := range resolve.Reasons {
		for _, action := range actions {
			if !met[answer{reason, action}] && !slices.Contains(view, reason) {
				t.Errorf("none meets %s with %s", reason, action)
			}
		}
	}
}

// A device that gets the candidate at a weight gets it at every higher one.
func TestLowerWeightIsASubset(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc, dev := anyDocument(t), anyDevice(t)
		if doc.Candidate == nil {
			t.Skip("no candidate")
		}
		low := compiled(t, doc).Decide(&dev, now)
		doc.Candidate.Weight = rapid.Int32Range(doc.Candidate.Weight, release.FullWeight).Draw(t, "higher")
		high := compiled(t, doc).Decide(&dev, now)
		if low.Arm == resolve.Candidate && high.Arm != resolve.Candidate {
			t.Fatalf("candidate at the lower weight, %q at the higher", high.Arm)
		}
	})
}

// What a device is offered when the candidate failed on it is what the others are offered that do not get the candidate. It is in
// no arm then, and in the candidate's while it is offered nothing: at no weight does it count for stable.
func TestFailedCandidateIsAsNone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc, dev := anyDocument(t), anyDevice(t)
		if doc.Candidate == nil {
			return
		}
		failed(doc.Candidate.Bundle)(&dev)
		got := compiled(t, doc).Decide(&dev, now)
		if got.Arm == resolve.Control || (got.Trial == nil) != (got.Arm == resolve.NoArm) {
			t.Fatalf("would count for stable: %+v", seen(got))
		}
		if got.Arm == resolve.Candidate && got.Action == resolve.Update {
			t.Fatalf("offered %s in the candidate's arm", got.Bundle.Version)
		}
		if got.Action != resolve.Update || got.Arm != resolve.NoArm {
			return
		}
		doc.Candidate.Weight = 0
		if without := compiled(t, doc).Decide(&dev, now); without.Action != resolve.Update || without.Bundle.Digest != got.Bundle.Digest {
			t.Fatalf("offered %s, others %+v", got.Bundle.Version, seen(without))
		}
	})
}

// No device runs a refused bundle for longer than one check, unless the channel serves it nothing.
func TestRefusedIsBroughtBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc, dev := anyDocument(t), anyDevice(t)
		doc.Serving, doc.Audience = release.Active, release.Audience{}
		bad := rapid.SampledFrom(pool).Draw(t, "bad")
		running(bad)(&dev)
		refuse(bad)(doc)
		if got := compiled(t, doc).Decide(&dev, now); got.Action == resolve.None {
			t.Fatalf("left on a refused bundle: %s", got.Reason)
		}
	})
}

// The decision depends on nothing but its inputs, and changes none of them.
func TestDecideIsPure(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc, dev, other := anyDocument(t), anyDevice(t), anyDevice(t)
		c := compiled(t, doc)
		first := seen(c.Decide(&dev, now))
		c.Decide(&other, now.Add(time.Hour))
		if again := seen(c.Decide(&dev, now)); again != first {
			t.Fatalf("first %+v, then %+v", first, again)
		}
		if fresh := seen(compiled(t, doc).Decide(&dev, now)); !cmp.Equal(fresh, first, cmp.AllowUnexported(want{})) {
			t.Fatalf("first %+v, compiled again %+v", first, fresh)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	c, err := resolve.Compile(document(withFloor, func(d *release.Document) { d.Candidate.Bundle.NativeVersion = ">=2.0.0 <3.0.0" }))
	if err != nil {
		b.Fatal(err)
	}
	d := device(running(stable))
	b.ReportAllocs()
	for b.Loop() {
		c.Decide(&d, now)
	}
}
