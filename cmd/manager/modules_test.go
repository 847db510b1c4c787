// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"strings"
	"testing"
)

// What the manager is made of is counted: see docs/adr/0009.
func TestModulesAreWithinTheBudget(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if module := strings.TrimSpace(line); module != "" {
			modules[module] = true
		}
	}
	const most = 145
	if len(modules) < 50 || len(modules) > most {
		t.Errorf("the manager is made of %d modules, at most %d are wanted", len(modules), most)
	}
}
