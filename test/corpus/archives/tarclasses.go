// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/windlass-dev/windlass/internal/artifact"
)

// tar makes a good archive.
func (g *gen) tar() *tarArchive {
	a := newTar()
	way := g.IntN(3)
	for _, name := range g.paths() {
		f := newTarFile(name, nil)
		if !isFolder(name) {
			f.data = g.content()
		}
		a.files = append(a.files, f)
		a.name(f, name, way)
	}
	return a
}

// faultyTar makes an archive in which the fault is about one of the files.
func faultyTar(fault func(g *gen, a *tarArchive, f *tarFile)) func(*gen) []byte {
	return func(g *gen) []byte {
		a := newTar()
		var files []*tarFile
		for _, name := range g.paths() {
			f := newTarFile(name, nil)
			if a.files = append(a.files, f); !isFolder(name) {
				f.data = g.content()
				files = append(files, f)
			}
		}
		fault(g, a, files[g.IntN(len(files))])
		return a.bytes()
	}
}

// tarClasses are faults of tar archives but for those of names.
func tarClasses() []class { return slices.Concat(tarTypes(), tarHeaders(), tarPAX(), tarFrame()) }

// tarTypes: entries that are neither files nor folders.
func tarTypes() []class {
	kind := func(name string, kinds ...byte) class {
		return class{name: name, want: "has the tar type", build: faultyTar(func(g *gen, _ *tarArchive, f *tarFile) {
			f.kind = choose(g, kinds...)
			if g.IntN(2) == 0 {
				f.data = nil
			}
		})}
	}
	link := func(name string, kind byte) class {
		return class{name: name, want: "target of a link", build: faultyTar(func(g *gen, _ *tarArchive, f *tarFile) {
			f.kind, f.data, f.link = kind, nil, choose(g, "/etc/passwd", "../../x", "index.html", ".", "a/b")
		})}
	}
	return []class{
		link("tar-symlink", '2'), link("tar-hard-link", '1'), link("tar-file-with-target", '0'),
		kind("tar-link-without-target", '1', '2'),
		kind("tar-device", '3', '4', '6'), kind("tar-contiguous", '7'), kind("tar-sparse", 'S'), kind("tar-volume", 'M', 'V'),
		kind("tar-gnu-other", 'D', 'K', 'N', 'X', 'A', 'I', 'E'), kind("tar-unknown-type", 'z', '8', '9', 1, 0x20, 0xff),
		{name: "tar-mode-type", want: "mode", build: faultyTar(func(g *gen, _ *tarArchive, f *tarFile) {
			f.mode = choose(g, "0120777", "0040755", "0020666", "0060666", "0010644", "0140644")
		})},
		{name: "tar-setuid", want: "setuid", build: faultyTar(func(g *gen, _ *tarArchive, f *tarFile) {
			f.mode = choose(g, "0004755", "0002755", "0001777", "0007777", "0104755")
		})},
		{name: "tar-folder-with-content", want: "is a folder with content", build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) {
			f := newTarFile("more/", g.content())
			a.files = append(a.files, f)
		})},
		{name: "tar-file-with-slash", want: "empty folder name", build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) {
			f := newTarFile("more/", g.content())
			f.kind, f.mode = choose[byte](g, '0', 0), "0000644"
			a.files = append(a.files, f)
		})},
	}
}

// tarHeaders: headers that programs read in different ways.
func tarHeaders() []class { return append(tarKinds(), tarFields()...) }

// tarKinds: headers of which it is not sure what they are.
func tarKinds() []class {
	return []class{
		{name: "tar-checksum", want: "wrong checksum", build: faultyTar(func(g *gen, a *tarArchive, f *tarFile) {
			if f == a.files[0] { // else it is no tar archive
				f = a.files[1]
			}
			f.after = func(block []byte) { block[choose(g, 0, 100, 124, 135, 148, 152, 156, 300, 400, 511)] ^= 1 << g.IntN(3) }
		})},
		{name: "tar-checksum-signed", want: "wrong checksum", build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) {
			f := newTarFile("ü-"+g.word(), g.content())
			f.after = func(block []byte) { // as old programs summed up, with bytes from -128 to 127
				sum := 0
				for i, c := range block {
					if i < 148 || i >= 156 {
						sum += int(int8(c))
					}
				}
				copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum+8*' '))
			}
			a.files = append(a.files, f)
		})},
		{name: "tar-magic", want: "has the format", build: faultyTar(func(g *gen, _ *tarArchive, f *tarFile) {
			f.magic = choose(g, "ustar\x0001", "ustar   ", "ustar  0", "USTAR\x0000", "ustar\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x00")
			f.name = "index.html"
		})},
		{name: "tar-v7", want: "old v7 kind", build: func(g *gen) []byte {
			a := newTar()
			for _, name := range g.paths() {
				f := newTarFile(name, nil)
				f.magic = ""
				a.files = append(a.files, f)
			}
			return a.bytes()
		}},
	}
}

