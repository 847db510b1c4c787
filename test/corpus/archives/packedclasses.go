// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// member is a gzip file, with fields that may lie.
type member struct {
	method, flags byte
	extra         []byte // what the flags announce
	data          []byte // packed
	crc, size     uint32
}

func newMember(content []byte) *member {
	return &member{method: deflated, data: deflate(content), crc: crc32.ChecksumIEEE(content), size: uint32(len(content))}
}

func (m *member) bytes() []byte {
	raw := append([]byte{0x1f, 0x8b, m.method, m.flags, 0, 0, 0, 0, 0, 3}, m.extra...)
	return append32(append(raw, m.data...), m.crc, m.size)
}

func gzipped(content []byte) []byte { return newMember(content).bytes() }

// zstdEncoder is made once: it takes megabytes.
var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // an option that does not exist
	}
	return w
})

// zstdFrame packs content, with a checksum.
func zstdFrame(content []byte) []byte { return zstdEncoder().EncodeAll(content, nil) }

func skippable(g *gen) []byte {
	content := g.zip().bytes()
	return append(append32(nil, 0x184d2a50+uint32(g.IntN(16)), uint32(len(content))), content...)
}

// rawFrame is a zstd frame with the given header and one raw block, without a checksum.
func rawFrame(header, content []byte) []byte {
	raw := append([]byte("\x28\xb5\x2f\xfd"), header...)
	for rest := content; ; {
		block := rest[:min(len(rest), 1<<16)]
		rest = rest[len(block):]
		last := uint32(0)
		if len(rest) == 0 {
			last = 1
		}
		raw = append(raw, append32(nil, uint32(len(block))<<3|last)[:3]...)
		if raw = append(raw, block...); last == 1 {
			return raw
		}
	}
}

// packedClasses are faults of compressed archives, and formats that are not opened.
func packedClasses() []class {
	return slices.Concat(gzipClasses(), zstdClasses(), otherClasses(), hiddenClasses())
}

func gzipClasses() []class {
	faulty := func(name, want string, fault func(g *gen, m *member)) class {
		return class{name: name, want: want, build: func(g *gen) []byte {
			m := newMember(g.tar().bytes())
			fault(g, m)
			return m.bytes()
		}}
	}
	whole := func(name, want string, change func(g *gen, raw []byte) []byte) class {
		return class{name: name, want: want, build: func(g *gen) []byte { return change(g, gzipped(g.tar().bytes())) }}
	}
	return []class{
		faulty("gzip-crc", "CRC-32", func(g *gen, m *member) { m.crc ^= 1 << g.IntN(32) }),
		faulty("gzip-size", "CRC-32", func(g *gen, m *member) { m.size += 1 + g.Uint32N(1<<31) }),
		faulty("gzip-method", "has the method", func(g *gen, m *member) { m.method = byte(g.IntN(8)) }),
		faulty("gzip-extra", "the flags", func(_ *gen, m *member) { m.flags, m.extra = 4, []byte("\x06\x00BC\x02\x00ab") }),
		faulty("gzip-comment", "the flags", func(_ *gen, m *member) { m.flags, m.extra = 16, []byte("comment\x00") }),
		faulty("gzip-header-crc", "the flags", func(_ *gen, m *member) { m.flags, m.extra = 2, []byte("ab") }),
		faulty("gzip-reserved-flags", "the flags", func(g *gen, m *member) { m.flags = choose[byte](g, 32, 64, 128, 1) }),
		faulty("gzip-long-name", "name that is too long", func(g *gen, m *member) {
			m.flags, m.extra = 8, append(bytes.Repeat([]byte{'x'}, 241+g.IntN(1000)), 0)
		}),
		faulty("gzip-name-control", "control character", func(g *gen, m *member) {
			m.flags, m.extra = 8, []byte(choose(g, "\x01", "a\x1b[2J", "PK\x05\x06", "a\nb")+"\x00")
		}),
		faulty("gzip-broken", "cannot be unpacked", func(_ *gen, m *member) { m.data[0] |= 6 }),
		whole("gzip-two-members", "bytes after the gzip member", func(g *gen, raw []byte) []byte { return append(raw, gzipped(g.tar().bytes())...) }),
		whole("gzip-suffix", "bytes after the gzip member", func(g *gen, raw []byte) []byte { return append(raw, choose(g, g.junk(), make([]byte, 512))...) }),
		whole("gzip-truncated", "was it cut off", func(g *gen, raw []byte) []byte { return raw[:len(raw)-1-g.IntN(len(raw)-20)] }),
		{name: "gzip-split-tar", want: "bytes after the gzip member", build: func(g *gen) []byte {
			raw := g.tar().bytes()
			at := g.IntN(len(raw))
			return append(gzipped(raw[:at]), gzipped(raw[at:])...)
		}},
		{name: "gzip-of-no-tar", want: "holds no tar archive", build: func(g *gen) []byte {
			return gzipped(choose(g, g.content(), g.zip().bytes(), gzipped(g.tar().bytes()), nil, []byte("console.log(1)")))
		}},
		{name: "gzip-bomb", want: "expected at most 50 to 1", build: func(g *gen) []byte {
			return gzipped(newTar(newTarFile("zeros", make([]byte, 2<<20+g.IntN(1<<20)))).bytes())
		}},
		{name: "gzip-hides-zip", want: "ends like a zip archive", build: func(g *gen) []byte {
			inside := g.zip()
			for _, f := range inside.files { // what packs badly stays as it is
				f.local.time = uint16(g.IntN(1 << 16))
			}
			tar := newTar(newTarFile("last", inside.bytes())).bytes()
			m := newMember(tar)
			m.data = storedBlocks(tar)
			return m.bytes()
		}},
	}
}

