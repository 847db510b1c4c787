// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ingest"
)

// unreachableWait is how long a ready Bundle waits before it asks an object store again that did not answer.
const unreachableWait = 30 * time.Second

// checkPresence asks the bucket now and then for what status claims to be there. What is lost is fetched again.
func (r *Reconciler) checkPresence(ctx context.Context, s *scope) (time.Duration, error) {
	claim := s.bundle.Status.Artifact
	if claim == nil {
		return 0, nil
	}
	if left := s.note.checkedAt.Add(r.Options.Recheck).Sub(r.Now()); left > 0 && s.note.checkedFor == s.trust.fingerprint {
		return left, nil
	}
	there, err := ingest.Present(ctx, s.bucket, claim.Path, string(claim.Digest), claim.Size)
	if err != nil {
		s.routine(unreachableWait)
		return 0, err
	}
	if !there {
		s.set(otav1alpha1.StoredCondition, metav1.ConditionFalse, otav1alpha1.ArtifactLostReason,
			"the bucket no longer has the artifact, or not with the size and digest that it was stored with")
		s.bundle.Status.Artifact = nil
		return 0, nil
	}
	s.note.checkedAt, s.note.checkedFor = r.Now(), s.trust.fingerprint
	return wait.Jitter(r.Options.Recheck, 0.1), nil
}
