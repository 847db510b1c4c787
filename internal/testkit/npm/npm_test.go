// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package npm_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"

	"github.com/windlass-dev/windlass/internal/testkit/npm"
)

// Only what the network does is skipped. What npm says of a registry is asked of npm.
func TestOutOfReach(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not installed")
	}
	for status, skipped := range map[int]bool{http.StatusServiceUnavailable: true, http.StatusForbidden: true, http.StatusNotFound: false, http.StatusOK: false} {
		registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"versions": {}}`)
		}))
		t.Cleanup(registry.Close)
		_, err := npm.Run(t.Context(), t.TempDir(), "pack", "--registry="+registry.URL, "--cache="+t.TempDir(), "--fetch-retries=0", "tuf-js@5.0.1")
		if err == nil || errors.Is(err, npm.ErrOutOfReach) != skipped {
			t.Errorf("registry that answers %d: got %v, skipped %t", status, err, skipped)
		}
	}
	_, err := npm.Run(t.Context(), t.TempDir(), "pack", "--registry=http://127.0.0.1:1", "--cache="+t.TempDir(), "--fetch-retries=0", "tuf-js@5.0.1")
	if !errors.Is(err, npm.ErrOutOfReach) {
		t.Errorf("no registry: got %v", err)
	}
}
