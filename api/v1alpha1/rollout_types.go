// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Rollout is how a Channel moves from its stable bundle to another one. Changing bundleRef starts the next release.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=otaro,categories=ota
// +kubebuilder:selectablefield:JSONPath=`.spec.channelRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.bundleRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Channel",type=string,JSONPath=`.spec.channelRef.name`
// +kubebuilder:printcolumn:name="Bundle",type=string,JSONPath=`.spec.bundleRef.name`
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.status.step`
// +kubebuilder:printcolumn:name="Weight",type=string,JSONPath=`.status.weight`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Rollout struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is how to release.
	// +required
	Spec RolloutSpec `json:"spec,omitzero"`

	// status is how far the release is, and why.
	// Until the manager has seen the object, observedGeneration is -1: tools that wait (kstatus) would take no status for done.
	// +optional
	// +kubebuilder:default:={observedGeneration:-1}
	Status RolloutStatus `json:"status,omitzero"`
}

// RolloutList is a list of Rollout.
//
// +kubebuilder:object:root=true
type RolloutList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items of the list.
	Items []Rollout `json:"items"`
}

// OnControlPlaneLoss says what the gateway does with a candidate whose lease nobody renews.
//
// +kubebuilder:validation:Enum=StopOffering;Retract;Continue
type OnControlPlaneLoss string

const (
	// LossStopOffering offers the candidate to no further device; those that have it stay.
	LossStopOffering OnControlPlaneLoss = "StopOffering"
	// LossRetract brings devices back to stable.
	LossRetract OnControlPlaneLoss = "Retract"
	// LossContinue goes on as if nothing had happened.
	LossContinue OnControlPlaneLoss = "Continue"
)

// RolloutSpec is how to release.
//
// +kubebuilder:validation:XValidation:rule="self.channelRef == oldSelf.channelRef",message="channelRef cannot be changed; make a new Rollout"
type RolloutSpec struct {
	// channelRef names the Channel to release on. At most one Rollout is active on a Channel.
	// +required
	ChannelRef LocalReference `json:"channelRef,omitzero"`

	// bundleRef names the Bundle to release. Changing it starts the next release.
	// +required
	BundleRef LocalReference `json:"bundleRef,omitzero"`

	// paused is a reason to hold the rollout where it is.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Paused string `json:"paused,omitempty"`

	// steps in order. After the last one the bundle becomes stable. When unset, it becomes stable at once.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Steps []Step `json:"steps,omitempty"`

	// analysis measures the candidate through all steps. When unset, only people and time decide.
	// +optional
	Analysis *Analysis `json:"analysis,omitempty"`

	// rollback says what happens when the analysis fails.
	// +optional
	Rollback *RollbackSpec `json:"rollback,omitempty"`

	// onControlPlaneLoss says what the gateway does with the candidate when the manager stops renewing its lease. When unset, StopOffering.
	// +optional
	OnControlPlaneLoss OnControlPlaneLoss `json:"onControlPlaneLoss,omitempty"`

	// leaseDuration is how long a lease holds. When unset, 1h. At least 1m.
	// +optional
	LeaseDuration Duration `json:"leaseDuration,omitempty"`

	// windows limit when weights may rise. Analysis, rollback and the commands of people know no windows. When unset, always.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Windows []Window `json:"windows,omitempty"`
}

// Step is one step of a rollout.
//
// +kubebuilder:validation:ExactlyOneOf=setWeight;pause
type Step struct {
	// setWeight is the percentage of devices that are offered the candidate: 1, "0.25", 100.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=6
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? (self >= 0 && self <= 100) : self.matches('^(100([.]0{1,2})?|[0-9]{1,2}([.][0-9]{1,2})?)$')",message="must be a percentage from 0 to 100 with at most two decimals, such as 5 or \"0.25\""
	SetWeight *intstr.IntOrString `json:"setWeight,omitempty"`

	// pause holds at the weight: {} until a person promotes, or until duration and minSamples are both met.
	// +optional
	Pause *PauseStep `json:"pause,omitempty"`
}

// PauseStep holds at a weight.
type PauseStep struct {
	// duration counts from the commit of the weight.
	// +optional
	Duration Duration `json:"duration,omitempty"`

	// minSamples is how many devices must have reported for the candidate.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	MinSamples *int32 `json:"minSamples,omitempty"`
}

// OnFailure is what happens when the analysis fails.
//
// +kubebuilder:validation:Enum=Rollback;Pause
type OnFailure string

const (
	// OnFailureRollback withdraws the candidate and refuses its digest.
	OnFailureRollback OnFailure = "Rollback"
	// OnFailurePause holds until a person decides.
	OnFailurePause OnFailure = "Pause"
)

// RollbackTarget is what devices are brought back to.
//
// +kubebuilder:validation:Enum=Stable;Embedded;Bundle
type RollbackTarget string

const (
	// RollbackToStable brings devices back to the channel's stable bundle.
	RollbackToStable RollbackTarget = "Stable"
	// RollbackToEmbedded brings devices back to the bundle that the app was installed with.
	RollbackToEmbedded RollbackTarget = "Embedded"
	// RollbackToBundle brings devices back to a named bundle.
	RollbackToBundle RollbackTarget = "Bundle"
)

// RollbackSpec says what happens when the analysis fails.
//
// +kubebuilder:validation:XValidation:rule="(has(self.to) && self.to == 'Bundle') == has(self.bundleRef)",message="bundleRef goes with to: Bundle, and only with it"
type RollbackSpec struct {
	// onFailure is what happens when the analysis fails. When unset, Rollback.
	// +optional
	OnFailure OnFailure `json:"onFailure,omitempty"`

	// to is what devices are brought back to. When unset, Stable: those that have the candidate get what the others have. Embedded and
	// Bundle change what the Channel serves as stable, and so what all of its devices get.
	// +optional
	To RollbackTarget `json:"to,omitempty"`

	// bundleRef names the Bundle to go back to. It has to have been stable on the Channel before; if it cannot be served, stable stays.
	// +optional
	BundleRef *LocalReference `json:"bundleRef,omitempty"`
}

// WindowKind says whether a window allows or denies.
//
// +kubebuilder:validation:Enum=Allow;Deny
type WindowKind string

const (
	// WindowAllow lets weights rise inside the window.
	WindowAllow WindowKind = "Allow"
	// WindowDeny lets weights rise outside the window.
	WindowDeny WindowKind = "Deny"
)

// Window is a time in which weights may or may not rise.
type Window struct {
	// kind of the window.
	// +required
	Kind WindowKind `json:"kind,omitempty"`

	// schedule of its openings, in cron format.
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=128
	Schedule string `json:"schedule,omitempty"`

	// duration of the window.
	// +required
	Duration Duration `json:"duration,omitempty"`

	// timeZone of the schedule. When unset, UTC.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
}
