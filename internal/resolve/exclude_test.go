// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

var (
	ios     = release.Slice{Platform: "ios"}
	android = release.Slice{Platform: "android"}
)

// exclude keeps the candidate from slices.
func exclude(parts ...release.Slice) func(*release.Document) {
	return func(d *release.Document) { d.Candidate.Exclude = parts }
}

// floorOfCandidate makes the candidate the floor: what is kept from a slice is kept from it in every role.
func floorOfCandidate(d *release.Document) { f := candidate; d.Guards.Floor = &f }

func system(v string) func(*resolve.Device) {
	return func(d *resolve.Device) { d.OSVersion = semver.MustParse(v) }
}
func region(name string) func(*resolve.Device) { return func(d *resolve.Device) { d.Region = name } }

// All that a slice asks for has to match; what a device does not tell does not.
func TestSlice(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		part   release.Slice
		device devEdits
		want   bool
	}{
		"platform":                        {ios, nil, true},
		"another platform":                {ios, devEdits{platform("android")}, false},
		"native version":                  {release.Slice{NativeVersion: "<2.1.0"}, nil, true},
		"another native version":          {release.Slice{NativeVersion: "<2.1.0"}, devEdits{native("2.1.0")}, false},
		"pre-release in its place":        {release.Slice{NativeVersion: "<2.1.0"}, devEdits{native("2.1.0-beta.1")}, true},
		"pre-release, not in its place":   {release.Slice{NativeVersion: ">=2.1.0"}, devEdits{native("2.1.0-beta.1")}, false},
		"between":                         {release.Slice{NativeVersion: ">=1.0.0 <2.0.0 || =2.0.0"}, nil, true},
		"system":                          {release.Slice{OSVersion: "<13.0.0"}, devEdits{system("12.4.0")}, true},
		"another system":                  {release.Slice{OSVersion: "<13.0.0"}, devEdits{system("13.0.0")}, false},
		"no system told":                  {release.Slice{OSVersion: "<13.0.0"}, nil, false},
		"any system, none told":           {release.Slice{OSVersion: ">=0.0.0"}, nil, false},
		"region":                          {release.Slice{Region: "DE"}, devEdits{region("DE")}, true},
		"region in other letters":         {release.Slice{Region: "de"}, devEdits{region("DE")}, true},
		"another region":                  {release.Slice{Region: "DE"}, devEdits{region("D")}, false},
		"no region told":                  {release.Slice{Region: "DE"}, nil, false},
		"all of it":                       {release.Slice{Platform: "ios", NativeVersion: "2.0.0", OSVersion: "14.x", Region: "DE"}, devEdits{system("14.2.0"), region("DE")}, true},
		"all but one":                     {release.Slice{Platform: "ios", NativeVersion: "2.0.0", OSVersion: "14.x", Region: "FR"}, devEdits{system("14.2.0"), region("DE")}, false},
		"platform, and a system not told": {release.Slice{Platform: "ios", OSVersion: ">=1.0.0"}, nil, false},
	} {
		d := device(tc.device...)
		c, err := resolve.Compile(document(exclude(android, tc.part)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d.Platform == "android" {
			c, _ = resolve.Compile(document(exclude(tc.part)))
		}
		if got := c.Decide(&d, now).Arm == resolve.NoArm; got != tc.want {
			t.Errorf("%s: excluded %v, want %v", name, got, tc.want)
		}
	}
}

func anySlices(t *rapid.T, label string) []release.Slice {
	if rapid.IntRange(0, 2).Draw(t, label+" is kept from none") == 0 {
		return nil
	}
	return rapid.SliceOfN(rapid.SampledFrom([]release.Slice{
		ios, android, {NativeVersion: "<2.4.0"}, {NativeVersion: ">=2.0.0 <3.0.0"}, {OSVersion: "<13.0.0"}, {Region: "DE"},
		{Platform: "ios", NativeVersion: "<2.4.0", OSVersion: "<13.0.0"}, {Platform: "android", Region: "fr"}, {Region: "XK"},
	}), 1, 2).Draw(t, label+" exclusions")
}

// keptFrom gives the digests that a document keeps from a device, by a second reading of what a slice is.
func keptFrom(doc *release.Document, d *resolve.Device) []string {
	in := func(s release.Slice) bool {
		switch {
		case s.Platform != "" && s.Platform != d.Platform,
			s.Region != "" && !strings.EqualFold(s.Region, d.Region),
			s.OSVersion == "<13.0.0" && (d.OSVersion == nil || d.OSVersion.Major() >= 13),
			s.NativeVersion == "<2.4.0" && !d.NativeVersion.LessThan(semver.MustParse("2.4.0")),
			s.NativeVersion == ">=2.0.0 <3.0.0" && d.NativeVersion.Major() != 2:
			return false
		}
		return true
	}
	var out []string
	if s := doc.Stable; s != nil && slices.ContainsFunc(s.Exclude, in) {
		out = append(out, s.Digest)
	}
	if k := doc.Candidate; k != nil && slices.ContainsFunc(k.Exclude, in) {
		out = append(out, k.Bundle.Digest)
	}
	return out
}

// For a device that bundles are kept from it is as if they were refused; for all others, as if there were no exclusion.
func TestExclusionIsARefusalForSome(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc, dev := anyDocument(t), anyDevice(t)
		got := compiled(t, doc).Decide(&dev, now)
		plain := *doc
		if plain.Stable != nil {
			s := *plain.Stable
			s.Exclude = nil
			plain.Stable = &s
		}
		if plain.Candidate != nil {
			k := *plain.Candidate
			k.Exclude = nil
			plain.Candidate = &k
		}
		plain.Refused = slices.Clone(plain.Refused)
		kept := keptFrom(doc, &dev)
		for _, digest := range kept {
			i := slices.IndexFunc(doc.Bundles(), func(b *release.Bundle) bool { return b.Digest == digest })
			plain.Refused = append(plain.Refused, release.Refusal{Digest: digest, Version: doc.Bundles()[i].Version})
		}
		want := seen(compiled(t, &plain).Decide(&dev, now))
		if got.Reason == resolve.ReasonExcluded {
			if len(kept) == 0 || want.reason != resolve.ReasonRefused {
				t.Fatalf("excluded without need: kept %v, got %+v", kept, seen(got))
			}
			want.reason = resolve.ReasonExcluded
		}
		if seen(got) != want {
			t.Fatalf("kept %v: got %+v, want %+v", kept, seen(got), want)
		}
	})
}

