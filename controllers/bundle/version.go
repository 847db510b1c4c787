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

// checkVersion lets one digest have a version, and one version a digest: those of the Bundle which is stored already, else of the
// oldest one. An artifact under a second version would be none of those that a floor or a refusal is about.
func (r *Reconciler) checkVersion(ctx context.Context, s *scope) (time.Duration, error) {
	namesakes, err := r.namesakes(ctx, s.bundle)
	if err != nil {
		return 0, err
	}
	spec := s.bundle.Spec
	holder := first(s.bundle, namesakes, func(o otav1alpha1.BundleSpec) bool { return o.Version == spec.Version })
	if holder.Spec.Digest == spec.Digest {
		holder = first(s.bundle, namesakes, func(o otav1alpha1.BundleSpec) bool { return o.Digest == spec.Digest })
	}
	if holder.Spec.Digest == spec.Digest && holder.Spec.Version == spec.Version {
		return 0, nil
	}
	r.pool.Drop(keyOf(s.bundle))
	if s.bundle.Status.Artifact != nil { // channels may serve it: who lost the trust is not kept in it by the conflict
		s.after = s.orphan(r.Now())
	}
	if holder.Spec.Digest == spec.Digest {
		return 0, kit.Stall(otav1alpha1.VersionConflictReason,
			"digest %s of %s belongs to Bundle %s with version %s, not to %s: an artifact has one version; build and sign another one for %[5]s",
			spec.Digest, spec.App, holder.Name, holder.Spec.Version, spec.Version)
	}
	return 0, kit.Stall(otav1alpha1.VersionConflictReason,
		"version %s of %s belongs to Bundle %s with digest %s, not to %s: use another version, or delete that Bundle before anything was released",
		spec.Version, spec.App, holder.Name, holder.Spec.Digest, spec.Digest)
}

// namesakes are the other Bundles with the same Repository and app, and the same version or digest.
func (r *Reconciler) namesakes(ctx context.Context, b *otav1alpha1.Bundle) ([]otav1alpha1.Bundle, error) {
	var others []otav1alpha1.Bundle
	for _, by := range []client.MatchingFields{{index.BundleVersion: index.BundleByVersion(b)[0]}, {index.BundleDigest: index.BundleByDigest(b)[0]}} {
		var list otav1alpha1.BundleList
		if err := r.Client.List(ctx, &list, client.InNamespace(b.Namespace), by); err != nil {
			return nil, fmt.Errorf("find Bundles of the same version or digest: %w", err)
		}
		for i := range list.Items {
			if list.Items[i].Name != b.Name {
				others = append(others, list.Items[i])
			}
		}
	}
	return others, nil
}

// first is the Bundle that comes before a Bundle and all namesakes of one kind.
func first(b *otav1alpha1.Bundle, namesakes []otav1alpha1.Bundle, kind func(otav1alpha1.BundleSpec) bool) *otav1alpha1.Bundle {
	for i := range namesakes {
		if kind(namesakes[i].Spec) && before(&namesakes[i], b) {
			b = &namesakes[i]
		}
	}
	return b
}

// before orders Bundles of one version or digest: stored ones first, then by creation, then by name.
func before(a, b *otav1alpha1.Bundle) bool {
	if stored := a.Status.Artifact != nil; stored != (b.Status.Artifact != nil) {
		return stored
	}
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return strings.Compare(a.Name, b.Name) < 0
}
