// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// pieces are what files are made of, of each kind that the Scanner knows.
func pieces(t testing.TB) []string {
	return []string{
		"", "x", elf, macho, fat, class, dex, png, dos(70_000) + pe, dos(128) + pe, zipped(t, "a", elf, "b.js", "eval(x)"), gzipped(t, "eval(y)"),
		"<html><script src='https://a.io/x.js'></script>", "<meta http-equiv=Content-Security-Policy content='script-src *'>", "import('https://b.io/');",
		"eval(z);", "`${", "}`", "/", "'", "\n", "fetch('http://c.io')", `{"nativeDependencies":{}}`, `{"server":{"url":"https://d.io"}}`,
		"#!/bin/sh\n", "AKIAQYLPMN5HNWWB5RLT ", "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("MIIE", 30), "\x00asm\x01\x00\x00\x00", "PK\x03\x04", "eyJ",
		strings.Repeat("\x00", 5000), strings.Repeat("abcdefg\n", 20_000), "\xff\xfe<\x00h\x00", "\xef\xbb\xbf",
	}
}

// files draws an artifact.
func drawFiles(t *rapid.T, pieces []string) [][2]string {
	names := rapid.SampledFrom([]string{
		"a.js", "b.html", "c.png", "capacitor.config.json", nativeFile, "package/" + nativeFile, "config.xml", ".env", "d", "Payload/X.app/Info.plist", "e.txt",
	})
	file := rapid.Custom(func(t *rapid.T) [2]string {
		return [2]string{names.Draw(t, "name"), strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 5).Draw(t, "content"), "")}
	})
	return rapid.SliceOfN(file, 1, 8).Draw(t, "files")
}

// The order of files, and how reads are split, do not matter; the report is small and can be printed.
func TestScannerProperties(t *testing.T) {
	parts := pieces(t)
	rapid.Check(t, func(t *rapid.T) {
		files := drawFiles(t, parts)
		want, got := NewScanner(), NewScanner()
		for _, f := range files {
			if err := want.File(f[0], strings.NewReader(f[1])); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range rapid.Permutation(files).Draw(t, "order") {
			size := rapid.SampledFrom([]int{1, 2, 3, 7, 512, 4095, 4096, 65536, 1 << 20}).Draw(t, "read")
			if len(f[1]) > 100_000 {
				size = max(size, 512) // time
			}
			if err := got.File(f[0], &splitReader{data: []byte(f[1]), size: size}); err != nil {
				t.Fatal(err)
			}
		}
		report := want.Report()
		if diff := cmp.Diff(report, got.Report()); diff != "" {
			t.Fatalf("the report depends on order or reads (-in order +else):\n%s", diff)
		}
		raw, err := json.Marshal(report)
		if err != nil || len(raw) > 64*(MaxValues+1)*(maxValue+8) {
			t.Fatalf("the report has %d bytes (%v)", len(raw), err)
		}
		for _, f := range report.Findings {
			for _, v := range f.Values {
				if len(v) > maxValue || !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) {
					t.Fatalf("value %q of %s", v, f.Check)
				}
			}
			if !Known(f.Check) && f.Check != CheckCSP {
				t.Fatalf("%s is no check", f.Check)
			}
		}
	})
}

// splitReader gives at most so many bytes at once, and its last bytes together with io.EOF.
type splitReader struct {
	data []byte
	size int
}

