// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
)

// Tests are the sequential tests of a metric, first the one against the control. There are none for a thresholdRange.
func (l Limits) Tests() []eprocess.Test {
	out := make([]eprocess.Test, 0, 2)
	if l.MaxIncrease != nil {
		out = append(out, l.comparison())
	}
	if l.MaxRate != nil {
		out = append(out, eprocess.Test{Kind: eprocess.Rate, Limit: *l.MaxRate, Budget: l.Budget, Tries: l.Tries})
	}
	return out
}

// comparison is the test against the control, when there is a MaxIncrease.
func (l Limits) comparison() eprocess.Test {
	t := eprocess.Test{Kind: eprocess.Increase, Limit: *l.MaxIncrease, Budget: l.Budget, Tries: l.Tries}
	if l.Silent {
		t.Kind = eprocess.Silence
	}
	return t
}

// sequential tells whether the metric has sequential tests.
func (l Limits) sequential() bool { return l.MaxRate != nil || l.MaxIncrease != nil }

// judgeStages holds what devices did in all stages against the limits. An error means that the counts say nothing.
func (r *Result) judgeStages(l Limits, stages []eprocess.Stage) error {
	if n := len(stages); n > 0 && l.Stage > 0 && stages[n-1].ID > l.Stage {
		return fmt.Errorf("devices are counted in stage %d, and the release is in stage %d: another release has its name, or the counts are ahead "+
			"of the Rollout; expected none after its stage", stages[n-1].ID, l.Stage)
	}
	if err := r.look(l, stages); err != nil {
		return err
	}
	now := l.present(stages)
	r.Candidate, r.Control = counts(now.Candidate), counts(now.Control)
	r.Value = l.value(&now)
	r.Verdict, r.Message = r.conclude(l, &now, len(stages))
	r.hold(l, &now)
	return nil
}

// hold notes since when a suspicion, or a control that is too small, holds the release, and says what ends that when it takes too long.
func (r *Result) hold(l Limits, now *eprocess.Stage) {
	alone := !r.Suspicious() && now.Candidate.Exposed > 0 && l.alone(now) != "" && l.MaxRate == nil
	switch {
	case r.Verdict != otav1alpha1.VerdictNotEnoughSamples || (!alone && !r.Suspicious()):
		r.Held = time.Time{}
		return
	case r.Held.IsZero():
		r.Held = r.MeasuredAt
	}
	if !r.stuck(l) {
		return
	}
	what := "failures of stable devices"
	switch {
	case alone:
		what = "more stable devices"
	case l.Silent:
		what = "candidate devices that come back"
	case l.MaxIncrease == nil:
		what = "more devices that do not fail"
	case l.MaxRate != nil:
		what += " and devices that do not fail"
	}
	r.Message += fmt.Sprintf("; so it is for over %s: only %s settle it, or a person", l.NoDataHold, what)
}

// present is the stage of the release. It has no devices while none has checked in, whatever was counted before.
func (l Limits) present(stages []eprocess.Stage) eprocess.Stage {
	now := eprocess.Stage{ID: l.Stage}
	for _, s := range stages {
		if l.Stage == 0 || s.ID == l.Stage {
			now = s
		}
	}
	return now
}

// Suspicious tells whether there are two thirds of the evidence, as a logarithm, that takes the release back: nothing rises on it.
func (r *Result) Suspicious() bool {
	return r.EvidenceLimit > 0 && r.Evidence >= eprocess.Suspicion*r.EvidenceLimit
}

// look renews the tests and the evidence.
func (r *Result) look(l Limits, stages []eprocess.Stage) error {
	tests := l.Tests()
	states := make([]eprocess.State, len(tests))
	if len(r.Tests) == len(tests) { // else they are lost, or of another metric
		copy(states, r.Tests)
	}
	evidence := math.Inf(-1)
	for i, t := range tests {
		var err error
		if states[i], err = t.Update(states[i], stages); err != nil {
			return err
		}
		evidence = max(evidence, t.Log(states[i]))
	}
	r.Tests, r.Evidence, r.EvidenceLimit = states, evidence, tests[0].LogLimit()
	return nil
}

