// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
	"github.com/windlass-dev/windlass/internal/simulate"
	"github.com/windlass-dev/windlass/internal/window"
)

// Bounds of what can be asked for.
const (
	maxFleet    = 1_000_000_000
	maxCheckIns = 3600 // a second
	maxRuns     = 1_000_000
)

// allScenarios stands for each of them.
const allScenarios = "all"

type simulateOptions struct {
	file, channel                    string
	maxFirstWeight, maxWeightPerHour string

	scenarios []string
	compare   []string
	fleet     int64
	checkIns  float64
	baseRate  float64
	runs      int
	seed      uint64
	start     string
	plot      string
}

func (a *app) simulateCommand() *cobra.Command {
	o := simulateOptions{
		scenarios: []string{"good", "bad=x5"}, compare: []string{string(simulate.Argo), string(simulate.Flagger)},
		fleet: 100_000, checkIns: 1, baseRate: 0.01, runs: 1000, seed: 1,
	}
	cmd := verb("simulate", "Try a policy on made-up devices before it is used", `
Runs the Rollout of a manifest many times against made-up devices, with the very code by which the operator decides, on a clock that does
not wait. Tells what each step can see in its time, shows one typical rollout, and counts over all of them how often a good release is
taken back, how often a bad one becomes stable, and how many devices had it until it was stopped, beside the same policy as Argo
Rollouts and Flagger would run it.

Scenarios: good (the release is as stable is), bad=x5 (it fails five times as often), slice=x20 (it does so on Android below 4.3.0
only), silent (devices that start it never come back), outage=10m (the metrics system is out of reach), incident=x10 (the backend makes
all devices fail), drift (the base rate changes, and nights are quiet), or all.

Limits of the Channel come from its manifest, or from flags. The same seed gives the same result. docs/analysis.md explains the terms.`, `
kubectl windlass simulate -f rollout.yaml

# how fast a release is stopped that is three times worse, when one device in a thousand fails anyway
kubectl windlass simulate -f rollout.yaml --channel channels/production.yaml --scenario bad=x3 --base-rate 0.001 --fleet 2000000

# everything, with narrower intervals, for a program
kubectl windlass simulate -f rollout.yaml --scenario all --runs 10000 --output json

# a picture of a good release and a bad one
kubectl windlass simulate -f rollout.yaml --scenario good --scenario bad=x5 --plot evidence.svg`,
		func(ctx context.Context, _ []string) error { return a.simulate(ctx, o) })
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "filename", "f", "", "manifest of the Rollout, perhaps with its Channel; - is stdin")
	flags.StringVar(&o.channel, "channel", "", "manifest of the Channel")
	flags.StringVar(&o.maxFirstWeight, "max-first-weight", "", "highest first weight in percent, in place of the Channel's (default: 1)")
	flags.StringVar(&o.maxWeightPerHour, "max-weight-per-hour", "", "percentage points by which the weight may rise in an hour, in place of the Channel's")
	flags.StringArrayVar(&o.scenarios, "scenario", o.scenarios, "what the release is like: good, bad=x5, slice, silent, outage, incident, drift or all; may be repeated")
	flags.StringSliceVar(&o.compare, "compare", o.compare, "rules to compare with: argo, flagger, peeking, or none")
	flags.Int64Var(&o.fleet, "fleet", o.fleet, "devices on the channel")
	flags.Float64Var(&o.checkIns, "check-ins", o.checkIns, "of a device in an hour")
	flags.Float64Var(&o.baseRate, "base-rate", o.baseRate, "share of devices on which the stable bundle fails, too: 0.01 is 1 %")
	flags.IntVar(&o.runs, "runs", o.runs, "rollouts to count, for each scenario and rule")
	flags.Uint64Var(&o.seed, "seed", o.seed, "of the random numbers")
	flags.StringVar(&o.start, "start", "", "when the rollouts start, for windows and nights: 2026-01-05T09:00:00Z (default: then, a Monday)")
	flags.StringVar(&o.plot, "plot", "", "file for a picture of the typical rollouts: NAME.svg or NAME.png")
	complete(cmd, "scenario", append([]string{allScenarios}, kindNames()...)...)
	complete(cmd, "compare", string(simulate.Argo), string(simulate.Flagger), string(simulate.Peeking), "none")
	return cmd
}

func kindNames() []string {
	var out []string
	for _, k := range simulate.Kinds() {
		out = append(out, string(k))
	}
	return out
}

// check says what is wrong with the flags.
func (o *simulateOptions) check() error {
	switch {
	case o.fleet < 1 || o.fleet > maxFleet:
		return usage("--fleet: expected 1 to %d devices, got %d", int64(maxFleet), o.fleet)
	case !(o.checkIns > 0 && o.checkIns <= maxCheckIns):
		return usage("--check-ins: expected more than 0 and at most %d in an hour, got %g", maxCheckIns, o.checkIns)
	case !(o.baseRate >= 0 && o.baseRate < 1):
		return usage("--base-rate: expected a share from 0 to below 1, such as 0.01 for 1 %%, got %g", o.baseRate)
	case o.runs < 1 || o.runs > maxRuns:
		return usage("--runs: expected 1 to %d, got %d", maxRuns, o.runs)
	}
	return checkPlot(o.plot)
}

