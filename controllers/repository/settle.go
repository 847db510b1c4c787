// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// settleTime gathers commits into one status write.
const settleTime = time.Second

// settle enqueues a Repository some time after a commit: a busy one is written once a second, not once a commit.
type settle struct{}

// Create is not used: commits are generic events.
func (*settle) Create(context.Context, event.CreateEvent, workqueue.TypedRateLimitingInterface[reconcile.Request]) {
}

// Update is not used: commits are generic events.
func (*settle) Update(context.Context, event.UpdateEvent, workqueue.TypedRateLimitingInterface[reconcile.Request]) {
}

// Delete is not used: commits are generic events.
func (*settle) Delete(context.Context, event.DeleteEvent, workqueue.TypedRateLimitingInterface[reconcile.Request]) {
}

// Generic enqueues the Repository of a commit.
func (*settle) Generic(_ context.Context, e event.GenericEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(e.Object)}, settleTime)
}
