// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clients runs Capgo clients that nobody here wrote against a real gateway: the command line tool, the updater for
// Electron and the Android plugin's own cryptography. They are fetched from npm when the tests run, at pinned versions whose
// content is pinned too, and are kept outside of the tree.
package clients

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// npmTimeout bounds one call of npm.
const npmTimeout = 2 * time.Minute

// errOutOfReach says that a package could not be had, which is nobody's fault here.
var errOutOfReach = errors.New("out of reach")

// pkg is a package of the npm registry, pinned by version and content. It has one of integrity and lock.
type pkg struct {
	name, version string
	integrity     string // of the tarball, as npm writes it
	lock          string // folder with a package-lock.json, which pins the package and all that it does not run without

	once sync.Once
	dir  string
	err  error
}

var (
	cliPackage = &pkg{
		name: "@capgo/cli", version: "8.68.1",
		integrity: "sha512-/Pw1i6rIrzNeu3ptk+jVr9JxLqhZawMj51b0i3B0MWkVjTJNAq2t+rY+nDzAgH3n2zz+3dGqY62EZVfQK1M07g==",
	}
	electronPackage = &pkg{
		name: "@capgo/electron-updater", version: "0.0.6", lock: "testdata/electron",
	}
	// The tag latest of the registry names an older publication: never follow it.
	pluginPackage = &pkg{
		name: "@capgo/capacitor-updater", version: "8.51.23",
		integrity: "sha512-1vC/msh6eg/Wa7nYa7u1wMUQoxuQ9ZZk+bT0pewkrfFpyvDWJFtASL1tFVewLrI4n2gQM/ctZD5QCh7XXMOWnw==",
	}
)

// folder gives the folder of the unpacked package, and skips the test when programs are missing or npm is out of reach.
func (p *pkg) folder(t *testing.T, programs ...string) string {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s@%s did not run: %s is not installed", p.name, p.version, name)
		}
	}
	p.once.Do(func() { p.dir, p.err = p.fetch(t.Context()) })
	if errors.Is(p.err, errOutOfReach) {
		t.Skipf("%s@%s did not run: %v", p.name, p.version, p.err)
	}
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.dir
}

// fetch takes the package from the cache, or fills the cache first.
func (p *pkg) fetch(ctx context.Context) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache := filepath.Join(cmp.Or(os.Getenv("WINDLASS_CACHE"), filepath.Join(base, "windlass")), "clients") // as hack/bin.sh
	pin, err := p.pin()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, strings.ReplaceAll(p.name, "/", "+")+"@"+p.version+"-"+sha256Hex(pin)[:12])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(cache, ".fetch-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(scratch) }() // what is left of it
	get := p.unpack
	if p.lock != "" {
		get = p.install
	}
	if err := get(ctx, scratch); err != nil {
		return "", fmt.Errorf("fetch %s@%s: %w", p.name, p.version, err)
	}
	err = os.Rename(filepath.Join(scratch, "package"), dir)
	if _, there := os.Stat(dir); there == nil { // also when another process was faster
		return dir, nil
	}
	return "", err
}

// pin is what the package was held against: what another pin let in stays in the cache under another name.
func (p *pkg) pin() ([]byte, error) {
	if p.lock == "" {
		return []byte(p.integrity), nil
	}
	return os.ReadFile(filepath.Join(p.lock, "package-lock.json"))
}

// install fetches what the lock file pins, and nothing else; npm holds each package against its integrity.
func (p *pkg) install(ctx context.Context, scratch string) error {
	if err := os.CopyFS(filepath.Join(scratch, "package"), os.DirFS(p.lock)); err != nil {
		return err
	}
	_, err := npm(ctx, filepath.Join(scratch, "package"), "ci", "--omit=dev", "--omit=optional", "--legacy-peer-deps", "--ignore-scripts",
		"--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
	return err
}

// unpack fetches the tarball, holds it against the pin, and unpacks it.
func (p *pkg) unpack(ctx context.Context, scratch string) error {
	out, err := npm(ctx, scratch, "pack", "--json", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", p.name+"@"+p.version)
	if err != nil {
		return err
	}
	var packed []struct{ Integrity, Filename string }
	if err := json.Unmarshal(out, &packed); err != nil || len(packed) != 1 {
		return fmt.Errorf("npm pack printed %.300q, want one package (%w)", out, err)
	}
	if packed[0].Integrity != p.integrity {
		return fmt.Errorf("the registry's package is %s, want %s: do not run it", packed[0].Integrity, p.integrity)
	}
	untar := exec.CommandContext(ctx, "tar", "-xzf", packed[0].Filename)
	untar.Dir = scratch
	if out, err := untar.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack: %w: %s", err, out)
	}
	return nil
}

// npm runs npm in a folder and gives what it printed.
func npm(ctx context.Context, dir string, args ...string) ([]byte, error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return nil, fmt.Errorf("npm is not installed: %w", errOutOfReach)
	}
	ctx, cancel := context.WithTimeout(ctx, npmTimeout)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "npm", args...)
	cmd.Dir, cmd.Stderr = dir, &said
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	switch code := complaint(said.String()); {
	case err == nil:
		return out, nil
	case ctx.Err() != nil || away.MatchString(code):
		return nil, fmt.Errorf("npm %s: %w (%w): %s", args[0], errOutOfReach, err, code)
	default:
		return nil, fmt.Errorf("npm %s: %w: %s", args[0], err, said.String())
	}
}

// away are the codes of errors that are of the network, of a proxy or of a registry that is in trouble. That a version which is pinned
// is gone (E404, ETARGET), or has another content (EINTEGRITY), is none of them.
var away = regexp.MustCompile(`^(ENOTFOUND|ECONN(REFUSED|RESET|ABORTED)|E(HOST|NET)UNREACH|E(SOCKET)?TIMEDOUT|ERR_SOCKET_TIMEOUT|EAI_(AGAIN|FAIL)|ENOTCACHED|E4(03|07|29)|E5\d\d)$`)

// complaint is the code that npm gives an error; empty: none.
func complaint(log string) string {
	for line := range strings.Lines(log) {
		if _, code, ok := strings.Cut(line, "npm error code "); ok {
			return strings.TrimSpace(code)
		}
	}
	return ""
}

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
		_, err := npm(t.Context(), t.TempDir(), "pack", "--registry="+registry.URL, "--cache="+t.TempDir(), "--fetch-retries=0", cliPackage.name+"@"+cliPackage.version)
		if err == nil || errors.Is(err, errOutOfReach) != skipped {
			t.Errorf("registry that answers %d: got %v, skipped %t", status, err, skipped)
		}
	}
	_, err := npm(t.Context(), t.TempDir(), "pack", "--registry=http://127.0.0.1:1", "--cache="+t.TempDir(), "--fetch-retries=0", cliPackage.name+"@"+cliPackage.version)
	if !errors.Is(err, errOutOfReach) {
		t.Errorf("no registry: got %v", err)
	}
}