func (r *splitReader) Read(p []byte) (int, error) {
	n := copy(p, r.data[:min(r.size, len(r.data))])
	r.data = r.data[n:]
	if len(r.data) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// Headers of native code are found at every offset around the ends of the window.
func TestScannerOffsets(t *testing.T) {
	step := windowSize - lookAhead - lookBehind
	kinds := [][2]string{{"ELF", elf}, {"Mach-O", macho}, {"dex", dex}, {"Java class", class}, {"PE", pe}}
	for _, start := range []int{4, headSize, step, step + lookBehind, windowSize, 2 * step} {
		for at := start - 3; at <= start+3; at++ {
			kind := kinds[at%len(kinds)]
			want := []string{fmt.Sprintf("%s at %d: f", kind[0], at)}
			file := strings.Repeat("\x01", at) + kind[1]
			if diff := cmp.Diff(want, values(t, CheckNativeCode, "f", file)); diff != "" {
				t.Errorf("native-code (-want +got):\n%s", diff)
			}
		}
	}
}

// Text that is made to be slow is not: where the time grew with the square of the length, this would not end.
func TestHostileTexts(t *testing.T) {
	for _, part := range []string{
		"/[", "(/[", "`${", "(", "{", "'", "`", "\\", `\u{`, "/*", "//", "<!--", "<a ", "<a b=", "<script>", "<p onclick='", "://", "http://a", "-eyJ", "-eyJa.eyJb",
		"-----BEGIN PRIVATE KEY-----", "8Q~", "PK", "PE\x00\x00", elf, "\n", "import('", "new Worker(new URL(", `{"a":`, "<meta http-equiv=Content-Security-Policy content='a;",
	} {
		name := "a.js"
		switch part[0] {
		case '<':
			name = "a.html"
		case '{':
			name = "capacitor.config.json"
		}
		scan(t, name, strings.Repeat(part, 400_000/len(part)))
	}
}

// Few tokens again and again take no more steps than the work that an artifact may make, whatever they are: of up to three tokens all,
// of four some.
func TestHostileSteps(t *testing.T) {
	tokens := []string{"/", "[", "]", "(", ")", "\\", `"`, "'", "`", "{", "}", "\n", "eval", "src", "/*", "<!--"}
	var parts []string
	for i, a := range tokens {
		for j, b := range tokens {
			parts = append(parts, a+b)
			for k, c := range tokens {
				parts = append(parts, a+b+c, a+b+c+tokens[(i+3*j+5*k)%len(tokens)])
			}
		}
	}
	size := 1 << 10
	if os.Getenv("WINDLASS_CORPUS") == "full" {
		size = 64 << 10
	}
	worst, by := int64(0), ""
	for _, part := range parts {
		s, text := NewScanner(), strings.Repeat(part, size/len(part))
		p := &page{scanner: s, found: s.found}
		s.work.bytes = math.MaxInt64 / workPerByte / 2 // without an end
		p.readTokens([]byte(text))
		if s.work.steps > 16*int64(len(text)) {
			t.Errorf("%q takes %d steps to split %d bytes", part, s.work.steps, len(text))
		}
		p.readPlain([]byte(text))
		if per := s.work.steps / int64(len(text)); per > worst {
			worst, by = per, part
		}
		if s.work.steps > int64(len(text))*maxTrivia/2 {
			t.Errorf("%q takes %d steps for %d bytes", part, s.work.steps, len(text))
		}
	}
	t.Logf("at most %d steps a byte, by %q", worst, by)
}

// What takes too much work is left, and said: the time is bounded whatever the text is.
func TestHostileWork(t *testing.T) {
	for _, part := range []string{"eval/*", "[/]", "/[", "src//", "from<!--"} {
		s, text := NewScanner(), "x={}/1;"+strings.Repeat(part, 512<<10/len(part))
		if err := s.File("a.js", strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		if limit := int64(len(text))*workPerByte + freeWork; s.work.steps > limit+int64(len(text)) {
			t.Errorf("%q: %d steps, want at most %d", part, s.work.steps, limit)
		}
		report := s.Report()
		if s.work.exhausted() && report.Finding(CheckUnreadText) == nil {
			t.Errorf("%q: it was left, and nothing says so", part)
		}
		t.Logf("%q: %d steps a byte", part, s.work.steps/int64(len(text)))
	}
}

// The lexer ends, and its tokens are in the source, one behind the other.
func FuzzScript(f *testing.F) {
	for _, p := range pieces(f) {
		f.Add([]byte(p))
	}
	f.Add([]byte("a=b/c;/[/]'/.test(`${{a:`}`}}`)\n'\\\n'//x\n/*"))
	f.Add([]byte(`\u{110000} \u{} \x \u12`))
	f.Fuzz(func(t *testing.T, src []byte) {
		lexer, last := jsLexer{src: src}, -1
		for tok := lexer.next(); tok.kind != endToken; tok = lexer.next() {
			if lexer.pos <= last || lexer.pos > len(src) {
				t.Fatalf("a token ends at %d, the one before at %d, the source at %d", lexer.pos, last, len(src))
			}
			last = lexer.pos
			_ = unescape(tok.text)
		}
		(&page{scanner: NewScanner(), found: findings{}}).readScript(src)
	})
}

func FuzzHTML(f *testing.F) {
	f.Add([]byte(`<html><head><meta http-equiv=Content-Security-Policy content="script-src 'nonce-x' *;;default-src"><script>eval(1)</script>`))
	f.Add([]byte(`<svg><script xlink:href=//a.io /><iframe srcdoc="<iframe srcdoc='<p onload=eval(1)>'>">`))
	f.Fuzz(func(t *testing.T, src []byte) {
		s := NewScanner()
		(&page{scanner: s, found: s.found}).readHTML(src)
		checkReport(t, s)
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"server":{"url":"https://a.io","allowNavigation":["b.io",{}],"cleartext":true}}`))
	f.Add([]byte(`<widget><content src="https://a.io"/><access origin="*"/></widget>`))
	f.Add([]byte(`{server: {url: 'https://a.io', allowNavigation: ['b.io']}}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		s := NewScanner()
		s.readCapacitor(place{path: "a"}, ".json", src)
		s.readCapacitor(place{path: "a"}, ".ts", src)
		s.readCordova(place{path: "a"}, src)
		checkReport(t, s)
	})
}

// What is taken as a declaration says the same when it is written and read again.
func FuzzNativeDependencies(f *testing.F) {
	f.Add([]byte(`{"nativeDependencies":{"@capacitor/camera":"^6.1.0"}}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		native, err := parseNative(src, int64(len(src)))
		if err != nil {
			return
		}
		raw, err := json.Marshal(map[string]any{"nativeDependencies": native.Packages})
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseNative(raw, int64(len(raw)))
		if diff := cmp.Diff(native, again); err != nil || diff != "" {
			t.Fatalf("%v, (-first +again):\n%s", err, diff)
		}
		native.unmet(map[string]string{"@capacitor/camera": "6.1.0"})
	})
}

func FuzzFile(f *testing.F) {
	for _, p := range pieces(f) {
		f.Add("a.js", []byte(p))
	}
	f.Add(nativeFile, []byte("{}"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		s := NewScanner()
		if err := s.File(name, bytes.NewReader(data)); err != nil {
			t.Fatalf("File: %v, want no error", err)
		}
		checkReport(t, s)
		Evaluate(Policy{AppStores: true, Baseline: map[string]string{}}, Facts{Report: new(s.Report())})
	})
}

func checkReport(t *testing.T, s *Scanner) {
	t.Helper()
	for _, f := range s.Report().Findings {
		if f.Count < 1 || len(f.Values) > MaxValues || len(f.Values) == 0 {
			t.Fatalf("finding %+v", f)
		}
		for _, v := range f.Values {
			if len(v) > maxValue || !utf8.ValidString(v) {
				t.Fatalf("value %q of %s", v, f.Check)
			}
		}
	}
}

// minified is a bundle of 5 MB that looks like what builds make.
func minified() []byte {
	const part = `function Xe(e,t){var n=e.mode;return n&1?(t=t||{},void 0!==t.a?t.a/2:/^[a-z]+\/$/i.test(n)):function(r){return r.call(e,"a string of text",` +
		"`of ${t.b} and ${n}`" + `)}}const Ye=(e,t=0)=>{for(let n=0;n<e.length;n++)if(e[n]===t)return{ok:!0,at:n,key:"http://www.w3.org/2000/svg"}};`
	return bytes.Repeat([]byte(part), 5<<20/len(part))
}

func BenchmarkScript(b *testing.B) { benchmarkFile(b, "a.js", minified()) }

func BenchmarkBinary(b *testing.B) {
	data := make([]byte, 16<<20)
	seed := uint64(1)
	for i := range data { // xorshift: as packed data looks
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
		data[i] = byte(seed)
	}
	benchmarkFile(b, "a.webp", data)
}

func BenchmarkHTML(b *testing.B) {
	benchmarkFile(b, "a.html", bytes.Repeat([]byte(`<div class="a b"><a href="#x" onclick="go(1)">text</a><script>var a=1;</script></div>`), 20_000))
}

func benchmarkFile(b *testing.B, name string, data []byte) {
	b.SetBytes(int64(len(data)))
	s := NewScanner()
	for b.Loop() {
		if err := s.File(name, bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
