// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/kit"
)

const (
	// deletionWait is how often a deletion looks again; deleted users wake it sooner.
	deletionWait = 10 * time.Second
	// maxNamed bounds how many users a message names.
	maxNamed = 5
)

// finalize lets a Repository go once nothing refers to it. The bucket stays as it is: devices still verify against it.
func (r *Reconciler) finalize(ctx context.Context, s *scope) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(s.repo, Finalizer) {
		return ctrl.Result{}, nil
	}
	users, err := r.users(ctx, s)
	if err != nil {
		return ctrl.Result{}, err
	}
	if len(users) > 0 {
		// Until then it goes on publishing, also after a restart: a rollback must not wait for a deletion.
		_, problem := kit.Run(ctx, s, r.storage, r.roots, r.keys, r.open)
		r.describe(s)
		s.set(otav1alpha1.ReconcilingCondition, metav1.ConditionTrue, otav1alpha1.InUseReason,
			"deletion waits until nothing refers to the Repository any more: "+abridge(users))
		s.repo.Status.ObservedGeneration = s.repo.Generation
		if err := r.writeStatus(ctx, s); err != nil || problem != nil {
			return ctrl.Result{}, errors.Join(err, problem)
		}
		return ctrl.Result{RequeueAfter: deletionWait}, nil
	}
	r.Set.Close(s.key())
	r.Logs.Close(s.key())
	r.forsake(s.key())
	base := s.repo.DeepCopy()
	controllerutil.RemoveFinalizer(s.repo, Finalizer)
	if err := r.Client.Patch(ctx, s.repo, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
		return ctrl.Result{}, err
	}
	r.memory.forget(s.key())
	return ctrl.Result{}, nil
}

// users names the Channels and Bundles that refer to the Repository. A Bundle that is being deleted itself does not count:
// it waits until the Repository is gone or no longer publishes it.
func (r *Reconciler) users(ctx context.Context, s *scope) ([]string, error) {
	var channels otav1alpha1.ChannelList
	if err := r.Client.List(ctx, &channels, client.InNamespace(s.repo.Namespace)); err != nil {
		return nil, fmt.Errorf("list Channels: %w", err)
	}
	var names []string
	for i := range channels.Items {
		if c := &channels.Items[i]; index.RepositoryName(c.Spec.RepositoryRef) == s.repo.Name {
			names = append(names, "Channel "+c.Name)
		}
	}
	bundles, err := bundlesOf(ctx, r.Client, s.key())
	if err != nil {
		return nil, err
	}
	for _, b := range bundles {
		if b.DeletionTimestamp.IsZero() {
			names = append(names, "Bundle "+b.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// bundlesOf lists the Bundles of a Repository, for reading only.
func bundlesOf(ctx context.Context, c client.Reader, key client.ObjectKey) ([]*otav1alpha1.Bundle, error) {
	var list otav1alpha1.BundleList
	if err := c.List(ctx, &list, client.InNamespace(key.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list Bundles: %w", err)
	}
	var out []*otav1alpha1.Bundle
	for i := range list.Items {
		if b := &list.Items[i]; index.RepositoryName(b.Spec.RepositoryRef) == key.Name {
			out = append(out, b)
		}
	}
	return out, nil
}

func abridge(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return strings.Join(names[:maxNamed], ", ") + " and others"
	}
	return strings.Join(names, ", ")
}
