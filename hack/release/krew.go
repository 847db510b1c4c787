// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "sigs.k8s.io/yaml"

// archive is the kubectl plugin for one platform.
type archive struct {
	system, machine string // GOOS, GOARCH
	file            string
	content         []byte
}

// program is the name of the plugin's file in the archive.
func (a archive) program() string {
	if a.system == "windows" {
		return plugin + ".exe"
	}
	return plugin
}

const releases = "https://github.com/windlass-dev/windlass/releases/download/v"

// krew writes the manifest by which krew installs the plugin (https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/).
func krew(version string, archives []archive) ([]byte, error) {
	type object = map[string]any
	var platforms []object
	for _, a := range archives {
		platforms = append(platforms, object{
			"selector": object{"matchLabels": object{"os": a.system, "arch": a.machine}},
			"uri":      releases + version + "/" + a.file,
			"sha256":   digest(a.content),
			"bin":      a.program(),
			"files":    []object{{"from": a.program(), "to": "."}, {"from": "LICENSE", "to": "."}},
		})
	}
	return yaml.Marshal(object{
		"apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
		"kind":       "Plugin",
		"metadata":   object{"name": "windlass"},
		"spec": object{
			"version":          "v" + version,
			"homepage":         "https://github.com/windlass-dev/windlass",
			"shortDescription": "Release over-the-air updates of mobile apps in steps",
			"description": "Shows rollouts of Windlass, promotes, pauses and takes them back, tells who released what and why it ended,\n" +
				"and makes and checks updates in CI.\n",
			"platforms": platforms,
		},
	})
}
