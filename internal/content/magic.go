// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
)

// needles are what is searched for at every offset: what a loader or an archiver would find there, and secrets.
var needles = sync.OnceValue(func() *haystack { return newHaystack(slices.Concat(codeNeedles, archiveNeedles, secretNeedles())) })

// codeNeedles are headers of native code. At the start of a file the magic is enough; further in, where four bytes can be there by
// chance, the fields that follow must make sense too.
var codeNeedles = []needle{
	{text: "\x7fELF", test: code("ELF", isELF)},
	{text: "\xfe\xed\xfa\xce", test: code("Mach-O", isMachO(binary.BigEndian))},
	{text: "\xfe\xed\xfa\xcf", test: code("Mach-O", isMachO(binary.BigEndian))},
	{text: "\xce\xfa\xed\xfe", test: code("Mach-O", isMachO(binary.LittleEndian))},
	{text: "\xcf\xfa\xed\xfe", test: code("Mach-O", isMachO(binary.LittleEndian))},
	{text: "\xca\xfe\xba\xbe", test: fatOrClass},
	{text: "\xca\xfe\xba\xbf", test: code("fat Mach-O", isFat)},
	{text: "PE\x00\x00", test: portable},
	{text: "dex\n0", rare: 2, test: dalvik("dex")},
	{text: "dey\n0", rare: 2, test: dalvik("odex")},
	{text: "BC\xc0\xde", test: code("LLVM bitcode", isBitcode)},
}

// archiveNeedles are zip archives that do not start where the file does: readers of zip find them from their end.
var archiveNeedles = []needle{
	{text: "PK\x03\x04", test: hiddenZip(30, 26)}, {text: "PK\x01\x02", test: hiddenZip(46, 28)}, {text: "PK\x05\x06", test: zipEnd},
}

// code makes the test of a header.
func code(kind string, fits func(header []byte) bool) func(*search, spot) (string, string) {
	return func(_ *search, at spot) (string, string) {
		if at.offset > 0 && !fits(at.ahead) {
			return "", ""
		}
		return CheckNativeCode, kind
	}
}

// isELF holds the identification and the type against the ELF specification, as loaders do.
func isELF(b []byte) bool {
	if len(b) < 20 || b[4] < 1 || b[4] > 2 || b[5] < 1 || b[5] > 2 || b[6] != 1 {
		return false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[5] == 2 {
		order = binary.BigEndian
	}
	kind := order.Uint16(b[16:])
	return kind >= 1 && kind <= 4 // relocatable, executable, shared, core
}

// cpus are the processors of Mach-O (mach/machine.h) without their flags for 64 bits: x86, arm, PowerPC, and older ones.
var cpus = []uint32{1, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 18}

func isCPU(v uint32) bool { return slices.Contains(cpus, v&^0x03000000) }

func isMachO(order binary.ByteOrder) func([]byte) bool {
	return func(b []byte) bool {
		return len(b) >= 20 && isCPU(order.Uint32(b[4:])) && order.Uint32(b[12:]) >= 1 && order.Uint32(b[12:]) <= 16 &&
			order.Uint32(b[16:]) <= 1<<16
	}
}

// isFat is for universal binaries: big endian, as all of them on disk are.
func isFat(b []byte) bool {
	return len(b) >= 12 && binary.BigEndian.Uint32(b[4:]) >= 1 && binary.BigEndian.Uint32(b[4:]) < firstClass &&
		isCPU(binary.BigEndian.Uint32(b[8:]))
}

// firstClass is the first version of Java class files. They share the magic of fat binaries, whose next word counts processors.
const firstClass = 45

// fatOrClass tells two formats with one magic apart by the next word: a count of processors, or the version of a class file.
func fatOrClass(_ *search, at spot) (check, kind string) {
	b := at.ahead
	if len(b) >= 8 && binary.BigEndian.Uint32(b[4:]) >= firstClass {
		if at.offset == 0 || isClass(b) {
			return CheckNativeCode, "Java class"
		}
		return "", ""
	}
	return code("fat Mach-O", isFat)(nil, at)
}

// isClass holds the version, the size of the constant pool and the tag of its first entry against the Java VM specification.
func isClass(b []byte) bool {
	return len(b) >= 11 && binary.BigEndian.Uint16(b[6:]) >= firstClass && binary.BigEndian.Uint16(b[6:]) < 128 &&
		binary.BigEndian.Uint16(b[8:]) > 1 && b[10] >= 1 && b[10] <= 20
}

// portable finds Windows programs by their second header, wherever the first one says that it is.
func portable(s *search, at spot) (check, kind string) {
	if at.offset == s.pe && s.pe > 0 || isPE(at.ahead) {
		return CheckNativeCode, "PE"
	}
	return "", ""
}

// isPE holds processor, number of sections and the kind of optional header against the PE format.
func isPE(b []byte) bool {
	if len(b) < 26 {
		return false
	}
	machines := []uint16{0x14c, 0x8664, 0x1c0, 0x1c4, 0xaa64, 0xa641, 0x200, 0x5032, 0x5064, 0xebc, 0x6232, 0x6264}
	sections, optional := binary.LittleEndian.Uint16(b[6:]), binary.LittleEndian.Uint16(b[24:])
	return slices.Contains(machines, binary.LittleEndian.Uint16(b[4:])) && sections <= 96 &&
		(optional == 0x10b || optional == 0x20b || optional == 0x107)
}

// dalvik is for dex files: their magic ends with three digits and a NUL.
func dalvik(kind string) func(*search, spot) (string, string) {
	return func(_ *search, at spot) (string, string) {
		if b := at.ahead; len(b) >= 8 && isDigits(b[4:7]) && b[7] == 0 {
			return CheckNativeCode, kind
		}
		return "", ""
	}
}

func isDigits(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c < '0' || c > '9' })
}

