// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/auth"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
	"github.com/windlass-dev/windlass/internal/release"
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
	noRoot, token, empty := file("root.json", "{}"), file("token", "short"), file("empty", "\n")
	const good = "--root=x --metadata-url=http://h "
	complete := "--root=" + noRoot + " --metadata-url=http://h --listen=127.0.0.1:0 --internal-listen=127.0.0.1:0 "
	for _, tc := range []struct{ want, args string }{
		{"--root is required", "--metadata-url=http://127.0.0.1:1"},
		{"give either --metadata-url or --s3-endpoint", "--root=x"},
		{"give either --metadata-url", good + "--s3-endpoint=http://h"},
		{"S3 bucket: expected a name", "--root=x --s3-endpoint=http://h"},
		{"metadata URL: expected an http", "--root=x --metadata-url=h"},
		{"expected flags only", good + "serve"},
		{"--poll-interval: expected at least 10ms", good + "--poll-interval=1ms"},
		{"--root: open", "--root=" + dir + "/none --metadata-url=http://h"},
		{"expected TUF root metadata", complete},
		{"--counts-token-file: token file", complete + "--counts-token-file=" + token},
		{"either --ledger or --ledger-dsn-file", good + "--ledger=l --ledger-dsn-file=d"},
		{"--ledger-dsn-file needs --device-key-file", good + "--ledger-dsn-file=d"},
		{"--ledger-dsn-file: open", complete + "--device-key-file=k --ledger-dsn-file=" + dir + "/none"},
		{"expected the URL of a database in " + empty + ", got an empty file", complete + "--device-key-file=k --ledger-dsn-file=" + empty},
		{"--ledger-retention: expected at least 24h0m0s, got 1h0m0s", good + "--ledger-retention=1h"},
		{"--ledger-wait: expected 0 or more, got -1s", good + "--ledger-wait=-1s"},
		{"--ready-time: expected at least 1s, got 1ms", good + "--ready-time=1ms"},
		{"--network-votes-minimum: expected at least 1, got 0", good + "--network-votes-minimum=0"},
		{"--network-votes-share: expected more than 0 and at most 1, got 5", good + "--network-votes-share=5"},
		{"trusted proxies: expected networks such as 10.0.0.0/8, got \"here\"", good + "--trusted-proxies=here"},
		{"trusted proxies: expected the networks of the proxies", good + "--trusted-proxies=0.0.0.0/0"},
		{"--region-header needs --trusted-proxies", good + "--region-header=CF-IPCountry"},
		{"--checks-per-second: expected 0 or more, got -1", good + "--checks-per-second=-1"},
		{"--reports-burst: expected at least 1, got 0", good + "--reports-burst=0"},
		{"expected at least 1, 0 and 0, got 65536, -1 and 512", good + "--max-in-flight=-1"},
		{"expected at least 1, 0 and 0, got 65536, 1024 and -1", good + "--max-downloads=-1"},
		{"--tls-cert and --tls-key: expected both or none", good + "--tls-cert=c"},
		{"--client-ca needs --tls-cert", good + "--client-ca=c --device-auth=required"},
		{"--jwks-url: expected all or none", good + "--jwks-url=https://h/keys --device-auth=optional"},
		{"--device-auth=required needs --jwks-url", good + "--device-auth=required"},
		{"not looked at with --device-auth=off", good + "--tls-cert=c --tls-key=k --client-ca=a"},
		{"expected off, optional or required, got \"perhaps\"", good + "--device-auth=perhaps"},
	} {
		if err := run(strings.Fields(tc.args)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.args, err, tc.want)
		}
	}
}

// A gateway whose port is taken leaves no trace in the ledger: the next one would count it as killed.
func TestPortIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	dir := t.TempDir()
	root := filepath.Join(dir, "root.json")
	if err := os.WriteFile(root, viewtest.New(t).Root(), 0o600); err != nil {
		t.Fatal(err)
	}
	free := map[string]string{"--listen": "127.0.0.1:0", "--internal-listen": "127.0.0.1:0"}
	for name := range free {
		args := []string{"--root", root, "--metadata-url", "http://127.0.0.1:1", "--ledger", filepath.Join(dir, ledgerFile)}
		for flag, address := range free {
			if flag == name {
				address = taken.Addr().String()
			}
			args = append(args, flag, address)
		}
		if err := run(args); err == nil || !strings.Contains(err.Error(), name+": listen") {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, ledgerFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the ledger was opened: %v", name, err)
		}
	}
}

