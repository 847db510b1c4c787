// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
)

// foreign gives a file of a Go module, which go mod download checks against the public log of checksums; empty when the module is
// out of reach.
func foreign(t *testing.T, module, version, file string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir = t.TempDir() // outside of any module
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	var got struct{ Dir string }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("go mod download %s: %v", module, err)
	}
	return filepath.Join(got.Dir, file)
}
