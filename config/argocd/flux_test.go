// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package argocd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/config/argocd"
	"github.com/windlass-dev/windlass/internal/testkit/argo"
)

var exprs = regexp.MustCompile("(?s)```yaml\n(  wait: true\n.*?)```")

// The expressions that docs/gitops.md gives to Flux say of a Rollout what the annotation FirstStep says to Argo CD.
func TestFlux_firstStep(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(docs, "gitops.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := exprs.FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/gitops.md has no healthCheckExprs any more")
	}
	var spec struct {
		HealthCheckExprs []struct{ Current, Failed string }
	}
	if err := yaml.Unmarshal(block[1], &spec); err != nil || len(spec.HealthCheckExprs) != 1 {
		t.Fatalf("read healthCheckExprs: %v", err)
	}
	current, failed := program(t, spec.HealthCheckExprs[0].Current), program(t, spec.HealthCheckExprs[0].Failed)
	cases, err := argo.HealthCases(filepath.Join(argocd.Group, "Rollout"))
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]int{}
	for _, tc := range cases {
		if tc.Object["status"] == nil || strings.Contains(tc.Path, "new.yaml") {
			continue // Flux asks for no expression before there are conditions
		}
		tc.Object["metadata"].(argo.Object)["annotations"] = argo.Object{argo.FirstStep: "FirstStep"}
		health, err := argo.HealthOf(tc.Object)
		if err != nil {
			t.Fatal(err)
		}
		tried[health.Status]++
		isCurrent, isFailed := holds(t, current, tc.Object), holds(t, failed, tc.Object)
		if isCurrent != (health.Status == argo.Healthy) || isFailed && health.Status != argo.Degraded {
			t.Errorf("%s is %s to Argo CD, and to Flux current: %t, failed: %t", tc.Path, health.Status, isCurrent, isFailed)
		}
		if strings.Contains(tc.Path, "rolled_back") && !isFailed {
			t.Errorf("%s does not fail a Kustomization", tc.Path)
		}
	}
	if len(tried) < 4 {
		t.Errorf("tried %v, want all four healths", tried)
	}
}

func program(t *testing.T, expr string) cel.Program {
	t.Helper()
	env, err := cel.NewEnv(cel.Variable("metadata", cel.DynType), cel.Variable("spec", cel.DynType), cel.Variable("status", cel.DynType))
	if err != nil {
		t.Fatal(err)
	}
	ast, issues := env.Compile(expr)
	if issues.Err() != nil {
		t.Fatalf("%s: %v", expr, issues.Err())
	}
	out, err := env.Program(ast)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func holds(t *testing.T, p cel.Program, obj argo.Object) bool {
	t.Helper()
	out, _, err := p.Eval(map[string]any{"metadata": obj["metadata"], "spec": obj["spec"], "status": obj["status"]})
	if err != nil {
		t.Fatalf("%v: %v", obj["metadata"], err)
	}
	is, ok := out.Value().(bool)
	return ok && is
}
