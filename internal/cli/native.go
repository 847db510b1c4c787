// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
)

// nativePackage is a package with native code.
type nativePackage struct {
	name     string
	versions string // range that an update works with
	version  string // that is installed
}

type nativePackages []nativePackage

// needed is what an update needs of the app.
func (n nativePackages) needed() *content.Native {
	out := &content.Native{Packages: map[string]string{}}
	for _, p := range n {
		out.Packages[p.name] = p.versions
	}
	return out
}

// installed is what an app contains.
func (n nativePackages) installed() map[string]string {
	out := map[string]string{}
	for _, p := range n {
		out[p.name] = p.version
	}
	return out
}

// spec is what an update needs of the app, as the API has it.
func (n nativePackages) spec() *otav1alpha1.NativeDependencies {
	out := &otav1alpha1.NativeDependencies{}
	for _, p := range n {
		out.Packages = append(out.Packages, otav1alpha1.NativeDependency{Name: p.name, Version: p.versions})
	}
	return out
}

// nativePackages reads packages with native code: those that a package.json names and that are installed beside it, or a list in
// JSON or YAML: {nativeDependencies: {NAME: VERSION}} as archives have it, or {packages: [{name: NAME, version: VERSION}]} as the API.
func (a *app) nativePackages(path string) (nativePackages, error) {
	text, err := a.readFile(path, maxTextFile)
	if err != nil {
		return nil, err
	}
	var out nativePackages
	if filepath.Base(path) == "package.json" {
		out, err = packageJSON(filepath.Dir(path), text)
	} else {
		out, err = packageList(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	slices.SortFunc(out, func(a, b nativePackage) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

func packageList(text []byte) (nativePackages, error) {
	var file struct {
		NativeDependencies map[string]string              `json:"nativeDependencies"`
		Packages           []otav1alpha1.NativeDependency `json:"packages"`
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil || (file.NativeDependencies == nil) == (file.Packages == nil) {
		return nil, errors.New("expected {nativeDependencies: {NAME: VERSION}}, got something else; docs/cli.md shows the file")
	}
	out := nativePackages{}
	for name, version := range file.NativeDependencies {
		out = append(out, nativePackage{name: name, versions: version, version: version})
	}
	for _, p := range file.Packages {
		out = append(out, nativePackage{name: p.Name, versions: p.Version, version: p.Version})
	}
	return out, nil
}

// packageJSON finds the direct dependencies that bring native code: those that Capacitor and React Native link into an app.
func packageJSON(dir string, text []byte) (nativePackages, error) {
	var file struct{ Dependencies, DevDependencies, OptionalDependencies map[string]string }
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, errors.New("expected a package.json, got something else")
	}
	wanted := map[string]string{}
	for _, from := range []map[string]string{file.DevDependencies, file.OptionalDependencies, file.Dependencies} {
		maps.Copy(wanted, from)
	}
	out := nativePackages{}
	for _, name := range sorted(wanted) {
		folder, version, err := findModule(dir, name)
		if errors.Is(err, fs.ErrNotExist) && file.OptionalDependencies[name] != "" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("expected %s in node_modules, got none that can be read; install the packages first (npm ci)", strconv.Quote(name))
		}
		native, err := hasNativeCode(folder)
		if err != nil {
			return nil, err
		}
		if native {
			out = append(out, nativePackage{name: name, versions: rangeOf(wanted[name], version), version: version})
		}
	}
	return out, nil
}

// rangeOf is what a package.json asks for, when that is a range of versions and no tag, path or address.
func rangeOf(wanted, installed string) string {
	if _, err := semver.NewConstraint(wanted); err == nil && wanted != "" {
		return wanted
	}
	return "^" + installed
}

// findModule looks for a package as Node.js does: in node_modules beside the package.json, and above.
func findModule(dir, name string) (folder, version string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil || !filepath.IsLocal(filepath.FromSlash(name)) {
		return "", "", errors.Join(err, fs.ErrNotExist)
	}
	for {
		folder := filepath.Join(dir, "node_modules", filepath.FromSlash(name))
		text, err := os.ReadFile(filepath.Join(folder, "package.json"))
		if err == nil {
			var file struct{ Version string }
			err = json.Unmarshal(text, &file)
			return folder, file.Version, err
		}
		above := filepath.Dir(dir)
		if above == dir || !errors.Is(err, fs.ErrNotExist) {
			return "", "", err
		}
		dir = above
	}
}

// nativeEndings are those of files that only a package with native code has.
var nativeEndings = []string{".podspec", ".gradle", ".kts", ".swift", ".kt", ".java", ".m", ".mm", ".so", ".aar", ".xcframework", ".framework"}

func hasNativeCode(folder string) (bool, error) {
	folder, err := filepath.EvalSymlinks(folder) // pnpm and workspaces link packages
	if err != nil {
		return false, err
	}
	found := false
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "node_modules":
			return fs.SkipDir
		case slices.Contains(nativeEndings, filepath.Ext(entry.Name())):
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found, err
}

func nativeText(n *content.Native) string {
	var out []string
	for _, name := range sorted(n.Packages) {
		out = append(out, strings.TrimSpace(printable(name)+" "+printable(n.Packages[name])))
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}
