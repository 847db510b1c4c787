// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package index names the fields by which objects are found in the cache, so that no reconcile lists everything.
package index

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const (
	// ChannelApp finds Channels by app.
	ChannelApp = "channel.spec.app"
	// ChannelRepository finds Channels by the Repository that publishes them.
	ChannelRepository = "channel.spec.repositoryRef.name"
	// BundleApp finds Bundles by app.
	BundleApp = "bundle.spec.app"
)

// ChannelByApp extracts ChannelApp.
func ChannelByApp(o client.Object) []string {
	return []string{string(o.(*otav1alpha1.Channel).Spec.App)}
}

// BundleByApp extracts BundleApp.
func BundleByApp(o client.Object) []string {
	return []string{string(o.(*otav1alpha1.Bundle).Spec.App)}
}

// ChannelByRepository extracts ChannelRepository.
func ChannelByRepository(o client.Object) []string {
	return []string{RepositoryName(o.(*otav1alpha1.Channel).Spec.RepositoryRef)}
}
