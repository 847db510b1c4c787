// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import "io"

// Limits of what an archive may hold. Zero values mean the defaults.
type Limits struct {
	Entries  int   // files and folders
	Unpacked int64 // bytes of all files
}

// Visit is called for each regular file of an artifact, in its order, with the file's content. An artifact that is no archive
// is one file without a name. What visit leaves unread is read and checked all the same. r is valid during the call only. An
// error of visit ends the scan.
type Visit func(name string, r io.Reader) error

// Scan reads an artifact from its first byte to its last, in one pass and with bounded memory, and refuses what is not
// canonical: see docs/archives.md. visit may be nil. All of r is read also when the archive ends earlier.
func Scan(r io.Reader, limits Limits, visit Visit) (Facts, error) {
	_, _, _ = r, limits, visit
	return Facts{}, invalid("not written yet")
}
