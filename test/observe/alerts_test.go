// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/devcluster"
)

// ruleSpec is the spec of a PrometheusRule, which is also what Prometheus reads.
type ruleSpec struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// rules are the alerts by name, and their file as Prometheus reads it.
func rules(tb testing.TB) (byName map[string]rule, file string) {
	tb.Helper()
	var obj struct {
		Spec ruleSpec `json:"spec"`
	}
	readYAML(tb, &obj, "config", "prometheus", "rules.yaml")
	byName = map[string]rule{}
	for _, g := range obj.Spec.Groups {
		for _, r := range g.Rules {
			byName[r.Alert] = r
		}
	}
	raw, err := yaml.Marshal(obj.Spec)
	if err != nil {
		tb.Fatal(err)
	}
	file = filepath.Join(tb.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		tb.Fatal(err)
	}
	return byName, file
}

func promtool(tb testing.TB, args ...string) {
	tb.Helper()
	bin, err := devcluster.Binary(tb.Context(), "promtool")
	if err != nil {
		tb.Fatal(err)
	}
	if out, err := exec.CommandContext(tb.Context(), bin, args...).CombinedOutput(); err != nil {
		tb.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// alertCase is what an alert makes of some series.
type alertCase struct {
	Alert, Name, At string
	Series          map[string]string
	Fires           []struct {
		Labels      map[string]string
		Description string
	}
}

// Every alert fires when it should, with the text that people read, and not when it should not.
func TestAlerts(t *testing.T) {
	t.Parallel()
	byName, file := rules(t)
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", file)
	var cases []alertCase
	readYAML(t, &cases, "test", "observe", "testdata", "alerts.yaml")
	fires, silent := map[string]bool{}, map[string]bool{}
	for i, c := range cases {
		r, ok := byName[c.Alert]
		if !ok {
			t.Fatalf("there is no alert %s", c.Alert)
		}
		if len(c.Fires) > 0 {
			fires[c.Alert] = true
		} else {
			silent[c.Alert] = true
		}
		t.Run(c.Alert+"/"+c.Name, func(t *testing.T) {
			path := filepath.Join(filepath.Dir(file), fmt.Sprintf("case-%d.yaml", i))
			if err := os.WriteFile(path, c.forPromtool(t, r, filepath.Base(file)), 0o600); err != nil {
				t.Fatal(err)
			}
			promtool(t, "test", "rules", path)
		})
	}
	for name := range byName {
		if !fires[name] || !silent[name] {
			t.Errorf("%s: a case in which it fires: %t, and one in which it does not: %t; want both", name, fires[name], silent[name])
		}
	}
}

// forPromtool is a file of unit tests with one test.
func (c alertCase) forPromtool(tb testing.TB, r rule, file string) []byte {
	tb.Helper()
	var series, alerts []any
	for name, values := range c.Series {
		series = append(series, map[string]string{"series": name, "values": values})
	}
	for _, f := range c.Fires {
		labels := map[string]string{"severity": r.Labels["severity"]}
		maps.Copy(labels, f.Labels)
		alerts = append(alerts, map[string]any{"exp_labels": labels, "exp_annotations": map[string]string{
			"summary": r.Annotations["summary"], "description": f.Description, "runbook_url": r.Annotations["runbook_url"],
		}})
	}
	raw, err := yaml.Marshal(map[string]any{"rule_files": []string{file}, "evaluation_interval": "1m", "tests": []any{map[string]any{
		"interval": "1m", "input_series": series,
		"alert_rule_test": []any{map[string]any{"eval_time": c.At, "alertname": c.Alert, "exp_alerts": alerts}},
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// sections of a runbook.
var sections = []string{"## Meaning\n", "## Impact\n", "## Diagnosis\n", "## Mitigation\n"}

// Every alert has what a person who is woken needs, and no runbook is of an alert that is gone.
func TestAlerts_runbooks(t *testing.T) {
	t.Parallel()
	byName, _ := rules(t)
	index := string(read(t, "docs", "runbooks", "README.md"))
	for name, r := range byName {
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: labels %v, annotations %v: want a severity, a summary and a description", name, r.Labels, r.Annotations)
		}
		if want := "https://github.com/windlass-dev/windlass/blob/main/docs/runbooks/" + name + ".md"; r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %s, want %s", name, r.Annotations["runbook_url"], want)
		}
		page := string(read(t, "docs", "runbooks", name+".md"))
		for _, s := range sections {
			if !strings.Contains(page, s) {
				t.Errorf("the runbook of %s has no section %q", name, s)
			}
		}
		if !strings.Contains(index, "| ["+name+"]("+name+".md) | "+r.Labels["severity"]+" |") || !strings.Contains(page, "Severity: "+r.Labels["severity"]) {
			t.Errorf("the severity of %s in docs/runbooks is another one", name)
		}
	}
	pages, err := filepath.Glob(path(t, "docs", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) != len(byName)+1 {
		t.Errorf("there are %d runbooks for %d alerts", len(pages)-1, len(byName))
	}
}

// ours matches a command of the plugin, up to its first name in capitals or flag.
var ours = regexp.MustCompile(`(?m)^kubectl windlass ((?:[a-z]+ )+)`)

// objects matches what kubectl is asked for.
var objects = regexp.MustCompile(`(?m)^kubectl (?:-n \S+ )?(?:get|describe) (\S+)`)

// The commands of runbooks exist, and name kinds as the API server has them.
func TestAlerts_commands(t *testing.T) {
	t.Parallel()
	plugin := filepath.Join(t.TempDir(), "kubectl-windlass")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", plugin, "github.com/windlass-dev/windlass/cmd/kubectl-windlass").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pages, err := filepath.Glob(path(t, "docs", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := []string{"ota", "otarepo", "otab", "otach", "otaro", "pods", "pod", "pvc", "lease"}
	tried := map[string]bool{}
	for _, page := range pages {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range objects.FindAllStringSubmatch(string(raw), -1) {
			if !slices.Contains(kinds, m[1]) {
				t.Errorf("%s asks for %s, which is no name of a kind", filepath.Base(page), m[1])
			}
		}
		for _, m := range ours.FindAllStringSubmatch(string(raw), -1) {
			tried[strings.TrimSpace(m[1])] = true
		}
	}
	for command := range tried {
		out, err := exec.CommandContext(t.Context(), plugin, append(strings.Fields(command), "--help")...).CombinedOutput()
		if want := "kubectl windlass " + command + " "; err != nil || !strings.Contains(string(out), want) && !strings.Contains(string(out), strings.TrimSpace(want)+"\n") {
			t.Errorf("kubectl windlass %s --help: %v\n%s", command, err, out)
		}
	}
	if len(tried) < 5 {
		t.Errorf("runbooks use %d commands of the plugin", len(tried))
	}
}
