// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"unicode/utf16"
)

// LookAlikes are honest files that have something of native code, of packages or of closed archives in them, by path.
func LookAlikes() Files {
	program := Programs()[0].Data
	body := noiseBytes(1, 60_000)
	files := Files{
		// Text about it.
		"mz.txt":        []byte("MZ is the mark of Mark Zbikowski. It starts programs; PE follows. " + strings.Repeat("More of it. ", 30)),
		"mz-alone":      []byte("MZ"),
		"dos.bin":       append([]byte("MZ"), make([]byte, 126)...),
		"elf.md":        []byte("\\x7fELF starts it, 7f 45 4c 46"),
		"elves.txt":     []byte("ELF\nelf\nelfin\n"),
		"oat.txt":       []byte("oat\noatcake\noath\noatmeal\n"),
		"art.txt":       []byte("art\nartery\nartful\n"),
		"dex.txt":       []byte("index\n035 and dex\n038"),
		"magic.js":      []byte(`const m={elf:"\x7fELF",zip:"PK\x03\x04",class:0xcafebabe,dex:"dex\n035\0",mach:[0xfeedface,0xcffaedfe]}`),
		"cafebabe.hex":  []byte(hex.EncodeToString([]byte("\xca\xfe\xba\xbe"))),
		"utf16.txt":     utf16Text("PE and MZ and ELF"),
		"A.java":        []byte("public class A { static final int MAGIC = 0xCAFEBABE; }"),
		"base64.js":     []byte(`const p="` + base64.StdEncoding.EncodeToString(program) + `"`), // out of reach: docs/content-rules.md
		"a.so":          []byte("this is no library"),
		"a.dll":         []byte(""),
		"classes.dex":   []byte("text"),
		"Main.class":    []byte(".Main { color: red }"),
		"bc.txt":        []byte("BC and AD"),
		"a.framework.m": []byte("text"),
		// Parts of magics, and magics whose fields make no sense.
		"elf-noise.png":   append([]byte(pngStart+"\x7fELF\xff\xff\xff\xff"), body...),
		"fat-noise.jpg":   append([]byte(jpegStart+"\xca\xfe\xba\xbe\xff\xff\xff\xff"), body...),
		"macho-noise.gif": append([]byte("GIF89a\xcf\xfa\xed\xfe\xff\xff\xff\xff"), body...),
		"pe-noise.webp":   append([]byte("RIFF\x00\x00\x01\x00WEBPVP8 PE\x00\x00\xff\xff"), body...),
		"dex-noise.ico":   append([]byte("\x00\x00\x01\x00\x01\x00dex\n0xx\x01"), body...),
		"zip-noise.mp4":   append([]byte("\x00\x00\x00\x18ftypisomPK\x03\x04\xff\xff\xff\xff"), body...),
		"bc-noise.mp3":    append([]byte("ID3\x04\x00\x00\x00\x00\x00\x00BC\xc0\xde\xff\xff\xff\xff"), body...),
		// What stores allow.
		"module.wasm":  []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00"),
		"index.hbc":    append([]byte("\xc6\x1f\xbc\x03\xc1\x03\x19\x1f\x60\x00\x00\x00"), body...),
		"texts.zip":    Zip(Files{"a.txt": []byte("text"), "b/c.png": []byte(pngStart)}),
		"texts.docx":   Zip(Files{"[Content_Types].xml": []byte("<Types/>"), "word/document.xml": []byte("<w/>")}),
		"book.epub":    Zip(Files{"META-INF/container.xml": []byte("<container/>"), "mimetype": []byte("application/epub+zip")}),
		"app.js.gz":    Gzip([]byte("console.log(1)")),
		"app.js.zst":   Zstd([]byte("console.log(1)")),
		"two-deep.zip": Zip(Files{"b.tgz": Gzip(Tar(Files{"c.txt": []byte("text")}))}),
		// Other formats.
		"font.woff2":  append([]byte("wOF2\x00\x01\x00\x00"), body...),
		"font.ttf":    append([]byte("\x00\x01\x00\x00\x00\x0f\x00\x80"), body...),
		"font.otf":    append([]byte("OTTO\x00\x0b\x00\x80"), body...),
		"terms.pdf":   []byte(pdfStart + "text" + pdfEnd),
		"photo.jpg":   append([]byte(jpegStart), append(bytes.Clone(body), jpegEnd...)...),
		"logo.png":    []byte(pngStart + pngEnd),
		"song.ogg":    append([]byte("OggS\x00\x02"), body...),
		"film.webm":   append([]byte("\x1a\x45\xdf\xa3"), body...),
		"data.sqlite": append([]byte("SQLite format 3\x00"), body...),
		"model.tfl":   append([]byte("\x1c\x00\x00\x00TFL3"), body...),
		"zeros.bin":   make([]byte, 100_000),
		"ones.bin":    bytes.Repeat([]byte{0xff}, 100_000),
	}
	for i := range uint64(8) {
		files["noise/"+string(rune('a'+i))] = noiseBytes(i+2, 256<<10)
	}
	return files
}

func noiseBytes(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, seed))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func utf16Text(s string) []byte {
	out := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}
