// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RepositoryStatus is what the manager found and did.
type RepositoryStatus struct {
	// conditions are Ready, StorageReachable, SigningReady; Reconciling and Stalled only while True.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// storage is what the probe of the object store found.
	// +optional
	Storage *StorageStatus `json:"storage,omitempty"`

	// metadata is the last committed TUF metadata.
	// +optional
	Metadata *MetadataStatus `json:"metadata,omitempty"`

	// channels is the number of published channels.
	// +optional
	Channels *int32 `json:"channels,omitempty"`

	// bundles is the number of bundles that published channels refer to.
	// +optional
	Bundles *int32 `json:"bundles,omitempty"`

	// trustedRoots tells how old the trusted roots of keyless authorities are.
	// +optional
	// +listType=map
	// +listMapKey=authority
	// +kubebuilder:validation:MaxItems=32
	TrustedRoots []TrustedRootStatus `json:"trustedRoots,omitempty"`

	// floors that the published root of trust holds.
	// +optional
	// +listType=map
	// +listMapKey=app
	// +kubebuilder:validation:MaxItems=64
	Floors []Floor `json:"floors,omitempty"`

	// halt stops all Channels of the Repository, until a person lifts it by command. Unset: nobody asked for it.
	// +optional
	Halt *Halt `json:"halt,omitempty"`

	// audit is the end of the audit log.
	// +optional
	Audit *AuditStatus `json:"audit,omitempty"`

	// notifications tells how far each receiver is.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Notifications []NotificationStatus `json:"notifications,omitempty"`

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

// TrustedRootStatus tells how old the trusted root of a keyless authority is. An old one may lack keys that signatures of today
// are made with, or still trust keys that were withdrawn.
type TrustedRootStatus struct {
	// authority that the trusted root belongs to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Authority string `json:"authority,omitempty"`

	// digest of the trusted root.
	// +required
	Digest Digest `json:"digest,omitempty"`

	// updatedAt is when its ConfigMap was last changed.
	// +optional
	UpdatedAt *metav1.Time `json:"updatedAt,omitempty"`

	// ageDays is how many whole days ago that was.
	// +optional
	AgeDays *int32 `json:"ageDays,omitempty"`
}

// ConditionalWrites says how far the object store can be trusted with conditional writes.
//
// +kubebuilder:validation:Enum=Atomic;NotAtomic;Ignored
type ConditionalWrites string

const (
	// ConditionalWritesAtomic means that of racing conditional writes exactly one wins.
	ConditionalWritesAtomic ConditionalWrites = "Atomic"
	// ConditionalWritesNotAtomic means that conditions are checked, but racing writes can both win.
	ConditionalWritesNotAtomic ConditionalWrites = "NotAtomic"
	// ConditionalWritesIgnored means that conditions are accepted and ignored.
	ConditionalWritesIgnored ConditionalWrites = "Ignored"
)

// StorageStatus is what the probe of the object store found.
type StorageStatus struct {
	// conditionalWrites tells whether compare-and-swap works. Without Atomic the manager stays safe by single-writer leadership and read-back.
	// +optional
	ConditionalWrites ConditionalWrites `json:"conditionalWrites,omitempty"`

	// versioning of the bucket: Enabled, Suspended, Off or Unknown.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Versioning string `json:"versioning,omitempty"`

	// checkedAt is when the probe ran.
	// +optional
	CheckedAt *metav1.Time `json:"checkedAt,omitempty"`
}

// MetadataStatus is the last committed TUF metadata.
type MetadataStatus struct {
	// version of the timestamp and snapshot metadata. It only grows.
	// +optional
	Version int64 `json:"version,omitempty"`

	// committedAt is when this version became visible to devices.
	// +optional
	CommittedAt *metav1.Time `json:"committedAt,omitempty"`

	// expiresAt is when devices stop to trust it unless it is signed again.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// rootVersion is the version of the root of trust.
	// +optional
	RootVersion int64 `json:"rootVersion,omitempty"`

	// firstRootDigest is the digest of 1.root.json, which gateways and devices pin. A bucket that has another one is not published to.
	// +optional
	FirstRootDigest Digest `json:"firstRootDigest,omitempty"`

	// rootExpiresAt is when the root of trust has to be replaced by its successor.
	// +optional
	RootExpiresAt *metav1.Time `json:"rootExpiresAt,omitempty"`

	// rootKeys tells where the keys are that sign roots: Online, when the manager can sign them, or Offline.
	// +optional
	// +kubebuilder:validation:Enum=Online;Offline
	RootKeys string `json:"rootKeys,omitempty"`

	// rootThreshold is how many keys have to sign a root.
	// +optional
	RootThreshold int32 `json:"rootThreshold,omitempty"`

	// keys tells where the signing keys come from: Generated or Provided.
	// +optional
	// +kubebuilder:validation:Enum=Generated;Provided
	Keys string `json:"keys,omitempty"`
}
