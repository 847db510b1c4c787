// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package analysis turns measurements into verdicts. It is pure: adapters measure, Judge decides what a measurement means
// under a metric's limits, and Overall is the verdict of a rollout.
package analysis

import (
	"fmt"
	"math"
	"strconv"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
)

// Counts are devices of one arm, one vote each.
type Counts struct {
	Devices  int64 // that reported success or failure
	Failures int64 // among them
}

// Measurement is what an adapter brought home. At most one of Err and NoData is set.
type Measurement struct {
	At     time.Time
	Value  float64 // prometheus only
	NoData string  // why there is nothing to measure
	Err    string  // why the provider could not be asked, or what it said instead of a number

	Candidate, Control *Counts          // telemetry only
	Stages             []eprocess.Stage // telemetry only: all stages of the release so far, the oldest first
}

// Limits are what a metric is held against.
type Limits struct {
	Min, Max *float64 // range of good values, both ends included; prometheus only

	MaxRate     *float64 // highest share of failed candidate devices, 0 to 1; telemetry only
	MaxIncrease *float64 // highest ratio to the control's arm; telemetry only
	Silent      bool     // devices that come back are compared, by MaxIncrease, and not those that fail
	Budget      float64  // of false alarms, of each sequential test of the metric; telemetry only
	Tries       int32    // how often the analysis has spoken against the digest before

	MinSamples int64 // candidate devices below which nothing is concluded, except what no further device could change

	FailureLimit int32 // consecutive measurements outside the limits that are tolerated
	ErrorLimit   int32 // consecutive errors of the provider that are tolerated

	NoDataHold time.Duration
	NoDataThen otav1alpha1.NoDataAction
}

// Result is a metric's verdict along with the little state that the next measurement needs.
type Result struct {
	Name    string
	Verdict otav1alpha1.Verdict
	Message string // what was measured, and the limit
	Value   string
	Limit   string

	Candidate, Control *Counts

	Tests         []eprocess.State // of the metric's sequential tests, in the order of Limits.Tests
	Evidence      float64          // of the test that has most of it, as a natural logarithm
	EvidenceLimit float64          // that takes the release back, as a natural logarithm; 0: the metric has no sequential test
	History       []Past           // the newest first
	DryRun        bool             // the metric only watches

	Failures   int32     // consecutive measurements outside the limits
	Errors     int32     // consecutive errors of the provider
	Since      time.Time // when the metric began to give this verdict
	MeasuredAt time.Time

	Pause   bool // a budget is spent: a person has to look
	Ignored bool // leave the metric out: noData.then is Ignore
}

// Past is a measurement of the past.
type Past struct {
	At       time.Time
	Verdict  otav1alpha1.Verdict
	Value    string
	Evidence float64 // as a natural logarithm
}

// Judge says what a measurement means under the limits, given the result before it.
func Judge(l Limits, prev Result, m Measurement) Result {
	r := Result{Name: prev.Name, MeasuredAt: m.At, Candidate: m.Candidate, Control: m.Control, Failures: prev.Failures, Limit: l.text()}
	switch err, noData := unusable(m); {
	case err != "":
		r.Verdict, r.Message = otav1alpha1.VerdictProviderError, err
		r.Errors = min(prev.Errors, l.ErrorLimit) + 1 // a spent budget need not be counted on
	case noData != "":
		r.Verdict, r.Message = otav1alpha1.VerdictNoData, noData
	case l.MaxRate != nil:
		r.judgeRate(l)
	default:
		r.judgeRange(l, m.Value)
	}
	r.Since = m.At
	if prev.Verdict == r.Verdict && !prev.Since.IsZero() {
		r.Since = prev.Since
	}
	r.Budget(l)
	return r
}

// Budget tells whether errors, or the lack of data, have used up what is tolerated. Judge calls it; a result that was stored
// without it needs it again.
func (r *Result) Budget(l Limits) {
	switch r.Verdict {
	case otav1alpha1.VerdictProviderError:
		r.Pause = r.Errors > l.ErrorLimit
	case otav1alpha1.VerdictNoData:
		r.spendNoData(l)
	}
}

// unusable tells apart what is no measurement: an error of the provider, or nothing to measure.
func unusable(m Measurement) (err, noData string) {
	switch {
	case m.Err != "":
		return m.Err, ""
	case m.NoData != "":
		return "", m.NoData
	case math.IsNaN(m.Value):
		return "", "the value is not a number"
	case math.IsInf(m.Value, 0):
		return "the value is infinite", ""
	case m.Value < 0:
		return "the value is negative: a rate, ratio or duration cannot be", ""
	}
	return "", ""
}

