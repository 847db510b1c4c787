// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"encoding/binary"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"
)

// Signatures and sizes of the structures of a zip archive, by PKWARE's APPNOTE 6.3.10, section 4.3.
const (
	localSign      = 0x04034b50
	descriptorSign = 0x08074b50
	centralSign    = 0x02014b50
	endSign        = 0x06054b50
	zip64EndSign   = 0x06064b50

	localSize   = 30
	centralSize = 46
)

// Flags and methods that are allowed, APPNOTE 4.4.4 and 4.4.5.
const (
	flagLevel      = 1<<1 | 1<<2 // how hard deflate tried
	flagDescriptor = 1 << 3
	flagUTF8       = 1 << 11

	stored   = 0
	deflated = 8
)

// maxZipVersion is the highest "version needed to extract" that says no more than is checked elsewhere: above it are other
// ways to compress and encrypt. Writers put in 10, 20 and 45.
const maxZipVersion = 45

// zipEntry is what the local header of an entry says, and after its content also what its data descriptor says.
type zipEntry struct {
	name                      string // as in the archive
	flags, method, time, date uint16
	crc, packed, size, start  uint32
	folder                    bool
	extra                     bool // there are extra fields before the content
}

// zipScan reads a zip archive: entries, then the directory that must say the same.
type zipScan struct {
	*scan
	entries []zipEntry
	inflate io.ReadCloser // is used again for each entry
}

func (z *zipScan) run() error {
	for {
		sign, err := z.in.peek(4, "the zip archive")
		if err != nil {
			return err
		}
		switch s := binary.LittleEndian.Uint32(sign); s {
		case localSign:
			if err := z.entry(); err != nil {
				return err
			}
		case centralSign, endSign:
			return z.directory()
		case zip64EndSign:
			return errZip64()
		default:
			return invalid("at offset %d is %#08x, expected the next entry or the zip directory right after the last entry", z.in.offset(), s)
		}
	}
}

func errZip64() error {
	return invalid("it is a zip64 archive: expected a plain one, which holds 65534 entries and 4 GiB")
}

// entry reads one entry from its local header to its data descriptor.
func (z *zipScan) entry() error {
	start := z.in.offset()
	if start > 0xfffffffe {
		return errZip64()
	}
	header, err := z.in.take(localSize, "the header of a zip entry")
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	e := zipEntry{
		flags: le.Uint16(header[6:]), method: le.Uint16(header[8:]), time: le.Uint16(header[10:]), date: le.Uint16(header[12:]),
		crc: le.Uint32(header[14:]), packed: le.Uint32(header[18:]), size: le.Uint32(header[22:]), start: uint32(start),
	}
	version, extra := le.Uint16(header[4:]), int(le.Uint16(header[28:]))
	e.extra = extra > 0
	if e.name, err = z.name(int(le.Uint16(header[26:])), e.flags); err != nil {
		return err
	}
	if err := z.checkHeader(&e, version); err != nil {
		return err
	}
	if err := z.extra(e.name, extra, local); err != nil {
		return err
	}
	if err := z.content(&e); err != nil {
		return err
	}
	z.entries = append(z.entries, e)
	return nil
}

// name reads a name. Its bytes are looked at later.
func (z *zipScan) name(size int, flags uint16) (string, error) {
	if size > maxPath+1 {
		return "", invalid("the entry at offset %d has a name of %d bytes, expected at most %d", z.in.offset()-localSize, size, maxPath)
	}
	raw, err := z.in.take(size, "the name of a zip entry")
	if err != nil {
		return "", err
	}
	name := string(raw)
	if flags&flagUTF8 == 0 && !isASCII(name) {
		return "", badEntry(name, "has letters beyond ASCII and does not say that they are UTF-8: expected flag bit 11, which the zip command does not set "+
			"(use kubectl windlass bundle pack or Python, or a name in ASCII)")
	}
	return name, nil
}

// checkHeader refuses what is not in the profile, and entries whose sizes are out of bounds.
func (z *zipScan) checkHeader(e *zipEntry, version uint16) error {
	path, folder := strings.CutSuffix(e.name, "/")
	e.folder = folder
	if err := z.names.add(path, folder); err != nil {
		return err
	}
	switch {
	case version > maxZipVersion:
		return badEntry(e.name, "needs version %d to unpack, expected at most %d", version, maxZipVersion)
	case e.flags&1 != 0:
		return badEntry(e.name, "is encrypted by zip: expected plain content, encrypt the archive as a whole")
	case e.flags&^(flagLevel|flagDescriptor|flagUTF8) != 0:
		return badEntry(e.name, "has the flags %#04x, expected bits 1, 2, 3 and 11 only", e.flags)
	case e.method != stored && e.method != deflated:
		return badEntry(e.name, "is compressed by method %d, expected 0 (stored) or 8 (deflate)", e.method)
	}
	return z.checkSizes(e)
}

