// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/author"
)

// packed is what pack prints.
type packed struct {
	File     string `json:"file"`
	Format   string `json:"format"`
	Digest   string `json:"digest"`
	Size     int64  `json:"size"` // bytes
	Files    int    `json:"files"`
	Unpacked int64  `json:"unpacked"` // bytes
}

type packOptions struct {
	out    string
	format string
}

func (a *app) packCommand() *cobra.Command {
	var o packOptions
	cmd := verb("pack DIR", "Make a canonical archive of a folder", `
Makes an archive of all files below DIR that every unpacker reads the same way: names sorted, one time for all files, no owners
and no extra fields. The same files give the same bytes with the same version of this command, on any system. The time is 1980-01-01,
or that of SOURCE_DATE_EPOCH (seconds since 1970).

Refused are links, special files and names that some device cannot unpack; folders without files are left out. The archive is
read again with the checks of the operator before it gets its name.`, `
# dist becomes dist.zip
kubectl windlass bundle pack dist

# for CI: another name, and the digest for the next step
kubectl windlass bundle pack dist -o shop-2.4.1.zip --output json | jq -r .digest

# an archive of tar and zstd
kubectl windlass bundle pack dist --format tar.zst`,
		func(ctx context.Context, args []string) error { return a.pack(ctx, args[0], o) })
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "file to write (default: the name of DIR with the format behind it)")
	cmd.Flags().StringVar(&o.format, "format", "", "zip, tar.gz or tar.zst (default: as --out ends, else zip)")
	complete(cmd, "format", string(author.Zip), string(author.TarGzip), string(author.TarZstd))
	return cmd
}

func (a *app) pack(ctx context.Context, dir string, o packOptions) error {
	format, out, err := packTarget(dir, o)
	if err != nil {
		return err
	}
	modified, err := a.packTime()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // what is read stays below the folder whoever changes it meanwhile
	if err != nil {
		return fmt.Errorf("expected a folder that can be read: %w", err)
	}
	defer root.Close() //nolint:errcheck // only read
	files, err := author.List(root.FS())
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if len(files) == 0 {
		return fmt.Errorf("expected files in %s, got none; give the folder that the build writes", dir)
	}
	result := packed{File: out, Format: string(format), Files: len(files)}
	for _, f := range files {
		result.Unpacked += f.Size
	}
	err = replaceFile(out, publicMode, func(f *os.File) error {
		folder := tellingFS{FS: root.FS(), progress: a.reader(ctx, "packed", nil, result.Unpacked)}
		defer folder.progress.clear()
		if err := author.Pack(f, folder, files, format, modified); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		return a.checkPacked(ctx, f, &result)
	})
	if err != nil {
		return err
	}
	return a.print(result, func(w io.Writer) {
		table(w, []string{"file", printable(out)}, []string{"digest", result.Digest}, []string{"size", bytesOf(result.Size)},
			[]string{"files", strconv.Itoa(result.Files)}, []string{"unpacked", bytesOf(result.Unpacked)})
	})
}

// checkPacked reads what was written as the operator will.
func (a *app) checkPacked(ctx context.Context, f *os.File, result *packed) error {
	read, err := a.scan(ctx, f, nil)
	if errors.Is(err, artifact.ErrInvalid) {
		return fmt.Errorf("expected files that every device can unpack: %w", err)
	}
	if err != nil {
		return err
	}
	result.Digest, result.Size = read.Digest, read.Size
	return nil
}

// packTarget finds format and name of the archive, which must not be in the folder itself.
func packTarget(dir string, o packOptions) (author.Format, string, error) {
	format := author.Format(o.format)
	if format == "" {
		format = author.Zip
		for _, f := range author.Formats {
			if strings.HasSuffix(o.out, "."+string(f)) {
				format = f
			}
		}
	}
	if !slices.Contains(author.Formats, format) {
		return "", "", usage("--format: expected zip, tar.gz or tar.zst, got %q", o.format)
	}
	from, err := filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	out := o.out
	if out == "" {
		out = filepath.Base(from) + "." + string(format)
	}
	to, err := filepath.Abs(out)
	if err != nil {
		return "", "", err
	}
	if within, err := filepath.Rel(from, to); err == nil && filepath.IsLocal(within) {
		return "", "", usage("expected an archive outside of %s, got %s; choose another place with -o", dir, out)
	}
	return format, out, nil
}

// packTime is the time that all files get (reproducible-builds.org, SOURCE_DATE_EPOCH).
func (a *app) packTime() (time.Time, error) {
	text := a.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return author.Epoch, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < author.Epoch.Unix() || seconds > author.LastTime.Unix() {
		return time.Time{}, usage("SOURCE_DATE_EPOCH: expected seconds since 1970 of a time from 1980 to 2107, got %q; set it so, or unset it", text)
	}
	return time.Unix(seconds, 0), nil
}

// tellingFS counts what is read from files.
type tellingFS struct {
	fs.FS
	progress *progress
}

// Open opens a file that counts.
func (t tellingFS) Open(name string) (fs.File, error) {
	f, err := t.FS.Open(name)
	return tellingFile{f, t.progress}, err
}

type tellingFile struct {
	fs.File
	progress *progress
}

// Read reads, and tells.
func (t tellingFile) Read(p []byte) (int, error) {
	n, err := t.File.Read(p)
	if err != nil {
		return n, err // io.EOF must stay as it is
	}
	return n, t.progress.advance(n)
}
