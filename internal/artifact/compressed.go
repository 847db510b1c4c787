// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"cmp"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// gunzip unpacks a gzip file of one member (RFC 1952): programs differ in whether they read a second one.
type gunzip struct {
	in      *input
	inflate io.Reader
	size    int64
	crc     uint32
}

// gzipName is the only flag that is allowed: the name of the file before it was packed, which the gzip command adds.
const gzipName = 1 << 3

func newGunzip(in *input) (*gunzip, error) {
	header, err := in.take(10, "the gzip header")
	if err != nil {
		return nil, err
	}
	if method, flags := header[2], header[3]; method != deflated || flags&^gzipName != 0 {
		return nil, invalid("the gzip header has the method %d and the flags %#02x, expected method 8, and no flag but 0x8 (name)", method, flags)
	}
	if header[3]&gzipName != 0 {
		if err := skipName(in); err != nil {
			return nil, err
		}
	}
	return &gunzip{in: in, inflate: flate.NewReader(in.br)}, nil
}

func skipName(in *input) error {
	for range maxPath + 1 {
		c, err := in.br.ReadByte()
		switch {
		case err != nil:
			return in.fault(err, "the gzip header")
		case c == 0:
			return nil
		case c < ' ', c == 0x7f:
			return invalid("the gzip header has a name with a control character, expected none")
		}
	}
	return invalid("the gzip header has a name that is too long, expected at most %d bytes", maxPath)
}

func (g *gunzip) Read(p []byte) (int, error) {
	n, err := g.inflate.Read(p)
	g.size += int64(n)
	g.crc = updateCRC(g.crc, p[:n])
	switch {
	case err == io.EOF:
		return n, cmp.Or(g.finish(), err)
	case err != nil:
		return n, g.in.fault(err, "the gzip data")
	}
	return n, nil
}

func (g *gunzip) finish() error {
	trailer, err := g.in.take(8, "the gzip trailer")
	if err != nil {
		return err
	}
	crc, size := binary.LittleEndian.Uint32(trailer), binary.LittleEndian.Uint32(trailer[4:])
	if crc != g.crc || size != uint32(g.size) {
		return invalid("the gzip data has the CRC-32 %08x and %d bytes, and claims %08x and %d: expected the same, was it damaged?",
			g.crc, uint32(g.size), crc, size)
	}
	return g.in.ended("the gzip member")
}

// maxWindow is how far back zstd data may refer, which is what unpacking it takes in memory. RFC 8878, 3.1.1.1.2, asks
// decoders for at least this much.
const maxWindow = 8 << 20

// unzstd unpacks a zstd file of one frame (RFC 8878).
type unzstd struct {
	in      *input
	frames  *frames
	decoder *zstd.Decoder
}

func newUnzstd(in *input) (*unzstd, error) {
	f := &frames{in: in}
	decoder, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, cmp.Or(f.err, err)
	}
	return &unzstd{in: in, frames: f, decoder: decoder}, nil
}

func (z *unzstd) Close() { z.decoder.Close() }

func (z *unzstd) Read(p []byte) (int, error) {
	n, err := z.decoder.Read(p)
	switch fault := z.frames.err; {
	case fault != nil && fault != io.EOF: //nolint:errorlint // frames end with the bare value
		return n, fault
	case err != nil && err != io.EOF: //nolint:errorlint // readers return the bare value at their end
		return n, z.in.fault(err, "the zstd data")
	}
	return n, err
}

// frames passes zstd data on and looks at its structure: the decoder skips frames that others show, and takes any dictionary
// or window.
type frames struct {
	in       *input
	header   []byte // to be passed on
	left     int64  // content of the block, to be passed on
	state    frameState
	checksum bool
	any      bool // there was a frame: programs differ in whether they read a second one
	err      error
}

type frameState int

const (
	atFrame frameState = iota
	atBlock
	atChecksum
)

func (f *frames) Read(p []byte) (int, error) {
	for f.err == nil && len(f.header) == 0 && f.left == 0 {
		f.err = f.next()
	}
	if f.err != nil {
		return 0, f.err
	}
	if len(f.header) > 0 {
		n := copy(p, f.header)
		f.header = f.header[n:]
		return n, nil
	}
	n, err := f.in.br.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	if err != nil {
		f.err = f.in.fault(err, "a zstd block")
	}
	return n, f.err
}

// next reads the next part of the structure.
func (f *frames) next() error {
	switch f.state {
	case atBlock:
		return f.block()
	case atChecksum:
		f.state = atFrame
		return f.pass(4, "the checksum of a zstd frame")
	case atFrame:
	}
	if f.any {
		return cmp.Or(f.in.ended("the zstd frame"), io.EOF)
	}
	f.any = true
	return f.frame()
}

// pass reads n bytes and hands them on.
func (f *frames) pass(n int, what string) error {
	raw, err := f.in.take(n, what)
	f.header = append(f.header, raw...)
	return err
}

// frame reads the header of a frame (RFC 8878, 3.1.1.1).
func (f *frames) frame() error {
	f.header = f.header[:0]
	if err := f.pass(5, "a zstd frame"); err != nil {
		return err
	}
	if magic := binary.LittleEndian.Uint32(f.header); magic != 0xfd2fb528 {
		return invalid("at offset %d is %#08x, expected a zstd frame", f.in.offset()-5, magic)
	}
	descriptor := f.header[4]
	single := descriptor&0x20 != 0
	if descriptor&0x1b != 0 { // unused, reserved, dictionary
		return invalid("the zstd frame has the descriptor %#02x: expected no dictionary and no reserved bits", descriptor)
	}
	fields := []int{0, 2, 4, 8}[descriptor>>6]
	if single && fields == 0 {
		fields = 1
	}
	if !single {
		fields++
	}
	if err := f.pass(fields, "the header of a zstd frame"); err != nil {
		return err
	}
	if window := frameWindow(f.header[5:], single); window > maxWindow {
		return invalid("the zstd frame has a window of %d bytes, expected at most %d: use level 19 or lower, and not --long", window, maxWindow)
	}
	f.state, f.checksum = atBlock, descriptor&4 != 0
	return nil
}

// frameWindow is the size of the window, which is that of the content if the frame says so.
func frameWindow(fields []byte, single bool) uint64 {
	if !single {
		base := uint64(1) << (10 + fields[0]>>3)
		return base + base/8*uint64(fields[0]&7)
	}
	var size [8]byte
	copy(size[:], fields)
	content := binary.LittleEndian.Uint64(size[:])
	if len(fields) == 2 {
		content += 256
	}
	return content
}

// block reads the header of a block (RFC 8878, 3.1.1.2).
func (f *frames) block() error {
	f.header = f.header[:0]
	if err := f.pass(3, "a zstd block"); err != nil {
		return err
	}
	header := uint32(f.header[0]) | uint32(f.header[1])<<8 | uint32(f.header[2])<<16
	last, kind := header&1 != 0, header>>1&3
	f.left = int64(header >> 3)
	switch kind {
	case 1: // one byte, repeated
		f.left = 1
	case 3:
		return invalid("the zstd block at offset %d is of the reserved type 3", f.in.offset()-3)
	}
	switch {
	case last && f.checksum:
		f.state = atChecksum
	case last:
		f.state = atFrame
	}
	return nil
}
