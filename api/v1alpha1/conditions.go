// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Conditions of all kinds. Reconciling and Stalled exist only while True (kstatus).
const (
	// ReadyCondition is True when the wanted state is reached.
	ReadyCondition = "Ready"
	// ReconcilingCondition is True while something is being done, waited for or tried again.
	ReconcilingCondition = "Reconciling"
	// StalledCondition is True when nothing happens until somebody changes something.
	StalledCondition = "Stalled"
)

// Conditions of a Repository.
const (
	// StorageReachableCondition is True when the bucket answered the last probe.
	StorageReachableCondition = "StorageReachable"
	// SigningReadyCondition is True when all signing keys are there and match the root of trust in the bucket.
	SigningReadyCondition = "SigningReady"
	// TrustedRootsFreshCondition is True when no trusted root of a keyless authority is older than 90 days. Absent without any.
	TrustedRootsFreshCondition = "TrustedRootsFresh"
	// FloorsPublishedCondition is True when the published root of trust holds all floors of the spec. Absent without any.
	FloorsPublishedCondition = "FloorsPublished"
	// NotificationsDeliveredCondition is False when a receiver has taken no notification for 5 minutes. Absent without any.
	NotificationsDeliveredCondition = "NotificationsDelivered"
)

// Conditions of a Bundle.
const (
	// FetchedCondition is True when the artifact was read from its source in full and has the wanted digest.
	FetchedCondition = "Fetched"
	// VerifiedCondition is True when a signature of an authority matched and no key of the Repository disproves what goes with the
	// artifact.
	VerifiedCondition = "Verified"
	// InspectedCondition is True when the archive is one that devices can unpack.
	InspectedCondition = "Inspected"
	// StoredCondition is True when the artifact is in the bucket.
	StoredCondition = "Stored"
	// RevokedCondition is True when the Bundle must not be used any more.
	RevokedCondition = "Revoked"
)

// Conditions of a Channel.
const (
	// PublishedCondition is True when what is wanted is committed.
	PublishedCondition = "Published"
	// ServingCondition is True when devices are served, False when the channel is halted.
	ServingCondition = "Serving"
)

// Conditions of a Rollout.
const (
	// ProgressingCondition is True while the rollout moves or has completed.
	ProgressingCondition = "Progressing"
	// PausedCondition is True while the rollout waits for a person.
	PausedCondition = "Paused"
	// AnalysisPassingCondition is the verdict of the analysis.
	AnalysisPassingCondition = "AnalysisPassing"
	// RolledBackCondition is True when the release was taken back.
	RolledBackCondition = "RolledBack"
	// StepsPoweredCondition is False when a step is too short or too small to see any regression in its time. Absent while unknown.
	StepsPoweredCondition = "StepsPowered"
)

// Reasons of all kinds.
const (
	// SucceededReason means that all is done.
	SucceededReason = "Succeeded"
	// ProgressingReason means that work goes on.
	ProgressingReason = "Progressing"
	// ProgressingWithRetryReason means that the last try failed and another follows.
	ProgressingWithRetryReason = "ProgressingWithRetry"
	// InternalErrorReason means an error without a better name.
	InternalErrorReason = "InternalError"
	// InvalidSpecReason means that the spec cannot be carried out as it is.
	InvalidSpecReason = "InvalidSpec"
	// NotSupportedYetReason means that the spec asks for what this version cannot do.
	NotSupportedYetReason = "NotSupportedYet"
	// RepositoryNotFoundReason means that the Repository that is referred to does not exist.
	RepositoryNotFoundReason = "RepositoryNotFound"
	// RepositoryNotReadyReason means that the Repository cannot publish yet.
	RepositoryNotReadyReason = "RepositoryNotReady"
	// InUseReason means that a deletion waits until nothing serves the object.
	InUseReason = "InUse"
)

