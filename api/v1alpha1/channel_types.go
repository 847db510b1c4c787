// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Channel is one stream of one app that devices follow. It holds policy, and the state of what is served.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=otach,categories=ota
// +kubebuilder:selectablefield:JSONPath=`.spec.app`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Stable",type=string,JSONPath=`.status.stable.version`
// +kubebuilder:printcolumn:name="Candidate",type=string,JSONPath=`.status.candidate.version`
// +kubebuilder:printcolumn:name="Weight",type=string,JSONPath=`.status.candidate.weight`
// +kubebuilder:printcolumn:name="Serving",type=string,JSONPath=`.status.conditions[?(@.type=="Serving")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && size(self.metadata.name) <= 63",message="the name of a Channel must be at most 63 lower-case letters, digits and dashes: it names the channel to devices"
type Channel struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the policy of the channel.
	// +required
	Spec ChannelSpec `json:"spec,omitzero"`

	// status is what devices are served, and why.
	// Until the manager has seen the object, observedGeneration is -1: tools that wait (kstatus) would take no status for done.
	// +optional
	// +kubebuilder:default:={observedGeneration:-1}
	Status ChannelStatus `json:"status,omitzero"`
}

// ChannelList is a list of Channel.
//
// +kubebuilder:object:root=true
type ChannelList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items of the list.
	Items []Channel `json:"items"`
}

// Visibility says which devices may follow a channel.
//
// +kubebuilder:validation:Enum=Public;Private
type Visibility string

const (
	// VisibilityPublic lets every device follow that names the channel, and those that name none.
	VisibilityPublic Visibility = "Public"
	// VisibilityPrivate lets devices follow that chose it. It needs selfAssignment Allowed: without, the Channel stalls, since no
	// device can be put on a channel yet.
	VisibilityPrivate Visibility = "Private"
)

// SelfAssignment says whether a device may choose a channel itself.
//
// +kubebuilder:validation:Enum=Denied;Allowed
type SelfAssignment string

const (
	// SelfAssignmentDenied means that a device cannot change to this channel at run time.
	SelfAssignmentDenied SelfAssignment = "Denied"
	// SelfAssignmentAllowed means that a device may change to this channel at run time.
	SelfAssignmentAllowed SelfAssignment = "Allowed"
)

// Origin is a web origin as browsers send it: scheme, host, and a port that is not the scheme's own.
//
// +kubebuilder:validation:MinLength=8
// +kubebuilder:validation:MaxLength=280
// +kubebuilder:validation:XValidation:rule="self.matches('^((https|capacitor|ionic)://[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*|http://localhost)(:[1-9][0-9]{0,4})?$') && !self.matches('^(https:.*:443|http:.*:80)$')",message="must be an origin as browsers send it, such as https://app.example.com or capacitor://localhost: https, capacitor, ionic, or http with localhost; a host in lower case; a port only if it is not the scheme's own; no path and no wildcard"
type Origin string

// Serving says whether a channel serves updates.
//
// +kubebuilder:validation:Enum=Active;Halted
type Serving string

const (
	// ServingActive serves updates.
	ServingActive Serving = "Active"
	// ServingHalted offers nothing to any device: the emergency stop.
	ServingHalted Serving = "Halted"
)

