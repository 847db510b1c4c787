// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Systems that made an entry, in the upper byte of "version made by" (APPNOTE 4.4.2): their attributes are understood.
const (
	madeByFAT    = 0
	madeByUnix   = 3
	madeByNTFS   = 10
	madeByVFAT   = 14
	madeByDarwin = 19
)

// Bits of external attributes: MS-DOS and Windows below, POSIX st_mode above.
const (
	dosVolume  = 0x08
	dosFolder  = 0x10
	dosDevice  = 0x40
	dosReparse = 0x400

	modeType    = 0o170000
	modeFolder  = 0o040000
	modeFile    = 0o100000
	modeSpecial = 0o7000 // setuid, setgid, sticky
)

// directory reads the zip directory, which must list the entries as they came, and the end of the archive.
func (z *zipScan) directory() error {
	start := z.in.offset()
	for i := range z.entries {
		if err := z.central(&z.entries[i]); err != nil {
			return err
		}
	}
	size := z.in.offset() - start
	if err := z.end(start, size); err != nil {
		return err
	}
	return checkRatio(z.facts.Unpacked, z.in.offset(), maxRatio)
}

// central compares a header of the directory with the entry.
func (z *zipScan) central(e *zipEntry) error {
	h, err := z.in.peek(centralSize, "the zip directory")
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint32(h) != centralSign {
		return badEntry(e.name, "is not in the zip directory: expected all entries in it, in their order")
	}
	if err := e.compare(h); err != nil {
		return err
	}
	if err := e.checkAttributes(h[5], le.Uint32(h[38:])); err != nil {
		return err
	}
	if err := e.checkLetters(h[5], le.Uint16(h[30:]) > 0); err != nil {
		return err
	}
	name, extra := int(le.Uint16(h[28:])), int(le.Uint16(h[30:]))
	if _, err := z.in.take(centralSize, "the zip directory"); err != nil {
		return err
	}
	if name > maxPath+1 {
		return badEntry(e.name, "has a name of %d bytes in the zip directory: expected the same name as before its content", name)
	}
	raw, err := z.in.take(name, "the zip directory")
	if err != nil {
		return err
	}
	if string(raw) != e.name {
		return badEntry(e.name, "is called %.200q in the zip directory: expected the same name", raw)
	}
	return z.extra(e.name, extra, central)
}

// compare holds the fields of a header of the directory against the local header.
func (e *zipEntry) compare(h []byte) error {
	le := binary.LittleEndian
	for _, f := range []struct {
		what          string
		central, want uint32
	}{
		{"flags", uint32(le.Uint16(h[8:])), uint32(e.flags)},
		{"method", uint32(le.Uint16(h[10:])), uint32(e.method)},
		{"time", uint32(le.Uint16(h[12:])), uint32(e.time)},
		{"date", uint32(le.Uint16(h[14:])), uint32(e.date)},
		{"CRC-32", le.Uint32(h[16:]), e.crc},
		{"packed size", le.Uint32(h[20:]), e.packed},
		{"size", le.Uint32(h[24:]), e.size},
		{"comment of the length", uint32(le.Uint16(h[32:])), 0},
		{"disk number", uint32(le.Uint16(h[34:])), 0},
		{"internal attributes without the text bit", uint32(le.Uint16(h[36:]) &^ 1), 0},
		{"offset", le.Uint32(h[42:]), e.start},
	} {
		if f.central != f.want {
			return badEntry(e.name, "has the %s %#x in the zip directory, expected %#x as at the entry itself", f.what, f.central, f.want)
		}
	}
	if version := le.Uint16(h[6:]); version > maxZipVersion {
		return badEntry(e.name, "needs version %d to unpack, expected at most %d", version, maxZipVersion)
	}
	return nil
}

