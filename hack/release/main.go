// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Release makes what a release publishes beside its images, in dist/: install.yaml, the chart, the kubectl plugin for each platform with
// its manifest for krew, a list of the modules in each program (SBOM, CycloneDX), and checksums. The same sources give the same bytes.
//
//	go run ./hack/release
//	go run ./hack/release -platforms linux/amd64
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/devcluster"
)

// platforms of the kubectl plugin, as GOOS/GOARCH.
const platforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

// servers run in containers; their lists of modules are those of linux/amd64.
var servers = []string{"manager", "gateway"}

const plugin = "kubectl-windlass"

// release is one being made.
type release struct {
	root, out string
	version   string // such as 0.1.0: that of the chart
}

func main() {
	out := flag.String("out", "dist", "folder to write; what is in it goes")
	list := flag.String("platforms", platforms, "platforms of the kubectl plugin")
	flag.Parse()
	if err := run(*out, strings.Split(*list, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(out string, platforms []string) error {
	root, err := devcluster.Root()
	if err != nil {
		return err
	}
	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	r := release{root: root, out: out}
	if r.version, err = chartVersion(filepath.Join(root, "charts", "windlass", "Chart.yaml")); err != nil {
		return err
	}
	if err := r.manifests(); err != nil {
		return err
	}
	if err := r.servers(); err != nil {
		return err
	}
	if err := r.plugins(platforms); err != nil {
		return err
	}
	return r.checksums()
}

func chartVersion(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var chart struct{ Version string }
	if err := yaml.Unmarshal(raw, &chart); err != nil || chart.Version == "" {
		return "", fmt.Errorf("%s: expected a version: %w", path, err)
	}
	return chart.Version, nil
}

// manifests writes install.yaml and the chart.
func (r release) manifests() error {
	kustomize, err := exec.Command(filepath.Join(r.root, "hack", "bin.sh"), "kustomize").Output()
	if err != nil {
		return fmt.Errorf("build kustomize: %w", err)
	}
	built, err := exec.Command(strings.TrimSpace(string(kustomize)), "build", filepath.Join(r.root, "config", "default")).Output()
	if err != nil {
		return fmt.Errorf("kustomize build config/default: %w", err)
	}
	header := "# Windlass " + r.version + ", as config/default: kubectl apply --server-side -f install.yaml\n"
	if err := r.write("install.yaml", append([]byte(header), built...)); err != nil {
		return err
	}
	files, err := tree(filepath.Join(r.root, "charts", "windlass"), "windlass")
	if err != nil {
		return err
	}
	archive, err := tarball(files)
	if err != nil {
		return err
	}
	return r.write("windlass-"+r.version+".tgz", archive)
}

// servers lists what is in the programs of the images.
func (r release) servers() error {
	for _, name := range servers {
		if err := r.program(name, "linux", "amd64", func(path string) error { return r.bom(name, path) }); err != nil {
			return err
		}
	}
	return nil
}

// plugins writes the kubectl plugin for each platform, what is in it, and its manifest for krew.
func (r release) plugins(platforms []string) error {
	license, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return err
	}
	var made []archive
	for _, platform := range platforms {
		system, machine, ok := strings.Cut(platform, "/")
		if !ok {
			return fmt.Errorf("-platforms: expected such as linux/amd64, got %q", platform)
		}
		a := archive{system: system, machine: machine, file: fmt.Sprintf("%s_%s_%s_%s.tar.gz", plugin, r.version, system, machine)}
		err := r.program(plugin, system, machine, func(path string) error {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if a.content, err = tarball([]entry{{name: "LICENSE", content: license}, {name: a.program(), content: content, mode: 0o755}}); err != nil {
				return err
			}
			if len(made) > 0 { // the first platform's stands for all: they differ in no module but by system
				return nil
			}
			return r.bom(plugin, path)
		})
		if err != nil {
			return err
		}
		if err := r.write(a.file, a.content); err != nil {
			return err
		}
		made = append(made, a)
	}
	manifest, err := krew(r.version, made)
	if err != nil {
		return err
	}
	return r.write("windlass.yaml", manifest)
}

// program builds one with the flags of the images and of make build, and lets use look at it.
func (r release) program(name, system, machine string, use func(path string) error) error {
	dir, err := os.MkdirTemp("", "windlass-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // of the system's temporary folder
	path := filepath.Join(dir, name)
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "./cmd/"+name)
	build.Dir = r.root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+machine)
	if log, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s for %s/%s: %w\n%s", name, system, machine, err, log)
	}
	return use(path)
}

func (r release) write(name string, content []byte) error {
	return os.WriteFile(filepath.Join(r.out, name), content, 0o644) //nolint:gosec // it is to be published
}

// checksums writes those of all files, as sha256sum --check reads them.
func (r release) checksums() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, digest(content)+"  "+e.Name()+"\n")
	}
	slices.Sort(lines)
	return r.write("checksums.txt", []byte(strings.Join(lines, "")))
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
