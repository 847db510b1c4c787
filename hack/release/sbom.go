// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// bom writes which modules a program is made of, as the Go linker noted in it.
func (r release) bom(name, path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read what %s is made of: %w", name, err)
	}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).Encode(billOf(name, r.version, info)); err != nil {
		return fmt.Errorf("write the SBOM of %s: %w", name, err)
	}
	return r.write(name+".cdx.json", out.Bytes())
}

func billOf(name, version string, info *debug.BuildInfo) *cdx.BOM {
	out := cdx.NewBOM()
	out.Metadata = &cdx.Metadata{Component: &cdx.Component{BOMRef: name, Type: cdx.ComponentTypeApplication, Name: name, Version: version,
		PackageURL: "pkg:golang/" + info.Main.Path + "@" + version + "#cmd/" + name}}
	goVersion := strings.TrimPrefix(strings.Fields(info.GoVersion)[0], "go")
	components := []cdx.Component{{BOMRef: "std", Type: cdx.ComponentTypeLibrary, Name: "std", Version: goVersion, PackageURL: "pkg:golang/std@" + goVersion}}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		purl := "pkg:golang/" + module.Path + "@" + module.Version
		components = append(components, cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: module.Path, Version: module.Version, PackageURL: purl,
			Properties: &[]cdx.Property{{Name: "go.sum", Value: module.Sum}}})
	}
	out.Components = &components
	needed := make([]string, 0, len(components))
	for _, c := range components {
		needed = append(needed, c.BOMRef)
	}
	out.Dependencies = &[]cdx.Dependency{{Ref: name, Dependencies: &needed}}
	return out
}
