// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// scan looks into files, which are given by name and content.
func scan(t testing.TB, files ...string) Report {
	t.Helper()
	s := NewScanner()
	for i := 0; i < len(files); i += 2 {
		if err := s.File(files[i], strings.NewReader(files[i+1])); err != nil {
			t.Fatalf("File(%q): %v, want no error", files[i], err)
		}
	}
	return s.Report()
}

// values gives what a check found in files.
func values(t testing.TB, check string, files ...string) []string {
	t.Helper()
	report := scan(t, files...)
	if f := report.Finding(check); f != nil {
		return f.Values
	}
	return nil
}

// Headers of native code, which are long enough to be held for real behind something else too.
const (
	elf    = "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\xb7\x00\x01\x00\x00\x00"
	elfBig = "\x7fELF\x01\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x08\x00\x00\x00\x01"
	macho  = "\xcf\xfa\xed\xfe\x0c\x00\x00\x01\x00\x00\x00\x00\x06\x00\x00\x00\x0f\x00\x00\x00"
	mach32 = "\xfe\xed\xfa\xce\x00\x00\x00\x12\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x0b"
	fat    = "\xca\xfe\xba\xbe\x00\x00\x00\x02\x01\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x40\x00"
	class  = "\xca\xfe\xba\xbe\x00\x00\x00\x41\x00\x1d\x0a\x00\x02\x00\x03\x07"
	dex    = "dex\n035\x00\x7a\x44\xcb\xbb\xfb\x4a\xe8\x41"
	png    = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
	pe     = "PE\x00\x00\x64\x86\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0\x00\x22\x00\x0b\x02"
)

// dos is a DOS header that says where the PE header is.
func dos(at int) string {
	return "MZ" + strings.Repeat("\x00", 58) + string([]byte{byte(at), byte(at >> 8), byte(at >> 16), 0}) + strings.Repeat("\x00", at-64)
}

func TestScannerNativeCode(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		want []string
	}{
		"ELF":                          {elf, []string{"ELF: f"}},
		"ELF, big endian":              {elfBig, []string{"ELF: f"}},
		"only the magic":               {"\x7fELF", []string{"ELF: f"}},
		"ELF behind zeros":             {strings.Repeat("\x00", 511) + elf, []string{"ELF at 511: f"}},
		"ELF behind a picture":         {png + elf, []string{"ELF at 29: f"}},
		"two behind each other":        {png + elf + macho, []string{"ELF at 29: f", "Mach-O at 53: f"}},
		"ELF across windows":           {strings.Repeat("x", windowSize-lookAhead-2) + elf, []string{fmt.Sprintf("ELF at %d: f", windowSize-lookAhead-2)}},
		"ELF at the end of the window": {strings.Repeat("x", windowSize-3) + elf, []string{fmt.Sprintf("ELF at %d: f", windowSize-3)}},
		"magic in noise":               {png + "\x7fELF\xff\xff\xff" + strings.Repeat("\xff", 40), nil},
		"the magic in a script":        {`var magic = "\x7fELF\x02\x01\x01"`, nil},
		"Mach-O":                       {macho, []string{"Mach-O: f"}},
		"Mach-O, big endian":           {"GIF89a" + mach32, []string{"Mach-O at 6: f"}},
		"fat":                          {fat, []string{"fat Mach-O: f"}},
		"fat behind something":         {"x" + fat, []string{"fat Mach-O at 1: f"}},
		"class":                        {class, []string{"Java class: f"}},
		"class behind something":       {"\xff\xd8\xff\xe0" + class, []string{"Java class at 4: f"}},
		"PE":                           {dos(128) + pe, []string{"PE at 128: f"}},
		"PE with a far header":         {dos(300_000) + pe, []string{"PE at 300000: f"}},
		"PE of an unknown processor":   {dos(128) + "PE\x00\x00\xff\xff" + strings.Repeat("\x00", 40), []string{"PE at 128: f"}},
		"text that starts with MZ":     {"MZ is the mark of Mark Zbikowski, and PE came later. " + strings.Repeat("text ", 40), nil},
		"DOS program":                  {dos(64) + "no PE here", nil},
		"dex":                          {dex, []string{"dex: f"}},
		"dex behind something":         {"RIFF" + dex, []string{"dex at 4: f"}},
		"odex":                         {"dey\n036\x00" + dex, []string{"dex at 8: f", "odex: f"}},
		"index in text":                {"the index\n035 of it", nil},
		"vdex":                         {"vdex027\x00....", []string{"vdex: f"}},
		"cdex":                         {"cdex001\x00....", []string{"cdex: f"}},
		"oat":                          {"oat\n183\x00....", []string{"oat: f"}},
		"a list of words":              {"oat\noatcake\noath\n", nil},
		"bitcode":                      {"BC\xc0\xde\x35\x14\x00\x00", []string{"LLVM bitcode: f"}},
		"bitcode behind something":     {"xx" + "BC\xc0\xde\x35\x14\x00\x00", []string{"LLVM bitcode at 2: f"}},
		"library":                      {"!<arch>\nlib.o/", []string{"static library: f"}},
		"wasm":                         {"\x00asm\x01\x00\x00\x00", nil},
		"woff2":                        {"wOF2\x00\x01\x00\x00" + strings.Repeat("\xca\xfe", 50), nil},
		"empty":                        {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, values(t, CheckNativeCode, "f", tc.file)); diff != "" {
				t.Errorf("native-code (-want +got):\n%s", diff)
			}
		})
	}
}

