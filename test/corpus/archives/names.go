// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// badNames are names that no archive may have, by what is wrong with them.
func badNames() []struct {
	class, want string
	names       []string
} {
	deep := strings.Repeat("d/", 33)
	return []struct {
		class, want string
		names       []string
	}{
		{"parent", "leads out of its folder", []string{"../evil", "../../../../etc/passwd", "a/../../evil", "a/..", "..", "a/b/../c", "../", "www/../../x/"}},
		{"absolute", "absolute path", []string{"/etc/passwd", "//server/share", "/../x", "/index.html", "/a/"}},
		{"backslash", "backslash", []string{`..\evil`, `a\b`, `\\server\share`, `a\..\..\evil`, `\`, `a/b\c`, `C\x`}},
		{"colon", "colon", []string{"C:/evil", "C:evil", "a:b", "index.html:hidden", "index.html::$DATA", "a/b:c/d"}},
		{"semicolon", "semicolon", []string{"index.js;1", "index.js;", ";1", "a;1/b", "a/x;12345", "x;y", "a;1;2"}},
		{"proto", "__proto__", []string{"__proto__", "a/__proto__", "__proto__/x", "a/__proto__/b"}},
		{"short", "such as PROGRA~1", []string{"PROGRA~1", "index~1.js", "a/INDEX~12.HTM", "x~1/y", "ab~123.js"}},
		{"control", "control character", []string{"a\x01b", "a\nb", "a\rb", "a\x1b[2Jb", "a\x7f", "\tx", "a/\x08b"}},
		{"dot-segment", "folder .", []string{"././a", "a/./b", "a/.", "./././x", "b/././c"}},
		{"empty-segment", "empty folder name", []string{"a//b", "a///", "b//", "c/d//e"}},
		{"trailing", "dot or blank at the end", []string{"a.", "a ", "a./b", "a /b", "...", "a/b. ", ".../x", "index.html."}},
		{"device", "Windows device", []string{"CON", "con", "a/AUX", "nul.txt", "Com1", "LPT9.js", "prn.tar.gz", "COM¹", "conin$", "aux .js", "NUL/x"}},
		{"wildcard", "one of <>", []string{"a*b", "what?", "<x>", `say "x"`, "a|b", "x/y?z"}},
		{"long", "at most 240", []string{strings.Repeat("x", 241), strings.Repeat("folder/", 34) + "xyz", strings.Repeat("ü", 121)}},
		{"deep", "too deep", []string{deep + "f", deep + "d/", strings.Repeat("d/", 100) + "f"}},
		{"not-utf8", "not UTF-8", []string{"caf\xe9", "a\xff", "\xc0\xaf", "\xed\xa0\x80", "x/\xf8\x88\x80\x80\x80", "\x80"}},
		{"decomposed", "normal form C", []string{"cafe\u0301", "u\u0308ber/x", "A\u030a", "\u212b", "o\u0323\u0302"}},
		{"invisible", "invisible", []string{"a\u200bb", "a\u202egnp.exe", "\ufeffindex.html", "a\u2028b", "a\u0085b", "a\u00adb", "x\ufffdy", "a\U000e0041b"}},
	}
}

// twins are two names of which one is taken for the other, or hides it, on some disk.
func twins() []struct {
	class, want string
	pairs       [][2]string
} {
	return []struct {
		class, want string
		pairs       [][2]string
	}{
		{"duplicate", "is there twice", [][2]string{{"a.js", "a.js"}, {"x/y", "x/y"}, {"ü", "ü"}, {"q/", "q/"}}},
		{"case-twin", "in case only", [][2]string{{"a.js", "A.js"}, {"x/Y", "x/y"}, {"Q/", "q/"}, {"a.JS", "a.js"}}},
		{"case-twin-unicode", "in case only", [][2]string{
			{"ü", "Ü"}, {"straße", "STRASSE"}, {"ſ", "s"}, {"ı", "i"}, {"σ", "ς"}, {"ﬀ", "ff"}, {"\u2764\ufe0f", "\u2764"},
			{"ǆ", "ǅ"}, {"Ω", "ω"}, {"я", "Я"}, {"ẞ", "ss"},
		}},
		{"folder-twin", "in case only", [][2]string{{"Lib/a", "lib/b"}, {"lib/", "Lib/b"}, {"Ü/a", "ü/b"}, {"a/B/c", "a/b/d"}}},
		{"file-and-folder", "folder", [][2]string{{"a", "a/b"}, {"a/b", "a"}, {"x/y", "x/y/z"}, {"q", "q/"}, {"q/", "q"}, {"A", "a/b"}}},
	}
}

// zipNameClasses are faults of names in zip archives.
func zipNameClasses() []class {
	utf8 := func(f *zipFile) {
		f.both(func(h *zipHeader) {
			if h.flags &^= flagUTF8; strings.ContainsFunc(h.name, func(r rune) bool { return r > 0x7f }) {
				h.flags |= flagUTF8
			}
		})
	}
	rename := func(name, want string, names ...string) class {
		return class{name: name, want: want, build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			bad := choose(g, names...)
			if strings.HasSuffix(bad, "/") {
				*f = *newZipFile(bad, nil, stored)
			}
			f.both(func(h *zipHeader) { h.name = bad })
			utf8(f)
		})}
	}
	list := []class{
		rename("zip-name-nul", "NUL", "a\x00b", "index.html\x00.png", "\x00", "x/\x00/y"),
		rename("zip-name-empty", "has no name", "", "/"),
		rename("zip-name-dot-slash", "folder .", "./a", "./", "./a/b"),
		{name: "zip-name-without-flag", want: "flag bit 11", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
			f.both(func(h *zipHeader) {
				h.name = choose(g, "ü", "日本.html", "caf\x82.js", "a/é/b", "naïve", "😀")
				h.flags &^= flagUTF8
			})
		})},
	}
	list = append(list, class{name: "zip-name-from-fat", want: "which unzip would spell", build: faultyZip(func(g *gen, _ *zipArchive, f *zipFile) {
		f.both(func(h *zipHeader) {
			h.name, h.flags = choose(g, "größe.js", "Ä/ß", "日本語"), h.flags|flagUTF8
			h.madeBy = choose[uint16](g, 20, 10<<8|50, 14<<8|20)
		})
		if time := []byte("UT\x05\x00\x01abcd"); g.variant%3 == 1 {
			f.local.extra = time
		} else if g.variant%3 == 2 {
			f.central.extra = time
		}
	})})
	for _, bad := range badNames() {
		list = append(list, rename("zip-name-"+bad.class, bad.want, bad.names...))
	}
	for _, t := range twins() {
		list = append(list, class{name: "zip-" + t.class, want: t.want, build: faultyZip(func(g *gen, a *zipArchive, _ *zipFile) {
			for _, name := range choose(g, t.pairs...) {
				f := newZipFile(name, nil, stored)
				a.files = append(a.files, f)
				utf8(f)
			}
		})})
	}
	return list
}

// tarNameClasses are faults of names in tar archives. Long names come in PAX or GNU headers.
func tarNameClasses() []class {
	var list []class
	for _, bad := range badNames() {
		list = append(list, class{name: "tar-name-" + bad.class, want: bad.want, build: faultyTar(func(g *gen, a *tarArchive, f *tarFile) {
			bad := choose(g, bad.names...)
			if strings.HasSuffix(bad, "/") {
				*f = *newTarFile(bad, nil)
			}
			a.name(f, bad, g.IntN(3))
		})})
	}
	for _, t := range twins() {
		list = append(list, class{name: "tar-" + t.class, want: t.want, build: faultyTar(func(g *gen, a *tarArchive, _ *tarFile) {
			for _, name := range choose(g, t.pairs...) {
				f := newTarFile(name, nil)
				a.files = append(a.files, f)
				a.name(f, name, g.IntN(3))
			}
		})})
	}
	return append(list,
		class{name: "tar-name-empty", want: " path", build: faultyTar(func(g *gen, _ *tarArchive, f *tarFile) {
			f.name = choose(g, "", "./", "././", ".")
		})},
		class{name: "tar-dot-twin", want: "is there twice", build: faultyTar(func(g *gen, a *tarArchive, f *tarFile) {
			a.files = append(a.files, newTarFile("./"+f.name, g.content()))
		})})
}

// name gives an entry a name in one of three ways. Names that do not fit into their field cannot stay there.
func (a *tarArchive) name(f *tarFile, name string, way int) {
	switch f.name = name; {
	case way == 0 || len(name) > 100 && way == 2:
		f.name = "short"
		a.insert(f, pax('x', "path="+name))
	case way == 1:
		f.name, f.magic = "short", "ustar  \x00"
		a.insert(f, gnuPath(name))
	}
}

func sum(text string) uint32 { return crc32.ChecksumIEEE([]byte(text)) }

// bend sets the last four bytes so that the CRC-32 of the content is the wanted one: the register is run backwards from the
// result over four unknown bytes.
func bend(content []byte, want uint32) {
	n := len(content) - 4
	register := ^want
	for range 4 {
		for i, t := range crc32.IEEETable {
			if t>>24 == register>>24 {
				register = (register^t)<<8 | uint32(i)
				break
			}
		}
	}
	binary.LittleEndian.PutUint32(content[n:], register^^crc32.ChecksumIEEE(content[:n]))
	if crc32.ChecksumIEEE(content) != want {
		panic(fmt.Sprintf("the checksum is not %#x", want))
	}
}