// checkPlot refuses a file whose format is not known.
func checkPlot(path string) error {
	if ext := filepath.Ext(path); path != "" && ext != ".svg" && ext != ".png" {
		return usage("--plot: expected NAME.svg or NAME.png, got %q", path)
	}
	return nil
}

// kinds are the scenarios that were asked for, each once.
func (o *simulateOptions) kinds() ([]simulate.Scenario, []string, error) {
	names := o.scenarios
	if slices.Contains(names, allScenarios) {
		names = kindNames()
	}
	var out []simulate.Scenario
	for i, name := range names {
		s, err := simulate.ParseScenario(name)
		if err != nil {
			return nil, nil, usage("--scenario: %w", err)
		}
		if slices.Contains(names[:i], name) {
			return nil, nil, usage("--scenario: expected each once, got %s twice", name)
		}
		out = append(out, s)
	}
	return out, names, nil
}

// rules are who decides: Windlass, and those that it is compared with.
func (o *simulateOptions) rules() ([]simulate.Rule, error) {
	out := []simulate.Rule{simulate.Windlass}
	for _, name := range o.compare {
		rule := simulate.Rule(name)
		switch {
		case name == "none" && len(o.compare) == 1:
		case rule == simulate.Windlass || !slices.Contains(simulate.Rules(), rule):
			return nil, usage("--compare: expected argo, flagger, peeking or none, got %q", name)
		case !slices.Contains(out, rule):
			out = append(out, rule)
		}
	}
	return out, nil
}

// world is the policy with what the flags say of the devices and the channel.
func (o *simulateOptions) world(m manifests, p policy.Policy) (simulate.Config, error) {
	c := simulate.Config{Policy: p, Fleet: simulate.Fleet{Devices: o.fleet, CheckIns: o.checkIns, BaseRate: o.baseRate}}
	c.Options.Seed = o.seed
	if o.baseRate == 0 {
		c.Fleet.BaseRate = -1 // none; 0 would be the default
	}
	first, perHour, err := m.limits(o.maxFirstWeight, o.maxWeightPerHour)
	if err != nil {
		return c, err
	}
	c.Options.MaxFirstWeight, c.Options.MaxWeightPerHour = first, perHour
	if o.start != "" {
		if c.Options.Start, err = time.Parse(time.RFC3339, o.start); err != nil {
			return c, usage("--start: expected a time such as 2026-01-05T09:00:00Z, got %q", o.start)
		}
	}
	return c, nil
}

// limits are those of the Channel, or of flags in their place, in basis points. No limit by the hour is 0.
func (m manifests) limits(first, perHour string) (int32, int32, error) {
	if m.channel != nil {
		first = orElse(first, string(m.channel.Spec.MaxFirstWeight))
		perHour = orElse(perHour, string(m.channel.Spec.MaxWeightPerHour))
	}
	firstWeight, err := plan.ParseWeight(orElse(first, defaultFirstWeight))
	if err != nil || firstWeight == 0 {
		return 0, 0, usage("--max-first-weight: expected a percentage above 0, such as 1 or 0.25, got %q", first)
	}
	if perHour == "" {
		return firstWeight, 0, nil
	}
	rise, err := plan.ParseWeight(perHour)
	if err != nil || rise == 0 {
		return 0, 0, usage("--max-weight-per-hour: expected percentage points above 0, such as 10, got %q", perHour)
	}
	return firstWeight, rise, nil
}

// defaultFirstWeight is what a Channel that does not say otherwise allows, in percent.
const defaultFirstWeight = "1"

func orElse(text, other string) string {
	if text != "" {
		return text
	}
	return other
}

// falseAlarms is the highest share of good releases that the sequential tests of a policy take back.
func falseAlarms(p policy.Policy) float64 {
	var total float64
	for _, m := range p.Metrics {
		if !m.Limits.DryRun {
			total += m.Limits.Budget * float64(len(m.Limits.Tests()))
		}
	}
	return math.Round(total*1e9) / 1e9
}

func weightOf(basisPoints int32) otav1alpha1.Percent { return plan.FormatWeight(basisPoints) }

// weightText is a weight for people: 0.25 %.
func weightText(basisPoints int32) string { return string(plan.FormatWeight(basisPoints)) + " %" }

// span is a time for people, which is no more exact than it has to be: 1h30m.
func span(d time.Duration) string {
	if d >= 10*time.Minute {
		return window.Brief(d.Round(time.Minute))
	}
	return window.Brief(d.Round(time.Second))
}

// number is a number of devices for people: 12 340.
func number(v float64) string {
	text := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

// share is a share for people: 4.1 %.
func share(v float64) string { return strconv.FormatFloat(v*100, 'g', 3, 64) + " %" }
