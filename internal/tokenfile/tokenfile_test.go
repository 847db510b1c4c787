// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package tokenfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/tokenfile"
)

func TestRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	for content, want := range map[string]string{"": "at least 16 characters, got 0", "short\n": "at least 16 characters, got 5", "a-token-of-16-or \n": ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := tokenfile.Read(file)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && string(got) != strings.TrimSpace(content) {
			t.Errorf("%q: got %q, %v", content, got, err)
		}
	}
	if _, err := tokenfile.Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a token from nowhere")
	}
}