// tarFields: fields that hold what they should not.
func tarFields() []class {
	before := func(name, want string, change func(g *gen, block []byte)) class {
		return class{name: name, want: want, build: faultyTar(func(g *gen, _ *tarArchive, f *tarFile) {
			f.before = func(block []byte) { change(g, block) }
		})}
	}
	return []class{
		before("tar-bytes-after-name", "after the end of its name", func(g *gen, block []byte) { copy(block[90:], choose(g, "x", "evil", "../..")) }),
		before("tar-bytes-after-prefix", "after the end of its name", func(g *gen, block []byte) { copy(block[400:], choose(g, "x", "evil", "../..")) }),
		before("tar-bytes-at-end", "after its last field", func(g *gen, block []byte) {
			copy(block[500:], choose(g, "tar\x00", "x", "\x00\x00\x00\x00\x00\x00\x00\x00tar\x00"))
		}),
		before("tar-gnu-prefix", "after its last field", func(g *gen, block []byte) {
			copy(block[257:], "ustar  \x00")
			copy(block[345:], choose(g, "prefix", "../..", "/etc"))
		}),
		before("tar-size", "octal digits", func(g *gen, block []byte) {
			copy(block[124:136], choose(g, "-0000000001\x00", "0x000000010\x00", "00000000009\x00", "1 2\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
				"\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "+0000000001\x00", "1\x00000000002\x00"))
		}),
		before("tar-mode", "octal digits", func(g *gen, block []byte) {
			copy(block[100:108], choose(g, "rw-r--r\x00", "-000644\x00", "\x80\x00\x00\x00\x00\x00\x01\xa4", "0000999\x00"))
		}),
		before("tar-number", "expected octal digits", func(g *gen, block []byte) {
			copy(block[choose(g, 108, 116, 329, 337):], choose(g, "-00001\x00", "\xff\xff\xff\xff\xff\xff\xff\xff", "abcdefg\x00", "0000008\x00", "0o00001\x00"))
		}),
		before("tar-time", "expected octal digits", func(g *gen, block []byte) {
			copy(block[136:148], choose(g, "-1\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "yesterday\x00\x00\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x80\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
		}),
	}
}

// tarPAX: headers in front of an entry that say more than its path and times.
func tarPAX() []class {
	insert := func(name, want string, headers func(g *gen, f *tarFile) []*tarFile) class {
		return class{name: name, want: want, build: faultyTar(func(g *gen, a *tarArchive, f *tarFile) { a.insert(f, headers(g, f)...) })}
	}
	record := func(name, want string, records ...string) class {
		return insert(name, want, func(g *gen, _ *tarFile) []*tarFile { return []*tarFile{pax('x', choose(g, records...))} })
	}
	raw := func(name, want string, texts ...string) class {
		return insert(name, want, func(g *gen, _ *tarFile) []*tarFile {
			f := pax('x')
			f.data = []byte(choose(g, texts...))
			return []*tarFile{f}
		})
	}
	first := func(name, want string, headers ...*tarFile) class {
		return class{name: name, want: want, build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) { a.insert(a.files[0], choose(g, headers...)) })}
	}
	return []class{
		first("tar-global-path", "about all entries", pax('g', "path=evil"), pax('g', "size=3"), pax('g', "linkpath=x"), pax('g', "comment=x", "path=x"), pax('g', "mtime=1"), pax('g', "GNU.sparse.name=x")),
		{name: "tar-global-later", want: "within the archive", build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) {
			a.insert(a.files[1+g.IntN(len(a.files)-1)], pax('g', choose(g, "comment=x", "path=y")))
		})},
		record("tar-pax-link", "with the record", "linkpath=/etc/passwd", "linkpath=", "linkpath=a"),
		record("tar-pax-sparse", "with the record", "GNU.sparse.major=1", "GNU.sparse.name=evil", "GNU.sparse.realsize=9", "GNU.sparse.map=0,1", "GNU.sparse.size=100", "SCHILY.realsize=100"),
		record("tar-pax-charset", "with the record", "hdrcharset=BINARY", "charset=ISO-IR 8859 1 1998", "hdrcharset=ISO-IR 10646 2000 UTF-8"),
		record("tar-pax-unknown", "with the record", "VENDOR.key=x", "PATH=x", "Path=evil", "GNU.volume.label=x", "SCHILY.filetype=sym", "MSWINDOWS.rawsd=AQ=="),
		record("tar-pax-size", "in its PAX header", "size=0", "size=1", "size=999999", "size=8589934592"),
		record("tar-pax-value", "which is not allowed", "size=-1", "size=0x10", "path=", "path=a\x00b", "mtime=now", "uid=root", "mtime=1e9", "gid=-1", "size=", "uname=a\x00b", "size=99999999999999999999"),
		insert("tar-pax-twice-in-one", "twice", func(g *gen, _ *tarFile) []*tarFile {
			return []*tarFile{pax('x', choose(g, "path=a", "mtime=1", "comment=x"), choose(g, "path=b", "mtime=2", "comment=y"))}
		}),
		insert("tar-pax-two-headers", "second header", func(g *gen, _ *tarFile) []*tarFile {
			return choose(g, []*tarFile{pax('x', "path=a"), pax('x', "path=b")}, []*tarFile{gnuPath("a"), pax('x', "path=b")},
				[]*tarFile{pax('x', "path=a"), gnuPath("b")}, []*tarFile{gnuPath("a"), gnuPath("b")})
		}),
		raw("tar-pax-broken", "broken record", "9 path=a", "path=a\n", "99 path=a\n", "08 path=a\n", "0 path=a\n", "-9 path=a\n", "9 path=aX", "6 path\n", "5 =a\n", "9  path=a\n",
			"99999999999 path=a\n", "9\tpath=a\n", "9 path=a\n\x00", "3 \n"),
		insert("tar-pax-gnu", "GNU's format", func(*gen, *tarFile) []*tarFile {
			f := pax('x', "path=a")
			f.magic = "ustar  \x00"
			return []*tarFile{f}
		}),
		insert("tar-pax-large", "bytes of header", func(g *gen, _ *tarFile) []*tarFile {
			return []*tarFile{pax('x', "comment="+strings.Repeat("x", 17_000+g.IntN(100_000)))}
		}),
		insert("tar-gnu-path", "not a GNU long name", func(g *gen, _ *tarFile) []*tarFile {
			f := gnuPath(choose(g, "a\x00b", "", "a\x00", "\x00a"))
			if g.variant >= 4 {
				f = gnuPath("good")
				f.magic = "ustar\x0000"
			}
			return []*tarFile{f}
		}),
		{name: "tar-header-without-entry", want: "ends after a header", build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) {
			a.files = append(a.files, choose(g, pax('x', "path=a"), gnuPath("b")))
		})},
	}
}

