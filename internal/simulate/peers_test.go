// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"math"
	"testing"
	"time"
)

// Failed measurements add up over the whole rollout, however many good ones lie between them; errors only in a row.
func TestPeer_Argo(t *testing.T) {
	p := Peer{MaxRate: 0.02, Failures: 2, Errors: 4}
	type measured struct {
		rate float64
		err  bool
	}
	good, bad, none, lost := measured{rate: 0.02}, measured{rate: 0.021}, measured{rate: math.NaN()}, measured{err: true}
	for name, c := range map[string]struct {
		measured []measured
		stops    int // at which measurement; -1: never
	}{
		"good":                 {[]measured{good, good, none}, -1},
		"failures in all":      {[]measured{bad, good, good, bad, none, good, bad}, 6},
		"errors in a row":      {[]measured{lost, lost, lost, lost, good, lost, lost, lost, lost, lost}, 9},
		"errors and failures":  {[]measured{bad, lost, lost, bad, lost, lost, bad}, 6},
		"a failure is no good": {[]measured{lost, lost, lost, lost, bad, lost, lost, lost, lost}, -1},
	} {
		var checks Checks
		stops := -1
		for i, m := range c.measured {
			if p.Argo(&checks, m.rate, m.err) {
				stops = i
				break
			}
		}
		if stops != c.stops {
			t.Errorf("%s: stops at %d, expected %d", name, stops, c.stops)
		}
	}
}

// Failed checks add up, errors among them, and nothing takes them back.
func TestPeer_Flagger(t *testing.T) {
	p := Peer{MaxRate: 0.02, Failures: 3}
	var checks Checks
	for i, c := range []struct {
		rate float64
		err  bool
		want bool
	}{{0.03, false, false}, {0, false, false}, {0, true, false}, {math.NaN(), false, false}, {0.01, false, false}, {0.021, false, true}} {
		if got := p.Flagger(&checks, c.rate, c.err); got != c.want {
			t.Errorf("check %d: %v after %d failed ones, expected %v", i, got, checks.Failed, c.want)
		}
	}
}

// A pooled z of 1.7408 for 30 of 1000 against 18 of 1000, by hand: p = 0.041.
func TestPeer_Peek(t *testing.T) {
	for _, c := range []struct {
		failed, exposed, controlFailed, controlExposed int64
		level                                          float64
		want                                           bool
	}{
		{30, 1000, 18, 1000, 0.05, true}, {30, 1000, 18, 1000, 0.04, true}, {30, 1000, 19, 1000, 0.05, false}, {18, 1000, 30, 1000, 0.05, false},
		{0, 10, 0, 10, 0.05, false}, {10, 10, 10, 10, 0.05, false}, {5, 10, 0, 0, 0.05, false}, {0, 0, 1, 10, 0.05, false},
	} {
		if got := (Peer{Level: c.level}).Peek(c.failed, c.exposed, c.controlFailed, c.controlExposed); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// Flagger takes one step an interval while checks pass, and as long as the policy in all.
func TestRun_flaggerProgress(t *testing.T) {
	c := config(t, "good")
	c.Options.Rule = Flagger
	c.Options.Peer = PeerOf(c)
	if want := 3 * time.Hour / 4; c.Options.Peer.Interval != want {
		t.Fatalf("interval is %s, expected %s: three hours for three weights and the promotion", c.Options.Peer.Interval, want)
	}
	c.Options.Peer.MaxRate = 1
	got := Run(c)
	if got.Outcome != Completed || got.Took != 3*c.Options.Peer.Interval {
		t.Errorf("%s after %s, expected to complete after three intervals", got.Outcome, got.Took)
	}
	c.Options.Peer.MaxRate, c.Options.Peer.Failures, c.Fleet.BaseRate = 0, 2, 0.2
	got = Run(c)
	if got.Outcome != RolledBack || got.Took != 3*c.Options.Peer.Interval || got.Weight != 100 {
		t.Errorf("%s after %s at %d, expected to roll back at the tick after the second failed check, without a rise", got.Outcome, got.Took, got.Weight)
	}
}
