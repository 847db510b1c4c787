// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package content makes updates that hide native code, open an app to others or have secrets in them, and honest ones that look alike.
// Its tests count what the content rules make of them.
package content

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// Program is the smallest file of its kind that the kind's own loader or tool would take for one.
type Program struct {
	Name string
	Data []byte
}

// Programs are native code of every kind that the rules are about.
func Programs() []Program {
	return []Program{
		{"elf64", elf(2, binary.LittleEndian, 183)},
		{"elf32", elf(1, binary.LittleEndian, 40)},
		{"elf-big-endian", elf(1, binary.BigEndian, 8)},
		{"macho64", macho(0xfeedfacf, binary.LittleEndian, 0x0100000c)},
		{"macho32", macho(0xfeedface, binary.LittleEndian, 12)},
		{"macho64-big-endian", macho(0xfeedfacf, binary.BigEndian, 0x01000012)},
		{"macho32-big-endian", macho(0xfeedface, binary.BigEndian, 18)},
		{"fat", fat(0xcafebabe)},
		{"fat64", fat(0xcafebabf)},
		{"pe", pe(128)},
		{"pe-far-header", pe(200_000)},
		{"dex", dex("dex\n035\x00")},
		{"dex-container", dex("dex\n041\x00")},
		{"odex", append([]byte("dey\n036\x00"), dex("dex\n035\x00")...)},
		{"class", class()},
		{"bitcode", []byte("BC\xc0\xde\x35\x14\x00\x00\x05\x00\x00\x00\x62\x0c\x30\x24")},
	}
}

// StartsOnly are kinds that are native code only where a file starts with them.
func StartsOnly() []Program {
	return []Program{
		{"cdex", []byte("cdex001\x00" + strings.Repeat("\x00", 104))},
		{"vdex", []byte("vdex027\x00" + strings.Repeat("\x00", 56))},
		{"oat", []byte("oat\n230\x00" + strings.Repeat("\x00", 56))},
		{"bitcode-wrapper", []byte("\xde\xc0\x17\x0b\x00\x00\x00\x00\x14\x00\x00\x00\x10\x00\x00\x00\x07\x00\x00\x01BC\xc0\xde")},
		{"static-library", []byte("!<arch>\n" + "lib.o/          0           0     0     644     4         `\ntext")},
	}
}

func elf(class byte, order binary.ByteOrder, machine uint16) []byte {
	b := make([]byte, 64+56)
	copy(b, "\x7fELF")
	b[4], b[5], b[6] = class, 1, 1
	if order == binary.ByteOrder(binary.BigEndian) {
		b[5] = 2
	}
	order.PutUint16(b[16:], 3) // shared
	order.PutUint16(b[18:], machine)
	order.PutUint32(b[20:], 1)
	return b
}

func macho(magic uint32, order binary.ByteOrder, cpu uint32) []byte {
	b := make([]byte, 32)
	for i, v := range []uint32{magic, cpu, 0, 6, 1, 0, 0x85} { // 6: a library, with one command
		order.PutUint32(b[4*i:], v)
	}
	return b
}

func fat(magic uint32) []byte {
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b, magic)
	binary.BigEndian.PutUint32(b[4:], 2)
	binary.BigEndian.PutUint32(b[8:], 0x0100000c)
	binary.BigEndian.PutUint32(b[32:], 0x01000007)
	return b
}

// pe makes a Windows program whose second header is at an offset.
func pe(at int) []byte {
	b := make([]byte, at+280)
	copy(b, "MZ")
	binary.LittleEndian.PutUint32(b[0x3c:], uint32(at))
	copy(b[at:], "PE\x00\x00\x64\x86\x01\x00")
	binary.LittleEndian.PutUint16(b[at+20:], 240)
	binary.LittleEndian.PutUint16(b[at+24:], 0x20b)
	return b
}

func dex(magic string) []byte {
	b := make([]byte, 112)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[32:], 112)
	binary.LittleEndian.PutUint32(b[36:], 112)
	binary.LittleEndian.PutUint32(b[40:], 0x12345678)
	return b
}

// class is what javac makes of class A {}, without its attributes.
func class() []byte {
	return []byte("\xca\xfe\xba\xbe\x00\x00\x00\x41\x00\x05\x07\x00\x02\x01\x00\x01A\x07\x00\x04\x01\x00\x10java/lang/Object" +
		"\x00\x20\x00\x01\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00")
}

// Files are the files of an update, by path.
type Files map[string][]byte

// disguise hides a program in a file, or among files.
type disguise struct {
	name string
	hide func(program []byte) Files
}

// file makes a disguise of one file.
func file(name, path string, hide func([]byte) []byte) disguise {
	return disguise{name, func(p []byte) Files { return Files{path: hide(p)} }}
}