// tarFrame: bytes that belong to nothing, ends that are none, and archives that are too much.
func tarFrame() []class {
	padded := func(g *gen, a *tarArchive) *tarFile {
		f := newTarFile("padded", append(bytes.Repeat([]byte{'x'}, g.IntN(3)*blockSize), "more"...))
		a.files = append(a.files, f)
		return f
	}
	return []class{
		{name: "tar-padding", want: "bytes that belong to no entry", build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) { padded(g, a).pad = byte(1 + g.IntN(255)) })},
		{name: "tar-header-padding", want: "bytes that belong to no entry", build: faultyTar(func(g *gen, a *tarArchive, f *tarFile) {
			h := choose(g, pax('x', "path=a"), gnuPath("a"))
			h.pad = byte(1 + g.IntN(255))
			a.insert(f, h)
		})},
		{name: "tar-one-zero-block", want: "was it cut off", build: faultyTar(func(_ *gen, a *tarArchive, _ *tarFile) { a.end = a.end[:blockSize] })},
		{name: "tar-no-end", want: "was it cut off", build: faultyTar(func(_ *gen, a *tarArchive, _ *tarFile) { a.end = nil })},
		{name: "tar-zero-block-within", want: "and goes on", build: func(g *gen) []byte {
			a := g.tar()
			a.end = a.end[:blockSize]
			return append(a.bytes(), g.tar().bytes()...)
		}},
		{name: "tar-two-archives", want: "bytes after the tar archive", build: func(g *gen) []byte { return append(g.tar().bytes(), g.tar().bytes()...) }},
		{name: "tar-suffix", want: "bytes after the tar archive", build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) { a.end = append(a.end, g.junk()...) })},
		{name: "tar-odd-end", want: "bytes after the tar archive", build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) { a.end = append(a.end, make([]byte, 1+g.IntN(511))...) })},
		{name: "tar-much-padding", want: "bytes after the tar archive", build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) {
			a.end = append(a.end, make([]byte, (129+g.IntN(1000))*blockSize)...)
		})},
		{name: "tar-truncated", want: "was it cut off", build: func(g *gen) []byte {
			raw := g.tar().bytes()
			return raw[:blockSize+g.IntN(len(raw)-2*blockSize)]
		}},
		{name: "tar-size-lies", want: "was it cut off", build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) {
			f := a.files[len(a.files)-1]
			f.size = fmt.Sprintf("%011o", len(f.data)+(4+g.IntN(20))*blockSize)
		})},
		{name: "tar-claims-too-much", want: "which is the limit", build: faultyTar(func(g *gen, _ *tarArchive, f *tarFile) {
			f.size = choose(g, "77777777777", "777777777777", fmt.Sprintf("%011o", 512<<20+1))
		})},
		{name: "tar-too-large", want: "which is the limit", limits: artifact.Limits{Unpacked: 20_000}, build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) {
			for i := range 6 {
				a.files = append(a.files, newTarFile(fmt.Sprint("more/", i), bytes.Repeat(g.content()[:1], 4000)))
			}
		})},
		{name: "tar-too-many", want: "files and folders, which is the limit", limits: artifact.Limits{Entries: 100}, build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) {
			for i := range 110 {
				a.files = append(a.files, newTarFile(choose(g, fmt.Sprint("more/", i), fmt.Sprint("more/", i, "/")), nil))
			}
		})},
		{name: "tar-hides-zip", want: "ends like a zip archive", build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) {
			a.files = append(a.files, newTarFile("last", g.zip().bytes()))
		})},
	}
}