// A device that the candidate is kept from is never offered it and never in an arm; one that runs it is told to leave it.
func TestExcludedNeverGetsTheCandidate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc, dev := anyDocument(t), anyDevice(t)
		if doc.Candidate == nil {
			return
		}
		doc.Candidate.Exclude = append(doc.Candidate.Exclude, release.Slice{Platform: dev.Platform})
		if rapid.Bool().Draw(t, "runs it") {
			dev.Version, dev.Digest, dev.Foreign = semver.MustParse(doc.Candidate.Bundle.Version), doc.Candidate.Bundle.Digest, false
		}
		got := compiled(t, doc).Decide(&dev, now)
		if got.Arm != resolve.NoArm || got.Trial != nil || got.Action == resolve.Update && got.Bundle.Digest == doc.Candidate.Bundle.Digest {
			t.Fatalf("got %+v", seen(got))
		}
		served := doc.Serving == release.Active && got.Reason != resolve.ReasonPlatformNotServed && got.Reason != resolve.ReasonBuildNotServed
		if served && dev.Digest == doc.Candidate.Bundle.Digest && got.Action == resolve.None {
			t.Fatalf("left on the candidate: %s", got.Reason)
		}
	})
}

// The control is the devices that would get the candidate if the weight were higher, and no others: the arms differ by chance alone.
func TestControlCouldHaveTheCandidate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc, dev := anyDocument(t), anyDevice(t)
		if doc.Candidate == nil {
			return
		}
		got := compiled(t, doc).Decide(&dev, now)
		doc.Candidate.Weight = release.FullWeight
		all := compiled(t, doc).Decide(&dev, now)
		runs := all.Reason == resolve.ReasonUpToDate
		if got.Arm == resolve.Control && (all.Arm != resolve.Candidate || all.Action != resolve.Update && !runs || all.Bundle.Digest != doc.Candidate.Bundle.Digest) {
			t.Fatalf("control, but at full weight %+v", seen(all))
		}
		if all.Arm == resolve.Candidate && all.Action == resolve.Update && got.Arm == resolve.NoArm {
			t.Fatalf("would get the candidate at full weight, but is in no arm: %+v", seen(got))
		}
	})
}

