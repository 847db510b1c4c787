// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/windlass-dev/windlass/internal/testkit"
)

// a violation is a value that breaks one keyword of the schema at one path of a valid object.
type violation struct {
	path  []any // keys and indexes from the root of the object
	value any   // to put there; remove to delete the key
	want  string
}

// remove as a value deletes the key.
var remove = new(struct{})

// TestSchema breaks every bound, enum, type and required field of the specs once, in an object that is valid otherwise.
func TestSchema(t *testing.T) {
	env := testkit.Start(t)
	for kind := range kinds {
		seen := map[string]bool{}
		for _, obj := range valid(t, kind) {
			spec := schema(t, kind).Properties["spec"]
			for _, v := range violations([]any{"spec"}, obj.Object["spec"], &spec) {
				name := kind + "/" + schemaPath(v.path) + "/" + v.want
				if seen[name] {
					continue
				}
				seen[name] = true
				t.Run(name, func(t *testing.T) {
					broken := obj.DeepCopy()
					put(broken.Object, v.path, v.value)
					err := create(t, env, broken)
					check(t, err, v.want)
					check(t, err, fieldPath(v.path))
				})
			}
		}
	}
}

// TestSpecs_areBounded holds what the API linter does not look at: numbers have both bounds.
func TestSpecs_areBounded(t *testing.T) {
	for kind := range kinds {
		spec := schema(t, kind).Properties["spec"]
		for path, s := range fields("spec", &spec) {
			if s.Type == "integer" && (s.Minimum == nil || s.Maximum == nil) {
				t.Errorf("%s: %s has no minimum or no maximum", kind, path)
			}
		}
	}
}

// TestSpecs_coverEveryField fails when a field is added that no valid object of testdata sets: TestSchema would not see it.
func TestSpecs_coverEveryField(t *testing.T) {
	for kind := range kinds {
		set := map[string]bool{}
		for _, obj := range valid(t, kind) {
			collect("spec", obj.Object["spec"], set)
		}
		spec := schema(t, kind).Properties["spec"]
		for path := range fields("spec", &spec) {
			if !set[path] {
				t.Errorf("testdata/%s.yaml: no object sets %s", strings.ToLower(kind), path)
			}
		}
	}
}

// TestValid holds that the objects which the other tests break are whole.
func TestValid(t *testing.T) {
	env := testkit.Start(t)
	for kind := range kinds {
		for _, obj := range valid(t, kind) {
			t.Run(kind+"/"+obj.GetName(), func(t *testing.T) { check(t, create(t, env, obj), "") })
		}
	}
}

// violations walks a value beside its schema.
func violations(path []any, value any, s *apiextensionsv1.JSONSchemaProps) []violation {
	at := func(value any, format string, args ...any) violation {
		return violation{path: path, value: value, want: fmt.Sprintf(format, args...)}
	}
	switch v := value.(type) {
	case map[string]any:
		return objectViolations(path, v, s, at)
	case []any:
		return listViolations(path, v, s, at)
	case string:
		if s.XIntOrString {
			return nil // the rules of setWeight have cases of their own
		}
		return append(stringViolations(s, at), at(int64(7), "in body must be of type %s", cmp.Or(s.Format, "string")))
	case int64:
		if s.XIntOrString {
			return nil
		}
		return append(numberViolations(s, at), at("seven", "in body must be of type integer"))
	}
	return nil
}

type maker func(value any, format string, args ...any) violation

func objectViolations(path []any, value map[string]any, s *apiextensionsv1.JSONSchemaProps, at maker) []violation {
	out := []violation{at("text", "in body must be of type object")}
	if s.AdditionalProperties == nil {
		out = append(out, violation{path: sub(path, "nonsense"), value: "x", want: "unknown field"})
	}
	if s.MinProperties != nil {
		out = append(out, at(map[string]any{}, "should have at least %d properties", *s.MinProperties))
	}
	if s.MaxProperties != nil {
		many := map[string]any{}
		for i := range *s.MaxProperties + 1 {
			many[fmt.Sprintf("a%c%c", 'a'+i/26, 'a'+i%26)] = "x"
		}
		out = append(out, at(many, "must have at most %d", *s.MaxProperties))
	}
	for _, key := range slices.Sorted(maps.Keys(value)) {
		property, ok := s.Properties[key]
		if !ok && s.AdditionalProperties != nil {
			property = *s.AdditionalProperties.Schema
		}
		out = append(out, violations(sub(path, key), value[key], &property)...)
		if slices.Contains(s.Required, key) {
			out = append(out, violation{path: sub(path, key), value: remove, want: "Required value"})
		}
	}
	return out
}

