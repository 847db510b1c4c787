// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/serve"
)

// finalize unpublishes the channel, and lets the object go once devices can no longer see it. A Repository that is being
// deleted, or gone, takes its channels along.
func (r *Reconciler) finalize(ctx context.Context, obj *otav1alpha1.Channel) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(obj, finalizer) {
		return ctrl.Result{}, nil
	}
	repo, err := kit.Find(ctx, r.Client, client.ObjectKey{Namespace: obj.Namespace, Name: serve.RepositoryName(obj.Spec.RepositoryRef)}, &otav1alpha1.Repository{})
	if err != nil {
		return ctrl.Result{}, err
	}
	if repo != nil && repo.DeletionTimestamp.IsZero() {
		publisher, ok := r.Publishers.For(client.ObjectKeyFromObject(repo))
		if !ok {
			return ctrl.Result{RequeueAfter: commitPatience}, nil
		}
		publisher.Remove(string(obj.Spec.App), obj.Name) // also of what is submitted and not committed yet
		if _, published := publisher.Committed(string(obj.Spec.App), obj.Name); published {
			return ctrl.Result{RequeueAfter: commitPatience}, nil // the commit wakes us sooner
		}
	}
	gone := Events.New("Deleted", "the Channel is deleted: no device is offered anything from it")
	if drained, err := r.Outbox.Drained(ctx, r.Client, subject(obj), obj.Status.Unrecorded, gone); err != nil || !drained {
		return ctrl.Result{RequeueAfter: commitPatience}, err
	}
	base := obj.DeepCopy()
	controllerutil.RemoveFinalizer(obj, finalizer)
	return ctrl.Result{}, r.Client.Patch(ctx, obj, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
}
