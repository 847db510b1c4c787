// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/windlass-dev/windlass/internal/artifact"
)

// zip makes a good archive.
func (g *gen) zip() *zipArchive {
	a := &zipArchive{}
	for _, name := range g.paths() {
		var f *zipFile
		switch {
		case isFolder(name):
			f = newZipFile(name, nil, stored)
		case g.IntN(3) == 0:
			f = newZipFile(name, g.content(), stored)
		default:
			f = newZipFile(name, g.content(), deflated)
			if g.IntN(2) == 0 {
				f.describe(g.IntN(2) == 0)
			}
		}
		a.files = append(a.files, f)
	}
	return a
}

// faultyZip makes an archive in which the fault is about one of the files.
func faultyZip(fault func(g *gen, a *zipArchive, f *zipFile)) func(*gen) []byte {
	return func(g *gen) []byte {
		a := g.zip()
		var files []*zipFile
		for _, f := range a.files {
			if !isFolder(f.local.name) {
				files = append(files, f)
			}
		}
		fault(g, a, files[g.IntN(len(files))])
		return a.bytes()
	}
}

// replace puts a file in the place of another, which keeps its name.
func (f *zipFile) replace(content []byte, method uint16) {
	*f = *newZipFile(f.local.name, content, method)
}

// zipClasses are faults of zip archives but for those of names.
func zipClasses() []class {
	return slices.Concat(zipFrame(), zipDirectory(), zipHeaders(), zipContents(), zipDescriptors(), zipExtras(), zipAttributes(), zipSizes())
}

// zipFrame: bytes that belong to nothing, and archives that are hidden in others.
func zipFrame() []class {
	return []class{
		{name: "zip-prefix", want: "starts like none", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			a.prefix = append([]byte(choose(g, "", "MZ", "#!/bin/sh\n", "<html>", "\x7fELF")), g.junk()...)
		})},
		{name: "zip-suffix", want: "bytes after the zip archive", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) { a.suffix = g.junk() })},
		{name: "zip-comment", want: "length of the comment", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			a.comment = choose(g, "x", "made by hand", string(g.junk()), string(g.zip().bytes()))
		})},
		{name: "zip-entry-comment", want: "comment of the length", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) { f.central.comment = string(g.junk()) })},
		{name: "zip-gap-between-entries", want: "expected the next entry", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			a.files[1+g.IntN(len(a.files)-1)].gap = g.junk()
		})},
		{name: "zip-gap-before-directory", want: "expected the next entry", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) { a.before = g.junk() })},
		{name: "zip-gap-after-directory", want: "expected the end of the zip directory", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) { a.after = append(g.junk(), g.junk()...) })},
		{name: "zip-two-archives", want: "bytes after the zip archive", build: func(g *gen) []byte { return append(g.zip().bytes(), g.zip().bytes()...) }},
		{name: "zip-spanned", want: "starts like none", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			a.prefix = []byte(choose(g, "PK\x07\x08", "PK00PK\x07\x08"))
			a.prefix = append(a.prefix, make([]byte, g.IntN(4))...)
		})},
		{name: "zip-behind-file", want: "starts like none", build: func(g *gen) []byte {
			a := g.zip()
			if g.variant%2 == 0 { // with offsets as if it began at the start of the file, or at its own
				a.prefix = bytes.Repeat([]byte("console.log(1);\n"), 1+g.IntN(20_000))
				return a.bytes()
			}
			return append(bytes.Repeat([]byte("console.log(1);\n"), 1+g.IntN(20_000)), a.bytes()...)
		}},
		{name: "zip-truncated", want: "was it cut off", build: func(g *gen) []byte {
			raw := (&zipArchive{files: []*zipFile{newZipFile("a", g.content(), deflated), newZipFile("b", g.content(), deflated)}}).bytes()
			return raw[:len(raw)-1-g.IntN(len(raw)-40)]
		}},
	}
}

