// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Listing is what is in an archive: size and SHA-256 by name of the file.
type Listing map[string]string

// Add takes a file in; it is an artifact.Visit. A second file of a name shows.
func (l Listing) Add(name string, r io.Reader) error {
	name = strings.TrimPrefix(name, "./") // of tar -C folder .
	hash := sha256.New()
	size, err := io.Copy(hash, r)
	for l[name] != "" {
		name += " again"
	}
	l[name] = fmt.Sprintf("%d\t%s", size, hex.EncodeToString(hash.Sum(nil)))
	return err
}

// GoList is what Go's own packages read in an archive. Zstandard is not among them: its archives are unpacked as the scanner
// does, but for the rules about frames.
func GoList(raw []byte, ext string) (Listing, error) {
	l := Listing{}
	var r io.Reader = bytes.NewReader(raw)
	switch ext {
	case "zip":
		return l, goZip(l, raw)
	case "tar.gz":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = z
	case "tar.zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	}
	return l, goTar(l, r)
}

func goTar(l Listing, r io.Reader) error {
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case h.Typeflag == tar.TypeDir, h.Typeflag == tar.TypeXGlobalHeader:
			continue
		}
		if err := l.Add(h.Name, archive); err != nil {
			return err
		}
	}
}

func goZip(l Listing, raw []byte) error {
	archive, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return err
	}
	for _, f := range archive.File {
		if f.FileInfo().IsDir() {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		if err := errors.Join(l.Add(f.Name, r), r.Close()); err != nil {
			return err
		}
	}
	return nil
}
