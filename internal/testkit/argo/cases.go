// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package argo

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// HealthCase is a test of a health script.
type HealthCase struct {
	Path   string
	Object Object
	Want   Health
}

// MenuCase is a test of what can be done with an object.
type MenuCase struct {
	Path   string
	Object Object
	Want   []Action
}

// ActionCase is a test of an action.
type ActionCase struct {
	Path   string
	Object Object
	Action string
	Params map[string]string
	Want   Object // the whole object that comes of it
}

// HealthCases reads health_test.yaml in a folder of scripts.
func HealthCases(dir string) ([]HealthCase, error) {
	var file struct {
		Tests []struct {
			InputPath    string `json:"inputPath"`
			HealthStatus Health `json:"healthStatus"`
		} `json:"tests"`
	}
	if err := read(filepath.Join(dir, "health_test.yaml"), &file); err != nil {
		return nil, err
	}
	var out []HealthCase
	for _, t := range file.Tests {
		c := HealthCase{Path: filepath.Join(dir, filepath.FromSlash(t.InputPath)), Want: t.HealthStatus}
		if err := read(c.Path, &c.Object); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// ActionCases reads action_test.yaml in a folder of actions.
func ActionCases(dir string) (menus []MenuCase, actions []ActionCase, err error) {
	var file struct {
		DiscoveryTests []struct {
			InputPath string   `json:"inputPath"`
			Result    []Action `json:"result"`
		} `json:"discoveryTests"`
		ActionTests []struct {
			Action             string            `json:"action"`
			InputPath          string            `json:"inputPath"`
			ExpectedOutputPath string            `json:"expectedOutputPath"`
			Parameters         map[string]string `json:"parameters"`
		} `json:"actionTests"`
	}
	if err := read(filepath.Join(dir, "action_test.yaml"), &file); err != nil {
		return nil, nil, err
	}
	for _, t := range file.DiscoveryTests {
		c := MenuCase{Path: filepath.Join(dir, filepath.FromSlash(t.InputPath)), Want: t.Result}
		if err := read(c.Path, &c.Object); err != nil {
			return nil, nil, err
		}
		menus = append(menus, c)
	}
	for _, t := range file.ActionTests {
		c := ActionCase{Path: filepath.Join(dir, filepath.FromSlash(t.InputPath)), Action: t.Action, Params: t.Parameters}
		if err := read(c.Path, &c.Object); err != nil {
			return nil, nil, err
		}
		if err := read(filepath.Join(dir, filepath.FromSlash(t.ExpectedOutputPath)), &c.Want); err != nil {
			return nil, nil, err
		}
		actions = append(actions, c)
	}
	return menus, actions, nil
}

// Annotations of an object.
func Annotations(obj Object) map[string]string {
	meta, _ := obj["metadata"].(Object)
	annotations, _ := meta["annotations"].(Object)
	out := map[string]string{}
	for key, value := range annotations {
		out[key] = fmt.Sprint(value)
	}
	return out
}

func read(path string, into any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read a test's data: %w", err)
	}
	if err := yaml.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// Row is what tools make of a reason.
type Row struct {
	Health  string // Argo CD's
	KStatus string
}

var (
	row    = regexp.MustCompile(`(?m)^\| (` + "`[A-Z].*?`" + `) \| (Healthy|Suspended|Progressing|Degraded) \| (Current|InProgress|Failed) \|`)
	quoted = regexp.MustCompile("`([A-Z][A-Za-z]+)`")
)

// Table reads from docs/gitops.md, at a path, what tools make of the reasons of a Rollout's condition Ready.
func Table(path string) (map[string]Row, error) {
	page, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the table of reasons: %w", err)
	}
	out := map[string]Row{}
	for _, r := range row.FindAllStringSubmatch(string(page), -1) {
		for _, reason := range quoted.FindAllStringSubmatch(r[1], -1) {
			if out[reason[1]] != (Row{}) {
				return nil, fmt.Errorf("%s has reason %s twice", path, reason[1])
			}
			out[reason[1]] = Row{Health: r[2], KStatus: r[3]}
		}
	}
	if len(out) < 15 {
		return nil, fmt.Errorf("%s has %d reasons in its table, expected at least 15: %s", path, len(out), strings.TrimSpace(row.String()))
	}
	return out, nil
}
