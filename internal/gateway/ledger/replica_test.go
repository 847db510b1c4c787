// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// saying is a check or a report; one of both.
type saying struct {
	check  func(*ledger.Ledger) *ledger.Check
	report func(*ledger.Ledger) *ledger.Report
}

func (s saying) to(t testing.TB, l *ledger.Ledger) {
	if s.check != nil {
		l.Checked(s.check(l))
	} else if !l.Reported(s.report(l)) {
		t.Error("a report was dropped")
	}
}

// fleet makes what devices say in a rollout: all of it is told of a bundle by name, so that the order makes no difference.
func fleet(devices int) []saying {
	var all []saying
	for i := range devices {
		id, arm, digest := fmt.Sprint("device-", i), resolve.Candidate, bad
		if i%2 == 0 {
			arm, digest = resolve.Control, stable
		}
		tell := func(what ledger.Outcome, after time.Duration) {
			all = append(all, saying{report: func(l *ledger.Ledger) *ledger.Report {
				r := report(l, id, digest, what, start.Add(after))
				told := offer(digest, arm)
				r.Assigned, r.Known = ledger.SeriesOf(app, "production", &told)
				return r
			}})
		}
		ask := func(told resolve.Decision, after time.Duration) {
			all = append(all, saying{check: func(l *ledger.Ledger) *ledger.Check { return check(l, id, told, start.Add(after)) }})
		}
		ask(offer(digest, arm), 0)
		tell(ledger.Downloaded, time.Second)
		tell(ledger.Installed, 2*time.Second)
		switch i % 5 {
		case 0:
			tell(ledger.Failed, 12*time.Second)
		case 1:
			tell(ledger.Failed, 12*time.Second)
			tell(ledger.Confirmed, time.Minute)
		case 2:
			tell(ledger.DeliveryFailed, time.Second)
			tell(ledger.Confirmed, 3*time.Second)
		case 3:
			ask(upToDate(digest, arm), time.Hour)
			ask(upToDate(digest, arm), 2*time.Hour)
		case 4:
			tell(ledger.Confirmed, 3*time.Second)
			tell(ledger.Failed, 24*time.Hour)
		}
	}
	return all
}

// recount counts the votes anew, in the database's own words; docs/ledger.md has the same statement.
const recount = `SELECT s.digest, s.version, s.arm, s.trial, s.stage, s.candidate, s.release,
  SUM(v.voting), SUM(v.voting * v.offered), SUM(v.voting * v.downloaded), SUM(v.voting * v.installed),
  SUM(v.voting * CASE WHEN v.failed = 0 OR v.healed = 1 THEN v.confirmed ELSE 0 END),
  SUM(v.voting * CASE WHEN v.failed = 1 AND v.healed = 0 THEN 1 ELSE 0 END),
  SUM(v.voting * v.delivery_failed), SUM(v.voting * v.returned), SUM(v.voting * v.failed)
FROM series s JOIN (
  SELECT series_id, voting,
    CASE WHEN offered_at > 0 THEN 1 ELSE 0 END AS offered,
    CASE WHEN downloaded_at > 0 THEN 1 ELSE 0 END AS downloaded,
    CASE WHEN installed_at > 0 THEN 1 ELSE 0 END AS installed,
    CASE WHEN failed_at > 0 THEN 1 ELSE 0 END AS failed,
    CASE WHEN delivery_failed_at > 0 THEN 1 ELSE 0 END AS delivery_failed,
    CASE WHEN exposed_at > 0 AND checked_at - exposed_at >= 600000 THEN 1 ELSE 0 END AS returned,
    CASE WHEN ready_at > 0 OR (first_seen_at > 0 AND seen_at - first_seen_at >= 30000)
           OR (ran_since > 0 AND seen_at - ran_since >= 30000) THEN 1 ELSE 0 END AS confirmed,
    CASE WHEN failed_kind <> 'crash' AND ((recovered_at > 0 AND recovered_at - failed_at <= 600000)
           OR (proven_at > 0 AND proven_at - failure_heard_at <= 600000)) THEN 1 ELSE 0 END AS healed
  FROM votes
) v ON v.series_id = s.id
GROUP BY s.id, s.digest, s.version, s.arm, s.trial, s.stage, s.candidate, s.release`

