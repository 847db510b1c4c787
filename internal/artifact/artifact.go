// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package artifact looks into what authors upload. It tells what an artifact is by its first bytes, and opens zip archives
// far enough to count their files and to refuse those that would write outside the folder that they are unpacked to.
// Other formats are taken as they are. The package is pure: it reads through io.ReaderAt only.
package artifact

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// MaxEntries is the largest number of entries, files and folders, that an archive may have.
	MaxEntries = 20_000

	// maxDirectory bounds in bytes what is read of an archive's directory. archive/zip keeps the whole of it in memory and
	// does not believe the entry count of the archive, so that a bound on entries alone comes too late. 20 000 entries
	// with names of 300 bytes fit in.
	maxDirectory = 8 << 20
)

// ErrInvalid is in the chain of every error that is the artifact's fault. Others come from reading it.
var ErrInvalid = errors.New("invalid archive")

// Facts are what is known of an artifact's content.
type Facts struct {
	MediaType string // such as application/zip
	Ext       string // of the TUF target, without a dot
	Files     *int32 // in the archive, folders not counted; nil when it is none, or was not opened
	Unpacked  int64  // bytes of all files; of what is no archive, its size
}

// Inspect tells what the artifact of size bytes in r is.
func Inspect(r io.ReaderAt, size int64) (Facts, error) {
	head := make([]byte, min(size, headSize))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return Facts{}, fmt.Errorf("read artifact: %w", err)
	}
	k := kindOf(head)
	facts := Facts{MediaType: k.mediaType, Ext: k.ext}
	if k.ext != zipExt {
		return facts, nil
	}
	files, err := countZip(r, size)
	if err != nil {
		return Facts{}, err
	}
	facts.Files = &files
	return facts, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// countZip opens an archive, checks each entry, and counts its files.
func countZip(r io.ReaderAt, size int64) (int32, error) {
	guard := &guardedReader{r: r, budget: maxDirectory}
	archive, err := zip.NewReader(guard, size)
	switch {
	case guard.err != nil:
		return 0, guard.err
	case errors.Is(err, zip.ErrInsecurePath): // GODEBUG=zipinsecurepath=0; the check below names the entry
	case err != nil:
		return 0, invalid("the zip directory cannot be read: %w", err)
	}
	if len(archive.File) > MaxEntries {
		return 0, invalid("it has more than %d entries", MaxEntries)
	}
	guard.budget = size + int64(len(archive.File))*1024 // from here on one local header an entry
	var files int32
	for _, f := range archive.File {
		if err := checkEntry(f, size); err != nil {
			return 0, cmp.Or(guard.err, err)
		}
		if !f.Mode().IsDir() {
			files++
		}
	}
	return files, nil
}

// checkEntry refuses an entry that would write outside its folder, or whose data is not in the archive.
func checkEntry(f *zip.File, size int64) error {
	if why := unsafeName(f.Name); why != "" {
		return invalid("entry %.200q %s", f.Name, why)
	}
	if mode := f.Mode(); !mode.IsDir() && !mode.IsRegular() {
		return invalid("entry %.200q is a symbolic link or a special file", f.Name)
	}
	offset, err := f.DataOffset()
	if err != nil {
		return invalid("entry %.200q cannot be read: %w", f.Name, err)
	}
	if f.CompressedSize64 > uint64(size) || offset > size-int64(f.CompressedSize64) {
		return invalid("entry %.200q reaches beyond the end of the archive", f.Name)
	}
	return nil
}

// unsafeName tells why a name would escape from the folder that the archive is unpacked to, on any system that devices run.
func unsafeName(name string) string {
	switch {
	case name == "":
		return "has no name"
	case strings.ContainsRune(name, 0):
		return "has a NUL in its name"
	case strings.ContainsRune(name, '\\'):
		return "has a backslash in its name"
	case strings.HasPrefix(name, "/"):
		return "has an absolute path"
	case len(name) > 1 && name[1] == ':':
		return "starts with a drive letter"
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "leads out of its folder with .."
		}
	}
	return ""
}

// guardedReader bounds what is read, and keeps errors of the reader apart from those of the archive.
type guardedReader struct {
	r      io.ReaderAt
	budget int64 // bytes
	err    error
}

func (g *guardedReader) ReadAt(p []byte, offset int64) (int, error) {
	g.budget -= int64(len(p))
	if g.budget < 0 {
		g.err = invalid("its directory is larger than %d MiB", maxDirectory>>20)
		return 0, g.err
	}
	n, err := g.r.ReadAt(p, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		g.err = fmt.Errorf("read artifact: %w", err)
	}
	return n, err
}