// zipDirectory: a directory that does not list what is there.
func zipDirectory() []class {
	return []class{
		{name: "zip-directory-order", want: "expected", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			a.directory = slices.Clone(a.files)
			i := g.IntN(len(a.files) - 1)
			a.directory[i], a.directory[i+1] = a.directory[i+1], a.directory[i]
		})},
		{name: "zip-hidden-entry", want: "expected", build: faultyZip(func(_ *gen, a *zipArchive, f *zipFile) {
			a.directory = slices.DeleteFunc(slices.Clone(a.files), func(other *zipFile) bool { return other == f })
		})},
		{name: "zip-phantom-entry", want: "lists more than", build: faultyZip(func(g *gen, a *zipArchive, f *zipFile) {
			phantom := *f
			phantom.central.name = g.word()
			a.directory = append(slices.Clone(a.files), &phantom)
		})},
		{name: "zip-overlap", want: "offset", build: faultyZip(func(_ *gen, a *zipArchive, f *zipFile) {
			at := uint32(0)
			f.central.offset = &at
			if f == a.files[0] {
				at = 7
			}
		})},
		{name: "zip-overlap-inside", want: "expected", build: func(g *gen) []byte { // Fifield's better zip bomb: one content, many names
			kernel := newZipFile(g.word(), g.content(), stored)
			outer := newZipFile("outer", kernel.local.appendLocal(nil), stored)
			a := &zipArchive{files: []*zipFile{outer}}
			a.bytes()
			kernel.at = uint32(30 + len("outer"))
			a.directory = []*zipFile{outer, kernel}
			a.before = kernel.data
			return a.bytes()
		}},
		{name: "zip-end-record", want: "zip archive ends with a", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			a.end = func(record []byte) {
				at := choose(g, 4, 6, 8, 10, 12, 14, 16, 18, 20)
				binary.LittleEndian.PutUint16(record[at:], binary.LittleEndian.Uint16(record[at:])+uint16(1+g.IntN(1000)))
			}
		})},
		{name: "zip-directory-signature", want: "expected", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			a.before = choose(g, []byte("PK\x06\x08\x04\x00\x00\x00abcd"), []byte("PK\x05\x05\x02\x00ab"), []byte("PK\x06\x06"+strings.Repeat("\x00", 52)))
		})},
		{name: "zip64-end-record", want: "zip64", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			where := append32([]byte("PK\x06\x07"), 0, 0, 0, 1)
			a.after = append(append([]byte("PK\x06\x06\x2c"), make([]byte, 51)...), where...)
			if g.variant%2 == 0 {
				a.end = func(record []byte) { copy(record[8:], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") }
			}
		})},
	}
}

// zipHeaders: a directory that says something else of an entry than the entry itself.
func zipHeaders() []class {
	central := func(name, want string, change func(g *gen, h *zipHeader)) class {
		return class{name: name, want: want, build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) { change(g, &f.central) })}
	}
	some := func(g *gen) uint32 { return 1 + g.Uint32N(1<<20) }
	return []class{
		central("zip-other-name", "in the zip directory", func(g *gen, h *zipHeader) {
			h.name = choose(g, "../"+h.name, h.name+"x", strings.ToUpper(h.name), "", "/etc/passwd", h.name[1:], h.name+"\x00", strings.Repeat("x", 5000))
		}),
		central("zip-other-method", "method", func(_ *gen, h *zipHeader) { h.method ^= deflated }),
		central("zip-other-flags", "flags", func(g *gen, h *zipHeader) { h.flags ^= 1 << choose(g, 1, 2, 3, 11) }),
		central("zip-other-time", "0x", func(g *gen, h *zipHeader) {
			if g.variant%2 == 0 {
				h.time ^= 1 << g.IntN(16)
			} else {
				h.date ^= 1 << g.IntN(16)
			}
		}),
		central("zip-other-crc", "CRC-32", func(g *gen, h *zipHeader) { h.crc ^= 1 << g.IntN(32) }),
		central("zip-other-packed-size", "packed size", func(g *gen, h *zipHeader) { h.packed += some(g) }),
		central("zip-other-size", "has the size", func(g *gen, h *zipHeader) { h.size += some(g) }),
		central("zip-other-disk", "disk number", func(g *gen, h *zipHeader) { h.disk = uint16(1 + g.IntN(0xffff)) }),
		central("zip-internal-attributes", "internal attributes", func(g *gen, h *zipHeader) { h.internal = 1 << (1 + g.IntN(15)) }),
		central("zip-version-in-directory", "needs version", func(g *gen, h *zipHeader) { h.version = choose[uint16](g, 46, 51, 61, 62, 63, 0xff, 0x300) }),
		{name: "zip-version", want: "needs version", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.both(func(h *zipHeader) { h.version = choose[uint16](g, 46, 50, 51, 52, 61, 62, 63, 99, 0xffff) })
		})},
		{name: "zip-encrypted", want: "is encrypted", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.both(func(h *zipHeader) { h.flags |= 1 | choose[uint16](g, 0, 1<<6, 1<<13) })
		})},
		{name: "zip-flags", want: "has the flags", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.both(func(h *zipHeader) { h.flags |= 1 << choose(g, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15) })
		})},
		{name: "zip-method", want: "is compressed by method", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.both(func(h *zipHeader) { h.method = choose[uint16](g, 9, 1, 6, 12, 14, 20, 93, 95, 96, 97, 98, 99, 0xffff) })
		})},
		{name: "zip64-markers", want: "zip64", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(g.content(), choose[uint16](g, stored, deflated))
			f.both(func(h *zipHeader) {
				h.extra = append32(append16(nil, 1, 16), h.size, 0, h.packed, 0)
				h.size, h.packed = 0xffffffff, choose(g, h.packed, 0xffffffff)
			})
		})},
	}
}

