// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package author

import (
	"archive/zip"
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"
)

const (
	// maxHeld is how many compressed bytes of a file are held in memory. Of larger files they are made twice.
	maxHeld = 4 << 20
	// maxRatio of sizes: what deflates better is stored instead, because devices and the manager take more for a bomb.
	maxRatio = 40

	zip20     = 20      // version of the zip format that knows deflate
	byUnix    = 3 << 8  // the system whose modes the archive has
	flagUTF8  = 1 << 11 // names are UTF-8
	worldRead = 0o644
)

var errChanging = errors.New("the file changed while it was being packed: pack again once nothing writes to the folder")

// compressor writes files into a zip archive with sizes and checksum before the data, not after it: unpackers that read from
// the start need nothing else.
type compressor struct {
	flate *flate.Writer
	held  held
}

func newCompressor() (*compressor, error) {
	w, err := flate.NewWriter(io.Discard, flate.BestCompression)
	return &compressor{flate: w}, err
}

// held keeps what is written as long as it is little, and counts it.
type held struct {
	bytes.Buffer
	size int64
}

func (h *held) reset() { h.Reset(); h.size = 0 }

func (h *held) Write(p []byte) (int, error) {
	h.size += int64(len(p))
	if h.size <= maxHeld {
		return h.Buffer.Write(p)
	}
	return len(p), nil
}

// sum of a file that is read.
type sum struct {
	size int64
	crc  uint32
}

func (s *sum) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	s.crc = crc32.Update(s.crc, crc32.IEEETable, p)
	return len(p), nil
}

func (c *compressor) add(archive *zip.Writer, folder fs.FS, f File, modified time.Time) error {
	c.held.reset()
	plain, err := c.deflate(&c.held, folder, f.Name)
	if err != nil {
		return err
	}
	h := header(f.Name, modified)
	h.CRC32, h.UncompressedSize64, h.CompressedSize64 = plain.crc, uint64(plain.size), uint64(c.held.size)
	store := c.held.size >= plain.size || plain.size > maxRatio*c.held.size
	if store {
		h.Method, h.CompressedSize64 = zip.Store, uint64(plain.size)
	}
	w, err := archive.CreateRaw(h)
	if err != nil {
		return err
	}
	again := plain
	switch {
	case store:
		again, err = read(folder, f.Name, w)
	case c.held.size > maxHeld:
		again, err = c.deflate(w, folder, f.Name)
	default:
		_, err = w.Write(c.held.Bytes())
	}
	if err == nil && again != plain {
		return errChanging
	}
	return err
}

// header of an entry. The times are set in the old fields alone, since zip.FileHeader.Modified would add an extra field.
func header(name string, modified time.Time) *zip.FileHeader {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, CreatorVersion: byUnix | zip20, ReaderVersion: zip20}
	h.SetMode(worldRead)
	h.CreatorVersion = byUnix | zip20
	h.ModifiedDate = uint16(modified.Day() + int(modified.Month())<<5 + (modified.Year()-1980)<<9) //nolint:staticcheck // see above
	h.ModifiedTime = uint16(modified.Second()/2 + modified.Minute()<<5 + modified.Hour()<<11)      //nolint:staticcheck // see above
	for _, r := range name {
		if r >= utf8.RuneSelf {
			h.Flags |= flagUTF8
		}
	}
	return h
}

func (c *compressor) deflate(to io.Writer, folder fs.FS, name string) (sum, error) {
	c.flate.Reset(to)
	plain, err := read(folder, name, c.flate)
	return plain, errors.Join(err, c.flate.Close())
}

// read copies a file, and sums it up.
func read(folder fs.FS, name string, to io.Writer) (sum, error) {
	r, err := folder.Open(name)
	if err != nil {
		return sum{}, err
	}
	defer r.Close() //nolint:errcheck // only read
	var s sum
	_, err = io.Copy(io.MultiWriter(&s, to), r)
	return s, err
}
