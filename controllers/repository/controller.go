// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package repository keeps the publisher of each Repository at work: reach the bucket, get the signing keys, open the publisher,
// check whom the Repository trusts, and describe in status what devices can see.
package repository

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/actor"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/notify"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/serve"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/trust"
)

const (
	// Finalizer keeps a Repository until nothing refers to it.
	Finalizer = otav1alpha1.Group + "/repository"

	fieldOwner = client.FieldOwner("windlass-repository")
	// writeTimeout bounds a status write that outlives the reconcile's own deadline.
	writeTimeout = 10 * time.Second
)

// Reconciler keeps Repositories at work.
type Reconciler struct {
	Client   client.Client // reads from the cache
	Live     client.Reader // reads Secrets and ConfigMaps, which are not cached
	Recorder events.EventRecorder
	Set      *publish.Set
	Logs     *audit.Set
	Trust    actor.Asker        // how far names of people can be relied on
	Notifier *notify.Dispatcher // when nil, nobody is notified
	Now      func() time.Time
	Options  Options

	memory  memory
	library *trust.Library
	outbox  audit.Outbox
}

// scope is what one reconcile knows. Nothing outlives the call.
type scope struct {
	old  *otav1alpha1.Repository
	repo *otav1alpha1.Repository // working copy: only its status changes

	config    store.Config
	identity  identity // of all that the publisher is made from
	bucket    *store.Bucket
	signing   signing
	publisher *publish.Publisher
}

// Reconcile runs the phases in order and writes the status once.
func (r *Reconciler) Reconcile(ctx context.Context, obj *otav1alpha1.Repository) (ctrl.Result, error) {
	s := &scope{old: obj, repo: obj.DeepCopy()}
	if !obj.DeletionTimestamp.IsZero() {
		return kit.Settle(r.finalize(ctx, s))
	}
	if err := r.ensureFinalizer(ctx, s); err != nil {
		return kit.Settle(ctrl.Result{}, err)
	}
	if command.Read(obj.Annotations, obj.Status.LastCommand) != nil { // recorded before anything rests on it: the record wakes the Repository again
		s.repo.Status = *serve.ObeyRepository(obj, r.Now(), r.Trust.Ask(ctx))
		return kit.Settle(ctrl.Result{}, r.writeStatus(ctx, s))
	}
	res, err := kit.Run(ctx, s, r.storage, r.roots, r.keys, r.open, r.trust, r.retention, r.signed)
	st := &s.repo.Status
	r.describe(s)
	after := r.notifications(s)
	if err == nil {
		s.ready()
	}
	res, err = kit.Finish(obj.Generation, &st.Conditions, &st.ObservedGeneration, res, err)
	res.RequeueAfter = kit.Soonest(res.RequeueAfter, after)
	if werr := r.writeStatus(ctx, s); werr != nil {
		// An outcome that was not recorded is tried again: it must not look terminal.
		return kit.Settle(ctrl.Result{}, fmt.Errorf("write status (outcome: %v): %w", err, werr))
	}
	r.serve(s)
	return res, err
}

// ensureFinalizer persists the finalizer before any side effect and goes on in the same pass: the patch does not change the
// generation, so its update event is filtered out.
func (r *Reconciler) ensureFinalizer(ctx context.Context, s *scope) error {
	base := s.repo.DeepCopy()
	if !controllerutil.AddFinalizer(s.repo, Finalizer) {
		return nil
	}
	status := s.repo.Status
	err := r.Client.Patch(ctx, s.repo, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	s.repo.Status = status
	return err
}
