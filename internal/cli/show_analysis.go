// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// measured are the rows below a bundle that is released: the devices that are offered it, parts of them, and what is measured.
func (v view) measured(r released) []twig {
	var out []twig
	if c, ok := v.cohort(r); ok {
		out = append(out, c)
	}
	st := &r.rollout.Status
	for i := range st.Slices {
		x := &st.Slices[i]
		out = append(out, twig{row: []string{"⊘ " + printable(x.Slice), "Slice", v.paint(yellow, "⚠ "+string(x.State)), "-", printable(x.Message)}})
	}
	for i := range st.Analysis {
		out = append(out, twig{row: v.metric(&st.Analysis[i])})
	}
	return out
}

// cohort is the share of devices that are offered the bundle.
func (v view) cohort(r released) (twig, bool) {
	ro := r.rollout
	if r.channel == nil || r.channel.Status.Candidate == nil || r.channel.Status.Candidate.Bundle != current(ro) {
		return twig{}, false
	}
	c := r.channel.Status.Candidate
	state, since := v.paint(green, "✔ Offered"), time.Time{}
	switch {
	case serving(r.channel) == otav1alpha1.HaltedReason:
		state = v.paint(yellow, "॥ Halted")
	case c.Weight != ro.Status.Weight:
		state = "◌ Publishing " + percent(ro.Status.Weight)
	}
	if rel := ro.Status.Release; rel != nil && rel.WeightCommittedAt != nil {
		since = rel.WeightCommittedAt.Time
	}
	return twig{row: []string{"◔ " + percent(c.Weight), "Cohort", state, v.age(since), devices(ro.Status.Analysis)}}, true
}

// devices says how many devices the analysis knows of: those of the metric that has most of them.
func devices(all []otav1alpha1.MetricStatus) string {
	var most *otav1alpha1.MetricStatus
	for i := range all {
		m := &all[i]
		if m.Candidate != nil && (most == nil || m.Candidate.Exposed > most.Candidate.Exposed) {
			most = m
		}
	}
	if most == nil {
		return ""
	}
	text := arm(most.Candidate)
	if most.Control != nil {
		text += "; beside them " + arm(most.Control)
	}
	return text
}

// arm counts devices: 812 of 1 000 reported, 3 failures.
func arm(c *otav1alpha1.ArmCounts) string {
	of := ""
	if c.Exposed > 0 {
		of = " of " + number(float64(c.Exposed))
	}
	return fmt.Sprintf("%s%s reported, %s failures", number(float64(c.Devices)), of, number(float64(c.Failures)))
}

// metric is what was measured last, and the evidence against the bundle.
func (v view) metric(m *otav1alpha1.MetricStatus) []string {
	icon, colour := "?", yellow
	switch m.Verdict {
	case otav1alpha1.VerdictPassing:
		icon, colour = "✔", green
	case otav1alpha1.VerdictFailing:
		icon, colour = "✖", red
	case otav1alpha1.VerdictProviderError:
		icon = "⚠"
	case otav1alpha1.VerdictNotEnoughSamples, otav1alpha1.VerdictNoData:
	}
	at := time.Time{}
	if m.MeasuredAt != nil {
		at = m.MeasuredAt.Time
	}
	return []string{"α " + m.Name, "Metric", v.paint(colour, icon+" "+string(m.Verdict)), v.age(at), printable(evidence(m))}
}

// evidence says what speaks against the bundle, and what was measured.
func evidence(m *otav1alpha1.MetricStatus) string {
	var parts []string
	if m.DryRun == otav1alpha1.DryRunEnabled {
		parts = append(parts, "dry run")
	}
	if m.Evidence != "" && !strings.Contains(m.Message, "evidence") {
		parts = append(parts, "evidence "+m.Evidence+" of "+m.EvidenceLimit)
	}
	switch {
	case m.Message != "":
		parts = append(parts, m.Message)
	case m.Value != "":
		parts = append(parts, m.Value+", limit "+dash(m.Limit))
	}
	return strings.Join(parts, "; ")
}
