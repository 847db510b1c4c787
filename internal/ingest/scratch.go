// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"fmt"
	"os"
	"path/filepath"
)

// scratchPattern names scratch files for the moment in which they have a name.
const scratchPattern = "artifact-*"

// Scratch is a folder for artifacts that are not verified yet. Its files lose their name as soon as they are made, so that
// the system takes the space back when they are closed, also when the process is killed.
type Scratch struct{ dir string }

// NewScratch makes the folder, and removes what a process left that was killed in the moment between making a file and
// taking its name away.
func NewScratch(dir string) (*Scratch, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the scratch folder: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, scratchPattern))
	if err != nil {
		return nil, fmt.Errorf("look for old scratch files: %w", err)
	}
	for _, name := range left {
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("remove an old scratch file: %w", err)
		}
	}
	return &Scratch{dir: dir}, nil
}

// file makes an empty file that is gone when it is closed.
func (s *Scratch) file() (*os.File, error) {
	f, err := os.CreateTemp(s.dir, scratchPattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	return f, nil
}
