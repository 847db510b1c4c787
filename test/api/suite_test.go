// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package api holds the schema of the resources against a real API server: what is accepted, what is refused and in which
// words, how objects print and how they are found.
package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/testkit"
)

const root = "../.."

// kinds maps the kinds to their plural names, which name files in testdata and in config/crd.
var kinds = map[string]string{
	"Repository": "repositories",
	"Bundle":     "bundles",
	"Channel":    "channels",
	"Rollout":    "rollouts",
}

func TestMain(m *testing.M) { testkit.Main(m) }

// strict is a client that has the server refuse unknown fields, as kubectl and GitOps tools do.
func strict(env *testkit.Env) client.Client {
	return client.WithFieldValidation(env.Client, metav1.FieldValidationStrict)
}

// create asks the server whether it would create an object.
func create(t *testing.T, env *testkit.Env, obj *unstructured.Unstructured) error {
	t.Helper()
	obj.SetNamespace(env.Namespace)
	return strict(env).Create(t.Context(), obj, client.DryRunAll)
}

// valid reads the valid objects of a kind from testdata. The first is the base of cases.
func valid(t *testing.T, kind string) []*unstructured.Unstructured {
	t.Helper()
	return load(t, filepath.Join("testdata", strings.ToLower(kind)+".yaml"))
}

// load reads all objects of a YAML file.
func load(t *testing.T, path string) []*unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, path, data)
}

// decode reads all objects of YAML documents; name is for messages.
func decode(t *testing.T, name string, data []byte) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		obj := &unstructured.Unstructured{}
		err := decoder.Decode(&obj.Object)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(obj.Object) > 0 {
			out = append(out, obj)
		}
	}
}

// merge applies a JSON merge patch (RFC 7386), written in YAML, to a copy of an object: null removes, lists are replaced.
func merge(t *testing.T, obj *unstructured.Unstructured, patch string) *unstructured.Unstructured {
	t.Helper()
	before, err := json.Marshal(obj.Object)
	if err != nil {
		t.Fatal(err)
	}
	change, err := yaml.YAMLToJSONStrict([]byte(patch))
	if err != nil {
		t.Fatalf("patch is no YAML: %v\n%s", err, patch)
	}
	after, err := jsonpatch.MergePatch(before, change)
	if err != nil {
		t.Fatalf("apply %s: %v", patch, err)
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(after); err != nil {
		t.Fatalf("read the patched object: %v", err)
	}
	return out
}

// crd reads the resource definition of a kind.
func crd(t *testing.T, kind string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "config", "crd", "bases", "ota.windlass.dev_"+kinds[kind]+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(data, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// schema is that of the only version of a kind.
func schema(t *testing.T, kind string) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	return crd(t, kind).Spec.Versions[0].Schema.OpenAPIV3Schema
}

// check holds an answer of the server against what was wanted: no error for "", else one that contains want.
func check(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused, want accepted: %v", err)
	case want != "" && err == nil:
		t.Errorf("accepted, want refused with %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("refused with %q, want %q", err, want)
	}
}