// behind puts a program behind something else.
func behind(start string) func([]byte) []byte {
	return func(p []byte) []byte { return append([]byte(start), p...) }
}

// between puts a program between two halves.
func between(start, end string) func([]byte) []byte {
	return func(p []byte) []byte { return slices.Concat([]byte(start), p, []byte(end)) }
}

func same(p []byte) []byte { return p }

// Starts of honest files.
const (
	pngStart  = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
	pngEnd    = "\x00\x00\x00\x00IEND\xaeB`\x82"
	jpegStart = "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
	jpegEnd   = "\xff\xd9"
	pdfStart  = "%PDF-1.7\n1 0 obj\n<< /Length 1000 >>\nstream\n"
	pdfEnd    = "\nendstream\nendobj\n%%EOF\n"
)

// renamed are disguises that leave the program at the start of a file.
var renamed = []disguise{
	file("renamed-png", "assets/logo.png", same),
	file("renamed-js", "assets/vendor.js", same),
	file("upper-case", "WWW/INDEX.HTML", same),
	file("no-extension", "assets/data", same),
	file("dot-file", ".well-known/x", same),
	file("double-extension", "fonts/a.woff2.so.txt", same),
}

// wrapped are disguises by archives, which leave the program at the start of a file in them.
var wrapped = []disguise{
	file("zip", "assets/data.bin", func(p []byte) []byte { return Zip(Files{"a/b.txt": p}) }),
	file("zip-stored", "assets/data.bin", func(p []byte) []byte { return ZipStored(Files{"b": p}) }),
	file("tar", "assets/data.bin", func(p []byte) []byte { return Tar(Files{"b.png": p}) }),
	file("gzip", "assets/data.json.gz", Gzip),
	file("zstd", "assets/data", Zstd),
	file("tar-gz", "assets/a.tgz", func(p []byte) []byte { return Gzip(Tar(Files{"x": p})) }),
	file("tar-zst", "assets/a.png", func(p []byte) []byte { return Zstd(Tar(Files{"x": p})) }),
	file("zip-in-zip", "a.docx", func(p []byte) []byte { return Zip(Files{"b.zip": Zip(Files{"c": p})}) }),
	file("zip-in-tar", "a.bin", func(p []byte) []byte { return Tar(Files{"b.zip": Zip(Files{"c": p})}) }),
	file("tar-gz-in-zip", "a.bin", func(p []byte) []byte { return Zip(Files{"b": Gzip(Tar(Files{"c": p}))}) }),
	file("tar-in-zstd-in-tar", "a.bin", func(p []byte) []byte { return Tar(Files{"b": Zstd(Tar(Files{"c": p}))}) }),
	file("gzip-in-zstd", "a.bin", func(p []byte) []byte { return Zstd(Gzip(p)) }),
	file("last-of-many", "a.epub", func(p []byte) []byte {
		files := Files{"zz/last": p}
		for _, n := range "abcdefghij" {
			files["chapter-"+string(n)+".xhtml"] = []byte("<p>text</p>")
		}
		return Zip(files)
	}),
}

// hidden are disguises that put something before the program.
var hidden = []disguise{
	file("behind-png", "assets/logo.png", behind(pngStart+pngEnd)),
	file("in-png", "assets/logo.png", between(pngStart, pngEnd)),
	file("behind-jpeg", "assets/photo.jpg", behind(jpegStart+jpegEnd)),
	file("behind-pdf", "terms.pdf", between(pdfStart, pdfEnd)),
	file("behind-js", "app.js", behind("console.log('hello')\n")),
	file("in-a-comment", "app.js", between("/*", "*/x()")),
	file("behind-html", "index.htm", behind("<!doctype html><title>x</title>")),
	file("behind-wasm", "a.wasm", behind("\x00asm\x01\x00\x00\x00")),
	file("behind-hermes", "index.bundle", behind("\xc6\x1f\xbc\x03\xc1\x03\x19\x1f\x60\x00\x00\x00")),
	file("behind-a-byte", "x", behind("x")),
	file("behind-a-mark", "x", behind("\xef\xbb\xbf")),
	file("behind-zeros", "x", behind(strings.Repeat("\x00", 511))),
	file("behind-many-zeros", "x", behind(strings.Repeat("\x00", 300_001))),
	file("behind-its-magic", "x", behind("\x7fELF\xca\xfe\xba\xbeMZdex\nPE\x00\x00")),
	file("behind-a-png-in-zip", "x.zip", func(p []byte) []byte { return Zip(Files{"a.png": behind(pngStart)(p)}) }),
	file("behind-text-in-gzip", "x.gz", func(p []byte) []byte { return Gzip(behind("text\n")(p)) }),
}

// Payload is what is added to an update, which must be refused then.
type Payload struct {
	Name  string
	Files Files
}

