// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RolloutStatus is how far a release is, and why.
type RolloutStatus struct {
	// conditions are Ready, Progressing, Paused, AnalysisPassing, RolledBack, StepsPowered; Reconciling and Stalled only while True.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// message says in one sentence where the rollout is and what it waits for.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// release that this status describes.
	// +optional
	Release *ReleaseStatus `json:"release,omitempty"`

	// currentStepIndex counts from 0; the number of steps when all are done.
	// +optional
	CurrentStepIndex *int32 `json:"currentStepIndex,omitempty"`

	// step for people: 3/6.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Step string `json:"step,omitempty"`

	// stepEnteredAt is when the step's weight was committed: its clock starts there.
	// +optional
	StepEnteredAt *metav1.MicroTime `json:"stepEnteredAt,omitempty"`

	// weight that is wanted now, in percent.
	// +optional
	Weight Percent `json:"weight,omitempty"`

	// assignment is what the Channel should serve for this rollout.
	// +optional
	Assignment *Assignment `json:"assignment,omitempty"`

	// power is what each step can see in its time, from how many devices check in and how many of them fail without the candidate.
	// +optional
	// +listType=map
	// +listMapKey=step
	// +kubebuilder:validation:MaxItems=65
	Power []StepPower `json:"power,omitempty"`

	// windows tells whether weights may rise now, and when that changes. Unset: there are no windows, or no release is under way.
	// +optional
	Windows *WindowStatus `json:"windows,omitempty"`

	// queue is the place in the Repository's line of Rollouts. Unset: it does not wait there.
	// +optional
	Queue *QueueStatus `json:"queue,omitempty"`

	// slices are the parts of the devices that explain failures, and whether they are excluded.
	// +optional
	// +listType=map
	// +listMapKey=slice
	// +kubebuilder:validation:MaxItems=8
	Slices []SliceStatus `json:"slices,omitempty"`

	// analysis is the last result of each metric.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Analysis []MetricStatus `json:"analysis,omitempty"`

	// approval is who approved the release, where the Channel asks for approvals.
	// +optional
	Approval *ReleaseApproval `json:"approval,omitempty"`

	// lastCommand is the last command by annotation that was acted upon.
	// +optional
	LastCommand *CommandStatus `json:"lastCommand,omitempty"`

	// unrecorded are decisions and commands that are not in the Repository's audit log yet; the oldest first.
	// +optional
	// +listType=map
	// +listMapKey=id
	// +kubebuilder:validation:MaxItems=32
	Unrecorded []PendingRecord `json:"unrecorded,omitempty"`

	// history of ended releases; the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	History []RolloutHistoryEntry `json:"history,omitempty"`
}

// ReleaseState is the state of a release.
//
// +kubebuilder:validation:Enum=Pending;Progressing;Paused;Promoting;RollingBack;Superseding;Completed;RolledBack;Aborted;BundleRefused;BundleNotAdmitted
type ReleaseState string

const (
	// ReleasePending waits for the Bundle, its admission or the Channel.
	ReleasePending ReleaseState = "Pending"
	// ReleaseProgressing goes through the steps.
	ReleaseProgressing ReleaseState = "Progressing"
	// ReleasePaused waits for a person.
	ReleasePaused ReleaseState = "Paused"
	// ReleasePromoting waits for the commit that makes the bundle stable.
	ReleasePromoting ReleaseState = "Promoting"
	// ReleaseRollingBack waits for the commit of the withdrawal.
	ReleaseRollingBack ReleaseState = "RollingBack"
	// ReleaseCompleted has made its bundle stable.
	ReleaseCompleted ReleaseState = "Completed"
	// ReleaseRolledBack was taken back because its analysis failed, or by a person once it had completed.
	ReleaseRolledBack ReleaseState = "RolledBack"
	// ReleaseAborted was taken back by a person.
	ReleaseAborted ReleaseState = "Aborted"
	// ReleaseBundleRefused asks for a digest that was refused or revoked.
	ReleaseBundleRefused ReleaseState = "BundleRefused"
	// ReleaseBundleNotAdmitted asks for a bundle that the Channel does not admit.
	ReleaseBundleNotAdmitted ReleaseState = "BundleNotAdmitted"
	// ReleaseSuperseding waits for the commit that withdraws the previous candidate.
	ReleaseSuperseding ReleaseState = "Superseding"
)

// ReleaseStatus is the release that a rollout carries out.
type ReleaseStatus struct {
	// revision counts releases of this Rollout, from 1.
	// +required
	// +kubebuilder:validation:Minimum=1
	Revision int64 `json:"revision,omitempty"`

	// bundle is the name of the Bundle.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Bundle string `json:"bundle,omitempty"`

	// version of the Bundle.
	// +optional
	Version Version `json:"version,omitempty"`

	// digest of the artifact.
	// +optional
	Digest Digest `json:"digest,omitempty"`

	// state of the release.
	// +required
	State ReleaseState `json:"state,omitempty"`

	// startedAt is when the release began.
	// +optional
	StartedAt *metav1.MicroTime `json:"startedAt,omitempty"`

	// endedAt is when the release ended.
	// +optional
	EndedAt *metav1.MicroTime `json:"endedAt,omitempty"`

	// outcome is the state that RollingBack leads to.
	// +optional
	Outcome ReleaseState `json:"outcome,omitempty"`

	// stepsHash of spec.steps, to notice that they changed.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	StepsHash string `json:"stepsHash,omitempty"`

	// reason why the release ended or is paused, in a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`

	// weightCommittedAt is when the present weight became visible to devices.
	// +optional
	WeightCommittedAt *metav1.MicroTime `json:"weightCommittedAt,omitempty"`

	// stage counts the weights and exclusions of the release, from 1: devices of both arms are counted anew in each.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Stage int32 `json:"stage,omitempty"`

	// tries counts how often the analysis has spoken against this digest before, in this Rollout: each time it takes twice the evidence.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Tries int32 `json:"tries,omitempty"`

	// rises of the weight within the last hour, the oldest first, for the Channel's maxWeightPerHour.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Rises []Rise `json:"rises,omitempty"`

	// exclude are the slices that are not offered the candidate.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Exclude []Slice `json:"exclude,omitempty"`

	// overruledBy is who promoted although the analysis could not tell, for the next rise. Unset: nobody.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	OverruledBy string `json:"overruledBy,omitempty"`
}

