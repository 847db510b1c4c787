// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
)

// What cannot be used is refused at the start, in words that say what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		l, stop := open(t, cfg)
		if cfg.DSN == "" && cfg.Path == "" {
			return
		}
		flush(t, l)
		stop()
		refused := func(cfg ledger.Config, words ...string) {
			t.Helper()
			l, err := ledger.Open(t.Context(), cfg)
			if err == nil {
				_ = l.Close()
				t.Fatalf("opened, want an error with %q", words)
			}
			for _, w := range words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got %v, want %q", err, w)
				}
			}
		}
		other := cfg
		other.Key = []byte(strings.Repeat("k", 32))
		name := "ledger: PostgreSQL: "
		if cfg.Path != "" {
			name = "ledger: database " + cfg.Path + ": "
		}
		refused(other, name, "fingerprint", "give the old key")
		other.Key = []byte("short")
		refused(other, "expected 32 bytes or more, got 5")
		cfg.Key = key
		l, err := ledger.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.DB().ExecContext(t.Context(), "INSERT INTO ledger_migrations (version_id, is_applied) VALUES (4711, $1)", true)
		if err := errors.Join(err, l.Close()); err != nil {
			t.Fatal(err)
		}
		refused(cfg, "version 4711", "as new as")
	})
	t.Run("damaged", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "ledger.db")
		if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ledger.Open(t.Context(), ledger.Config{Path: path, Key: key})
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "not a database") {
			t.Errorf("got %v, want an error that names the file and what is wrong", err)
		}
	})
	for name, tc := range map[string]struct {
		cfg  ledger.Config
		word string
	}{
		"no key with a DSN": {ledger.Config{DSN: "postgres://h/x"}, "a key of the pseudonyms is required"},
		"both":              {ledger.Config{DSN: "postgres://h/x", Path: "x", Key: key}, "got both"},
		"negative":          {ledger.Config{QueueSize: -1}, "QueueSize: expected more than 0"},
		"share":             {ledger.Config{NetworkShare: 2}, "NetworkShare"},
		"no folder":         {ledger.Config{Path: "/nowhere/at/all/ledger.db", Key: key}, "/nowhere/at/all"},
		"no key file":       {ledger.Config{KeyFile: "/nowhere/key"}, "/nowhere/key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ledger.Open(t.Context(), tc.cfg); err == nil || !strings.Contains(err.Error(), tc.word) {
				t.Errorf("got %v, want %q", err, tc.word)
			}
		})
	}
}

// A ledger in a file makes its key once, for its user alone, and does not make another one when it is lost.
func TestKeyBesideTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	pseudonym := func() ledger.Pseudonym {
		l, err := ledger.Open(t.Context(), ledger.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // nothing was written
		return l.Pseudonym(app, "d")
	}
	if a, b := pseudonym(), pseudonym(); a != b {
		t.Error("another start made another pseudonym")
	}
	if info, err := os.Stat(path + ".key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v, want mode 0600", info, err)
	}
	if err := os.Remove(path + ".key"); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(t.Context(), ledger.Config{Path: path}); err == nil || !strings.Contains(err.Error(), "put the key back") {
		t.Errorf("without its key: %v", err)
	}
}

// A key file may hold random bytes, the last of which may be white space, or a line.
func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	with := func(name, content string) (ledger.Pseudonym, error) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := ledger.Open(t.Context(), ledger.Config{KeyFile: path})
		if err != nil {
			return ledger.Pseudonym{}, err
		}
		defer l.Close() //nolint:errcheck // nothing was written
		return l.Pseudonym(app, "d"), nil
	}
	random := strings.Repeat("k", 31)
	for _, last := range []string{"\n", " ", "\t", "k"} {
		a, err := with("random", random+last)
		b, err2 := with("line", random+last+"\n")
		if err != nil || err2 != nil || a != b {
			t.Errorf("key with the last byte %q: %v, and with the end of a line: %v, want the same pseudonyms", last, err, err2)
		}
	}
	if _, err := with("short", random); err == nil || !strings.Contains(err.Error(), "openssl rand -hex 32") {
		t.Errorf("31 bytes: %v, want an error that says how to make a key", err)
	}
}