// zipContents: content that is not what the headers say.
func zipContents() []class {
	return []class{
		{name: "zip-wrong-crc", want: "has the CRC-32", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(g.content(), choose[uint16](g, stored, deflated))
			f.both(func(h *zipHeader) { h.crc ^= 1 << g.variant })
		})},
		{name: "zip-damaged-content", want: "the same", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(g.content(), stored)
			f.data[g.IntN(len(f.data))] ^= 1 << g.IntN(8)
		})},
		{name: "zip-size-lies", want: "expected the same", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(append(g.content(), "tail"...), deflated)
			f.both(func(h *zipHeader) { h.size += choose[uint32](g, 1, 2, 100, 0xffffffff, 0xfffffffe) })
		})},
		{name: "zip-stored-sizes-differ", want: "expected the same", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(g.content(), stored)
			f.both(func(h *zipHeader) { h.size += 1 + g.Uint32N(1000) })
		})},
		{name: "zip-deflate-ends-early", want: "claims", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(g.content(), deflated)
			f.data = append(f.data, g.junk()...)
			f.both(func(h *zipHeader) { h.packed = uint32(len(f.data)) })
		})},
		{name: "zip-deflate-ends-late", want: "claims", build: faultyZip(func(g *gen, a *zipArchive, f *zipFile) {
			f.replace(g.content(), deflated)
			f.both(func(h *zipHeader) { h.packed -= min(h.packed, 1+g.Uint32N(4)) })
			a.files = []*zipFile{f}
		})},
		{name: "zip-deflate-broken", want: "cannot be unpacked", build: faultyZip(func(g *gen, a *zipArchive, f *zipFile) {
			f.replace(append(bytes.Repeat(g.content(), 3), "the end"...), deflated)
			f.data[0] |= 6 // a block of the reserved type
			a.files = []*zipFile{f}
		})},
	}
}

