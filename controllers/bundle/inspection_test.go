// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"testing"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/ingest"
)

// What people read in Ready names what was found, and nothing else.
func TestNativeNote(t *testing.T) {
	eval := content.Finding{Check: content.CheckEval, Count: 1, Values: []string{"main.js"}}
	elf := content.Finding{Check: content.CheckNativeCode, Count: 2, Values: []string{"ELF: a.so", "ELF: b.so"}}
	apk := content.Finding{Check: content.CheckAppPackage, Count: 1, Values: []string{"apk: a.apk"}}
	closed := content.Finding{Check: content.CheckNestedArchive, Count: 1}
	for want, findings := range map[string][]content.Finding{
		"":                                       {eval},
		"; found in it: native-code (ELF: a.so)": {eval, elf},
		"; found in it: app-package (apk: a.apk)":                          {apk},
		"; found in it: nested-archive":                                    {closed, eval},
		"; found in it: app-package (apk: a.apk), native-code (ELF: a.so)": {apk, elf},
	} {
		b := &otav1alpha1.Bundle{}
		b.Status.Inspection = inspection(&ingest.Inspection{Report: content.Report{Ruleset: 1, Findings: findings}}, nil, time.Time{})
		if got := (&scope{bundle: b}).nativeNote(); got != want {
			t.Errorf("%+v: note is %q, want %q", findings, got, want)
		}
	}
	if got := (&scope{bundle: &otav1alpha1.Bundle{}}).nativeNote(); got != "" {
		t.Errorf("nobody looked: note is %q", got)
	}
}
