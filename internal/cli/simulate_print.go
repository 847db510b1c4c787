// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/simulate"
	"github.com/windlass-dev/windlass/internal/window"
)

// Rows of a timeline that are shown: its begin and its end.
const (
	firstRows = 20
	lastRows  = 8
)

func (a *app) printSimulation(w io.Writer, s simulation) {
	rows := [][]string{
		{"rollout", printable(s.Rollout) + " on channel " + printable(s.Channel)}, {"steps", s.Steps},
		{"devices", fmt.Sprintf("%s, each checks in %g times an hour; stable fails on %s of them",
			number(float64(s.Devices)), s.CheckIns, share(s.BaseRate))},
		{"promise", promise(s.FalseAlarms)},
	}
	table(w, rows...)
	printPower(w, s.Power)
	for i := range s.Scenarios {
		a.printExperiment(w, &s.Scenarios[i])
	}
	printPeers(w, s.Scenarios[0].Rules)
}

// printPeers tells how those were set that Windlass is compared with.
func printPeers(w io.Writer, rules []tally) {
	for i := range rules {
		t := rules[i].Tuning
		if i == 1 {
			fmt.Fprintf(w, "\nThe same policy by others, as docs/peers.md models and tunes them:\n\n")
		}
		switch {
		case t == nil:
		case t.Level > 0:
			fmt.Fprintf(w, "%s stops when a test of two proportions says so, %s of the time by mistake, each %s\n",
				rules[i].Rule, share(t.Level), span(seconds(t.Seconds)))
		default:
			fmt.Fprintf(w, "%s measures each %s, and counts the times above %s against a limit of %d\n",
				rules[i].Rule, span(seconds(t.Seconds)), share(t.MaxRate), t.Allowed)
		}
	}
}

// promise is what the sequential tests of a policy promise.
func promise(falseAlarms float64) string {
	if falseAlarms == 0 {
		return "none: no metric has a sequential test (maxRate or maxIncrease)"
	}
	return fmt.Sprintf("a release that keeps its limits is taken back by the sequential tests at most %s of the time", share(falseAlarms))
}

func printPower(w io.Writer, power []otav1alpha1.StepPower) {
	if len(power) == 0 {
		return
	}
	fmt.Fprintf(w, "\nWhat the steps find in their time, 4 times out of 5:\n\n")
	for i := range power {
		fmt.Fprintln(w, power[i].Message)
	}
}

func (a *app) printExperiment(w io.Writer, e *experiment) {
	t := &e.Typical
	code := green
	if right := t.Outcome == simulate.Completed; right == e.Bad {
		code = yellow
	}
	fmt.Fprintf(w, "\n%s: a typical rollout: %s after %s, %s devices exposed, %s failed%s\n\n",
		e.Scenario, a.colour(code, outcomeText(t.Outcome)), span(seconds(t.Seconds)),
		number(float64(t.Exposed)), number(float64(t.Failed)), lost(t.Lost))
	printEvents(w, t.Events)
	meaning := "to take one back is a false alarm"
	switch {
	case e.slice:
		meaning = "one that becomes stable with all devices is missed"
	case e.Bad:
		meaning = "one that becomes stable is missed"
	}
	fmt.Fprintf(w, "\n%s: %s rollouts of each rule; %s; 99 %% intervals, medians (and 90 %%):\n\n",
		e.Scenario, number(float64(e.Rules[0].Rollouts)), meaning)
	printTallies(w, e)
}

func lost(n int64) string {
	if n == 0 {
		return ""
	}
	return ", " + number(float64(n)) + " never came back"
}

func outcomeText(o simulate.Outcome) string {
	switch o {
	case simulate.Completed:
		return "stable"
	case simulate.RolledBack:
		return "taken back"
	case simulate.Paused:
		return "paused for a person"
	case simulate.Held:
		return "held, not ended"
	}
	return "refused"
}

func printEvents(w io.Writer, events []event) {
	rows := [][]string{{"AT", "WEIGHT", "REASON", "VERDICT", "MESSAGE"}}
	for _, e := range events {
		rows = append(rows, []string{
			window.Brief(seconds(e.Seconds).Round(time.Second)), string(e.Weight) + " %", e.Reason, verdictText(e.Verdict), printable(e.Message),
		})
	}
	table(w, short(rows)...)
}

// short leaves out the middle of a long timeline.
func short(rows [][]string) [][]string {
	left := len(rows) - firstRows - lastRows
	if left < 2 {
		return rows
	}
	out := slices.Clone(rows[:firstRows])
	out = append(out, []string{"...", "", "", "", fmt.Sprintf("%d more; --output json has them", left)})
	return append(out, rows[len(rows)-lastRows:]...)
}

func verdictText(v otav1alpha1.Verdict) string { return orElse(string(v), "-") }

func printTallies(w io.Writer, e *experiment) {
	rows := [][]string{{"RULE", "TAKEN BACK", "BECAME STABLE", "EXPOSED", "FAILED", "TIME", "ALSO"}}
	for i := range e.Rules {
		t := &e.Rules[i]
		also := t.other()
		if t.All.Lost.Median > 0 {
			also = strings.TrimPrefix(also+"; "+number(t.All.Lost.Median)+" lost", "; ")
		}
		rows = append(rows, []string{
			string(t.Rule), t.TakenBack.String(), t.BecameStable.String(), t.All.Exposed.text(number), t.All.Failed.text(number),
			t.All.Seconds.text(func(v float64) string { return span(seconds(v)) }), also,
		})
	}
	table(w, rows...)
}

// String is a share with its interval: 1.2 % (0.5 to 2.4).
func (i interval) String() string {
	percent := func(v float64) string { return strconv.FormatFloat(v*100, 'f', 1, 64) }
	return fmt.Sprintf("%s %% (%s to %s)", percent(i.Share), percent(i.Low), percent(i.High))
}

// text is the median, and what nine in ten stay below.
func (q quantiles) text(unit func(float64) string) string {
	return unit(q.Median) + " (" + unit(q.P90) + ")"
}

func seconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }
