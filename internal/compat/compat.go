// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package compat says whether an update can run on a device: its platform, the version of the installed app build, and the
// runtime version. Ranges are compiled once and matched many times.
package compat

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// ParseVersion reads a semantic version as devices report it: 4.2 means 4.2.0, and a leading v is ignored.
func ParseVersion(s string) (*semver.Version, error) {
	if v, err := semver.StrictNewVersion(s); err == nil {
		return v, nil
	}
	v, err := semver.NewVersion(s)
	if err != nil {
		return nil, fmt.Errorf("expected a semantic version such as 4.2.0, got %q", s)
	}
	return v, nil
}

// Range is a compiled range of versions. The zero value contains every version.
type Range struct {
	constraints *semver.Constraints
	text        string
	bounds      [][]bound // of WithPreReleases: alternatives, of which all bounds have to hold; nil: ask constraints
}

// ParseRange compiles a range such as ">=4.2.0 <5.0.0"; conditions are separated by spaces or commas, alternatives by ||.
// An empty text is the range of all versions. A pre-release such as 5.0.0-beta.1 is only in a range that names a
// pre-release itself: "<5.0.0" does not let it in, though it comes before 5.0.0.
func ParseRange(text string) (Range, error) {
	if text == "" {
		return Range{}, nil
	}
	c, err := semver.NewConstraint(text)
	if err != nil {
		return Range{}, fmt.Errorf("expected a version range such as %q, got %q: %w", ">=4.2.0 <5.0.0", text, err)
	}
	return Range{constraints: c, text: text}, nil
}

// Contains tells whether a version is in the range.
func (r Range) Contains(v *semver.Version) bool {
	if r.bounds != nil {
		return slices.ContainsFunc(r.bounds, func(all []bound) bool {
			return !slices.ContainsFunc(all, func(b bound) bool { return !b.holds(v) })
		})
	}
	return r.constraints == nil || r.constraints.Check(v)
}

// WithPreReleases gives the range as versions are ordered, pre-releases among them: "<5.0.0" lets 5.0.0-beta.1 in.
func (r Range) WithPreReleases() Range {
	if r.constraints == nil {
		return r
	}
	all := *r.constraints
	all.IncludePrerelease = true
	return Range{constraints: &all, text: r.text, bounds: parseBounds(r.text)}
}

// bound is a condition such as <5.0.0. Ranges are mostly made of these, and to compare is free, while semver makes an error text
// whenever a version is in none.
type bound struct {
	operator string
	version  *semver.Version
}

func (b bound) holds(v *semver.Version) bool {
	switch c := v.Compare(b.version); b.operator {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	default:
		return c == 0
	}
}

// parseBounds reads a range that is made of nothing else; nil for any other.
func parseBounds(text string) (alternatives [][]bound) {
	for alternative := range strings.SplitSeq(text, "||") {
		var all []bound
		for condition := range strings.FieldsFuncSeq(alternative, func(c rune) bool { return c == ' ' || c == ',' }) {
			version := strings.TrimLeft(condition, "<>=")
			b := bound{operator: strings.TrimSuffix(condition, version)}
			var err error
			b.version, err = semver.StrictNewVersion(version)
			if err != nil || !slices.Contains([]string{"<", "<=", ">", ">=", "="}, b.operator) {
				return nil
			}
			all = append(all, b)
		}
		if len(all) == 0 {
			return nil
		}
		alternatives = append(alternatives, all)
	}
	return alternatives
}

// Device is what compatibility asks of a device.
type Device struct {
	Platform       string
	NativeVersion  *semver.Version // of the installed app build
	RuntimeVersion string
}

// Mismatch is the first requirement that a device does not meet.
type Mismatch int

// The mismatches.
const (
	None Mismatch = iota
	Platform
	NativeVersion
	RuntimeVersion
)

// Requirements of an update. The zero value runs everywhere.
type Requirements struct {
	platforms []string
	native    Range
	runtime   string
}

// Compile makes Requirements; empty values ask for nothing.
func Compile(platforms []string, nativeVersion, runtimeVersion string) (Requirements, error) {
	r, err := ParseRange(nativeVersion)
	if err != nil {
		return Requirements{}, fmt.Errorf("native version: %w", err)
	}
	return Requirements{platforms: platforms, native: r, runtime: runtimeVersion}, nil
}

// Check gives the first requirement that the device does not meet, or None.
func (r *Requirements) Check(d *Device) Mismatch {
	switch {
	case !MatchesPlatform(r.platforms, d.Platform):
		return Platform
	case !r.native.Contains(d.NativeVersion):
		return NativeVersion
	case r.runtime != "" && r.runtime != d.RuntimeVersion:
		return RuntimeVersion
	}
	return None
}

// MatchesPlatform tells whether a platform is in a list; an empty list has all.
func MatchesPlatform(list []string, platform string) bool {
	return len(list) == 0 || slices.Contains(list, platform)
}

// ParseOSVersion reads the version of an operating system as devices tell it: its first up to three numbers with dots between
// them, whatever stands around: 17.5.1; 14 is 14.0.0, and so is "Android 14"; 6.8.0-45-generic is 6.8.0, no pre-release.
func ParseOSVersion(s string) (*semver.Version, error) {
	isDigit := func(c rune) bool { return '0' <= c && c <= '9' }
	from := max(0, strings.IndexFunc(s, isDigit))
	rest, numbers := s[from:], [3]uint64{}
	for i := range numbers {
		digits := rest[:len(rest)-len(strings.TrimLeftFunc(rest, isDigit))]
		n, err := strconv.ParseUint(digits, 10, 32)
		switch {
		case digits == "" && i > 0: // a dot at the end
			return semver.New(numbers[0], numbers[1], numbers[2], "", ""), nil
		case err != nil:
			return nil, fmt.Errorf("expected a version of an operating system such as 17.5.1, got %q", s)
		}
		numbers[i] = n
		if rest = rest[len(digits):]; !strings.HasPrefix(rest, ".") {
			break
		}
		rest = rest[1:]
	}
	return semver.New(numbers[0], numbers[1], numbers[2], "", ""), nil
}
