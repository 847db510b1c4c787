// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/bucketing"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// stageRow is a row of the trial.
func stageRow(stage int32, arm resolve.Arm, set func(*ledger.Row)) ledger.Row {
	r := ledger.Row{Digest: bad, Version: "2.1.0", Arm: string(arm), Trial: "salt", Stage: stage, Candidate: bad, Release: 1}
	if arm == resolve.Control {
		r.Digest, r.Version = stable, "2.0.0"
	}
	set(&r)
	return r
}

// Devices of both arms are counted anew in each stage, from their first check in it; what comes late or again changes the stage that it
// is of. Replicas that share the database count as one.
func TestStages(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		a, _ := open(t, cfg)
		b := a
		if cfg.DSN != "" {
			b, _ = open(t, cfg)
		}
		candidate, control := resolve.Candidate, resolve.Control
		say := func(checks ...*ledger.Check) {
			for i, c := range checks {
				[]*ledger.Ledger{a, b}[i%2].Checked(c)
			}
			flush(t, a)
			flush(t, b)
		}
		tell := func(id, digest string, what ledger.Outcome, at time.Time) {
			for _, l := range []*ledger.Ledger{a, b, a} { // nobody answered the first ones
				l.Reported(report(l, id, digest, what, at))
				flush(t, l)
			}
		}
		hour := func(n float64) time.Time { return start.Add(time.Duration(n * float64(time.Hour))) }
		say(
			check(a, "c1", in(1, offer(bad, candidate)), hour(0)), check(a, "c2", in(1, offer(bad, candidate)), hour(0)),
			check(a, "k1", in(1, upToDate(stable, control)), hour(0)), check(a, "k2", in(1, upToDate(stable, control)), hour(0)),
		)
		tell("c1", bad, ledger.Confirmed, hour(0.1))
		first := []ledger.Row{
			stageRow(1, candidate, func(r *ledger.Row) { r.Devices, r.Offered, r.Confirmed = 2, 2, 1 }),
			stageRow(1, control, func(r *ledger.Row) { r.Devices, r.Installed = 2, 2 }),
		}
		bySeries := func(l *ledger.Ledger) []ledger.Row {
			got := rows(t, l)
			slices.SortFunc(got, func(x, y ledger.Row) int {
				return strings.Compare(fmt.Sprint(x.Stage, x.Arm), fmt.Sprint(y.Stage, y.Arm))
			})
			return got
		}
		expect := func(when string, rows ...ledger.Row) {
			t.Helper()
			for _, l := range []*ledger.Ledger{a, b} {
				if diff := cmp.Diff(rows, bySeries(l)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", when, diff)
				}
			}
		}
		expect("in the first stage", first...)

		say( // the weight rises: k1 is a candidate now, c2 was not seen since
			check(a, "c1", in(2, upToDate(bad, candidate)), hour(1)), check(a, "k1", in(2, offer(bad, candidate)), hour(1)),
			check(a, "k2", in(2, upToDate(stable, control)), hour(1)), check(a, "n1", in(2, offer(bad, candidate)), hour(1)),
		)
		first[0].Returned, first[1].Returned = 1, 2
		second := []ledger.Row{
			stageRow(2, candidate, func(r *ledger.Row) { r.Devices, r.Offered, r.Installed = 3, 2, 1 }),
			stageRow(2, control, func(r *ledger.Row) { r.Devices, r.Installed, r.Confirmed = 1, 1, 1 }), // it ran it in the first
		}
		expect("in the second stage", append(first, second...)...)

		tell("c1", bad, ledger.Failed, hour(2)) // of the second stage, and known to run it well in the first
		tell("k2", stable, ledger.Failed, hour(2))
		tell("c2", bad, ledger.Failed, hour(2))      // of the only one that it was seen in
		tell("k1", stable, ledger.Failed, hour(0.5)) // late
		for _, r := range []*ledger.Row{&first[0], &first[1], &second[0], &second[1]} {
			r.Failed, r.FailedOnce = 1, 1
		}
		second[1].Confirmed = 0
		expect("after failures", append(first, second...)...)
		say(check(a, "k1", in(2, offer(bad, candidate)), hour(3)), check(a, "k1", in(2, offer(bad, candidate)), hour(4)))
		second[0].Returned = 1
		expect("after a return", append(first, second...)...)
		if diff := cmp.Diff(sortedRows(append(first, second...)), sortedRows(recounted(t, a))); diff != "" {
			t.Errorf("recount (-counts +recount):\n%s", diff)
		}
	})
}

// sortedRows sorts rows in place, by all that tells them apart.
func sortedRows(rows []ledger.Row) []ledger.Row {
	slices.SortFunc(rows, func(x, y ledger.Row) int {
		return strings.Compare(fmt.Sprint(x.Digest, x.Arm, x.Trial, x.Stage), fmt.Sprint(y.Digest, y.Arm, y.Trial, y.Stage))
	})
	return rows
}