// Payloads are all programs in all disguises, packages of native code, and archives that could have some in them.
func Payloads() []Payload {
	var list []Payload
	add := func(programs []Program, disguises []disguise) {
		for _, p := range programs {
			for _, d := range disguises {
				list = append(list, Payload{p.Name + "/" + d.name, d.hide(p.Data)})
			}
		}
	}
	add(slices.Concat(Programs(), StartsOnly()), slices.Concat(renamed, wrapped))
	add(Programs(), hidden)
	for _, name := range slices.Sorted(maps.Keys(packages())) {
		list = append(list, Payload{name, packages()[name]})
	}
	return list
}

// packages are packages of native code whose code itself is not there, or cannot be seen, by name.
func packages() map[string]Files {
	manifest := []byte("\x03\x00\x08\x00\x10\x00\x00\x00\x01\x00\x1c\x00\x00\x00\x00\x00")
	jar := Files{"META-INF/MANIFEST.MF": []byte("Manifest-Version: 1.0\r\n\r\n"), "a.properties": []byte("a=1")}
	apk := Files{"AndroidManifest.xml": manifest, "resources.arsc": []byte("\x02\x00\x0c\x00")}
	plist := []byte(`<?xml version="1.0"?><plist version="1.0"><dict/></plist>`)
	inZip := Zip(Files{"x": Programs()[0].Data})
	return map[string]Files{
		"package/jar":                   {"lib.dat": Zip(jar)},
		"package/jar-small-letters":     {"lib.dat": Zip(Files{"meta-inf/manifest.mf": []byte("Manifest-Version: 1.0\r\n\r\n")})},
		"package/jar-in-zip":            {"lib.zip": Zip(Files{"b": Zip(jar)})},
		"package/apk":                   {"update.bin": Zip(apk)},
		"package/apk-in-tar-gz":         {"update.tgz": Gzip(Tar(Files{"base": Zip(apk)}))},
		"package/aar":                   {"plugin.zip": Zip(Files{"AndroidManifest.xml": []byte("<manifest/>"), "R.txt": nil})},
		"package/binary-manifest":       {"assets/m.xml": manifest},
		"package/artifact-is-apk":       apk,
		"package/artifact-is-jar":       jar,
		"package/ipa":                   {"app.dat": Zip(Files{"Payload/Shop.app/Info.plist": plist})},
		"package/framework":             {"native/Shop.framework/Info.plist": plist},
		"package/framework-of-macos":    {"Shop.framework/Versions/A/Resources/Info.plist": plist},
		"package/framework-in-zip":      {"f.bin": Zip(Files{"Shop.FRAMEWORK/info.plist": plist})},
		"package/xcframework":           {"Shop.xcframework/Info.plist": plist},
		"package/macos-app":             {"Shop.app/Contents/Info.plist": plist},
		"closed/zip-behind-png":         {"logo.png": append([]byte(pngStart+pngEnd), inZip...)},
		"closed/zip-behind-jpeg":        {"photo.jpg": append([]byte(jpegStart+jpegEnd), inZip...)},
		"closed/zip-behind-js":          {"app.js": append([]byte("x()\n"), inZip...)},
		"closed/zip-with-more":          {"a.zip": append(slices.Clone(inZip), "more"...)},
		"closed/gzip-with-more":         {"a.gz": append(Gzip([]byte("text")), "more"...)},
		"closed/three-zips":             {"a.zip": Zip(Files{"b.zip": Zip(Files{"c.zip": inZip})})},
		"closed/three-gzips":            {"a.gz": Gzip(Gzip(Gzip(Programs()[0].Data)))},
		"closed/tar-in-zip-in-tar":      {"a.tar": Tar(Files{"b.zip": Zip(Files{"c.tar": Tar(Files{"d": nil})})})},
		"closed/encrypted-zip":          {"a.zip": encrypted(inZip)},
		"closed/xz":                     {"a.png": []byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46")},
		"closed/7z":                     {"a.png": []byte("7z\xbc\xaf\x27\x1c\x00\x04")},
		"closed/bzip2":                  {"a.png": []byte("BZh91AY&SY\x94\x29\x44\x1c")},
		"closed/rar":                    {"a.png": []byte("Rar!\x1a\x07\x01\x00")},
		"closed/lz4":                    {"a.png": []byte("\x04\x22\x4d\x18\x64\x40\xa7")},
		"closed/cab":                    {"a.png": []byte("MSCF\x00\x00\x00\x00\x2c\x00")},
		"closed/name-out-of-its-folder": {"a.zip": ZipStored(Files{"../../a.txt": []byte("text")})},
	}
}

// encrypted sets the flag of encryption in the first header of a zip archive and in its directory.
func encrypted(archive []byte) []byte {
	out := slices.Clone(archive)
	out[6] |= 1
	if at := strings.Index(string(out), "PK\x01\x02"); at >= 0 {
		out[at+8] |= 1
	}
	return out
}
