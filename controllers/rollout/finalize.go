// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

const (
	finalizer = otav1alpha1.Group + "/rollout"
	// drainWait is how soon to look again for the audit log; its wake-up call comes sooner.
	drainWait = 5 * time.Second
)

// finalize adds the finalizer, or removes it from a Rollout that is being deleted: at once, because the Channel withdraws what
// belongs to nobody, unless a refusal is not committed yet. That one must not get lost. It tells whether the reconcile is done.
func (r *Reconciler) finalize(ctx context.Context, obj *otav1alpha1.Rollout) (done bool, res ctrl.Result, err error) {
	base := obj.DeepCopy()
	lock := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if obj.DeletionTimestamp.IsZero() {
		if !controllerutil.AddFinalizer(obj, finalizer) {
			return false, res, nil
		}
		return false, res, r.Client.Patch(ctx, obj, lock)
	}
	if rel := obj.Status.Release; rel != nil && rel.State == otav1alpha1.ReleaseRollingBack {
		ch, err := kit.Find(ctx, r.Client, client.ObjectKey{Namespace: obj.Namespace, Name: obj.Spec.ChannelRef.Name}, &otav1alpha1.Channel{})
		if err != nil {
			return false, res, err
		}
		if ch != nil && ch.DeletionTimestamp.IsZero() {
			return false, res, nil // the Channel still has to take note
		}
	}
	if !controllerutil.ContainsFinalizer(obj, finalizer) {
		return true, res, nil
	}
	about, err := r.recordedAs(ctx, obj)
	if err != nil {
		return true, res, err
	}
	gone := Events.New("Deleted", "the Rollout is deleted; what it made stable stays")
	if drained, err := r.Outbox.Drained(ctx, r.Client, about, obj.Status.Unrecorded, gone); err != nil || !drained {
		return true, ctrl.Result{RequeueAfter: drainWait}, err
	}
	controllerutil.RemoveFinalizer(obj, finalizer)
	return true, res, r.Client.Patch(ctx, obj, lock)
}
