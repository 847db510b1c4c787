// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"

	"github.com/windlass-dev/windlass/internal/simulate"
)

// The grid of tunings: windows of the query as numbers of looks, and highest good rates as multiples of the base rate, which the peers are
// told. The number of failures is searched for each.
var (
	windows = []int{1, 2, 5, 10, 20, 50, 100, 200, 400}
	margins = []float64{1.1, 1.2, 1.3, 1.5, 1.75, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 30, 50, 90}
)

// tuned are the best tunings of the peers for a base rate and weight.
type tuned struct{ argo, flagger tuning }

const (
	tuningSeed  = 1_000_003 // not that of the cells: what is found here is tried on other rollouts
	tuningTries = 0.1       // share of the rollouts that are used to choose between tunings that keep alpha
)

// tune searches the grid. Of each window and margin it takes the smallest number of failures that keeps the false alarms of a steady good
// release at the allowed share or below; of what is left, the tuning with the smallest geometric mean, over all regressions by failures at
// this weight, of the median number of devices exposed until the stop. So each peer gets one tuning that is as quick as can be for this base rate and
// weight, and nobody has to guess what the regression will be.
func tune(base float64, weight int32, rollouts int, allowed float64) tuned {
	good := draw(calm(base, weight), rollouts)
	bad := make([][][]int64, 0, len(ratios)+1)
	for _, c := range worse(base, weight) {
		bad = append(bad, draw(c.lab, max(int(float64(rollouts)*tuningTries), 1)))
	}
	perLook := float64(exposures) * float64(weight) / 10_000
	var best tuned
	quickest := [2]float64{math.Inf(1), math.Inf(1)}
	for _, w := range windows {
		for _, m := range margins {
			t := tuning{window: w, peer: simulate.Peer{MaxRate: m * base}}
			if t.peer.MaxRate >= 1 {
				continue
			}
			limit := fewestFailures(good, t, perLook, allowed)
			t.peer.Failures = limit
			if mean := slowness(bad, t, perLook, limit+1, 0); mean < quickest[0] {
				quickest[0], best.argo = mean, t
			}
			t.peer.Failures = limit + 1 // Flagger rolls back when it reaches the number, and one look later
			if mean := slowness(bad, t, perLook, limit+1, 1); mean < quickest[1] {
				quickest[1], best.flagger = mean, t
			}
		}
	}
	return best
}

// draw gives the number of failed candidate devices of each look, for each rollout.
func draw(lab simulate.Lab, rollouts int) [][]int64 {
	out := make([][]int64, rollouts)
	simulate.Parallel(rollouts, 0, func(i int) {
		failed := make([]int64, 0, lab.Looks)
		lab.Run(tuningSeed, i, func(_ int, k *simulate.Look) bool {
			failed = append(failed, k.Failed)
			return false
		})
		out[i] = failed
	})
	return out
}

// breaches calls do with each look whose rate is above the limit, until do has enough.
func (t tuning) breaches(failed []int64, perLook float64, do func(look int) (enough bool)) {
	var sum int64
	for i, f := range failed {
		sum += f
		if i >= t.window {
			sum -= failed[i-t.window]
		}
		if float64(sum)/(perLook*float64(min(i+1, t.window))) > t.peer.MaxRate && do(i) {
			return
		}
	}
}

// fewestFailures is the smallest number that at most the allowed share of good rollouts exceeds.
func fewestFailures(good [][]int64, t tuning, perLook, allowed float64) int {
	counts := make([]int, len(good))
	simulate.Parallel(len(good), 0, func(i int) {
		t.breaches(good[i], perLook, func(int) bool {
			counts[i]++
			return false
		})
	})
	slices.Sort(counts)
	return counts[min(int(math.Ceil((1-allowed)*float64(len(counts))))-1, len(counts)-1)]
}

// slowness is the geometric mean of the median exposures until the stop, over regressions. Looks come on top of those that the failures
// take. A rollout that is not stopped counts as ten times the horizon.
func slowness(bad [][][]int64, t tuning, perLook float64, failures, more int) float64 {
	sum := 0.0
	for _, rollouts := range bad {
		took := make([]float64, len(rollouts))
		simulate.Parallel(len(rollouts), 0, func(i int) {
			left := failures
			took[i] = 10 * looks
			t.breaches(rollouts[i], perLook, func(look int) bool {
				left--
				if left == 0 {
					took[i] = float64(look + 1 + more)
				}
				return left == 0
			})
		})
		sum += math.Log(simulate.QuantilesOf(took).Median * perLook)
	}
	return math.Exp(sum / float64(len(bad)))
}