// zipDescriptors: sizes behind the content that are wrong, or cannot be found there.
func zipDescriptors() []class {
	return []class{
		{name: "zip-descriptor-lies", want: "expected the same", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(g.content(), deflated)
			f.describe(true)
			f.descriptor[choose(g, 4, 8, 12, 5, 9, 13)] ^= 1 << g.IntN(8)
		})},
		{name: "zip-descriptor-and-header-differ", want: "before its content than after", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(g.content(), deflated)
			f.describe(g.variant%2 == 0)
			f.local.crc, f.local.packed, f.local.size = f.central.crc, f.central.packed, f.central.size
			*choose(g, &f.local.crc, &f.local.packed, &f.local.size) += 1 + g.Uint32N(100)
		})},
		{name: "zip-descriptor-missing", want: "expected", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(g.content(), deflated)
			f.describe(true)
			f.descriptor = f.descriptor[:choose(g, 0, 4, 8, 12, 15)]
		})},
		{name: "zip-descriptor-ambiguous", want: "expected", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(collide(g), deflated) // its checksum is the signature of a descriptor, which is left out
			f.describe(false)
		})},
		{name: "zip-stored-with-descriptor", want: "after the content", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(g.content(), stored)
			f.describe(g.variant%2 == 0)
		})},
		{name: "zip-folder-with-content", want: "is a folder with content", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			f := newZipFile("more/", g.content(), choose[uint16](g, stored, deflated))
			if f.local.method == deflated && g.IntN(2) == 0 {
				f.describe(true)
			}
			a.files = append(a.files, f)
		})},
		{name: "zip-empty-file-with-content", want: "expected the same", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(g.content(), deflated)
			f.both(func(h *zipHeader) { h.size, h.crc = 0, 0 })
		})},
	}
}

// collide makes content whose CRC-32 is the signature of a data descriptor: four bytes at its end bend it.
func collide(g *gen) []byte {
	content := append(g.content(), 0, 0, 0, 0)
	bend(content, 0x08074b50)
	return content
}

// zipExtras: extra fields that could change what an entry is.
func zipExtras() []class {
	field := func(id uint16, data []byte) []byte { return append(append16(nil, id, uint16(len(data))), data...) }
	both := func(name, want string, extra func(g *gen, h *zipHeader) []byte) class {
		return class{name: name, want: want, build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			seed := g.Uint64()
			f.both(func(h *zipHeader) {
				h.extra = extra(&gen{rand.New(rand.NewPCG(seed, 0)), g.variant}, h)
			})
			if g.variant%3 == 2 { // in one place only
				choose(&gen{variant: g.variant / 3}, &f.local, &f.central).extra = nil
			}
		})}
	}
	path := func(id uint16, name string, crc uint32) []byte {
		return field(id, append(append32([]byte{1}, crc), name...))
	}
	return []class{
		both("zip-extra-other-path", "extra field 0x7075", func(g *gen, h *zipHeader) []byte {
			return path(0x7075, choose(g, "../../evil", "other", strings.ToUpper(h.name), h.name+"\x00"), sum(h.name))
		}),
		both("zip-extra-path-checksum", "extra field 0x7075", func(_ *gen, h *zipHeader) []byte { return path(0x7075, h.name, sum(h.name)+1) }),
		both("zip-extra-unicode-comment", "extra field 0x6375", func(*gen, *zipHeader) []byte { return path(0x6375, "comment", 0) }),
		both("zip-extra-aes", "extra field 0x9901", func(*gen, *zipHeader) []byte { return field(0x9901, []byte("\x02\x00AE\x03\x08\x00")) }),
		both("zip-extra-link", "expected only times and owners", func(g *gen, _ *zipHeader) []byte {
			return field(choose[uint16](g, 0x756e, 0x000d), []byte("\x00\x00\x00\x00\xff\xa1\x05\x00\x00\x00\x00\x00\x00\x00/etc/"))
		}),
		both("zip-extra-zip64", "extra field of zip64", func(g *gen, h *zipHeader) []byte {
			return field(1, append32(nil, h.size, 0, h.packed, 0)[:choose(g, 16, 8, 0, 16)])
		}),
		both("zip-extra-unknown", "expected only times and owners", func(g *gen, _ *zipHeader) []byte {
			return field(choose[uint16](g, 7, 8, 9, 0xc, 0xf, 0x14, 0x17, 0x2605, 0x4453, 0x6542, 0x7441, 0xd935, 0xfb4a, 0xffff), g.junk()[:1])
		}),
		both("zip-extra-cut-off", "is cut off", func(g *gen, _ *zipHeader) []byte {
			good := field(0x5455, []byte("\x01abcd"))
			return choose(g, good[:len(good)-1], good[:3], good[:1], append(good, 0), field(0x5455, nil)[:2], append16(nil, 0x5455, 0xffff))
		}),
		both("zip-extra-twice", "twice", func(*gen, *zipHeader) []byte {
			good := field(0x5455, []byte("\x01abcd"))
			return append(good, good...)
		}),
		both("zip-extra-content", "content that is not allowed", func(g *gen, _ *zipHeader) []byte {
			return choose(g, field(0x5455, []byte("\x01abcdefg")), field(0x5455, nil), field(0x7875, []byte("\x01\x04abcd\x04ab")), field(0x7875, []byte("\x02\x01a\x01a")),
				field(0xcafe, []byte("x")), field(0x000a, []byte("short")), field(0x5855, []byte("odd")), field(0x7855, []byte("longer")))
		}),
		both("zip-extra-large", "bytes of extra fields", func(g *gen, _ *zipHeader) []byte { return field(0x5455, make([]byte, 1021+g.IntN(60_000))) }),
	}
}