// Without limits is what zero says, and the ledger is in the cache folder.
func TestFlags(t *testing.T) {
	t.Parallel()
	o, err := parse(strings.Fields("--root=x --metadata-url=http://h --cache-dir=c --checks-per-second=0 --reports-per-second=2.5 --reports-burst=7 " +
		"--device-auth=optional --jwt-issuer=i --jwt-audience=a --jwks-url=https://h/keys --trusted-proxies=10.0.0.0/8,fd00::1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.ledgerPlace(); err != nil || o.server.Ledger.Path != filepath.Join("c", "ledger.db") {
		t.Errorf("ledger: %v, %q", err, o.server.Ledger.Path)
	}
	e := o.server.Edge
	if (e.Limits.Checks != limit.Budget{}) || (e.Limits.Reports != limit.Budget{PerSecond: 2.5, Burst: 7}) {
		t.Errorf("limits: %+v", e.Limits)
	}
	if e.Auth.Mode != auth.Optional || e.Auth.JWT == nil || e.Auth.JWT.Issuer != "i" || e.Auth.Certificates != nil || len(e.Proxies.Trusted) != 2 {
		t.Errorf("edge: %+v", e)
	}
}

// program is a running gateway.
type program struct {
	*testing.T
	cmd       *exec.Cmd
	lines     *bufio.Scanner    // of its log
	addresses map[string]string // of its listeners
}

// startProgram builds the program and starts it over a repository.
func startProgram(t *testing.T, repo *viewtest.Repo, args ...string) *program {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "gateway")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	bucket := httptest.NewServer(repo)
	t.Cleanup(bucket.Close)
	root := filepath.Join(dir, "root.json")
	if err := os.WriteFile(root, repo.Root(), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &program{T: t, addresses: map[string]string{}}
	p.cmd = exec.CommandContext(t.Context(), binary, append([]string{
		"--root", root, "--metadata-url", bucket.URL, "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--drain-delay", "0",
	}, args...)...)
	log, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(log)
	for len(p.addresses) < 2 && p.lines.Scan() {
		var line struct{ Msg, Listener, Address string }
		if err := json.Unmarshal(p.lines.Bytes(), &line); err != nil {
			t.Fatalf("the log is not JSON: %s", p.lines.Text())
		}
		if line.Msg == "Listening" {
			p.addresses[line.Listener] = line.Address
		}
	}
	for _, address := range p.addresses {
		p.eventually("http://"+address+"/readyz", func(code int, _ string) bool { return code == http.StatusOK })
	}
	return p
}

// eventually asks until the answer is as wanted.
func (p *program) eventually(url string, wanted func(code int, body string) bool) {
	p.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		res, err := http.Get(url)
		if err == nil {
			raw, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if wanted(res.StatusCode, string(raw)) {
				return
			}
		}
		if time.Now().After(deadline) {
			p.Fatalf("%s: never as wanted, last error %v", url, err)
		}
	}
}

// terminate sends SIGTERM and waits for the end.
func (p *program) terminate() {
	p.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.Fatal(err)
	}
	for p.lines.Scan() { // until it ends
		continue
	}
	if err := p.cmd.Wait(); err != nil || len(p.addresses) != 2 {
		p.Errorf("ended with %v, listeners %v", err, p.addresses)
	}
}

// The program serves a repository, and what devices told it before SIGTERM is in the ledger when it has ended.
func TestProgram(t *testing.T) {
	t.Parallel()
	repo := viewtest.New(t)
	digest := release.DigestPrefix + strings.Repeat("a", 64)
	repo.Publish(&release.Document{
		Schema: release.Schema, App: "shop", Channel: "production", Revision: 1, Serving: release.Active,
		Stable: &release.Bundle{Name: "s", Version: "1.1.0", Digest: digest, Path: release.BundleTarget("shop", "1.1.0", "zip")},
	})
	cache := filepath.Join(t.TempDir(), "cache")
	p := startProgram(t, repo, "--cache-dir", cache, "--network-votes-share", "1")
	const devices = 100
	for i := range devices {
		report := fmt.Sprintf(`{"app":"shop","channel":"production","deviceID":"d%d","digest":%q,"outcome":"confirmed"}`, i, digest)
		res, err := http.Post("http://"+p.addresses["public"]+"/v1/report", "application/json", strings.NewReader(report))
		if err != nil || res.StatusCode != http.StatusAccepted {
			t.Fatalf("report: %v %v", res, err)
		}
		_ = res.Body.Close()
	}
	p.terminate()

	l, err := ledger.Open(t.Context(), ledger.Config{Path: filepath.Join(cache, ledgerFile)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got, err := l.Counts(t.Context(), "shop", "production")
	if err != nil || len(got.Rows) != 1 || got.Rows[0].Confirmed != devices {
		t.Errorf("counts %+v, %v; want %d confirmed", got.Rows, err, devices)
	}
}

// The manual has every flag, and no other.
func TestManualNamesTheFlags(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, m := range regexp.MustCompile("`--([a-z0-9-]+)`").FindAllStringSubmatch(string(raw), -1) {
		written[m[1]] = true
	}
	(&options{}).flags().VisitAll(func(f *flag.Flag) {
		if !written[f.Name] {
			t.Errorf("docs/gateway.md does not name --%s", f.Name)
		}
		delete(written, f.Name)
	})
	delete(written, "gateway-url") // of the manager
	for name := range written {
		t.Errorf("docs/gateway.md names --%s, which there is not", name)
	}
}
