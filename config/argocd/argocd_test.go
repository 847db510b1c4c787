// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package argocd_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/config/argocd"
	"github.com/windlass-dev/windlass/internal/testkit/argo"
)

var update = flag.Bool("update", false, "write argocd-cm.yaml instead of comparing it")

const docs = "../../docs"

var kinds = []string{"Repository", "Bundle", "Channel", "Rollout"}

// What people install is what the tests try.
func TestConfigMap(t *testing.T) {
	const file = "argocd-cm.yaml"
	want, err := argocd.ConfigMap()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not what the scripts make (-want +got): run go test ./config/argocd -update, and commit it\n%s", file, diff)
	}
	checkConfigMap(t, got)
}

// checkConfigMap holds the YAML, and the YAML within it, to the scripts.
func checkConfigMap(t *testing.T, raw []byte) {
	t.Helper()
	var cm struct{ Data map[string]string }
	if err := yaml.Unmarshal(raw, &cm); err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		if got := cm.Data["resource.customizations.health.ota.windlass.dev_"+kind]; got != script(t, kind, "health.lua") {
			t.Errorf("the health script of %s reads as\n%s", kind, got)
		}
		var actions struct {
			Discovery   string `json:"discovery.lua"`
			Definitions []struct {
				Name   string
				Action string `json:"action.lua"`
			}
		}
		text, ok := cm.Data["resource.customizations.actions.ota.windlass.dev_"+kind]
		if !ok {
			continue
		}
		if err := yaml.Unmarshal([]byte(text), &actions); err != nil {
			t.Fatal(err)
		}
		if actions.Discovery != script(t, kind, "actions/discovery.lua") || len(actions.Definitions) == 0 {
			t.Errorf("actions of %s: %d, discovered by\n%s", kind, len(actions.Definitions), actions.Discovery)
		}
		for _, a := range actions.Definitions {
			if a.Action != script(t, kind, "actions/"+a.Name+"/action.lua") {
				t.Errorf("action %s of %s reads as\n%s", a.Name, kind, a.Action)
			}
		}
	}
}

