// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package author_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/author"
)

// site is a web build: texts, an empty file, what does not compress, what compresses like a bomb, and a name that is not ASCII.
func site() fstest.MapFS {
	noise := make([]byte, 300_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	return fstest.MapFS{
		"index.html":        {Data: []byte("<script src=assets/main.js></script>")},
		"assets/main.js":    {Data: bytes.Repeat([]byte("console.log('hello')\n"), 40)},
		"assets/main.css":   {Data: nil},
		"assets/photo.webp": {Data: noise},
		"assets.json":       {Data: bytes.Repeat([]byte{'0'}, 2<<20)},
		"assets/größe.txt":  {Data: []byte("ü")},
		"assets/empty":      {Mode: fs.ModeDir | 0o755},
	}
}

// shuffled gives folders in another order each time, and files with other modes and times.
type shuffled struct{ fstest.MapFS }

func (s shuffled) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := s.MapFS.ReadDir(name)
	rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	return entries, err
}

func pack(t testing.TB, folder fs.FS, format author.Format) []byte {
	t.Helper()
	files, err := author.List(folder)
	must(t, files, err)
	var out bytes.Buffer
	if err := author.Pack(&out, folder, files, format, author.Epoch); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// unpacked is what artifact.Scan finds.
func unpacked(t testing.TB, archive []byte) (names []string, content map[string]string) {
	t.Helper()
	content = map[string]string{}
	_, err := artifact.Scan(bytes.NewReader(archive), artifact.Limits{}, func(name string, r io.Reader) error {
		names = append(names, name)
		text, err := io.ReadAll(r)
		content[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return names, content
}

func TestPack_scan(t *testing.T) {
	want := map[string]string{}
	for name, f := range site() {
		if !f.Mode.IsDir() {
			want[name] = string(f.Data)
		}
	}
	for _, format := range author.Formats {
		t.Run(string(format), func(t *testing.T) {
			folder := site()
			if format != author.Zip {
				delete(folder, "assets.json") // as a whole stream it is a bomb
				delete(want, "assets.json")
			}
			names, got := unpacked(t, pack(t, folder, format))
			if !slices.IsSorted(names) {
				t.Errorf("the names are not sorted: %q", names)
			}
			if !maps.Equal(want, got) { // too large for a difference that one can read
				t.Errorf("%d files came out, want the %d that went in", len(got), len(want))
			}
		})
	}
}

// The digests are those of the compressors of this go.mod. When a new version of them changes these, archives of the same folder
// differ between versions of Windlass: say so in the release notes.
func TestPack_reproducible(t *testing.T) {
	for format, want := range map[author.Format]string{
		author.Zip:     "403434ba9c46c3249fa81751962553f636ce7d6051d8111d78681b1aae9bf438",
		author.TarGzip: "7606bd6dfb52a71dd7d788faac0aa1b8abf5cc8b1f9b254726c330b3f67e8cf5",
		author.TarZstd: "fc973db36096877c7ac30637da7793d24c675e163261e817bb8b8b17765d47bf",
	} {
		for range 2 {
			folder := shuffled{site()}
			for _, f := range folder.MapFS {
				f.ModTime = time.Unix(rand.Int64N(2e9), 0)
				if !f.Mode.IsDir() {
					f.Mode = fs.FileMode(rand.IntN(0o1000))
				}
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(pack(t, folder, format))); got != want {
				t.Fatalf("%s: got %s, want %s", format, got, want)
			}
		}
	}
}

func TestPack_plainEntries(t *testing.T) {
	archive := pack(t, site(), author.Zip)
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	must(t, r, err)
	methods := map[string]uint16{}
	for _, f := range r.File {
		methods[f.Name] = f.Method
		if len(f.Extra) > 0 || f.Comment != "" || f.Flags&^0x800 != 0 || !f.Modified.Equal(author.Epoch) || f.Mode() != 0o644 {
			t.Errorf("%s: extra %x, comment %q, flags %x, time %s, mode %s", f.Name, f.Extra, f.Comment, f.Flags, f.Modified, f.Mode())
		}
	}
	want := map[string]uint16{
		"index.html": zip.Deflate, "assets/main.js": zip.Deflate, "assets/main.css": zip.Store, "assets/photo.webp": zip.Store,
		"assets.json": zip.Store, "assets/größe.txt": zip.Store,
	}
	if diff := cmp.Diff(want, methods); diff != "" {
		t.Errorf("methods (-want +got):\n%s", diff)
	}
}

// What is too large to be held is compressed twice, with the same result.
func TestPack_large(t *testing.T) {
	text := make([]byte, 7<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(text[:5<<20])
	archive := pack(t, fstest.MapFS{"large.js": {Data: text}}, author.Zip)
	if len(archive) < 5<<20 || len(archive) > 6<<20 {
		t.Fatalf("the archive has %d bytes: the test needs more than is held, and compression", len(archive))
	}
	if _, got := unpacked(t, archive); got["large.js"] != string(text) {
		t.Error("the file differs")
	}
}

// other is a file that has other content each time that it is opened.
type other struct {
	fs.FS
	opened *int
	grow   bool
}

func (o other) Open(name string) (fs.File, error) {
	if name == "." {
		return o.FS.Open(name)
	}
	*o.opened++
	data := fmt.Appendf(nil, "%09d", 123_456_789*(*o.opened)%999_999_937) // stored, as it does not deflate
	if o.grow {
		data = append(data, "more"...)
	}
	return fstest.MapFS{name: {Data: data}}.Open(name)
}

func TestPack_changedMeanwhile(t *testing.T) {
	for _, format := range author.Formats {
		folder := other{fstest.MapFS{"a": {Data: []byte("123456789")}}, new(int), format != author.Zip}
		err := author.Pack(io.Discard, folder, []author.File{{Name: "a", Size: 9}}, format, author.Epoch)
		if err == nil || !strings.Contains(err.Error(), "changed while") {
			t.Errorf("%s: got %v, want an error about the change", format, err)
		}
	}
}

func TestPack_refuses(t *testing.T) {
	one := []author.File{{Name: "a", Size: 1}}
	folder := fstest.MapFS{"a": {Data: []byte("a")}}
	for name, err := range map[string]error{
		"early":   author.Pack(io.Discard, folder, one, author.Zip, time.Unix(0, 0)),
		"late":    author.Pack(io.Discard, folder, one, author.Zip, time.Date(2108, 1, 1, 0, 0, 0, 0, time.UTC)),
		"format":  author.Pack(io.Discard, folder, one, "rar", author.Epoch),
		"missing": author.Pack(io.Discard, fstest.MapFS{}, one, author.Zip, author.Epoch),
	} {
		if err == nil {
			t.Errorf("%s is packed", name)
		}
	}
}

func TestList_refuses(t *testing.T) {
	for name, folder := range map[string]fs.FS{
		"symbolic link": fstest.MapFS{"a": {Data: []byte("x")}, "link": {Mode: fs.ModeSymlink}},
		"special file":  fstest.MapFS{"pipe": {Mode: fs.ModeNamedPipe}},
	} {
		if _, err := author.List(folder); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error about a %s", err, name)
		}
	}
	many := fstest.MapFS{}
	for i := range artifact.MaxEntries + 1 {
		many[fmt.Sprint(i)] = &fstest.MapFile{}
	}
	if _, err := author.List(many); err == nil || !strings.Contains(err.Error(), "20000") {
		t.Errorf("got %v, want an error with the limit", err)
	}
}

// Whatever files there are, what is packed comes out again.
func TestPack_anyFiles(t *testing.T) {
	name := rapid.StringMatching(`[a-c]{1,3}(/[d-f]{1,3}){0,3}\.js`)
	rapid.Check(t, func(rt *rapid.T) {
		folder := fstest.MapFS{}
		for name, data := range rapid.MapOf(name, rapid.SliceOf(rapid.Byte())).Draw(rt, "files") {
			folder[name] = &fstest.MapFile{Data: data}
		}
		if len(folder) == 0 {
			return
		}
		format := rapid.SampledFrom(author.Formats).Draw(rt, "format")
		_, got := unpacked(t, pack(t, folder, format))
		for name, f := range folder {
			if got[name] != string(f.Data) {
				rt.Fatalf("%s: got %x, want %x", name, got[name], f.Data)
			}
		}
	})
}

// The tools that people have read the same files.
func TestPack_tools(t *testing.T) {
	dir := t.TempDir()
	run := func(tool string, args ...string) string {
		t.Helper()
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", tool, args, err, out)
		}
		return string(out)
	}
	for _, format := range author.Formats {
		if err := os.WriteFile(filepath.Join(dir, "a."+string(format)), pack(t, site(), format), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("unzip", func(*testing.T) { run("unzip", "-t", "a.zip") })
	t.Run("python", func(*testing.T) {
		run("python3", "-c", "import zipfile,tarfile; assert zipfile.ZipFile('a.zip').testzip() is None; assert len(tarfile.open('a.tar.gz').getmembers())==6")
	})
	t.Run("tar", func(t *testing.T) {
		if got := strings.Count(run("tar", "-tzf", "a.tar.gz"), "\n"); got != 6 {
			t.Errorf("tar lists %d files, want 6", got)
		}
	})
}
