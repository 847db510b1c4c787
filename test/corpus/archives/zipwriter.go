// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"

	"github.com/klauspost/compress/flate"
)

const (
	stored   = 0
	deflated = 8

	flagDescriptor = 1 << 3
	flagUTF8       = 1 << 11
)

// zipHeader has the fields of the header before an entry, and of the one in the directory.
type zipHeader struct {
	madeBy, version, flags, method, time, date uint16
	crc, packed, size                          uint32
	name                                       string
	extra                                      []byte
	comment                                    string
	disk, internal                             uint16
	external                                   uint32
	offset                                     *uint32 // nil: the right one
}

// zipFile is an entry whose two headers need not agree.
type zipFile struct {
	local, central zipHeader
	gap            []byte // before the local header
	data           []byte // packed
	descriptor     []byte
	at             uint32 // where it was written
}

// zipArchive is written as it says, true or not.
type zipArchive struct {
	prefix    []byte
	files     []*zipFile
	directory []*zipFile // nil: all files, in their order
	before    []byte     // the directory
	after     []byte     // the directory
	end       func(record []byte)
	comment   string
	suffix    []byte
}

// newZipFile makes an honest entry.
func newZipFile(name string, content []byte, method uint16) *zipFile {
	h := zipHeader{
		madeBy: 3<<8 | 30, version: 20, method: method, time: 0x6b20, date: 0x5a2d, name: name,
		crc: crc32.ChecksumIEEE(content), size: uint32(len(content)), external: 0o100644 << 16,
	}
	if strings.HasSuffix(name, "/") {
		h.external = 0o040755<<16 | 0x10
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f }) {
		h.flags |= flagUTF8
	}
	data := content
	if method == deflated {
		data = deflate(content)
	}
	h.packed = uint32(len(data))
	return &zipFile{local: h, central: h, data: data}
}

// both changes both headers.
func (f *zipFile) both(change func(h *zipHeader)) {
	change(&f.local)
	change(&f.central)
}

// describe moves sizes and checksum behind the content.
func (f *zipFile) describe(signed bool) {
	f.both(func(h *zipHeader) { h.flags |= flagDescriptor })
	f.descriptor = descriptor(f.central, signed)
	f.local.crc, f.local.packed, f.local.size = 0, 0, 0
}

func descriptor(h zipHeader, signed bool) []byte {
	var raw []byte
	if signed {
		raw = append(raw, "PK\x07\x08"...)
	}
	for _, n := range []uint32{h.crc, h.packed, h.size} {
		raw = binary.LittleEndian.AppendUint32(raw, n)
	}
	return raw
}

func deflate(content []byte) []byte {
	var buf bytes.Buffer
	w, _ := flate.NewWriter(&buf, 6) // the level is right
	_, _ = w.Write(content)          // to memory
	_ = w.Close()
	return buf.Bytes()
}

func append16(raw []byte, values ...uint16) []byte {
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint16(raw, v)
	}
	return raw
}

func append32(raw []byte, values ...uint32) []byte {
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, v)
	}
	return raw
}

func (h *zipHeader) appendLocal(raw []byte) []byte {
	raw = append16(append(raw, "PK\x03\x04"...), h.version, h.flags, h.method, h.time, h.date)
	raw = append16(append32(raw, h.crc, h.packed, h.size), uint16(len(h.name)), uint16(len(h.extra)))
	return append(append(raw, h.name...), h.extra...)
}

func (h *zipHeader) appendCentral(raw []byte, at uint32) []byte {
	if h.offset != nil {
		at = *h.offset
	}
	raw = append16(append(raw, "PK\x01\x02"...), h.madeBy, h.version, h.flags, h.method, h.time, h.date)
	raw = append32(raw, h.crc, h.packed, h.size)
	raw = append16(raw, uint16(len(h.name)), uint16(len(h.extra)), uint16(len(h.comment)), h.disk, h.internal)
	raw = append(append32(raw, h.external, at), h.name...)
	return append(append(raw, h.extra...), h.comment...)
}

// bytes writes the archive.
func (a *zipArchive) bytes() []byte {
	raw := bytes.Clone(a.prefix)
	for _, f := range a.files {
		raw = append(raw, f.gap...)
		f.at = uint32(len(raw))
		raw = append(append(f.local.appendLocal(raw), f.data...), f.descriptor...)
	}
	raw = append(raw, a.before...)
	directory := a.directory
	if directory == nil {
		directory = a.files
	}
	start := len(raw)
	for _, f := range directory {
		raw = f.central.appendCentral(raw, f.at)
	}
	size := len(raw) - start
	raw = append(raw, a.after...)
	n := uint16(len(directory))
	end := append16(append32(append16([]byte("PK\x05\x06"), 0, 0, n, n), uint32(size), uint32(start)), uint16(len(a.comment)))
	if a.end != nil {
		a.end(end)
	}
	return append(append(append(raw, end...), a.comment...), a.suffix...)
}
