// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// groups gives the groups of the tests' trial.
func groups(t testing.TB, l *ledger.Ledger) []ledger.Group {
	t.Helper()
	flush(t, l)
	s, err := l.Slices(context.Background(), app, "production", "salt")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := l.Counts(context.Background(), app, "production"); err != nil || c.Ledger != s.Ledger || !c.Since.Equal(s.Since) {
		t.Errorf("slices of ledger %q since %s, and counts of %q since %s, %v", s.Ledger, s.Since, c.Ledger, c.Since, err)
	}
	return s.Groups
}

// stageArm is where devices are counted.
type stageArm struct {
	stage int32
	arm   string
}

// sums adds up groups.
func sums(groups []ledger.Group) map[stageArm]ledger.Arm {
	out := map[stageArm]ledger.Arm{}
	for _, g := range groups {
		for arm, n := range map[string]ledger.Arm{"candidate": g.Candidate, "control": g.Control} {
			sum := out[stageArm{g.Stage, arm}]
			out[stageArm{g.Stage, arm}] = ledger.Arm{
				Exposed: sum.Exposed + n.Exposed, Voted: sum.Voted + n.Voted, Failed: sum.Failed + n.Failed,
				FailedOnce: sum.FailedOnce + n.FailedOnce, Returned: sum.Returned + n.Returned,
			}
		}
	}
	return out
}

// counted gives the counts of a trial's rows in the same form.
func counted(rows []ledger.Row) map[stageArm]ledger.Arm {
	out := map[stageArm]ledger.Arm{}
	for _, r := range rows {
		if r.Trial == "salt" {
			out[stageArm{r.Stage, r.Arm}] = ledger.Arm{
				Exposed: r.Devices, Voted: r.Confirmed + r.Failed, Failed: r.Failed, FailedOnce: r.FailedOnce, Returned: r.Returned,
			}
		}
	}
	return out
}

// Groups are of what devices told first, in each stage and arm apart; other trials, and who does not vote, are in none.
func TestSlices(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		l, _ := open(t, cfg)
		if got := groups(t, l); got == nil || len(got) != 0 {
			t.Errorf("of a trial that nobody knows: %#v, want an empty list", got)
		}
		say := func(id string, told resolve.Decision, client ledger.Client, after time.Duration) {
			c := check(l, id, told, start.Add(after))
			c.Client = client
			c.Votes = id != "emulator"
			l.Checked(c)
			flush(t, l)
		}
		old, recent := ledger.Client{Platform: "ios", NativeVersion: "4.2.0", OSVersion: "17.4", Region: "DE"}, ledger.Client{Platform: "ios", NativeVersion: "4.2.0", OSVersion: "17.5", Region: "DE"}
		moved, other := ledger.Client{Platform: "ios", NativeVersion: "4.3.0", Region: "FR"}, ledger.Client{Platform: "android", NativeVersion: "4.2.0"}
		candidate, control := offer(bad, resolve.Candidate), upToDate(stable, resolve.Control)
		for i := range 3 {
			say(fmt.Sprint("c", i), in(1, candidate), recent, 0)
		}
		say("emulator", in(1, candidate), recent, 0)
		say("k", in(1, control), recent, 0)
		say("o", in(1, control), other, 0)
		l.Reported(report(l, "c0", bad, ledger.Failed, start.Add(time.Second)))
		l.Reported(report(l, "c1", bad, ledger.Confirmed, start.Add(time.Second)))
		flush(t, l)
		say("c2", in(2, candidate), old, time.Hour)
		say("c1", in(2, upToDate(bad, resolve.Candidate)), old, time.Hour)
		say("c1", in(2, upToDate(bad, resolve.Candidate)), moved, 2*time.Hour) // its first check counts
		retry := offer(bad, resolve.Candidate)
		retry.Trial.Salt = "another"
		say("r", retry, other, 0)
		say("n", upToDate(stable, resolve.NoArm), other, 0)
		want := []ledger.Group{
			{
				Stage: 1, Platform: "ios", NativeVersion: "4.2.0", OSVersion: "17.5", Region: "DE",
				Candidate: ledger.Arm{Exposed: 3, Voted: 2, Failed: 1, FailedOnce: 1, Returned: 2}, Control: ledger.Arm{Exposed: 1},
			},
			{
				Stage: 2, Platform: "ios", NativeVersion: "4.2.0", OSVersion: "17.4", Region: "DE",
				Candidate: ledger.Arm{Exposed: 2, Voted: 1, Returned: 1},
			},
			{Stage: 1, Platform: "android", NativeVersion: "4.2.0", Control: ledger.Arm{Exposed: 1}},
		}
		got := groups(t, l)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("groups (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(counted(rows(t, l)), sums(got), cmp.Transformer("withoutZeros", withoutZeros)); diff != "" {
			t.Errorf("sums (-counts +slices):\n%s", diff)
		}
	})
}