// checkAttributes lets regular files and folders through.
func (e *zipEntry) checkAttributes(system byte, attributes uint32) error {
	if !slices.Contains([]byte{madeByFAT, madeByUnix, madeByNTFS, madeByVFAT, madeByDarwin}, system) {
		return badEntry(e.name, "was made on the system %d, expected Unix (3), FAT (0), NTFS (10), VFAT (14) or macOS (19)", system)
	}
	if attributes&(dosVolume|dosDevice|dosReparse) != 0 {
		return badEntry(e.name, "has the attributes %#x: expected a regular file or a folder, no volume, device or reparse point", attributes)
	}
	mode := attributes >> 16
	if err := checkMode(e.name, mode); err != nil {
		return err
	}
	kind := mode & modeType
	if e.folder && kind == modeFile || !e.folder && (kind == modeFolder || attributes&dosFolder != 0) {
		return badEntry(e.name, "has the attributes %#x: expected a folder if its name ends with a slash, else a file", attributes)
	}
	return nil
}

// checkLetters refuses what Info-ZIP's unzip 6.0 reads as another name than everybody else: it believes flag bit 11 only where
// there is an extra field, and takes names from FAT for code page 437 otherwise.
func (e *zipEntry) checkLetters(system byte, extra bool) error {
	if isASCII(e.name) || system == madeByUnix || system == madeByDarwin || e.extra && extra {
		return nil
	}
	return badEntry(e.name, "has letters beyond ASCII, which unzip would spell in another way: expected a program that marks entries as made on Unix, or adds times "+
		"(kubectl windlass bundle pack, Python), or a name in ASCII")
}

// checkMode refuses links, devices and the like. No type at all is what systems without st_mode write.
func checkMode(name string, mode uint32) error {
	switch kind := mode & modeType; {
	case kind != 0 && kind != modeFile && kind != modeFolder:
		return badEntry(name, "has the mode %#o, which is a symbolic link or a special file: expected a regular file or a folder", mode)
	case mode&modeSpecial != 0:
		return badEntry(name, "has the mode %#o: expected no setuid, setgid or sticky bit (chmod ug-s,-t)", mode)
	}
	return nil
}

// end reads the record that ends the archive.
func (z *zipScan) end(start, size int64) error {
	h, err := z.in.take(zipEndSize, "the end of the zip directory")
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	switch sign := le.Uint32(h); {
	case sign == centralSign:
		return invalid("the zip directory lists more than the %d entries that are there: expected these only", len(z.entries))
	case sign == zip64EndSign:
		return errZip64()
	case sign != endSign:
		return invalid("at offset %d is %#08x, expected the end of the zip directory", z.in.offset()-zipEndSize, sign)
	}
	for _, f := range []struct {
		what        string
		found, want int64
	}{
		{"disk number", int64(le.Uint16(h[4:])), 0},
		{"disk of the directory", int64(le.Uint16(h[6:])), 0},
		{"number of entries on this disk", int64(le.Uint16(h[8:])), int64(len(z.entries))},
		{"number of entries", int64(le.Uint16(h[10:])), int64(len(z.entries))},
		{"size of the directory", int64(le.Uint32(h[12:])), size},
		{"offset of the directory", int64(le.Uint32(h[16:])), start},
		{"length of the comment", int64(le.Uint16(h[20:])), 0},
	} {
		if f.found != f.want {
			return invalid("the zip archive ends with a %s of %d, expected %d", f.what, f.found, f.want)
		}
	}
	if err := z.in.ended("the zip archive"); err != nil {
		return err
	}
	return z.unsigned(size)
}

// unsigned refuses a directory of a size that has the signature of a record within its fields: adm-zip 0.6 looks for it in the
// bytes before the end, whatever they belong to.
func (z *zipScan) unsigned(size int64) error {
	tail := z.in.src.tail[:len(z.in.src.tail)-zipEndSize]
	directory := tail[max(0, int64(len(tail))-size):]
	for _, r := range append(zip64Records, zipEndRecord) {
		if bytes.Contains(directory, []byte(r.sign)) {
			return invalid("the zip directory has %q within its fields, which some programs take for its end: expected none", r.sign)
		}
	}
	return nil
}
