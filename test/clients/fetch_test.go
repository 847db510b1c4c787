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
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// npmTimeout bounds one call of npm.
const npmTimeout = 2 * time.Minute

// errOutOfReach says that a package could not be had, which is nobody's fault here.
var errOutOfReach = errors.New("out of reach")

// pkg is a package of the npm registry, pinned by version and content.
type pkg struct {
	name, version string
	integrity     string // of the tarball, as npm writes it
	dependencies  bool   // it does not run without those that it names

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
		name: "@capgo/electron-updater", version: "0.0.6", dependencies: true,
		integrity: "sha512-Hs3aeOekkT7XrQFpIyzWa4xl8DmvHB9z9s7O12eBn0+JKotIZiRfC9uN86T5Wo8mSRbOqSBKvG1eH1Wyfj2BSQ==",
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
	dir := filepath.Join(cache, strings.ReplaceAll(p.name, "/", "+")+"@"+p.version)
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
	if err := p.unpack(ctx, scratch); err != nil {
		return "", fmt.Errorf("fetch %s@%s: %w", p.name, p.version, err)
	}
	err = os.Rename(filepath.Join(scratch, "package"), dir)
	if _, there := os.Stat(dir); there == nil { // also when another process was faster
		return dir, nil
	}
	return "", err
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
	if p.dependencies {
		_, err = npm(ctx, filepath.Join(scratch, "package"), "install", "--omit=dev", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund")
	}
	return err
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
	if err != nil {
		return nil, fmt.Errorf("npm %s: %w (%w): %s", args[0], errOutOfReach, err, complaint(said.String()))
	}
	return out, nil
}

// complaint is the first line in which npm tells of an error.
func complaint(log string) string {
	for line := range strings.Lines(log) {
		if _, what, ok := strings.Cut(line, "npm error "); ok {
			return strings.TrimSpace(what)
		}
	}
	return "it does not say why"
}
