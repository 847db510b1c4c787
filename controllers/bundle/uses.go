// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/index"
)

// maxUses is the bound of status.usedBy.
const maxUses = 64

// findUses tells in status which channels use the Bundle.
func (r *Reconciler) findUses(ctx context.Context, s *scope) (time.Duration, error) {
	serving, err := r.channels(ctx, s, index.ChannelServes, s.bundle.Name)
	if err != nil {
		return 0, err
	}
	floors, err := r.channels(ctx, s, index.ChannelFloor, index.BundleByVersion(s.bundle)[0])
	if err != nil {
		return 0, err
	}
	s.bundle.Status.UsedBy = uses(s.bundle.Name, serving, floors)
	return 0, nil
}

func (r *Reconciler) channels(ctx context.Context, s *scope, field, value string) ([]otav1alpha1.Channel, error) {
	var list otav1alpha1.ChannelList
	if err := r.Client.List(ctx, &list, client.InNamespace(s.bundle.Namespace), client.MatchingFields{field: value}); err != nil {
		return nil, fmt.Errorf("find the Channels that use the Bundle: %w", err)
	}
	return list.Items, nil
}

// uses lists each channel once, for what matters most.
func uses(bundle string, serving, floors []otav1alpha1.Channel) []otav1alpha1.BundleUse {
	var out []otav1alpha1.BundleUse
	for _, c := range serving {
		role := otav1alpha1.RoleCandidate
		if c.Status.Stable != nil && c.Status.Stable.Bundle == bundle {
			role = otav1alpha1.RoleStable
		}
		out = append(out, otav1alpha1.BundleUse{Channel: c.Name, As: role})
	}
	for _, c := range floors {
		if !slices.ContainsFunc(out, func(u otav1alpha1.BundleUse) bool { return u.Channel == c.Name }) {
			out = append(out, otav1alpha1.BundleUse{Channel: c.Name, As: otav1alpha1.RoleFloor})
		}
	}
	slices.SortFunc(out, func(a, b otav1alpha1.BundleUse) int { return strings.Compare(a.Channel, b.Channel) })
	return out[:min(len(out), maxUses)]
}
