// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package analysis turns measurements into verdicts. It is pure: adapters measure, Judge decides what a measurement means
// under a metric's limits, and Overall is the verdict of a rollout.
package analysis

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
)

// Counts are devices of one arm since the present stage began, one vote each.
type Counts struct {
	Devices  int64 // that reported success or failure
	Failures int64 // among them
	Exposed  int64 // that checked in
	Returned int64 // among those: checked in again
}

// Measurement is what an adapter brought home. At most one of Err and NoData is set.
type Measurement struct {
	At     time.Time
	Value  float64 // prometheus only
	NoData string  // why there is nothing to measure
	Err    string  // why the provider could not be asked, or what it said instead of a number

	Stages []eprocess.Stage // telemetry only: all stages of the release so far, the oldest first
}

// Limits are what a metric is held against.
type Limits struct {
	Min, Max *float64 // range of good values, both ends included; prometheus only

	MaxRate     *float64 // highest share of failed candidate devices, 0 to below 1; telemetry only
	MaxIncrease *float64 // highest ratio to the control's arm; telemetry only
	Silent      bool     // devices that come back are compared, by MaxIncrease, and not those that fail
	Budget      float64  // of false alarms, of each sequential test of the metric, in (0, 1); telemetry only
	Tries       int32    // how often the analysis has spoken against the digest before
	DryRun      bool     // the metric only watches

	// Stage is that of the release, from 1 on: what is said of the present is counted in it alone. 0 is the newest stage that there is.
	Stage      int32
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

	Candidate, Control *Counts // of the present stage, as last counted; telemetry only

	Tests         []eprocess.State // of the metric's sequential tests, in the order of Limits.Tests
	Evidence      float64          // of the test that has most of it, as a natural logarithm
	EvidenceLimit float64          // that takes the release back, as a natural logarithm; 0: the metric has no sequential test
	History       []Past           // the newest first
	DryRun        bool             // the metric only watches

	Failures   int32     // consecutive measurements outside the limits
	Errors     int32     // consecutive errors of the provider
	Since      time.Time // when the metric began to give this verdict
	MeasuredAt time.Time

	// Held is since when a suspicion, or a control that is too small, holds the release; zero: neither does. Failures of the candidate
	// do not come while it is good, and so time alone may never end either.
	Held time.Time

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
	r := Result{
		Name: prev.Name, MeasuredAt: m.At, Failures: prev.Failures, Limit: l.text(),
		Tests: prev.Tests, Evidence: prev.Evidence, EvidenceLimit: prev.EvidenceLimit, Held: prev.Held,
		Candidate: prev.Candidate, Control: prev.Control, // an outage takes nothing back
	}
	switch err, noData := unusable(m); {
	case err != "":
		r.providerError(l, prev, err)
	case noData != "":
		r.Verdict, r.Message = otav1alpha1.VerdictNoData, noData
	case l.sequential():
		if err := r.judgeStages(l, m.Stages); err != nil {
			r.providerError(l, prev, err.Error())
		}
	default:
		r.judgeRange(l, m.Value)
	}
	r.Since = m.At
	if prev.Verdict == r.Verdict && !prev.Since.IsZero() {
		r.Since = prev.Since
	}
	r.Budget(l)
	r.History = remember(prev.History, &r)
	return r
}

func (r *Result) providerError(l Limits, prev Result, message string) {
	r.Verdict, r.Message = otav1alpha1.VerdictProviderError, message
	r.Errors = min(prev.Errors, l.ErrorLimit) + 1 // a spent budget need not be counted on
}

// Bounds of a history.
const (
	maxHistory  = 10
	historyPace = time.Minute
)

// remember puts a result in front of the history, unless it says the same as the last one less than a minute ago.
func remember(history []Past, r *Result) []Past {
	if len(history) > 0 && history[0].Verdict == r.Verdict {
		if since := r.MeasuredAt.Sub(history[0].At); since >= 0 && since < historyPace {
			return history
		}
	}
	out := make([]Past, 0, maxHistory)
	out = append(out, Past{At: r.MeasuredAt, Verdict: r.Verdict, Value: r.Value, Evidence: r.Evidence})
	return append(out, history[:min(len(history), maxHistory-1)]...)
}

// Budget tells whether errors, or the lack of data, have used up what is tolerated. Judge calls it; a result that was stored
// without it needs it again.
func (r *Result) Budget(l Limits) {
	r.DryRun = l.DryRun
	switch r.Verdict {
	case otav1alpha1.VerdictProviderError:
		r.Pause = r.Errors > l.ErrorLimit && !l.DryRun
	case otav1alpha1.VerdictNoData:
		r.spendNoData(l)
	case otav1alpha1.VerdictNotEnoughSamples:
		r.Pause = r.stuck(l) && !l.DryRun
	}
}

// stuck tells whether a suspicion, or a control that is too small, has held the release for longer than is waited for data.
func (r *Result) stuck(l Limits) bool {
	return !r.Held.IsZero() && r.MeasuredAt.Sub(r.Held) >= l.NoDataHold
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
		r.Pause = !l.DryRun
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

// Deciding are the results of metrics that do not just watch. One that was not measured yet has none: it must not hide that another fails.
func Deciding(results []Result) []Result {
	return slices.DeleteFunc(slices.Clone(results), func(r Result) bool { return r.DryRun || r.Verdict == "" })
}

// Overall is the worst verdict of all metrics that count, and the metric that gave it. Those that only watch do not count. No metric at
// all is NoData; when none of them counts it is Passing.
func Overall(results []Result) (otav1alpha1.Verdict, *Result) {
	var worst *Result
	for i := range results {
		if r := &results[i]; !r.Ignored && !r.DryRun && (worst == nil || rank(r.Verdict) > rank(worst.Verdict)) {
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
	case l.sequential():
		return l.bounds()
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