// storedBlocks is deflate data that is not packed.
func storedBlocks(content []byte) []byte {
	var raw []byte
	for len(content) > 0 {
		block := content[:min(len(content), 0xffff)]
		content = content[len(block):]
		last := byte(0)
		if len(content) == 0 {
			last = 1
		}
		n := uint16(len(block))
		raw = append(append16(append(raw, last), n, ^n), block...)
	}
	return raw
}

func zstdClasses() []class {
	whole := func(name, want string, change func(g *gen, raw []byte) []byte) class {
		return class{name: name, want: want, build: func(g *gen) []byte { return change(g, zstdFrame(g.tar().bytes())) }}
	}
	framed := func(name, want string, header func(g *gen, size uint32) []byte) class {
		return class{name: name, want: want, build: func(g *gen) []byte {
			tar := g.tar().bytes()
			return rawFrame(header(g, uint32(len(tar))), tar)
		}}
	}
	return []class{
		whole("zstd-skippable-first", "starts with a skippable frame", func(g *gen, raw []byte) []byte { return append(skippable(g), raw...) }),
		whole("zstd-skippable-last", "bytes after the zstd frame", func(g *gen, raw []byte) []byte { return append(raw, skippable(g)...) }),
		whole("zstd-skippable-between", "bytes after the zstd frame", func(g *gen, raw []byte) []byte { return append(append(raw, skippable(g)...), zstdFrame(nil)...) }),
		whole("zstd-suffix", "bytes after the zstd frame", func(g *gen, raw []byte) []byte { return append(raw, g.junk()...) }),
		whole("zstd-truncated", "was it cut off", func(g *gen, raw []byte) []byte { return raw[:len(raw)-1-g.IntN(len(raw)-10)] }),
		whole("zstd-checksum", "cannot be unpacked", func(g *gen, raw []byte) []byte {
			raw[len(raw)-1-g.IntN(4)] ^= 1 << g.IntN(8)
			return raw
		}),
		whole("zstd-two-archives", "bytes after the zstd frame", func(g *gen, raw []byte) []byte { return append(raw, zstdFrame(g.tar().bytes())...) }),
		{name: "zstd-split-tar", want: "bytes after the zstd frame", build: func(g *gen) []byte {
			raw := g.tar().bytes()
			at := g.IntN(len(raw))
			return append(zstdFrame(raw[:at]), zstdFrame(raw[at:])...)
		}},
		framed("zstd-dictionary", "no dictionary", func(g *gen, size uint32) []byte {
			return append(append([]byte{0xa0 | byte(1+g.IntN(3))}, 7, 7, 7, 7), append32(nil, size)...)
		}),
		framed("zstd-reserved-bit", "no reserved bits", func(g *gen, size uint32) []byte { return append32([]byte{0xa0 | choose[byte](g, 8, 16, 24)}, size) }),
		framed("zstd-window", "window of", func(g *gen, _ uint32) []byte { return []byte{0, byte(13<<3 + 1 + g.IntN(140))} }),
		framed("zstd-window-single", "window of", func(g *gen, _ uint32) []byte { return append32([]byte{0xa0}, 8<<20+1+g.Uint32N(1<<30)) }),
		framed("zstd-size-lies", "cannot be unpacked", func(g *gen, size uint32) []byte { return append32([]byte{0xa0}, size-1-g.Uint32N(1000)) }),
		{name: "zstd-reserved-block", want: "reserved type", build: func(g *gen) []byte {
			return append([]byte("\x28\xb5\x2f\xfd\x00\x58"), append32(nil, uint32(g.IntN(1000))<<3|6|uint32(g.IntN(2)))[:3]...)
		}},
		{name: "zstd-of-no-tar", want: "holds no tar archive", build: func(g *gen) []byte {
			return zstdFrame(choose(g, g.content(), g.zip().bytes(), zstdFrame(g.tar().bytes()), []byte("console.log(1)")))
		}},
		{name: "zstd-bomb", want: "expected at most 50 to 1", build: func(g *gen) []byte {
			return zstdFrame(newTar(newTarFile("zeros", make([]byte, 2<<20+g.IntN(1<<20)))).bytes())
		}},
		{name: "zstd-hides-zip", want: "ends like a zip archive", build: func(g *gen) []byte {
			return rawFrame([]byte{0, 0x58}, newTar(newTarFile("last", g.zip().bytes())).bytes())
		}},
	}
}

// otherClasses: archives of other kinds, which nobody looks into here.
func otherClasses() []class {
	starts := func(name, want, magic string) class {
		return class{name: name, want: want, build: func(g *gen) []byte { return append([]byte(magic), g.junk()...) }}
	}
	return []class{
		starts("xz", "xz, expected zip", "\xfd7zXZ\x00\x00\x04"),
		starts("bzip2", "bzip2, expected zip", "BZh91AY&SY"),
		starts("7z", "7z archive, expected zip", "7z\xbc\xaf\x27\x1c\x00\x04"),
		starts("rar", "rar archive, expected zip", "Rar!\x1a\x07\x01\x00"),
		starts("lz4", "lz4, expected zip", "\x04\x22\x4d\x18"),
		starts("lzip", "lzip, expected zip", "LZIP\x01"),
		{name: "zip64-behind-file", want: "ends like a zip archive", build: func(g *gen) []byte {
			record := binary.LittleEndian.AppendUint64(append32([]byte("PK\x06\x07"), 0), g.Uint64N(1000))
			record = append32(record, 1)
			return append(append(g.junk(), record...), "PK\x05\x06\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"...)
		}},
	}
}
