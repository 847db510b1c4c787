// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/kit"
)

// checkVersion lets one digest have a version: that of the Bundle which is stored already, else of the oldest one.
func (r *Reconciler) checkVersion(ctx context.Context, s *scope) (time.Duration, error) {
	namesakes, err := r.namesakes(ctx, s.bundle)
	if err != nil {
		return 0, err
	}
	holder := s.bundle
	for i := range namesakes {
		if before(&namesakes[i], holder) {
			holder = &namesakes[i]
		}
	}
	if holder.Spec.Digest == s.bundle.Spec.Digest {
		return 0, nil
	}
	r.pool.Drop(keyOf(s.bundle))
	return 0, kit.Stall(otav1alpha1.VersionConflictReason,
		"version %s of %s belongs to Bundle %s with digest %s, not to %s: use another version, or delete that Bundle before anything was released",
		s.bundle.Spec.Version, s.bundle.Spec.App, holder.Name, holder.Spec.Digest, s.bundle.Spec.Digest)
}

// namesakes are the other Bundles with the same Repository, app and version.
func (r *Reconciler) namesakes(ctx context.Context, b *otav1alpha1.Bundle) ([]otav1alpha1.Bundle, error) {
	var list otav1alpha1.BundleList
	err := r.Client.List(ctx, &list, client.InNamespace(b.Namespace), client.MatchingFields{index.BundleVersion: index.BundleByVersion(b)[0]})
	if err != nil {
		return nil, fmt.Errorf("find Bundles of the same version: %w", err)
	}
	others := list.Items[:0]
	for i := range list.Items {
		if list.Items[i].Name != b.Name {
			others = append(others, list.Items[i])
		}
	}
	return others, nil
}

// before orders Bundles of one version: stored ones first, then by creation, then by name.
func before(a, b *otav1alpha1.Bundle) bool {
	if stored := a.Status.Artifact != nil; stored != (b.Status.Artifact != nil) {
		return stored
	}
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return strings.Compare(a.Name, b.Name) < 0
}
