// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"math"
	"strings"

	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
	"github.com/windlass-dev/windlass/internal/simulate"
)

// traffic is what a fleet does, as the operator would see it.
func traffic(c simulate.Config, base float64) policy.Traffic {
	t := policy.Traffic{Rate: c.Fleet.CheckIns * float64(c.Fleet.Devices) / 3600, Failing: base, Devices: float64(c.Fleet.Devices)}
	due := c.Fleet.CheckIns // check-ins of a device, in the shortest pause
	for _, s := range c.Policy.Spec.Steps {
		if s.Duration > 0 {
			due = min(due, c.Fleet.CheckIns*s.Duration.Hours())
		}
	}
	seen := -math.Expm1(-due) // share of the devices that check in at all, of which some do so once more
	t.Returned = (seen - due*math.Exp(-due)) / seen
	return t
}

// stepsText is a list of steps in one line: 1 % 30m, 5 % 1h, then stable.
func stepsText(s plan.Spec) string {
	var out []string
	for _, step := range s.Steps {
		if !step.Pause {
			out = append(out, weightText(step.Weight))
			continue
		}
		text := "until a person promotes"
		switch {
		case step.Duration > 0 && step.MinSamples > 0:
			text = fmt.Sprintf("%s and %d samples", span(step.Duration), step.MinSamples)
		case step.Duration > 0:
			text = span(step.Duration)
		case step.MinSamples > 0:
			text = fmt.Sprintf("until %d samples", step.MinSamples)
		}
		if len(out) == 0 {
			out = append(out, "0 %")
		}
		out[len(out)-1] += " " + text
	}
	if s.Bake > 0 {
		out = append(out, fmt.Sprintf("%s %s (bake)", weightText(plan.FullWeight-s.Holdout), span(s.Bake)))
	}
	return strings.Join(append(out, "then stable"), ", ")
}
