// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/kit"
)

// deletionWait is how often a deletion looks again. Channels wake it, commits of metadata do not.
const deletionWait = 10 * time.Second

// release lets a deleted Bundle go once nothing serves it. Its bytes stay for the Repository's garbage collection.
func (r *Reconciler) release(ctx context.Context, s *scope) (time.Duration, error) {
	r.pool.Drop(keyOf(s.bundle))
	for _, check := range []func(context.Context, *scope) error{r.unusedByChannels, r.unusedByMetadata} {
		if err := check(ctx, s); err != nil {
			return 0, s.holdDeletion(err)
		}
	}
	gone := Events.New("Deleted", "the Bundle is deleted; what is in the bucket goes when nothing refers to it").
		About(s.bundle.Name, s.bundle.Spec.Version, s.bundle.Spec.Digest)
	switch drained, err := r.Outbox.Drained(ctx, r.Client, subject(s.old), s.old.Status.Unrecorded, gone); {
	case err != nil:
		return 0, err
	case !drained:
		s.keep, s.after = true, deletionWait // a moment: the log wakes it
		return 0, kit.Wait(otav1alpha1.RepositoryNotReadyReason, deletionWait, "deletion waits for the audit log")
	}
	base := s.bundle.DeepCopy()
	base.Status = s.old.Status
	if controllerutil.RemoveFinalizer(s.bundle, Finalizer) {
		if err := r.Client.Patch(ctx, s.bundle, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); client.IgnoreNotFound(err) != nil {
			return 0, fmt.Errorf("remove the finalizer: %w", err)
		}
	}
	r.notes.forget(client.ObjectKeyFromObject(s.bundle))
	s.gone = true
	return 0, nil
}

// holdDeletion says why the Bundle is still there. Whether it is ready stays as it was: it is served on.
func (s *scope) holdDeletion(err error) error {
	e := kit.Classify(err)
	if e.Class != kit.Waiting {
		return err
	}
	apimeta.RemoveStatusCondition(&s.bundle.Status.Conditions, otav1alpha1.StalledCondition)
	s.set(otav1alpha1.ReconcilingCondition, metav1.ConditionTrue, e.Reason, e.Error())
	if s.condition(otav1alpha1.ReadyCondition) == nil {
		s.set(otav1alpha1.ReadyCondition, metav1.ConditionUnknown, e.Reason, e.Error())
	}
	s.keep, s.after = true, deletionWait
	return err
}

// unusedByChannels waits for Channels that name the Bundle, or serve its digest while no other Bundle stands for it.
func (r *Reconciler) unusedByChannels(ctx context.Context, s *scope) error {
	using, err := r.channels(ctx, s, index.ChannelServes, s.bundle.Name)
	if err != nil {
		return err
	}
	twin, err := r.twin(ctx, s.bundle)
	if err != nil {
		return err
	}
	if !twin {
		same, err := r.channels(ctx, s, index.ChannelServesDigest, string(s.bundle.Spec.Digest))
		if err != nil {
			return err
		}
		using = append(using, same...)
	}
	var names []string
	for _, c := range using {
		names = append(names, c.Name)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return kit.Wait(otav1alpha1.InUseReason, deletionWait, "deletion waits until these channels no longer serve the Bundle: %s",
		strings.Join(slices.Compact(names), ", "))
}

// unusedByMetadata waits until no metadata that devices can see refers to the artifact, such as that of an earlier release.
func (r *Reconciler) unusedByMetadata(ctx context.Context, s *scope) error {
	if s.bundle.Status.Artifact == nil {
		return nil // nothing was stored that could be referred to
	}
	if twin, err := r.twin(ctx, s.bundle); twin || err != nil {
		return err
	}
	key := repositoryKey(s.bundle)
	if err := r.Client.Get(ctx, key, &otav1alpha1.Repository{}); err != nil {
		if apierrors.IsNotFound(err) {
			return nil // nobody publishes it any more
		}
		return fmt.Errorf("get Repository %s: %w", key.Name, err)
	}
	switch refers, known := r.Repositories.References(key, string(s.bundle.Spec.Digest)); {
	case !known:
		return kit.Wait(otav1alpha1.RepositoryNotReadyReason, deletionWait, "deletion waits until Repository %s can tell what its metadata refers to: see its conditions", key.Name)
	case refers:
		return kit.Wait(otav1alpha1.InUseReason, deletionWait, "deletion waits until the metadata of Repository %s no longer refers to the artifact", key.Name)
	}
	return nil
}

// twin tells whether another Bundle stands for the same version and digest, and keeps the artifact.
func (r *Reconciler) twin(ctx context.Context, b *otav1alpha1.Bundle) (bool, error) {
	others, err := r.namesakes(ctx, b)
	return slices.ContainsFunc(others, func(o otav1alpha1.Bundle) bool {
		return o.Spec.Digest == b.Spec.Digest && o.Spec.Version == b.Spec.Version && o.Status.Artifact != nil && o.DeletionTimestamp.IsZero()
	}), err
}
