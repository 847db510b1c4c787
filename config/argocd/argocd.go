// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package argocd holds the health and action scripts by which Argo CD understands the kinds of this project, in the layout of Argo
// CD's own resource_customizations, and builds the ConfigMap argocd-cm.yaml from them.
package argocd

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Group is the folder of the scripts: a folder for each kind.
const Group = "ota.windlass.dev"

// Scripts are the health scripts, what discovers actions, and the actions.
//
//go:embed ota.windlass.dev/*/health.lua ota.windlass.dev/*/actions/discovery.lua ota.windlass.dev/*/actions/*/action.lua
var Scripts embed.FS

const head = `# Made from the scripts in %s: do not edit. Merge data into the ConfigMap argocd-cm of your Argo CD (docs/gitops.md).
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
  labels:
    app.kubernetes.io/name: argocd-cm
    app.kubernetes.io/part-of: argocd
data:
`

// ConfigMap builds argocd-cm.yaml.
func ConfigMap() (string, error) {
	var out strings.Builder
	fmt.Fprintf(&out, head, Group)
	for _, part := range []func(kind string) (string, error){health, actions} {
		kinds, err := fs.ReadDir(Scripts, Group)
		if err != nil {
			return "", fmt.Errorf("list the kinds: %w", err)
		}
		for _, kind := range kinds {
			text, err := part(kind.Name())
			if err != nil {
				return "", err
			}
			out.WriteString(text)
		}
	}
	return out.String(), nil
}

func health(kind string) (string, error) {
	script, err := fs.ReadFile(Scripts, path.Join(Group, kind, "health.lua"))
	if err != nil {
		return "", fmt.Errorf("read the health script of %s: %w", kind, err)
	}
	return key("health", kind) + indent(4, string(script)), nil
}

// actions of a kind are YAML within YAML. A kind may have none.
func actions(kind string) (string, error) {
	dir := path.Join(Group, kind, "actions")
	discovery, err := fs.ReadFile(Scripts, path.Join(dir, "discovery.lua"))
	if err != nil {
		return "", nil //nolint:nilerr // whoever embeds the scripts leaves it out only when it does not exist
	}
	entries, err := fs.ReadDir(Scripts, dir)
	if err != nil {
		return "", fmt.Errorf("list the actions of %s: %w", kind, err)
	}
	var text strings.Builder
	text.WriteString("discovery.lua: |\n" + indent(2, string(discovery)) + "definitions:\n")
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		script, err := fs.ReadFile(Scripts, path.Join(dir, entry.Name(), "action.lua"))
		if err != nil {
			return "", fmt.Errorf("read action %s of %s: %w", entry.Name(), kind, err)
		}
		text.WriteString("- name: " + entry.Name() + "\n  action.lua: |\n" + indent(4, string(script)))
	}
	return key("actions", kind) + indent(4, text.String()), nil
}

func key(what, kind string) string {
	return "  resource.customizations." + what + "." + Group + "_" + kind + ": |\n"
}

func indent(by int, text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			out.WriteString(strings.Repeat(" ", by))
		}
		out.WriteString(line)
	}
	return out.String()
}
