// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// mirror is a folder with the last state that was verified completely, laid out as the bucket is. It is verified again when
// it is read, so that it needs no trust: a tampered one is like none. Files are not synced to disk: after a power failure
// the repository is read anew.
type mirror struct {
	dir string
}

// openMirror gives the mirror of the repository that a pinned root names. Another root has another folder.
func openMirror(cacheDir string, root []byte) (*mirror, error) {
	sum := sha256.Sum256(root)
	dir := filepath.Join(cacheDir, hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make cache folder: %w", err)
	}
	return &mirror{dir: dir}, nil
}

// Get implements Getter.
func (m *mirror) Get(_ context.Context, name string, limit int64) ([]byte, error) {
	f, err := os.Open(m.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return raw, err
}

func (m *mirror) path(name string) string { return filepath.Join(m.dir, filepath.FromSlash(name)) }

// save replaces the mirrored state: immutable files first, the timestamp last, then what is not needed any more goes. A
// crash between leaves the state before or the one after.
func (m *mirror) save(files map[string][]byte) error {
	for name, raw := range files {
		if name == timestampName {
			continue
		}
		if info, err := os.Lstat(m.path(name)); err == nil && info.Size() == int64(len(raw)) {
			continue // names are versions or digests: the same name is the same content
		}
		if err := m.write(name, raw); err != nil {
			return err
		}
	}
	if err := m.write(timestampName, files[timestampName]); err != nil {
		return err
	}
	return m.prune(files)
}

func (m *mirror) write(name string, raw []byte) error {
	path := m.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// prune removes the files that are not in the state.
func (m *mirror) prune(files map[string][]byte) error {
	var failed []error
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(m.dir, path)
		if err != nil {
			return err
		}
		if _, ok := files[filepath.ToSlash(name)]; !ok {
			failed = append(failed, os.Remove(path))
		}
		return nil
	})
	return errors.Join(append(failed, err)...)
}
