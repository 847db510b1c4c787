// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package compat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/compat"
)

func TestRange(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text, version string
		want          bool
	}{
		{"", "0.0.1", true},
		{"", "1.0.0-rc.1", true},
		{">=4.2.0 <5.0.0", "4.2.0", true},
		{">=4.2.0 <5.0.0", "4.99.1", true},
		{">=4.2.0 <5.0.0", "5.0.0", false},
		{">=4.2.0 <5.0.0", "4.1.9", false},
		{">=4.2.0, <5.0.0", "4.2.0", true},
		{">=4.2.0,<5.0.0", "5.0.0", false},
		{"4.2.x", "4.2.7", true},
		{"^4.2.0", "5.0.0", false},
		{"~4.2.1", "4.3.0", false},
		{">=4.2.0 <4.3.0 || >=5.0.0", "4.5.0", false},
		{">=4.2.0 <4.3.0 || >=5.0.0", "6.0.0", true},
		{"4.2.0 - 4.4.0", "4.4.0", true},
		// A pre-release is only in a range that names one.
		{">=4.2.0 <5.0.0", "5.0.0-beta.1", false},
		{">=4.2.0 <5.0.0", "4.3.0-beta.1", false},
		{">=4.2.0-0 <5.0.0", "4.3.0-beta.1", true},
		{">=4.2", "4.2", true},
	} {
		r, err := compat.ParseRange(tc.text)
		if err != nil {
			t.Errorf("ParseRange(%q): %v", tc.text, err)
			continue
		}
		v, err := compat.ParseVersion(tc.version)
		if err != nil {
			t.Errorf("ParseVersion(%q): %v", tc.version, err)
			continue
		}
		if got := r.Contains(v); got != tc.want {
			t.Errorf("range %q contains %q = %v, want %v", tc.text, tc.version, got, tc.want)
		}
	}
}

func TestRefusedText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"four", ">=4.2.0 <", ">=1.0.0 &&", strings.Repeat(">=1.0.0 ", 100)} {
		if _, err := compat.ParseRange(text); err == nil || !strings.Contains(err.Error(), ">=4.2.0 <5.0.0") {
			t.Errorf("ParseRange(%q) = %v, want an error that shows a range", text, err)
		}
	}
	for _, text := range []string{"", "four", "1.2.3.4", "1..2", strings.Repeat("1", 300), "4.2.0 (17)"} {
		if v, err := compat.ParseVersion(text); err == nil {
			t.Errorf("ParseVersion(%q) = %v, want an error", text, v)
		}
	}
}

func TestLenientVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"4.2": "4.2.0", "v4.2.1": "4.2.1", "4": "4.0.0", "01.2.3": "1.2.3", "4.2.0-rc.1+7": "4.2.0-rc.1+7"} {
		v, err := compat.ParseVersion(text)
		if err != nil || v.String() != want {
			t.Errorf("ParseVersion(%q) = %v, %v, want %s", text, v, err, want)
		}
	}
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	device := compat.Device{Platform: "ios", NativeVersion: semver.MustParse("4.5.0"), RuntimeVersion: "52"}
	for _, tc := range []struct {
		platforms       []string
		native, runtime string
		want            compat.Mismatch
	}{
		{nil, "", "", compat.None},
		{[]string{"android", "ios"}, ">=4.2.0 <5.0.0", "52", compat.None},
		{[]string{"android"}, ">=9", "53", compat.Platform},
		{nil, ">=9", "53", compat.NativeVersion},
		{nil, "", "53", compat.RuntimeVersion},
	} {
		r, err := compat.Compile(tc.platforms, tc.native, tc.runtime)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Check(&device); got != tc.want {
			t.Errorf("%v %q %q: %v, want %v", tc.platforms, tc.native, tc.runtime, got, tc.want)
		}
	}
	if _, err := compat.Compile(nil, "nonsense", ""); err == nil {
		t.Error("Compile took a range that is none")
	}
}

