// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"
	"errors"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/serve"
)

// +kubebuilder:rbac:groups=ota.windlass.dev,resources=channels,verbs=get;list;watch;patch;update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=channels/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=channels/finalizers,verbs=update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=repositories;bundles;rollouts,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the controller, its indexes and its watches. Commits of publishers arrive through commits.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, commits <-chan event.GenericEvent, opts controller.Options) error {
	if r.Client == nil || r.Recorder == nil || r.Publishers == nil || r.Wall == nil || r.Steady == nil {
		return errors.New("channel: Client, Recorder, Publishers, Wall and Steady must be set")
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &otav1alpha1.Channel{}, index.ChannelApp, index.ChannelByApp); err != nil {
		return fmt.Errorf("index Channels by app: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &otav1alpha1.Bundle{}, index.BundleApp, index.BundleByApp); err != nil {
		return fmt.Errorf("index Bundles by app: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("channel").
		For(&otav1alpha1.Channel{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, kit.Commanded))).
		Watches(&otav1alpha1.Rollout{}, handler.EnqueueRequestsFromMapFunc(ofRollout)).
		Watches(&otav1alpha1.Bundle{}, handler.EnqueueRequestsFromMapFunc(r.ofBundle)).
		Watches(&otav1alpha1.Repository{}, handler.EnqueueRequestsFromMapFunc(r.ofRepository), builder.WithPredicates(predicate.Or(kit.RepositoryChanged, heeded))).
		WatchesRawSource(source.Channel(commits, &handler.EnqueueRequestForObject{})).
		WithOptions(opts).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// heeded lets through a Repository whose published root of trust has other floors, and one that a person halts or lets go on.
var heeded = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	old, now := e.ObjectOld.(*otav1alpha1.Repository), e.ObjectNew.(*otav1alpha1.Repository)
	return !apiequality.Semantic.DeepEqual(old.Status.Floors, now.Status.Floors) || !apiequality.Semantic.DeepEqual(old.Status.Halt, now.Status.Halt)
}}

func ofRollout(_ context.Context, o client.Object) []reconcile.Request {
	name := o.(*otav1alpha1.Rollout).Spec.ChannelRef.Name
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: name}}}
}

// ofBundle wakes the channels of the Bundle's app: it may be a candidate, stable, a floor, or revoked.
func (r *Reconciler) ofBundle(ctx context.Context, o client.Object) []reconcile.Request {
	return r.find(ctx, o.GetNamespace(), func(*otav1alpha1.Channel) bool { return true },
		client.MatchingFields{index.ChannelApp: string(o.(*otav1alpha1.Bundle).Spec.App)})
}

func (r *Reconciler) ofRepository(ctx context.Context, o client.Object) []reconcile.Request {
	return r.find(ctx, o.GetNamespace(), func(c *otav1alpha1.Channel) bool {
		return serve.RepositoryName(c.Spec.RepositoryRef) == o.GetName()
	})
}

func (r *Reconciler) find(ctx context.Context, namespace string, keep func(*otav1alpha1.Channel) bool, opts ...client.ListOption) []reconcile.Request {
	var list otav1alpha1.ChannelList
	if err := r.Client.List(ctx, &list, append(opts, client.InNamespace(namespace))...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Finding Channels to wake")
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if keep(&list.Items[i]) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}
