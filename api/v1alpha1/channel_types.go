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

// ChannelStatus is what devices are served, and why.
type ChannelStatus struct {
	// conditions are Ready, Published, Serving; Reconciling and Stalled only while True.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// stable is what devices get that are not in the candidate's cohort. Unset: the app's embedded bundle.
	// +optional
	Stable *ServedBundle `json:"stable,omitempty"`

	// candidate is what a rollout lets out.
	// +optional
	Candidate *CandidateBundle `json:"candidate,omitempty"`

	// published is the committed state that devices can see; stable, candidate and refused describe it.
	// +optional
	Published *PublishedStatus `json:"published,omitempty"`

	// refused digests are not offered again until a person allows them.
	// +optional
	// +listType=map
	// +listMapKey=digest
	// +kubebuilder:validation:MaxItems=128
	Refused []RefusedBundle `json:"refused,omitempty"`

	// deviation tells how what is served differs from what Git asks for, and why.
	// +optional
	Deviation *Deviation `json:"deviation,omitempty"`

	// history tells what was served from when to when, and why it ended; the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	History []ChannelHistoryEntry `json:"history,omitempty"`

	// overrides are content checks that people let pass for a digest; the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Overrides []ContentOverride `json:"overrides,omitempty"`

	// warnings of content checks about the candidate.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=512
	Warnings []string `json:"warnings,omitempty"`

	// halt is the emergency stop that a person asked for by command. Unset: nobody did.
	// +optional
	Halt *Halt `json:"halt,omitempty"`

	// rollback is what a person asked for by command, as long as it holds.
	// +optional
	Rollback *ChannelRollback `json:"rollback,omitempty"`

	// allowed is a digest whose refusal a person lifts by command, until that is committed.
	// +optional
	Allowed *AllowedBundle `json:"allowed,omitempty"`

	// approvals says how many approvals releases need, and how far a change to a lower number is. Unset: none.
	// +optional
	Approvals *ApprovalsStatus `json:"approvals,omitempty"`

	// lastCommand is the last command that a person gave by annotations.
	// +optional
	LastCommand *CommandStatus `json:"lastCommand,omitempty"`

	// unrecorded are decisions and commands that are not in the Repository's audit log yet; the oldest first.
	// +optional
	// +listType=map
	// +listMapKey=id
	// +kubebuilder:validation:MaxItems=32
	Unrecorded []PendingRecord `json:"unrecorded,omitempty"`
}

// ContentOverride lets a digest pass content checks on this channel.
type ContentOverride struct {
	// digest of the artifact.
	// +required
	Digest Digest `json:"digest,omitempty"`

	// checks that it passes.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Checks []string `json:"checks,omitempty"`

	// reason that the person gave.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`

	// by whom; unverified, when nothing says so.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`

	// actor says how far by can be relied on.
	// +optional
	Actor Actor `json:"actor,omitempty"`

	// at is when.
	// +optional
	At *metav1.Time `json:"at,omitempty"`
}

// ServedBundle is a bundle that devices are served.
type ServedBundle struct {
	// bundle is the name of the Bundle.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Bundle string `json:"bundle,omitempty"`

	// version of the Bundle.
	// +required
	Version Version `json:"version,omitempty"`

	// digest of the artifact.
	// +required
	Digest Digest `json:"digest,omitempty"`

	// since when it is served.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// exclude are the slices that its release was kept from: they get what was stable before it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Exclude []Slice `json:"exclude,omitempty"`
}

// CandidateBundle is a bundle that a rollout lets out.
type CandidateBundle struct {
	// bundle is the name of the Bundle.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Bundle string `json:"bundle,omitempty"`

	// version of the Bundle.
	// +required
	Version Version `json:"version,omitempty"`

	// digest of the artifact.
	// +required
	Digest Digest `json:"digest,omitempty"`

	// weight is the share of devices that are offered it.
	// +optional
	Weight Percent `json:"weight,omitempty"`

	// salt of the cohort: anyone can recompute which devices are in it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Salt string `json:"salt,omitempty"`

	// leaseExpires is when the gateway applies onControlPlaneLoss unless the manager renews the lease.
	// +optional
	LeaseExpires *metav1.Time `json:"leaseExpires,omitempty"`

	// rolloutRef names the Rollout.
	// +optional
	RolloutRef *LocalReference `json:"rolloutRef,omitempty"`

	// release is the revision of the Rollout's release.
	// +optional
	Release int64 `json:"release,omitempty"`

	// stage of the release.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Stage int32 `json:"stage,omitempty"`

	// exclude are the slices that are not offered the candidate.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Exclude []Slice `json:"exclude,omitempty"`
}

// PublishedStatus is a committed state of a channel.
type PublishedStatus struct {
	// revision grows by one with each change of content.
	// +required
	// +kubebuilder:validation:Minimum=1
	Revision int64 `json:"revision,omitempty"`

	// metadataVersion is the version of the Repository's metadata that published it.
	// +optional
	MetadataVersion int64 `json:"metadataVersion,omitempty"`

	// at is when it was committed.
	// +optional
	At *metav1.MicroTime `json:"at,omitempty"`
}

// RefusedBundle is a digest that is not offered again until a person allows it.
type RefusedBundle struct {
	// digest of the artifact.
	// +required
	Digest Digest `json:"digest,omitempty"`

	// version of the Bundle.
	// +optional
	Version Version `json:"version,omitempty"`

	// reason in a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`

	// by whom: rollout/name, user/name for a rollback by command, bundle/name for a revocation or lost trust, or repository/name for a floor.
	// +optional
	// +kubebuilder:validation:MaxLength=300
	By string `json:"by,omitempty"`

	// at is when.
	// +optional
	At *metav1.Time `json:"at,omitempty"`
}

// Deviation tells how what is served differs from what Git asks for.
type Deviation struct {
	// reason in one word.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message in a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// since when.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// ChannelHistoryEntry is a bundle that was served as stable.
type ChannelHistoryEntry struct {
	// bundle is the name of the Bundle.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Bundle string `json:"bundle,omitempty"`

	// version of the Bundle.
	// +optional
	Version Version `json:"version,omitempty"`

	// digest of the artifact.
	// +optional
	Digest Digest `json:"digest,omitempty"`

	// as what it was served.
	// +optional
	As BundleRole `json:"as,omitempty"`

	// from when it was served.
	// +optional
	From *metav1.Time `json:"from,omitempty"`

	// to when it was served.
	// +optional
	To *metav1.Time `json:"to,omitempty"`

	// ended tells why in one word: Superseded, Promoted, RolledBack, Aborted, Revoked, Withdrawn.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Ended string `json:"ended,omitempty"`
}
