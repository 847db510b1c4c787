// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo

import (
	"slices"
	"testing"

	"github.com/windlass-dev/windlass/internal/resolve"
)

// Every reason that comes with None has an answer, and no other has one.
func TestEveryReasonHasAnAnswer(t *testing.T) {
	t.Parallel()
	for reason, with := range resolve.Reasons {
		f, ok := refusals[reason]
		if ok != slices.Contains(with, resolve.None) {
			t.Errorf("%s comes with %v; it has an answer: %t", reason, with, ok)
		}
		if ok && (f.code == "" || f.message == "" || f.kind != upToDate && f.kind != blocked && f.kind != failed) {
			t.Errorf("%s: %+v", reason, f)
		}
	}
	for reason := range refusals {
		if resolve.Reasons[reason] == nil {
			t.Errorf("%s is no reason", reason)
		}
	}
}

func TestPluginVersions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]plugin{
		"8.51.23": {version: version{8, 51, 23}, known: true}, "7.0.30-alpha.1": {version: version{7, 0, 30}, known: true},
		"": {}, "8": {}, "8.51": {}, "8.51.": {}, "8.51.23.4": {version: version{8, 51, 23}}, "a.b.c": {}, "-1.0.0": {}, "8.-1.0": {}, "8.51.99999999999999999999": {},
	} {
		if got := parsePlugin(text, false); got.known != want.known || want.known && got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
}