// Reasons of a Repository.
const (
	// StorageUnreachableReason means that the object store did not answer or answered with an error that may pass.
	StorageUnreachableReason = "StorageUnreachable"
	// StorageAccessDeniedReason means that the object store refused the credentials.
	StorageAccessDeniedReason = "StorageAccessDenied"
	// BucketNotFoundReason means that the bucket does not exist.
	BucketNotFoundReason = "BucketNotFound"
	// SecretNotFoundReason means that a Secret, or a key of it, is missing.
	SecretNotFoundReason = "SecretNotFound"
	// ConfigMapNotFoundReason means that a ConfigMap, or a key of it, is missing.
	ConfigMapNotFoundReason = "ConfigMapNotFound"
	// InvalidKeyReason means that a key cannot be read or is too weak.
	InvalidKeyReason = "InvalidKey"
	// KeysMismatchReason means that the signing keys are not those of the root of trust in the bucket.
	KeysMismatchReason = "KeysMismatch"
	// KeysGeneratedReason means that the manager made the signing keys itself.
	KeysGeneratedReason = "KeysGenerated"
	// KeysProvidedReason means that the signing keys were found in the Secret.
	KeysProvidedReason = "KeysProvided"
	// TrustedRootInvalidReason means that the trusted root of a keyless authority cannot be read.
	TrustedRootInvalidReason = "TrustedRootInvalid"
	// TrustedRootOldReason means that the trusted root of a keyless authority was not refreshed for 90 days.
	TrustedRootOldReason = "TrustedRootOld"
	// RootInvalidReason means that a root of trust in the ConfigMap is not a valid successor of the published one.
	RootInvalidReason = "RootInvalid"
	// RootSignatureNeededReason means that the holders of the offline root keys have to sign a new root.
	RootSignatureNeededReason = "RootSignatureNeeded"
	// FloorLoweredReason means that the spec asks for a lower floor than the published root of trust has. Floors only rise.
	FloorLoweredReason = "FloorLowered"
	// NotificationFailingReason means that a receiver of notifications does not take them; they wait, and are tried again.
	NotificationFailingReason = "NotificationFailing"
	// PublishFailedReason means that a commit failed and is tried again.
	PublishFailedReason = "PublishFailed"
)

// Reasons of a Bundle.
const (
	// FetchFailedReason means that the artifact could not be read; it is tried again.
	FetchFailedReason = "FetchFailed"
	// SourceNotFoundReason means that the source answered that there is no such artifact.
	SourceNotFoundReason = "SourceNotFound"
	// SourceAccessDeniedReason means that the source refused the credentials.
	SourceAccessDeniedReason = "SourceAccessDenied"
	// CredentialsNotAllowedReason means that the Secret of the source is not meant for the server that the source names.
	CredentialsNotAllowedReason = "CredentialsNotAllowed"
	// TooLargeReason means that the artifact is larger than the limit.
	TooLargeReason = "TooLarge"
	// DigestMismatchReason means that the artifact is not what the author signed.
	DigestMismatchReason = "DigestMismatch"
	// SignatureInvalidReason means that no signature matched an authority.
	SignatureInvalidReason = "SignatureInvalid"
	// AddressDeniedReason means that the address is one that the manager does not connect to.
	AddressDeniedReason = "AddressDenied"
	// AttestationInvalidReason means that a statement about the artifact is not signed by an authority, or is about another one.
	AttestationInvalidReason = "AttestationInvalid"
	// SignatureUnreadableReason means that a signature could not be fetched or decoded.
	SignatureUnreadableReason = "SignatureUnreadable"
	// ChecksumMismatchReason means that the encrypted checksum is not that of the archive in the artifact.
	ChecksumMismatchReason = "ChecksumMismatch"
	// EncryptionInvalidReason means that no key of the app opens the artifact, or that it is not encrypted as it should be.
	EncryptionInvalidReason = "EncryptionInvalid"
	// NotOpenedReason means that the artifact is encrypted and the Repository has no key of its app, so that nobody looked into it.
	NotOpenedReason = "NotOpened"
	// ArchiveInvalidReason means that the archive is broken or would write outside its folder.
	ArchiveInvalidReason = "ArchiveInvalid"
	// VersionConflictReason means that another Bundle has the same app and version.
	VersionConflictReason = "VersionConflict"
	// StorageFailedReason means that the artifact could not be written or read back; it is tried again.
	StorageFailedReason = "StorageFailed"
	// ArtifactLostReason means that the bucket no longer has what status said; it is fetched again.
	ArtifactLostReason = "ArtifactLost"
	// RevokedReason means that the Bundle must not be used any more.
	RevokedReason = "Revoked"
)

