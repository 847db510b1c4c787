// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"math"
	"time"

	"github.com/windlass-dev/windlass/internal/analysis"
)

// Peer is how Argo Rollouts, Flagger or the peeking test is tuned. docs/peers.md describes the models, and what they leave out.
type Peer struct {
	Interval time.Duration // between two measurements
	Window   time.Duration // that the query looks back over
	MaxRate  float64       // highest good share: successCondition, or the max of thresholdRange
	Failures int           // Argo: failureLimit; Flagger: threshold. In all, over the whole rollout
	Errors   int           // Argo: consecutiveErrorLimit. Flagger has none: an error is a failed check
	Level    float64       // Peeking: one-sided level of each look
}

// Defaults of the peers' own documentation and code.
const (
	argoFailureLimit = 3 // as in the examples of its documentation; the default of the field is 0
	argoErrorLimit   = 4
	argoErrorRetry   = 10 * time.Second
	flaggerThreshold = 5 // as in the examples of its documentation; the default of the field is 1
	flaggerShortest  = 10 * time.Second
	peerInterval     = time.Minute
	peerWindow       = 5 * time.Minute
	peerMargin       = 2 // times the rate that the policy allows
	peekingLevel     = 0.05
)

// PeerOf translates the policy for a peer, as somebody would who knows the base rate of the fleet and leaves a margin above it.
func PeerOf(c Config) Peer {
	f := c.Fleet.withDefaults()
	p := Peer{Interval: peerInterval, Window: peerWindow, Failures: argoFailureLimit, Errors: argoErrorLimit, Level: peekingLevel, MaxRate: 1}
	for _, m := range c.Policy.Metrics {
		p.MaxRate = min(p.MaxRate, highest(m.Limits, f.BaseRate))
	}
	if c.Options.Rule == Flagger {
		p.Failures = flaggerThreshold
		weights := 1
		for _, s := range c.Policy.Spec.Steps {
			if !s.Pause {
				weights++
			}
		}
		p.Interval = max(c.planned()/time.Duration(weights), flaggerShortest)
		p.Window = p.Interval
	}
	return p
}

// highest is the highest share of failures that limits allow, where stable fails at the base rate.
func highest(l analysis.Limits, base float64) float64 {
	out := 1.0
	if l.MaxRate != nil {
		out = min(out, *l.MaxRate)
	}
	if l.MaxIncrease != nil && !l.Silent {
		out = min(out, peerMargin*base**l.MaxIncrease)
	}
	if l.Max != nil {
		out = min(out, *l.Max)
	}
	if l.Min != nil && l.Max == nil { // of a success rate
		out = min(out, 1-*l.Min)
	}
	return out
}

// Checks are what a peer remembers of its measurements.
type Checks struct {
	Failed int // in all: it never decays
	Errors int // in a row
}

// Argo takes in a measurement and tells whether the analysis run has failed or erred, which aborts the rollout. It counts as
// runMeasurements and assessMetricFailureInconclusiveOrError do (argoproj/argo-rollouts 9f8d111d8f8e, analysis/analysis.go): failed
// measurements in all against failureLimit, errors in a row against consecutiveErrorLimit. With a successCondition only, a measurement is never
// inconclusive (EvaluateResult in utils/evaluate/evaluate.go). No data, a rate that is not a number, counts as good, as queries are
// written by those who know that it would fail otherwise.
func (p Peer) Argo(c *Checks, rate float64, err bool) bool {
	switch {
	case err:
		c.Errors++
	case rate > p.MaxRate:
		c.Failed++
		c.Errors = 0
	default:
		c.Errors = 0
	}
	return c.Failed > p.Failures || c.Errors > p.Errors
}

// Flagger takes in a check and tells whether the next one rolls back instead of checking. It counts as advanceCanary does
// (fluxcd/flagger 15bd6ad555e6, pkg/controller/scheduler.go): status.failedChecks grows with each check that fails, for whatever reason, an error of the
// metrics system among them (runMetricChecks in scheduler_metrics.go), and is reset only by a new revision.
func (p Peer) Flagger(c *Checks, rate float64, err bool) bool {
	if err || rate > p.MaxRate {
		c.Failed++
	}
	return c.Failed >= p.Failures
}

// Peek tells whether a fixed-sample two-proportion z-test with pooled variance, one-sided, calls the candidate worse.
func (p Peer) Peek(failed, exposed, controlFailed, controlExposed int64) bool {
	f, n, cf, cn := float64(failed), float64(exposed), float64(controlFailed), float64(controlExposed)
	if n == 0 || cn == 0 || f+cf == 0 || f+cf == n+cn {
		return false
	}
	pooled := (f + cf) / (n + cn)
	z := (f/n - cf/cn) / math.Sqrt(pooled*(1-pooled)*(1/n+1/cn))
	return math.Erfc(z/math.Sqrt2)/2 < p.Level
}
