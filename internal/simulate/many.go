// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import "time"

// Rate is an observed share with its interval.
type Rate struct {
	Count, Of int
	Estimate  float64
	Low, High float64 // Clopper-Pearson, two-sided, at the asked level
}

// Quantiles of a number over rollouts.
type Quantiles struct{ Median, P90, Max float64 }

// Summary is what happened in many rollouts of the same config.
type Summary struct {
	Rule     Rule
	Rollouts int
	Outcomes map[Outcome]int

	RolledBack Rate // of a good release: false alarms
	Completed  Rate // of a bad one: missed

	Took    Quantiles // seconds from the start to the outcome, of all rollouts
	Exposed Quantiles // devices, of all rollouts
	Failed  Quantiles // devices, of all rollouts

	StopTook    Quantiles // as Took, of those that were rolled back
	StopExposed Quantiles
	StopFailed  Quantiles

	Spent time.Duration // of virtual time, in all rollouts
}
