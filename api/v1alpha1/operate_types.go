// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Actor says how far the name of who asked for something can be relied on.
//
// +kubebuilder:validation:Enum=Verified;Unverified
type Actor string

const (
	// ActorVerified means that the API server stamped the name of its authenticated user.
	ActorVerified Actor = "Verified"
	// ActorUnverified means that nothing proves the name: the policy that stamps it is not installed.
	ActorUnverified Actor = "Unverified"
)

// Halt is an emergency stop that a person asked for by command, besides what Git says.
type Halt struct {
	// reason that the person gave.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`

	// by whom.
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

// Approvals asks for more than one person.
type Approvals struct {
	// required is how many people, besides the author of a change, have to approve a release before a device is offered it. A lower
	// number holds only once as many people as before have approved it.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=8
	Required *int32 `json:"required,omitempty"`
}

// Approval is one person's.
type Approval struct {
	// by whom.
	// +required
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

// ReleaseApproval is who approved a release, and how many have to.
type ReleaseApproval struct {
	// digest of the artifact that is approved: another one needs approvals of its own.
	// +required
	Digest Digest `json:"digest,omitempty"`

	// author of the change that asks for the release, who cannot approve it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Author string `json:"author,omitempty"`

	// required is how many approvals it needs.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=8
	Required *int32 `json:"required,omitempty"`

	// approvedBy are those who approved.
	// +optional
	// +listType=map
	// +listMapKey=by
	// +kubebuilder:validation:MaxItems=8
	ApprovedBy []Approval `json:"approvedBy,omitempty"`
}

// ApprovalsStatus is how many approvals releases of a Channel need now.
type ApprovalsStatus struct {
	// required is the number in force.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=8
	Required *int32 `json:"required,omitempty"`

	// wanted is a lower number that the spec asks for, and that is not in force yet.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=8
	Wanted *int32 `json:"wanted,omitempty"`

	// author of the change to the lower number, who cannot approve it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Author string `json:"author,omitempty"`

	// approvedBy are those who approved the lower number.
	// +optional
	// +listType=map
	// +listMapKey=by
	// +kubebuilder:validation:MaxItems=8
	ApprovedBy []Approval `json:"approvedBy,omitempty"`
}

// ChannelRollback is a rollback that a person asked for by command. It holds until a Rollout offers a bundle again.
type ChannelRollback struct {
	// order counts the commands that change what is served. The release document says up to which it has carried them out, so that
	// none is carried out twice.
	// +required
	// +kubebuilder:validation:Minimum=1
	Order int64 `json:"order,omitempty"`

	// from is the digest that was taken back: of the candidate, or else of what was stable. It is refused. Unset: nothing was served.
	// +optional
	From Digest `json:"from,omitempty"`

	// to is what devices are brought back to: Stable is what was stable before, Bundle the one that bundle names.
	// +optional
	To RollbackTarget `json:"to,omitempty"`

	// bundle is the name of the Bundle that was asked for.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Bundle string `json:"bundle,omitempty"`

	// reason that the person gave.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`

	// by whom.
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

// AllowedBundle is a digest whose refusal a person lifts by command. It goes once that is committed.
type AllowedBundle struct {
	// order counts the commands that change what is served, as that of a rollback does.
	// +required
	// +kubebuilder:validation:Minimum=1
	Order int64 `json:"order,omitempty"`

	// digest of the artifact.
	// +required
	Digest Digest `json:"digest,omitempty"`

	// reason that the person gave.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`

	// by whom.
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

// PendingRecord is a decision or a command that is not in the Repository's audit log yet. It waits here so that a manager that is
// killed at any instruction loses none and repeats none.
type PendingRecord struct {
	// id is unique for the Repository.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	ID string `json:"id,omitempty"`

	// at is when it happened.
	// +required
	At *metav1.MicroTime `json:"at,omitempty"`

	// action in one word: the reason of the Kubernetes event.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Action string `json:"action,omitempty"`

	// message in a sentence.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// by whom. Unset: the manager decided by itself.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`

	// actor says how far by can be relied on.
	// +optional
	Actor Actor `json:"actor,omitempty"`

	// bundle that it is about.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Bundle string `json:"bundle,omitempty"`

	// version of the bundle.
	// +optional
	Version Version `json:"version,omitempty"`

	// digest of its artifact.
	// +optional
	Digest Digest `json:"digest,omitempty"`

	// weight in force then.
	// +optional
	Weight Percent `json:"weight,omitempty"`

	// evidence that it rests on, one sentence a metric.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Evidence []string `json:"evidence,omitempty"`

	// candidate counts the devices that were offered the bundle, and those that it failed on.
	// +optional
	Candidate *ArmCounts `json:"candidate,omitempty"`

	// control counts the devices beside them.
	// +optional
	Control *ArmCounts `json:"control,omitempty"`

	// app that the object belonged to then.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	App string `json:"app,omitempty"`

	// channel that the object belonged to then.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Channel string `json:"channel,omitempty"`

	// repository whose log it is for: also when the Channel that named it is gone.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Repository string `json:"repository,omitempty"`
}

// AuditStatus is the end of the Repository's audit log, as the manager wrote it.
type AuditStatus struct {
	// sequence of the last record; records count from 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Sequence int64 `json:"sequence,omitempty"`

	// hash of the last record, which covers all before it.
	// +optional
	Hash Digest `json:"hash,omitempty"`

	// at is when it was written.
	// +optional
	At *metav1.Time `json:"at,omitempty"`
}

// Notification is a receiver of what happens in a Repository: a web hook that gets one CloudEvent a record of the audit log.
type Notification struct {
	// name of the receiver.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="must be lower-case letters, digits and dashes"
	Name string `json:"name,omitempty"`

	// url that events are posted to; https, or an address that the manager is allowed to reach (docs/egress.md).
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^@#?/]+(/[^#]*)?$')",message="must be a URL such as https://hooks.example.com/windlass, without user name or fragment"
	URL string `json:"url,omitempty"`

	// secretRef names a Secret with the key that events are signed with: key, 24 to 64 random bytes, raw or as whsec_ and base64.
	// Events are signed as Standard Webhooks says.
	// +required
	SecretRef LocalReference `json:"secretRef,omitzero"`

	// actions that are sent, by the reasons of docs/events.md. When unset, all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	Actions []string `json:"actions,omitempty"`
}

// NotificationStatus is how far a receiver is.
type NotificationStatus struct {
	// name of the receiver.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// delivered is the sequence of the last record that the receiver has taken, or that is not for it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Delivered *int64 `json:"delivered,omitempty"`

	// message says why the next one is not delivered yet.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`

	// since when deliveries fail.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}
