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
	// +optional
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

	// windows limit when weights may rise. Not supported yet: the Rollout stalls.
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

// Analysis measures a candidate.
type Analysis struct {
	// startingStep is the index of the first step at which the analysis counts. When unset, 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=63
	StartingStep *int32 `json:"startingStep,omitempty"`

	// bake goes on with the analysis after 100 %. Not supported yet: the Rollout stalls.
	// +optional
	Bake Duration `json:"bake,omitempty"`

	// holdout is the percentage of devices that stay on stable during the bake. Not supported yet: the Rollout stalls.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=50
	Holdout *int32 `json:"holdout,omitempty"`

	// metrics to measure. The worst verdict counts.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Metrics []Metric `json:"metrics,omitempty"`
}

// Metric is one measurement.
//
// +kubebuilder:validation:ExactlyOneOf=telemetry;prometheus
// +kubebuilder:validation:XValidation:rule="!has(self.telemetry) || has(self.maxRate) || has(self.maxIncrease)",message="a telemetry metric needs a limit: set maxRate or maxIncrease"
// +kubebuilder:validation:XValidation:rule="!has(self.telemetry) || !has(self.thresholdRange)",message="thresholdRange is for prometheus metrics: a telemetry metric takes maxRate"
// +kubebuilder:validation:XValidation:rule="!has(self.prometheus) || has(self.thresholdRange)",message="a prometheus metric needs a limit: set thresholdRange with min, max or both"
// +kubebuilder:validation:XValidation:rule="!has(self.prometheus) || !(has(self.maxRate) || has(self.maxIncrease) || has(self.confidence) || has(self.minSamples))",message="maxRate, maxIncrease, confidence and minSamples are for telemetry metrics: a prometheus metric takes thresholdRange"
type Metric struct {
	// name of the metric in status and messages.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="must be lower-case letters, digits and dashes"
	Name string `json:"name,omitempty"`

	// interval between measurements. When unset, 30s for prometheus and 5s for telemetry. At least 1s.
	// +optional
	Interval Duration `json:"interval,omitempty"`

	// telemetry counts what devices reported for the candidate.
	// +optional
	Telemetry *TelemetryMetric `json:"telemetry,omitempty"`

	// prometheus runs a query.
	// +optional
	Prometheus *PrometheusMetric `json:"prometheus,omitempty"`

	// maxRate is the highest share of candidate devices with the outcome: "0.02" is 2 %.
	// +optional
	MaxRate Decimal `json:"maxRate,omitempty"`

	// maxIncrease is the highest ratio to the stable devices of the same time. Not supported yet: the Rollout stalls.
	// +optional
	MaxIncrease Decimal `json:"maxIncrease,omitempty"`

	// confidence of the sequential test. Not supported yet: the Rollout stalls.
	// +optional
	Confidence Decimal `json:"confidence,omitempty"`

	// minSamples is the number of candidate devices below which the metric says NotEnoughSamples. When unset, 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	MinSamples *int32 `json:"minSamples,omitempty"`

	// thresholdRange is the range of good values.
	// +optional
	ThresholdRange *ThresholdRange `json:"thresholdRange,omitempty"`

	// failureLimit is how many consecutive measurements outside the limit are tolerated. When unset, 0: the first one fails.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	FailureLimit *int32 `json:"failureLimit,omitempty"`

	// consecutiveErrorLimit is how many consecutive errors of the provider are tolerated before the rollout pauses. When unset, 4.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	ConsecutiveErrorLimit *int32 `json:"consecutiveErrorLimit,omitempty"`

	// noData says what happens when there is nothing to measure. When unset, hold for 30m, then Pause.
	// +optional
	NoData *NoDataPolicy `json:"noData,omitempty"`
}

// TelemetryOutcome is an outcome that devices report.
//
// +kubebuilder:validation:Enum=Failed
type TelemetryOutcome string

// OutcomeFailed counts devices on which the bundle failed.
const OutcomeFailed TelemetryOutcome = "Failed"

// TelemetryMetric counts what devices reported for the candidate: one device, one vote.
type TelemetryMetric struct {
	// outcome to count.
	// +required
	Outcome TelemetryOutcome `json:"outcome,omitempty"`
}

// PrometheusMetric runs a query.
type PrometheusMetric struct {
	// address of the server.
	// +required
	Address URL `json:"address,omitempty"`

	// query in PromQL, as a Go template over .app, .channel, .bundle, .version, .digest and .window. It must give one number.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Query string `json:"query,omitempty"`
}

