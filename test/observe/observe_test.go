// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package observe holds what tells people how Windlass does to what it is: metrics of both programs and of kube-state-metrics, alerts
// with their runbooks, the dashboard, and notifications.
package observe

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

func TestMain(m *testing.M) { testkit.Main(m) }

// path of a file of the project.
func path(tb testing.TB, parts ...string) string {
	tb.Helper()
	root, err := devcluster.Root()
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(append([]string{root}, parts...)...)
}

func read(tb testing.TB, parts ...string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(path(tb, parts...))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func readYAML(tb testing.TB, out any, parts ...string) {
	tb.Helper()
	if err := yaml.Unmarshal(read(tb, parts...), out); err != nil {
		tb.Fatalf("%s: %v", filepath.Join(parts...), err)
	}
}
