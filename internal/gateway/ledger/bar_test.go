// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// A bundle that the client gave up is not offered to its device again, until a proof wins over the failure; a crash is a vote only.
func TestBars(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		cfg.Refresh = 10 * time.Millisecond
		l, stop := open(t, cfg)
		all := []*ledger.Ledger{l}
		if cfg.DSN != "" {
			second, stopSecond := open(t, cfg)
			defer stopSecond()
			all = append(all, second)
		}
		told := offer(bad, resolve.Candidate)
		say := func(id string, what ledger.Outcome, kind ledger.Kind, after time.Duration) {
			r := report(l, id, bad, what, start.Add(after))
			r.Kind = kind
			r.Assigned, r.Known = ledger.SeriesOf(app, "production", &told)
			l.Reported(r)
		}
		barred := func(when, id string, wanted bool) {
			t.Helper()
			p := l.Pseudonym(app, id)
			flush(t, l)
			if got := len(l.Failed(p)) == 1; got != wanted {
				t.Errorf("%s: %s is barred: %v, want %v", when, id, got, wanted)
			}
			for _, other := range all {
				eventually(t, when+": each replica knows", func() bool { return (len(other.Failed(p)) == 1) == wanted })
			}
		}
		for kind, wanted := range map[ledger.Kind]bool{
			ledger.KindRollback: true, ledger.KindVerification: true, ledger.KindCrash: false,
		} {
			id := string(kind)
			l.Checked(check(l, id, told, start))
			flush(t, l)
			say(id, ledger.Failed, kind, time.Second)
			if got := len(l.Failed(l.Pseudonym(app, id))) == 1; got != wanted {
				t.Errorf("at once: %s is barred: %v, want %v", id, got, wanted)
			}
			barred("after the failure", id, wanted)
		}
		want(t, l, candidateRow(func(r *ledger.Row) { r.Devices, r.Offered, r.Failed, r.FailedOnce = 3, 3, 3, 3 }))
		say("rollback", ledger.Confirmed, "", time.Minute)
		barred("after a proof", "rollback", false)
		say("rollback", ledger.Failed, ledger.KindRollback, time.Second)
		barred("when the failure comes again", "rollback", false)
		say("rollback", ledger.Failed, ledger.KindCrash, time.Hour)
		barred("after a crash", "rollback", false)
		say("crash", ledger.Failed, ledger.KindRollback, time.Hour)
		barred("after a crash and a rollback", "crash", true)
		say("crash", ledger.Failed, ledger.KindCrash, time.Hour+time.Second)
		barred("after a rollback and a crash", "crash", true)
		if cfg.DSN == "" && cfg.Path == "" {
			return
		}
		stop()
		l, _ = open(t, cfg)
		all = []*ledger.Ledger{l}
		barred("after a restart", "rollback", false)
		barred("after a restart", "verification", true)
		say("rollback", ledger.Failed, ledger.KindVerification, 2*time.Hour)
		barred("after the next failure", "rollback", true)
	})
}

// Another ready time counts for what is there already, and for all replicas.
func TestReadyTimeChanges(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		if cfg.DSN == "" && cfg.Path == "" {
			return // it ends with its process
		}
		old, stop := open(t, cfg)
		seen := func(l *ledger.Ledger, id string, after time.Duration) {
			l.Checked(check(l, id, upToDate(bad, resolve.Candidate), start.Add(after)))
			flush(t, l)
		}
		confirmed := func(devices, confirmed int64) ledger.Row {
			return candidateRow(func(r *ledger.Row) {
				r.Devices, r.Installed, r.Confirmed = devices, devices, confirmed
			})
		}
		seen(old, "early", 0)
		seen(old, "early", 40*time.Second)
		want(t, old, confirmed(1, 1))
		if cfg.DSN == "" {
			stop() // SQLite is for one process
		}
		cfg.ReadyTime = time.Minute
		l, _ := open(t, cfg)
		want(t, l, confirmed(1, 0))
		writer := l
		if cfg.DSN != "" {
			writer = old
		}
		seen(writer, "late", 0)
		seen(writer, "late", 40*time.Second)
		want(t, l, confirmed(2, 0))
		seen(writer, "late", 80*time.Second)
		seen(writer, "early", 80*time.Second)
		want(t, l, confirmed(2, 2))
	})
}
