// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/release"
)

// exclusion keeps a bundle from parts of the devices. For them it is as if the channel refused it.
type exclusion struct {
	digest, version string
	slices          []slice
}

// slice is a part of the devices. All that is set has to match.
type slice struct {
	release.Slice

	native, os compat.Range
}

// compileSlice reads a slice. One that asks for nothing, or only for what this version does not know, is refused: every device
// would be in it.
func compileSlice(src release.Slice) (out slice, err error) {
	if src == (release.Slice{}) {
		return slice{}, errors.New("expected a platform, versions or a region, got none of them")
	}
	out.Slice = src
	if out.native, err = compat.ParseRange(src.NativeVersion); err != nil {
		return slice{}, fmt.Errorf("native version: %w", err)
	}
	if out.os, err = compat.ParseRange(src.OSVersion); err != nil {
		return slice{}, fmt.Errorf("version of the operating system: %w", err)
	}
	// Slices are found by the order of versions, in which pre-releases have their place.
	out.native, out.os = out.native.WithPreReleases(), out.os.WithPreReleases()
	return out, nil
}

// has tells whether a device is in the slice. One that does not tell what the slice asks for is not.
func (s *slice) has(d *Device) bool {
	return (s.Platform == "" || s.Platform == d.Platform) &&
		(s.NativeVersion == "" || s.native.Contains(d.NativeVersion)) &&
		(s.OSVersion == "" || d.OSVersion != nil && s.os.Contains(d.OSVersion)) &&
		(s.Region == "" || strings.EqualFold(s.Region, d.Region))
}

// String gives the slice for people: android, nativeVersion <4.3.0.
func (s *slice) String() string {
	var parts []string
	for _, p := range [...]struct{ name, value string }{
		{"", s.Platform}, {"nativeVersion ", s.NativeVersion}, {"osVersion ", s.OSVersion}, {"region ", s.Region},
	} {
		if p.value != "" {
			parts = append(parts, p.name+p.value)
		}
	}
	return strings.Join(parts, ", ")
}

// compileExclusions makes the channel's variants: for each set of exclusions, the channel that refuses their bundles.
func (c *Channel) compileExclusions(doc *release.Document) error {
	for _, b := range doc.Bundles() {
		parts := slices.Clone(b.Exclude)
		if k := doc.Candidate; k != nil && k.Bundle.Digest == b.Digest {
			parts = append(parts, k.Exclude...)
		}
		if err := c.exclude(b, parts); err != nil {
			return fmt.Errorf("exclusion from bundle %s: %w", b.Name, err)
		}
	}
	if len(c.exclusions) == 0 {
		return nil
	}
	c.variants = make([]*Channel, 1<<len(c.exclusions)) // the first one is c
	for set := 1; set < len(c.variants); set++ {
		var err error
		if c.variants[set], err = c.compileVariant(doc, set); err != nil {
			return err
		}
	}
	return nil
}

// exclude adds the parts of the devices that a bundle is kept from.
func (c *Channel) exclude(b *release.Bundle, parts []release.Slice) error {
	if len(parts) == 0 {
		return nil
	}
	x := exclusion{digest: b.Digest, version: b.Version}
	for _, part := range parts {
		s, err := compileSlice(part)
		if err != nil {
			return err
		}
		x.slices = append(x.slices, s)
	}
	c.exclusions = append(c.exclusions, x)
	return nil
}

func (c *Channel) compileVariant(doc *release.Document, set int) (*Channel, error) {
	without := *doc
	without.Refused = slices.Clone(doc.Refused)
	for i, x := range c.exclusions {
		if set&(1<<i) != 0 {
			without.Refused = append(without.Refused, release.Refusal{Digest: x.digest, Version: x.version})
		}
	}
	v, err := compile(&without)
	if err != nil {
		return nil, err
	}
	for i := len(doc.Refused); i < len(v.refused); i++ {
		v.refused[i].why = ReasonExcluded
	}
	return v, nil
}

// For gives the channel as it is for a device that it serves: without the bundles that are kept from such devices, and without a trial
// whose candidate does not fit. Who asks needs no more of the device than it told: a report tells less than a check.
func (c *Channel) For(d *Device) *Channel {
	v := c.variant(d, nil)
	if v.trial == nil || v.unfit(v.trial.Bundle, d, nil) == noReason {
		return v
	}
	out := *v
	out.trial = nil
	return &out
}

// variant gives the channel as it is for a device: one that refuses what is kept from such devices. Mostly it is the channel itself.
func (c *Channel) variant(d *Device, t *trace) *Channel {
	if len(c.exclusions) == 0 {
		return c
	}
	set := 0
	for i := range c.exclusions {
		x := &c.exclusions[i]
		if t.exclusion(x, d, slices.ContainsFunc(x.slices, func(s slice) bool { return s.has(d) })) {
			set |= 1 << i
		}
	}
	if set == 0 {
		return c
	}
	return c.variants[set]
}
