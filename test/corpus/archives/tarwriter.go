// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

const blockSize = 512

// tarFile is an entry, with the fields of its header as they are written.
type tarFile struct {
	name, prefix, link string
	kind               byte
	mode, size         string // octal; size empty: the right one
	magic              string
	pad                byte // fills the last block
	data               []byte
	before             func(block []byte) // the checksum is made
	after              func(block []byte)
}

// tarArchive is written as it says, true or not.
type tarArchive struct {
	files []*tarFile
	end   []byte
}

// newTarFile makes an honest entry.
func newTarFile(name string, content []byte) *tarFile {
	f := &tarFile{name: name, kind: '0', mode: "0000644", magic: "ustar\x0000", data: content}
	if strings.HasSuffix(name, "/") {
		f.kind, f.mode = '5', "0000755"
	}
	return f
}

// newTar makes an archive with the right end.
func newTar(files ...*tarFile) *tarArchive {
	return &tarArchive{files: files, end: make([]byte, 2*blockSize)}
}

// insert puts files in front of one.
func (a *tarArchive) insert(before *tarFile, files ...*tarFile) {
	for i, f := range a.files {
		if f == before {
			a.files = append(a.files[:i:i], append(files, a.files[i:]...)...)
			return
		}
	}
}

// pax makes a header of records "keyword=value".
func pax(kind byte, records ...string) *tarFile {
	var data []byte
	for _, record := range records {
		data = append(data, paxRecord(record)...)
	}
	f := newTarFile("PaxHeaders/x", data)
	f.kind = kind
	return f
}

// paxRecord puts the length in front, which counts itself.
func paxRecord(record string) string {
	for size := len(record) + 3; ; size++ {
		if line := strconv.Itoa(size) + " " + record + "\n"; len(line) == size {
			return line
		}
	}
}

// gnuPath makes the header with which GNU tar writes long names.
func gnuPath(name string) *tarFile {
	f := newTarFile("././@LongLink", []byte(name+"\x00"))
	f.kind, f.magic = 'L', "ustar  \x00"
	return f
}

func (f *tarFile) header() []byte {
	block := make([]byte, blockSize)
	copy(block[0:100], f.name)
	copy(block[100:108], f.mode)
	copy(block[108:116], "0000000")
	copy(block[116:124], "0000000")
	size := f.size
	if size == "" {
		size = fmt.Sprintf("%011o", len(f.data))
	}
	copy(block[124:136], size)
	copy(block[136:148], "14721631624")
	block[156] = f.kind
	copy(block[157:257], f.link)
	copy(block[257:265], f.magic)
	copy(block[345:500], f.prefix)
	if f.before != nil {
		f.before(block)
	}
	SignTar(block)
	if f.after != nil {
		f.after(block)
	}
	return block
}

// SignTar writes the checksum of a header of 512 bytes.
func SignTar(block []byte) {
	copy(block[148:156], "        ")
	sum := 0
	for _, c := range block {
		sum += int(c)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// bytes writes the archive.
func (a *tarArchive) bytes() []byte {
	var raw []byte
	for _, f := range a.files {
		raw = append(append(raw, f.header()...), f.data...)
		raw = append(raw, bytes.Repeat([]byte{f.pad}, -len(f.data)&(blockSize-1))...)
	}
	return append(raw, a.end...)
}