// packed makes archives; content follows names. A name of an archive in it is packed with pack again.
func zipped(t testing.TB, files ...string) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		// Create would write a data descriptor: those are canonical too, and stored files with them are not.
		f, err := w.CreateHeader(&zip.FileHeader{Name: files[i], Method: zip.Deflate})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func gzipped(t testing.TB, data string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func zstded(t testing.TB, data string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(data), nil))
}

func TestScannerArchives(t *testing.T) {
	inner := zipped(t, "lib/a.bin", elf)
	for name, tc := range map[string]struct {
		file   string
		native []string
		nested bool
	}{
		"zip":                   {inner, []string{"ELF: f!/lib/a.bin"}, false},
		"zip in zip":            {zipped(t, "b.dat", inner), []string{"ELF: f!/b.dat!/lib/a.bin"}, false},
		"zip in zip in zip":     {zipped(t, "c", zipped(t, "b.dat", inner)), nil, true},
		"gzip":                  {gzipped(t, elf), []string{"ELF: f!"}, false},
		"zstd":                  {zstded(t, elf), []string{"ELF: f!"}, false},
		"zstd behind a frame":   {"\x50\x2a\x4d\x18\x01\x00\x00\x00x" + zstded(t, elf), []string{"ELF: f!"}, false},
		"gzip in zstd":          {zstded(t, gzipped(t, elf)), []string{"ELF: f!!"}, false},
		"gzip in gzip in gzip":  {gzipped(t, gzipped(t, gzipped(t, elf))), nil, true},
		"clean zip":             {zipped(t, "a.txt", "text"), nil, false},
		"two gzip members":      {gzipped(t, "text") + gzipped(t, elf), []string{"ELF at 4: f!"}, false},
		"gzip with more":        {gzipped(t, "text") + "more", nil, true},
		"broken gzip":           {"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff" + elf, nil, true},
		"zip behind a picture":  {png + inner, nil, true},
		"zip with more":         {inner + "more", []string{"ELF: f!/lib/a.bin"}, true},
		"xz":                    {"\xfd7zXZ\x00\x00", nil, true},
		"bzip2":                 {"BZh91AY&SY", nil, true},
		"7z":                    {"7z\xbc\xaf\x27\x1c\x00", nil, true},
		"rar":                   {"Rar!\x1a\x07\x01\x00", nil, true},
		"the magic in a script": {`var zip = "PK\x03\x04"`, nil, false},
		"the magic in noise":    {"\xff\xffPK\x03\x04" + strings.Repeat("\xff", 40), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			report := scan(t, "f", tc.file)
			var native []string
			if f := report.Finding(CheckNativeCode); f != nil {
				native = f.Values
			}
			if diff := cmp.Diff(tc.native, native); diff != "" {
				t.Errorf("native-code (-want +got):\n%s", diff)
			}
			if got := report.Finding(CheckNestedArchive); (got != nil) != tc.nested {
				t.Errorf("nested-archive: %v, want found: %v", got, tc.nested)
			}
		})
	}
}

