// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/artifact"
)

// entry is one entry of an archive to make.
type entry struct {
	name string
	mode fs.FileMode
}

func makeZip(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Store}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(e.name, "/") {
			if _, err := f.Write([]byte("content of " + e.name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func inspect(content []byte) (artifact.Facts, error) {
	return artifact.Inspect(bytes.NewReader(content), int64(len(content)))
}

func TestInspect_kinds(t *testing.T) {
	tar := make([]byte, 1024)
	copy(tar[257:], "ustar\x0000")
	zero := int32(0)
	for name, tc := range map[string]struct {
		content []byte
		want    artifact.Facts
	}{
		"zip":        {makeZip(t, entry{name: "www/"}, entry{name: "www/index.html"}, entry{name: "main.js"}), artifact.Facts{MediaType: "application/zip", Ext: "zip", Files: new(int32(2))}},
		"empty zip":  {makeZip(t), artifact.Facts{MediaType: "application/zip", Ext: "zip", Files: &zero}},
		"gzip":       {[]byte("\x1f\x8b\x08rest"), artifact.Facts{MediaType: "application/gzip", Ext: "tar.gz"}},
		"xz":         {[]byte("\xfd7zXZ\x00rest"), artifact.Facts{MediaType: "application/x-xz", Ext: "tar.xz"}},
		"zstd":       {[]byte("(\xb5/\xfdrest"), artifact.Facts{MediaType: "application/zstd", Ext: "tar.zst"}},
		"bzip2":      {[]byte("BZh91AY"), artifact.Facts{MediaType: "application/x-bzip2", Ext: "tar.bz2"}},
		"tar":        {tar, artifact.Facts{MediaType: "application/x-tar", Ext: "tar"}},
		"javascript": {[]byte("console.log(1)"), artifact.Facts{MediaType: "application/octet-stream", Ext: "bin"}},
		"empty":      {nil, artifact.Facts{MediaType: "application/octet-stream", Ext: "bin"}},
		"one byte":   {[]byte("P"), artifact.Facts{MediaType: "application/octet-stream", Ext: "bin"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := inspect(tc.content)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInspect_escapes(t *testing.T) {
	for name, tc := range map[string]struct {
		entry entry
		want  string
	}{
		"parent":        {entry{name: "../evil"}, "leads out of its folder"},
		"parent inside": {entry{name: "a/../../evil"}, "leads out of its folder"},
		"parent at end": {entry{name: "a/.."}, "leads out of its folder"},
		"absolute":      {entry{name: "/etc/passwd"}, "absolute path"},
		"backslash":     {entry{name: `a\..\..\evil`}, "backslash"},
		"drive":         {entry{name: "C:/evil"}, "drive letter"},
		"NUL":           {entry{name: "a\x00b"}, "NUL"},
		"no name":       {entry{name: ""}, "no name"},
		"symlink":       {entry{name: "link", mode: fs.ModeSymlink | 0o777}, "symbolic link"},
		"device":        {entry{name: "dev", mode: fs.ModeDevice | 0o600}, "special file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := inspect(makeZip(t, entry{name: "good"}, tc.entry))
			if !errors.Is(err, artifact.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want ErrInvalid that says %q", err, tc.want)
			}
		})
	}
}

// Names with dots that lead nowhere are not refused by mistake.
func TestInspect_harmless(t *testing.T) {
	for _, name := range []string{"..a", "a..", "a/..b/c", "...", "ab:c", ".hidden"} {
		if _, err := inspect(makeZip(t, entry{name: name})); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
}

func TestInspect_broken(t *testing.T) {
	whole := makeZip(t, entry{name: "a"}, entry{name: "b"})
	gap := bytes.Clone(whole)
	copy(gap, "PK\x03\x04") // keep the magic
	binary.LittleEndian.PutUint32(gap[bytes.Index(gap, []byte("PK\x01\x02"))+42:], uint32(len(whole)-10))
	for name, content := range map[string][]byte{
		"cut":                  whole[:len(whole)-30],
		"only the magic":       []byte("PK\x03\x04"),
		"no directory":         append([]byte("PK\x03\x04"), bytes.Repeat([]byte{7}, 500)...),
		"offset out of bounds": gap,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := inspect(content); !errors.Is(err, artifact.ErrInvalid) {
				t.Errorf("got error %v, want ErrInvalid", err)
			}
		})
	}
}

func TestInspect_tooMany(t *testing.T) {
	entries := make([]entry, artifact.MaxEntries+1)
	for i := range entries {
		entries[i].name = fmt.Sprintf("f%d", i)
	}
	if _, err := inspect(makeZip(t, entries[1:]...)); err != nil {
		t.Errorf("the largest number is refused: %v", err)
	}
	_, err := inspect(makeZip(t, entries...))
	if !errors.Is(err, artifact.ErrInvalid) || !strings.Contains(err.Error(), "20000") {
		t.Errorf("got error %v, want ErrInvalid that names the limit", err)
	}
}

// A directory that is far larger than any honest one is not read into memory.
func TestInspect_hugeDirectory(t *testing.T) {
	entries := make([]entry, 200)
	for i := range entries {
		entries[i].name = fmt.Sprintf("%d%s", i, strings.Repeat("x", 60_000))
	}
	r := &countingReader{content: makeZip(t, entries...)}
	_, err := artifact.Inspect(r, int64(len(r.content)))
	if !errors.Is(err, artifact.ErrInvalid) || !strings.Contains(err.Error(), "directory") {
		t.Errorf("got error %v, want ErrInvalid about the directory", err)
	}
	if r.read > 9<<20 {
		t.Errorf("%d bytes were read, want at most 9 MiB", r.read)
	}
}

type countingReader struct {
	content []byte
	read    int
}

func (c *countingReader) ReadAt(p []byte, offset int64) (int, error) {
	n, err := bytes.NewReader(c.content).ReadAt(p, offset)
	c.read += n
	return n, err
}

type brokenDisk struct{ after int64 }

func (b brokenDisk) ReadAt(p []byte, offset int64) (int, error) {
	if offset < b.after {
		return copy(p, "PK\x03\x04"), nil
	}
	return 0, errors.New("input/output error")
}

// A disk that fails says nothing about the archive.
func TestInspect_readError(t *testing.T) {
	for _, after := range []int64{0, 1} {
		_, err := artifact.Inspect(brokenDisk{after}, 1<<20)
		if err == nil || errors.Is(err, artifact.ErrInvalid) {
			t.Errorf("after %d bytes: got error %v, want one that is not ErrInvalid", after, err)
		}
	}
}

// Whatever is done to an archive, it is counted or refused, and what is counted holds no escape.
func TestInspect_mutations(t *testing.T) {
	base := makeZip(t, entry{name: "a/b"}, entry{name: "c"}, entry{name: "d/"})
	rapid.Check(t, func(t *rapid.T) {
		content := bytes.Clone(base)
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			content[rapid.IntRange(4, len(content)-1).Draw(t, "offset")] = rapid.Byte().Draw(t, "value")
		}
		content = content[:rapid.IntRange(4, len(content)).Draw(t, "length")]
		facts, err := inspect(content)
		if err != nil {
			if !errors.Is(err, artifact.ErrInvalid) {
				t.Fatalf("got error %v, want ErrInvalid", err)
			}
			return
		}
		archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatalf("counted %d files of an archive that cannot be opened: %v", *facts.Files, err)
		}
		for _, f := range archive.File {
			if strings.Contains("/"+f.Name+"/", "/../") || strings.HasPrefix(f.Name, "/") || strings.ContainsAny(f.Name, "\\\x00") {
				t.Fatalf("entry %q was let through", f.Name)
			}
		}
	})
}

func TestVersionOf(t *testing.T) {
	for file, want := range map[string]string{
		"1.0.0.zip": "1.0.0", "1.0.0-rc.1.tar.gz": "1.0.0-rc.1", "1.0.0-rc.zip.bin": "1.0.0-rc.zip", "2.0.0.tar": "2.0.0", "zip": "", ".zip": "", "1.0.0.json": "",
	} {
		got, ok := artifact.VersionOf(file)
		if got != want || ok != (want != "") {
			t.Errorf("VersionOf(%q) = %q, %v, want %q", file, got, ok, want)
		}
	}
}
