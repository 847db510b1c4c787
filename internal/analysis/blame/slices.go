// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package blame

import (
	"cmp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
)

// Bounds of what is looked at. Each further slice asks for more evidence of all.
const (
	maxRegions  = 32 // those with the most devices
	maxVersions = 24 // thresholds of one attribute, spread over the devices
	maxRegion   = 32 // bytes; a longer one counts as not told
	maxVersion  = 64 // the same
)

// kind is devices that are alike, with their versions read.
type kind struct {
	platform, region string
	native, os       *semver.Version  // nil: not told, or not readable
	stages           []eprocess.Stage // as table.stages
	candidates       int64            // devices on the candidate, over all stages
	devices          int64            // of both arms, over all stages
}

// slice is a part of the devices that may explain failures.
type slice struct {
	match  otav1alpha1.Slice
	family int    // slices of the same attributes
	in     []bool // by kind
}

// describe is the slice for people: android, nativeVersion<4.3.0.
func describe(m otav1alpha1.Slice) string {
	var parts []string
	if m.Platform != "" {
		parts = append(parts, string(m.Platform))
	}
	if m.NativeVersion != "" {
		parts = append(parts, "nativeVersion"+m.NativeVersion)
	}
	if m.OSVersion != "" {
		parts = append(parts, "osVersion"+m.OSVersion)
	}
	if m.Region != "" {
		parts = append(parts, "region="+m.Region)
	}
	return strings.Join(parts, ", ")
}

// enumerate lists the slices to look at, the simplest first: each platform, each region, versions below and from each one that was
// observed, and the same versions of each platform. Of slices that hold the same devices only the first one stays, and none that
// holds all devices. What is listed depends on which devices there are, and not on how they fare.
func enumerate(kinds []kind) []slice {
	e := enumeration{kinds: kinds, seen: map[string]bool{}}
	e.add(func(*kind) bool { return true }, otav1alpha1.Slice{}) // so that nothing that holds the same is added
	e.out = nil
	platforms := e.values(func(k *kind) string { return k.platform }, len(kinds))
	e.each(platforms, func(m *otav1alpha1.Slice, p string) { m.Platform = otav1alpha1.Platform(p) }, func(k *kind) string { return k.platform })
	e.versions("")
	e.family++
	regions := e.values(func(k *kind) string { return k.region }, maxRegions)
	e.each(regions, func(m *otav1alpha1.Slice, r string) { m.Region = r }, func(k *kind) string { return k.region })
	for _, p := range platforms {
		e.versions(p)
	}
	return e.out
}

type enumeration struct {
	kinds  []kind
	seen   map[string]bool // members
	family int
	out    []slice
}

// values are the texts of an attribute, those with the most devices first.
func (e *enumeration) values(of func(*kind) string, most int) []string {
	devices := map[string]int64{}
	for i := range e.kinds {
		if text := of(&e.kinds[i]); text != "" {
			devices[text] += e.kinds[i].devices
		}
	}
	out := make([]string, 0, len(devices))
	for text := range devices {
		out = append(out, text)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(devices[b], devices[a]), cmp.Compare(a, b)) })
	return out[:min(len(out), most)]
}

// each adds a slice for each value of an attribute.
func (e *enumeration) each(values []string, set func(*otav1alpha1.Slice, string), of func(*kind) string) {
	for _, v := range values {
		var m otav1alpha1.Slice
		set(&m, v)
		e.add(func(k *kind) bool { return of(k) == v }, m)
	}
}

// versions adds the thresholds of both kinds of versions, of one platform or of all.
func (e *enumeration) versions(platform string) {
	native := func(k *kind) *semver.Version { return k.native }
	system := func(k *kind) *semver.Version { return k.os }
	e.family++
	e.thresholds(platform, native, func(m *otav1alpha1.Slice, text string) { m.NativeVersion = text })
	e.family++
	e.thresholds(platform, system, func(m *otav1alpha1.Slice, text string) { m.OSVersion = text })
}

func (e *enumeration) thresholds(platform string, of func(*kind) *semver.Version, set func(*otav1alpha1.Slice, string)) {
	for _, v := range e.observed(platform, of) {
		for _, below := range []bool{true, false} {
			text := ">=" + v.String()
			if below {
				text = "<" + v.String()
			}
			m := otav1alpha1.Slice{Platform: otav1alpha1.Platform(platform)}
			set(&m, text)
			// By the order of versions, pre-releases among them, as gateways match slices.
			e.add(func(k *kind) bool {
				return (platform == "" || k.platform == platform) && of(k) != nil && of(k).LessThan(v) == below
			}, m)
		}
	}
}

// observed are the versions of devices in order. When there are too many, those stay that divide the devices into parts of about the
// same size: they follow from the devices alone.
func (e *enumeration) observed(platform string, of func(*kind) *semver.Version) []*semver.Version {
	devices := map[string]int64{}
	var all []*semver.Version
	var total int64
	for i := range e.kinds {
		k := &e.kinds[i]
		v := of(k)
		if v == nil || platform != "" && k.platform != platform {
			continue
		}
		if _, ok := devices[v.String()]; !ok {
			all = append(all, v)
		}
		devices[v.String()] += k.devices
		total += k.devices
	}
	slices.SortFunc(all, func(a, b *semver.Version) int { return a.Compare(b) })
	if len(all) <= maxVersions {
		return all
	}
	var out []*semver.Version
	var below, part int64
	for _, v := range all {
		if now := below * maxVersions / total; now > part {
			out, part = append(out, v), now
		}
		below += devices[v.String()]
	}
	return out
}

// add keeps a slice that has devices on the candidate, and not the same ones as another.
func (e *enumeration) add(has func(*kind) bool, m otav1alpha1.Slice) {
	in := make([]bool, len(e.kinds))
	key := make([]byte, (len(e.kinds)+7)/8)
	tried := false
	for i := range e.kinds {
		if has(&e.kinds[i]) {
			in[i], key[i/8] = true, key[i/8]|1<<(i%8)
			tried = tried || e.kinds[i].candidates > 0
		}
	}
	if !tried || e.seen[string(key)] {
		return
	}
	e.seen[string(key)] = true
	e.out = append(e.out, slice{match: m, family: e.family, in: in})
}
