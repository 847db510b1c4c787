// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package npm fetches packages from npm for tests: when the tests run, at pinned versions whose content is pinned too, and into
// a cache outside of the tree. A test skips when npm is missing or out of reach.
package npm

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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

// ErrOutOfReach says that a package could not be had, which is nobody's fault here.
var ErrOutOfReach = errors.New("out of reach")

// Package is a package of the npm registry, pinned by version and content. It has one of Integrity and Lock.
type Package struct {
	Name, Version string
	Integrity     string // of the tarball, as npm writes it
	Lock          string // folder with a package-lock.json, which pins the package and all that it does not run without

	once sync.Once
	dir  string
	err  error
}

// Folder gives the folder of the unpacked package, and skips the test when programs are missing or npm is out of reach.
func (p *Package) Folder(t testing.TB, programs ...string) string {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s@%s did not run: %s is not installed", p.Name, p.Version, name)
		}
	}
	p.once.Do(func() { p.dir, p.err = p.fetch(t.Context()) })
	if errors.Is(p.err, ErrOutOfReach) {
		t.Skipf("%s@%s did not run: %v", p.Name, p.Version, p.err)
	}
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.dir
}

// fetch takes the package from the cache, or fills the cache first.
//
//nolint:gosec // the cache is where who runs the tests wants it
func (p *Package) fetch(ctx context.Context) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache := filepath.Join(cmp.Or(os.Getenv("WINDLASS_CACHE"), filepath.Join(base, "windlass")), "npm") // as hack/bin.sh
	pin, err := p.pin()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, strings.ReplaceAll(p.Name, "/", "+")+"@"+p.Version+"-"+digest(pin)[:12])
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
	if p.Lock != "" {
		get = p.install
	}
	if err := get(ctx, scratch); err != nil {
		return "", fmt.Errorf("fetch %s@%s: %w", p.Name, p.Version, err)
	}
	err = os.Rename(filepath.Join(scratch, "package"), dir)
	if _, there := os.Stat(dir); there == nil { // also when another process was faster
		return dir, nil
	}
	return "", err
}

// pin is what the package was held against: what another pin let in stays in the cache under another name.
func (p *Package) pin() ([]byte, error) {
	if p.Lock == "" {
		return []byte(p.Integrity), nil
	}
	return os.ReadFile(filepath.Join(p.Lock, "package-lock.json"))
}

// install fetches what the lock file pins, and nothing else; npm holds each package against its integrity.
func (p *Package) install(ctx context.Context, scratch string) error {
	if err := os.CopyFS(filepath.Join(scratch, "package"), os.DirFS(p.Lock)); err != nil {
		return err
	}
	_, err := Run(ctx, filepath.Join(scratch, "package"), "ci", "--omit=dev", "--omit=optional", "--legacy-peer-deps", "--ignore-scripts",
		"--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
	return err
}

// unpack fetches the tarball, holds it against the pin, and unpacks it.
func (p *Package) unpack(ctx context.Context, scratch string) error {
	out, err := Run(ctx, scratch, "pack", "--json", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", p.Name+"@"+p.Version)
	if err != nil {
		return err
	}
	var packed []struct{ Integrity, Filename string }
	if err := json.Unmarshal(out, &packed); err != nil || len(packed) != 1 {
		return fmt.Errorf("npm pack printed %.300q, want one package (%w)", out, err)
	}
	if packed[0].Integrity != p.Integrity {
		return fmt.Errorf("the registry's package is %s, want %s: do not run it", packed[0].Integrity, p.Integrity)
	}
	untar := exec.CommandContext(ctx, "tar", "-xzf", packed[0].Filename)
	untar.Dir = scratch
	if out, err := untar.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack: %w: %s", err, out)
	}
	return nil
}

// Run runs npm in a folder and gives what it printed.
func Run(ctx context.Context, dir string, args ...string) ([]byte, error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return nil, fmt.Errorf("npm is not installed: %w", ErrOutOfReach)
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
		return nil, fmt.Errorf("npm %s: %w (%w): %s", args[0], ErrOutOfReach, err, code)
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

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
