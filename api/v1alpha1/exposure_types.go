// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Slice is a part of the devices. All that is set has to match.
//
// +kubebuilder:validation:AtLeastOneOf=platform;nativeVersion;osVersion;region
type Slice struct {
	// platform of the devices.
	// +optional
	Platform Platform `json:"platform,omitempty"`

	// nativeVersion is a range of versions of the installed app: "<4.3.0".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	NativeVersion string `json:"nativeVersion,omitempty"`

	// osVersion is a range of versions of the operating system: "<13.0.0".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	OSVersion string `json:"osVersion,omitempty"`

	// region as the gateway's edge tells it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Region string `json:"region,omitempty"`
}

// SliceStatus is a part of the devices that explains failures.
type SliceStatus struct {
	// slice for people: android, nativeVersion<4.3.0.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Slice string `json:"slice,omitempty"`

	// match is the slice as gateways match it.
	// +required
	Match Slice `json:"match,omitzero"`

	// candidate counts devices of the slice on the candidate.
	// +optional
	Candidate *ArmCounts `json:"candidate,omitempty"`

	// failures of the candidate in all slices together, for comparison.
	// +optional
	Failures int64 `json:"failures,omitempty"`

	// evidence against the candidate in this slice.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Evidence string `json:"evidence,omitempty"`

	// state tells whether the slice is excluded.
	// +required
	State SliceState `json:"state,omitempty"`

	// stage of the release that began when the slice was excluded: evidence of earlier stages does not count any more.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Stage int32 `json:"stage,omitempty"`

	// message is one sentence: slice: android, nativeVersion<4.3.0: 31/40 failures.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// SliceState tells whether a slice is excluded.
//
// +kubebuilder:validation:Enum=Recommended;Excluded
type SliceState string

const (
	// SliceRecommended is named for a person to decide.
	SliceRecommended SliceState = "Recommended"
	// SliceExcluded is not offered the candidate.
	SliceExcluded SliceState = "Excluded"
)

// StepPower is what a step can see in its time.
type StepPower struct {
	// step counts from 0; the bake comes after the last one.
	// +required
	// +kubebuilder:validation:Minimum=0
	Step int32 `json:"step"`

	// weight at this step.
	// +required
	Weight Percent `json:"weight,omitempty"`

	// devices of the candidate that are expected to check in during the step.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Devices int64 `json:"devices,omitempty"`

	// detects is the smallest ratio to the base rate that is found with a probability of 80 % within the step: "3.1". Empty: none.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Detects string `json:"detects,omitempty"`

	// message is one sentence: step 1 (1 %, 30m, about 400 devices) sees x3.1 or worse; it cannot see less.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
}

// WindowState tells whether weights may rise.
//
// +kubebuilder:validation:Enum=Open;Closed
type WindowState string

const (
	// WindowOpen lets weights rise.
	WindowOpen WindowState = "Open"
	// WindowClosed holds them.
	WindowClosed WindowState = "Closed"
)

// WindowStatus tells whether weights may rise now.
type WindowStatus struct {
	// state of all windows together.
	// +required
	State WindowState `json:"state,omitempty"`

	// reason says which window closes or opens.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`

	// nextOpen is when weights may rise again. Unset: they may now, or never within a year.
	// +optional
	NextOpen *metav1.Time `json:"nextOpen,omitempty"`

	// nextClose is when weights may rise no more. Unset: they may not now, or that does not end within a year.
	// +optional
	NextClose *metav1.Time `json:"nextClose,omitempty"`
}

// QueueStatus is the place in the Repository's line of Rollouts.
type QueueStatus struct {
	// position in the line, from 1.
	// +required
	// +kubebuilder:validation:Minimum=1
	Position int32 `json:"position,omitempty"`

	// active is how many releases are under way.
	// +required
	// +kubebuilder:validation:Minimum=0
	Active int32 `json:"active"`

	// limit is the Repository's maxActiveRollouts.
	// +required
	// +kubebuilder:validation:Minimum=1
	Limit int32 `json:"limit,omitempty"`

	// since is when it came to the end of the line.
	// +required
	Since metav1.MicroTime `json:"since,omitzero"`
}