// isBitcode asks for the block that follows the magic: identification, or module in old files.
func isBitcode(b []byte) bool {
	return len(b) >= 8 && (bytes.Equal(b[4:8], []byte("\x35\x14\x00\x00")) || bytes.Equal(b[4:8], []byte("\x21\x0c\x00\x00")))
}

// maxZipName is how long the name of a file in a hidden archive is at most: two letters, as of text about zip, say more.
const maxZipName = 4 << 10

// hiddenZip finds a header of a zip archive behind something else, by its size and where it has the length of a name. Nothing else must
// be right: readers ignore most of it.
func hiddenZip(size, name int) func(*search, spot) (string, string) {
	return func(s *search, at spot) (check, kind string) {
		if s.archive || at.offset == 0 || len(at.ahead) < size || binary.LittleEndian.Uint16(at.ahead[name:]) > maxZipName {
			return "", ""
		}
		return CheckNestedArchive, "zip behind something else"
	}
}

// zipEnd finds the end of a zip archive, which says how large the list of its files is: that must be before it.
func zipEnd(s *search, at spot) (check, kind string) {
	if s.archive || at.offset == 0 || len(at.ahead) < 22 || int64(binary.LittleEndian.Uint32(at.ahead[12:])) > at.offset {
		return "", ""
	}
	return CheckNestedArchive, "zip behind something else"
}

// prefix is a format that is known by the first bytes of a file.
type prefix struct {
	magic  string
	offset int
	check  string
	kind   string
}