// zipAttributes: entries that are neither files nor folders.
func zipAttributes() []class {
	external := func(name, want string, values ...uint32) class {
		return class{name: name, want: want, build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) { f.central.external = choose(g, values...) })}
	}
	return []class{
		external("zip-symlink", "symbolic link", 0o120777<<16, 0o120644<<16, 0o120000<<16, 0o120777<<16|0x20),
		external("zip-device", "special file", 0o020666<<16, 0o060660<<16, 0o010644<<16, 0o140755<<16, 0o160644<<16, 0o110644<<16),
		external("zip-setuid", "setuid", 0o104755<<16, 0o102755<<16, 0o101777<<16, 0o107777<<16, 0o4755<<16),
		external("zip-reparse-point", "reparse point", 0x400, 0x420, 0x08, 0x40, 0o100644<<16|0x400),
		external("zip-file-as-folder", "expected a folder if its name ends with a slash", 0o040755<<16, 0x10, 0o100644<<16|0x10, 0o040755<<16|0x10),
		{name: "zip-folder-as-file", want: "expected a folder if its name ends with a slash", build: faultyZip(func(_ *gen, a *zipArchive, _ *zipFile) {
			a.files[1].central.external = 0o100755 << 16
		})},
		{name: "zip-system", want: "was made on the system", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.central.madeBy = choose[uint16](g, 1, 2, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 18, 30, 255)<<8 | 20
		})},
	}
}

// zipSizes: archives that are too much.
func zipSizes() []class {
	return []class{
		{name: "zip-bomb-entry", want: "is a bomb", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(make([]byte, 2<<20+g.IntN(2<<20)), deflated)
			if g.variant%2 == 0 {
				f.describe(true)
			}
		})},
		{name: "zip-bomb-total", want: "expected at most 50 to 1", build: func(g *gen) []byte {
			a := &zipArchive{}
			for i := range 8 {
				a.files = append(a.files, newZipFile(fmt.Sprint(i), make([]byte, 300_000+g.IntN(100_000)), deflated))
			}
			return a.bytes()
		}},
		{name: "zip-too-large", want: "which is the limit", limits: artifact.Limits{Unpacked: 20_000}, build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			for i := range 10 {
				f := newZipFile(fmt.Sprint("more/", i), bytes.Repeat(g.content()[:1], 3000), deflated)
				if g.variant%2 == 0 {
					f.describe(true)
				}
				a.files = append(a.files, f)
			}
		})},
		{name: "zip-claims-too-much", want: "which is the limit", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.replace(g.content(), deflated)
			f.both(func(h *zipHeader) { h.size = 512<<20 + 1 + g.Uint32N(1<<30) })
		})},
		{name: "zip-too-many", want: "files and folders, which is the limit", build: func(g *gen) []byte {
			a := &zipArchive{}
			for i := range 20_001 {
				a.files = append(a.files, newZipFile(choose(g, fmt.Sprint(i), fmt.Sprint("d/", i)), nil, stored))
			}
			return a.bytes()
		}},
		{name: "zip-too-many-folders", want: "files and folders, which is the limit", limits: artifact.Limits{Entries: 100}, build: func(g *gen) []byte {
			a := &zipArchive{}
			for range 60 {
				a.files = append(a.files, newZipFile(fmt.Sprintf("%d/%d/f", g.Uint64(), g.Uint64()), nil, stored))
			}
			return a.bytes()
		}},
	}
}
