// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Analysis measures a candidate.
type Analysis struct {
	// startingStep is the index of the first step at which the analysis counts. When unset, 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=63
	StartingStep *int32 `json:"startingStep,omitempty"`

	// bake goes on with the analysis after the last step, at 100 % less the holdout, before the bundle becomes stable. When unset,
	// it becomes stable when the last step is done.
	// +optional
	Bake Duration `json:"bake,omitempty"`

	// holdout is the percentage of devices that stay on stable during the bake, as its control. Needs bake. When unset, 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=50
	Holdout *int32 `json:"holdout,omitempty"`

	// onSlice says what happens when one part of the devices explains the failures. When unset, Recommend.
	// +optional
	OnSlice OnSlice `json:"onSlice,omitempty"`

	// metrics to measure. The worst verdict counts. All sequential tests share one budget of false alarms.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Metrics []Metric `json:"metrics,omitempty"`
}

// OnSlice says what happens when one part of the devices explains the failures.
//
// +kubebuilder:validation:Enum=Recommend;Exclude
type OnSlice string

const (
	// SliceRecommend names the slice in status; what the analysis leads to does not change.
	SliceRecommend OnSlice = "Recommend"
	// SliceExclude brings the slice back to stable and goes on with the other devices, when without it nothing speaks against the bundle.
	SliceExclude OnSlice = "Exclude"
)

// DryRun says whether a metric only watches.
//
// +kubebuilder:validation:Enum=Enabled;Disabled
type DryRun string

const (
	// DryRunEnabled measures and shows the verdict; it decides nothing and takes no share of the budget of false alarms.
	DryRunEnabled DryRun = "Enabled"
	// DryRunDisabled lets the metric decide.
	DryRunDisabled DryRun = "Disabled"
)

// Metric is one measurement.
//
// +kubebuilder:validation:ExactlyOneOf=telemetry;prometheus;web
// +kubebuilder:validation:XValidation:rule="!has(self.telemetry) || has(self.maxRate) || has(self.maxIncrease)",message="a telemetry metric needs a limit: set maxRate or maxIncrease"
// +kubebuilder:validation:XValidation:rule="!has(self.telemetry) || !(has(self.thresholdRange) || has(self.failureLimit))",message="thresholdRange and failureLimit are for prometheus and web metrics: a telemetry metric takes maxRate, maxIncrease and confidence"
// +kubebuilder:validation:XValidation:rule="!has(self.telemetry) || self.telemetry.outcome != 'Silent' || (has(self.maxIncrease) && !has(self.maxRate))",message="outcome Silent is held against the stable devices: set maxIncrease, and not maxRate"
// +kubebuilder:validation:XValidation:rule="has(self.telemetry) || has(self.thresholdRange)",message="a prometheus or web metric needs a limit: set thresholdRange with min, max or both"
// +kubebuilder:validation:XValidation:rule="has(self.telemetry) || !(has(self.maxRate) || has(self.maxIncrease) || has(self.confidence) || has(self.minSamples))",message="maxRate, maxIncrease, confidence and minSamples are for telemetry metrics: a prometheus or web metric takes thresholdRange"
type Metric struct {
	// name of the metric in status and messages.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="must be lower-case letters, digits and dashes"
	Name string `json:"name,omitempty"`

	// interval between measurements. When unset, 30s for prometheus and web, and 5s for telemetry. At least 1s.
	// +optional
	Interval Duration `json:"interval,omitempty"`

	// telemetry counts what devices reported for the candidate.
	// +optional
	Telemetry *TelemetryMetric `json:"telemetry,omitempty"`

	// prometheus runs a query.
	// +optional
	Prometheus *PrometheusMetric `json:"prometheus,omitempty"`

	// web asks a URL that answers in JSON.
	// +optional
	Web *WebMetric `json:"web,omitempty"`

	// dryRun lets the metric only watch. When unset, Disabled.
	// +optional
	DryRun DryRun `json:"dryRun,omitempty"`

	// maxRate is the highest share of candidate devices with the outcome, by a sequential test: "0.02" is 2 %.
	// +optional
	MaxRate Decimal `json:"maxRate,omitempty"`

	// maxIncrease is the highest ratio to the stable devices of the same time, by a sequential test: "1" is no increase, "2" is twice
	// as many. With outcome Silent: how many times longer devices may take to come back.
	// +optional
	MaxIncrease Decimal `json:"maxIncrease,omitempty"`

	// confidence that the limit is broken before the release is taken back. All sequential tests of a Rollout share 1 less the highest
	// confidence as their budget of false alarms. When unset, "0.95". From "0.5" to "0.999999".
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
// +kubebuilder:validation:Enum=Failed;Silent
type TelemetryOutcome string

const (
	// OutcomeFailed counts devices on which the bundle failed.
	OutcomeFailed TelemetryOutcome = "Failed"
	// OutcomeSilent counts devices that did not come back after they were offered the bundle.
	OutcomeSilent TelemetryOutcome = "Silent"
)

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

// WebMetric asks a URL that answers in JSON. The answer has to hold one number.
//
// +kubebuilder:validation:ExactlyOneOf=jsonPath;cel
type WebMetric struct {
	// url to ask, as a Go template over .app, .channel, .bundle, .version, .digest and .window.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^@#/]+(/[^#]*)?$')",message="must be an absolute http or https URL without user name and without a fragment"
	URL string `json:"url,omitempty"`

	// jsonPath of the number in the answer, as kubectl has it: {.data.errorRate}.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	JSONPath string `json:"jsonPath,omitempty"`

	// cel is an expression over the answer, named result: double(result.failed) / double(result.total).
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	CEL string `json:"cel,omitempty"`

	// headersSecretRef names a Secret whose keys are sent as headers. Its annotation ota.windlass.dev/hosts has to name the URL's host.
	// +optional
	HeadersSecretRef *LocalReference `json:"headersSecretRef,omitempty"`
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

	// exposed is how many checked in and should run the bundle, since the present stage began.
	// +optional
	Exposed int64 `json:"exposed,omitempty"`

	// returned is how many of the exposed came back.
	// +optional
	Returned int64 `json:"returned,omitempty"`
}

// Measured is one measurement of a metric.
type Measured struct {
	// at which it was made.
	// +required
	At metav1.Time `json:"at,omitzero"`

	// verdict of the metric.
	// +required
	Verdict Verdict `json:"verdict,omitempty"`

	// value that was measured.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Value string `json:"value,omitempty"`

	// evidence against the candidate.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Evidence string `json:"evidence,omitempty"`
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

	// evidence against the candidate, of the sequential test that has most of it: 1 is none, evidenceLimit takes the release back.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Evidence string `json:"evidence,omitempty"`

	// evidenceLimit is the number of sequential tests divided by the budget of false alarms.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	EvidenceLimit string `json:"evidenceLimit,omitempty"`

	// state of the sequential tests, for the controller: versioned, and rebuilt from the gateways' counts when it is lost.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	State string `json:"state,omitempty"`

	// dryRun is Enabled when the metric only watches.
	// +optional
	DryRun DryRun `json:"dryRun,omitempty"`

	// outage is how long the provider has not been able to tell.
	// +optional
	Outage Duration `json:"outage,omitempty"`

	// history of measurements, the newest first, at most one a minute unless the verdict changes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	History []Measured `json:"history,omitempty"`

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

	// heldSince is since when a suspicion, or a control that is too small, holds the release.
	// +optional
	HeldSince *metav1.MicroTime `json:"heldSince,omitempty"`
}
