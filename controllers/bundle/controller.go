// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bundle takes updates in: fetch, verify, inspect, store. Transfers run in a pool beside the reconciles, which only
// start them and take note of how they ended.
package bundle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	otav1alpha1ac "github.com/windlass-dev/windlass/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/trust"
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

const (
	// Finalizer keeps a Bundle until nothing serves it.
	Finalizer = otav1alpha1.Group + "/bundle"

	fieldOwner = client.FieldOwner("windlass-bundle")
	// writeTimeout bounds a status write that outlives the reconcile's own deadline.
	writeTimeout = 10 * time.Second
	// staleDelay is when to look again for the cache to have our own last write.
	staleDelay = 100 * time.Millisecond
)

// Repositories tells what the publishers of Repositories know.
type Repositories interface {
	// Bucket of a Repository. It is false as long as the Repository cannot publish.
	Bucket(repository types.NamespacedName) (bucket ingest.Bucket, ok bool)
	// References tells whether metadata that devices can see refers to a digest. Known is false as long as the Repository
	// cannot tell.
	References(repository types.NamespacedName, digest string) (refers, known bool)
}

// Reconciler takes Bundles in.
type Reconciler struct {
	Client       client.Client // reads from the cache
	Live         client.Reader // reads Secrets and ConfigMaps, which are not cached
	Recorder     events.EventRecorder
	Repositories Repositories
	Options      Options
	Now          func() time.Time
	Outbox       audit.Outbox
	Recorded     <-chan event.GenericEvent // Bundles whose records the log has; when nil, nobody tells

	worker  *ingest.Worker
	pool    *ingest.Pool[transferKey]
	library *trust.Library
	notes   notebook
}

// transferKey names a transfer.
type transferKey struct {
	uid    types.UID
	digest string
	object types.NamespacedName
}

// scope is what one reconcile knows. Nothing outlives the call.
type scope struct {
	old        *otav1alpha1.Bundle
	bundle     *otav1alpha1.Bundle // working copy: only its status changes
	note       *note
	repository *otav1alpha1.Repository
	bucket     ingest.Bucket
	trust      trusted
	envelope   *envelope.Envelope // of an encrypted artifact; nil: it is readable
	keys       appKeys

	held        []otav1alpha1.Verification // that count today
	doubts      []string                   // why others have to be verified again,
	attestation []string                   // and what is attested
	losses      []string                   // why claims were dropped in this pass

	keep    bool          // the conditions stay as they are in spite of the error
	after   time.Duration // when to come back in spite of the error; zero: as its class says
	gone    bool          // the finalizer was removed
	settled bool          // a transfer ended, and this pass takes note of it
	commits []func()      // done once the status is written
}

// Reconcile runs the phases in order and writes the status once.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	obj := &otav1alpha1.Bundle{}
	if err := r.Client.Get(ctx, req.NamespacedName, obj); err != nil {
		if apierrors.IsNotFound(err) {
			r.pool.Drop(r.notes.forget(req.NamespacedName))
		}
		return kit.Settle(ctrl.Result{}, err)
	}
	note := r.notes.of(obj)
	if note.basis == obj.ResourceVersion { // the cache has not seen our last write yet
		return ctrl.Result{RequeueAfter: staleDelay}, nil
	}
	if err := r.ensureFinalizer(ctx, obj); err != nil {
		return kit.Settle(ctrl.Result{}, err)
	}
	s := &scope{old: obj, bundle: obj.DeepCopy(), note: note}
	res, err := kit.Run(ctx, s, r.phases(obj)...)
	if s.gone || apierrors.IsConflict(err) {
		return kit.Settle(ctrl.Result{}, err)
	}
	res, err = s.finish(res, err)
	if werr := r.writeStatus(ctx, s); werr != nil {
		// An outcome that was not recorded must be tried again: never wrap a terminal error here.
		return kit.Settle(ctrl.Result{}, fmt.Errorf("write status (outcome: %v): %w", err, werr))
	}
	return res, err
}

func (r *Reconciler) phases(obj *otav1alpha1.Bundle) []kit.Phase[*scope] {
	if !obj.DeletionTimestamp.IsZero() {
		return []kit.Phase[*scope]{r.findUses, r.release}
	}
	return []kit.Phase[*scope]{
		r.findUses, r.examine, r.findRepository, r.findAuthorities, r.findKeys, r.checkClaims,
		r.settle, r.conclude, r.checkVersion, r.checkPresence, r.ingest, r.summarize,
	}
}

// ensureFinalizer persists the finalizer before anything is stored, and goes on in the same pass: the patch does not change
// the generation, so that its own event is filtered out.
func (r *Reconciler) ensureFinalizer(ctx context.Context, obj *otav1alpha1.Bundle) error {
	base := obj.DeepCopy()
	if !obj.DeletionTimestamp.IsZero() || !controllerutil.AddFinalizer(obj, Finalizer) {
		return nil
	}
	return r.Client.Patch(ctx, obj, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
}

// finish maps the outcome to conditions, unless they shall stay.
func (s *scope) finish(res ctrl.Result, err error) (ctrl.Result, error) {
	if err != nil && s.keep {
		return ctrl.Result{RequeueAfter: s.after}, nil
	}
	if _, typed := errors.AsType[*kit.Error](err); err != nil && !typed && s.wasReady() {
		return ctrl.Result{}, err // the API server failed: that says nothing of the Bundle
	}
	st := &s.bundle.Status
	res, err = kit.Finish(s.bundle.Generation, &st.Conditions, &st.ObservedGeneration, res, err)
	if err != nil && s.after > 0 {
		return ctrl.Result{RequeueAfter: s.after}, nil
	}
	return res, err
}

// writeStatus persists a changed status, with the resourceVersion that it was made from: what a stale cache led to cannot
// land. Events and memory follow only when it did.
func (r *Reconciler) writeStatus(ctx context.Context, s *scope) error {
	s.bundle.Status.SignedBy = strings.Join(s.signers(), ", ")
	about, told := subject(s.old), transitions(s)
	s.bundle.Status.Unrecorded = r.Outbox.Next(about, s.old.Status.Unrecorded, told, r.Now())
	if !apiequality.Semantic.DeepEqual(s.old.Status, s.bundle.Status) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		status, err := kit.ApplyStatus(s.bundle.Status, otav1alpha1ac.BundleStatus())
		if err != nil {
			return err
		}
		ac := otav1alpha1ac.Bundle(s.old.Name, s.old.Namespace).
			WithUID(s.old.UID).WithResourceVersion(s.old.ResourceVersion).WithStatus(status)
		if err := r.Client.Status().Apply(ctx, ac, fieldOwner, client.ForceOwnership); err != nil {
			return err
		}
		s.note.basis = ""
		if ac.ResourceVersion != nil && *ac.ResourceVersion != s.old.ResourceVersion {
			s.note.basis = s.old.ResourceVersion
		}
	}
	for _, commit := range s.commits {
		commit()
	}
	if len(s.losses) > 0 {
		trustLostTotal.Inc()
	}
	kit.Tell(r.Recorder, s.old, told)
	r.Outbox.Submit(about, s.bundle.Status.Unrecorded)
	return nil
}

// subject is what the audit log calls a Bundle.
func subject(b *otav1alpha1.Bundle) audit.Subject {
	return audit.Subject{Kind: "Bundle", Object: b, App: string(b.Spec.App), Repository: repositoryKey(b)}
}

func keyOf(b *otav1alpha1.Bundle) transferKey {
	return transferKey{uid: b.UID, digest: string(b.Spec.Digest), object: client.ObjectKeyFromObject(b)}
}
