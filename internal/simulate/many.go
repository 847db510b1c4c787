// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"gonum.org/v1/gonum/mathext"
)

// Rate is an observed share with its interval.
type Rate struct {
	Count, Of int
	Estimate  float64
	Low, High float64 // Clopper-Pearson, two-sided
}

// RateOf gives the share of count in of, with its exact interval (Clopper and Pearson, The use of confidence or fiducial limits illustrated in
// the case of the binomial, 1934) at a level such as 0.99.
func RateOf(count, of int, level float64) Rate {
	r := Rate{Count: count, Of: of, High: 1}
	if of == 0 {
		return r
	}
	k, n, tail := float64(count), float64(of), (1-level)/2
	r.Estimate = k / n
	if count > 0 {
		r.Low = mathext.InvRegIncBeta(k, n-k+1, tail)
	}
	if count < of {
		r.High = mathext.InvRegIncBeta(k+1, n-k, 1-tail)
	}
	return r
}

// Quantiles of a number over rollouts, with its mean. They are NaN when there are none.
type Quantiles struct{ Mean, Median, P90, Max float64 }

// QuantilesOf gives mean and quantiles of numbers, which it sorts.
func QuantilesOf(v []float64) Quantiles {
	if len(v) == 0 {
		return Quantiles{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	}
	slices.Sort(v)
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	at := func(q float64) float64 { return v[max(int(math.Ceil(q*float64(len(v))))-1, 0)] }
	return Quantiles{sum / float64(len(v)), at(0.5), at(0.9), v[len(v)-1]}
}

// Ends are quantiles of how rollouts ended.
type Ends struct {
	Took    Quantiles // seconds from the start
	Exposed Quantiles // devices that were offered the candidate
	Failed  Quantiles // failures on them
	Lost    Quantiles // devices that never came back
}

// Summary is what happened in many rollouts of the same config.
type Summary struct {
	Rule     Rule
	Rollouts int
	Outcomes map[Outcome]int
	Excluded int // went on without a part of the devices, whatever the outcome

	RolledBack Rate // of a good release: false alarms
	Completed  Rate // of a bad one: missed

	All     Ends // of all rollouts
	Stopped Ends // of those that were rolled back
}

// Many simulates n rollouts, without timelines. The level is that of the intervals, such as 0.99. The result depends on the config
// alone, not on the number of goroutines.
func Many(c Config, n int, level float64) Summary {
	c = c.withDefaults(defaultLook(c))
	traces := make([]Trace, n)
	Parallel(n, c.Options.Parallel, func(i int) {
		traces[i] = c.run(i, false)
		if c.Options.Done != nil {
			c.Options.Done()
		}
	})
	s := Summary{Rule: c.Options.Rule, Rollouts: n, Outcomes: map[Outcome]int{}}
	var stopped []Trace
	for i := range traces {
		s.Outcomes[traces[i].Outcome]++
		if len(traces[i].Excluded) > 0 {
			s.Excluded++
		}
		if traces[i].Outcome == RolledBack {
			stopped = append(stopped, traces[i])
		}
	}
	s.RolledBack, s.Completed = RateOf(s.Outcomes[RolledBack], n, level), RateOf(s.Outcomes[Completed], n, level)
	s.All, s.Stopped = endsOf(traces), endsOf(stopped)
	return s
}

func endsOf(traces []Trace) Ends {
	of := func(f func(*Trace) float64) Quantiles {
		v := make([]float64, len(traces))
		for i := range traces {
			v[i] = f(&traces[i])
		}
		return QuantilesOf(v)
	}
	return Ends{
		Took:    of(func(t *Trace) float64 { return t.Took.Seconds() }),
		Exposed: of(func(t *Trace) float64 { return float64(t.Exposed) }),
		Failed:  of(func(t *Trace) float64 { return float64(t.Failed) }),
		Lost:    of(func(t *Trace) float64 { return float64(t.Lost) }),
	}
}

// Parallel calls do for 0 to n-1 in some order, in as many goroutines as asked, or one a core.
func Parallel(n, goroutines int, do func(i int)) {
	if goroutines <= 0 {
		goroutines = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(goroutines, n) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	group.Wait()
}
