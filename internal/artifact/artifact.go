// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package artifact looks into what authors upload. It tells what an artifact is by its first bytes, and reads zip and tar
// archives in one pass. What two programs could unpack in two ways is refused, so that what was looked at here is what every
// device gets: docs/archives.md has the rules. The package is pure: it reads from an io.Reader only.
package artifact

import (
	"errors"
	"fmt"
)

// ErrInvalid is in the chain of every error that is the artifact's fault. Others come from reading it.
var ErrInvalid = errors.New("invalid archive")

// Facts are what is known of an artifact's content.
type Facts struct {
	MediaType string // such as application/zip
	Ext       string // of the TUF target, without a dot
	Files     *int32 // in the archive, folders not counted; nil when it is none
	Unpacked  int64  // bytes of all files; of what is no archive, its size
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// badEntry is a fault of the entry of that name.
func badEntry(name, format string, args ...any) error {
	return invalid("entry %.200q %w", name, fmt.Errorf(format, args...))
}
