// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"math"
	"math/rand/v2"
)

// Weather is what happens to devices of both arms alike. The zero Weather is calm.
type Weather struct {
	Correlation float64 // of the logarithm of the base rate with that of an hour before, in [0, 1): AR(1)
	Spread      float64 // standard deviation of the logarithm of the base rate
	Drift       float64 // factor by which the base rate grows within a day, up to ten times; 0: 1
	Night       float64 // share of check-ins that is missing at the darkest hour, 03:00, in [0, 1); the base rate is higher by as much
}

const (
	darkest  = 3.0 // o'clock
	mostGrow = 10  // times the base rate that a drift leads to at most
)

// sky is the weather as it goes on.
type sky struct {
	weather Weather
	hour    float64 // of the day, at the start
	now     float64 // hours since the start
	log     float64 // deviation of the logarithm of the base rate; it has no trend
}

// newSky begins with a deviation that is as likely as at any other time.
func newSky(w Weather, hour float64, r *rand.Rand) sky {
	s := sky{weather: w, hour: hour}
	if w.Spread > 0 {
		s.log = w.Spread * r.NormFloat64()
	}
	return s
}

// advance lets hours pass.
func (s *sky) advance(hours float64, r *rand.Rand) {
	s.now += hours
	if s.weather.Spread > 0 {
		keep := math.Pow(s.weather.Correlation, hours)
		s.log = keep*s.log + math.Sqrt(1-keep*keep)*s.weather.Spread*r.NormFloat64()
	}
}

// rate is the factor of the base rate now. Its mean over the deviations is that of trend and night.
func (s *sky) rate() float64 {
	f := 1 + s.dark()
	if s.weather.Spread > 0 {
		f *= math.Exp(s.log - s.weather.Spread*s.weather.Spread/2)
	}
	if d := s.weather.Drift; d > 0 && d != 1 {
		f *= min(math.Pow(d, s.now/24), mostGrow)
	}
	return f
}

// checkIns is the factor of check-ins now.
func (s *sky) checkIns() float64 { return 1 - s.dark() }

// dark is Night at the darkest hour, and none at the brightest.
func (s *sky) dark() float64 {
	if s.weather.Night == 0 {
		return 0
	}
	return s.weather.Night * (1 + math.Cos(2*math.Pi*(s.hour+s.now-darkest)/24)) / 2
}
