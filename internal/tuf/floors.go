// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/Masterminds/semver/v3"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// FloorsField is the field of a root's signed part that holds the floors: an object of app ids and versions, all text.
const FloorsField = "x-windlass-floors"

// MaxFloors bounds the floors of a root.
const MaxFloors = 64

const (
	maxApp     = 128
	maxVersion = 64
)

var appPattern = regexp.MustCompile(`^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$`)

// Floors are the least versions that may be offered, by app. They only rise.
type Floors map[string]string

// FloorsOf reads the floors of a root. What is not well-formed is an error, never no floor.
func FloorsOf(root *metadata.RootType) (Floors, error) {
	value, ok := root.UnrecognizedFields[FloorsField]
	if !ok {
		return Floors{}, nil
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is %T, expected an object", FloorsField, value)
	}
	floors := Floors{}
	for app, v := range fields {
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("floor of app %s is %T, expected text", app, v)
		}
		floors[app] = text
	}
	return floors, floors.Check()
}

// Check is an error unless all floors are well-formed.
func (f Floors) Check() error {
	if len(f) > MaxFloors {
		return fmt.Errorf("%d floors, expected at most %d", len(f), MaxFloors)
	}
	for app, version := range f {
		if len(app) > maxApp || !appPattern.MatchString(app) {
			return fmt.Errorf("floor of app %q, expected an app id", app)
		}
		if _, err := parseFloor(version); err != nil {
			return fmt.Errorf("floor of app %s: %w", app, err)
		}
	}
	return nil
}

// parseFloor reads a version as the API has it: strict, and without build metadata, which have no precedence.
func parseFloor(text string) (*semver.Version, error) {
	v, err := semver.StrictNewVersion(text)
	if err != nil || len(text) > maxVersion || v.Metadata() != "" {
		return nil, fmt.Errorf("%q, expected a semantic version such as 2.4.1, without build metadata", text)
	}
	return v, nil
}

// field is what a root holds.
func (f Floors) field() map[string]any {
	out := make(map[string]any, len(f))
	for app, version := range f {
		out[app] = version
	}
	return out
}

// Raise gives the floors with that of one app raised. It is an error when that would not raise it.
func (f Floors) Raise(app, version string) (Floors, error) {
	next := maps.Clone(f)
	if next == nil {
		next = Floors{}
	}
	next[app] = version
	if err := next.Check(); err != nil {
		return nil, err
	}
	if !f.Raises(app, version) {
		return nil, fmt.Errorf("floor of app %s is %s already: a floor only rises", app, f[app])
	}
	return next, nil
}

// Over gives for each app the higher floor of two sets.
func (f Floors) Over(other Floors) Floors {
	out := maps.Clone(f)
	if out == nil {
		out = Floors{}
	}
	for app, version := range other {
		if out.Raises(app, version) {
			out[app] = version
		}
	}
	return out
}

// Raises tells whether a floor would be higher than the one that an app has.
func (f Floors) Raises(app, version string) bool {
	have, ok := f[app]
	return !ok || compare(version, have) > 0
}

// Apply writes the floors into a root.
func (f Floors) Apply(root *metadata.RootType) {
	if root.UnrecognizedFields == nil {
		root.UnrecognizedFields = map[string]any{}
	}
	root.UnrecognizedFields[FloorsField] = f.field()
}

// Below tells whether a version of an app may not be offered. One that cannot be read is below every floor.
func (f Floors) Below(app, version string) bool {
	floor, ok := f[app]
	return ok && Below(version, floor)
}

// Below tells whether a version is below a floor, by precedence (semver.org, section 11). Whatever cannot be read counts against
// the version: one that is no semantic version is below every floor, and every version is below a floor that is none.
func Below(version, floor string) bool {
	if _, err := semver.StrictNewVersion(floor); err != nil {
		return true
	}
	return compare(version, floor) < 0
}

// compare orders versions by precedence (semver.org, section 11). One that cannot be read comes before all.
func compare(a, b string) int {
	left, err := semver.StrictNewVersion(a)
	if err != nil {
		return -1
	}
	right, err := semver.StrictNewVersion(b)
	if err != nil {
		return 1
	}
	return left.Compare(right)
}

// CheckFloors is an error unless a root keeps or raises every floor of the one before.
func CheckFloors(before, after *metadata.RootType) error {
	old, err := FloorsOf(before)
	if err != nil {
		return err
	}
	now, err := FloorsOf(after)
	if err != nil {
		return err
	}
	for _, app := range slices.Sorted(maps.Keys(old)) {
		have, ok := now[app]
		switch {
		case !ok:
			return fmt.Errorf("root version %d drops the floor %s of app %s: a floor only rises", after.Version, old[app], app)
		case compare(have, old[app]) < 0:
			return fmt.Errorf("root version %d lowers the floor of app %s from %s to %s: a floor only rises", after.Version, app, old[app], have)
		}
	}
	return nil
}
