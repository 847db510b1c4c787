// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gettingstarted follows docs/getting-started.md word by word, on a real API server and object store, with real kubectl and
// Helm, the real plugin and devices. What would run in pods runs beside, as the same programs, with the arguments, files and rights that
// the installed objects give them. What needs nodes or the internet is listed, and nothing else is left out.
package gettingstarted

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// skipped are the blocks that cannot run here, and why.
var skipped = map[string]string{
	"kind":        "there is no container runtime: test/install tries the images where there is one",
	"argocd":      "it installs Argo CD from the internet: test/gitops runs a real one, from its source",
	"application": "as argocd",
	"clean":       "there is no kind",
}

// TestPage runs all blocks of the page.
func TestPage(t *testing.T) {
	w := newWorld(t)
	page, err := os.ReadFile(filepath.Join(w.root, "docs", "getting-started.md"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := blocks(string(page))
	if err != nil {
		t.Fatal(err)
	}
	met := map[string]bool{}
	for _, b := range all {
		met[b.cluster] = true
		switch instead := w.instead()[b.cluster]; {
		case b.cluster == "":
			w.follow(b)
		case instead != nil:
			t.Logf("line %d: %s: the test does it another way", b.line, b.cluster)
			instead()
		case skipped[b.cluster] != "":
			t.Logf("line %d: %s is skipped: %s", b.line, b.cluster, skipped[b.cluster])
		default:
			t.Fatalf("line %d: nobody knows what to do for cluster=%s", b.line, b.cluster)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(skipped)), slices.Collect(maps.Keys(w.instead()))) {
		if !met[name] {
			t.Errorf("the page has no block cluster=%s", name)
		}
	}
}

// follow runs a block, and holds what it prints against the page.
func (w *world) follow(b block) {
	w.t.Helper()
	got, code := w.shell.run(b.text)
	switch {
	case code != 0:
		w.t.Fatalf("line %d: exit code %d, want 0\n%s\nprinted:\n%s\n%s", b.line, code, b.text, got, w.logs())
	case b.prints != "" && !like(got, b.prints):
		w.t.Errorf("line %d:\n%s\nprinted:\n%s\nthe page has:\n%s", b.line, b.text, got, b.prints)
	default:
		w.t.Logf("line %d:\n%s", b.line, got)
	}
}