// ChannelSpec is the policy of a channel.
//
// +kubebuilder:validation:XValidation:rule="self.app == oldSelf.app",message="app cannot be changed; make a new Channel"
// +kubebuilder:validation:XValidation:rule="has(self.repositoryRef) == has(oldSelf.repositoryRef) && (!has(self.repositoryRef) || self.repositoryRef == oldSelf.repositoryRef)",message="repositoryRef cannot be changed; make a new Channel"
type ChannelSpec struct {
	// repositoryRef names the Repository that publishes the channel. When unset, the one named default.
	// +optional
	RepositoryRef *LocalReference `json:"repositoryRef,omitempty"`

	// app that the channel serves.
	// +required
	App AppID `json:"app,omitempty"`

	// visibility says which devices may follow. When unset, Public. Private without selfAssignment Allowed is not supported yet: the
	// Channel stalls.
	// +optional
	Visibility Visibility `json:"visibility,omitempty"`

	// selfAssignment says whether a device may choose this channel itself. When unset, Denied.
	// +optional
	SelfAssignment SelfAssignment `json:"selfAssignment,omitempty"`

	// allowedOrigins are the web origins that may ask for updates from a browser or web view (CORS). When unset, none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	AllowedOrigins []Origin `json:"allowedOrigins,omitempty"`

	// audience restricts which devices are served. When unset, all.
	// +optional
	Audience *Audience `json:"audience,omitempty"`

	// guards are compared with the installed native build of the app.
	// +optional
	Guards *Guards `json:"guards,omitempty"`

	// admission says which bundles may be released here. When unset, every Bundle that is Ready.
	// +optional
	Admission *Admission `json:"admission,omitempty"`

	// serving stops the channel when Halted: no device is offered anything. When unset, Active.
	// +optional
	Serving Serving `json:"serving,omitempty"`

	// maxWeightPerHour limits by how many percentage points the weight of a candidate may rise within any hour: larger steps are
	// taken in parts. When unset, there is no limit.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('[1-9]')",message="must be above 0: to offer nothing, set serving: Halted"
	MaxWeightPerHour Percent `json:"maxWeightPerHour,omitempty"`

	// maxFirstWeight is the highest weight that a release may begin with, since nothing is known of it then. When unset, "1". "100"
	// lets a Rollout without steps release to all devices at once.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('[1-9]')",message="must be above 0: to offer nothing, set serving: Halted"
	MaxFirstWeight Percent `json:"maxFirstWeight,omitempty"`

	// approvals asks for people to approve each release. When unset, none has to.
	// +optional
	Approvals *Approvals `json:"approvals,omitempty"`
}

// Build is a kind of installation that a device reports.
//
// +kubebuilder:validation:Enum=Production;Development;Emulator;Device
type Build string

const (
	// BuildProduction is an app as stores distribute it.
	BuildProduction Build = "Production"
	// BuildDevelopment is an app built for development.
	BuildDevelopment Build = "Development"
	// BuildEmulator is an app on an emulator or simulator.
	BuildEmulator Build = "Emulator"
	// BuildDevice is an app on a physical device.
	BuildDevice Build = "Device"
)

// Audience restricts which devices are served.
type Audience struct {
	// platforms that are served. When unset, all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Platforms []Platform `json:"platforms,omitempty"`

	// builds that are served. A device has to match one of Production and Development if either is listed, and one of
	// Emulator and Device if either is listed. When unset, all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Builds []Build `json:"builds,omitempty"`
}

// VersionJump is the highest part of a version that may change.
//
// +kubebuilder:validation:Enum=None;Patch;Minor;Major
type VersionJump string

const (
	// JumpNone allows no update.
	JumpNone VersionJump = "None"
	// JumpPatch allows 1.2.3 to 1.2.4.
	JumpPatch VersionJump = "Patch"
	// JumpMinor allows 1.2.3 to 1.3.0.
	JumpMinor VersionJump = "Minor"
	// JumpMajor allows every update.
	JumpMajor VersionJump = "Major"
)

// BelowNative says whether a bundle older than the store build may be offered.
//
// +kubebuilder:validation:Enum=Denied;Allowed
type BelowNative string

const (
	// BelowNativeDenied never offers a bundle that is older than the installed native build.
	BelowNativeDenied BelowNative = "Denied"
	// BelowNativeAllowed offers them.
	BelowNativeAllowed BelowNative = "Allowed"
)

// Guards are compared with the installed native build of the app.
type Guards struct {
	// autoUpdate is the highest jump from the native build's version that is offered. When unset, Major.
	// +optional
	AutoUpdate VersionJump `json:"autoUpdate,omitempty"`

	// belowNative says whether a bundle older than the native build may be offered. When unset, Denied.
	// +optional
	BelowNative BelowNative `json:"belowNative,omitempty"`

	// floor is a version that devices below must pass through. No bundle below it is released. A Bundle of this version must exist.
	// +optional
	Floor Version `json:"floor,omitempty"`
}
