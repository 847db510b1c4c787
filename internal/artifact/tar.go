// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"bytes"
	"io"
	"strings"
)

const (
	blockSize = 512

	// maxPadding bounds the zeros after the last entry: GNU tar fills up to 10 KiB.
	maxPadding = 64 << 10

	// maxMeta bounds what one header in front of an entry may add to it: a path and times fit many times over.
	maxMeta = 16 << 10
)

// Types of tar headers that are allowed (POSIX.1-2024, pax; GNU tar manual, Basic Tar Format).
const (
	typeFile    = '0'
	typeOldFile = 0
	typeFolder  = '5'
	typePAX     = 'x'
	typeGlobal  = 'g'
	typeGNUPath = 'L'
)

// tarScan reads a tar archive. in is the archive without the compression around it.
type tarScan struct {
	*scan
	in      *input
	path    string // of the next entry, from a header in front of it
	meta    bool   // there was such a header
	size    int64  // that it claimed, or -1
	started bool
}

func (t *tarScan) run() error {
	t.size = -1
	for {
		block, err := t.in.take(blockSize, "the tar archive")
		if err != nil {
			return err
		}
		if zeros(block) {
			return t.end()
		}
		h, err := parseTar(block)
		if err != nil {
			return invalid("the tar header at offset %d %w", t.in.offset()-blockSize, err)
		}
		if err := t.header(h); err != nil {
			return err
		}
		t.started = true
	}
}

func (t *tarScan) header(h tarHeader) error {
	switch h.kind {
	case typePAX, typeGNUPath:
		if t.meta {
			return badEntry(h.name, "is the second header in front of one entry: expected one PAX header or one GNU long name")
		}
		t.meta = true
		return t.readMeta(h)
	case typeGlobal:
		if t.started {
			return badEntry(h.name, "is a global PAX header within the archive: expected one at its start at most")
		}
		return t.readMeta(h)
	case typeFile, typeOldFile, typeFolder:
		return t.entry(h)
	}
	return badEntry(h.name, "has the tar type %q, expected a regular file (0) or a folder (5): no links, devices, sparse files or volumes", h.kind)
}

// entry visits a file, or takes note of a folder.
func (t *tarScan) entry(h tarHeader) error {
	if t.path != "" {
		h.name = t.path
	}
	claimed := t.size
	t.path, t.meta, t.size = "", false, -1
	if claimed >= 0 && claimed != h.size {
		return badEntry(h.name, "has %d bytes in its PAX header and %d in its own: expected the same", claimed, h.size)
	}
	if err := t.check(h); err != nil {
		return err
	}
	path := strings.TrimPrefix(h.name, "./") // of tar -C folder .
	if h.kind == typeFolder {
		if h.name == "./" || h.name == "." {
			return nil // the folder that the archive is unpacked to
		}
		return t.names.add(strings.TrimSuffix(path, "/"), true)
	}
	if err := t.names.add(path, false); err != nil {
		return err
	}
	b := &body{scan: t.scan, r: &tarReader{in: t.in, name: path, left: h.size}, max: t.maxUnpacked - t.facts.Unpacked}
	if err := b.visit(path); err != nil {
		return err
	}
	return t.padding(h.size, path)
}

// check refuses modes and sizes that do not go with a file or a folder.
func (t *tarScan) check(h tarHeader) error {
	if err := checkMode(h.name, uint32(h.mode)); err != nil {
		return err
	}
	folder, kind := h.kind == typeFolder, h.mode&modeType
	switch {
	case folder && h.size > 0:
		return badEntry(h.name, "is a folder with content: expected none")
	case folder && kind == modeFile, !folder && kind == modeFolder:
		return badEntry(h.name, "has the mode %#o, which does not go with its tar type %q", h.mode, h.kind)
	case h.size > t.maxUnpacked-t.facts.Unpacked:
		return invalid("its files have more than %d bytes unpacked, which is the limit", t.maxUnpacked)
	}
	return nil
}

// padding fills the last block up.
func (t *tarScan) padding(size int64, name string) error {
	pad, err := t.in.take(int(-size&(blockSize-1)), "the padding of a tar entry")
	if err != nil {
		return err
	}
	if !zeros(pad) {
		return badEntry(name, "is followed by bytes that belong to no entry: expected zeros up to the next block of 512 bytes")
	}
	return nil
}

// tarReader reads the content of an entry, and tells an archive that is cut off from the end of the entry.
type tarReader struct {
	in   *input
	name string
	left int64
}

func (r *tarReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.in.br.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if err != nil {
		err = r.in.fault(err, "the content of the tar entry "+quote(r.name))
	}
	return n, err
}

// end reads the second block of zeros and what is left, which must be zeros too.
func (t *tarScan) end() error {
	if t.meta {
		return invalid("the tar archive ends after a header that belongs to the next entry: expected that entry")
	}
	block, err := t.in.take(blockSize, "the end of the tar archive, two blocks of zeros")
	if err != nil {
		return err
	}
	if !zeros(block) {
		return invalid("the tar archive has one block of zeros before offset %d and goes on: expected two at its end, and none before", t.in.offset())
	}
	rest, err := io.ReadAll(io.LimitReader(t.in.br, maxPadding+1))
	switch {
	case t.in.src.err != nil:
		return t.in.src.err
	case err != nil:
		return t.in.fault(err, "the end of the tar archive")
	case len(rest) > maxPadding || len(rest)%blockSize != 0 || !zeros(rest):
		return invalid("there are bytes after the tar archive: expected its end, or blocks of zeros up to %d bytes", maxPadding)
	}
	return nil
}

// readMeta reads the content of a header that stands in front of an entry, or of the archive.
func (t *tarScan) readMeta(h tarHeader) error {
	if h.size > maxMeta {
		return badEntry(h.name, "has %d bytes of header, expected at most %d", h.size, maxMeta)
	}
	raw, err := t.in.take(int(h.size), "a header in front of a tar entry")
	if err != nil {
		return err
	}
	if h.kind == typeGNUPath {
		err = t.gnuPath(h, raw)
	} else {
		err = t.records(h, raw)
	}
	if err != nil {
		return err
	}
	return t.padding(h.size, h.name)
}

// gnuPath is a name that does not fit into its field, with a NUL at its end.
func (t *tarScan) gnuPath(h tarHeader, raw []byte) error {
	name, _ := bytes.CutSuffix(raw, []byte{0})
	if !h.gnu || len(name) == 0 || bytes.IndexByte(name, 0) >= 0 {
		return badEntry(h.name, "is not a GNU long name: expected one name with a NUL at its end")
	}
	t.path = string(name)
	return nil
}
