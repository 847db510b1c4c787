// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/artifact"
)

func scanned(path string) (Listing, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // was read only
	l := Listing{}
	_, err = artifact.Scan(f, artifact.Limits{}, l.Add)
	return l, err
}

// What real tools make is taken, and what is taken means the same to all tools that could unpack it.
func TestGood(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fetched := npmPackages(t)
	var paths []string
	for name, file := range fetched {
		path := filepath.Join(dir, "npm-"+strings.ReplaceAll(name, "/", "+")+".tar.gz")
		if err := os.Symlink(file, path); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	built := packed(t, dir)
	count := func(class string, paths []string) map[string]Listing {
		lists, refused := map[string]Listing{}, 0
		for _, path := range paths {
			l, err := scanned(path)
			if err != nil {
				refused++
				t.Errorf("%s is refused: %v", filepath.Base(path), err)
				continue
			}
			lists[path] = l
		}
		fmt.Fprintf(os.Stdout, "GOOD archive-%s %d REFUSED %d\n", class, len(paths), refused)
		return lists
	}
	all := count("npm-packages", paths)
	maps.Copy(all, count("web-builds", built))
	if fetched != nil && len(all) < 30 {
		t.Errorf("there are %d good archives, want at least 30", len(all))
	}
	maps.Copy(all, count("generated", generated(t, dir)))
	maps.Copy(all, flipped(t, dir))
	if !full() {
		maps.DeleteFunc(all, func(path string, _ Listing) bool { return sizeOf(t, path) > 500_000 })
	}
	compare(t, all)
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// generated are the good archives that the hostile ones are made from.
func generated(t *testing.T, dir string) []string {
	t.Helper()
	var paths []string
	for ext, data := range Honest(seed, 8) {
		path := filepath.Join(dir, fmt.Sprintf("honest-%d.%s", len(paths), ext))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// flipped are archives with one bit changed that are still taken: the bit must mean nothing to anybody.
func flipped(t *testing.T, dir string) map[string]Listing {
	t.Helper()
	taken, tried, step := map[string]Listing{}, 0, 101
	if full() {
		step = 3
	}
	for ext, data := range Honest(seed+1, 4) {
		bits := len(data) * 8
		switch ext {
		case "tar":
			bits = 512 * 8 // of the first header, whose checksum is made anew; what is in files may be anything
		case "zip":
		default:
			continue // packed archives have checksums over all
		}
		for bit := 0; bit < bits; bit += step {
			changed := bytes.Clone(data)
			changed[bit/8] ^= 1 << (bit % 8)
			if ext == "tar" {
				SignTar(changed[:512])
			}
			tried++
			l := Listing{}
			if facts, err := artifact.Scan(bytes.NewReader(changed), artifact.Limits{}, l.Add); err == nil && facts.Files != nil {
				path := filepath.Join(dir, fmt.Sprintf("flipped-%d-%d.%s", tried, bit, ext))
				if err := os.WriteFile(path, changed, 0o600); err != nil {
					t.Fatal(err)
				}
				taken[path] = l
			}
		}
	}
	t.Logf("%d of %d archives with one bit changed are taken", len(taken), tried)
	return taken
}

// tool lists archives: by tool, then by archive.
type tool struct {
	name     string
	programs []string
	exts     []string
	list     func(t *testing.T, paths []string) map[string]map[string]Listing
}

var tools = []tool{
	{"Go", nil, []string{"zip", "tar", "tar.gz", "tar.zst"}, listGo},
	{"Java", []string{"java"}, []string{"zip"}, program("java", "testdata/ListZip.java")},
	{"Python", []string{"python3"}, []string{"zip", "tar", "tar.gz"}, program("python3", "testdata/list.py")},
	{"Node", []string{"node"}, []string{"zip"}, listNode},
	{"unzip", []string{"unzip"}, []string{"zip"}, extractor("unzip", `unzip -q "$1" -d "$2"`)},
	{"tar", []string{"tar"}, []string{"tar", "tar.gz"}, extractor("tar", `tar -xf "$1" -C "$2"`)},
	{"tar with zstd", []string{"tar", "zstd"}, []string{"tar.zst"}, extractor("tar", `zstd -qdc "$1" | tar -xf - -C "$2"`)},
}

// compare has all tools list all archives, and gives those that any of them reads differently.
func compare(t *testing.T, want map[string]Listing) []string {
	t.Helper()
	different := map[string]bool{}
	for _, tool := range tools {
		missing := slices.IndexFunc(tool.programs, func(p string) bool { _, err := exec.LookPath(p); return err != nil })
		if missing >= 0 {
			t.Logf("%s did not run: %s is not installed", tool.name, tool.programs[missing])
			continue
		}
		var paths []string
		for path := range want {
			if slices.Contains(tool.exts, extOf(path)) {
				paths = append(paths, path)
			}
		}
		slices.Sort(paths)
		for name, lists := range tool.list(t, paths) {
			wrong := 0
			for _, path := range paths {
				if got := lists[path]; !maps.Equal(got, want[path]) {
					wrong++
					different[path] = true
					t.Errorf("%s: %s lists\n%v, want\n%v", filepath.Base(path), name, short(got), short(want[path]))
				}
			}
			fmt.Fprintf(os.Stdout, "SAME archive-%s %d DIFFERENT %d\n", name, len(paths), wrong)
		}
	}
	return slices.Sorted(maps.Keys(different))
}

func extOf(path string) string {
	for _, ext := range []string{"tar.gz", "tar.zst", "tar", "zip"} {
		if strings.HasSuffix(path, "."+ext) {
			return ext
		}
	}
	return ""
}

func short(l Listing) string { return fmt.Sprintf("%.1500v", map[string]string(l)) }

func run(t *testing.T, stdin string, env []string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr, cmd.Env = strings.NewReader(stdin), &said, append(append(os.Environ(), "LC_ALL=C.UTF-8"), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %.2000s", args, err, said.String())
	}
	return out
}

// program runs one that prints lines of tool, archive, name, size and SHA-256.
func program(args ...string) func(*testing.T, []string) map[string]map[string]Listing {
	return func(t *testing.T, paths []string) map[string]map[string]Listing {
		t.Helper()
		return parse(t, run(t, strings.Join(paths, "\n"), nil, args...))
	}
}

func parse(t *testing.T, out []byte) map[string]map[string]Listing {
	t.Helper()
	all := map[string]map[string]Listing{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			t.Fatalf("a tool printed %q", line)
		}
		if all[f[0]] == nil {
			all[f[0]] = map[string]Listing{}
		}
		if all[f[0]][f[1]] == nil {
			all[f[0]][f[1]] = Listing{}
		}
		name := strings.TrimPrefix(f[2], "./")
		for all[f[0]][f[1]][name] != "" {
			name += " again"
		}
		all[f[0]][f[1]][name] = f[3] + "\t" + f[4]
	}
	return all
}

func listNode(t *testing.T, paths []string) map[string]map[string]Listing {
	t.Helper()
	dir := unpacked(t, "jszip", "fflate", "adm-zip")
	if dir == "" {
		return nil
	}
	return parse(t, run(t, strings.Join(paths, "\n"), []string{"NPM=" + dir}, "node", "testdata/list.js"))
}

// extractor unpacks all archives by one shell and looks at what is on the disk.
func extractor(name, command string) func(*testing.T, []string) map[string]map[string]Listing {
	return func(t *testing.T, paths []string) map[string]map[string]Listing {
		t.Helper()
		root := t.TempDir()
		script := `unpack() { ` + command + ` || touch "$2/ERROR"; }
i=0; while read -r path; do i=$((i+1)); mkdir "$0/$i"; unpack "$path" "$0/$i" </dev/null; done; chmod -R u+rwX "$0"`
		run(t, strings.Join(paths, "\n")+"\n", nil, "sh", "-c", script, root)
		lists := map[string]Listing{}
		for i, path := range paths {
			lists[path] = folder(t, filepath.Join(root, fmt.Sprint(i+1)))
			_ = os.RemoveAll(filepath.Join(root, fmt.Sprint(i+1))) // space on the disk
		}
		return map[string]map[string]Listing{name: lists}
	}
}

func folder(t *testing.T, root string) Listing {
	t.Helper()
	l := Listing{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		return errors.Join(err, l.Add(filepath.ToSlash(name), f), f.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func listGo(t *testing.T, paths []string) map[string]map[string]Listing {
	t.Helper()
	lists := map[string]Listing{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		l, err := GoList(raw, extOf(path))
		if err != nil {
			t.Errorf("%s: Go cannot read it: %v", filepath.Base(path), err)
		}
		lists[path] = l
	}
	return map[string]map[string]Listing{"go": lists}
}
