// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/windlass-dev/windlass/internal/artifact"
)

// file is a file or, with a slash at its end, a folder of an archive to make.
type file struct{ name, content string }

func makeZip(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, f := range files {
		create := w.Create
		if f.content == "" { // deflate takes long to make nothing
			create = func(name string) (io.Writer, error) { return w.CreateRaw(&zip.FileHeader{Name: name}) }
		}
		e, err := create(f.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(e, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func makeTar(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content))}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func makeGzip(t testing.TB, content []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func makeZstd(t testing.TB, content []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(content, nil)
}

func scan(content []byte) (artifact.Facts, error) {
	return artifact.Scan(bytes.NewReader(content), artifact.Limits{}, nil)
}

var web = []file{{"www/", ""}, {"www/index.html", "<html>"}, {"main.js", "console.log(1)"}, {"empty", ""}}

func TestScan_kinds(t *testing.T) {
	three, zero := int32(3), int32(0)
	for name, tc := range map[string]struct {
		content []byte
		want    artifact.Facts
	}{
		"zip":        {makeZip(t, web...), artifact.Facts{MediaType: "application/zip", Ext: "zip", Files: &three, Unpacked: 20}},
		"empty zip":  {makeZip(t), artifact.Facts{MediaType: "application/zip", Ext: "zip", Files: &zero}},
		"tar":        {makeTar(t, web...), artifact.Facts{MediaType: "application/x-tar", Ext: "tar", Files: &three, Unpacked: 20}},
		"gzip":       {makeGzip(t, makeTar(t, web...)), artifact.Facts{MediaType: "application/gzip", Ext: "tar.gz", Files: &three, Unpacked: 20}},
		"zstd":       {makeZstd(t, makeTar(t, web...)), artifact.Facts{MediaType: "application/zstd", Ext: "tar.zst", Files: &three, Unpacked: 20}},
		"empty tar":  {makeGzip(t, makeTar(t)), artifact.Facts{MediaType: "application/gzip", Ext: "tar.gz", Files: &zero}},
		"javascript": {[]byte("console.log(1)"), artifact.Facts{MediaType: "application/octet-stream", Ext: "bin", Unpacked: 14}},
		"empty":      {nil, artifact.Facts{MediaType: "application/octet-stream", Ext: "bin"}},
		"one byte":   {[]byte("P"), artifact.Facts{MediaType: "application/octet-stream", Ext: "bin", Unpacked: 1}},
		"zip words":  {[]byte(strings.Repeat("var sign = 'PK\x05\x06', more = 'PK\x01\x02', large = 'PK\x06\x06', where = 'PK\x06\x07';\n", 9)), artifact.Facts{MediaType: "application/octet-stream", Ext: "bin", Unpacked: 594}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := scan(tc.content)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}

// Every archive is visited the same, however its bytes come in, and whatever the visitor leaves unread.
func TestScan_visit(t *testing.T) {
	large := strings.Repeat("more than one buffer; ", 20_000)
	files := append([]file{{"large.txt", large}}, web...)
	for name, content := range map[string][]byte{
		"zip": makeZip(t, files...), "tar": makeTar(t, files...), "tar.gz": makeGzip(t, makeTar(t, files...)), "tar.zst": makeZstd(t, makeTar(t, files...)),
	} {
		for way, r := range map[string]io.Reader{
			"at once": bytes.NewReader(content), "with the end": iotest.DataErrReader(bytes.NewReader(content)), "in halves": iotest.HalfReader(bytes.NewReader(content)),
			"by bytes": iotest.OneByteReader(bytes.NewReader(content)),
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				var got []string
				_, err := artifact.Scan(r, artifact.Limits{}, func(name string, r io.Reader) error {
					if name == "main.js" { // stays unread
						got = append(got, name)
						return nil
					}
					raw, err := io.ReadAll(r)
					got = append(got, fmt.Sprint(name, " ", len(raw)))
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{fmt.Sprint("large.txt ", len(large)), "www/index.html 6", "main.js", "empty 0"}, got); diff != "" {
					t.Errorf("visits (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// What is no archive is one file without a name.
func TestScan_visitPlain(t *testing.T) {
	content := strings.Repeat("plain ", 50_000)
	var got string
	facts, err := artifact.Scan(strings.NewReader(content), artifact.Limits{Unpacked: 10}, func(name string, r io.Reader) error {
		raw, err := io.ReadAll(r)
		got = name + string(raw)
		return err
	})
	if err != nil || got != content || facts.Unpacked != int64(len(content)) || facts.Files != nil {
		t.Errorf("got %d bytes, facts %+v, error %v", len(got), facts, err)
	}
}

// The visitor's error ends the scan as it is, but not when the archive is what caused it.
func TestScan_visitorFails(t *testing.T) {
	mine := errors.New("mine")
	content := makeZip(t, web...)
	visits := 0
	_, err := artifact.Scan(bytes.NewReader(content), artifact.Limits{}, func(string, io.Reader) error {
		visits++
		return mine
	})
	if !errors.Is(err, mine) || errors.Is(err, artifact.ErrInvalid) || visits != 1 {
		t.Errorf("got error %v after %d visits, want the visitor's after one", err, visits)
	}
	damaged := bytes.Clone(content)
	damaged[bytes.Index(damaged, []byte("PK\x07\x08"))+4] ^= 1 // the first checksum
	_, err = artifact.Scan(bytes.NewReader(damaged), artifact.Limits{}, func(_ string, r io.Reader) error {
		if _, err := io.Copy(io.Discard, r); err != nil {
			return mine
		}
		return nil
	})
	if errors.Is(err, mine) || !errors.Is(err, artifact.ErrInvalid) {
		t.Errorf("got error %v, want that of the archive", err)
	}
}

// A file's content ends with io.EOF only if it is right.
func TestScan_damagedContent(t *testing.T) {
	content := makeZip(t, file{"a", "some content"})
	content[bytes.Index(content, []byte("PK\x07\x08"))+4] ^= 1
	_, _ = artifact.Scan(bytes.NewReader(content), artifact.Limits{}, func(_ string, r io.Reader) error {
		if _, err := io.ReadAll(r); !errors.Is(err, artifact.ErrInvalid) {
			t.Errorf("the visitor got error %v, want ErrInvalid", err)
		}
		return nil
	})
}

// A reader that fails says nothing about the archive, wherever it fails.
func TestScan_readError(t *testing.T) {
	broken := errors.New("input/output error")
	tarball := makeTar(t, web...)
	for name, content := range map[string][]byte{
		"zip": makeZip(t, web...), "tar": tarball, "tar.gz": makeGzip(t, tarball), "tar.zst": makeZstd(t, tarball), "plain": []byte("console.log(1)"),
	} {
		for at := 0; at <= len(content); at += 13 {
			_, err := artifact.Scan(io.MultiReader(bytes.NewReader(content[:at]), iotest.ErrReader(broken)), artifact.Limits{}, nil)
			if !errors.Is(err, broken) || errors.Is(err, artifact.ErrInvalid) {
				t.Fatalf("%s: the reader fails at %d: got error %v, want its own", name, at, err)
			}
		}
	}
}

// Archives in archives are scanned by the visitor. A fault of the outer one shows as such.
func TestScan_nested(t *testing.T) {
	inner := makeZip(t, web...)
	outer := makeGzip(t, makeTar(t, file{"inner.zip", string(inner)}, file{"padding", strings.Repeat("x", 70_000)}))
	var inside artifact.Facts
	nested := func(_ string, r io.Reader) (err error) {
		if inside.Files == nil {
			inside, err = artifact.Scan(r, artifact.Limits{}, nil)
		}
		return err
	}
	if _, err := artifact.Scan(bytes.NewReader(outer), artifact.Limits{}, nested); err != nil || *inside.Files != 3 {
		t.Errorf("got %+v, error %v, want 3 files inside", inside, err)
	}
	inside = artifact.Facts{}
	if _, err := artifact.Scan(bytes.NewReader(outer[:len(outer)/2]), artifact.Limits{}, nested); !errors.Is(err, artifact.ErrInvalid) {
		t.Errorf("got error %v, want ErrInvalid", err)
	}
}

func TestScan_limits(t *testing.T) {
	files := make([]file, artifact.MaxEntries+1)
	for i := range files {
		files[i].name = fmt.Sprintf("f%d", i)
	}
	if _, err := scan(makeZip(t, files[1:]...)); err != nil {
		t.Errorf("the largest number is refused: %v", err)
	}
	for name, tc := range map[string]struct {
		limits artifact.Limits
		files  []file
		want   string
	}{
		"entries":       {artifact.Limits{}, files, "more than 20000 files and folders"},
		"fewer entries": {artifact.Limits{Entries: 2}, web, "more than 2 files and folders"},
		"unpacked":      {artifact.Limits{Unpacked: 19}, web, "more than 19 bytes"},
	} {
		for kind, content := range map[string][]byte{"zip": makeZip(t, tc.files...), "tar": makeTar(t, tc.files...)} {
			_, err := artifact.Scan(bytes.NewReader(content), tc.limits, nil)
			if !errors.Is(err, artifact.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s in %s: got error %v, want ErrInvalid that says %q", name, kind, err, tc.want)
			}
		}
	}
	for _, content := range [][]byte{makeZip(t, web...), makeTar(t, web...)} {
		if _, err := artifact.Scan(bytes.NewReader(content), artifact.Limits{Entries: 4, Unpacked: 20}, nil); err != nil {
			t.Errorf("what is at the limit is refused: %v", err)
		}
	}
}

// Names that look strange and mean the same everywhere are not refused by mistake.
func TestScan_harmlessNames(t *testing.T) {
	for _, name := range []string{
		"..a", "a..b", "a/..b/c", ".hidden", "a b", " a", "COM0", "console.js", "auxiliary", "nul-.txt", "ä/ö", "日本語.html", "😀", "[slug]/(group)/@x+y~z,1=2&3[4'5!6#7$8%9^0`{}",
		strings.Repeat("d/", 31) + "f", strings.Repeat("x", 240), "i\u0307", "\u2764\ufe0f",
	} {
		for kind, content := range map[string][]byte{"zip": makeZip(t, file{name, "x"}), "tar": makeTar(t, file{name, "x"})} {
			if kind == "zip" && !isASCII(name) {
				binary.LittleEndian.PutUint16(content[bytes.Index(content, []byte("PK\x01\x02"))+4:], 3<<8|20) // made on Unix
			}
			if _, err := scan(content); err != nil {
				t.Errorf("%q in a %s is refused: %v", name, kind, err)
			}
		}
	}
}

func isASCII(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f }) }

// The largest archive takes no more memory than its names and a few buffers.
func TestScan_memory(t *testing.T) {
	files := make([]file, artifact.MaxEntries-1)
	for i := range files {
		files[i].name = fmt.Sprintf("Folder/%0233d", i) // in upper case: the folded name is kept too
	}
	content := makeZip(t, append(slices.Clone(files), file{"last", ""})...)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, during := heap(), uint64(0)
	_, err := artifact.Scan(bytes.NewReader(content), artifact.Limits{Entries: artifact.MaxEntries + 1}, func(name string, _ io.Reader) error {
		if name == "last" {
			during = heap()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(content)
	if used := int64(during) - int64(before); used > 20<<20 {
		t.Errorf("%d KiB were in use, want at most 20 MiB", used>>10)
	} else {
		t.Logf("%d KiB were in use", used>>10)
	}
}

func TestVersionOf(t *testing.T) {
	for file, want := range map[string]string{
		"1.0.0.zip": "1.0.0", "1.0.0-rc.1.tar.gz": "1.0.0-rc.1", "1.0.0-rc.zip.bin": "1.0.0-rc.zip", "2.0.0.tar": "2.0.0", "zip": "", ".zip": "", "1.0.0.json": "", "1.0.0.": "",
	} {
		got, ok := artifact.VersionOf(file)
		if got != want || ok != (want != "") {
			t.Errorf("VersionOf(%q) = %q, %v, want %q", file, got, ok, want)
		}
	}
}
