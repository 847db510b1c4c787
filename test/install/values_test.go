// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestValues_refused gives the chart values that it must not take, and wants to read which one is wrong.
func TestValues_refused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ set, want string }{
		"an unknown value":            {"manager.replica=2", "replica"},
		"an unknown group":            {"gatway.enabled=false", "gatway"},
		"a scope that there is not":   {"rbac.scope=Galaxy", "scope"},
		"a text for a number":         {"manager.replicas=two", "replicas"},
		"a negative number":           {"gateway.replicas=-1", "replicas"},
		"a ledger that there is not":  {"gateway.ledger.type=MySQL", "type"},
		"a size without meaning":      {"gateway.ledger.size=big", "size"},
		"a digest that is none":       {"manager.image.digest=latest", "digest"},
		"a tag in the repository":     {"manager.image.repository=windlass/manager:1", "repository"},
		"a flag that is none":         {"gateway.extraArgs={debug}", "extraArgs"},
		"a gateway without a scheme":  {"manager.gatewayURLs={gateway:8081}", "gatewayURLs"},
		"proxies that are no network": {"gateway.configMap.trustedProxies={10.0.0.1}", "trustedProxies"},
		"roles of no channel":         {"roles.qa.channels={}", "channels"},
		"a name that is none":         {"gatewayToken.secretName=My_Secret", "secretName"},
		"SQLite for two":              {"gateway.replicas=2", "set gateway.ledger.type to PostgreSQL"},
		"SQLite for as many as come":  {"gateway.autoscaling.enabled=true", "set gateway.ledger.type to PostgreSQL"},
		"fewer at most than at least": {"gateway.ledger.type=PostgreSQL,gateway.autoscaling.enabled=true,gateway.autoscaling.minReplicas=11",
			"minReplicas is 11 and maxReplicas is 10"},
		"an identity that is neither": {"networkPolicy.machineIdentity=sometimes", "machineIdentity"},
		"a bucket without a name":     {"gateway.configMap.create=true", "gateway.configMap.endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, version := range []string{"helm3", "helm4"} {
				out, complaints, err := run(t, version, render([]string{tc.set})...)
				if err == nil {
					t.Errorf("%s takes %s and makes %d bytes", version, tc.set, len(out))
				} else if !strings.Contains(complaints, tc.want) {
					t.Errorf("%s: %s is refused by %q, want %q in it", version, tc.set, complaints, tc.want)
				}
			}
		})
	}
}

// TestValues_schema holds that the schema knows just the values that there are, and lets no group take others.
func TestValues_schema(t *testing.T) {
	t.Parallel()
	var schema map[string]any
	if err := json.Unmarshal(file(t, "values.schema.json"), &schema); err != nil {
		t.Fatal(err)
	}
	want := slices.Sorted(maps.Keys(values(t)))
	got := map[string]bool{}
	walkSchema(t, schema, schema, "", got)
	delete(got, "global") // Helm's own
	known := slices.Sorted(maps.Keys(got))
	known = slices.DeleteFunc(known, func(path string) bool {
		return path == "gateway.tls.certManager.issuerRef.group" || strings.HasSuffix(path, ".resources.claims") // optional, without default
	})
	if diff := cmp.Diff(want, known); diff != "" {
		t.Errorf("-values.yaml +values.schema.json:\n%s", diff)
	}
}

// walkSchema collects the values that are no groups.
func walkSchema(t *testing.T, schema, node map[string]any, path string, out map[string]bool) {
	t.Helper()
	if ref, ok := node["$ref"].(string); ok {
		node = schema["definitions"].(map[string]any)[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
	}
	properties, group := node["properties"].(map[string]any)
	if !group {
		out[path] = true
		return
	}
	if open, said := node["additionalProperties"].(bool); open || !said {
		t.Errorf("%q takes values that it does not know", path)
	}
	for name, child := range properties {
		walkSchema(t, schema, child.(map[string]any), strings.TrimPrefix(path+"."+name, "."), out)
	}
}

// TestValues_readme holds that the chart's page has a row for each value, with its default, and no other.
func TestValues_readme(t *testing.T) {
	t.Parallel()
	text := string(file(t, "README.md"))
	want := values(t)
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(cells[1], " `") || strings.Contains(cells[1], "--") {
			continue
		}
		path := strings.Trim(cells[1], " `")
		byDefault, known := want[path]
		if !known {
			t.Errorf("README.md has a value that there is not: %s", path)
			continue
		}
		if got := strings.Trim(cells[2], " `"); got != byDefault {
			t.Errorf("README.md says that %s is %s by default, it is %s", path, got, byDefault)
		}
		delete(want, path)
	}
	for path, byDefault := range want {
		t.Errorf("README.md has no row for a value: | `%s` | `%s` | |", path, byDefault)
	}
}

// values are all values of values.yaml by path, with their defaults in JSON.
func values(t *testing.T) map[string]string {
	t.Helper()
	var all map[string]any
	if err := yaml.UnmarshalStrict(file(t, "values.yaml"), &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	walkValues(t, all, "", out)
	return out
}

func walkValues(t *testing.T, node any, path string, out map[string]string) {
	t.Helper()
	group, ok := node.(map[string]any)
	if ok && len(group) > 0 && !strings.HasSuffix(path, ".requests") && !strings.HasSuffix(path, ".limits") {
		for name, child := range group {
			walkValues(t, child, strings.TrimPrefix(fmt.Sprintf("%s.%s", path, name), "."), out)
		}
		return
	}
	raw, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	out[path] = string(raw)
}

func file(t *testing.T, name string) []byte {
	t.Helper()
	out, err := os.ReadFile(filepath.Join(chart(), name))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
