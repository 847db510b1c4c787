// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

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
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
	fetch "github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/trust"
)

// +kubebuilder:rbac:groups=ota.windlass.dev,resources=bundles,verbs=get;list;watch;patch;update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=bundles/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=bundles/finalizers,verbs=update
// +kubebuilder:rbac:groups=ota.windlass.dev,resources=repositories;channels,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets;configmaps,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Options of the controller. Zero values mean the defaults.
type Options struct {
	Transfers  int           // at a time from sources, and as many from the bucket; 2
	Recheck    time.Duration // of stored artifacts, and of keys in ConfigMaps; 10 minutes
	RetryMin   time.Duration // first delay after a transfer failed; 1 s
	RetryMax   time.Duration // longest delay; 5 minutes
	ScratchDir string        // for artifacts that are not verified yet; required
	Source     fetch.Options // limits of transfers
}

func (o Options) withDefaults() Options {
	o.Transfers = cmp.Or(o.Transfers, 2)
	o.Recheck = cmp.Or(o.Recheck, 10*time.Minute)
	o.RetryMin = cmp.Or(o.RetryMin, time.Second)
	o.RetryMax = cmp.Or(o.RetryMax, 5*time.Minute)
	return o
}

// Delays after errors of reconciles; transfers have their own.
const (
	backoffMin = 500 * time.Millisecond
	backoffMax = 5 * time.Minute
)

// wakeBuffer is how many ended transfers may wait for their wake-up call to be taken.
const wakeBuffer = 1024

// SetupWithManager registers the controller, its indexes, its watches and its transfers.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Live == nil || r.Recorder == nil || r.Repositories == nil || r.Now == nil {
		return errors.New("bundle: Client, Live, Recorder, Repositories and Now must be set")
	}
	r.Options = r.Options.withDefaults()
	if opts.RateLimiter == nil {
		opts.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](backoffMin, backoffMax)
	}
	wake := make(chan event.GenericEvent, wakeBuffer)
	if err := r.prepare(ctx, wake); err != nil {
		return err
	}
	if err := mgr.Add(r.pool); err != nil {
		return fmt.Errorf("add the transfers: %w", err)
	}
	if err := addIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("bundle").
		For(&otav1alpha1.Bundle{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&otav1alpha1.Bundle{}, handler.EnqueueRequestsFromMapFunc(r.wakeNamesakes), builder.WithPredicates(comesOrGoes)).
		Watches(&otav1alpha1.Repository{}, handler.EnqueueRequestsFromMapFunc(r.wakeOfRepository), builder.WithPredicates(kit.RepositoryChanged)).
		Watches(&otav1alpha1.Channel{}, handler.EnqueueRequestsFromMapFunc(r.wakeOfChannel)).
		WatchesRawSource(source.Channel(wake, &handler.EnqueueRequestForObject{})).
		WithOptions(opts)
	if r.Recorded != nil {
		b = b.WatchesRawSource(source.Channel(r.Recorded, &handler.EnqueueRequestForObject{}))
	}
	return b.Complete(r)
}

// prepare makes the scratch folder and the pool of transfers.
func (r *Reconciler) prepare(ctx context.Context, wake chan<- event.GenericEvent) error {
	scratch, err := ingest.NewScratch(r.Options.ScratchDir)
	if err != nil {
		return err
	}
	r.library = trust.NewLibrary(r.Live, r.Now)
	r.worker = &ingest.Worker{
		Client: fetch.New(r.Options.Source), Scratch: scratch, Now: r.Now, Observe: observe,
		MaxSize: r.Options.Source.MaxSize, Idle: r.Options.Source.Idle,
	}
	r.pool = ingest.NewPool(ctx, r.Options.Transfers, func(key transferKey) {
		b := &otav1alpha1.Bundle{}
		b.Namespace, b.Name = key.object.Namespace, key.object.Name
		select {
		case wake <- event.GenericEvent{Object: b}:
		case <-ctx.Done():
		}
	})
	return nil
}

func addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, i := range []struct {
		obj     client.Object
		field   string
		extract client.IndexerFunc
	}{
		{&otav1alpha1.Bundle{}, index.BundleRepository, index.BundleByRepository},
		{&otav1alpha1.Bundle{}, index.BundleVersion, index.BundleByVersion},
		{&otav1alpha1.Bundle{}, index.BundleDigest, index.BundleByDigest},
		{&otav1alpha1.Channel{}, index.ChannelServes, index.ChannelByServed},
		{&otav1alpha1.Channel{}, index.ChannelServesDigest, index.ChannelByDigest},
		{&otav1alpha1.Channel{}, index.ChannelFloor, index.ChannelByFloor},
	} {
		if err := indexer.IndexField(ctx, i.obj, i.field, i.extract); err != nil {
			return fmt.Errorf("index %T by %s: %w", i.obj, i.field, err)
		}
	}
	return nil
}

// comesOrGoes lets through what may free or take a version or digest.
var comesOrGoes = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return true },
	DeleteFunc:  func(event.DeleteEvent) bool { return true },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		old, now := e.ObjectOld.(*otav1alpha1.Bundle), e.ObjectNew.(*otav1alpha1.Bundle)
		return (old.Status.Artifact == nil) != (now.Status.Artifact == nil)
	},
}

// wakeNamesakes wakes the other Bundles of the same version or digest.
func (r *Reconciler) wakeNamesakes(ctx context.Context, o client.Object) []reconcile.Request {
	others, err := r.namesakes(ctx, o.(*otav1alpha1.Bundle))
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Finding Bundles to wake")
		return nil
	}
	return requests(others)
}

// wakeOfRepository wakes the Bundles of a Repository: its authorities may be others now, or it can publish at last.
func (r *Reconciler) wakeOfRepository(ctx context.Context, o client.Object) []reconcile.Request {
	var list otav1alpha1.BundleList
	if err := r.Client.List(ctx, &list, client.InNamespace(o.GetNamespace()), client.MatchingFields{index.BundleRepository: o.GetName()}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Finding Bundles to wake")
		return nil
	}
	return requests(list.Items)
}

// wakeOfChannel wakes the Bundles that a Channel serves. It is called for the old and for the new state of the Channel.
func (r *Reconciler) wakeOfChannel(ctx context.Context, o client.Object) []reconcile.Request {
	var out []reconcile.Request
	for _, name := range index.ChannelByServed(o) {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: name}})
	}
	for _, version := range index.ChannelByFloor(o) {
		var list otav1alpha1.BundleList
		if err := r.Client.List(ctx, &list, client.InNamespace(o.GetNamespace()), client.MatchingFields{index.BundleVersion: version}); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Finding Bundles to wake")
			continue
		}
		out = append(out, requests(list.Items)...)
	}
	return out
}

func requests(bundles []otav1alpha1.Bundle) []reconcile.Request {
	var out []reconcile.Request
	for i := range bundles {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&bundles[i])})
	}
	return out
}
