// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package versions_test

import (
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/versions"
)

// What is kept of the version of an operating system is three numbers, whatever a device tells.
func TestSystems(t *testing.T) {
	t.Parallel()
	s := versions.NewSystems()
	for text, want := range map[string]string{
		"17.5.1": "17.5.1", "14": "14.0.0", "14.1": "14.1.0", "Android 14": "14.0.0", "10.0.22631.3447": "10.0.22631",
		"6.8.0-45-generic": "6.8.0", "14.": "14.0.0", "iOS17.2 (21C62)": "17.2.0", "22.04": "22.4.0",
		"": "", "rolling": "", ".": "", "Tahoe": "", "99999999999.1": "", "1.99999999999": "",
		strings.Repeat("1", 33): "", "14\x00": "", "14\n": "", "１４": "", "14 élan": "",
		strings.Repeat(" ", 31) + "9": "9.0.0",
	} {
		for range 2 { // also when it is remembered
			if got := versions.Kept(s.Get(text)); got != want {
				t.Errorf("%q is kept as %q, want %q", text, got, want)
			}
		}
	}
}

// FuzzSystems: what is kept of anything is at most three numbers with dots between them.
func FuzzSystems(f *testing.F) {
	for _, text := range []string{"17.5.1", "Android 14", "6.8.0-45-generic", "", "1.", "\xff1"} {
		f.Add(text)
	}
	s := versions.NewSystems()
	f.Fuzz(func(t *testing.T, text string) {
		kept := versions.Kept(s.Get(text))
		if strings.Trim(kept, "0123456789.") != "" || len(kept) > 32 || kept != "" && strings.Count(kept, ".") != 2 {
			t.Fatalf("%q is kept as %q", text, kept)
		}
		if again := versions.Kept(s.Get(kept)); kept != again {
			t.Fatalf("%q is kept as %q, and that as %q", text, kept, again)
		}
	})
}
