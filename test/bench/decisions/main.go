// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Command decisions measures rules that stop releases: how often they stop a good one, and how many devices a bad one reaches until they do.
// Windlass is the code that the controller runs; docs/peers.md says how the others are modelled and tuned. It prints a table and writes
// bin/bench-decisions.json.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/windlass-dev/windlass/internal/simulate"
)

func main() {
	rollouts := flag.Int("rollouts", 10_000, "of each cell")
	file := flag.String("o", filepath.Join("bin", "bench-decisions.json"), "where to write the results")
	generous := flag.Bool("generous", false, "allow the peers alpha false alarms, and not only as many as windlass has")
	flag.Parse()
	if err := decide(os.Stdout, *rollouts, *generous, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench-decisions:", err)
		os.Exit(1)
	}
}

func decide(out io.Writer, rollouts int, generous bool, file string) error {
	began := time.Now()
	fmt.Fprintf(out, "%d rollouts a cell, at most %d looks of %d exposures each; maxIncrease 1, confidence %g; intervals of %g %%\n",
		rollouts, looks, exposures, 1-alpha, 100*level)
	b := &bench{
		rollouts: rollouts, generous: generous, tunings: map[string]tuned{},
		report: func(rs []result) { printCell(out, rs, time.Since(began)) },
		note:   func(s string) { fmt.Fprintln(out, "  "+s) },
	}
	fmt.Fprint(out, "\nGood releases: share that is stopped by mistake\n", header)
	results, err := b.run(nulls())
	if err != nil {
		return err
	}
	whole, err := b.whole()
	if err != nil {
		return err
	}
	fmt.Fprint(out, "\nBad releases: candidate devices until the stop\n", header)
	worse, err := b.run(regressions())
	if err != nil {
		return err
	}
	results = append(append(results, whole...), worse...)
	if err := write(file, results); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d cells in %s, written to %s\n", len(results), time.Since(began).Round(time.Second), file)
	return judge(out, results)
}

const header = "scenario                                          base   weight  rule       stopped             interval  failed  exposed\n"

// printCell prints the rules of one cell.
func printCell(out io.Writer, rs []result, spent time.Duration) {
	for i, r := range rs {
		scenario, after := "", ""
		if i == 0 {
			scenario, after = r.Scenario, fmt.Sprintf("  [%s]", spent.Round(time.Second))
		}
		fmt.Fprintf(out, "%-48s %6s %7s  %-9s %7.2f %%  %6.2f to %6.2f %%  %6s %8s%s\n", scenario, percent(r.BaseRate), percent(r.Weight),
			r.Rule, 100*r.Stopped, 100*r.Low, 100*r.High, number(r.MedianFailed), number(r.MedianExposed), after)
	}
}

func number(v *float64) string {
	if v == nil {
		return "-"
	}
	return short(*v)
}

func write(file string, results []result) error {
	raw, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o600)
}

// judge prints what was aimed at and what was missed. Only a broken promise is an error: more false alarms than alpha, beyond doubt.
func judge(out io.Writer, results []result) error {
	var broken []string
	for _, r := range results {
		if r.Kind != "null" || r.Rule != simulate.Windlass {
			continue
		}
		if r.Stopped > r.Alpha {
			fmt.Fprintf(out, "ABOVE ALPHA: %s\n", r.name())
		}
		if r.Low > r.Alpha {
			broken = append(broken, r.name())
		}
	}
	compare(out, results)
	if len(broken) > 0 {
		return errors.New("alpha is not kept: " + strings.Join(broken, "; "))
	}
	return nil
}

func (r result) name() string {
	return fmt.Sprintf("%s at base rate %s, weight %s: %s stops %s (%s to %s)", r.Scenario, percent(r.BaseRate), percent(r.Weight), r.Rule,
		percent(r.Stopped), percent(r.Low), percent(r.High))
}

// compare counts in how many regressions fewer devices were exposed than under the peers.
func compare(out io.Writer, results []result) {
	type key struct {
		scenario string
		weight   float64
	}
	ours := map[key]result{}
	for _, r := range results {
		if r.Kind == "regression" && r.Rule == simulate.Windlass {
			ours[key{r.Scenario, r.Weight}] = r
		}
	}
	won, all := 0, 0
	for _, r := range results {
		if r.Kind != "regression" || r.Rule != simulate.Argo && r.Rule != simulate.Flagger {
			continue
		}
		own := ours[key{r.Scenario, r.Weight}]
		all++
		switch {
		case own.MedianExposed != nil && (r.MedianExposed == nil || *own.MedianExposed < *r.MedianExposed):
			won++
		case own.MedianExposed != nil && *own.MedianExposed == *r.MedianExposed:
			fmt.Fprintf(out, "AS MANY EXPOSED as %s: %s at weight %s: %s\n", r.Rule, r.Scenario, percent(r.Weight), number(r.MedianExposed))
		default:
			fmt.Fprintf(out, "MORE EXPOSED than %s: %s at weight %s: %s, not %s\n", r.Rule, r.Scenario, percent(r.Weight), number(own.MedianExposed),
				number(r.MedianExposed))
		}
	}
	fmt.Fprintf(out, "fewer devices exposed than a tuned peer in %d of %d comparisons\n", won, all)
	if r, ok := ours[key{"x5", 0.01}]; ok {
		fmt.Fprintf(out, "x5 at 1 %% weight is stopped after a median of %s failed devices; the aim is at most 6\n", number(r.MedianFailed))
	}
}
