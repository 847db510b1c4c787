// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// Draws agree with the distribution: a chi-squared test over cells of at least ten expected draws, with fixed seeds.
func TestBinomial_distribution(t *testing.T) {
	const draws = 200_000
	for i, c := range []struct {
		n int64
		p float64
	}{
		{1, 0.3}, {10, 0.01}, {10, 0.5}, {99, 0.1}, {100, 0.1}, {101, 0.1}, {1000, 0.01}, {1000, 0.0099}, {40, 0.5}, {40, 0.75}, {20, 0.97}, {100_000, 0.002}, {1_000_000, 0.4},
	} {
		t.Run(fmt.Sprint(c.n, " ", c.p), func(t *testing.T) {
			r := source(1, i)
			seen := map[int64]float64{}
			for range draws {
				seen[binomial(r, c.n, c.p)]++
			}
			want := distuv.Binomial{N: float64(c.n), P: c.p}
			chi, cells, expected, got := 0.0, -1, 0.0, 0.0
			mean, spread := float64(c.n)*c.p, math.Sqrt(float64(c.n)*c.p*(1-c.p))
			for k := max(int64(mean-12*spread), 0); k <= min(int64(mean+12*spread)+1, c.n); k++ {
				expected += draws * want.Prob(float64(k))
				got += seen[k]
				if expected >= 10 {
					chi += (got - expected) * (got - expected) / expected
					cells++
					expected, got = 0, 0
				}
			}
			if limit := (distuv.ChiSquared{K: float64(max(cells, 1))}).Quantile(0.9999); chi > limit {
				t.Errorf("chi-squared is %.1f over %d cells, expected at most %.1f", chi, cells, limit)
			}
		})
	}
}

func TestBinomial_extremes(t *testing.T) {
	r := source(1, 0)
	for _, c := range []struct {
		n    int64
		p    float64
		want int64
	}{{0, 0.5, 0}, {-3, 0.5, 0}, {7, 0, 0}, {7, math.NaN(), 0}, {7, -1, 0}, {7, 1, 7}, {7, 2, 7}, {1 << 40, 1e-30, 0}} {
		if got := binomial(r, c.n, c.p); got != c.want {
			t.Errorf("binomial(%d, %v) is %d, expected %d", c.n, c.p, got, c.want)
		}
	}
	if got := binomial(r, 1e12, 0.25); math.Abs(float64(got)-2.5e11) > 5e6 {
		t.Errorf("a quarter of 10^12 is drawn as %d", got)
	}
}

// The stationary spread and the correlation are those that were asked for, and the mean of the base rate does not move.
func TestSky_autocorrelation(t *testing.T) {
	for _, rho := range []float64{0, 0.5, 0.8} {
		r := source(5, 0)
		s := newSky(Weather{Correlation: rho, Spread: 0.7}, 0, r)
		const n = 200_000
		var sum, squares, products, rates float64
		last := s.log
		for range n {
			s.advance(1, r)
			sum, squares, products, rates = sum+s.log, squares+s.log*s.log, products+s.log*last, rates+s.rate()
			last = s.log
		}
		if sd := math.Sqrt(squares / n); math.Abs(sd-0.7) > 0.02 {
			t.Errorf("correlation %v: spread is %.3f, expected 0.7", rho, sd)
		}
		if got := products / squares; math.Abs(got-rho) > 0.02 {
			t.Errorf("correlation is %.3f, expected %v", got, rho)
		}
		if mean := rates / n; math.Abs(mean-1) > 0.03 {
			t.Errorf("correlation %v: mean factor is %.3f, expected 1", rho, mean)
		}
	}
}

func TestSky_driftAndNight(t *testing.T) {
	r := source(5, 0)
	s := newSky(Weather{Drift: 3, Night: 0.8}, 3, r)
	if got := s.checkIns(); math.Abs(got-0.2) > 1e-9 {
		t.Errorf("at 03:00 check-ins are %v of the brightest hour's, expected 0.2", got)
	}
	s.advance(12, r)
	if got := s.checkIns(); math.Abs(got-1) > 1e-9 {
		t.Errorf("at 15:00 check-ins are %v, expected 1", got)
	}
	if got := s.rate(); math.Abs(got-math.Sqrt(3)) > 1e-9 {
		t.Errorf("after half a day the base rate is %v times as high, expected the square root of 3", got)
	}
	s.advance(240, r)
	if got := s.rate(); math.Abs(got-mostGrow) > 1e-9 {
		t.Errorf("after ten days the base rate is %v times as high, expected at most %d", got, mostGrow)
	}
}
