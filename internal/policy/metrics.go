// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math"
	"strconv"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/extract"
	"github.com/windlass-dev/windlass/internal/analysis/query"
	"github.com/windlass-dev/windlass/internal/serve"
)

// Defaults and bounds of what a metric says.
const (
	defaultTelemetryInterval = 5 * time.Second
	defaultQueryInterval     = 30 * time.Second
	minInterval              = time.Second
	defaultErrorLimit        = 4
	defaultNoDataHold        = 30 * time.Minute
	defaultConfidence        = 0.95
	minConfidence            = 0.5
	maxConfidence            = 0.999999
	// confidenceStep rounds away what floating point adds to 1 less a confidence.
	confidenceStep = 1e-9
)

// splitBudget shares the budget of false alarms: 1 less the highest confidence, divided by the number of sequential tests of all
// metrics that decide (Bonferroni). Then a good release is taken back with at most that probability, by whichever of them. A metric
// that only watches counts as if it were alone.
func splitBudget(metrics []Metric) {
	tests, budget := 0, 1.0
	for _, m := range metrics {
		if n := m.tests(); n > 0 && !m.Limits.DryRun {
			tests, budget = tests+n, min(budget, m.Limits.Budget)
		}
	}
	for i := range metrics {
		m := &metrics[i]
		switch n := m.tests(); {
		case n > 0 && m.Limits.DryRun:
			m.Limits.Budget /= float64(n)
		case n > 0:
			m.Limits.Budget = budget / float64(tests)
		}
	}
}

// tests is the number of sequential tests of a metric.
func (m Metric) tests() int { return len(m.Limits.Tests()) }

func parseMetric(m *otav1alpha1.Metric) (Metric, error) {
	out := Metric{Name: m.Name, Source: m, Interval: defaultQueryInterval}
	if m.Telemetry != nil {
		out.Interval = defaultTelemetryInterval
	}
	if err := checkSource(m); err != nil {
		return out, err
	}
	var err error
	if out.Interval, err = serve.Duration(m.Interval, out.Interval); err != nil {
		return out, fmt.Errorf("interval: %w", err)
	}
	if out.Interval < minInterval {
		return out, fmt.Errorf("interval is %s, expected at least %s", out.Interval, minInterval)
	}
	out.Limits, err = parseLimits(m)
	return out, err
}

// anyRelease stands for the release that a query will be about.
var anyRelease = query.Vars{
	App: "com.example.shop", Channel: "production", Bundle: "shop-2.4.1", Version: "2.4.1", Window: "60s",
	Digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000",
}

// checkSource refuses queries that no provider could be asked.
func checkSource(m *otav1alpha1.Metric) error {
	if m.Prometheus != nil {
		if _, err := query.Render(m.Prometheus.Query, anyRelease); err != nil {
			return fmt.Errorf("prometheus.%w", err)
		}
	}
	if m.Web == nil {
		return nil
	}
	if _, err := query.RenderURL(m.Web.URL, anyRelease); err != nil {
		return fmt.Errorf("web.%w", err)
	}
	if _, err := extract.Parse(m.Web.JSONPath, m.Web.CEL); err != nil {
		return fmt.Errorf("web.%w", err)
	}
	return nil
}

func parseLimits(m *otav1alpha1.Metric) (analysis.Limits, error) {
	l := analysis.Limits{
		MinSamples: 1, ErrorLimit: defaultErrorLimit, NoDataHold: defaultNoDataHold, NoDataThen: otav1alpha1.NoDataPause,
		DryRun: m.DryRun == otav1alpha1.DryRunEnabled,
	}
	if err := parseTests(m, &l); err != nil {
		return l, err
	}
	if err := parseRange(m.ThresholdRange, &l); err != nil {
		return l, err
	}
	if m.MinSamples != nil {
		l.MinSamples = int64(*m.MinSamples)
	}
	if m.FailureLimit != nil {
		l.FailureLimit = *m.FailureLimit
	}
	if m.ConsecutiveErrorLimit != nil {
		l.ErrorLimit = *m.ConsecutiveErrorLimit
	}
	if n := m.NoData; n != nil {
		var err error
		if l.NoDataHold, err = serve.Duration(n.Hold, l.NoDataHold); err != nil {
			return l, fmt.Errorf("noData.hold: %w", err)
		}
		if n.Then != "" {
			l.NoDataThen = n.Then
		}
	}
	return l, nil
}

// parseTests reads what the sequential tests of a telemetry metric are held against. The budget is that of the metric alone.
func parseTests(m *otav1alpha1.Metric, l *analysis.Limits) (err error) {
	if m.Telemetry == nil {
		return nil
	}
	l.Silent = m.Telemetry.Outcome == otav1alpha1.OutcomeSilent
	if l.MaxRate, err = number(m.MaxRate); err != nil {
		return fmt.Errorf("maxRate: %w", err)
	}
	if l.MaxRate != nil && *l.MaxRate >= 1 {
		return fmt.Errorf("maxRate is %s, expected a share from 0 to below 1", m.MaxRate)
	}
	if l.MaxIncrease, err = number(m.MaxIncrease); err != nil {
		return fmt.Errorf("maxIncrease: %w", err)
	}
	if l.MaxIncrease != nil && *l.MaxIncrease < 1 {
		return fmt.Errorf("maxIncrease is %s: a bundle that does as well as the stable one would be taken back; expected a ratio of at least 1, "+
			"which allows no increase", m.MaxIncrease)
	}
	confidence, err := number(m.Confidence)
	if err != nil {
		return fmt.Errorf("confidence: %w", err)
	}
	if confidence == nil {
		confidence = new(defaultConfidence)
	}
	if *confidence < minConfidence || *confidence > maxConfidence {
		return fmt.Errorf("confidence is %s, expected %v to %v", m.Confidence, minConfidence, maxConfidence)
	}
	l.Budget = math.Round((1-*confidence)/confidenceStep) * confidenceStep
	return nil
}

func parseRange(t *otav1alpha1.ThresholdRange, l *analysis.Limits) (err error) {
	if t == nil {
		return nil
	}
	if l.Min, err = number(t.Min); err != nil {
		return fmt.Errorf("thresholdRange.min: %w", err)
	}
	if l.Max, err = number(t.Max); err != nil {
		return fmt.Errorf("thresholdRange.max: %w", err)
	}
	if l.Min != nil && l.Max != nil && *l.Min > *l.Max {
		return fmt.Errorf("thresholdRange: min %s is above max %s", t.Min, t.Max)
	}
	return nil
}

func number(d otav1alpha1.Decimal) (*float64, error) {
	if d == "" {
		return nil, nil
	}
	v, err := strconv.ParseFloat(string(d), 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a decimal number", d)
	}
	return &v, nil
}
