// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// One network cannot vote a bundle down, however many devices it makes up.
func TestVotesOfANetworkAreLimited(t *testing.T) {
	t.Parallel()
	cfg := ledger.Config{NetworkMinimum: 5, NetworkShare: 0.1}
	for _, tc := range []struct {
		name    string
		others  int
		network ledger.Network
		failed  int64
		capped  float64
	}{
		{"the minimum", 10, 7, 5, 95},
		{"a share", 200, 7, 22, 78}, // the network's own votes are in the share's base
		{"devices that proved who they are", 10, 0, 100, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l, _ := open(t, cfg)
			for i := range tc.others {
				c := check(l, fmt.Sprint("other-", i), offer(bad, resolve.Candidate), start)
				c.Network = ledger.Network(1000 + i)
				l.Checked(c)
			}
			flush(t, l)
			told := offer(bad, resolve.Candidate)
			for i := range 100 {
				r := report(l, fmt.Sprint("flood-", i), bad, ledger.Failed, start)
				r.Assigned, r.Known = ledger.SeriesOf(app, "production", &told)
				r.Network = tc.network
				l.Reported(r)
				if i%30 == 0 {
					flush(t, l)
				}
			}
			if got := rows(t, l)[0].Failed; got != tc.failed {
				t.Errorf("%d of 100 failures of a network count beside %d devices, want %d", got, tc.others, tc.failed)
			}
			if got := metric(t, l, "windlass_gateway_ledger_capped_votes_total", "", ""); got != tc.capped {
				t.Errorf("%v votes were capped, want %v", got, tc.capped)
			}
		})
	}
}

// Both arms take about the same share of the votes of each carrier, behind whose few addresses many devices are: else a candidate's small
// arm, in which the minimum is a large share, would have more of those that fail more often than the control has.
func TestArmsAreAlikeInNetworks(t *testing.T) {
	t.Parallel()
	all := map[int]int{2: 10_000, 10: 10_000, 30: 10_000, 50: 10_000} // devices by weight: half of them behind two carriers
	if os.Getenv("WINDLASS_CORPUS") != "full" {
		all = map[int]int{2: 10_000, 30: 4_000} // a small arm has few votes of a carrier: fewer devices would leave it to luck
	}
	for weight, devices := range all {
		t.Run(fmt.Sprint(weight, " %"), func(t *testing.T) {
			t.Parallel()
			l, _ := open(t, ledger.Config{})
			random := rand.New(rand.NewPCG(3, uint64(weight)))
			var checks []*ledger.Check
			var failed []*ledger.Report
			for i := range devices {
				told := in(1, upToDate(stable, resolve.Control))
				if random.IntN(100) < weight {
					told = in(1, offer(bad, resolve.Candidate))
				}
				c := check(l, fmt.Sprint(i), told, start)
				c.Network = ledger.Network(1000 + i)
				if carrier := random.IntN(4); carrier < 2 {
					c.Network = ledger.Network(1 + carrier)
				}
				if checks = append(checks, c); c.Network == 1 { // who fails tells in which arm the carrier's votes are
					r := report(l, fmt.Sprint(i), told.Bundle.Digest, ledger.Failed, start.Add(time.Second))
					r.Network = c.Network
					failed = append(failed, r)
				}
			}
			for part := range slices.Chunk(checks, 100) {
				if err := l.Write(t.Context(), part, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Write(t.Context(), nil, failed); err != nil {
				t.Fatal(err)
			}
			share := map[string]float64{}
			for _, r := range rows(t, l) {
				share[r.Arm] = float64(r.Failed) / float64(r.Devices)
			}
			candidate, control := share["candidate"], share["control"]
			if len(share) != 2 || candidate < 0.04 || candidate/control > 1.25 || control/candidate > 1.25 {
				t.Errorf("the carrier is %.3f of the candidate's arm and %.3f of the control, want about the same", candidate, control)
			}
		})
	}
}
