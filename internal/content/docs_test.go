// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// judgedAs says in the manual how a check is judged.
var judgedAs = map[Judgement]string{
	AnyFinding: "any", NewValue: "new", Increase: "more", Removed: "removed", Growth: "growth", Baseline: "baseline", Unknown: "unknown",
}

// The manual's table is that of the checks, line by line.
func TestManual(t *testing.T) {
	raw, err := os.ReadFile("../../docs/content-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	var rows []string
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "| `") && strings.Count(line, "|") == 7 {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	var want []string
	for _, c := range Checks() {
		finds := strings.ReplaceAll(c.Finds, "<script src>", "`<script src>`")
		finds = strings.ReplaceAll(finds, "<base>", "`<base>`")
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s |", c.ID, c.Severity, judgedAs[c.Judged], finds, c.Reason, c.Source))
	}
	if got, want := strings.Join(rows, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("the table of docs/content-rules.md is\n%s\n\nexpected, as in checks.go\n%s", got, want)
	}
	for _, n := range []string{
		fmt.Sprintf("first %d MiB", maxText>>20), fmt.Sprintf("%d GiB", maxNested>>30), fmt.Sprintf("depth of %d", maxDepth), fmt.Sprintf("ruleset %d", Ruleset),
		PredicateType, nativeFile, fmt.Sprintf("%d values", MaxValues),
	} {
		if !strings.Contains(page, n) {
			t.Errorf("docs/content-rules.md does not say %q", n)
		}
	}
}
