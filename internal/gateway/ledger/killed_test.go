// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// childEnv makes the test's program a replica that is to be killed.
const childEnv = "WINDLASS_LEDGER_CHILD_DSN"

// A replica that is killed loses what it had not written, and no more; the other one counts that it stopped so, once, and takes
// nobody else for dead.
func TestKilledReplica(t *testing.T) {
	if dsn := os.Getenv(childEnv); dsn != "" {
		beKilled(t, dsn)
	}
	t.Parallel()
	dsn := newDatabase(t)
	quick := ledger.Config{DSN: dsn, Heartbeat: 100 * time.Millisecond, Refresh: 10 * time.Millisecond}
	quick.Replica = "watcher"
	watcher, _ := open(t, quick)
	quick.Replica = "bystander"
	bystander, stop := open(t, quick)

	killChild(t, dsn, 1)

	eventually(t, "the watcher or the bystander counts the unclean stop", func() bool {
		var n int
		err := watcher.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sessions WHERE unclean = 1 AND replica = 'child'").Scan(&n)
		return err == nil && n == 1
	})
	if n := unclean(t, watcher) + unclean(t, bystander); n < 1 {
		t.Errorf("the metrics show %v unclean stops, want one", n)
	}
	got := rows(t, watcher)
	if len(got) != 1 || got[0].Devices != 1000 || got[0].Failed != 1000 {
		t.Errorf("counts %+v, want the 1000 devices of before and none of what waited", got)
	}
	stop() // an end that is no failure
	beats(t, watcher, 10)
	var dead, ended int
	if err := watcher.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sessions WHERE unclean = 1").Scan(&dead); err != nil || dead != 1 {
		t.Errorf("%d unclean stops (%v), want the killed one only", dead, err)
	}
	if err := watcher.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sessions WHERE ended_at <> 0").Scan(&ended); err != nil || ended != 2 {
		t.Errorf("%d sessions ended (%v), want two", ended, err)
	}
}

// killChild runs this test in another process, and kills that when it has said so many times that it has written something.
func killChild(t *testing.T, dsn string, lines int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), childEnv+"="+dsn)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for said := bufio.NewScanner(out); lines > 0 && said.Scan(); {
		if said.Text() == "written" {
			lines--
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	if lines > 0 {
		t.Fatal("the child ended by itself")
	}
}

// A replica that is killed in the middle of writing leaves counts that are those of the votes.
func TestKilledWhileWriting(t *testing.T) {
	if dsn := os.Getenv(childEnv); dsn != "" {
		writeWithoutPause(t, dsn)
	}
	t.Parallel()
	dsn := newDatabase(t)
	watcher, _ := open(t, ledger.Config{DSN: dsn})
	devices := int64(0)
	for round := range 3 {
		killChild(t, dsn+"&application_name=child", 1+2*round)
		eventually(t, "the server is done with the child's sessions", func() bool {
			var n int
			err := watcher.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'child' AND datname = current_database()").Scan(&n)
			return err == nil && n == 0
		})
		got := rows(t, watcher)
		if diff := cmp.Diff(recounted(t, watcher), sorted(slices.Clone(got))); diff != "" {
			t.Errorf("counts (-recount +got):\n%s", diff)
		}
		if len(got) != 1 || got[0].Devices <= devices || got[0].Failed == 0 || got[0].Confirmed == 0 {
			t.Fatalf("counts %+v, want more than %d devices with votes", got, devices)
		}
		devices = got[0].Devices
	}
}

// writeWithoutPause writes votes of ever new devices in small batches, until the end.
func writeWithoutPause(t *testing.T, dsn string) {
	l, _ := open(t, ledger.Config{DSN: dsn, BatchSize: 20})
	told := offer(bad, resolve.Candidate)
	for i := 0; ; i++ {
		id := fmt.Sprint(os.Getpid(), "-", i)
		for j, what := range []ledger.Outcome{ledger.Installed, ledger.Failed, ledger.Confirmed}[:2+i%2] {
			r := report(l, id, bad, what, start.Add(time.Duration(j)*time.Minute))
			r.Assigned, r.Known = ledger.SeriesOf(app, "production", &told)
			l.Reported(r)
		}
		if i%500 == 499 {
			flush(t, l) // the queue is not endless
			fmt.Fprintln(os.Stdout, "written")
		}
	}
}

func unclean(t testing.TB, l *ledger.Ledger) float64 {
	t.Helper()
	return metric(t, l, "windlass_gateway_ledger_unclean_stops_total", "", "")
}

// A replica alone finds at its next start that it did not end well.
func TestUncleanStopOfTheOnlyReplica(t *testing.T) {
	t.Parallel()
	cfg := ledger.Config{Path: filepath.Join(t.TempDir(), "ledger.db"), Key: key, Heartbeat: 10 * time.Millisecond}
	l, err := ledger.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil { // without Run, nobody ended the session
		t.Fatal(err)
	}
	l, stop := open(t, cfg)
	eventually(t, "the unclean stop is counted", func() bool { return unclean(t, l) == 1 })
	stop()
	l, _ = open(t, cfg)
	beats(t, l, 10)
	if n := unclean(t, l); n != 0 {
		t.Errorf("%v unclean stops after an end as it should be, want none: the earlier one was counted", n)
	}
}

// beats waits until a replica showed so many times that it lives.
func beats(t testing.TB, l *ledger.Ledger, n int64) {
	t.Helper()
	beat := func() (sum int64) {
		if err := l.DB().QueryRowContext(context.Background(), "SELECT CAST(SUM(beat) AS BIGINT) FROM sessions WHERE ended_at = 0").Scan(&sum); err != nil {
			t.Fatal(err)
		}
		return sum
	}
	before := beat()
	eventually(t, "heartbeats", func() bool { return beat() >= before+n })
}

// beKilled writes the failures of 1000 devices, takes more in that it does not write, and waits for the end.
func beKilled(t *testing.T, dsn string) {
	l, _ := open(t, ledger.Config{DSN: dsn, Replica: "child", Heartbeat: 100 * time.Millisecond, FlushEvery: time.Hour, BatchSize: 1_000_000})
	told := offer(bad, resolve.Candidate)
	say := func(id string) {
		r := report(l, id, bad, ledger.Failed, start)
		r.Assigned, r.Known = ledger.SeriesOf(app, "production", &told)
		if !l.Reported(r) {
			t.Error("dropped")
		}
	}
	for i := range 1000 {
		say(strconv.Itoa(i))
	}
	flush(t, l)
	for i := range 500 {
		say("later-" + strconv.Itoa(i))
	}
	fmt.Fprintln(os.Stdout, "written")
	<-t.Context().Done()
	select {}
}
