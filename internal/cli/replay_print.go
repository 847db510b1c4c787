// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/policy"
	"github.com/windlass-dev/windlass/internal/replay"
)

// replayResult is what replay prints.
type replayResult struct {
	Rollout string    `json:"rollout"`
	Channel string    `json:"channel"`
	Steps   string    `json:"steps"` // in one line
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`

	LeftOut []string                 `json:"leftOut,omitempty"` // what could not be replayed
	State   otav1alpha1.ReleaseState `json:"state"`             // at the end
	Ended   bool                     `json:"ended"`             // the release was over before the recorded time
	At      time.Time                `json:"at"`                // when it was over
	Weight  otav1alpha1.Percent      `json:"weight"`            // at the end
	Message string                   `json:"message"`

	Metrics      []metricResult  `json:"metrics"`
	Events       []replayedEvent `json:"events"`
	Measurements []measurement   `json:"measurements,omitempty"`
}

// metricResult is what a metric said in all.
type metricResult struct {
	Name     string                      `json:"name"`
	Limit    string                      `json:"limit"`
	DryRun   bool                        `json:"dryRun"`
	Measured int                         `json:"measured"`
	Verdicts map[otav1alpha1.Verdict]int `json:"verdicts"`
	Lowest   *float64                    `json:"lowest,omitempty"` // of the values
	Highest  *float64                    `json:"highest,omitempty"`
}

type replayedEvent struct {
	At      time.Time                `json:"at"`
	Weight  otav1alpha1.Percent      `json:"weight"`
	State   otav1alpha1.ReleaseState `json:"state"`
	Reason  string                   `json:"reason"`
	Verdict otav1alpha1.Verdict      `json:"verdict,omitempty"`
	Message string                   `json:"message"`
}

type measurement struct {
	Metric  string              `json:"metric"`
	At      time.Time           `json:"at"`
	Value   *float64            `json:"value,omitempty"`
	Verdict otav1alpha1.Verdict `json:"verdict"`
	Message string              `json:"message"`
}

func replayed(m manifests, c replay.Config, t replay.Trace, left []string) replayResult {
	rel := t.Release
	out := replayResult{
		Rollout: m.rollout.Name, Channel: m.rollout.Spec.ChannelRef.Name, Steps: stepsText(c.Policy.Spec), From: c.From, To: c.To, LeftOut: left,
		State: rel.State, Ended: rel.Ended(), At: t.Ended, Weight: weightOf(rel.Weight), Message: t.Message,
		Metrics: []metricResult{}, Events: []replayedEvent{},
	}
	for _, e := range t.Events {
		out.Events = append(out.Events, replayedEvent{e.At, weightOf(e.Weight), e.State, e.Reason, e.Verdict, e.Message})
	}
	for _, p := range c.Policy.Metrics {
		out.Metrics = append(out.Metrics, metricOf(p, t.Looks))
	}
	for _, l := range t.Looks {
		out.Measurements = append(out.Measurements, measurement{l.Metric, l.At, valueOf(l), l.Result.Verdict, l.Result.Message})
	}
	return out
}

func metricOf(p policy.Metric, looks []replay.Look) metricResult {
	out := metricResult{Name: p.Name, DryRun: p.Limits.DryRun, Verdicts: map[otav1alpha1.Verdict]int{}}
	for _, l := range looks {
		if l.Metric != p.Name {
			continue
		}
		out.Measured++
		out.Verdicts[l.Result.Verdict]++
		out.Limit = l.Result.Limit
		v := valueOf(l)
		if v == nil {
			continue
		}
		if out.Lowest == nil {
			out.Lowest, out.Highest = new(*v), new(*v)
		}
		*out.Lowest, *out.Highest = min(*out.Lowest, *v), max(*out.Highest, *v)
	}
	return out
}

// valueOf is what was measured; nil when there was nothing to measure.
func valueOf(l replay.Look) *float64 {
	switch l.Result.Verdict {
	case otav1alpha1.VerdictNoData, otav1alpha1.VerdictProviderError:
		return nil
	}
	return new(l.Value)
}

func (a *app) printReplay(w io.Writer, r replayResult) {
	rows := [][]string{
		{"rollout", printable(r.Rollout) + " on channel " + printable(r.Channel)}, {"steps", r.Steps},
		{"replayed", fmt.Sprintf("%s to %s", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))},
	}
	if len(r.LeftOut) > 0 {
		rows = append(rows, []string{"left out", a.colour(yellow, strings.Join(r.LeftOut, ", "))})
	}
	table(w, append(rows, []string{"outcome", a.outcome(r)})...)
	fmt.Fprintln(w)
	rows = [][]string{{"AT", "WEIGHT", "REASON", "VERDICT", "MESSAGE"}}
	for _, e := range r.Events {
		rows = append(rows, []string{e.At.Format(time.RFC3339), string(e.Weight) + " %", e.Reason, verdictText(e.Verdict), printable(e.Message)})
	}
	table(w, short(rows)...)
	fmt.Fprintln(w)
	rows = [][]string{{"METRIC", "GOOD", "LOWEST", "HIGHEST", "MEASURED", "PASSING", "FAILING", "NO DATA", "ERRORS", "HELD"}}
	for _, m := range r.Metrics {
		name := m.Name
		if m.DryRun {
			name += " (dry run)"
		}
		rows = append(rows, []string{
			name, orElse(m.Limit, "-"), float(m.Lowest), float(m.Highest), strconv.Itoa(m.Measured), strconv.Itoa(m.Verdicts[otav1alpha1.VerdictPassing]),
			strconv.Itoa(m.Verdicts[otav1alpha1.VerdictFailing]), strconv.Itoa(m.Verdicts[otav1alpha1.VerdictNoData]),
			strconv.Itoa(m.Verdicts[otav1alpha1.VerdictProviderError]), strconv.Itoa(m.Verdicts[otav1alpha1.VerdictNotEnoughSamples]),
		})
	}
	table(w, rows...)
	if len(r.Measurements) == 0 {
		return
	}
	fmt.Fprintln(w)
	rows = [][]string{{"AT", "METRIC", "VALUE", "VERDICT", "MESSAGE"}}
	for _, m := range r.Measurements {
		rows = append(rows, []string{m.At.Format(time.RFC3339), m.Metric, float(m.Value), verdictText(m.Verdict), printable(m.Message)})
	}
	table(w, rows...)
}

// outcome is how the release ended, in one line.
func (a *app) outcome(r replayResult) string {
	after := span(r.At.Sub(r.From))
	switch r.State {
	case otav1alpha1.ReleaseCompleted:
		return a.colour(green, "stable") + " after " + after
	case otav1alpha1.ReleaseRolledBack, otav1alpha1.ReleaseAborted, otav1alpha1.ReleaseBundleRefused, otav1alpha1.ReleaseBundleNotAdmitted:
		return a.colour(red, "taken back") + " after " + after + ": " + printable(r.Message)
	case otav1alpha1.ReleasePaused:
		return a.colour(yellow, "paused for a person") + " after " + after + ": " + printable(r.Message)
	case otav1alpha1.ReleasePending:
		return a.colour(yellow, "not started") + ": " + printable(r.Message)
	}
	return a.colour(yellow, "not over") + " after " + after + ": at " + string(r.Weight) + " %: " + printable(r.Message)
}

func float(v *float64) string {
	if v == nil || math.IsNaN(*v) {
		return "-"
	}
	return strconv.FormatFloat(*v, 'g', 4, 64)
}
