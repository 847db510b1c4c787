// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/devcluster"
)

// manifest is what krew reads (pkg/index/types.go of v0.4).
type manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string     `json:"version"`
		Homepage         string     `json:"homepage"`
		ShortDescription string     `json:"shortDescription"`
		Description      string     `json:"description"`
		Platforms        []platform `json:"platforms"`
	} `json:"spec"`
}

type platform struct {
	Selector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
	URI    string `json:"uri"`
	SHA256 string `json:"sha256"`
	Bin    string `json:"bin"`
	Files  []struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"files"`
}

// TestKrew holds the manifest of all platforms to the rules by which krew refuses manifests (internal/index/validation of v0.4).
func TestKrew(t *testing.T) {
	t.Parallel()
	var archives []archive
	for name := range strings.SplitSeq(platforms, ",") {
		system, machine, _ := strings.Cut(name, "/")
		archives = append(archives, archive{system: system, machine: machine, file: name + ".tar.gz", content: []byte(name)})
	}
	raw, err := krew("0.1.0", archives)
	if err != nil {
		t.Fatal(err)
	}
	checkKrew(t, raw, len(archives))
	for wrong, broken := range map[string]string{
		"the digest":  strings.Replace(string(raw), digest([]byte("linux/amd64")), "abc", 1),
		"the version": strings.Replace(string(raw), "v0.1.0\n", "0.1.0\n", 1),
		"a system":    strings.Replace(string(raw), "os: darwin", "os: macos", 1),
	} {
		if broken == string(raw) || len(krewProblems([]byte(broken))) == 0 {
			t.Errorf("a manifest in which %s is wrong is taken", wrong)
		}
	}
}

func checkKrew(t *testing.T, raw []byte, platforms int) manifest {
	t.Helper()
	for _, problem := range krewProblems(raw) {
		t.Error(problem)
	}
	var m manifest
	if err := yaml.UnmarshalStrict(raw, &m); err != nil {
		t.Error(err)
	}
	if len(m.Spec.Platforms) != platforms {
		t.Errorf("%d platforms, want %d", len(m.Spec.Platforms), platforms)
	}
	return m
}

func krewProblems(raw []byte) (out []string) {
	var m manifest
	if err := yaml.UnmarshalStrict(raw, &m); err != nil {
		return []string{err.Error()}
	}
	bad := func(wrong bool, what string) {
		if wrong {
			out = append(out, what)
		}
	}
	bad(m.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || m.Kind != "Plugin", "apiVersion and kind")
	bad(!regexp.MustCompile(`^[\w-]+$`).MatchString(m.Metadata.Name) || strings.HasPrefix(m.Metadata.Name, "kubectl-"), "metadata.name")
	_, err := semver.StrictNewVersion(strings.TrimPrefix(m.Spec.Version, "v"))
	bad(err != nil || !strings.HasPrefix(m.Spec.Version, "v"), "spec.version is no semantic version with v before it")
	bad(m.Spec.ShortDescription == "" || strings.ContainsAny(m.Spec.ShortDescription, "\r\n") || len(m.Spec.ShortDescription) > 60, "spec.shortDescription")
	bad(m.Spec.Homepage == "" || m.Spec.Description == "" || len(m.Spec.Platforms) == 0, "spec")
	seen := map[string]bool{}
	for _, p := range m.Spec.Platforms {
		out = append(out, platformProblems(p)...)
		name := p.Selector.MatchLabels["os"] + "/" + p.Selector.MatchLabels["arch"]
		bad(seen[name], name+" is there twice")
		seen[name] = true
	}
	return out
}

func platformProblems(p platform) (out []string) {
	bad := func(wrong bool, what string) {
		if wrong {
			out = append(out, what+" of "+p.URI)
		}
	}
	systems, machines := map[string]bool{"linux": true, "darwin": true, "windows": true}, map[string]bool{"amd64": true, "arm64": true}
	bad(!systems[p.Selector.MatchLabels["os"]] || !machines[p.Selector.MatchLabels["arch"]] || len(p.Selector.MatchLabels) != 2, "selector")
	bad(!strings.HasPrefix(p.URI, "https://") || !strings.HasSuffix(p.URI, ".tar.gz"), "uri")
	bad(!regexp.MustCompile(`^[a-f0-9]{64}$`).MatchString(p.SHA256), "sha256")
	found := false
	for _, f := range p.Files {
		bad(f.From == "" || f.To == "" || strings.Contains(f.From+f.To, ".."), "files")
		found = found || f.From == p.Bin
	}
	bad(p.Bin == "" || strings.Contains(p.Bin, "..") || !found, "bin")
	bad(strings.HasSuffix(p.Bin, ".exe") != (p.Selector.MatchLabels["os"] == "windows"), "suffix of bin")
	return out
}

// TestRelease makes one for this platform, twice, and uses what it made.
func TestRelease(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	here := runtime.GOOS + "/" + runtime.GOARCH
	if err := run(out, []string{here}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(read(t, out, "checksums.txt")) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if got := sha256.Sum256([]byte(read(t, out, name))); hex.EncodeToString(got[:]) != sum {
			t.Errorf("the checksum of %s is wrong", name)
		}
	}
	m := checkKrew(t, []byte(read(t, out, "windlass.yaml")), 1)
	file := filepath.Base(m.Spec.Platforms[0].URI)
	if got := digest([]byte(read(t, out, file))); got != m.Spec.Platforms[0].SHA256 {
		t.Errorf("krew would refuse %s: its digest is %s", file, got)
	}
	bin := unpack(t, filepath.Join(out, file), m.Spec.Platforms[0].Bin)
	if help, err := exec.CommandContext(t.Context(), bin, "--help").CombinedOutput(); err != nil || !bytes.Contains(help, []byte("windlass")) {
		t.Errorf("the plugin does not run: %v\n%s", err, help)
	}
	for name, module := range map[string]string{"manager": "sigs.k8s.io/controller-runtime", "gateway": "modernc.org/sqlite", plugin: "github.com/spf13/cobra"} {
		checkBill(t, read(t, out, name+".cdx.json"), name, module)
	}
	helm, err := devcluster.Binary(t.Context(), "helm4")
	if err != nil {
		t.Fatal(err)
	}
	charts, err := filepath.Glob(filepath.Join(out, "windlass-*.tgz"))
	if err != nil || len(charts) != 1 {
		t.Fatalf("charts: %v, %v", charts, err)
	}
	if log, err := exec.CommandContext(t.Context(), helm, "lint", "--strict", charts[0]).CombinedOutput(); err != nil {
		t.Errorf("helm lint: %v\n%s", err, log)
	}
	if n := strings.Count(read(t, out, "install.yaml"), "\nkind: "); n < 30 {
		t.Errorf("install.yaml has %d objects", n)
	}
	again := t.TempDir()
	if err := run(again, []string{here}); err != nil {
		t.Fatal(err)
	}
	if read(t, out, "checksums.txt") != read(t, again, "checksums.txt") {
		t.Errorf("the same sources gave other bytes:\n%s\n%s", read(t, out, "checksums.txt"), read(t, again, "checksums.txt"))
	}
}

func checkBill(t *testing.T, text, name, module string) {
	t.Helper()
	var bill struct {
		BOMFormat   string `json:"bomFormat"`
		SpecVersion string `json:"specVersion"`
		Components  []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal([]byte(text), &bill); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, c := range bill.Components {
		if c.Version == "" || c.PURL != "pkg:golang/"+c.Name+"@"+c.Version {
			t.Errorf("%s: a component without version or address: %+v", name, c)
		}
		found = found || c.Name == module
	}
	if bill.BOMFormat != "CycloneDX" || bill.SpecVersion == "" || !found {
		t.Errorf("%s: format %s %s, %d components, %s is among them: %t", name, bill.BOMFormat, bill.SpecVersion, len(bill.Components), module, found)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	out, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// unpack takes one file out of an archive, as krew does.
func unpack(t *testing.T, path, name string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(plain); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("%s is not in %s", name, path)
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name != name {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(out, content, header.FileInfo().Mode()); err != nil {
			t.Fatal(err)
		}
		return out
	}
}
