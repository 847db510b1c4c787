// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
)

func TestBadFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	noRoot, token := file("root.json", "{}"), file("token", "short")
	for want, args := range map[string]string{
		"--root is required":                          "--metadata-url=http://127.0.0.1:1",
		"give either --metadata-url or --s3-endpoint": "--root=x",
		"give either --metadata-url":                  "--root=x --metadata-url=http://h --s3-endpoint=http://h",
		"S3 bucket: expected a name":                  "--root=x --s3-endpoint=http://h",
		"metadata URL: expected an http":              "--root=x --metadata-url=h",
		"expected flags only":                         "--root=x --metadata-url=http://h serve",
		"--poll-interval: expected at least 10ms":     "--root=x --metadata-url=http://h --poll-interval=1ms",
		"--max-devices":                               "--root=x --metadata-url=http://h --max-devices=0",
		"--root: open":                                "--root=" + dir + "/none --metadata-url=http://h",
		"expected TUF root metadata":                  "--root=" + noRoot + " --metadata-url=http://h",
		"--counts-token-file: token file":             "--root=" + noRoot + " --metadata-url=http://h --counts-token-file=" + token,
	} {
		if err := run(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
}

// The program serves a repository, and ends well on SIGTERM.
func TestProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "gateway")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	repo := viewtest.New(t)
	bucket := httptest.NewServer(repo)
	t.Cleanup(bucket.Close)
	root := filepath.Join(dir, "root.json")
	if err := os.WriteFile(root, repo.Root(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "--root", root, "--metadata-url", bucket.URL, "--listen", "127.0.0.1:0",
		"--internal-listen", "127.0.0.1:0", "--cache-dir", filepath.Join(dir, "cache"), "--drain-delay", "0")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{}
	lines := bufio.NewScanner(log)
	for len(addresses) < 2 && lines.Scan() {
		var line struct{ Msg, Listener, Address string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("the log is not JSON: %s", lines.Text())
		}
		if line.Msg == "Listening" {
			addresses[line.Listener] = line.Address
		}
	}
	deadline := time.Now().Add(time.Minute)
	for name, address := range addresses {
		for code := 0; code != http.StatusOK; time.Sleep(5 * time.Millisecond) {
			if res, err := http.Get("http://" + address + "/readyz"); err == nil {
				code = res.StatusCode
				res.Body.Close()
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s listener: not ready, last answer %d", name, code)
			}
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // until it ends
		continue
	}
	if err := cmd.Wait(); err != nil || len(addresses) != 2 {
		t.Errorf("ended with %v, listeners %v", err, addresses)
	}
}
