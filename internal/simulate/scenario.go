// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind names a scenario.
type Kind string

// The scenarios.
const (
	Good     Kind = "good"     // the candidate is as stable is
	Bad      Kind = "bad"      // it fails Ratio times as often
	Slice    Kind = "slice"    // it fails Ratio times as often on Android below 4.3.0, and as stable does elsewhere
	Silent   Kind = "silent"   // devices that start it never come back
	Outage   Kind = "outage"   // it is good, and the metrics system is out of reach for a while
	Incident Kind = "incident" // it is good, and the backend makes devices of both arms fail Factor times as often for a while
	Drift    Kind = "drift"    // it is good, the base rate drifts, and at night few devices check in
)

// Scenario is what happens to a rollout.
type Scenario struct {
	Kind   Kind
	Ratio  float64       // of the candidate's failures to those of stable; 0: 5 for bad, 20 for slice, else 1
	Factor float64       // of an incident; 0: 10
	After  time.Duration // start of an outage or incident; 0: half the first pause
	For    time.Duration // its length; 0: 10 m
}

// Kinds are the names of all scenarios.
func Kinds() []Kind { return []Kind{Good, Bad, Slice, Silent, Outage, Incident, Drift} }

// ParseScenario reads good, bad, bad=x5, slice, slice=x20, silent, outage, outage=10m, incident, incident=x10 and drift.
func ParseScenario(text string) (Scenario, error) {
	name, value, given := strings.Cut(text, "=")
	s := Scenario{Kind: Kind(name)}
	var err error
	switch s.Kind {
	case Bad, Slice:
		if given {
			s.Ratio, err = factor(value)
		}
	case Incident:
		if given {
			s.Factor, err = factor(value)
		}
	case Outage:
		if given {
			s.For, err = time.ParseDuration(value)
		}
		if err == nil && s.For < 0 {
			err = fmt.Errorf("%q is negative", value)
		}
	case Good, Silent, Drift:
		if given {
			err = errors.New("it takes no value")
		}
	default:
		return s, fmt.Errorf("scenario %q is unknown: expected good, bad=x5, slice, silent, outage, incident or drift", text)
	}
	if err != nil {
		return s, fmt.Errorf("scenario %q: %w", text, err)
	}
	return s, nil
}

// factor reads x5.
func factor(text string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimPrefix(text, "x"), 64)
	if err != nil || !(v > 0 && v <= 1e6) {
		return 0, fmt.Errorf("%q is not a factor such as x5", text)
	}
	return v, nil
}