func script(t *testing.T, kind, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(argocd.Group, kind, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The test data are in the form of Argo CD's own tests. test/gitops gives them to Argo CD itself.
func TestHealth_testdata(t *testing.T) {
	for _, kind := range kinds {
		cases, err := argo.HealthCases(filepath.Join(argocd.Group, kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range cases {
			got, err := argo.HealthOf(tc.Object)
			if err != nil {
				t.Errorf("%s: %v", tc.Path, err)
			}
			if diff := cmp.Diff(tc.Want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.Path, diff)
			}
		}
	}
}

func TestActions_testdata(t *testing.T) {
	for _, kind := range []string{"Repository", "Channel", "Rollout"} {
		menus, actions, err := argo.ActionCases(filepath.Join(argocd.Group, kind, "actions"))
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range menus {
			got, err := argo.ActionsOf(tc.Object)
			if err != nil {
				t.Errorf("%s: %v", tc.Path, err)
			}
			want := map[string]argo.Action{}
			for _, a := range tc.Want {
				name := a.Name
				a.Name = ""
				want[name] = a
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("menu of %s (-want +got):\n%s", tc.Path, diff)
			}
		}
		tried := map[string]bool{}
		for _, tc := range actions {
			tried[tc.Action] = true
			got, err := argo.Run(tc.Object, tc.Action, tc.Params)
			if err != nil {
				t.Errorf("%s: %v", tc.Path, err)
			}
			if diff := cmp.Diff(argo.Annotations(tc.Want), got); diff != "" {
				t.Errorf("%s of %s (-want +got):\n%s", tc.Action, tc.Path, diff)
			}
		}
		for _, a := range menus[0].Want {
			if !tried[a.Name] {
				t.Errorf("no case tries action %s of %s", a.Name, kind)
			}
		}
	}
}

// Each command has an id of its own, however soon it follows: Argo CD's scripts have a clock of seconds and no chance.
func TestActions_freshIDs(t *testing.T) {
	obj := argo.Object{"kind": "Rollout", "metadata": argo.Object{"name": "shop", "resourceVersion": "7"}}
	first, err := argo.Run(obj, "pause", nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := argo.Run(obj, "pause", nil)
	if err != nil {
		t.Fatal(err)
	}
	obj["metadata"] = argo.Object{"name": "shop", "resourceVersion": "8"} // as any write leaves it
	next, err := argo.Run(obj, "resume", nil)
	if err != nil {
		t.Fatal(err)
	}
	const id = "ota.windlass.dev/command-id"
	if first[id] != again[id] || first[id] == next[id] || next[id] == "" {
		t.Errorf("ids %q, %q on the same state and %q on the next, expected the same twice and then another", first[id], again[id], next[id])
	}
}

// All statuses that a manager of this or another version can write: each reason of the manual pages, and one that nobody knows, with
// all values of the conditions, for this generation and an older one. None is Unknown, and each says what the table says.
func TestHealth_everyReason(t *testing.T) {
	table, err := argo.Table(filepath.Join(docs, "gitops.md"))
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, kind := range kinds {
		for _, reason := range append(reasons(t, kind), "InventedLater") {
			for _, ready := range []string{"", "True", "False", "Unknown"} {
				for _, abnormal := range []string{"", "Reconciling", "Stalled"} {
					for _, observed := range []any{nil, int64(-1), int64(2), int64(3)} {
						tried++
						s := state{kind, reason, ready, abnormal, observed}
						got, err := argo.HealthOf(s.object())
						if want := s.expected(table); err != nil || got.Status != want || got.Message == "" {
							t.Errorf("%+v: %+v (%v), want %s", s, got, err, want)
						}
					}
				}
			}
		}
	}
	t.Logf("%d statuses", tried)
}

// state is what a status may say.
type state struct {
	kind, reason    string
	ready, abnormal string // status of Ready, and a condition that is True besides; empty: none
	observed        any    // of generation 3
}

func (s state) object() argo.Object {
	conditions := []any{argo.Object{"type": "Published", "status": "False", "reason": s.reason, "message": "no matter"}}
	if s.ready != "" {
		conditions = append(conditions, argo.Object{"type": "Ready", "status": s.ready, "reason": s.reason, "message": "why", "observedGeneration": int64(3)})
	}
	if s.abnormal != "" {
		conditions = append(conditions, argo.Object{"type": s.abnormal, "status": "True", "reason": s.reason, "message": "why", "observedGeneration": int64(3)})
	}
	status := argo.Object{"conditions": conditions}
	if s.observed != nil {
		status["observedGeneration"] = s.observed
	}
	return argo.Object{"kind": s.kind, "metadata": argo.Object{"name": "it", "generation": int64(3)}, "status": status}
}

// expected is the rule of docs/gitops.md, with its table of a Rollout's reasons.
func (s state) expected(table map[string]argo.Row) string {
	row, listed := table[s.reason]
	switch {
	case s.observed != int64(3):
		return argo.Progressing
	case s.abnormal == "Stalled":
		return argo.Degraded
	case s.kind == "Rollout" && listed && s.ready != "" && (row.Health == argo.Suspended || row.Health == argo.Degraded):
		return row.Health
	case s.kind == "Channel" && s.reason == "Halted" && s.ready != "", s.kind == "Repository" && s.reason == "Halted" && s.ready == "True":
		return argo.Suspended
	case s.ready == "True":
		return argo.Healthy
	}
	return argo.Progressing
}

// The table of docs/gitops.md has the reasons that the manual page of Rollouts has.
func TestTable(t *testing.T) {
	table, err := argo.Table(filepath.Join(docs, "gitops.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reasons(t, "Rollout"), slices.Sorted(maps.Keys(table))); diff != "" {
		t.Errorf("docs/spec/v1alpha1/rollout.md has other reasons of Ready than docs/gitops.md (-manual +gitops):\n%s", diff)
	}
}

var (
	reasonTable = regexp.MustCompile(`(?m)^\| reason \|.*\n\|[-|]*\n((?:\|.*\n)+)`)
	quoted      = regexp.MustCompile("`([A-Z][A-Za-z]+)`")
)

// reasons are those of the last table of a kind's manual page whose first column is reason. test/api holds the pages to the constants.
func reasons(t *testing.T, kind string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(docs, "spec", "v1alpha1", strings.ToLower(kind)+".md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, table := range reasonTable.FindAllStringSubmatch(string(page), -1) {
		for row := range strings.Lines(table[1]) {
			for _, name := range quoted.FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
				found[name[1]] = true
			}
		}
	}
	if len(found) < 10 {
		t.Fatalf("found %d reasons of a %s, expected at least 10: does the page still have its table?", len(found), kind)
	}
	return slices.Sorted(maps.Keys(found))
}