func TestScannerFiles(t *testing.T) {
	key := "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n", 3) + "-----END PRIVATE KEY-----\n"
	word := func(n int) string { return strings.Repeat("aB3dE5fG7h", n/10+1)[:n] }
	jwtOf := func(role string) string {
		enc := base64.RawURLEncoding.EncodeToString
		return enc([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc([]byte(`{"iss":"supabase","role":"`+role+`"}`)) + "." + word(43)
	}
	for name, tc := range map[string]struct {
		check, name, file string
		want              []string
	}{
		"apk":                 {CheckAppPackage, "AndroidManifest.xml", "<manifest/>", []string{"apk or aar: AndroidManifest.xml"}},
		"apk, inside":         {CheckAppPackage, "a.bin", zipped(t, "ANDROIDMANIFEST.XML", "x"), []string{"apk or aar: a.bin!/ANDROIDMANIFEST.XML"}},
		"Android sources":     {CheckAppPackage, "android/src/main/AndroidManifest.xml", "<manifest/>", nil},
		"binary manifest":     {CheckAppPackage, "x", "\x03\x00\x08\x00\x00\x10\x00\x00\x01\x00\x1c\x00", []string{"compiled Android XML: x"}},
		"jar":                 {CheckAppPackage, "lib.dat", zipped(t, "META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n"), []string{"jar: lib.dat!/META-INF/MANIFEST.MF"}},
		"ipa":                 {CheckAppPackage, "Payload/X.app/Info.plist", "<plist/>", []string{"ipa: Payload/X.app/Info.plist"}},
		"framework":           {CheckAppPackage, "ios/A.framework/Info.plist", "<plist/>", []string{"framework: ios/A.framework/Info.plist"}},
		"framework, versions": {CheckAppPackage, "A.Framework/Versions/A/Resources/Info.plist", "", []string{"framework: A.Framework/Versions/A/Resources/Info.plist"}},
		"xcframework":         {CheckAppPackage, "A.xcframework/Info.plist", "", []string{"xcframework: A.xcframework/Info.plist"}},
		"macOS app":           {CheckAppPackage, "X.app/Contents/Info.plist", "", []string{"macOS app: X.app/Contents/Info.plist"}},
		"a plist":             {CheckAppPackage, "ios/App/Info.plist", "", nil},

		"wasm":                 {CheckWasm, "a.bin", "\x00asm\x01\x00\x00\x00", []string{"WebAssembly: a.bin"}},
		"Hermes":               {CheckHermes, "index.bundle", "\xc6\x1f\xbc\x03\xc1\x03\x19\x1f\x60", []string{"Hermes bytecode: index.bundle"}},
		"sh":                   {CheckScript, "a", "#!/bin/sh\necho", []string{"sh script: a"}},
		"env":                  {CheckScript, "a", "#! /usr/bin/env -S FOO=1 python3 -u\n", []string{"python3 script: a"}},
		"sh behind a mark":     {CheckScript, "a.txt", "\xef\xbb\xbf#!/bin/bash\n", []string{"bash script: a.txt"}},
		"env alone":            {CheckScript, "a", "#!/usr/bin/env", []string{"env script: a"}},
		"Rust attribute":       {CheckScript, "a", "#![no_std]", nil},
		"Python":               {CheckBytecode, "a", "\xa7\r\r\n\x00\x00\x00\x00" + strings.Repeat("\x00", 16), []string{"Python bytecode: a"}},
		"text with odd ends":   {CheckBytecode, "a", "{\r\r\n  \"a\": 1 and more of it\r\r\n", nil},
		"Lua":                  {CheckBytecode, "a", "\x1bLuaT", []string{"Lua bytecode: a"}},
		"LuaJIT":               {CheckBytecode, "a", "\x1bLJ\x02", []string{"LuaJIT bytecode: a"}},
		"V8":                   {CheckBytecode, "a.jsc", "\x2a\x06\xde\xc0" + strings.Repeat("\x01", 12), []string{"V8 code cache: a.jsc"}},
		"PEM":                  {CheckPrivateKey, "a", key, []string{"PEM private key: a"}},
		"PEM in a script":      {CheckPrivateKey, "a.js", `k="` + strings.ReplaceAll(key, "\n", `\n`) + `"`, []string{"PEM private key: a.js"}},
		"RSA":                  {CheckPrivateKey, "a", strings.ReplaceAll(key, "PRIVATE", "RSA PRIVATE"), []string{"PEM private key: a"}},
		"first line only":      {CheckPrivateKey, "a.js", `if(!s.includes("-----BEGIN PRIVATE KEY-----"))throw Error("-----END PRIVATE KEY-----")`, nil},
		"public key":           {CheckPrivateKey, "a", strings.ReplaceAll(key, "PRIVATE", "PUBLIC"), nil},
		"PKCS #8":              {CheckPrivateKey, "a", "\x30\x82\x04\xbd\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" + word(40), []string{"private key: a"}},
		"Ed25519":              {CheckPrivateKey, "a", "\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20" + word(32), []string{"private key: a"}},
		"PKCS #12":             {CheckPrivateKey, "a", "\x30\x82\x0a\x00\x02\x01\x03\x30\x82" + word(40), []string{"PKCS #12 keystore: a"}},
		"certificate":          {CheckPrivateKey, "a", "\x30\x82\x0a\x00\x30\x82\x02\x01" + word(48), nil},
		"JKS":                  {CheckPrivateKey, "a", "\xfe\xed\xfe\xed\x00\x00\x00\x02", []string{"Java keystore: a"}},
		"AWS":                  {CheckCloudToken, "a.js", `"AKIA` + "QYLPMN5HNWWB5RLT" + `"`, []string{"AWS access key: a.js"}},
		"AWS, of the manual":   {CheckCloudToken, "a.js", `"AKIAIOSFODNN7EXAMPLE"`, nil},
		"part of a word":       {CheckCloudToken, "a.js", `"xAKIAQYLPMN5HNWWB5RLT"`, nil},
		"Google":               {CheckCloudToken, "a.js", `"GOCSPX-` + word(28) + `"`, []string{"Google client secret: a.js"}},
		"Firebase":             {CheckCloudToken, "a.js", `"AIzaSy` + word(33) + `"`, nil},
		"Azure storage":        {CheckCloudToken, "a.js", `AccountKey=` + word(86) + `==;`, []string{"Azure storage key: a.js"}},
		"Azure client":         {CheckCloudToken, "a.js", `"abc8Q~` + word(34) + `"`, []string{"Azure client secret: a.js"}},
		"GitHub":               {CheckCloudToken, "a.js", `"ghp_` + word(36) + `"`, []string{"GitHub token: a.js"}},
		"GitHub, fine-grained": {CheckCloudToken, "a.js", "github_pat_" + word(22) + "_" + word(59), []string{"GitHub token: a.js"}},
		"Slack":                {CheckCloudToken, "a.js", `"xoxb-` + `123456789012-123456789012-` + word(24) + `"`, []string{"Slack token: a.js"}},
		"Slack webhook":        {CheckCloudToken, "a.js", `https://hooks.slack.com/services/` + `T01234567/B01234567/` + word(24), []string{"Slack webhook: a.js"}},
		"Stripe":               {CheckCloudToken, "a.js", `"sk_live_` + word(24) + `"`, []string{"Stripe secret key: a.js"}},
		"Stripe, public":       {CheckCloudToken, "a.js", `"pk_live_` + word(24) + `"`, nil},
		"npm":                  {CheckCloudToken, ".npmrc", `//npm.example.com/:_authToken=` + word(36), []string{"npm token: .npmrc"}},
		"npm, from settings":   {CheckCloudToken, ".npmrc", `//npm.example.com/:_authToken=${NPM_TOKEN_OF_THE_BUILD_SERVER}`, nil},
		"service role":         {CheckCloudToken, "a.js", `createClient(u,"` + jwtOf("service_role") + `")`, []string{"JWT of a service role: a.js"}},
		"anon role":            {CheckCloudToken, "a.js", `createClient(u,"` + jwtOf("anon") + `")`, nil},
		".env":                 {CheckEnvFile, "a/.env.production", "API=1\n", []string{"settings: a/.env.production"}},
		".env.example":         {CheckEnvFile, ".env.example", "API=\n", nil},
		"empty .env":           {CheckEnvFile, ".env", "# nothing\n", nil},
		"source map":           {CheckSourceMap, "main.css.gz", gzipped(t, `{"version":3,"sources":["a.ts"],"mappings":"AAAA"}`), []string{"source map: main.css.gz!"}},
		"inline source map":    {CheckSourceMap, "a.js", "x()\n//# sourceMappingURL=data:application/json;charset=utf-8;base64,eyJ2ZXJzaW9uIjozfQ==", []string{"inline source map: a.js"}},
		"makes source maps":    {CheckSourceMap, "a.js", "s+='//# sourceMappingURL=data:application/json;base64,'+b", nil},
		"names a source map":   {CheckSourceMap, "a.js", "x()\n//# sourceMappingURL=a.js.map", nil},
		"unread text":          {CheckUnreadText, "a.js", "//" + strings.Repeat("x", maxText), []string{fmt.Sprintf("only %d of %d bytes were read: a.js", maxText, maxText+2)}},
		"long data":            {CheckUnreadText, "a.json", `{ "a": "` + strings.Repeat("x", maxText) + `"}`, nil},
		"long prose":           {CheckUnreadText, "a.txt", strings.Repeat("x", maxText+1), []string{fmt.Sprintf("only %d of %d bytes were read: a.txt", maxText, maxText+1)}},
		"long picture":         {CheckUnreadText, "a.png", png + strings.Repeat("\x00", maxText), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, values(t, tc.check, tc.name, tc.file)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.check, diff)
			}
		})
	}
}

