// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const (
	// BundleRepository finds Bundles by the Repository that keeps them.
	BundleRepository = "spec.repositoryRef.name"
	// BundleVersion finds Bundles by Repository, app and version, see VersionKey.
	BundleVersion = "bundle.version"
	// BundleDigest finds Bundles by Repository, app and digest.
	BundleDigest = "bundle.digest"
	// ChannelServes finds Channels by the Bundles that they serve or offer.
	ChannelServes = "channel.serves"
	// ChannelServesDigest finds Channels by the digests that they serve or offer.
	ChannelServesDigest = "channel.servesDigest"
	// ChannelFloor finds Channels by the version that old devices have to pass through, see VersionKey.
	ChannelFloor = "channel.floor"
)

// RepositoryName resolves a reference to a Repository.
func RepositoryName(ref *otav1alpha1.LocalReference) string {
	if ref == nil {
		return otav1alpha1.DefaultRepository
	}
	return ref.Name
}

// VersionKey is the identity of a version: none of its parts can hold a slash.
func VersionKey(ref *otav1alpha1.LocalReference, app otav1alpha1.AppID, version otav1alpha1.Version) string {
	return RepositoryName(ref) + "/" + string(app) + "/" + string(version)
}

// BundleByRepository extracts BundleRepository.
func BundleByRepository(o client.Object) []string {
	return []string{RepositoryName(o.(*otav1alpha1.Bundle).Spec.RepositoryRef)}
}

// BundleByVersion extracts BundleVersion.
func BundleByVersion(o client.Object) []string {
	spec := o.(*otav1alpha1.Bundle).Spec
	return []string{VersionKey(spec.RepositoryRef, spec.App, spec.Version)}
}

// BundleByDigest extracts BundleDigest.
func BundleByDigest(o client.Object) []string {
	spec := o.(*otav1alpha1.Bundle).Spec
	return []string{RepositoryName(spec.RepositoryRef) + "/" + string(spec.App) + "/" + string(spec.Digest)}
}

// ChannelByServed extracts ChannelServes.
func ChannelByServed(o client.Object) []string {
	var names []string
	if st := o.(*otav1alpha1.Channel).Status; st.Stable != nil {
		names = append(names, st.Stable.Bundle)
	}
	if st := o.(*otav1alpha1.Channel).Status; st.Candidate != nil {
		names = append(names, st.Candidate.Bundle)
	}
	return names
}

// ChannelByDigest extracts ChannelServesDigest.
func ChannelByDigest(o client.Object) []string {
	var digests []string
	if st := o.(*otav1alpha1.Channel).Status; st.Stable != nil {
		digests = append(digests, string(st.Stable.Digest))
	}
	if st := o.(*otav1alpha1.Channel).Status; st.Candidate != nil {
		digests = append(digests, string(st.Candidate.Digest))
	}
	return digests
}

// ChannelByFloor extracts ChannelFloor.
func ChannelByFloor(o client.Object) []string {
	spec := o.(*otav1alpha1.Channel).Spec
	if spec.Guards == nil || spec.Guards.Floor == "" {
		return nil
	}
	return []string{VersionKey(spec.RepositoryRef, spec.App, spec.Guards.Floor)}
}
