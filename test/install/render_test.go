// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestRenderings_areTheSame holds the chart against kustomize, object by object, for every option and both versions of Helm.
func TestRenderings_areTheSame(t *testing.T) {
	t.Parallel()
	for _, o := range options {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			want := normalized(t, o.kustomize(t))
			if len(want) < 20 {
				t.Fatalf("kustomize makes %d objects only", len(want))
			}
			for _, version := range []string{"helm3", "helm4"} {
				got := normalized(t, o.helm(t, version))
				if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
					t.Errorf("%s makes other objects (-kustomize +helm):\n%s", version, diff)
				}
				for id, obj := range want {
					if diff := cmp.Diff(obj, got[id]); diff != "" && got[id] != nil {
						t.Errorf("%s differs from kustomize in %s (-kustomize +helm; run make chart if it is of config/):\n%s", version, id, diff)
					}
				}
			}
		})
	}
}

// normalized are objects by kind, namespace and name, without what only Helm has.
func normalized(t *testing.T, objects []*unstructured.Unstructured) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, obj := range objects {
		if obj.GetKind() == "Namespace" { // helm install --create-namespace makes it, docs/install.md labels it
			continue
		}
		if _, twice := out[id(obj)]; twice {
			t.Errorf("%s is there twice", id(obj))
		}
		labels := obj.GetLabels()
		for _, helms := range []string{"helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "app.kubernetes.io/version"} {
			delete(labels, helms)
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels["app.kubernetes.io/name"] = "windlass" // the chart labels all objects
		obj.SetLabels(labels)
		annotations := obj.GetAnnotations()
		delete(annotations, "helm.sh/resource-policy")
		if obj.SetAnnotations(annotations); len(annotations) == 0 {
			unstructured.RemoveNestedField(obj.Object, "metadata", "annotations")
		}
		out[id(obj)] = numbersOf(t, obj.Object)
	}
	return out
}

// numbersOf lets whole numbers be of one type, whatever read them.
func numbersOf(t *testing.T, object map[string]any) (out any) {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestManagerRole holds that what is installed is what the markers of the controllers say, whatever the scope.
func TestManagerRole(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, "config", "rbac", "role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict(raw, &want); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		kind   string
		values []string
	}{{"ClusterRole", nil}, {"Role", []string{"rbac.scope=Namespace"}}} {
		objects := option{values: tc.values}.helm(t, "helm4")
		var got rbacv1.ClusterRole
		convert(t, find(t, objects, tc.kind, "windlass-manager"), &got)
		if diff := cmp.Diff(want.Rules, got.Rules); diff != "" {
			t.Errorf("%s: (-role.yaml +chart):\n%s", tc.kind, diff)
		}
		for _, obj := range objects {
			if obj.GetKind() == "ClusterRoleBinding" && tc.kind == "Role" {
				t.Errorf("the manager of one namespace has rights in the cluster: %s", obj.GetName())
			}
		}
	}
}

// TestGatewayHasNoRights holds that nothing is bound to the gateway's account, and that its pods have no token.
func TestGatewayHasNoRights(t *testing.T) {
	t.Parallel()
	for _, o := range options {
		objects := o.kustomize(t)
		for _, obj := range objects {
			subjects, _, err := unstructured.NestedSlice(obj.Object, "subjects")
			if err != nil {
				t.Error(err)
			}
			for _, s := range subjects {
				if s.(map[string]any)["name"] == "windlass-gateway" {
					t.Errorf("%s: %s is bound to the gateway", o.name, id(obj))
				}
			}
		}
		for _, tc := range []struct {
			kind string
			path []string
		}{
			{"ServiceAccount", []string{"automountServiceAccountToken"}},
			{"StatefulSet", []string{"spec", "template", "spec", "automountServiceAccountToken"}},
		} {
			mounts, found, err := unstructured.NestedBool(find(t, objects, tc.kind, "windlass-gateway").Object, tc.path...)
			if err != nil || !found || mounts {
				t.Errorf("%s: %s: automountServiceAccountToken is %t, %t, %v", o.name, tc.kind, mounts, found, err)
			}
		}
	}
}

// TestChannelsOfRoles holds that values name the channels of developers and QA, and nothing else of their roles.
func TestChannelsOfRoles(t *testing.T) {
	t.Parallel()
	objects := option{values: []string{"roles.developer.channels={dev-a,dev-b}", "roles.qa.channels={rc}"}}.helm(t, "helm4")
	for name, want := range map[string][]string{"windlass-developer": {"dev-a", "dev-b"}, "windlass-qa": {"rc"}} {
		var role rbacv1.ClusterRole
		convert(t, find(t, objects, "ClusterRole", name), &role)
		named := 0
		for _, rule := range role.Rules {
			if len(rule.ResourceNames) == 0 {
				continue
			}
			named++
			if !slices.Equal(rule.ResourceNames, want) {
				t.Errorf("%s is for %v, want %v", name, rule.ResourceNames, want)
			}
		}
		if named == 0 {
			t.Errorf("%s names no channels", name)
		}
	}
}
