// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

const app = "com.example.shop"

var (
	start  = time.Unix(1_800_000_000, 0)
	key    = []byte("0123456789abcdef0123456789abcdef")
	stable = digestOf("a")
	bad    = digestOf("b")
)

func digestOf(c string) string { return release.DigestPrefix + strings.Repeat(c, 64) }

// clock is a time that tests set.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(start.UnixNano())
	return c
}

func (c *clock) now() time.Time      { return time.Unix(0, c.at.Load()) }
func (c *clock) add(d time.Duration) { c.at.Add(int64(d)) }

// open opens a ledger that ends with the test. It runs, unless it is stopped. Its time is start, if nothing else is said.
func open(t testing.TB, cfg ledger.Config) (l *ledger.Ledger, stop func()) {
	t.Helper()
	cfg.Key = key
	if cfg.FlushEvery == 0 {
		cfg.FlushEvery = time.Millisecond
	}
	if cfg.Now == nil {
		cfg.Now = newClock().now
	}
	l, err := ledger.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return l, stop
}

var bundles = map[string]*resolve.Bundle{
	stable: {Bundle: release.Bundle{Version: "2.0.0", Digest: stable}},
	bad:    {Bundle: release.Bundle{Version: "2.1.0", Digest: bad}},
}

// offer is a decision that offers a bundle; with a trial, in the arm.
func offer(digest string, arm resolve.Arm) resolve.Decision {
	told := resolve.Decision{Action: resolve.Update, Reason: resolve.ReasonStable, Bundle: bundles[digest], Arm: arm}
	if arm != resolve.NoArm {
		told.Trial = &resolve.Trial{Bundle: bundles[bad], Salt: "salt", Release: 1}
	}
	if arm == resolve.Candidate {
		told.Reason = resolve.ReasonCandidate
	}
	return told
}

// in puts a decision into a stage of its trial.
func in(stage int32, told resolve.Decision) resolve.Decision {
	trial := *told.Trial
	trial.Stage = stage
	told.Trial = &trial
	return told
}

// upToDate is offer to a device that runs the bundle.
func upToDate(digest string, arm resolve.Arm) resolve.Decision {
	told := offer(digest, arm)
	told.Action, told.Reason = resolve.None, resolve.ReasonUpToDate
	return told
}

func check(l *ledger.Ledger, id string, told resolve.Decision, at time.Time) *ledger.Check {
	c := &ledger.Check{
		App: app, Channel: "production", Device: l.Pseudonym(app, id), Votes: true, Told: told, At: at,
		Client: ledger.Client{Platform: "ios", NativeVersion: "4.2.0", Plugin: "capgo/8.51.23"},
	}
	if told.Reason == resolve.ReasonUpToDate {
		c.RunsDigest, c.RunsVersion = told.Bundle.Digest, told.Bundle.Version
	}
	return c
}

func report(l *ledger.Ledger, id, digest string, what ledger.Outcome, at time.Time) *ledger.Report {
	r := &ledger.Report{App: app, Device: l.Pseudonym(app, id), Votes: true, Outcome: what, Digest: digest, At: at}
	if what == ledger.Failed {
		r.Kind = ledger.KindRollback
	}
	return r
}

func flush(t testing.TB, l *ledger.Ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		t.Fatalf("flush: %v", err)
	}
}

func rows(t testing.TB, l *ledger.Ledger) []ledger.Row {
	t.Helper()
	flush(t, l)
	s, err := l.Counts(context.Background(), app, "production")
	if err != nil {
		t.Fatal(err)
	}
	return s.Rows
}

func want(t testing.TB, l *ledger.Ledger, expected ...ledger.Row) {
	t.Helper()
	if diff := cmp.Diff(append([]ledger.Row{}, expected...), rows(t, l)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// candidateRow is the row of the candidate with some counts.
func candidateRow(set func(*ledger.Row)) ledger.Row {
	r := ledger.Row{Digest: bad, Version: "2.1.0", Arm: "candidate", Trial: "salt", Candidate: bad, Release: 1}
	set(&r)
	return r
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited a minute for: %s", what)
		case <-tick.C:
		}
	}
}

// postgres is a PostgreSQL for all tests of the package: each gets a database of its own.
var postgres struct {
	once   sync.Once
	server *devcluster.Postgres
	err    error
	n      atomic.Int64
}

// databases runs a test on SQLite and on PostgreSQL.
func databases(t *testing.T, test func(t *testing.T, cfg ledger.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, ledger.Config{Path: filepath.Join(t.TempDir(), "ledger.db")})
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, ledger.Config{})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, ledger.Config{DSN: newDatabase(t)})
	})
}

func TestCountsAnOutcomeOfADeviceOnce(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		l, _ := open(t, cfg)
		want(t, l)
		for range 3 {
			l.Checked(check(l, "d1", offer(bad, resolve.Candidate), start))
			for o := ledger.Downloaded; o <= ledger.Installed; o++ {
				l.Reported(report(l, "d1", bad, o, start))
			}
			l.Reported(report(l, "D1", bad, ledger.Failed, start))
		}
		l.Checked(check(l, "d2", offer(bad, resolve.Candidate), start))
		l.Reported(report(l, "d2", bad, ledger.DeliveryFailed, start))
		want(t, l, candidateRow(func(r *ledger.Row) {
			r.Devices, r.Offered, r.Downloaded, r.Installed, r.Failed, r.FailedOnce, r.DeliveryFailed = 2, 2, 1, 1, 1, 1, 1
		}))
		if got := l.Failed(l.Pseudonym(app, "d1")); len(got) != 1 || got[0] != bad {
			t.Errorf("failed on d1: %v, want the bundle", got)
		}
		if got := l.Failed(l.Pseudonym(app, "d2")); got != nil {
			t.Errorf("failed on d2: %v, want nothing: its download failed", got)
		}
	})
}

// newDatabase makes a database of the shared server. It skips the test when this machine has no PostgreSQL.
func newDatabase(t testing.TB) string {
	t.Helper()
	postgres.once.Do(func() { postgres.server, postgres.err = devcluster.StartPostgres(context.Background(), postgresDir) })
	if errors.Is(postgres.err, devcluster.ErrNoPostgres) {
		t.Skip(postgres.err)
	}
	if postgres.err != nil {
		t.Fatal(postgres.err)
	}
	name := fmt.Sprintf("ledger%d", postgres.n.Add(1))
	execute(t, postgres.server.DSN, "CREATE DATABASE "+name)
	return strings.Replace(postgres.server.DSN, "/postgres?", "/"+name+"?", 1)
}