// Rise is a rise of the weight.
type Rise struct {
	// at which the weight was asked for.
	// +required
	At metav1.MicroTime `json:"at,omitzero"`

	// by how much.
	// +required
	By Percent `json:"by,omitempty"`
}

// AssignmentState is what a Channel should do with the bundle of a rollout.
//
// +kubebuilder:validation:Enum=Candidate;Promoted;Withdrawn
type AssignmentState string

const (
	// AssignmentCandidate offers the bundle to a share of the devices.
	AssignmentCandidate AssignmentState = "Candidate"
	// AssignmentPromoted makes the bundle stable.
	AssignmentPromoted AssignmentState = "Promoted"
	// AssignmentWithdrawn offers the bundle to nobody.
	AssignmentWithdrawn AssignmentState = "Withdrawn"
)

// Assignment is what a Channel should serve for a rollout.
type Assignment struct {
	// release is the revision of the release that this belongs to.
	// +required
	// +kubebuilder:validation:Minimum=1
	Release int64 `json:"release,omitempty"`

	// state is what to do with the bundle.
	// +required
	State AssignmentState `json:"state,omitempty"`

	// bundle is the name of the Bundle.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Bundle string `json:"bundle,omitempty"`

	// digest of the artifact: the Channel serves nothing else under this name.
	// +required
	Digest Digest `json:"digest,omitempty"`

	// weight of the candidate.
	// +optional
	Weight Percent `json:"weight,omitempty"`

	// stage of the release: devices of both arms are counted anew in each.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Stage int32 `json:"stage,omitempty"`

	// exclude are the slices that are not offered the candidate, and brought back when they have it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Exclude []Slice `json:"exclude,omitempty"`

	// salt of the candidate's cohort.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Salt string `json:"salt,omitempty"`

	// refuse is why the digest must not be offered again. Unset: it may.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Refuse string `json:"refuse,omitempty"`

	// lift is set when a person asked to try a refused digest again.
	// +optional
	// +kubebuilder:validation:Enum=Refusal
	Lift string `json:"lift,omitempty"`
}

// CommandResult is what became of a command.
//
// +kubebuilder:validation:Enum=Accepted;Refused
type CommandResult string

const (
	// CommandAccepted was carried out.
	CommandAccepted CommandResult = "Accepted"
	// CommandRefused was not; message says why.
	CommandRefused CommandResult = "Refused"
)

// CommandStatus is a command by annotation that was acted upon.
type CommandStatus struct {
	// id of the command.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	ID string `json:"id,omitempty"`

	// name of the command.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name,omitempty"`

	// by whom, as stamped by admission.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`

	// actor says how far by can be relied on.
	// +optional
	Actor Actor `json:"actor,omitempty"`

	// at is when it was acted upon.
	// +optional
	At *metav1.Time `json:"at,omitempty"`

	// result of the command.
	// +optional
	Result CommandResult `json:"result,omitempty"`

	// message is what the command was given, such as a reason; or says why it was refused.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// EvidenceLeft is the evidence of a metric at the end of a release.
type EvidenceLeft struct {
	// name of the metric.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// limit that the metric was held against: evidence against another one says nothing.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Limit string `json:"limit,omitempty"`

	// state of the sequential tests, for the controller, without what they counted.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	State string `json:"state,omitempty"`
}

// RolloutHistoryEntry is an ended release.
type RolloutHistoryEntry struct {
	// revision of the release.
	// +optional
	Revision int64 `json:"revision,omitempty"`

	// bundle is the name of the Bundle.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Bundle string `json:"bundle,omitempty"`

	// digest of the artifact.
	// +optional
	Digest Digest `json:"digest,omitempty"`

	// startedAt is when the release began.
	// +optional
	StartedAt *metav1.MicroTime `json:"startedAt,omitempty"`

	// endedAt is when the release ended.
	// +optional
	EndedAt *metav1.MicroTime `json:"endedAt,omitempty"`

	// tries counts how often the analysis had spoken against this digest by the end of the release.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Tries int32 `json:"tries,omitempty"`

	// evidence of the metrics with sequential tests, for the next release of the digest. A release that is Completed leaves none.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Evidence []EvidenceLeft `json:"evidence,omitempty"`

	// ended tells how: Completed, RolledBack, Aborted, Superseded.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Ended string `json:"ended,omitempty"`

	// reason in a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`
}
