// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package author

import (
	"archive/tar"
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/windlass-dev/windlass/internal/artifact"
)

// Format of an archive; values as the ending of its name.
type Format string

// Formats.
const (
	Zip     Format = "zip"
	TarGzip Format = "tar.gz"
	TarZstd Format = "tar.zst"
)

// Formats that Pack makes.
var Formats = []Format{Zip, TarGzip, TarZstd}

// Epoch is the time of all files of an archive unless the author gives another one: the first that zip can express.
var Epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// LastTime is the last that zip can express.
var LastTime = time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)

// File is a file to pack.
type File struct {
	Name string // with slashes
	Size int64  // bytes
}

// List gives all files below a folder, sorted by the bytes of their names. It refuses what an archive cannot hold on all
// devices: links and special files. Folders without files are left out.
func List(folder fs.FS) ([]File, error) {
	var files []File
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			return fmt.Errorf("expected files and folders, got a symbolic link: %s; put a copy of the file in its place", name)
		case !entry.Type().IsRegular():
			return fmt.Errorf("expected files and folders, got a special file: %s; remove it", name)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		files = append(files, File{Name: name, Size: info.Size()})
		if len(files) > artifact.MaxEntries {
			return fmt.Errorf("expected at most %d files, got more; remove what devices do not need", artifact.MaxEntries)
		}
		return nil
	})
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, err
}

// Pack writes an archive of files, in their order and each with the same time, that depends on nothing else: no owner, no mode,
// no extra fields. The same files give the same bytes with the same version of this package, on any system.
func Pack(w io.Writer, folder fs.FS, files []File, format Format, modified time.Time) error {
	modified = modified.UTC().Truncate(2 * time.Second) // what zip can express
	if modified.Before(Epoch) || modified.After(LastTime) {
		return fmt.Errorf("expected a time from 1980 to 2107, got %s", modified.Format(time.RFC3339))
	}
	switch format {
	case Zip:
		return packZip(w, folder, files, modified)
	case TarGzip:
		gz, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		return packTar(gz, folder, files, modified)
	case TarZstd:
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
		if err != nil {
			return err
		}
		return packTar(z, folder, files, modified)
	}
	return fmt.Errorf("expected a format of zip, tar.gz or tar.zst, got %.20q", format)
}

func packTar(w io.WriteCloser, folder fs.FS, files []File, modified time.Time) error {
	archive := tar.NewWriter(w)
	for _, f := range files {
		err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: f.Size, Mode: 0o644, ModTime: modified})
		if err == nil {
			err = copyFile(archive, folder, f)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return w.Close()
}

// copyFile copies a file that has the size which it had when it was listed.
func copyFile(w io.Writer, folder fs.FS, f File) error {
	r, err := folder.Open(f.Name)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	n, err := io.Copy(w, io.LimitReader(r, f.Size+1))
	if n != f.Size || errors.Is(err, tar.ErrWriteTooLong) {
		return errChanging
	}
	return err
}

func packZip(w io.Writer, folder fs.FS, files []File, modified time.Time) error {
	archive := zip.NewWriter(w)
	c, err := newCompressor()
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := c.add(archive, folder, f, modified); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return archive.Close()
}