// judgeRate compares failed devices with maxRate. Below minSamples it concludes a failure only when no further device could
// change it: when the failures already exceed what minSamples devices may have.
func (r *Result) judgeRate(l Limits) {
	c := Counts{}
	if r.Candidate != nil {
		c = *r.Candidate
	}
	if c.Devices < 0 || c.Failures < 0 || c.Failures > c.Devices {
		r.Verdict, r.Message = otav1alpha1.VerdictProviderError, fmt.Sprintf("impossible counts: %d failures of %d devices", c.Failures, c.Devices)
		return
	}
	if c.Devices > 0 {
		r.Value = text(float64(c.Failures) / float64(c.Devices))
	}
	base := max(c.Devices, l.MinSamples)
	// Rates have at most nine decimals: half of the last one keeps floating point from deciding what is exactly at the limit.
	if float64(c.Failures) > (*l.MaxRate+5e-10)*float64(base) {
		r.breach(l, fmt.Sprintf("%d of %d devices failed, more than %s", c.Failures, c.Devices, percent(*l.MaxRate)))
		return
	}
	r.Failures = 0
	if c.Devices < l.MinSamples {
		r.Verdict, r.Message = otav1alpha1.VerdictNotEnoughSamples, fmt.Sprintf("%d of %d devices reported", c.Devices, l.MinSamples)
		return
	}
	r.Verdict, r.Message = otav1alpha1.VerdictPassing, fmt.Sprintf("%d of %d devices failed, at most %s allowed", c.Failures, c.Devices, percent(*l.MaxRate))
}

func (r *Result) judgeRange(l Limits, v float64) {
	r.Value = text(v)
	switch {
	case l.Min != nil && v < *l.Min:
		r.breach(l, fmt.Sprintf("%s is below %s", text(v), text(*l.Min)))
	case l.Max != nil && v > *l.Max:
		r.breach(l, fmt.Sprintf("%s is above %s", text(v), text(*l.Max)))
	default:
		r.Failures = 0
		r.Verdict, r.Message = otav1alpha1.VerdictPassing, fmt.Sprintf("%s is within %s", text(v), l.text())
	}
}

// breach counts a measurement outside the limits. Until failureLimit is exceeded it is too little to conclude a failure, and
// surely no reason to go on.
func (r *Result) breach(l Limits, message string) {
	r.Failures = min(r.Failures, l.FailureLimit) + 1
	if r.Failures > l.FailureLimit {
		r.Verdict, r.Message = otav1alpha1.VerdictFailing, message
		return
	}
	r.Verdict = otav1alpha1.VerdictNotEnoughSamples
	r.Message = fmt.Sprintf("%s (%d of %d tolerated)", message, r.Failures, l.FailureLimit)
}

// spendNoData does what noData.then asks for once there has been nothing to measure for too long.
func (r *Result) spendNoData(l Limits) {
	if r.MeasuredAt.Sub(r.Since) < l.NoDataHold {
		return
	}
	switch l.NoDataThen {
	case otav1alpha1.NoDataFail:
		r.Verdict, r.Message = otav1alpha1.VerdictFailing, fmt.Sprintf("no data for %s: %s", l.NoDataHold, r.Message)
	case otav1alpha1.NoDataIgnore:
		r.Ignored = true
	default:
		r.Pause = true
	}
}

// rank orders verdicts from best to worst.
func rank(v otav1alpha1.Verdict) int {
	switch v {
	case otav1alpha1.VerdictPassing:
		return 0
	case otav1alpha1.VerdictNotEnoughSamples:
		return 1
	case otav1alpha1.VerdictNoData:
		return 2
	case otav1alpha1.VerdictProviderError:
		return 3
	}
	return 4
}

// Overall is the worst verdict of all metrics that count, and the metric that gave it. No metric at all is NoData, unless
// all of them are ignored.
func Overall(results []Result) (otav1alpha1.Verdict, *Result) {
	var worst *Result
	for i := range results {
		if r := &results[i]; !r.Ignored && (worst == nil || rank(r.Verdict) > rank(worst.Verdict)) {
			worst = r
		}
	}
	switch {
	case worst != nil:
		return worst.Verdict, worst
	case len(results) > 0:
		return otav1alpha1.VerdictPassing, nil
	}
	return otav1alpha1.VerdictNoData, nil
}

func (l Limits) text() string {
	switch {
	case l.MaxRate != nil:
		return "<= " + text(*l.MaxRate)
	case l.Min != nil && l.Max != nil:
		return text(*l.Min) + " to " + text(*l.Max)
	case l.Min != nil:
		return ">= " + text(*l.Min)
	case l.Max != nil:
		return "<= " + text(*l.Max)
	}
	return ""
}

func text(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func percent(v float64) string { return strconv.FormatFloat(v*100, 'g', 4, 64) + " %" }