// What keeps a device from the candidate keeps it out of the control, whatever its slot.
func TestControlOfEachGuard(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		doc    func(*release.Document)
		device func(*resolve.Device)
	}{
		"platform":        {func(d *release.Document) { d.Candidate.Bundle.Platforms = []string{"android"} }, nil},
		"native version":  {func(d *release.Document) { d.Candidate.Bundle.NativeVersion = ">=2.1.0" }, nil},
		"runtime version": {func(d *release.Document) { d.Candidate.Bundle.RuntimeVersion = "53" }, nil},
		"auto update":     {func(d *release.Document) { d.Guards.AutoUpdate = "Minor"; d.Candidate.Bundle.Version = "3.0.0" }, nil},
		"below native":    {func(d *release.Document) { d.Candidate.Bundle.Version = "1.9.0" }, nil},
		"floor version":   {floorVersion("2.4.2"), version("2.4.2")},
		"floor first":     {withFloor, nil},
		"key":             {func(*release.Document) {}, carries("MIIB")},
		"excluded":        {exclude(ios), nil},
		"failed":          {func(*release.Document) {}, failed(candidate)},
		"lease":           {lease("Retract", 0), nil},
	} {
		doc := document(tc.doc, weight(0))
		d := device()
		if tc.device != nil {
			tc.device(&d)
		}
		c, err := resolve.Compile(doc)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := c.Decide(&d, now); got.Arm != resolve.NoArm || got.Trial != nil {
			t.Errorf("%s: %+v", name, seen(got))
		}
	}
}

// The channel as it is for a device has a trial only if the device is in an arm of it.
func TestForIsWhatDecides(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc, dev := anyDocument(t), anyDevice(t)
		c := compiled(t, doc)
		mine, told := c.For(&dev), c.Decide(&dev, now)
		if told.Arm != resolve.NoArm && mine.Trial() == nil {
			t.Fatalf("in arm %s of no trial", told.Arm)
		}
		kept := keptFrom(doc, &dev)
		if slices.ContainsFunc(mine.Bundles(), func(b *resolve.Bundle) bool { return slices.Contains(kept, b.Digest) }) {
			t.Fatalf("has what is kept from the device: %v", kept)
		}
		if told.Action == resolve.Update && !slices.ContainsFunc(mine.Bundles(), func(b *resolve.Bundle) bool { return b.Digest == told.Bundle.Digest }) {
			t.Fatalf("has not what the device is offered: %s", told.Bundle.Version)
		}
	})
}

// A trace says which slices were looked at and what the device told.
func TestExplainExclusion(t *testing.T) {
	t.Parallel()
	v := resolve.NewView(now.Add(1e9), channel(t, "production", exclude(android, release.Slice{Platform: "ios", NativeVersion: "<2.1.0", OSVersion: "<13.0.0"})))
	for _, tc := range []struct {
		system string
		reason resolve.Reason
	}{{"", ""}, {"12.4.0", resolve.ReasonExcluded}} {
		d := device(running(candidate))
		told := "none"
		if tc.system != "" {
			system(tc.system)(&d)
			told = tc.system
		}
		e := v.Explain("shop", resolve.Wish{}, &d, now)
		i := slices.IndexFunc(e.Steps, func(s resolve.Step) bool { return s.Rule == resolve.RuleExclude })
		want := resolve.Step{Rule: resolve.RuleExclude, Reason: tc.reason, Detail: fmt.Sprintf(
			"bundle 2.4.1 is kept from android; and from ios, nativeVersion <2.1.0, osVersion <13.0.0; device: ios, native 2.0.0, system %s, region none", told)}
		if i < 0 || e.Steps[i] != want {
			t.Errorf("got %+v, want %+v", e.Steps, want)
		}
	}
}

// An excluded device costs the request path no more than others.
func TestExcludedDoesNotAllocate(t *testing.T) {
	d := device(running(candidate), system("14.2.0"), region("DE"))
	c, err := resolve.Compile(document(exclude(android, release.Slice{NativeVersion: "<2.4.0", OSVersion: ">=14.0.0 <15.0.0", Region: "DE"})))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Decide(&d, now).Reason; got != resolve.ReasonExcluded {
		t.Fatalf("got %s", got)
	}
	other := device(system("12.0.0"), region("DE"))
	if n := testing.AllocsPerRun(100, func() { c.Decide(&d, now); c.Decide(&other, now) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
