// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

import "math"

// Points is the number of alternatives in a mixture.
const Points = 8

// alternatives are ratios of odds to the limit, and how much of the mixture each has. Tuned by simulation (TestStops): with 1 % of the
// devices and a base rate of 1 %, five times as many failures take a median of five; none of these numbers affects the promise.
var alternatives = [Points]struct{ ratio, weight float64 }{
	{1.15, .05}, {1.5, .1}, {2, .15}, {3, .2}, {5, .2}, {8, .15}, {16, .1}, {50, .05},
}

// outright are rates that the two last alternatives of a Rate reach at least: a limit of one in a million needs them.
var outright = [2]float64{0.05, 0.5}

// minRate stands for a limit of 0, of which there is no ratio: one failure has more evidence than any budget asks for.
const minRate = 1e-30

var logWeights, logRatios = func() (weights, ratios [Points]float64) {
	for j, a := range alternatives {
		weights[j], ratios[j] = math.Log(a.weight), math.Log(a.ratio)
	}
	return weights, ratios
}()

// ratio is that of the odds of alternative j to those at the limit p0, and its logarithm. p0 counts for Rate only.
func (t Test) ratio(j int, p0 float64) (ratio, log float64) {
	ratio, log = alternatives[j].ratio, logRatios[j]
	if t.Kind == Silence {
		return 1 / ratio, -log
	}
	if k := j - (Points - len(outright)); t.Kind == Rate && k >= 0 {
		q := outright[k]
		if least := q / (1 - q) * (1 - p0) / p0; least > ratio {
			return least, math.Log(least)
		}
	}
	return ratio, log
}

// multiply adds to the logarithms the likelihood ratios of c events where one was expected with probability p0 at the limit, and s
// elsewhere. With p the probability whose odds are ratio times those of p0: p/p0 = ratio / (1 + (ratio-1) p0), and
// (1-p)/(1-p0) = 1 / (1 + (ratio-1) p0).
func (t Test) multiply(logs *[Points]float64, c, s, p0 float64) {
	if c == 0 && s == 0 {
		return
	}
	for j := range logs {
		ratio, log := t.ratio(j, p0)
		logs[j] += c*log - (c+s)*math.Log1p((ratio-1)*p0)
	}
}

// Log is the natural logarithm of the evidence E.
func (t Test) Log(s State) float64 {
	top := math.Inf(-1)
	for j, l := range s.Logs {
		top = max(top, l+logWeights[j])
	}
	sum := 0.0
	for j, l := range s.Logs {
		sum += math.Exp(l + logWeights[j] - top)
	}
	return top + math.Log(sum)
}

// LogLimit is the natural logarithm of the evidence that takes a release back.
func (t Test) LogLimit() float64 { return -math.Log(t.Budget) + float64(t.Tries)*math.Ln2 }

// Suspicion is the part of LogLimit from which on a release is under suspicion, and does not rise: two thirds. It is rounded up,
// so that the first failure of an Increase, which is worth at most 7.41 (the expected ratio of the alternatives), is none with a budget of
// 0.05 or less: 20 to the power of it is 7.44.
const Suspicion = 0.67

// ControlNeeded is how many control devices a stage needs before it could show, by itself, that all devices of the candidate fail or
// fall silent.
func (t Test) ControlNeeded() int64 {
	switch t.Kind {
	case Rate:
		return 0
	case Silence:
		return 1
	}
	need := math.Inf(1)
	for j, a := range alternatives {
		// With n control devices, none of which fails, and ever more of the candidate's, all of which fail, the logarithm of the likelihood
		// ratio rises to n (1-1/ratio) / r0.
		need = min(need, max(t.Limit, 1e-9)*(t.LogLimit()-logWeights[j])/(1-1/a.ratio))
	}
	return int64(math.Ceil(min(need, maxCount)))
}