func listViolations(path []any, value []any, s *apiextensionsv1.JSONSchemaProps, at maker) []violation {
	out := []violation{at("text", "in body must be of type array")}
	if s.MinItems != nil {
		out = append(out, at([]any{}, "should have at least %d items", *s.MinItems))
	}
	if s.MaxItems != nil {
		out = append(out, at(slices.Repeat(value[:1], int(*s.MaxItems)+1), "must have at most %d items", *s.MaxItems))
	}
	for i, item := range value {
		out = append(out, violations(sub(path, i), item, s.Items.Schema)...)
	}
	return out
}

func stringViolations(s *apiextensionsv1.JSONSchemaProps, at maker) []violation {
	var out []violation
	if len(s.Enum) > 0 {
		out = append(out, at("Nonsense", "Unsupported value"))
	}
	if s.MaxLength != nil {
		out = append(out, at(strings.Repeat("a", int(*s.MaxLength)+1), "may not be more than %d bytes", *s.MaxLength))
	}
	if s.MinLength != nil {
		out = append(out, at(strings.Repeat("a", int(*s.MinLength)-1), "should be at least %d chars long", *s.MinLength))
	}
	if s.Format != "" {
		out = append(out, at("soon", "must be of type %s", s.Format))
	}
	return out
}

func numberViolations(s *apiextensionsv1.JSONSchemaProps, at maker) []violation {
	var out []violation
	if s.Minimum != nil {
		out = append(out, at(int64(*s.Minimum)-1, "should be greater than or equal to %d", int64(*s.Minimum)))
	}
	if s.Maximum != nil {
		out = append(out, at(int64(*s.Maximum)+1, "should be less than or equal to %d", int64(*s.Maximum)))
	}
	return out
}

// sub is a path with one more element, in memory of its own.
func sub(path []any, element any) []any { return append(slices.Clone(path), element) }

// put sets the value at a path of an object, or deletes it.
func put(object any, path []any, value any) {
	for _, element := range path[:len(path)-1] {
		switch key := element.(type) {
		case string:
			object = object.(map[string]any)[key]
		case int:
			object = object.([]any)[key]
		}
	}
	switch key := path[len(path)-1].(type) {
	case string:
		parent := object.(map[string]any)
		parent[key] = value
		if value == any(remove) {
			delete(parent, key)
		}
	case int:
		object.([]any)[key] = value
	}
}

// fieldPath is a path as the server writes it.
func fieldPath(path []any) string { return join(path, "[%d]") }

// schemaPath is the same for all items of a list.
func schemaPath(path []any) string { return join(path, "[]%.0d") }

func join(path []any, index string) string {
	var out strings.Builder
	for i, element := range path {
		switch key := element.(type) {
		case string:
			if i > 0 {
				out.WriteByte('.')
			}
			out.WriteString(key)
		case int:
			fmt.Fprintf(&out, index, key)
		}
	}
	return out.String()
}

// fields gives all paths below a schema, with [] for items and * for map values.
func fields(path string, s *apiextensionsv1.JSONSchemaProps) map[string]*apiextensionsv1.JSONSchemaProps {
	out := map[string]*apiextensionsv1.JSONSchemaProps{path: s}
	for name, property := range s.Properties {
		maps.Copy(out, fields(path+"."+name, &property))
	}
	if s.Items != nil {
		maps.Copy(out, fields(path+"[]", s.Items.Schema))
	}
	return out
}

// collect notes the paths that a value sets, as fields writes them.
func collect(path string, value any, set map[string]bool) {
	set[path] = true
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			collect(path+"."+key, item, set)
		}
	case []any:
		for _, item := range v {
			collect(path+"[]", item, set)
		}
	}
}
