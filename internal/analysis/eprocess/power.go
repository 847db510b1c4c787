// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

import "math"

// Outlook is what is expected of a stage: how many devices of each arm are exposed, and the share of the control's devices with an
// event (a failure; a return for Silence).
type Outlook struct {
	Candidate, Control float64
	Base               float64
}

const (
	// never is the ratio of Silence that stands for devices that do not come back at all.
	never = 1e6
	// parts into which Power divides what may happen in the control arm, and the time of a Silence.
	parts = 10
)

// Power is the probability that the evidence of one stage reaches the limit when the candidate's rate is ratio times the base (for Silence:
// the base divided by ratio). It holds for one look at the end, so that it is a lower bound for more looks. Failures of the arms
// are independent and Poisson distributed, as they are when devices arrive at random.
func (t Test) Power(o Outlook, ratio float64) float64 {
	return t.boundary(o).power(o, ratio)
}

// Detects gives the smallest ratio with at least the given power, to 1 %. It is not ok when there is none: not even a total outage shows.
func (t Test) Detects(o Outlook, power float64) (ratio float64, ok bool) {
	b := t.boundary(o)
	low, high := 1e-3, never
	if t.Kind != Silence {
		high = 1 / o.Base
	}
	if !(b.power(o, high) >= power) {
		return 0, false
	}
	for high > low*1.01 {
		if mid := math.Sqrt(low * high); b.power(o, mid) >= power {
			high = mid
		} else {
			low = mid
		}
	}
	return high, true
}

// edge has, for equally probable numbers of events in the control arm, the number in the candidate's from which on (for Silence: up to which)
// the limit is reached.
type edge struct {
	silence bool
	events  [parts]int64
}

func (t Test) boundary(o Outlook) edge {
	out := edge{silence: t.Kind == Silence}
	for i := range out.events {
		control := int64(0)
		if t.Kind != Rate {
			control = poissonQuantile(o.Control*o.Base, (float64(i)+0.5)/parts)
		}
		out.events[i] = t.edge(o, control)
	}
	return out
}

func (e edge) power(o Outlook, ratio float64) (sum float64) {
	for _, n := range e.events {
		if e.silence {
			sum += poissonAtMost(n, o.Candidate*o.Base/ratio)
		} else {
			sum += 1 - poissonAtMost(n-1, o.Candidate*min(o.Base*ratio, 1))
		}
	}
	return sum / parts
}

// edge finds by bisection the candidate's events at which the limit is reached: the evidence grows with failures, and shrinks with returns.
func (t Test) edge(o Outlook, control int64) int64 {
	reached := func(n int64) bool { return t.expected(o, n, control) >= t.LogLimit() }
	low, high := int64(-1), int64(min(2*o.Candidate+100, maxCount)) // failures: not reached at low; returns: not at high
	for high-low > 1 {
		if mid := low + (high-low)/2; reached(mid) != (t.Kind == Silence) {
			high = mid
		} else {
			low = mid
		}
	}
	if t.Kind == Silence {
		return low
	}
	return high
}

// expected is the logarithm of the evidence of a stage with these numbers of events.
func (t Test) expected(o Outlook, candidate, control int64) float64 {
	var s State
	switch t.Kind {
	case Increase:
		t.multiply(&s.Logs, float64(candidate), float64(control), t.share(o.Candidate, o.Control))
	case Rate:
		t.multiply(&s.Logs, float64(candidate), max(o.Candidate-float64(candidate), 0), max(t.Limit, minRate))
	case Silence:
		c, s2 := float64(candidate)/parts, float64(control)/parts
		for i := range parts { // devices that have returned are at risk no more
			at := t.share(max(o.Candidate-float64(i)*c, 0), max(o.Control-float64(i)*s2, 0))
			t.multiply(&s.Logs, c, s2, at)
		}
	}
	return t.Log(s)
}

// poissonQuantile is the smallest k with P(X <= k) >= u.
func poissonQuantile(mean, u float64) int64 {
	spread := int64(10*math.Sqrt(mean)) + 10
	low, high := max(int64(mean)-spread, 0)-1, int64(mean)+spread
	for high-low > 1 {
		if mid := low + (high-low)/2; poissonAtMost(mid, mean) >= u {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

// poissonAtMost is P(X <= k) for a Poisson distributed X. Above a mean of ten thousand it is that of a normal distribution.
func poissonAtMost(k int64, mean float64) float64 {
	switch {
	case k < 0:
		return 0
	case mean <= 0:
		return 1
	case mean > 1e4:
		return math.Erfc((mean-float64(k)-0.5)/math.Sqrt(2*mean)) / 2
	case float64(k) > mean:
		return 1 - poissonSum(k+1, mean, 1)
	}
	return poissonSum(k, mean, -1)
}

// poissonSum adds up the probabilities of k and of those beyond it, away from the mean: step is 1 or -1.
func poissonSum(k int64, mean float64, step int64) (sum float64) {
	lg, _ := math.Lgamma(float64(k) + 1)
	for p := math.Exp(float64(k)*math.Log(mean) - mean - lg); k >= 0 && p > 1e-17*sum && p > 0; k += step {
		sum += p
		if step > 0 {
			p *= mean / float64(k+1)
		} else {
			p *= float64(k) / mean
		}
	}
	return sum
}
