// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Duration is a Gateway API duration string such as "30s", "10m" or "1h30m".
//
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=24
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')",message="must be a duration such as 30s, 10m or 1h30m"
type Duration string

// Percent is a percentage from "0" to "100" with at most two decimals, as status prints it.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=6
// +kubebuilder:validation:XValidation:rule="self.matches('^(100([.]0{1,2})?|[0-9]{1,2}([.][0-9]{1,2})?)$')",message="must be a percentage from 0 to 100 with at most two decimals, such as \"5\" or \"0.25\""
type Percent string

// Decimal is a non-negative decimal number as a string, such as "0.02".
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,9}([.][0-9]{1,9})?$')",message="must be a decimal number such as \"0.02\", without sign or exponent"
type Decimal string

// Digest names content by its SHA-256: "sha256:" and 64 lower-case hexadecimal digits.
//
// +kubebuilder:validation:MinLength=71
// +kubebuilder:validation:MaxLength=71
// +kubebuilder:validation:XValidation:rule="self.matches('^sha256:[a-f0-9]{64}$')",message="must be sha256: followed by 64 lower-case hexadecimal digits (sha256sum prints them)"
type Digest string

// AppID names an app, as its store knows it: com.example.shop.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$')",message="must be an app id such as com.example.shop: letters, digits and single . _ - between them"
type AppID string

// Version is a semantic version (semver.org 2.0.0) without a leading v and without build metadata.
//
// +kubebuilder:validation:MinLength=5
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="self.matches('^(0|[1-9][0-9]{0,8})[.](0|[1-9][0-9]{0,8})[.](0|[1-9][0-9]{0,8})(-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)([.](0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?$')",message="must be a semantic version such as 2.4.1 or 2.5.0-rc.1, without a leading v and without +build metadata"
type Version string

// Platform is an operating system that devices report.
//
// +kubebuilder:validation:Enum=ios;android;electron;linux;windows;macos;web
type Platform string

// URL is an absolute URL without user name or fragment.
//
// +kubebuilder:validation:MinLength=8
// +kubebuilder:validation:MaxLength=2048
// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^@#/]+(/[^#]*)?$')",message="must be an absolute http or https URL without user name and without a fragment"
type URL string

// LocalReference names an object of the same namespace.
type LocalReference struct {
	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}

// KeyReference names one key of a ConfigMap or Secret of the same namespace.
type KeyReference struct {
	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// key inside the object's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}
