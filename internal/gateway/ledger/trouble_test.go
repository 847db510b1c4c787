// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// Counts that nothing is added to any more look sound: a database that can be read but takes nothing is as good as away.
func TestDatabaseThatTakesNothing(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		c, log := newClock(), &logged{}
		cfg.Now, cfg.Log = c.now, log.logger()
		l, _ := open(t, cfg)
		l.Checked(check(l, "before", offer(bad, resolve.Candidate), start))
		flush(t, l)
		rename := func(from, to string) {
			t.Helper()
			if _, err := l.DB().ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
				t.Fatal(err)
			}
		}
		counts := func() error {
			_, err := l.Counts(t.Context(), app, "production")
			return err
		}
		up := func() float64 { return metric(t, l, "windlass_gateway_ledger_up", "", "") }
		complaints := func() int { return strings.Count(log.text(), "did not take a batch") }
		rename("votes", "elsewhere")
		l.Checked(check(l, "late", offer(bad, resolve.Candidate), start))
		eventually(t, "the log tells that a batch was not taken", func() bool { return complaints() == 1 })
		if err := counts(); err != nil || up() != 1 {
			t.Errorf("at once: %v, up %v, want counts: it may come right", err, up())
		}
		c.add(16 * time.Second)
		if err := counts(); !errors.Is(err, ledger.ErrUnavailable) || up() != 0 {
			t.Errorf("16 s later: %v, up %v, want ErrUnavailable and 0", err, up())
		}
		c.add(time.Minute)
		eventually(t, "the log tells it again", func() bool { return complaints() == 2 })
		rename("elsewhere", "votes")
		want(t, l, candidateRow(func(r *ledger.Row) { r.Devices, r.Offered = 2, 2 }))
		if up() != 1 {
			t.Error("not up after it came right")
		}
	})
}
