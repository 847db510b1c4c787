// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

const finalizer = otav1alpha1.Group + "/rollout"

// finalize adds the finalizer, or removes it from a Rollout that is being deleted: at once, because the Channel withdraws what
// belongs to nobody, unless a refusal is not committed yet. That one must not get lost. It tells whether the reconcile is done.
func (r *Reconciler) finalize(ctx context.Context, obj *otav1alpha1.Rollout) (done bool, err error) {
	base := obj.DeepCopy()
	lock := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if obj.DeletionTimestamp.IsZero() {
		if !controllerutil.AddFinalizer(obj, finalizer) {
			return false, nil
		}
		return false, r.Client.Patch(ctx, obj, lock)
	}
	if rel := obj.Status.Release; rel != nil && rel.State == otav1alpha1.ReleaseRollingBack {
		ch, err := kit.Find(ctx, r.Client, client.ObjectKey{Namespace: obj.Namespace, Name: obj.Spec.ChannelRef.Name}, &otav1alpha1.Channel{})
		if err != nil {
			return false, err
		}
		if ch != nil && ch.DeletionTimestamp.IsZero() {
			return false, nil // the Channel still has to take note
		}
	}
	if !controllerutil.RemoveFinalizer(obj, finalizer) {
		return true, nil
	}
	return true, r.Client.Patch(ctx, obj, lock)
}
