// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// OfApp lists the Bundles and Channels of an app in a namespace, by the indexes BundleApp and ChannelApp. They are shared with the
// cache: nothing of them may be changed.
func OfApp(ctx context.Context, c client.Reader, namespace string, app otav1alpha1.AppID) ([]otav1alpha1.Bundle, []otav1alpha1.Channel, error) {
	var bundles otav1alpha1.BundleList
	var channels otav1alpha1.ChannelList
	if err := c.List(ctx, &bundles, client.InNamespace(namespace), client.MatchingFields{BundleApp: string(app)}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("list Bundles of the app: %w", err)
	}
	if err := c.List(ctx, &channels, client.InNamespace(namespace), client.MatchingFields{ChannelApp: string(app)}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("list Channels of the app: %w", err)
	}
	return bundles.Items, channels.Items, nil
}
