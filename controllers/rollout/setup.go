// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/index"
)

// +kubebuilder:rbac:groups=ota.windlass.dev,resources=rollouts,verbs=get;list;watch;patch;update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=rollouts/finalizers,verbs=update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=rollouts/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=channels;bundles;repositories,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the controller, its indexes and its watches.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Recorder == nil || r.Measurer == nil || r.Now == nil {
		return errors.New("rollout: Client, Recorder, Measurer and Now must be set")
	}
	for name, extract := range map[string]client.IndexerFunc{
		index.RolloutChannel: index.RolloutByChannel, index.RolloutBundles: index.RolloutByBundles,
		index.RolloutPlace: index.RolloutByPlace,
	} {
		if err := mgr.GetFieldIndexer().IndexField(ctx, &otav1alpha1.Rollout{}, name, extract); err != nil {
			return fmt.Errorf("index Rollouts by %s: %w", name, err)
		}
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &otav1alpha1.Channel{}, index.ChannelRepository, index.ChannelByRepository); err != nil {
		return fmt.Errorf("index Channels by %s: %w", index.ChannelRepository, err)
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("rollout").
		For(&otav1alpha1.Rollout{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Watches(&otav1alpha1.Channel{}, handler.EnqueueRequestsFromMapFunc(r.by(index.RolloutChannel))).
		Watches(&otav1alpha1.Bundle{}, handler.EnqueueRequestsFromMapFunc(r.by(index.RolloutBundles))).
		Watches(&otav1alpha1.Rollout{}, handler.EnqueueRequestsFromMapFunc(r.siblings)).
		Watches(&otav1alpha1.Rollout{}, handler.EnqueueRequestsFromMapFunc(r.queued), builder.WithPredicates(moved)).
		Watches(&otav1alpha1.Repository{}, handler.EnqueueRequestsFromMapFunc(r.queued), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(opts)
	if r.Recorded != nil {
		b = b.WatchesRawSource(source.Channel(r.Recorded, &handler.EnqueueRequestForObject{}))
	}
	return b.Complete(r)
}

// by wakes the Rollouts that refer to an object by name.
func (r *Reconciler) by(field string) handler.MapFunc {
	return func(ctx context.Context, o client.Object) []reconcile.Request {
		return r.find(ctx, o.GetNamespace(), field, o.GetName(), "")
	}
}

// siblings wakes the other Rollouts of the same Channel: one of them may be waiting.
func (r *Reconciler) siblings(ctx context.Context, o client.Object) []reconcile.Request {
	return r.find(ctx, o.GetNamespace(), index.RolloutChannel, o.(*otav1alpha1.Rollout).Spec.ChannelRef.Name, o.GetName())
}

// queued wakes the Rollouts that wait in a line: one more may start.
func (r *Reconciler) queued(ctx context.Context, o client.Object) []reconcile.Request {
	return r.find(ctx, o.GetNamespace(), index.RolloutPlace, index.Queued, "")
}

// moved lets through a Rollout that came to another place in the line of its Repository, or left it.
var moved = predicate.Funcs{
	CreateFunc: func(ctrlevent.CreateEvent) bool { return false },
	UpdateFunc: func(e ctrlevent.UpdateEvent) bool {
		return !slices.Equal(index.RolloutByPlace(e.ObjectOld), index.RolloutByPlace(e.ObjectNew)) || !e.ObjectNew.GetDeletionTimestamp().IsZero()
	},
}

func (r *Reconciler) find(ctx context.Context, namespace, field, value, except string) []reconcile.Request {
	var list otav1alpha1.RolloutList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{field: value}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Finding Rollouts to wake", "field", field)
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if list.Items[i].Name != except {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}
