// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// printed is how an object with this status looks in kubectl get.
type printed struct {
	columns []string
	status  string // YAML, applied to the first valid object of the kind
	cells   []any  // without the last one, which is the age
}

var tables = map[string]printed{
	"Repository": {
		columns: []string{"Name", "Ready", "Status", "Metadata", "Expires", "Channels", "Age"},
		status: `{conditions: [` + ready("True", "Succeeded") + `], metadata: {version: 42, expiresAt: "2027-01-02T03:04:05Z"},
			channels: 3, bundles: 17}`,
		cells: []any{"base", "True", "Succeeded", 42.0, "2027-01-02T03:04:05Z", 3.0},
	},
	"Bundle": {
		columns: []string{"Name", "Ready", "Status", "App", "Version", "Size", "Signed-By", "Checksum", "Key", "Age"},
		status: `{conditions: [` + ready("True", "Succeeded") + `], artifact: {digest: "` + aDigest + `", size: 1834201,
			encryption: {checksum: Verified, keyID: MIIBCgKCAQEAs9u4ZBdB}},
			signedBy: "ci, release-managers"}`,
		cells: []any{"base", "True", "Succeeded", "com.example.shop", "2.4.1", 1834201.0, "ci, release-managers", "Verified", "MIIBCgKCAQEAs9u4ZBdB"},
	},
	"Channel": {
		columns: []string{"Name", "Ready", "Status", "Stable", "Candidate", "Weight", "Serving", "Age"},
		status: `{conditions: [` + ready("True", "Published") + `, ` + condition("Serving", "True", "Active") + `],
			stable: {bundle: shop-2.4.0, version: 2.4.0, digest: "` + aDigest + `"},
			candidate: {bundle: shop-2.4.1, version: 2.4.1, digest: "` + aDigest + `", weight: "5"}}`,
		cells: []any{"base", "True", "Published", "2.4.0", "2.4.1", "5", "Active"},
	},
	"Rollout": {
		columns: []string{"Name", "Ready", "Status", "Channel", "Bundle", "Step", "Weight", "Message", "Age"},
		status: `{conditions: [` + ready("Unknown", "Progressing") + `], step: 3/6, weight: "10",
			message: waiting for 312 of 500 samples}`,
		cells: []any{"base", "Unknown", "Progressing", "production", "shop-2.4.1", "3/6", "10", "waiting for 312 of 500 samples"},
	},
}

func ready(status, reason string) string { return condition("Ready", status, reason) }

func condition(kind, status, reason string) string {
	return `{type: ` + kind + `, status: "` + status + `", reason: ` + reason + `, message: "", lastTransitionTime: "2026-01-02T03:04:05Z"}`
}