// conclude gives the verdict on the present stage, with the evidence of all stages.
func (r *Result) conclude(l Limits, now *eprocess.Stage, stages int) (otav1alpha1.Verdict, string) {
	measured, alone := l.measured(now), l.alone(now)
	evidence := fmt.Sprintf("evidence %s of %s against it", Evidence(r.Evidence), Evidence(r.EvidenceLimit))
	if stages > 1 {
		measured = fmt.Sprintf("stage %d: %s", now.ID, measured)
		evidence += " in all stages"
	}
	switch {
	case r.Evidence >= r.EvidenceLimit:
		return otav1alpha1.VerdictFailing, fmt.Sprintf("%s, limit %s: %s, which is enough to stop", measured, l.bounds(), evidence)
	case r.Suspicious():
		return otav1alpha1.VerdictNotEnoughSamples, fmt.Sprintf("%s, limit %s: %s, waiting for more devices", measured, l.bounds(), evidence)
	case now.Candidate.Exposed == 0:
		return otav1alpha1.VerdictNotEnoughSamples,
			"no candidate device has checked in since the weight was raised or devices were excluded: waiting for them"
	case alone != "" && l.MaxRate == nil:
		return otav1alpha1.VerdictNotEnoughSamples, alone + ": waiting for more, as there is no maxRate to judge by"
	case now.Candidate.Voted < l.MinSamples:
		return otav1alpha1.VerdictNotEnoughSamples,
			fmt.Sprintf("%d of %d devices reported, waiting for more: %s", now.Candidate.Voted, l.MinSamples, evidence)
	}
	message := fmt.Sprintf("%s, limit %s: %s, it may go on", measured, l.bounds(), evidence)
	if alone != "" {
		message += "; " + alone + ", so maxRate alone decides"
	}
	return otav1alpha1.VerdictPassing, message
}

// alone says why the candidate's arm cannot be compared with the control; it is empty when it can.
func (l Limits) alone(now *eprocess.Stage) string {
	if l.MaxIncrease == nil {
		return ""
	}
	switch need := l.comparison().ControlNeeded(); {
	case now.Control.Exposed == 0:
		return "no control device has checked in"
	case now.Control.Exposed < need:
		return fmt.Sprintf("only %d control devices have checked in, and with fewer than %d not even a total failure would show",
			now.Control.Exposed, need)
	}
	return ""
}

// measured says what the devices of the present stage did.
func (l Limits) measured(now *eprocess.Stage) string {
	c, s := &now.Candidate, &now.Control
	switch {
	case l.Silent:
		return fmt.Sprintf("%d of %d candidate and %d of %d control devices came back", c.Returned, c.Exposed, s.Returned, s.Exposed)
	case l.MaxIncrease == nil:
		return fmt.Sprintf("%d of %d devices failed", c.Failed, c.Exposed)
	}
	return fmt.Sprintf("%d of %d candidate and %d of %d control devices failed", c.Failed, c.Exposed, s.Failed, s.Exposed)
}

// value is what was measured in the present stage: the rate, the ratio to the control, or both. It is empty while neither is known.
func (l Limits) value(now *eprocess.Stage) string {
	var out []string
	rate := share(now.Candidate.Failed, now.Candidate.Exposed)
	if l.MaxRate != nil && now.Candidate.Exposed > 0 {
		out = append(out, text(rate))
	}
	ratio := rate / share(now.Control.Failed, now.Control.Exposed)
	if l.Silent { // as times longer: the fewer come back, the higher
		ratio = share(now.Control.Returned, now.Control.Exposed) / share(now.Candidate.Returned, now.Candidate.Exposed)
	}
	if l.MaxIncrease != nil && !math.IsNaN(ratio) && !math.IsInf(ratio, 0) {
		out = append(out, text(ratio)+"x")
	}
	return strings.Join(out, ", ")
}

func share(part, of int64) float64 { return float64(part) / float64(of) }

// bounds is the limit of the sequential tests.
func (l Limits) bounds() string {
	var out []string
	if l.MaxRate != nil {
		out = append(out, percent(*l.MaxRate))
	}
	switch {
	case l.MaxIncrease == nil:
	case l.Silent:
		out = append(out, text(*l.MaxIncrease)+"x as long as the control")
	default:
		out = append(out, text(*l.MaxIncrease)+"x the control")
	}
	return strings.Join(out, " or ")
}

func counts(a eprocess.Arm) *Counts {
	return &Counts{Devices: a.Voted, Failures: a.Failed, Exposed: a.Exposed, Returned: a.Returned}
}

// Evidence writes evidence that is given as a natural logarithm: 5.1. It has at most 8 bytes.
func Evidence(log float64) string {
	switch e := math.Exp(log); {
	case e > 1e9:
		return "over 1e9"
	case e < 0.01:
		return "0"
	case e < 99.5:
		return strconv.FormatFloat(e, 'g', 2, 64)
	default:
		return strconv.FormatFloat(e, 'f', 0, 64)
	}
}
