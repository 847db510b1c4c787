// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the resources of Windlass: Repository, Bundle, Channel and Rollout.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package="applyconfiguration"
// +groupName=ota.windlass.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of all resources of Windlass.
const Group = "ota.windlass.dev"

var (
	// SchemeGroupVersion is the group and version of this package.
	SchemeGroupVersion = schema.GroupVersion{Group: Group, Version: "v1alpha1"}

	// GroupVersion is SchemeGroupVersion under the name that controller-runtime users look for.
	GroupVersion = SchemeGroupVersion

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds the types of this package to a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&Repository{}, &RepositoryList{},
		&Bundle{}, &BundleList{},
		&Channel{}, &ChannelList{},
		&Rollout{}, &RolloutList{},
	)
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}