// TestTables asks the server for the table that kubectl get prints.
func TestTables(t *testing.T) {
	env := testkit.Start(t)
	for kind, want := range tables {
		t.Run(kind, func(t *testing.T) {
			obj := valid(t, kind)[0]
			obj.SetNamespace(env.Namespace)
			if err := strict(env).Create(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
			if err := strict(env).Status().Update(t.Context(), merge(t, obj, "status: "+want.status)); err != nil {
				t.Fatal(err)
			}
			table := getTable(t, env, kinds[kind])
			var columns []string
			for _, c := range table.ColumnDefinitions {
				columns = append(columns, c.Name)
			}
			if diff := cmp.Diff(want.columns, columns); diff != "" {
				t.Errorf("columns (-want +got):\n%s", diff)
			}
			if len(table.Rows) != 1 {
				t.Fatalf("%d rows, want 1", len(table.Rows))
			}
			cells := table.Rows[0].Cells
			if diff := cmp.Diff(want.cells, cells[:len(cells)-1]); diff != "" {
				t.Errorf("cells without the age (-want +got):\n%s", diff)
			}
		})
	}
}

func getTable(t *testing.T, env *testkit.Env, resource string) *metav1.Table {
	t.Helper()
	data, err := restClient(t, env).Get().Namespace(env.Namespace).Resource(resource).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(data, table); err != nil {
		t.Fatalf("the server sent no table: %v", err)
	}
	return table
}

// restClient speaks to the API group without knowing its types.
func restClient(t *testing.T, env *testkit.Env) rest.Interface {
	t.Helper()
	cfg := rest.CopyConfig(env.Config)
	cfg.GroupVersion = &otav1alpha1.SchemeGroupVersion
	cfg.APIPath = "/apis"
	cfg.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	c, err := rest.RESTClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDiscovery(t *testing.T) {
	env := testkit.Start(t)
	c, err := discovery.NewDiscoveryClientForConfig(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.ServerResourcesForGroupVersion(otav1alpha1.SchemeGroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	type names struct {
		Kind, Plural, Short, Category string
		Namespaced                    bool
	}
	var got []names
	var subresources []string
	for _, r := range list.APIResources {
		if strings.Contains(r.Name, "/") {
			subresources = append(subresources, r.Name)
			continue
		}
		got = append(got, names{
			Kind: r.Kind, Plural: r.Name, Short: strings.Join(r.ShortNames, ","), Category: strings.Join(r.Categories, ","),
			Namespaced: r.Namespaced,
		})
	}
	slices.SortFunc(got, func(a, b names) int { return strings.Compare(a.Kind, b.Kind) })
	slices.Sort(subresources)
	want := []names{
		{"Bundle", "bundles", "otab", "ota", true},
		{"Channel", "channels", "otach", "ota", true},
		{"Repository", "repositories", "otarepo", "ota", true},
		{"Rollout", "rollouts", "otaro", "ota", true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"bundles/status", "channels/status", "repositories/status", "rollouts/status"}, subresources); diff != "" {
		t.Errorf("subresources (-want +got):\n%s", diff)
	}
}

// TestSelectors finds one of two objects by each selectable field.
func TestSelectors(t *testing.T) {
	env := testkit.Start(t)
	cases := map[string]struct {
		kind, other, field, value string
	}{
		"Bundle app":      {"Bundle", `spec: {app: other}`, "spec.app", "com.example.shop"},
		"Bundle version":  {"Bundle", `spec: {version: 9.9.9}`, "spec.version", "2.4.1"},
		"Bundle digest":   {"Bundle", `spec: {digest: "sha256:` + strings.Repeat("0", 64) + `"}`, "spec.digest", aDigest},
		"Channel app":     {"Channel", `spec: {app: other}`, "spec.app", "com.example.shop"},
		"Rollout channel": {"Rollout", `spec: {channelRef: {name: other}}`, "spec.channelRef.name", "production"},
		"Rollout bundle":  {"Rollout", `spec: {bundleRef: {name: other}}`, "spec.bundleRef.name", "shop-2.4.1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			prefix := strings.ToLower(strings.ReplaceAll(name, " ", "-"))
			base := valid(t, tc.kind)[0]
			base.SetNamespace(env.Namespace)
			base.SetName(prefix + "-wanted")
			base.SetLabels(map[string]string{"case": prefix})
			other := merge(t, base, tc.other)
			other.SetName(prefix + "-other")
			for _, obj := range []client.Object{base, other} {
				if err := strict(env).Create(t.Context(), obj); err != nil {
					t.Fatal(err)
				}
			}
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(otav1alpha1.SchemeGroupVersion.WithKind(tc.kind))
			err := env.Client.List(t.Context(), list, client.InNamespace(env.Namespace),
				client.MatchingLabels{"case": prefix}, client.MatchingFields{tc.field: tc.value})
			if err != nil {
				t.Fatal(err)
			}
			if len(list.Items) != 1 || list.Items[0].GetName() != base.GetName() {
				t.Errorf("found %d objects, want %s alone", len(list.Items), base.GetName())
			}
		})
	}
}