func recounted(t testing.TB, l *ledger.Ledger) []ledger.Row {
	t.Helper()
	found, err := l.DB().QueryContext(context.Background(), recount)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close() //nolint:errcheck // Err tells what went wrong
	var out []ledger.Row
	for found.Next() {
		var r ledger.Row
		err := found.Scan(&r.Digest, &r.Version, &r.Arm, &r.Trial, &r.Stage, &r.Candidate, &r.Release, &r.Devices, &r.Offered, &r.Downloaded,
			&r.Installed, &r.Confirmed, &r.Failed, &r.DeliveryFailed, &r.Returned, &r.FailedOnce)
		if err != nil {
			t.Fatal(err)
		}
		if r.Arm == "" {
			r.Arm = "none"
		}
		out = append(out, r)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return sorted(out)
}

func sorted(rows []ledger.Row) []ledger.Row {
	slices.SortFunc(rows, func(a, b ledger.Row) int { return strings.Compare(a.Digest+a.Arm, b.Digest+b.Arm) })
	return rows
}

// docs/ledger.md tells the reader the statement that the tests count with.
func TestRecountIsDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../docs/ledger.md")
	if err != nil || !strings.Contains(string(raw), recount) {
		t.Errorf("docs/ledger.md (%v) does not have the statement of this test:\n%s", err, recount)
	}
}

// Two replicas on one PostgreSQL, which get everything in another order and much of it twice, count as one does on SQLite, and
// as the database does when it counts all votes anew.
func TestTwoReplicasCountAsOne(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	all := fleet(400)
	alone, _ := open(t, ledger.Config{})
	for _, s := range all {
		s.to(t, alone)
	}
	expected := sorted(rows(t, alone))
	if diff := cmp.Diff(expected, recounted(t, alone)); diff != "" {
		t.Errorf("recount of one replica (-counts +recount):\n%s", diff)
	}

	var replicas []*ledger.Ledger
	var opening sync.WaitGroup
	var mu sync.Mutex
	for i := range 2 {
		opening.Go(func() { // at once: both find an empty database
			l, _ := open(t, ledger.Config{DSN: dsn, Replica: fmt.Sprint("replica-", i), BatchSize: 150, Refresh: 10 * time.Millisecond})
			mu.Lock()
			defer mu.Unlock()
			replicas = append(replicas, l)
		})
	}
	opening.Wait()
	var telling sync.WaitGroup
	for i, l := range replicas {
		mine := slices.Clone(all)
		rand.New(rand.NewPCG(1, uint64(i))).Shuffle(len(mine), func(a, b int) { mine[a], mine[b] = mine[b], mine[a] })
		telling.Go(func() {
			for j, s := range mine {
				if (j+i)%2 == 0 || j%3 == 0 { // some go to one replica, some to both
					s.to(t, l)
				}
			}
			for _, s := range mine {
				s.to(t, l)
			}
			flush(t, l)
		})
	}
	telling.Wait()
	for _, l := range replicas {
		if diff := cmp.Diff(expected, sorted(rows(t, l))); diff != "" {
			t.Errorf("counts (-one +two):\n%s", diff)
		}
	}
	if diff := cmp.Diff(expected, recounted(t, replicas[0])); diff != "" {
		t.Errorf("recount (-one +two):\n%s", diff)
	}
	both := metric(t, replicas[0], "windlass_gateway_devices_total", "outcome", "exposed") + metric(t, replicas[1], "windlass_gateway_devices_total", "outcome", "exposed")
	if both != 400 {
		t.Errorf("the replicas exported %v devices together, want 400: each once", both)
	}
	a, err := replicas[0].Counts(t.Context(), app, "production")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := replicas[1].Counts(t.Context(), app, "production"); err != nil || a.Ledger != b.Ledger || !a.Since.Equal(b.Since) || a.Ledger == "" {
		t.Errorf("ledgers %q since %s and %q since %s (%v), want one", a.Ledger, a.Since, b.Ledger, b.Since, err)
	}
	for i := range 400 { // what failed is known on both
		id := fmt.Sprint("device-", i)
		for n, l := range replicas {
			wanted := i%5 == 0 || i%5 == 4 // not those that made it good
			eventually(t, fmt.Sprintf("replica %d knows what failed on %s (%v)", n, id, wanted), func() bool {
				return (len(l.Failed(l.Pseudonym(app, id))) == 1) == wanted
			})
		}
	}
}