// Reasons of a Channel.
const (
	// PublishedReason means that what is wanted is committed.
	PublishedReason = "Published"
	// PublishingReason means that a commit is under way.
	PublishingReason = "Publishing"
	// ActiveReason means that the channel serves updates.
	ActiveReason = "Active"
	// HaltedReason means that the channel is halted; of a Repository, that all of its channels are.
	HaltedReason = "Halted"
	// FloorNotFoundReason means that no usable Bundle has the version of guards.floor.
	FloorNotFoundReason = "FloorNotFound"
	// StateLostReason means that what the channel published is damaged in the bucket, and nothing older is intact.
	StateLostReason = "StateLost"
	// RefusedListFullReason means that no more digests can be refused before some are allowed again.
	RefusedListFullReason = "RefusedListFull"
)

// Reasons of a Rollout; the first group is terminal for a release.
const (
	// CompletedReason means that the bundle is stable.
	CompletedReason = "Completed"
	// RolledBackReason means that the release was taken back because its analysis failed, or by a person once it had completed.
	RolledBackReason = "RolledBack"
	// AbortedReason means that a person took the release back.
	AbortedReason = "Aborted"
	// BundleRefusedReason means that the digest was refused or revoked.
	BundleRefusedReason = "BundleRefused"
	// BundleNotAdmittedReason means that the Channel does not admit the bundle.
	BundleNotAdmittedReason = "BundleNotAdmitted"

	// WaitingForBundleReason means that the Bundle is not ready yet.
	WaitingForBundleReason = "WaitingForBundle"
	// WaitingForChannelReason means that the Channel is missing or cannot publish yet.
	WaitingForChannelReason = "WaitingForChannel"
	// ChannelBusyReason means that another Rollout is active on the Channel.
	ChannelBusyReason = "ChannelBusy"
	// PausedReason means that the rollout waits for a person.
	PausedReason = "Paused"
	// HoldingReason means that the analysis cannot tell.
	HoldingReason = "Holding"
	// BakingReason means that all steps are done and the bundle is watched before it becomes stable.
	BakingReason = "Baking"
	// WaitingForWindowReason means that spec.windows are closed: weights do not rise before the next one opens.
	WaitingForWindowReason = "WaitingForWindow"
	// WeightLimitedReason means that the Channel's maxWeightPerHour lets the weight rise no further yet.
	WeightLimitedReason = "WeightLimited"
	// WaitingForApprovalReason means that people have to approve the release before it starts.
	WaitingForApprovalReason = "WaitingForApproval"
	// QueuedReason means that the Repository's maxActiveRollouts are under way.
	QueuedReason = "Queued"
	// RollingBackReason means that the withdrawal is not committed yet.
	RollingBackReason = "RollingBack"

	// StepsSeeRegressionsReason means that each step can see some regression in its time.
	StepsSeeRegressionsReason = "StepsSeeRegressions"
	// StepSeesNothingReason means that a step cannot see even a total outage in its time.
	StepSeesNothingReason = "StepSeesNothing"

	// AnalysisPassingReason means that all metrics are within their limits.
	AnalysisPassingReason = "Passing"
)

// Annotations by which people give commands (docs/spec).
const (
	// CommandAnnotation names the command.
	CommandAnnotation = Group + "/command"
	// CommandIDAnnotation is a fresh value for each command.
	CommandIDAnnotation = Group + "/command-id"
	// CommandArgsAnnotation are arguments of the command.
	CommandArgsAnnotation = Group + "/command-args"
	// RequestedByAnnotation is who gave the command, stamped by admission.
	RequestedByAnnotation = Group + "/requested-by"
	// ChangedByAnnotation is who changed the spec last, stamped by admission: who cannot approve the change.
	ChangedByAnnotation = Group + "/changed-by"
)

// DefaultRepository is the Repository that objects refer to when they name none.
const DefaultRepository = "default"
