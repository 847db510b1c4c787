// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// fieldOwner is under which name the demo applies, as a GitOps tool would.
const fieldOwner = client.FieldOwner("demo-gitops")

// vars are filled in for ${NAME} in a manifest.
type vars map[string]string

// with gives the variables and some more.
func (v vars) with(more vars) vars {
	out := vars{}
	for _, m := range []vars{v, more} {
		maps.Copy(out, m)
	}
	return out
}

// render reads a file and fills in variables. A variable without a value is an error.
func render(path string, v vars) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a manifest: %w", err)
	}
	var missing string
	text := os.Expand(string(raw), func(name string) string {
		value, ok := v[name]
		if !ok {
			missing = name
		}
		return value
	})
	if missing != "" {
		return nil, fmt.Errorf("%s: nothing is known for ${%s}", filepath.Base(path), missing)
	}
	return []byte(text), nil
}

// load reads the objects of a file.
func load(path string, v vars) ([]*unstructured.Unstructured, error) {
	text, err := render(path, v)
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, &obj.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		out = append(out, obj)
	}
}

// apply sends objects to the API server by server-side apply.
func apply(ctx context.Context, c client.Client, objs ...*unstructured.Unstructured) error {
	for _, obj := range objs {
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(obj), fieldOwner, client.ForceOwnership); err != nil {
			return fmt.Errorf("apply %s %s: %w", obj.GetKind(), obj.GetName(), err)
		}
	}
	return nil
}

// addMetric appends a metric from a file to a Rollout.
func addMetric(rollout *unstructured.Unstructured, path string, v vars) error {
	text, err := render(path, v)
	if err != nil {
		return err
	}
	var metric map[string]any
	if err := yaml.Unmarshal(text, &metric); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	fields := []string{"spec", "analysis", "metrics"}
	metrics, _, err := unstructured.NestedSlice(rollout.Object, fields...)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return unstructured.SetNestedSlice(rollout.Object, append(metrics, metric), fields...)
}
