// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"
	"weak"

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

// A database that is read but not written is away, and stays so until both go well: the log and the metric do not alternate.
func TestDatabaseThatOnlyReads(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		log := &logged{}
		cfg.Log, cfg.Refresh, cfg.Heartbeat = log.logger(), time.Millisecond, 10*time.Millisecond
		l, _ := open(t, cfg)
		run := func(statement string, args ...any) {
			t.Helper()
			if _, err := l.DB().ExecContext(t.Context(), statement, args...); err != nil {
				t.Fatal(err)
			}
		}
		up := func() float64 { return metric(t, l, "windlass_gateway_ledger_up", "", "") }
		run("ALTER TABLE sessions RENAME TO elsewhere")
		eventually(t, "the metric shows that heartbeats fail", func() bool { return up() == 0 })
		for i, id := range []string{"d1", "d2", "d3"} {
			p := l.Pseudonym(app, id)
			run("INSERT INTO failures (device, digest, at, lifted, seq) VALUES ($1, $2, $3, 0, $4)", p[:], bad, start.UnixMilli(), i+1)
			eventually(t, "a refresh reads what failed on "+id, func() bool { return len(l.Failed(p)) == 1 })
			if up() != 0 {
				t.Errorf("up after a refresh read what failed on %s, want down: heartbeats fail", id)
			}
		}
		run("ALTER TABLE elsewhere RENAME TO sessions")
		eventually(t, "the metric shows that all is well", func() bool { return up() == 1 })
		told := func(text string) func() bool { return func() bool { return strings.Count(log.text(), text) == 1 } }
		eventually(t, "the log tells once that it answers", told("database answers"))
		if !told("database does not answer")() {
			t.Errorf("the log tells not exactly once that the database went away:\n%s", log.text())
		}
	})
}

// A replica that vanishes while it has the writer's lock, so that its session stays, stops the others for some seconds only.
func TestVanishedWriter(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	vanished, _ := open(t, ledger.Config{DSN: dsn, Replica: "vanished"})
	var idle string
	if err := vanished.DB().QueryRowContext(t.Context(), "SHOW tcp_keepalives_idle").Scan(&idle); err != nil || idle != "30" {
		t.Errorf("the server asks for a sign of life after %q s (%v), want 30", idle, err)
	}
	held, release, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- vanished.Change(context.Background(), func(*sql.Tx) error {
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	l, _ := open(t, ledger.Config{DSN: dsn, Replica: "other"})
	l.Checked(check(l, "d", offer(bad, resolve.Candidate), start))
	want(t, l, candidateRow(func(r *ledger.Row) { r.Devices, r.Offered = 1, 1 }))
	close(release)
	if err := <-ended; err == nil {
		t.Error("the vanished replica's transaction went through after its lock was taken")
	}
}

// A replica that reads much shows that it lives meanwhile; one that has not read everything yet has nothing to show.
func TestHeartbeatWaitsForNothing(t *testing.T) {
	t.Parallel()
	cfg := ledger.Config{DSN: newDatabase(t), Refresh: time.Millisecond, Heartbeat: 10 * time.Millisecond, Replica: "first"}
	first, _ := open(t, cfg)
	slow, err := first.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.ExecContext(t.Context(), "LOCK TABLE failures IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	number := func(query string) (n int) {
		if err := slow.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	waiting := func(n int) func() bool {
		return func() bool {
			return number("SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'failures'::regclass") == n
		}
	}
	eventually(t, "the first replica waits for the failures", waiting(1))
	opened := make(chan error)
	cfg.Replica, cfg.Key = "second", key
	go func() {
		second, err := ledger.Open(context.Background(), cfg)
		if err == nil {
			err = second.Close()
		}
		opened <- err
	}()
	eventually(t, "the second replica waits for the failures", waiting(2))
	before := number("SELECT beat FROM sessions")
	eventually(t, "heartbeats of the first, the only session", func() bool { return number("SELECT beat FROM sessions") >= before+10 })
	if n := number("SELECT COUNT(*) FROM sessions"); n != 1 {
		t.Errorf("%d sessions, want that of the first replica: the second one is not ready to show that it lives", n)
	}
	if err := slow.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
}

// Names of apps are longer than what is kept of a device.
func TestLongNames(t *testing.T) {
	t.Parallel()
	l, _ := open(t, ledger.Config{})
	c := check(l, "d", offer(bad, resolve.Candidate), start)
	c.App, c.Channel = strings.Repeat("a", 128), strings.Repeat("c", 63)
	l.Checked(c)
	flush(t, l)
	if s, err := l.Counts(t.Context(), c.App, c.Channel); err != nil || len(s.Rows) != 1 {
		t.Errorf("counts of an app of 128 bytes: %+v, %v, want one row", s.Rows, err)
	}
	if s, err := l.Counts(t.Context(), "a\x00b", "\xff"); err != nil || len(s.Rows) != 0 {
		t.Errorf("counts of an app that cannot be: %+v, %v, want none", s.Rows, err)
	}
}

// What waits for the database, and what is kept of it, does not keep the bodies of the requests.
func TestRequestsAreFreed(t *testing.T) {
	t.Parallel()
	l, err := ledger.Open(t.Context(), ledger.Config{Key: key, Now: newClock().now, FlushEvery: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	told := offer(bad, resolve.Candidate)
	say := func(device string, network ledger.Network) weak.Pointer[byte] { // another device is news, also to the limit of votes
		body := []byte(app + "ios" + "4.2.0" + "17.5.1" + "DE" + "capgo/8.51.23" + "2.0.0" + "rollback" + stable + strings.Repeat(" ", 1<<16))
		rest := unsafe.String(&body[0], len(body))
		next := func(n int) (text string) {
			text, rest = rest[:n], rest[n:]
			return text
		}
		c := check(l, device, told, start)
		c.App, c.Network = next(len(app)), network
		c.Client = ledger.Client{Platform: next(3), NativeVersion: next(5), OSVersion: next(6), Region: next(2), Plugin: next(13)}
		r := report(l, device, bad, ledger.Failed, start)
		r.App, r.Client, r.Version, r.Kind, r.Digest = c.App, c.Client, next(5), ledger.Kind(next(8)), next(len(stable))
		c.RunsVersion, c.RunsDigest = r.Version, r.Digest
		r.Assigned, r.Known = ledger.SeriesOf(c.App, "production", &told)
		l.Checked(c)
		l.Reported(r)
		return weak.Make(&body[0])
	}
	freed := func(when string, body weak.Pointer[byte]) {
		t.Helper()
		eventually(t, "the body is freed "+when, func() bool { runtime.GC(); return body.Value() == nil })
	}
	freed("while it waits", say("d1", 7))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	body := say("d2", 8)
	flush(t, l)
	freed("when it was written", body)
	cancel()
	<-done
}