// No secret is in a report: only where it is, and what kind it is.
func TestScannerKeepsSecrets(t *testing.T) {
	secret := strings.Repeat("aB3dE5fG7h", 4)[:36]
	report := scan(t, "a.js", `const t = "ghp_`+secret+`"`)
	if text := fmt.Sprintf("%+v", report); strings.Contains(text, secret[:8]) || !strings.Contains(text, "GitHub token: a.js") {
		t.Errorf("report %s, want the kind and the path of the token only", text)
	}
}

func TestScannerErrors(t *testing.T) {
	away := errors.New("the network is away")
	for name, start := range map[string]string{"plain": "text", "zip": zipped(t, "a", "text")[:40], "gzip": gzipped(t, "text")[:12], "empty": ""} {
		s := NewScanner()
		if err := s.File("f", io.MultiReader(strings.NewReader(start), iotest.ErrReader(away))); !errors.Is(err, away) {
			t.Errorf("%s: File gave %v, want the error of the reader", name, err)
		}
	}
}

func TestScannerCounts(t *testing.T) {
	report := scan(t, "a.txt", "12345", "b.zip", zipped(t, "c", "text"), "d", "")
	want := int64(5 + len(zipped(t, "c", "text")))
	if report.Files != 3 || report.Unpacked != want || report.Ruleset != Ruleset {
		t.Errorf("report %+v, want 3 files of %d bytes, ruleset %d", report, want, Ruleset)
	}
}

