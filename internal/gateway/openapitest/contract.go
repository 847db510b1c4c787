// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package openapitest holds handlers against the contracts in docs/api.
package openapitest

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/devcluster"
)

// Contract is an OpenAPI document.
type Contract struct {
	testing.TB

	root map[string]any
}

// Load reads a document of docs/api.
func Load(t testing.TB, name string) Contract {
	t.Helper()
	root, err := devcluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "docs", "api", name))
	if err != nil {
		t.Fatal(err)
	}
	c := Contract{TB: t, root: map[string]any{}}
	if err := yaml.UnmarshalStrict(raw, &c.root); err != nil {
		t.Fatal(err)
	}
	return c
}

// At finds a node by its path; references are replaced by what they name.
func (c Contract) At(path ...string) any {
	c.Helper()
	var node any = c.root
	for _, name := range path {
		m, ok := c.follow(node).(map[string]any)
		if !ok || m[name] == nil {
			c.Fatalf("the contract has no %s", strings.Join(path, " "))
		}
		node = m[name]
	}
	return c.resolve(node)
}

// Enum gives the values of a field of a schema, sorted.
func (c Contract) Enum(schema, field string) []string {
	c.Helper()
	var out []string
	for _, v := range c.At("components", "schemas", schema, "properties", field, "enum").([]any) {
		out = append(out, v.(string))
	}
	slices.Sort(out)
	return out
}

// follow gives what a reference names, or the node itself.
func (c Contract) follow(node any) any {
	if m, ok := node.(map[string]any); ok {
		if ref, ok := m["$ref"].(string); ok {
			return c.At(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
	}
	return node
}

// resolve replaces references by what they name, at any depth.
func (c Contract) resolve(node any) any {
	switch n := c.follow(node).(type) {
	case map[string]any:
		out := make(map[string]any, len(n))
		for k, v := range n {
			out[k] = c.resolve(v)
		}
		return out
	case []any:
		out := make([]any, len(n))
		for i, v := range n {
			out[i] = c.resolve(v)
		}
		return out
	}
	return node
}

// Problems validates a document against the schema at a path.
func (c Contract) Problems(document []byte, path ...string) []error {
	c.Helper()
	raw, err := json.Marshal(c.At(path...))
	if err != nil {
		c.Fatal(err)
	}
	var schema spec.Schema
	if err := json.Unmarshal(raw, &schema); err != nil {
		c.Fatal(err)
	}
	var data any
	if err := json.Unmarshal(document, &data); err != nil {
		return []error{err}
	}
	return validate.NewSchemaValidator(&schema, nil, "", strfmt.Default).Validate(data).Errors
}

// CheckAnswer holds an answer against the contract: its status must be listed, and its body be of the schema.
func (c Contract) CheckAnswer(method, path string, w *httptest.ResponseRecorder) {
	c.Helper()
	media := w.Header().Get("Content-Type")
	at := []string{"paths", path, strings.ToLower(method), "responses", fmt.Sprint(w.Code), "content", media, "schema"}
	for _, err := range c.Problems(w.Body.Bytes(), at...) {
		c.Errorf("%s %d: %v in %s", path, w.Code, err, w.Body)
	}
}
