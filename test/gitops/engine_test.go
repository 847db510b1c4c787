// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit/argo"
)

// engine is Argo CD's own program, with the snippet that people install.
type engine struct {
	*testing.T
	path string
}

func newEngine(t *testing.T) engine {
	t.Helper()
	path, err := devcluster.Binary(t.Context(), "argocd")
	if err != nil {
		t.Fatal(err)
	}
	return engine{t, path}
}

func scripts(kind string) string {
	return filepath.Join(root, "config", "argocd", "ota.windlass.dev", kind)
}

// ask runs argocd admin settings resource-overrides.
func (e engine) ask(args ...string) string {
	e.Helper()
	args = append([]string{"admin", "settings", "resource-overrides"}, args...)
	cmd := exec.CommandContext(e.Context(), e.path, append(args, "--argocd-cm-path", filepath.Join(root, "config", "argocd", "argocd-cm.yaml"))...)
	var errs bytes.Buffer
	cmd.Env, cmd.Stderr = append(os.Environ(), "ARGOCD_BINARY_NAME=argocd", "KUBECTL_EXTERNAL_DIFF=cat", "TMPDIR="+e.TempDir()), &errs
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		e.Fatalf("argocd %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

// Argo CD's own engine says of all test data what the fast tests of config/argocd say, from the ConfigMap that people install.
func TestEngine_health(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	for _, kind := range []string{"Repository", "Bundle", "Channel", "Rollout"} {
		cases, err := argo.HealthCases(scripts(kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range cases {
			want := fmt.Sprintf("STATUS: %s\nMESSAGE: %s\n", tc.Want.Status, tc.Want.Message)
			if got := e.ask("health", tc.Path); got != want {
				t.Errorf("%s:\n%swant\n%s", tc.Path, got, want)
			}
		}
	}
}

var menuLine = regexp.MustCompile(`(?m)^([a-z-]+) +(true|false)$`)

func TestEngine_actions(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	for _, kind := range []string{"Repository", "Channel", "Rollout"} {
		menus, actions, err := argo.ActionCases(filepath.Join(scripts(kind), "actions"))
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range menus {
			want, got := map[string]bool{}, map[string]bool{}
			for _, a := range tc.Want {
				want[a.Name] = a.Disabled
			}
			for _, line := range menuLine.FindAllStringSubmatch(e.ask("list-actions", tc.Path), -1) {
				got[line[1]] = line[2] == "true"
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("menu of %s: disabled %v, want %v", tc.Path, got, want)
			}
		}
		for _, tc := range actions {
			e.runs(tc)
		}
	}
}

// runs holds what comes of an action: with cat for a diff, argocd prints the whole object before and after.
func (e engine) runs(tc argo.ActionCase) {
	e.Helper()
	args := []string{"run-action", tc.Path, tc.Action}
	for name, value := range tc.Params {
		args = append(args, "--param", name+"="+value)
	}
	out := e.ask(args...)
	want, err := yaml.Marshal(tc.Want)
	if err != nil {
		e.Fatal(err)
	}
	if !strings.HasSuffix(out, string(want)) {
		e.Errorf("%s of %s gives\n%s\nwant\n%s", tc.Action, tc.Path, out, want)
	}
}