// ThresholdRange is a range of good values, both ends included.
//
// +kubebuilder:validation:AtLeastOneOf=min;max
type ThresholdRange struct {
	// min is the lowest good value.
	// +optional
	Min Decimal `json:"min,omitempty"`

	// max is the highest good value.
	// +optional
	Max Decimal `json:"max,omitempty"`
}

// NoDataAction is what happens when there is nothing to measure for too long.
//
// +kubebuilder:validation:Enum=Pause;Fail;Ignore
type NoDataAction string

const (
	// NoDataPause pauses the rollout until a person resumes it.
	NoDataPause NoDataAction = "Pause"
	// NoDataFail counts as a failure.
	NoDataFail NoDataAction = "Fail"
	// NoDataIgnore leaves the metric out until data arrive.
	NoDataIgnore NoDataAction = "Ignore"
)

// NoDataPolicy says what happens when there is nothing to measure.
type NoDataPolicy struct {
	// hold is how long the rollout waits for data. When unset, 30m.
	// +optional
	Hold Duration `json:"hold,omitempty"`

	// then is what happens afterwards. When unset, Pause.
	// +optional
	Then NoDataAction `json:"then,omitempty"`
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

// RollbackTarget is what devices that have the candidate are brought back to.
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

	// to is what devices that have the candidate are brought back to. When unset, Stable. Embedded and Bundle are not supported
	// yet: the Rollout stalls.
	// +optional
	To RollbackTarget `json:"to,omitempty"`

	// bundleRef names the Bundle to go back to.
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

// RolloutStatus is how far a release is, and why.
type RolloutStatus struct {
	// conditions are Ready, Progressing, Paused, AnalysisPassing, RolledBack; Reconciling and Stalled only while True.
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

	// analysis is the last result of each metric.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Analysis []MetricStatus `json:"analysis,omitempty"`

	// lastCommand is the last command by annotation that was acted upon.
	// +optional
	LastCommand *CommandStatus `json:"lastCommand,omitempty"`

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
	// ReleaseRolledBack was taken back because its analysis failed.
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

// Verdict is the result of an analysis.
//
// +kubebuilder:validation:Enum=Passing;Failing;NotEnoughSamples;NoData;ProviderError
type Verdict string

const (
	// VerdictPassing means measured, enough samples, within limits.
	VerdictPassing Verdict = "Passing"
	// VerdictFailing means that the limit is broken.
	VerdictFailing Verdict = "Failing"
	// VerdictNotEnoughSamples means measured, too few devices.
	VerdictNotEnoughSamples Verdict = "NotEnoughSamples"
	// VerdictNoData means that there was nothing to measure.
	VerdictNoData Verdict = "NoData"
	// VerdictProviderError means that the provider could not be asked or gave no number.
	VerdictProviderError Verdict = "ProviderError"
)

// ArmCounts counts devices of one arm.
type ArmCounts struct {
	// devices that reported success or failure.
	// +required
	Devices int64 `json:"devices"`

	// failures among them.
	// +required
	Failures int64 `json:"failures"`
}

// MetricStatus is the last result of a metric.
type MetricStatus struct {
	// name of the metric.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// verdict of the metric.
	// +required
	Verdict Verdict `json:"verdict,omitempty"`

	// value that was measured.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Value string `json:"value,omitempty"`

	// limit that the value is held against.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Limit string `json:"limit,omitempty"`

	// message says what was measured or what went wrong.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`

	// candidate counts devices on the candidate.
	// +optional
	Candidate *ArmCounts `json:"candidate,omitempty"`

	// control counts devices on stable.
	// +optional
	Control *ArmCounts `json:"control,omitempty"`

	// failures is the number of consecutive measurements outside the limit.
	// +optional
	Failures int32 `json:"failures,omitempty"`

	// errors is the number of consecutive errors of the provider.
	// +optional
	Errors int32 `json:"errors,omitempty"`

	// measuredAt is when the last measurement was made.
	// +optional
	MeasuredAt *metav1.MicroTime `json:"measuredAt,omitempty"`

	// since is when the metric began to give this verdict.
	// +optional
	Since *metav1.MicroTime `json:"since,omitempty"`
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

	// at is when it was acted upon.
	// +optional
	At *metav1.Time `json:"at,omitempty"`

	// result of the command.
	// +optional
	Result CommandResult `json:"result,omitempty"`

	// message says why a command was refused.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
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

	// ended tells how: Completed, RolledBack, Aborted, Superseded.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Ended string `json:"ended,omitempty"`

	// reason in a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`
}
