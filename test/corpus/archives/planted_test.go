// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/artifact"
)

// What is taken although it holds structures of another archive, or an unusual name, means the same to all tools.
func TestPlanted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tried, seen, all, accepted := map[string]int{}, map[string]int{}, map[string]Listing{}, 0
	for p := range PlantedArchives(seed) {
		tried[p.Ext]++
		l := Listing{}
		facts, err := artifact.Scan(bytes.NewReader(p.Data), artifact.Limits{}, l.Add)
		if err != nil {
			continue
		}
		if facts.Ext != p.Ext {
			t.Errorf("%s: got an archive of the kind %s, want %s", p.Place, facts.Ext, p.Ext)
		}
		accepted++
		if seen[p.Place]++; seen[p.Place]%16 != 1 && !full() {
			continue
		}
		path := filepath.Join(dir, fmt.Sprintf("%d-%s.%s", len(all), p.Place, p.Ext))
		if err := os.WriteFile(path, p.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		all[path] = l
	}
	t.Logf("%d of %d are accepted, %d of them compared", accepted, tried["zip"]+tried["tar"], len(all))
	wrong := compare(t, all)
	for _, ext := range []string{"zip", "tar"} {
		different := slices.DeleteFunc(slices.Clone(wrong), func(path string) bool { return !strings.HasSuffix(path, "."+ext) })
		fmt.Fprintf(os.Stdout, "TRIED archive-planted-in-%s %d ACCEPTED %d\n", ext, tried[ext], len(different))
	}
}
