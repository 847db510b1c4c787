// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"path/filepath"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/windlass-dev/windlass/internal/testkit"
)

// TestCRDs holds that the server took the definitions without a remark: each condition that it may set against one is looked at.
func TestCRDs(t *testing.T) {
	env := testkit.Start(t)
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(env.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	for kind := range kinds {
		got := &apiextensionsv1.CustomResourceDefinition{}
		if err := c.Get(t.Context(), types.NamespacedName{Name: crd(t, kind).Name}, got); err != nil {
			t.Error(err)
			continue
		}
		conditions := map[apiextensionsv1.CustomResourceDefinitionConditionType]apiextensionsv1.ConditionStatus{}
		for _, cond := range got.Status.Conditions {
			conditions[cond.Type] = cond.Status
		}
		for _, want := range []apiextensionsv1.CustomResourceDefinitionConditionType{apiextensionsv1.Established, apiextensionsv1.NamesAccepted} {
			if conditions[want] != apiextensionsv1.ConditionTrue {
				t.Errorf("%s: %s is %q, want True", kind, want, conditions[want])
			}
		}
		for _, bad := range []apiextensionsv1.CustomResourceDefinitionConditionType{apiextensionsv1.NonStructuralSchema, apiextensionsv1.Terminating} {
			if conditions[bad] == apiextensionsv1.ConditionTrue {
				t.Errorf("%s: %s is True", kind, bad)
			}
		}
	}
}

// TestSamples applies the samples as kubectl apply --server-side does.
func TestSamples(t *testing.T) {
	env := testkit.Start(t)
	files, err := filepath.Glob(filepath.Join(root, "config", "samples", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	applied := map[string]bool{}
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, obj := range load(t, file) {
				obj.SetNamespace(env.Namespace)
				err := strict(env).Apply(t.Context(), client.ApplyConfigurationFromUnstructured(obj), client.FieldOwner("sample"))
				check(t, err, "")
				applied[obj.GetKind()] = true
			}
		})
	}
	for kind := range kinds {
		if !applied[kind] {
			t.Errorf("config/samples has no %s", kind)
		}
	}
}

// TestBrokenYAML sends text as a person may have written it, and wants an answer that helps.
func TestBrokenYAML(t *testing.T) {
	env := testkit.Start(t)
	cases := map[string]struct{ body, want string }{
		"a tab": {
			body: "apiVersion: ota.windlass.dev/v1alpha1\nkind: Channel\nspec:\n\tapp: shop\n",
			want: "found character that cannot start any token",
		},
		"an unclosed brace": {
			body: "apiVersion: ota.windlass.dev/v1alpha1\nkind: Channel\nspec: {app: shop\n",
			want: "did not find expected",
		},
		"a wrong indent": {
			body: "apiVersion: ota.windlass.dev/v1alpha1\nkind: Channel\nspec:\n  app: shop\n visibility: Public\n",
			want: "did not find expected key",
		},
		"a misspelled field": {
			body: "apiVersion: ota.windlass.dev/v1alpha1\nkind: Channel\nspec:\n  app: shop\n  servign: Halted\n",
			want: ".spec.servign: field not declared in schema",
		},
		"a field twice": {
			body: "apiVersion: ota.windlass.dev/v1alpha1\nkind: Channel\nspec:\n  app: shop\n  app: till\n",
			want: `"app" already set`,
		},
		"a text for an object": {
			body: "apiVersion: ota.windlass.dev/v1alpha1\nkind: Channel\nspec: shop\n",
			want: ".spec: expected map",
		},
		"another version": {
			body: "apiVersion: ota.windlass.dev/v9\nkind: Channel\nspec: {app: shop}\n",
			want: "v9",
		},
		"nothing wrong": {
			body: "apiVersion: ota.windlass.dev/v1alpha1\nkind: Channel\nmetadata: {name: broken}\nspec: {app: shop}\n",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := restClient(t, env).Patch(types.ApplyYAMLPatchType).Namespace(env.Namespace).Resource("channels").Name("broken").
				Param("fieldManager", "test").Param("fieldValidation", "Strict").Param("dryRun", "All").
				Body([]byte(tc.body)).Do(t.Context()).Error()
			check(t, err, tc.want)
		})
	}
}
