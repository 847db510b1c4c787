// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"math"
	"math/rand/v2"
)

// fewExpected is the mean up to which counting up from zero is quicker than rejection, and up to which rejection does not hold.
const fewExpected = 10

// source gives the random numbers of the i-th rollout of a seed: whoever draws it, and when, gets the same ones.
func source(seed uint64, i int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(i))) }

// binomial draws how many of n devices something happens to that happens to each with probability p.
func binomial(r *rand.Rand, n int64, p float64) int64 {
	switch {
	case n <= 0 || !(p > 0):
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - binomial(r, n, 1-p)
	case float64(n)*p < fewExpected:
		return countUp(r, n, p)
	}
	return reject(r, n, p)
}

// countUp inverts the distribution from zero upwards.
func countUp(r *rand.Rand, n int64, p float64) int64 {
	odds := p / (1 - p)
	mass, u := math.Exp(float64(n)*math.Log1p(-p)), r.Float64()
	for k := range n {
		if u < mass {
			return k
		}
		u -= mass
		mass *= odds * float64(n-k) / float64(k+1)
		if mass == 0 {
			return k // what is left of u is rounding
		}
	}
	return n
}

// reject is the algorithm BTRS of Hörmann, The generation of binomial random variates (1993): transformed rejection with squeeze. It is
// exact for n p >= 10 and p <= 1/2.
func reject(r *rand.Rand, n int64, p float64) int64 {
	mean, size := float64(n)*p, float64(n)
	spread := math.Sqrt(mean * (1 - p))
	b := 1.15 + 2.53*spread
	a := -0.0873 + 0.0248*b + 0.01*p
	alpha, squeeze := (2.83+5.1/b)*spread, 0.92-4.2/b
	for {
		u, v := r.Float64()-0.5, r.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.5)
		if us >= 0.07 && v <= squeeze {
			return int64(k)
		}
		if k < 0 || k > size {
			continue
		}
		if math.Log(v*alpha/(a/(us*us)+b)) <= ratioToMode(size, p, k) {
			return int64(k)
		}
	}
}

// ratioToMode is the logarithm of the probability of k by that of the most likely number.
func ratioToMode(n, p, k float64) float64 {
	mode := math.Floor((n + 1) * p)
	return logFactorial(mode) + logFactorial(n-mode) - logFactorial(k) - logFactorial(n-k) + (k-mode)*math.Log(p/(1-p))
}

func logFactorial(n float64) float64 {
	v, _ := math.Lgamma(n + 1)
	return v
}

// within is the probability that something with the given mean time happens within dt, when it does not age (exponential).
func within(dt, mean float64) float64 {
	if mean <= 0 {
		return 1
	}
	return -math.Expm1(-dt / mean)
}
