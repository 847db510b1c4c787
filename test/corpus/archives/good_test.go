// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package archives

import (
	"archive/zip"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/testkit/npm"
)

// packages are real packages of several packers, name@version and integrity a line.
//
//go:embed testdata/packages.txt
var packages string

// large packages are left out unless the whole corpus is asked for.
var large = map[string]bool{"react-native": true}

func full() bool { return os.Getenv("WINDLASS_CORPUS") == "full" }

var tarballs = sync.OnceValues(fetchTarballs)

// fetchTarballs gives the files of the packages by name, from the cache or from npm.
func fetchTarballs() (map[string]string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	cache := filepath.Join(cmp.Or(os.Getenv("WINDLASS_CACHE"), filepath.Join(base, "windlass")), "tarballs")
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return nil, err
	}
	files, pins, missing := map[string]string{}, map[string]string{}, []string{}
	for line := range strings.Lines(packages) {
		spec, integrity, _ := strings.Cut(strings.TrimSpace(line), " ")
		name := spec[:strings.LastIndexByte(spec, '@')]
		if large[name] && !full() {
			continue
		}
		sum := sha256.Sum256([]byte(integrity))
		files[name], pins[spec] = filepath.Join(cache, hex.EncodeToString(sum[:16])+".tgz"), integrity
		if _, err := os.Stat(files[name]); err != nil {
			missing = append(missing, spec)
		}
	}
	return files, pack(cache, missing, pins, files)
}

