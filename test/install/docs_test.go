// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var (
	pushed   = regexp.MustCompile(`docker buildx build -f build/(\w+)\.Dockerfile -t (\S+) --push`)
	block    = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	command  = regexp.MustCompile(`(?m)^helm (?:install|upgrade) (?:[^\n]*\\\n)*[^\n]*$`)
	registry = regexp.MustCompile(`registry\.example\.com/[a-z-]+/([a-z-]+)`)
)

// page reads a page, and the images that docs/install.md pushes, by program.
func page(t *testing.T, path string) (text string, images map[string]string) {
	t.Helper()
	read := func(path string) string {
		raw, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	images = map[string]string{}
	for _, m := range pushed.FindAllStringSubmatch(read("docs/install.md"), -1) {
		images[m[1]] = m[2]
	}
	if len(images) != 2 {
		t.Fatalf("docs/install.md pushes %v, want the images of the manager and of the gateway", images)
	}
	return read(path), images
}

// TestDocs_nameTheImagesThatArePushed renders every example of docs/install.md, whatever the tool, and wants the images that the page
// builds: none are published.
func TestDocs_nameTheImagesThatArePushed(t *testing.T) {
	t.Parallel()
	text, images := page(t, "docs/install.md")
	seen := map[string]int{}
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		var example map[string]any
		if err := yaml.Unmarshal([]byte(m[1]), &example); err != nil {
			t.Errorf("%v:\n%s", err, m[1])
			continue
		}
		tool, objects := renderExample(t, example)
		seen[tool]++
		checkImages(t, tool, objects, images)
	}
	for _, tool := range []string{"kustomize", "values", "Application", "HelmRelease"} {
		if seen[tool] == 0 {
			t.Errorf("docs/install.md has no example for %s", tool)
		}
	}
	for _, m := range registry.FindAllStringSubmatch(text, -1) {
		if want, ok := images[m[1]]; !ok || !strings.HasPrefix(want, m[0]+":") {
			t.Errorf("docs/install.md names %s, and pushes %v", m[0], images)
		}
	}
	for _, line := range command.FindAllString(text, -1) {
		if !strings.Contains(line, "--values my-values.yaml") {
			t.Errorf("docs/install.md says %q without the values that name the images", line)
		}
	}
}

// TestDocs_chartPage renders the command of the chart's page.
func TestDocs_chartPage(t *testing.T) {
	t.Parallel()
	text, images := page(t, "charts/windlass/README.md")
	lines := command.FindAllString(text, -1)
	if len(lines) == 0 {
		t.Fatal("the chart's page has no helm install")
	}
	for _, line := range lines {
		var set []string
		for _, m := range regexp.MustCompile(`--set (\S+)`).FindAllStringSubmatch(line, -1) {
			set = append(set, m[1])
		}
		checkImages(t, line, option{values: set}.helm(t, "helm4"), images)
	}
}

// renderExample renders what an example says, and tells for which tool it is.
func renderExample(t *testing.T, example map[string]any) (tool string, objects []*unstructured.Unstructured) {
	t.Helper()
	if images, ok := example["images"]; ok {
		patch, err := yaml.Marshal(map[string]any{"images": images})
		if err != nil {
			t.Fatal(err)
		}
		return "kustomize", option{base: "default", patches: string(patch)}.kustomize(t)
	}
	tool, at := "values", []string{}
	switch example["kind"] {
	case "Application":
		tool, at = "Application", []string{"spec", "source", "helm", "valuesObject"}
	case "HelmRelease":
		tool, at = "HelmRelease", []string{"spec", "values"}
	}
	values, _, err := unstructured.NestedMap(example, at...)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out, complaints, err := run(t, "helm4", append(render(nil), "--values", file)...)
	if err != nil {
		t.Fatalf("%s: helm template: %v\n%s", tool, err, complaints)
	}
	return tool, decode(t, out)
}

func checkImages(t *testing.T, what string, objects []*unstructured.Unstructured, want map[string]string) {
	t.Helper()
	workloads := 0
	for _, obj := range objects {
		pod := podOf(t, obj)
		if pod == nil {
			continue
		}
		workloads++
		if c := pod.Spec.Containers[0]; c.Image != want[c.Name] {
			t.Errorf("%s: the %s runs %s, and docs/install.md pushes %s", what, c.Name, c.Image, want[c.Name])
		}
	}
	if workloads == 0 {
		t.Errorf("%s: no workload is in it", what)
	}
}
