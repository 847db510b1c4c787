// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Find reads an object; the zero T, which is nil for objects, when it does not exist.
func Find[T client.Object](ctx context.Context, c client.Reader, key client.ObjectKey, into T) (T, error) {
	var none T
	switch err := c.Get(ctx, key, into); {
	case apierrors.IsNotFound(err):
		return none, nil
	case err != nil:
		return none, fmt.Errorf("read %T %s: %w", into, key.Name, err)
	}
	return into, nil
}

// Clip keeps a text within n bytes, the bound of a field of status.
func Clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// RepositoryChanged lets through a Repository whose spec changed, or that can, or cannot, publish now. Each commit of metadata
// writes its status, which concerns nobody else.
var RepositoryChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	old, now := e.ObjectOld.(*otav1alpha1.Repository), e.ObjectNew.(*otav1alpha1.Repository)
	ready := func(r *otav1alpha1.Repository) bool {
		return apimeta.IsStatusConditionTrue(r.Status.Conditions, otav1alpha1.ReadyCondition)
	}
	return old.Generation != now.Generation || ready(old) != ready(now)
}}

// Commanded lets through commands that people give to a Channel or a Repository, and the record of one: what it changed counts from
// then on.
var Commanded = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	was, is := e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations()
	return was[otav1alpha1.CommandIDAnnotation] != is[otav1alpha1.CommandIDAnnotation] ||
		was[otav1alpha1.CommandAnnotation] != is[otav1alpha1.CommandAnnotation] || lastCommand(e.ObjectOld) != lastCommand(e.ObjectNew)
}}

// lastCommand is the ID of the last command that was acted upon.
func lastCommand(o client.Object) string {
	var last *otav1alpha1.CommandStatus
	switch o := o.(type) {
	case *otav1alpha1.Channel:
		last = o.Status.LastCommand
	case *otav1alpha1.Repository:
		last = o.Status.LastCommand
	}
	if last == nil {
		return ""
	}
	return last.ID
}
