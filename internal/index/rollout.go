// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
)

const (
	// RolloutChannel finds Rollouts by the Channel that they release on.
	RolloutChannel = "spec.channelRef.name"
	// RolloutBundles finds Rollouts by the Bundles that they ask for, or carry out a release of.
	RolloutBundles = "rollout.bundles"
	// RolloutPlace finds Rollouts that are UnderWay or Queued.
	RolloutPlace = "rollout.place"
)

// Places of a Rollout in the line of its Repository. Most Rollouts are in none: nothing is released.
const (
	UnderWay = "under way"
	Queued   = "queued"
)

// RolloutByChannel extracts RolloutChannel.
func RolloutByChannel(o client.Object) []string {
	return []string{o.(*otav1alpha1.Rollout).Spec.ChannelRef.Name}
}

// RolloutByBundles extracts RolloutBundles.
func RolloutByBundles(o client.Object) []string {
	r := o.(*otav1alpha1.Rollout)
	names := []string{r.Spec.BundleRef.Name}
	if rel := r.Status.Release; rel != nil && rel.Bundle != r.Spec.BundleRef.Name {
		names = append(names, rel.Bundle)
	}
	return names
}

// RolloutByPlace extracts RolloutPlace.
func RolloutByPlace(o client.Object) []string {
	st := &o.(*otav1alpha1.Rollout).Status
	switch {
	case st.Release != nil && (plan.Release{State: st.Release.State}).Active():
		return []string{UnderWay}
	case st.Queue != nil:
		return []string{Queued}
	}
	return nil
}