// Spaces and commas mean the same, and a half-open range contains exactly what lies between its ends.
func TestRangeProperties(t *testing.T) {
	t.Parallel()
	version := rapid.Custom(func(t *rapid.T) *semver.Version {
		n := rapid.Uint64Range(0, 5)
		return semver.New(n.Draw(t, "major"), n.Draw(t, "minor"), n.Draw(t, "patch"), "", "")
	})
	rapid.Check(t, func(t *rapid.T) {
		low, high, v := version.Draw(t, "low"), version.Draw(t, "high"), version.Draw(t, "version")
		want := v.Compare(low) >= 0 && v.Compare(high) < 0
		for _, separator := range []string{" ", ",", ", "} {
			r, err := compat.ParseRange(fmt.Sprintf(">=%s%s<%s", low, separator, high))
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Contains(v); got != want {
				t.Fatalf("%s in [%s, %s) = %v, want %v", v, low, high, got, want)
			}
		}
	})
}

// With pre-releases, a range has the versions between its ends in the order of versions, however it is written; and to ask costs nothing.
func TestRangeWithPreReleases(t *testing.T) {
	t.Parallel()
	contains := func(text, version string) bool {
		r, err := compat.ParseRange(text)
		if err != nil {
			t.Fatal(err)
		}
		return r.WithPreReleases().Contains(semver.MustParse(version))
	}
	for _, tc := range []struct {
		text, version string
		want          bool
	}{
		{"", "1.0.0-rc.1", true},
		{"<5.0.0", "5.0.0-beta.1", true},
		{"<5.0.0", "5.0.0", false},
		{">=5.0.0", "5.0.0-beta.1", false},
		{">=4.2.0 <4.3.0 || >=5.0.0", "5.1.0-rc.1", true},
		{">=4.2.0, <4.3.0||=5.0.0", "5.0.0+7", true},
		{"4.2.x", "4.2.7-rc.1", true},
		{">= 4.2.0", "4.2.7-rc.1", true},
		{"5.0.0", "5.0.0", true},
	} {
		if got := contains(tc.text, tc.version); got != tc.want {
			t.Errorf("range %q with pre-releases contains %q = %v, want %v", tc.text, tc.version, got, tc.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.Custom(func(t *rapid.T) string {
			n := rapid.IntRange(0, 2)
			return fmt.Sprintf("%d.%d.%d%s", n.Draw(t, "major"), n.Draw(t, "minor"), n.Draw(t, "patch"), rapid.SampledFrom([]string{"", "", "-a", "-b.1"}).Draw(t, "pre"))
		})
		condition := rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"<", "<=", ">", ">=", "="}).Draw(t, "operator") + version.Draw(t, "bound")
		})
		all := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(condition, 1, 3).Draw(t, "all"), rapid.SampledFrom([]string{" ", ",", ", "}).Draw(t, "and"))
		})
		text := strings.Join(rapid.SliceOfN(all, 1, 2).Draw(t, "any"), rapid.SampledFrom([]string{"||", " || "}).Draw(t, "or"))
		v := version.Draw(t, "version")
		library, err := semver.NewConstraint(text)
		if err != nil {
			t.Fatal(err)
		}
		library.IncludePrerelease = true
		if got, want := contains(text, v), library.Check(semver.MustParse(v)); got != want {
			t.Fatalf("%q contains %s: %v, the library says %v", text, v, got, want)
		}
	})
}

func TestContainsDoesNotAllocate(t *testing.T) {
	plain, err := compat.ParseRange(">=4.2.0 <4.3.0 || =5.0.0")
	if err != nil {
		t.Fatal(err)
	}
	r, out := plain.WithPreReleases(), semver.MustParse("4.3.0")
	if n := testing.AllocsPerRun(100, func() { r.Contains(out) }); n != 0 {
		t.Errorf("%v allocations for a version that is not in the range, want 0", n)
	}
}

// What systems call their versions becomes three numbers that can be compared.
func TestOSVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"17.5.1": "17.5.1", "14": "14.0.0", "Android 14": "14.0.0", "14.1.": "14.1.0", "10.0.22631.3447": "10.0.22631",
		"6.8.0-45-generic": "6.8.0", "22.04": "22.4.0", "4294967295": "4294967295.0.0",
	} {
		if v, err := compat.ParseOSVersion(text); err != nil || v.String() != want || v.Prerelease() != "" {
			t.Errorf("%q is %v, %v; want %s", text, v, err, want)
		}
	}
	for _, text := range []string{"", "rolling", ".", "4294967296", "1.4294967296", "-"} {
		if v, err := compat.ParseOSVersion(text); err == nil || !strings.Contains(err.Error(), "17.5.1") {
			t.Errorf("%q is %v, %v; want an error that shows a version", text, v, err)
		}
	}
}
