// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"math"
	"time"
)

// What Tuned chooses from.
var (
	tunedWindows  = []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour}
	tunedFailures = []int{0, 1, 3, 5}
	tunedMargins  = []float64{1.5, 2, 3, 4, 6, 8, 12, 20, 40}
)

// Tuned gives the peer of the config's rule a fair tuning for its policy and fleet: of those whose false alarms on a good release are at most
// the allowed share, the one that exposes the fewest devices, on average, to a release that fails five times as often. Peers know the
// base rate. Flagger's interval and window follow from the steps, see PeerOf. It is PeerOf when none keeps the share.
func Tuned(c Config, rollouts int, allowed float64) Peer {
	base := c.Fleet.withDefaults().BaseRate
	c.Options.Peer = Peer{}
	best, fewest := PeerOf(c), math.Inf(1)
	windows := tunedWindows
	if c.Options.Rule == Flagger {
		windows = []time.Duration{best.Window}
	}
	for _, window := range windows {
		for _, failures := range tunedFailures {
			p := best
			p.Window, p.Failures = window, failures
			if c.Options.Rule == Flagger {
				p.Failures++ // it rolls back when it reaches the number, not when it exceeds it
			}
			if exposed, ok := c.smallestMargin(&p, base, rollouts, allowed); ok && exposed < fewest {
				best, fewest = p, exposed
			}
		}
	}
	return best
}

// smallestMargin finds the lowest rate that keeps the allowed share, and what it leads to.
func (c Config) smallestMargin(p *Peer, base float64, rollouts int, allowed float64) (exposed float64, ok bool) {
	for _, m := range tunedMargins {
		p.MaxRate = min(m*base, 1)
		c.Options.Peer, c.Scenario = *p, Scenario{Kind: Good}
		if Many(c, rollouts, 0.99).RolledBack.Estimate <= allowed {
			c.Scenario = Scenario{Kind: Bad, Ratio: 5}
			return Many(c, rollouts, 0.99).All.Exposed.Mean, true
		}
	}
	return 0, false
}
