// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// objectList is what -o json and -o yaml print of objects, as kubectl does.
type objectList struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Items      []map[string]any `json:"items"`
}

// printObjects writes objects in the form that was asked for. text is the form for people, wide or not.
func (a *app) printObjects(objs []client.Object, text func(w io.Writer, wide bool)) error {
	if a.output == formatName {
		for _, obj := range objs {
			gvk, err := groupVersionKind(obj)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Out, "%s.%s/%s\n", strings.ToLower(gvk.Kind), gvk.Group, obj.GetName())
		}
		return nil
	}
	list := objectList{APIVersion: "v1", Kind: "List", Items: make([]map[string]any, 0, len(objs))}
	for _, obj := range objs {
		item, err := plain(obj)
		if err != nil {
			return err
		}
		list.Items = append(list.Items, item)
	}
	return a.print(list, func(w io.Writer) { text(w, a.output == formatWide) })
}

// plain is an object as kubectl shows it: with its kind, and without who manages which field.
func plain(obj client.Object) (map[string]any, error) {
	gvk, err := groupVersionKind(obj)
	if err != nil {
		return nil, err
	}
	out, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		return nil, fmt.Errorf("expected an object, got %T", obj)
	}
	out.SetManagedFields(nil)
	out.GetObjectKind().SetGroupVersionKind(gvk)
	return runtime.DefaultUnstructuredConverter.ToUnstructured(out)
}
