// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/util/workqueue"
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
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/trust"
)

// +kubebuilder:rbac:groups=ota.windlass.dev,resources=repositories,verbs=get;list;watch;patch;update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=repositories/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=repositories/finalizers,verbs=update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=bundles;channels,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;create
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Options of the controller. Zero values mean the defaults.
type Options struct {
	Recheck    time.Duration // of the bucket, Secrets and ConfigMaps; 1 minute
	ProbeEvery time.Duration // of what the object store can be trusted with; 6 hours
	Collect    time.Duration // between collections of what nothing refers to; 6 hours
	Egress     egress.Policy // where connections to object stores may go
}

func (o Options) withDefaults() Options {
	o.Recheck = cmp.Or(o.Recheck, time.Minute)
	o.ProbeEvery = cmp.Or(o.ProbeEvery, 6*time.Hour)
	o.Collect = cmp.Or(o.Collect, 6*time.Hour)
	return o
}

// Delays after errors.
const (
	backoffMin = 500 * time.Millisecond
	backoffMax = time.Minute
)

// SetupWithManager registers the controller and its watches. News of publishers arrive through news.
func (r *Reconciler) SetupWithManager(_ context.Context, mgr ctrl.Manager, news <-chan event.GenericEvent, opts controller.Options) error {
	if r.Client == nil || r.Live == nil || r.Recorder == nil || r.Set == nil || r.Logs == nil || r.Now == nil {
		return errors.New("repository: Client, Live, Recorder, Set, Logs and Now must be set")
	}
	r.Options, r.outbox = r.Options.withDefaults(), audit.Outbox{Logs: r.Logs}
	r.library = trust.NewLibrary(r.Live, r.Now)
	if opts.RateLimiter == nil {
		opts.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](backoffMin, backoffMax)
	}
	collect := &collector{client: r.Client, set: r.Set, every: r.Options.Collect, log: mgr.GetLogger().WithName("repository-collector")}
	if err := mgr.Add(collect); err != nil {
		return fmt.Errorf("add the collector: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("repository").
		For(&otav1alpha1.Repository{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, kit.Commanded))).
		Watches(&otav1alpha1.Channel{}, handler.EnqueueRequestsFromMapFunc(ofUser), builder.WithPredicates(goes)).
		Watches(&otav1alpha1.Bundle{}, handler.EnqueueRequestsFromMapFunc(ofUser), builder.WithPredicates(goes)).
		WatchesRawSource(source.Channel(news, &settle{})).
		WithOptions(opts).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// ofUser gives the Repository that a Channel or Bundle refers to.
func ofUser(_ context.Context, o client.Object) []reconcile.Request {
	var ref *otav1alpha1.LocalReference
	switch o := o.(type) {
	case *otav1alpha1.Channel:
		ref = o.Spec.RepositoryRef
	case *otav1alpha1.Bundle:
		ref = o.Spec.RepositoryRef
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: index.RepositoryName(ref)}}}
}

// goes lets through what may free a Repository that is being deleted.
var goes = predicate.Funcs{
	CreateFunc: func(event.CreateEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetDeletionTimestamp().IsZero() && !e.ObjectNew.GetDeletionTimestamp().IsZero()
	},
	GenericFunc: func(event.GenericEvent) bool { return false },
}