func withoutZeros(m map[stageArm]ledger.Arm) map[string]ledger.Arm {
	out := map[string]ledger.Arm{}
	for k, n := range m {
		if n != (ledger.Arm{}) {
			out[fmt.Sprint(k)] = n
		}
	}
	return out
}

// Whatever devices do, in whichever order and stage, the groups add up to the counts: what the database says of a vote is what the
// ledger does.
func TestSlicesAddUpToCounts(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		l, _ := open(t, cfg)
		random := rand.New(rand.NewPCG(5, 8))
		pick := func(n int) int { return random.IntN(n) }
		for range 4000 {
			id, stage := fmt.Sprint("device-", pick(200)), int32(pick(3))
			digest, arm := bad, resolve.Candidate
			if id[len(id)-1]%2 == 0 {
				digest, arm = stable, resolve.Control
			}
			at := start.Add([]time.Duration{0, time.Second, 29 * time.Second, 30 * time.Second, 5 * time.Minute, 10 * time.Minute, time.Hour}[pick(7)])
			told := in(stage, []func(string, resolve.Arm) resolve.Decision{offer, upToDate}[pick(2)](digest, arm))
			if pick(2) == 0 {
				c := check(l, id, told, at)
				c.Client.Region, c.Client.OSVersion = []string{"DE", "FR", ""}[pick(3)], fmt.Sprint(pick(3))
				c.Votes = pick(50) > 0
				l.Checked(c)
				continue
			}
			r := report(l, id, digest, []ledger.Outcome{ledger.Failed, ledger.Confirmed, ledger.DeliveryFailed, ledger.Installed}[pick(4)], at)
			if r.Outcome == ledger.Failed {
				r.Kind = []ledger.Kind{ledger.KindCrash, ledger.KindRollback, ledger.KindVerification}[pick(3)]
			}
			r.Assigned, r.Known = ledger.SeriesOf(app, "production", &told)
			if !l.Reported(r) {
				t.Fatal("a report was dropped")
			}
		}
		all, got := rows(t, l), groups(t, l)
		if len(all) != 6 || len(got) < 20 {
			t.Fatalf("%d rows and %d groups: the test shows nothing", len(all), len(got))
		}
		if diff := cmp.Diff(counted(all), sums(got)); diff != "" {
			t.Errorf("sums (-counts +slices):\n%s", diff)
		}
		if diff := cmp.Diff(sortedRows(all), sortedRows(recounted(t, l))); diff != "" {
			t.Errorf("recount (-counts +recount):\n%s", diff)
		}
		for i, g := range got[1:] {
			if before := got[i]; g.Candidate.Exposed+g.Control.Exposed > before.Candidate.Exposed+before.Control.Exposed {
				t.Errorf("%+v comes after the smaller %+v", g, before)
			}
		}
	})
}

