// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