func (z *zipScan) checkSizes(e *zipEntry) error {
	descriptor := e.flags&flagDescriptor != 0
	switch {
	case e.packed == 0xffffffff || e.size == 0xffffffff:
		return errZip64()
	case e.method == stored && descriptor:
		return badEntry(e.name, "is stored with its size after the content, where programs cannot find it: expected it to be deflated, or the size before")
	case e.method == stored && e.packed != e.size:
		return badEntry(e.name, "is stored in %d bytes and claims to have %d, expected the same", e.packed, e.size)
	case e.folder && e.size > 0:
		return badEntry(e.name, "is a folder with content: expected none")
	case int64(e.size) > z.maxUnpacked-z.facts.Unpacked:
		return invalid("its files have more than %d bytes unpacked, which is the limit", z.maxUnpacked)
	case descriptor:
		return nil
	}
	return e.checkRatio()
}

func (e *zipEntry) checkRatio() error {
	if err := checkRatio(int64(e.size), int64(e.packed), maxEntryRatio); err != nil {
		return badEntry(e.name, "is a bomb: %w", err)
	}
	return nil
}

// content visits a file, or reads the nothing that a folder holds.
func (z *zipScan) content(e *zipEntry) error {
	var r io.Reader = &io.LimitedReader{R: z.in.br, N: int64(e.packed)}
	if e.method == deflated {
		r = z.inflater()
	}
	start := z.in.offset()
	b := &body{scan: z.scan, r: zipReader{z.in, r, e}, max: z.maxUnpacked - z.facts.Unpacked}
	b.end = func(size int64, crc uint32) error { return z.finish(e, size, z.in.offset()-start, crc) }
	if !e.folder {
		return b.visit(e.name)
	}
	var one [1]byte
	switch n, err := io.ReadFull(b, one[:]); {
	case n > 0:
		return badEntry(e.name, "is a folder with content: expected none")
	case err != io.EOF:
		return err
	}
	return nil
}

// inflater reads from where the input is, and not beyond the end of the deflate data: bufio.Reader gives single bytes.
func (z *zipScan) inflater() io.Reader {
	if z.inflate == nil {
		z.inflate = flate.NewReader(z.in.br)
		return z.inflate
	}
	_ = z.inflate.(flate.Resetter).Reset(z.in.br, nil) // gives no errors
	return z.inflate
}

// zipReader names the entry in errors.
type zipReader struct {
	in *input
	r  io.Reader
	e  *zipEntry
}

func (r zipReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // what is wrapped in another error is no end
		err = r.in.fault(err, "the content of the zip entry "+quote(r.e.name))
	}
	return n, err
}

// finish compares content that was read to its end with what the header, or the data descriptor, says of it.
func (z *zipScan) finish(e *zipEntry, size, packed int64, crc uint32) error {
	if e.flags&flagDescriptor != 0 {
		before := *e
		if err := z.descriptor(e); err != nil {
			return err
		}
		if differ(before.crc, e.crc) || differ(before.packed, e.packed) || differ(before.size, e.size) {
			return badEntry(e.name, "says other sizes or another checksum before its content than after it: expected the same, or zeros before")
		}
	}
	switch {
	case packed != int64(e.packed):
		return badEntry(e.name, "has content that ends after %d bytes, and claims %d packed bytes: expected the same", packed, e.packed)
	case size != int64(e.size):
		return badEntry(e.name, "has %d bytes, and claims %d: expected the same", size, e.size)
	case crc != e.crc:
		return badEntry(e.name, "has the CRC-32 %08x, and claims %08x: expected the same, was it damaged?", crc, e.crc)
	}
	return e.checkRatio()
}

// differ tells whether a header says something else than the data descriptor. Zero says nothing.
func differ(before, after uint32) bool { return before != 0 && before != after }

// descriptor reads the sizes after the content. Its signature is optional (APPNOTE 4.3.9.3): a checksum that looks like one
// could be read in two ways.
func (z *zipScan) descriptor(e *zipEntry) error {
	le := binary.LittleEndian
	raw, err := z.in.take(12, "the data descriptor of a zip entry")
	if err != nil {
		return err
	}
	first, second, third := le.Uint32(raw), le.Uint32(raw[4:]), le.Uint32(raw[8:])
	if first != descriptorSign {
		e.crc, e.packed, e.size = first, second, third
		return nil
	}
	e.crc, e.packed = second, third
	if raw, err = z.in.take(4, "the data descriptor of a zip entry"); err != nil {
		return err
	}
	e.size = le.Uint32(raw)
	return nil
}