var prefixes = []prefix{
	{magic: "!<arch>\n", check: CheckNativeCode, kind: "static library"},
	{magic: "!<thin>\n", check: CheckNativeCode, kind: "static library"},
	{magic: "\xde\xc0\x17\x0b", check: CheckNativeCode, kind: "LLVM bitcode"},
	{magic: "\xbe\xba\xfe\xca", check: CheckNativeCode, kind: "fat Mach-O"},
	{magic: "\x01\x00\x1c\x00", offset: 8, check: CheckAppPackage, kind: "compiled Android XML"},
	{magic: "\x00asm", check: CheckWasm, kind: "WebAssembly"},
	{magic: "\xc6\x1f\xbc\x03\xc1\x03\x19\x1f", check: CheckHermes, kind: "Hermes bytecode"},
	{magic: "\x39\xe0\x43\xfc\x3e\xfc\xe6\xe0", check: CheckHermes, kind: "Hermes bytecode"}, // the form for deltas: inverted
	{magic: "\x1bLua", check: CheckBytecode, kind: "Lua bytecode"},
	{magic: "\x1bLJ", check: CheckBytecode, kind: "LuaJIT bytecode"},
	{magic: "YARB", check: CheckBytecode, kind: "Ruby bytecode"},
	{magic: "RITE0", check: CheckBytecode, kind: "mruby bytecode"},
	{magic: "\x90\xab\xcd\xef", check: CheckBytecode, kind: "Dart kernel"},
	{magic: "\xfd7zXZ\x00", check: CheckNestedArchive, kind: "xz"},
	{magic: "1AY&SY", offset: 4, check: CheckNestedArchive, kind: "bzip2"},
	{magic: "7z\xbc\xaf\x27\x1c", check: CheckNestedArchive, kind: "7z"},
	{magic: "Rar!\x1a\x07", check: CheckNestedArchive, kind: "rar"},
	{magic: "\x04\x22\x4d\x18", check: CheckNestedArchive, kind: "lz4"},
	{magic: "LZIP\x01", check: CheckNestedArchive, kind: "lzip"},
	{magic: "MSCF\x00\x00\x00\x00", check: CheckNestedArchive, kind: "cab"},
	{magic: "xar!\x00\x1c", check: CheckNestedArchive, kind: "xar"},
	{magic: "\xfe\xed\xfe\xed\x00\x00\x00", check: CheckPrivateKey, kind: "Java keystore"},
	{magic: "\xce\xce\xce\xce\x00\x00\x00", check: CheckPrivateKey, kind: "Java keystore"},
}

// recognizers are formats that need more than a comparison of their first bytes: they give the kind, or nothing.
var recognizers = []struct {
	check     string
	recognize func(head []byte) string
}{
	{check: CheckNativeCode, recognize: androidImage},
	{check: CheckBytecode, recognize: compiled},
	{check: CheckScript, recognize: interpreter},
	{check: CheckPrivateKey, recognize: keyFile},
}

// start looks at the first bytes of a file.
func (s *search) start(head []byte) {
	if len(head) >= 64 && head[0] == 'M' && head[1] == 'Z' {
		s.pe = int64(binary.LittleEndian.Uint32(head[0x3c:]))
	}
	for _, p := range prefixes {
		if len(head) >= p.offset && bytes.HasPrefix(head[p.offset:], []byte(p.magic)) {
			s.scanner.note(p.check, s.place.value(p.kind, 0))
			return
		}
	}
	for _, r := range recognizers {
		if kind := r.recognize(head); kind != "" {
			s.scanner.note(r.check, s.place.value(kind, 0))
			return
		}
	}
}

// androidImage is for what Android makes of dex files: four letters, three digits and a NUL.
func androidImage(b []byte) string {
	if len(b) >= 8 && isDigits(b[4:7]) && b[7] == 0 && slices.Contains([]string{"cdex", "vdex", "oat\n", "art\n"}, string(b[:4])) {
		return strings.TrimSpace(string(b[:4]))
	}
	return ""
}

// compiled is for code that was compiled for an interpreter, and whose magic has numbers in it.
//   - V8 code cache: 0xC0DE0000, changed in its lower half by a small count (src/snapshot/code-serializer.h)
//   - Python: a number of the version, \r\n and flags of at most 3 (PEP 552, since 3.7)
func compiled(b []byte) string {
	switch {
	case len(b) >= 16 && b[2] == 0xde && b[3] == 0xc0 && b[1] < 0x20:
		return "V8 code cache"
	case len(b) >= 16 && b[2] == '\r' && b[3] == '\n' && b[1] >= 0x0b && b[1] <= 0x0f && binary.LittleEndian.Uint32(b[4:]) <= 3:
		return "Python bytecode"
	}
	return ""
}

// interpreter names the program that a script asks for in its first line, as in "sh script". A byte order mark
// is ignored, though kernels do not: who runs it may take it away.
func interpreter(head []byte) string {
	line, ok := bytes.CutPrefix(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), []byte("#!"))
	if !ok {
		return ""
	}
	line = line[:min(len(line), 256)]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	words := strings.Fields(string(line))
	if len(words) == 0 || words[0][0] != '/' {
		return ""
	}
	name := words[0][strings.LastIndexByte(words[0], '/')+1:]
	if name != "env" {
		return name + " script"
	}
	for _, word := range words[1:] {
		if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
			return word[strings.LastIndexByte(word, '/')+1:] + " script"
		}
	}
	return "env script"
}
