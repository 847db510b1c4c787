// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// TestManual_namesEveryField holds the manual pages against the schema.
func TestManual_namesEveryField(t *testing.T) {
	for kind := range kinds {
		words := manual(t, kind)
		object := schema(t, kind)
		for _, part := range []string{"spec", "status"} {
			property := object.Properties[part]
			for _, name := range names(&property) {
				if !slices.Contains(words, name) {
					t.Errorf("docs/spec/v1alpha1/%s.md does not name %s of %s", strings.ToLower(kind), name, part)
				}
			}
		}
	}
}

// TestManual_namesEveryReason holds all manual pages together against api/v1alpha1/conditions.go.
func TestManual_namesEveryReason(t *testing.T) {
	var words []string
	for kind := range kinds {
		words = append(words, manual(t, kind)...)
	}
	for name, value := range constants(t) {
		if !slices.Contains(words, value) {
			t.Errorf("no page of docs/spec/v1alpha1 names %s (%s)", value, name)
		}
	}
}

var code = regexp.MustCompile("(?s)```.*?```|`[^`]*`")

// manual gives the words that are in code quotes or examples of a kind's page.
func manual(t *testing.T, kind string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "spec", "v1alpha1", strings.ToLower(kind)+".md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, quoted := range code.FindAllString(string(text), -1) {
		out = append(out, strings.FieldsFunc(quoted, func(r rune) bool {
			return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		})...)
	}
	return out
}

// names of all fields below a schema, but for the insides of conditions, which are Kubernetes' own.
func names(s *apiextensionsv1.JSONSchemaProps) []string {
	var out []string
	for name, property := range s.Properties {
		out = append(out, name)
		if name != "conditions" {
			out = append(out, names(&property)...)
		}
	}
	if s.Items != nil {
		out = append(out, names(s.Items.Schema)...)
	}
	return out
}

// constants are the texts of conditions and reasons.
func constants(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "api", "v1alpha1", "conditions.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		name := spec.Names[0].Name
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if ok && (strings.HasSuffix(name, "Condition") || strings.HasSuffix(name, "Reason")) {
			if out[name], err = strconv.Unquote(literal.Value); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		return true
	})
	if len(out) < 40 {
		t.Fatalf("found %d conditions and reasons, expected at least 40: is the file still the right one?", len(out))
	}
	return out
}
