// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package blame

import (
	"math"

	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
)

// model is the likelihood of the failures of all kinds, given one number for the devices in a slice and one for all others. With a
// control it is the ratio of the candidate's rate to the control's of the same kind and stage, given in which of them there were how
// many failures, so that kinds may have base rates of their own. Without, it is the rate of the candidate.
type model struct {
	grid    []float64   // what the number may be
	kinds   [][]float64 // logarithm of the likelihood of each kind, at each place of the grid
	all     []float64   // sum of kinds
	same    float64     // highest logarithm of the likelihood when the number is the same for all devices
	inside  []float64   // logarithms of weights of the grid in a slice that is to blame
	outside []float64   // the same for all other devices
}

// Bounds of the grids: ratios and rates beyond them look as those at the bounds.
const (
	gridStep  = 0.4 // in natural logarithms: the likelihood of some tens of failures hardly changes within half of it
	minRatio  = 0.2
	maxRatio  = 3000
	minRate   = 1e-4
	maxRate   = 0.98
	bisection = 60 // halvings of an interval of the same width: below the precision of a float64
)

// What a slice that is to blame is expected to look like: any ratio from 1.5 on in it, and one near 1 elsewhere. Other slices are found
// as well, only not as soon; what is expected has no influence on how many findings are wrong.
const (
	leastBlamed = 1.5
	nearOne     = 0.5 // in natural logarithms: mean distance
)

func newModel(t *table) model {
	compared := false
	for i := range t.kinds {
		for _, s := range t.kinds[i].stages {
			compared = compared || s.Control.Exposed > 0
		}
	}
	m := model{grid: steps(minRate, maxRate), same: sameRate(t)}
	like := rateLikelihood
	m.inside = weights(m.grid, func(float64) float64 { return 1 })
	m.outside = m.inside
	if compared {
		m.grid, m.same = steps(minRatio, maxRatio), sameRatio(t)
		like = ratioLikelihood
		m.inside = weights(m.grid, func(r float64) float64 {
			if r < leastBlamed {
				return 0
			}
			return 1
		})
		m.outside = weights(m.grid, func(r float64) float64 { return math.Exp(-math.Abs(math.Log(r)) / nearOne) })
	}
	m.all = make([]float64, len(m.grid))
	for i := range t.kinds {
		at := make([]float64, len(m.grid))
		for g, x := range m.grid {
			for _, s := range t.kinds[i].stages {
				at[g] += like(x, s)
			}
			m.all[g] += at[g]
		}
		m.kinds = append(m.kinds, at)
	}
	return m
}

// steps are numbers from low to high, evenly spaced in logarithms.
func steps(low, high float64) []float64 {
	n := int(math.Ceil(math.Log(high/low)/gridStep)) + 1
	out := make([]float64, n)
	for i := range out {
		out[i] = low * math.Pow(high/low, float64(i)/float64(n-1))
	}
	return out
}

// weights are logarithms of weights that add up to 1.
func weights(grid []float64, of func(float64) float64) []float64 {
	out := make([]float64, len(grid))
	var total float64
	for i, x := range grid {
		out[i] = of(x)
		total += out[i]
	}
	for i := range out {
		out[i] = math.Log(out[i] / total)
	}
	return out
}

// ratioLikelihood is that of the places of failures: each lands in the candidate's arm with probability r nC / (r nC + nS).
func ratioLikelihood(r float64, s eprocess.Stage) float64 {
	nC, nS := float64(s.Candidate.Exposed), float64(s.Control.Exposed)
	if nC == 0 || nS == 0 {
		return 0
	}
	odds := r * nC / nS
	return -float64(s.Candidate.Failed)*math.Log1p(1/odds) - float64(s.Control.Failed)*math.Log1p(odds)
}

func rateLikelihood(p float64, s eprocess.Stage) float64 {
	return float64(s.Candidate.Failed)*math.Log(p) + float64(s.Candidate.Exposed-s.Candidate.Failed)*math.Log1p(-p)
}

// sameRate is the highest likelihood when all candidates fail at the same rate.
func sameRate(t *table) float64 {
	var one eprocess.Stage
	for i := range t.kinds {
		for _, s := range t.kinds[i].stages {
			one.Candidate = sum(one.Candidate, s.Candidate)
		}
	}
	if one.Candidate.Failed == 0 || one.Candidate.Failed == one.Candidate.Exposed {
		return 0 // the limit at a rate of 0 or 1
	}
	return rateLikelihood(float64(one.Candidate.Failed)/float64(one.Candidate.Exposed), one)
}

// sameRatio is the highest likelihood when the ratio is the same everywhere. Its slope, over the logarithm of the ratio, is the number of
// failures in the candidate's arm less the expected one: it falls, so that halving an interval finds where it is zero.
func sameRatio(t *table) float64 {
	low, high := -40.0, 40.0
	for range bisection {
		if middle := (low + high) / 2; slope(t, math.Exp(middle)) > 0 {
			low = middle
		} else {
			high = middle
		}
	}
	var like float64
	for i := range t.kinds {
		for _, s := range t.kinds[i].stages {
			like += ratioLikelihood(math.Exp(low), s)
		}
	}
	return like
}

func slope(t *table, r float64) (d float64) {
	for i := range t.kinds {
		for _, s := range t.kinds[i].stages {
			if nC, nS := float64(s.Candidate.Exposed), float64(s.Control.Exposed); nC > 0 && nS > 0 {
				share := r * nC / (r*nC + nS)
				d += float64(s.Candidate.Failed)*(1-share) - float64(s.Control.Failed)*share
			}
		}
	}
	return d
}

// worse is the evidence that the candidate does worse in a slice than on all other devices, as a natural logarithm. It compares a
// mixture over both numbers with the best single number (universal inference: Wasserman, Ramdas, Balakrishnan, 2020, with a mixture in
// place of the split): its expectation is at most 1 when the slice does not do worse, whatever the numbers are. Of two slices, the one
// with more evidence explains the failures better.
func (m *model) worse(in []bool) float64 {
	inside := make([]float64, len(m.grid))
	for i, like := range m.kinds {
		if in[i] {
			for g, v := range like {
				inside[g] += v
			}
		}
	}
	outside := make([]float64, len(m.grid))
	for g := range outside {
		outside[g] = m.all[g] - inside[g]
	}
	if peak(inside) <= peak(outside) {
		return math.Inf(-1)
	}
	return mixture(inside, m.inside) + mixture(outside, m.outside) - m.same
}

// peak is the place of the highest value, the middle of them when they are equal.
func peak(logs []float64) float64 {
	best, n, at := math.Inf(-1), 0, 0
	for i, v := range logs {
		switch {
		case v > best:
			best, n, at = v, 1, i
		case v == best:
			n, at = n+1, at+i
		}
	}
	return float64(at) / float64(n)
}

// mixture is the logarithm of the weighted sum of numbers. Both are given as logarithms.
func mixture(logs, weights []float64) float64 {
	top := math.Inf(-1)
	for i, v := range logs {
		top = max(top, v+weights[i])
	}
	if math.IsInf(top, -1) {
		return top
	}
	var total float64
	for i, v := range logs {
		total += math.Exp(v + weights[i] - top)
	}
	return top + math.Log(total)
}