// Reports of devices that the ledger never saw count in the stage that the release is in.
func TestAssignedToStage(t *testing.T) {
	t.Parallel()
	bundle := func(digest, version string) release.Bundle {
		return release.Bundle{Name: version, Version: version, Digest: digest, Path: "bundles/" + version}
	}
	first := bundle(stable, "2.0.0")
	c, err := resolve.Compile(&release.Document{
		Schema: release.Schema, App: app, Channel: "production", Revision: 1, Serving: release.Active, Stable: &first,
		Candidate: &release.Candidate{
			Bundle: bundle(bad, "2.1.0"), Weight: bucketing.Slots / 2, Salt: "salt", Release: 1, Stage: 5, LeaseExpires: start.Add(time.Hour).Unix(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	arms := map[resolve.Arm]int{}
	for i := range 100 {
		id := fmt.Sprint("device-", i)
		for _, digest := range []string{stable, bad} {
			got, ok := ledger.AssignedTo(c, id, func(b *resolve.Bundle) bool { return b.Digest == digest })
			want := ledger.Series{App: app, Channel: "production", Digest: digest, Version: got.Version}
			switch inCohort := bucketing.InCohort(bucketing.Slot("salt", id), bucketing.Slots/2); {
			case digest == bad:
				want.Arm = resolve.Candidate
			case !inCohort:
				want.Arm = resolve.Control
			}
			if want.Arm != resolve.NoArm {
				want.Trial, want.Stage, want.Candidate, want.Release = "salt", 5, bad, 1
			}
			if arms[want.Arm]++; !ok || got != want {
				t.Errorf("%s with %s: %+v, %v, want %+v", id, digest, got, ok, want)
			}
		}
	}
	if len(arms) != 3 {
		t.Errorf("arms %v, want all three", arms)
	}
}

// A database of before there were stages keeps all that is in it. Its votes are those of stage 0, and nothing counts twice. Gateways of
// before can write to it while they are replaced.
func TestMigratesOldDatabase(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		if cfg.DSN == "" && cfg.Path == "" {
			return // it has no older version
		}
		source := ledger.Config{Path: t.TempDir() + "/source.db"}
		now, stop := open(t, source)
		all := fleet(60)
		for _, s := range all {
			s.to(t, now)
		}
		expected := rows(t, now)
		stop()
		if err := ledger.MakeTables(t.Context(), cfg, 1); err != nil {
			t.Fatal(err)
		}
		from, old := openDB(t, source), openDB(t, cfg)
		oldColumns := map[string][]string{}
		for _, table := range tables {
			oldColumns[table] = columnsOf(t, old, table)
			copyTable(t, from, old, table)
		}

		l, _ := open(t, cfg)
		before := slices.Clone(expected)
		for i := range before {
			before[i].Returned = 0 // nobody counted it
		}
		if diff := cmp.Diff(before, rows(t, l)); diff != "" {
			t.Errorf("after the migration (-want +got):\n%s", diff)
		}
		for i, s := range all {
			if s.to(t, l); i%50 == 0 {
				flush(t, l)
			}
		}
		if diff := cmp.Diff(expected, rows(t, l)); diff != "" {
			t.Errorf("when all of it came again (-want +got):\n%s", diff)
		}
		l.Checked(check(l, "device-1", in(1, upToDate(bad, resolve.Candidate)), start.Add(48*time.Hour)))
		want := append(slices.Clone(expected), stageRow(1, resolve.Candidate, func(r *ledger.Row) { r.Devices, r.Installed = 1, 1 }))
		for i := range want { // it is one of those that had not come back
			if want[i].Arm == "candidate" && want[i].Stage == 0 {
				want[i].Returned++
			}
		}
		if diff := cmp.Diff(want, rows(t, l)); diff != "" {
			t.Errorf("in the next stage (-want +got):\n%s", diff)
		}
		asOldGateway(t, old, l.Pseudonym(app, "of-an-old-gateway"), oldColumns)
		l.Checked(check(l, "of-an-old-gateway", offer(bad, resolve.Candidate), start.Add(time.Hour)))
		for i := range want {
			if want[i].Arm == "candidate" && want[i].Stage == 0 {
				want[i].Devices, want[i].Offered, want[i].Returned = want[i].Devices+1, want[i].Offered+1, want[i].Returned+1
			}
		}
		if diff := cmp.Diff(sortedRows(want), sortedRows(rows(t, l))); diff != "" {
			t.Errorf("with a vote of an old gateway (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, sortedRows(recounted(t, l))); diff != "" {
			t.Errorf("recount (-counts +recount):\n%s", diff)
		}
	})
}

// asOldGateway writes an offer and a series as a gateway does that knows nothing of stages.
func asOldGateway(t *testing.T, db *sql.DB, p ledger.Pseudonym, columns map[string][]string) {
	t.Helper()
	insert := func(table string, values map[string]any) {
		var args []any
		var places []string
		for i, column := range columns[table] {
			v, ok := values[column]
			if !ok {
				v = map[bool]any{true: "", false: 0}[slices.Contains([]string{"failed_kind", "delivery_kind", "platform", "native_version", "plugin"}, column)]
			}
			args, places = append(args, v), append(places, fmt.Sprint("$", i+1))
		}
		statement := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(columns[table], ", "), strings.Join(places, ", "))
		if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	var series int64
	if err := db.QueryRowContext(t.Context(), "SELECT id FROM series WHERE arm = 'candidate' AND stage = 0").Scan(&series); err != nil {
		t.Fatal(err)
	}
	at := start.UnixMilli()
	insert("votes", map[string]any{"device": p[:], "series_id": series, "voting": 1, "exposed_at": at, "offered_at": at, "updated_at": at})
	if _, err := db.ExecContext(t.Context(), "UPDATE series SET tracked = tracked + 1, exposed = exposed + 1, offered = offered + 1 WHERE id = $1", series); err != nil {
		t.Fatal(err)
	}
	insert("series", map[string]any{
		"id": 1 << 40, "app": "another", "channel": "c", "digest": stable, "version": "1.0.0", "arm": "", "trial": "", "candidate": "", "tracked": 0,
	})
}