func TestFindingsAreBounded(t *testing.T) {
	s := NewScanner()
	for i := range 200 {
		name := fmt.Sprintf("%03d/%s", 199-i, strings.Repeat("ж", 300))
		if err := s.File(name, strings.NewReader(elf)); err != nil {
			t.Fatal(err)
		}
	}
	report := s.Report()
	f := report.Finding(CheckNativeCode)
	if f == nil || f.Count != 200 || len(f.Values) != MaxValues || !f.More {
		t.Fatalf("finding %+v, want 200 counted, %d kept, and more", f, MaxValues)
	}
	if !strings.HasPrefix(f.Values[0], "ELF: 000/") || !strings.HasPrefix(f.Values[MaxValues-1], "ELF: 015/") {
		t.Errorf("values %q to %q, want the first ones in order", f.Values[0], f.Values[MaxValues-1])
	}
	for _, v := range f.Values {
		if len(v) > maxValue {
			t.Errorf("value of %d bytes, want at most %d", len(v), maxValue)
		}
	}
}

func TestClean(t *testing.T) {
	long := strings.Repeat("a", 300)
	if a, b := clean(long+"1"), clean(long+"2"); a == b || len(a) != maxValue {
		t.Errorf("clean gave %q and %q, want two texts of %d bytes", a, b, maxValue)
	}
	if a, b := clean("a\x00b"), clean("a\u202eb"); a == b || strings.ContainsAny(a+b, "\x00\u202e") {
		t.Errorf("clean gave %q and %q, want two texts that can be printed", a, b)
	}
	if got := clean("why? assets/ü.png"); got != "why? assets/ü.png" {
		t.Errorf("clean gave %q, want it unchanged", got)
	}
}