// Another replica writes of a device between the commit of a batch and the moment at which memory knows of it, and what it wrote is read
// before, too. Memory must not keep what is older.
func TestMemoryLagsBehindCommit(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		if cfg.Path == "" && cfg.DSN == "" {
			t.Skip("a database in memory has one replica")
		}
		one, other := still(t, cfg), still(t, cfg)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		for id, tc := range map[string]struct {
			first, second ledger.Outcome
			failed        []string
		}{
			"failed, then made good elsewhere": {ledger.Failed, ledger.Confirmed, nil},
			"made good, then failed elsewhere": {ledger.Confirmed, ledger.Failed, []string{bad}},
		} {
			ctx := t.Context()
			tell := func(what ledger.Outcome, after time.Duration) []*ledger.Report {
				return []*ledger.Report{report(one, id, bad, what, start.Add(after))}
			}
			must(other.Write(ctx, []*ledger.Check{check(one, id, offer(bad, resolve.Candidate), start)}, tell(ledger.Failed, time.Second)))
			must(one.Refresh(ctx))
			publish, err := one.Commit(ctx, nil, tell(tc.first, 2*time.Second))
			must(err)
			must(other.Write(ctx, nil, tell(tc.second, time.Minute)))
			must(one.Refresh(ctx))
			publish()
			for n, l := range []*ledger.Ledger{one, other} {
				must(l.Refresh(ctx))
				if got := l.Failed(l.Pseudonym(app, id)); !slices.Equal(got, tc.failed) {
					t.Errorf("%s: replica %d knows of the failures %q, want %q", id, n, got, tc.failed)
				}
			}
		}
	})
}