// Devices can make up what they are. The largest groups are told all the same, and all others in one for each stage.
func TestSlicesAreBounded(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		cfg.NetworkShare = 1
		l, _ := open(t, cfg)
		var checks []*ledger.Check
		add := func(i int, stage int32, region string) {
			c := check(l, fmt.Sprint(i), in(stage, offer(bad, resolve.Candidate)), start)
			c.Client.Region = region
			checks = append(checks, c)
		}
		const kinds = ledger.MaxGroups/2 + 300
		for i := range kinds {
			hostile := fmt.Sprintf("%04d%s", i, strings.Repeat("<", 64)) // as long as it can get in JSON
			add(i, 1, hostile)
			add(i, 2, hostile)
		}
		for i := range 7 {
			add(kinds+i, 2, "DE")
		}
		if err := l.Write(t.Context(), checks, nil); err != nil {
			t.Fatal(err)
		}
		got := groups(t, l)
		if len(got) != ledger.MaxGroups+1 {
			t.Fatalf("%d groups, want %d and a rest of the second stage", len(got), ledger.MaxGroups)
		}
		if largest := got[0]; largest.Region != "DE" || largest.Candidate.Exposed != 7 || largest.Rest {
			t.Errorf("the largest group is %+v", largest)
		}
		want := ledger.Group{Stage: 2, Rest: true, Candidate: ledger.Arm{Exposed: 601}}
		if rest := got[len(got)-1]; rest != want {
			t.Errorf("the rest is %+v, want %+v", rest, want)
		}
		if diff := cmp.Diff(counted(rows(t, l)), sums(got), cmp.Transformer("withoutZeros", withoutZeros)); diff != "" {
			t.Errorf("sums (-counts +slices):\n%s", diff)
		}
	})
}

// One at a time reads the votes, so that the writer finds a connection; who waits too long is told so.
func TestSlicesWait(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		c := newClock()
		cfg.Now = c.now
		l, stop := open(t, cfg)
		ask := func(ctx context.Context) error {
			_, err := l.Slices(ctx, app, "production", "salt")
			return err
		}
		release := l.SliceAlone()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := ask(ended); !errors.Is(err, ledger.ErrUnavailable) || !strings.Contains(err.Error(), "others ask") {
			t.Errorf("while another one asks: %v", err)
		}
		release()
		if err := ask(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if _, err := l.DB().ExecContext(t.Context(), "ALTER TABLE votes RENAME TO elsewhere"); err != nil {
			t.Fatal(err)
		}
		if err := ask(t.Context()); !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("without the table: %v, want ErrUnavailable", err)
		}
		l.Checked(check(l, "late", offer(bad, resolve.Candidate), start))
		eventually(t, "what waits is old", func() bool { c.add(time.Minute); return errors.Is(ask(t.Context()), ledger.ErrUnavailable) })
		if _, err := l.DB().ExecContext(t.Context(), "ALTER TABLE elsewhere RENAME TO votes"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the database takes it", func() bool { return ask(t.Context()) == nil })
		stop()
		if err := ask(t.Context()); !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("of a closed ledger: %v, want ErrUnavailable", err)
		}
	})
}

// The votes of a trial are found by an index, and those of a device by the key, as before.
func TestSlicesUseTheIndex(t *testing.T) {
	t.Parallel()
	l, _ := open(t, ledger.Config{})
	plan := func(query string, args ...any) (all string) {
		found, err := l.DB().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		defer found.Close() //nolint:errcheck // Err tells what went wrong
		for found.Next() {
			var id, parent, unused int
			var detail string
			if err := found.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			all += detail + "\n"
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
		return all
	}
	got := plan(ledger.SlicesQuery, app, "production", "salt")
	if !strings.Contains(got, "SEARCH v USING INDEX votes_of_series (series_id=?)") || strings.Contains(got, "SCAN v") || strings.Contains(got, "SCAN s\n") {
		t.Errorf("the groups of a trial:\n%s", got)
	}
	p := l.Pseudonym(app, "d")
	got = plan(ledger.HistoryQuery, p[:])
	if !strings.Contains(got, "SEARCH votes USING INDEX sqlite_autoindex_votes_1 (device=?)") {
		t.Errorf("the history of a device:\n%s", got)
	}
}