// pack has npm fetch what is missing, and holds each package against its integrity.
func pack(cache string, specs []string, pins, files map[string]string) error {
	if len(specs) == 0 {
		return nil
	}
	scratch, err := os.MkdirTemp(cache, ".fetch-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }() // what is left of it
	out, err := npm.Run(context.Background(), scratch, append([]string{"pack", "--json", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"}, specs...)...)
	if err != nil {
		return err
	}
	var packed []struct{ Name, Version, Filename string }
	if err := json.Unmarshal(out, &packed); err != nil || len(packed) != len(specs) {
		return fmt.Errorf("npm pack printed %.300q, want %d packages (%w)", out, len(specs), err)
	}
	for _, p := range packed {
		raw, err := os.ReadFile(filepath.Join(scratch, p.Filename))
		if err != nil {
			return err
		}
		sum := sha512.Sum512(raw)
		if got, want := "sha512-"+base64.StdEncoding.EncodeToString(sum[:]), pins[p.Name+"@"+p.Version]; got != want {
			return fmt.Errorf("the registry's %s@%s is %s, want %s: do not run it", p.Name, p.Version, got, want)
		}
		if err := os.Rename(filepath.Join(scratch, p.Filename), files[p.Name]); err != nil {
			return err
		}
	}
	return nil
}

// npmPackages gives the packages, or none when npm is out of reach.
func npmPackages(t *testing.T) map[string]string {
	t.Helper()
	files, err := tarballs()
	if errors.Is(err, npm.ErrOutOfReach) {
		t.Logf("the packages of npm did not run: %v", err)
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// unpacked gives a folder with packages as node finds them, or "" when npm is out of reach.
func unpacked(t *testing.T, names ...string) string {
	t.Helper()
	files := npmPackages(t)
	if files == nil {
		return ""
	}
	root := t.TempDir()
	for _, name := range names {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", files[name], "-C", dir, "--strip-components=1").CombinedOutput(); err != nil {
			t.Fatalf("unpack %s: %v: %s", name, err, out)
		}
	}
	return root
}

// packer makes an archive of the folder DIR. It runs by sh, in that folder, and writes to OUT. HERE has the programs of this
// test, NPM the packages that are unpacked.
type packer struct {
	name, ext string
	programs  []string
	npm       bool
	ascii     bool // it marks other letters in a way that programs read differently: see docs/archives.md
	filled    bool // it puts the size of empty files where some programs cannot find it
	script    string
}

var packers = []packer{
	{name: "zip", ext: "zip", programs: []string{"zip"}, ascii: true, script: `zip -qr "$OUT" .`},
	{name: "zip-stored", ext: "zip", programs: []string{"zip"}, ascii: true, script: `zip -qr -0 "$OUT" .`},
	{name: "zip-best-without-extras", ext: "zip", programs: []string{"zip"}, ascii: true, script: `zip -qr -9 -X -D "$OUT" .`},
	{name: "zip-to-pipe", ext: "zip", programs: []string{"zip"}, ascii: true, filled: true, script: `zip -qr - . | cat > "$OUT"`},
	{name: "zip-names-from-pipe", ext: "zip", programs: []string{"zip"}, ascii: true, script: `find . -type f | zip -q -@ "$OUT"`},
	{name: "jar", ext: "zip", programs: []string{"jar"}, ascii: true, script: `jar cf "$OUT" .`},
	{name: "jar-without-manifest", ext: "zip", programs: []string{"jar"}, ascii: true, script: `jar cMf "$OUT" .`},
	{name: "jar-stored", ext: "zip", programs: []string{"jar"}, ascii: true, script: `jar c0Mf "$OUT" .`},
	{name: "java", ext: "zip", programs: []string{"java"}, script: `java "$HERE/WriteZip.java" . "$OUT"`},
	{name: "7z", ext: "zip", programs: []string{"7z"}, script: `7z a -bd -tzip -mcu "$OUT" . >/dev/null`},
	{name: "bsdtar-zip", ext: "zip", programs: []string{"bsdtar"}, script: `bsdtar -a -cf "$OUT" *`},
	{name: "python-zip", ext: "zip", programs: []string{"python3"}, script: `python3 -c 'import shutil,os; shutil.make_archive(os.environ["OUT"][:-4],"zip",".")'`},
	{name: "python-zipfile", ext: "zip", programs: []string{"python3"}, script: `python3 -m zipfile -c "$OUT" *`},
	{name: "python-zip-to-pipe", ext: "zip", programs: []string{"python3"}, script: `python3 -c '
import os, sys, zipfile
with zipfile.ZipFile(sys.stdout.buffer, "w", zipfile.ZIP_DEFLATED) as z:
    for d, _, files in os.walk("."):
        for f in files: z.write(os.path.join(d, f))' | cat > "$OUT"`},
	{name: "jszip", ext: "zip", programs: []string{"node"}, npm: true, script: `node "$HERE/write.js" jszip`},
	{name: "jszip-deflate", ext: "zip", programs: []string{"node"}, npm: true, script: `node "$HERE/write.js" jszip '{"compression":"DEFLATE","platform":"UNIX"}'`},
	{name: "jszip-stream", ext: "zip", programs: []string{"node"}, npm: true, filled: true, script: `node "$HERE/write.js" jszip '{"compression":"DEFLATE","streamFiles":true}'`},
	{name: "fflate", ext: "zip", programs: []string{"node"}, ascii: true, npm: true, script: `node "$HERE/write.js" fflate`},
	{name: "adm-zip", ext: "zip", programs: []string{"node"}, npm: true, script: `node "$HERE/write.js" adm-zip`},
	{name: "capgo", ext: "zip", programs: []string{"node"}, npm: true, script: `cp -r . "$SCRATCH/dist" && cd "$SCRATCH" &&
		echo '{"name":"shop","version":"1.0.0","dependencies":{"@capgo/capacitor-updater":"8.51.23"}}' > package.json &&
		echo '{"appId":"com.example.shop","appName":"shop","webDir":"dist"}' > capacitor.config.json && touch dist/index.html &&
		mkdir -p node_modules/@capgo/capacitor-updater && echo '{"name":"@capgo/capacitor-updater","version":"8.51.23"}' > node_modules/@capgo/capacitor-updater/package.json &&
		HOME="$SCRATCH" node "$NPM/@capgo/cli/dist/index.js" bundle zip com.example.shop --path dist --bundle 1.0.0 --name shop.zip --json --no-code-check >&2 && mv shop.zip "$OUT"`},
	{name: "gnu-tar", ext: "tar", programs: []string{"tar"}, script: `tar -cf "$OUT" *`},
	{name: "gnu-tar-dot", ext: "tar.gz", programs: []string{"tar"}, script: `tar -czf "$OUT" .`},
	{name: "gnu-tar-pax", ext: "tar.gz", programs: []string{"tar"}, script: `tar --format=posix -czf "$OUT" .`},
	{name: "gnu-tar-ustar", ext: "tar", programs: []string{"tar"}, script: `tar --format=ustar -cf "$OUT" .`},
	{name: "gnu-tar-zstd", ext: "tar.zst", programs: []string{"tar", "zstd"}, script: `tar -cf - . | zstd -q -19 > "$OUT"`},
	{name: "gnu-tar-zstd-threads", ext: "tar.zst", programs: []string{"tar", "zstd"}, script: `tar -cf "$SCRATCH/t.tar" . && zstd -q -T2 "$SCRATCH/t.tar" -o "$OUT"`},
	{name: "gzip-with-name", ext: "tar.gz", programs: []string{"tar", "gzip"}, script: `tar -cf "$SCRATCH/web build.tar" . && gzip -9 "$SCRATCH/web build.tar" && mv "$SCRATCH/web build.tar.gz" "$OUT"`},
	{name: "bsdtar", ext: "tar.gz", programs: []string{"bsdtar"}, script: `bsdtar -czf "$OUT" .`},
	{name: "python-tar", ext: "tar.gz", programs: []string{"python3"}, script: `python3 -c 'import shutil,os; shutil.make_archive(os.environ["OUT"][:-7],"gztar",".")'`},
	{name: "python-tar-gnu", ext: "tar", programs: []string{"python3"}, script: `python3 -c 'import tarfile,os; t=tarfile.open(os.environ["OUT"],"w",format=tarfile.GNU_FORMAT); t.add("."); t.close()'`},
	{name: "npm-pack", ext: "tar.gz", programs: []string{"npm"}, script: `cp -r . "$SCRATCH/p" && cd "$SCRATCH/p" && echo '{"name":"shop","version":"1.0.0"}' > package.json &&
		npm pack --offline --silent >&2 && mv shop-1.0.0.tgz "$OUT"`},
}

// takes tells which of the folders a packer packs: a made one, and at times a real one, unless the whole corpus is asked for.
func (p packer) takes(i int, folder string) bool {
	switch folder {
	case "unusual":
		return !p.ascii && !p.filled
	case "plain":
		return !p.filled && (p.ascii || full())
	case "bootstrap":
		return i%8 == 0 || full()
	}
	return i%8 == 2 || p.filled || full()
}

// builds are folders to pack, by name: two that packages bring, and two with what is unusual and allowed.
func builds(t *testing.T) (folders map[string]string, npmDir string) {
	t.Helper()
	npmDir = unpacked(t, "bootstrap", "katex", "@capgo/cli", "jszip", "fflate", "adm-zip")
	folders = map[string]string{"plain": t.TempDir(), "unusual": t.TempDir()}
	if npmDir != "" {
		folders["bootstrap"], folders["katex"] = filepath.Join(npmDir, "bootstrap", "dist"), filepath.Join(npmDir, "katex", "dist")
	}
	plain := map[string]string{
		"index.html": "<script src=assets/app-1a2b.js></script>", "assets/app-1a2b.js": strings.Repeat("let shop;\n", 5000), "assets/[slug]/page (1).js": "1",
		"empty.txt": "", ".well-known/x": "y", strings.Repeat("long-folder-name/", 8) + "and-a-file-with-a-name-beyond-one-hundred-bytes.js": "long",
		"..a": "dots", "a..b": "dots", "@scope/x+y~z,1=2&3-4'5!6#7$8%9^0`{}": "signs", " blank": "first",
	}
	for name, content := range plain {
		write(t, filepath.Join(folders["plain"], name), content)
		write(t, filepath.Join(folders["unusual"], name), content)
	}
	for _, name := range []string{"größe.js", "日本語/😀.html", "Ä/ß", "العربية.css", "हिन्दी.txt"} {
		write(t, filepath.Join(folders["unusual"], name), name)
	}
	return folders, npmDir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// packed makes the archives of all packers that are there, in a folder of their own.
func packed(t *testing.T, dir string) []string {
	t.Helper()
	folders, npmDir := builds(t)
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for i, p := range packers {
		if why := p.missing(npmDir); why != "" {
			t.Logf("%s did not run: %s", p.name, why)
			continue
		}
		for folder, path := range folders {
			if !p.takes(i, folder) {
				continue
			}
			out := filepath.Join(dir, p.name+"-"+folder+"."+p.ext)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			cmd := exec.CommandContext(ctx, "sh", "-ec", p.script)
			cmd.Dir, cmd.Env = path, append(os.Environ(), "LC_ALL=C.UTF-8", "OUT="+out, "DIR="+path, "HERE="+here, "NPM="+npmDir, "SCRATCH="+t.TempDir())
			said, err := cmd.CombinedOutput()
			cancel()
			if err != nil {
				t.Errorf("%s cannot pack %s: %v: %s", p.name, folder, err, said)
				continue
			}
			made = append(made, out)
		}
	}
	return append(made, packedByGo(t, dir, folders["unusual"]))
}

func (p packer) missing(npmDir string) string {
	for _, program := range p.programs {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is not installed"
		}
	}
	if p.npm && npmDir == "" {
		return "npm is out of reach"
	}
	return ""
}

func packedByGo(t *testing.T, dir, folder string) string {
	t.Helper()
	path := filepath.Join(dir, "go-unusual.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	if err := errors.Join(w.AddFS(os.DirFS(folder)), w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}
