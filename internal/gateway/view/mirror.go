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
	"path"
	"path/filepath"
	"regexp"
	"strconv"
)

// mirror is a folder with the last state that was published, laid out as the bucket is, and with newer metadata below
// trustedPrefix that were verified without the state that they belong to. It is verified again when
// it is read, so that it needs no trust: a tampered one is like none. Files are not synced to disk: after a power failure
// the repository is read anew.
type mirror struct {
	dir *os.Root // no name leads out of it
}

// trustedPrefix is put before the names of yardsticks. Saving a state removes them: it is not older.
const trustedPrefix = "trusted/"

// trusted reads the yardsticks of a mirror by the names that they have in the repository.
type trusted struct{ *mirror }

// Get implements Getter.
func (t trusted) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	return t.mirror.Get(ctx, trustedPrefix+name, limit)
}

// openMirror gives the mirror of the repository that a pinned root names. Another root has another folder.
func openMirror(cacheDir string, root []byte) (*mirror, error) {
	sum := sha256.Sum256(root)
	name := filepath.Join(cacheDir, hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(name, 0o700); err != nil {
		return nil, fmt.Errorf("make cache folder: %w", err)
	}
	dir, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open cache folder: %w", err)
	}
	return &mirror{dir: dir}, nil
}

// Get implements Getter.
func (m *mirror) Get(_ context.Context, name string, limit int64) ([]byte, error) {
	f, err := m.dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return raw, err
}

var rolePath = regexp.MustCompile(`^([0-9]{1,18})\.(.+)\.json$`)

// roles lists the versions of roles that the mirror has: of each the highest.
func (m *mirror) roles() map[string]int64 {
	out := map[string]int64{}
	files, _ := fs.ReadDir(m.dir.FS(), "metadata") // what cannot be listed is not there
	for _, f := range files {
		if match := rolePath.FindStringSubmatch(f.Name()); match != nil {
			version, _ := strconv.ParseInt(match[1], 10, 64) // of 18 digits at most
			out[match[2]] = max(out[match[2]], version)
		}
	}
	return out
}

// save replaces the mirrored state: immutable files first, the timestamp last, then what is not needed any more goes. A
// crash between leaves the state before or the one after.
func (m *mirror) save(files map[string][]byte) error {
	for name, raw := range files {
		if name == timestampName {
			continue
		}
		if info, err := m.dir.Lstat(name); err == nil && info.Size() == int64(len(raw)) {
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
	if err := m.dir.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	tmp := name + ".tmp"
	if err := m.dir.WriteFile(tmp, raw, 0o600); err != nil {
		return err
	}
	return m.dir.Rename(tmp, name)
}

// prune removes the files that are not in the state.
func (m *mirror) prune(files map[string][]byte) error {
	var failed []error
	err := fs.WalkDir(m.dir.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if _, ok := files[name]; !ok {
			failed = append(failed, m.dir.Remove(name))
		}
		return nil
	})
	return errors.Join(append(failed, err)...)
}
