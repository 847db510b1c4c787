// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"strings"
)

// hiddenClasses: archives in files that seem to be something else, for programs that look elsewhere than at the first bytes.
func hiddenClasses() []class {
	return append(formats(),
		class{name: "blanks-before-archive", want: "behind zeros or blanks", build: func(g *gen) []byte {
			skip := choose(g, "\x00", "\n", " \t\r\n", "\x00 ")
			front := strings.Repeat(skip, choose(g, 1, 512, 1024, 1<<20))
			tar := g.tar().bytes()
			return append([]byte(front), choose(&gen{variant: g.IntN(4)}, tar, gzipped(tar), zstdFrame(tar), []byte("7z\xbc\xaf\x27\x1c"))...)
		}},
		class{name: "zip-end-odd", want: "ends like a zip archive", build: func(g *gen) []byte {
			a := &zipArchive{prefix: bytes.Repeat([]byte("more();\n"), 1+g.IntN(2000)), files: []*zipFile{newZipFile("index.js", g.content(), deflated)}}
			a.end = func(record []byte) { // counts and disks that some programs do not look at
				copy(record[4:], choose(g, "\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x01\x00", "\x01\x00\x01\x00\x01\x00\x01\x00", "\xff\xff\xff\xff\x01\x00\xff\xff"))
				copy(record[20:], choose(g, "\x00\x00", "\x10\x00", "\xff\xff"))
			}
			if g.IntN(2) == 0 {
				return a.bytes()
			}
			return newTar(newTarFile("index.js", nil), newTarFile("last", a.bytes())).bytes()
		}},
		class{name: "zip64-in-plain", want: "ends like a zip archive", build: func(g *gen) []byte {
			return append(append(g.content(), zip64Records(0)...), choose(g, "", "\n", "more", strings.Repeat("x", 60_000))...)
		}},
		class{name: "zip64-in-owner", want: "extra field 0x7875", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			f := a.files[len(a.files)-1] // the locator ends where the end record starts
			record := zip64Records(choose[uint32](g, 0, 30, 1000))
			f.central.extra = append(append16(nil, 0x7875, uint16(3+len(record))), append([]byte{1, 0, byte(len(record))}, record...)...)
		})},
		class{name: "zip64-in-times", want: "content that is not allowed", build: faultyZip(func(_ *gen, a *zipArchive, _ *zipFile) {
			f := a.files[len(a.files)-1]
			f.central.extra = append(append16(nil, 0x000a, 32, 0, 0, 1, 24), zip64Records(0)[52:76]...)
		})},
		class{name: "zip-sign-in-directory", want: "within its fields", build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			sign := choose(g, "PK\x05\x06", "PK\x06\x06", "PK\x06\x07")
			extra := append(append16(nil, 0x5855, 12), (sign + "\xff\xff\xff\xff\xff\xff\xff\xff")[:12]...)
			a.files[len(a.files)-1].both(func(h *zipHeader) { h.extra = extra })
		})},
		class{name: "zip64-in-stored", want: "a record of zip64", build: func(g *gen) []byte {
			a := g.zip()
			a.files = append(a.files, newZipFile("last", append(append(g.content(), zip64Records(0)...), g.content()...), stored))
			return a.bytes()
		}},
		class{name: "zip-is-tar", want: "a tar archive as well", build: func(g *gen) []byte {
			return alsoTar(g, "index.js")
		}},
		class{name: "tar-is-cpio", want: "perhaps a cpio archive", build: func(g *gen) []byte {
			return newTar(newTarFile(choose(g, "070707", "070701", "070702")+strings.Repeat("0", 70), g.content())).bytes()
		}},
	)
}

// zip64Records are the end of a large directory at an offset, the record that leads there, and some zeros for fields beside them.
func zip64Records(at uint32) []byte {
	raw := append32([]byte("PK\x06\x06"), 44, 0, 45|45<<16, 0, 0, 1, 0, 1, 0, 46, 0, at, 0)
	return append32(append(raw, "PK\x06\x07"...), 0, at, 0, 1)
}

// alsoTar is a zip archive whose first block is a tar header with the right checksum: it is tried until the CRC-32, which is in
// that block, and the sum fit.
func alsoTar(g *gen, name string) []byte {
	inner := newTar(newTarFile("index.js", g.content())).bytes()
	head := 30 + len(name)
	for sum := 6000; ; {
		block := newTarFile("x", nil).header()
		copy(block[265:], fmt.Sprintf("%010d", g.IntN(1_000_000_000)))
		copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
		raw := (&zipArchive{files: []*zipFile{newZipFile(name, append(block[head:], inner...), stored)}}).bytes()
		signed := bytes.Clone(raw[:blockSize])
		if SignTar(signed); bytes.Equal(signed, raw[:blockSize]) {
			return raw
		}
		_, _ = fmt.Sscanf(string(signed[148:154]), "%o", &sum) // is near what comes next
	}
}

// formats are first bytes that nothing may start with.
func formats() []class {
	starts := func(name, want string, magics ...string) class {
		return class{name: name, want: want, build: func(g *gen) []byte {
			return append([]byte(choose(g, magics...)), bytes.Repeat(g.junk(), 20)...)
		}}
	}
	return []class{
		starts("lzma", "with lzma", "]\x00\x00\x80\x00"+strings.Repeat("\xff", 8)+"\x00", "]\x00\x00\x04\x00"+"\x00\x10\x00\x00\x00\x00\x00\x00"+"\x00", "\x00\x00\x00\x18\x00"+strings.Repeat("\xff", 8)+"\x00"),
		{name: "zlib", want: "with zlib", build: func(g *gen) []byte {
			var buf bytes.Buffer
			w, _ := zlib.NewWriterLevel(&buf, choose(g, 9, 0, 1, 3)) // the levels are right
			_, _ = w.Write(g.tar().bytes())                          // to memory
			_ = w.Close()
			return buf.Bytes()
		}},
		starts("skippable", "skippable frame", "\x50*M\x18\x04\x00\x00\x00", "\x57*M\x18\x00\x00\x00\x00", "\x5f*M\x18\x01\x00\x00\x00"),
		starts("lz4-legacy", "with lz4", "\x02\x21\x4c\x18"),
		starts("compressed", "it is compressed", "\x1f\x9d\x90", "\x1f\x1e", "\x1f\xa0", "\x89LZO\x00\r\n\x1a\n", "LRZI\x00\x06", "\xff\x06\x00\x00sNaPpY", "bvx2", "bvx-",
			"BZh9\x17\x72\x45\x38\x50\x90"),
		starts("cpio", "cpio", "070701", "070702", "070707", "\xc7\x71", "\x71\xc7"),
		starts("ar", "ar archive", "!<arch>\n", "!<thin>\n"),
		starts("squashfs", "squashfs", "hsqs", "sqsh"),
		starts("other", "expected zip, tar", "xar!\x00\x1c", "MSCF\x00\x00\x00\x00", "MSWIM\x00\x00\x00", "\x20\x08-lh5-", "\x60\xea", "1234567**ACE**", "zPQ\x02", "AA01\x20\x00", "pbze\x00",
			"\xed\xab\xee\xdb", "ITSF\x03\x00\x00\x00"),
	}
}