// still opens a ledger that does nothing by itself.
func still(t *testing.T, cfg ledger.Config) *ledger.Ledger {
	t.Helper()
	cfg.Key, cfg.Now = key, newClock().now
	l, err := ledger.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// metric adds up a metric, of the series that have a label.
func metric(t testing.TB, l *ledger.Ledger, name, label, value string) float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(l)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			matches := label == ""
			for _, pair := range m.GetLabel() {
				matches = matches || pair.GetName() == label && pair.GetValue() == value
			}
			if f.GetName() == name && matches {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// Reports that name nothing are of the last offer, whichever replica made it.
func TestNamelessReportsOnTwoReplicas(t *testing.T) {
	t.Parallel()
	cfg := ledger.Config{DSN: newDatabase(t), Refresh: 10 * time.Millisecond}
	a, _ := open(t, cfg)
	b, _ := open(t, cfg)
	const devices = 60
	replicas := func(i int) (asked, told *ledger.Ledger) {
		if i%2 == 0 {
			return a, b
		}
		return b, a
	}
	id := func(i int) string { return fmt.Sprint("device-", i) }
	for i := range devices {
		asked, other := replicas(i)
		other.Checked(check(other, id(i), offer(stable, resolve.NoArm), start))
		asked.Checked(check(asked, id(i), offer(bad, resolve.Candidate), start.Add(time.Minute)))
	}
	flush(t, a)
	flush(t, b)
	for i := range devices {
		_, told := replicas(i)
		r := report(told, id(i), "", []ledger.Outcome{ledger.Failed, ledger.DeliveryFailed, ledger.Confirmed}[i%3], start.Add(2*time.Minute))
		for range 1 + i%2 { // some say it twice
			told.Reported(r)
		}
	}
	flush(t, b)
	first := ledger.Row{Digest: stable, Version: "2.0.0", Arm: "none", Devices: devices, Offered: devices}
	second := candidateRow(func(r *ledger.Row) {
		r.Devices, r.Offered, r.Failed, r.FailedOnce, r.DeliveryFailed, r.Confirmed = devices, devices, devices/3, devices/3, devices/3, devices/3
	})
	if diff := cmp.Diff([]ledger.Row{first, second}, sorted(rows(t, a))); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	for i := range devices {
		for _, l := range []*ledger.Ledger{a, b} {
			eventually(t, "both know what failed on "+id(i), func() bool {
				got := l.Failed(l.Pseudonym(app, id(i)))
				return i%3 == 0 && len(got) == 1 && got[0] == bad || i%3 != 0 && got == nil
			})
		}
	}
}

// A PostgreSQL that is not there at the start, goes away and comes back costs nothing that fits the queue.
func TestPostgresComesAndGoes(t *testing.T) {
	t.Parallel()
	newDatabase(t) // skips without a PostgreSQL
	dir := t.TempDir()
	port, err := devcluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	server, err := devcluster.RestartPostgres(t.Context(), dir, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	server.Stop()
	l, _ := open(t, ledger.Config{DSN: server.DSN, Refresh: 10 * time.Millisecond, Heartbeat: 20 * time.Millisecond})
	say := func(id string) { l.Checked(check(l, id, offer(bad, resolve.Candidate), start)) }
	away := func(when string) {
		t.Helper()
		if _, err := l.Counts(t.Context(), app, "production"); err == nil || !strings.Contains(err.Error(), ledger.ErrUnavailable.Error()) {
			t.Errorf("counts %s: %v, want ErrUnavailable", when, err)
		}
		if err := l.SetOverride(t.Context(), app, l.Pseudonym(app, "d"), "beta"); err == nil || strings.Contains(err.Error(), "windlass-dev-only") {
			t.Errorf("override %s: %v, want an error without the password", when, err)
		}
	}
	say("before it came")
	away("before it came")
	if server, err = devcluster.RestartPostgres(t.Context(), dir, port); err != nil {
		t.Fatal(err)
	}
	want(t, l, candidateRow(func(r *ledger.Row) { r.Devices, r.Offered = 1, 1 }))
	server.Stop()
	for i := range 100 {
		say(fmt.Sprint("while it was away ", i))
	}
	away("while it was away")
	if metric(t, l, "windlass_gateway_ledger_dropped_total", "", "") != 0 {
		t.Error("something was dropped")
	}
	eventually(t, "the metric shows that it is away", func() bool { return metric(t, l, "windlass_gateway_ledger_up", "", "") == 0 })
	if server, err = devcluster.RestartPostgres(t.Context(), dir, port); err != nil {
		t.Fatal(err)
	}
	want(t, l, candidateRow(func(r *ledger.Row) { r.Devices, r.Offered = 101, 101 }))
	eventually(t, "the metric shows that it is back", func() bool { return metric(t, l, "windlass_gateway_ledger_up", "", "") == 1 })
}

// A DSN that is wrong is told of without its password.
func TestDSNStaysSecret(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://windlass:s3cr3t-word@127.0.0.1:notaport/x", "postgres://windlass:s3cr3t-word@127.0.0.1:1/x?sslmode=wrong", "s3cr3t-word",
	} {
		_, err := ledger.Open(t.Context(), ledger.Config{DSN: dsn, Key: key})
		if err == nil || strings.Contains(err.Error(), "s3cr3t-word") {
			t.Errorf("got %v, want an error without the password", err)
		}
	}
	log := &logged{}
	l, stop := open(t, ledger.Config{DSN: "postgres://windlass:s3cr3t-word@127.0.0.1:1/x", Log: log.logger(), Refresh: time.Millisecond})
	l.Checked(check(l, "d", offer(bad, resolve.Candidate), start))
	eventually(t, "the log tells of the database twice", func() bool { return strings.Count(log.text(), "database") > 1 })
	stop()
	if u, _ := url.Parse("postgres://windlass:s3cr3t-word@h"); strings.Contains(log.text(), "s3cr3t-word") || u == nil {
		t.Errorf("the log has the password: %s", log.text())
	}
}
