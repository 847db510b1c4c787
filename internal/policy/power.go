// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/window"
)

// Traffic is what is known of the devices of a channel.
type Traffic struct {
	Rate     float64 // devices of both arms that check in for the first time in a stage, per second
	Failing  float64 // share of the stable ones that fail
	Returned float64 // share of the stable ones that come back
	Devices  float64 // of the channel: no more can come, and they come ever more slowly; 0: not known, they come at the same rate
}

// arrivals are the devices of both arms that check in within a stage.
func (t Traffic) arrivals(d time.Duration) float64 {
	if t.Devices == 0 {
		return t.Rate * d.Seconds()
	}
	return -t.Devices * math.Expm1(-t.Rate*d.Seconds()/t.Devices)
}

// mostDevices bounds how many devices a step is expected to see.
const mostDevices = 1e12

// phase is a weight and how long a release stays there.
type phase struct {
	step     int // index in the spec; the number of steps for the bake
	weight   int32
	duration time.Duration
	samples  int64 // candidate devices that it waits for in any case
	open     bool  // until a person promotes
}

// Power is what each step can see in its time. There is none when no metric that decides counts devices. A step with devices that
// detects nothing would not even see a total outage.
//
// Devices are expected to come at the same rate in each step. Evidence of earlier steps is left out, so that a step sees no less.
func (p Policy) Power(t Traffic) []otav1alpha1.StepPower {
	counting := p.counting()
	if len(counting) == 0 {
		return nil
	}
	var power []otav1alpha1.StepPower
	for _, ph := range p.phases() {
		candidates := t.arrivals(ph.duration) * float64(ph.weight) / plan.FullWeight
		for _, m := range counting {
			candidates = max(candidates, float64(m.Limits.MinSamples))
		}
		candidates = min(max(candidates, float64(ph.samples)), mostDevices)
		out := otav1alpha1.StepPower{Step: int32(ph.step), Weight: plan.FormatWeight(ph.weight), Devices: int64(candidates)}
		if ph.open {
			out.Devices = 0
			out.Message = ph.name(p, 0) + " lasts until a person promotes"
			power = append(power, out)
			continue
		}
		ratio, ok := detects(counting, t, candidates, ph.weight)
		out.Message = ph.name(p, out.Devices) + " could not even see a total outage"
		if ok {
			out.Detects = times(ratio)
			out.Message = fmt.Sprintf("%s sees x%s or worse; it cannot see less", ph.name(p, out.Devices), out.Detects)
		}
		power = append(power, out)
	}
	return power
}

// times writes a ratio: 3.1, 120, or 1e+06.
func times(ratio float64) string {
	if ratio >= 100 && ratio < 1e6 {
		return strconv.FormatFloat(ratio, 'f', 0, 64)
	}
	return strconv.FormatFloat(ratio, 'g', 2, 64)
}

// counting are the metrics that decide by counting devices: those that fail, or else those that come back.
func (p Policy) counting() []Metric {
	var failing, silent []Metric
	for _, m := range p.Metrics {
		switch {
		case m.Limits.DryRun || m.tests() == 0:
		case m.Limits.Silent:
			silent = append(silent, m)
		default:
			failing = append(failing, m)
		}
	}
	if len(failing) == 0 {
		return silent
	}
	return failing
}

// detects is the smallest ratio to the base rate that one of the metrics finds.
func detects(metrics []Metric, t Traffic, candidates float64, weight int32) (ratio float64, ok bool) {
	o := analysis.Outlook{Candidate: candidates, Control: candidates * float64(plan.FullWeight-weight) / float64(weight)}
	for _, m := range metrics {
		if o.BaseRate = t.Failing; m.Limits.Silent {
			o.BaseRate = t.Returned
		}
		if r, sees := m.Limits.Detects(o); sees && (!ok || r < ratio) {
			ratio, ok = r, true
		}
	}
	return ratio, ok
}

// phases are the weights that a release stays at, one after the other.
func (p Policy) phases() []phase {
	var out []phase
	for i, s := range p.Spec.Steps {
		last := len(out) - 1
		switch {
		case !s.Pause && s.Weight > 0 && (last < 0 || out[last].weight != s.Weight):
			out = append(out, phase{step: i, weight: s.Weight})
		case s.Pause && last >= 0:
			out[last].duration += s.Duration
			out[last].samples = max(out[last].samples, s.MinSamples)
			out[last].open = out[last].open || s.Indefinite()
		}
	}
	if n := len(out); n > 0 && out[n-1].weight == plan.FullWeight && out[n-1].duration == 0 && out[n-1].samples == 0 && !out[n-1].open {
		out = out[:n-1] // to become stable at once reaches nobody else
	}
	if p.Spec.Bake > 0 {
		out = append(out, phase{step: len(p.Spec.Steps), weight: plan.FullWeight - p.Spec.Holdout, duration: p.Spec.Bake})
	}
	return out
}

// name says which phase it is, to whom and for how long: step 1 (1 %, 30m, about 400 devices).
func (ph phase) name(p Policy, devices int64) string {
	what := fmt.Sprintf("step %d", ph.step+1)
	if ph.step == len(p.Spec.Steps) {
		what = "the bake"
	}
	in := []string{string(plan.FormatWeight(ph.weight)) + " %"}
	if !ph.open {
		in = append(in, window.Brief(ph.duration), fmt.Sprintf("about %d devices", devices))
	}
	return fmt.Sprintf("%s (%s)", what, strings.Join(in, ", "))
}
