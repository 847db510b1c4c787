// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"encoding/json"
	"testing"

	"github.com/windlass-dev/windlass/internal/content"
)

// What is taken for a report can be written and read again, and keeps to what the API can hold.
func FuzzDecodeReport(f *testing.F) {
	for _, seed := range []string{
		`{"ruleset":1,"files":2,"unpacked":3}`,
		`{"ruleset":1,"files":2,"unpacked":3,"findings":[{"check":"native-code","count":1,"values":["ELF: a"],"more":true}],"nativeDependencies":{"packages":{"a":"^1"}}}`,
		`{"ruleset":1,"files":0,"unpacked":0} {}`, `{"ruleset":2}`, `null`, `[]`, `{"ruleset":1,"RULESET":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, predicate []byte) {
		report, err := decodeReport(predicate)
		if err != nil {
			return
		}
		if report.Ruleset < 1 || report.Ruleset > content.Ruleset || len(report.Findings) > maxFindings || report.Native != nil && len(report.Native.Packages) > maxPackages {
			t.Fatalf("%s was taken: %+v", predicate, report)
		}
		text, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeReport(text); err != nil || !same(report, again) {
			t.Fatalf("%s was taken, and %s not: %v", predicate, text, err)
		}
	})
}
