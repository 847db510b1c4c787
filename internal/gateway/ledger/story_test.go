// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// logged keeps a log.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// What failed on a device is known from the moment that it is told, over a restart and on other replicas, and to no other device.
func TestFailedIsNeverForgotten(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		cfg.Refresh = 10 * time.Millisecond
		c := newClock()
		cfg.Now = c.now
		l, stop := open(t, cfg)
		failed := func(l *ledger.Ledger, id string) []string { return l.Failed(l.Pseudonym(app, id)) }
		l.Checked(check(l, "named", offer(bad, resolve.Candidate), start))
		l.Checked(check(l, "nameless", offer(bad, resolve.Candidate), start))
		l.Checked(check(l, "other", offer(bad, resolve.Candidate), start))
		flush(t, l)
		l.Reported(report(l, "named", bad, ledger.Failed, start))
		if diff := cmp.Diff([]string{bad}, failed(l, "named")); diff != "" {
			t.Errorf("at once (-want +got):\n%s", diff)
		}
		l.Reported(report(l, "nameless", "", ledger.Failed, start))
		flush(t, l)
		knows := func(l *ledger.Ledger) bool {
			return cmp.Equal([]string{bad}, failed(l, "named")) && cmp.Equal([]string{bad}, failed(l, "nameless")) && failed(l, "other") == nil
		}
		if !knows(l) {
			t.Errorf("after the flush: %v, %v, %v", failed(l, "named"), failed(l, "nameless"), failed(l, "other"))
		}
		if cfg.DSN == "" && cfg.Path == "" {
			return // nothing outlives it
		}
		if cfg.DSN != "" {
			second, stopSecond := open(t, cfg)
			eventually(t, "the second replica knows", func() bool { return knows(second) })
			l.Reported(report(l, "other", bad, ledger.Failed, start))
			flush(t, l)
			eventually(t, "the second replica hears of a failure", func() bool { return len(failed(second, "other")) == 1 })
			stopSecond()
		}
		stop()
		c.add(89 * 24 * time.Hour)
		l, stop = open(t, cfg)
		if err := l.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(failed(l, "named")) != 1 || len(failed(l, "nameless")) != 1 {
			t.Error("forgotten before the retention was over")
		}
		stop()
		l, _ = open(t, cfg)
		if len(failed(l, "named")) != 1 {
			t.Error("forgotten over a restart")
		}
		c.add(2 * 24 * time.Hour)
		if err := l.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if failed(l, "named") != nil {
			t.Error("kept longer than the retention")
		}
	})
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		cfg.Refresh, cfg.MaxOverrides = 10*time.Millisecond, 2
		c := newClock()
		cfg.Now = c.now
		l, stop := open(t, cfg)
		set := func(id, channel string) error { return l.SetOverride(t.Context(), app, l.Pseudonym(app, id), channel) }
		for _, step := range []struct {
			id, channel string
			err         error
		}{
			{"d1", "beta", nil},
			{"d2", "beta", nil},
			{"d3", "beta", ledger.ErrFull},
			{"d1", "alpha", nil},
			{"d2", "", nil},
			{"d3", "beta", nil},
			{"d3", "", nil},
		} {
			if err := set(step.id, step.channel); !errors.Is(err, step.err) {
				t.Fatalf("%+v: got %v", step, err)
			}
			if got := l.Override(l.Pseudonym(app, step.id)); step.err == nil && got != step.channel {
				t.Fatalf("%+v: reads %q", step, got)
			}
		}
		if cfg.DSN != "" {
			second, _ := open(t, cfg)
			p := second.Pseudonym(app, "d1")
			eventually(t, "the second replica knows", func() bool { return second.Override(p) == "alpha" })
			for _, channel := range []string{"gamma", "", "delta"} {
				if err := set("d1", channel); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the second replica hears of "+channel, func() bool { return second.Override(p) == channel })
			}
		} else if err := set("d1", "delta"); err != nil {
			t.Fatal(err)
		}
		if cfg.DSN == "" && cfg.Path == "" {
			return
		}
		stop()
		l, _ = open(t, cfg)
		if got := l.Override(l.Pseudonym(app, "d1")); got != "delta" {
			t.Errorf("after a restart: %q, want delta", got)
		}
		c.add(91 * 24 * time.Hour)
		if err := l.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := l.Override(l.Pseudonym(app, "d1")); got != "" {
			t.Errorf("an override of a device that was not seen for longer than the retention: %q", got)
		}
	})
}

// What nothing happened to for the retention goes, out of the counts too; the rest stays.
func TestSweep(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		c := newClock()
		cfg.Now = c.now
		l, _ := open(t, cfg)
		for i := range 2500 {
			l.Checked(check(l, fmt.Sprint("old-", i), upToDate(stable, resolve.NoArm), c.now()))
		}
		l.Reported(report(l, "old-1", stable, ledger.Failed, c.now()))
		flush(t, l)
		c.add(80 * 24 * time.Hour)
		l.Checked(check(l, "young", offer(bad, resolve.Candidate), c.now()))
		l.Checked(check(l, "old-7", upToDate(stable, resolve.NoArm), c.now()))
		old := ledger.Row{Digest: stable, Version: "2.0.0", Arm: "none", Devices: 2500, Offered: 0, Installed: 2500, Confirmed: 1, Failed: 1, FailedOnce: 1, Returned: 1}
		young := candidateRow(func(r *ledger.Row) { r.Devices, r.Offered = 1, 1 })
		want(t, l, old, young)
		c.add(20 * 24 * time.Hour)
		if err := l.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		old.Devices, old.Installed, old.Confirmed, old.Failed, old.FailedOnce = 1, 1, 1, 0, 0
		want(t, l, old, young)
		if diff := cmp.Diff(sorted([]ledger.Row{old, young}), recounted(t, l)); diff != "" {
			t.Errorf("recount (-want +got):\n%s", diff)
		}
		c.add(100 * 24 * time.Hour)
		if err := errors.Join(l.Sweep(t.Context()), l.Sweep(t.Context())); err != nil {
			t.Fatal(err)
		}
		want(t, l)
		l.Checked(check(l, "new", upToDate(stable, resolve.NoArm), c.now())) // in a series that the ledger forgot
		want(t, l, ledger.Row{Digest: stable, Version: "2.0.0", Arm: "none", Devices: 1, Installed: 1})
	})
}

// Devices that do not vote count nowhere; what failed on them is remembered all the same.
func TestWhoDoesNotVote(t *testing.T) {
	t.Parallel()
	l, _ := open(t, ledger.Config{})
	c := check(l, "emulator", offer(bad, resolve.Candidate), start)
	c.Votes = false
	l.Checked(c)
	flush(t, l)
	r := report(l, "emulator", "", ledger.Failed, start)
	r.Votes = false
	l.Reported(r)
	want(t, l, candidateRow(func(*ledger.Row) {}))
	if len(l.Failed(l.Pseudonym(app, "emulator"))) != 1 {
		t.Error("the failure was forgotten")
	}
	if got := metric(t, l, "windlass_gateway_devices_total", "", ""); got != 0 {
		t.Errorf("%v devices exported, want none", got)
	}
	l.Reported(report(l, "stranger", "", ledger.DeliveryFailed, start))
	flush(t, l)
	if got := metric(t, l, "windlass_gateway_ledger_unattributed_reports_total", "", ""); got != 1 {
		t.Errorf("%v unattributed reports, want 1", got)
	}
}

// A queue that is full drops checks before reports, counts what it drops, and takes them again later.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	l, err := ledger.Open(t.Context(), ledger.Config{QueueSize: 10, Key: key, FlushEvery: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	say := func(i int) *ledger.Check { return check(l, fmt.Sprint(i), offer(bad, resolve.Candidate), start) }
	for i := range 12 { // nobody writes yet
		l.Checked(say(i))
	}
	told := offer(bad, resolve.Candidate)
	taken := 0
	for i := range 3 {
		r := report(l, fmt.Sprint("r", i), bad, ledger.Failed, start)
		r.Assigned, r.Known = ledger.SeriesOf(app, "production", &told)
		if l.Reported(r) {
			taken++
		}
		if len(l.Failed(r.Device)) != 1 {
			t.Error("a failure must be known at once, also if nobody writes it")
		}
	}
	for what, n := range map[string]float64{"check": 3, "report": 2} {
		if got := metric(t, l, "windlass_gateway_ledger_dropped_total", "what", what); got != n {
			t.Errorf("dropped %v of %s, want %v", got, what, n)
		}
	}
	if taken != 1 {
		t.Errorf("%d reports were taken, want 1", taken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(ctx) })
	flush(t, l)
	for i := range 12 {
		l.Checked(say(i)) // those that were dropped are no repetition
		flush(t, l)
	}
	want(t, l, candidateRow(func(r *ledger.Row) { r.Devices, r.Offered, r.Failed, r.FailedOnce = 13, 12, 1, 1 }))
	cancel()
	wg.Wait()
}

// Run writes what is left when it ends.
func TestRunWritesTheRest(t *testing.T) {
	t.Parallel()
	cfg := ledger.Config{Path: filepath.Join(t.TempDir(), "ledger.db"), FlushEvery: time.Hour, BatchSize: 7}
	l, stop := open(t, cfg)
	for i := range 100 {
		l.Checked(check(l, fmt.Sprint(i), offer(bad, resolve.Candidate), start))
	}
	stop()
	l, _ = open(t, cfg)
	want(t, l, candidateRow(func(r *ledger.Row) { r.Devices, r.Offered = 100, 100 }))
	var clean int
	if err := l.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sessions WHERE ended_at <> 0 AND unclean = 0").Scan(&clean); err != nil || clean != 1 {
		t.Errorf("%d sessions ended well (%v), want 1", clean, err)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, cfg ledger.Config) {
		l, _ := open(t, cfg)
		l.Checked(check(l, "d", upToDate(stable, resolve.NoArm), start))
		second := check(l, "d", offer(bad, resolve.Candidate), start.Add(10*time.Minute))
		second.Client.OSVersion, second.Client.Region = "14\x00", strings.Repeat("r", 65)
		l.Checked(second)
		flush(t, l)
		r := report(l, "d", bad, ledger.Failed, start.Add(11*time.Minute))
		r.Client = ledger.Client{Platform: "android", NativeVersion: "5.0.0", OSVersion: "15", Plugin: "a\xff\x00b"}
		l.Reported(r)
		silent := report(l, "d", bad, ledger.DeliveryFailed, start.Add(12*time.Minute)) // tells nothing of the client
		silent.Kind = ledger.KindDisk
		l.Reported(silent)
		flush(t, l)
		got, err := l.History(t.Context(), l.Pseudonym(app, "d"))
		if err != nil {
			t.Fatal(err)
		}
		told := offer(bad, resolve.Candidate)
		candidate, _ := ledger.SeriesOf(app, "production", &told)
		first, offered := start.UTC(), start.Add(10*time.Minute).UTC()
		expected := []ledger.Entry{
			{
				Series: candidate, Votes: true, Vote: "failed",
				Client:    ledger.Client{Platform: "android", NativeVersion: "5.0.0", OSVersion: "14?", Region: strings.Repeat("r", 64), Plugin: "a??b"},
				ExposedAt: offered, OfferedAt: offered, FailedAt: offered.Add(time.Minute), FailedKind: ledger.KindRollback,
				DeliveryFailedAt: offered.Add(2 * time.Minute), DeliveryKind: ledger.KindDisk, UpdatedAt: offered.Add(2 * time.Minute),
			},
			{
				Series: ledger.Series{App: app, Channel: "production", Digest: stable, Version: "2.0.0"},
				Client: ledger.Client{Platform: "ios", NativeVersion: "4.2.0", Plugin: "capgo/8.51.23"}, Votes: true, Returned: true,
				ExposedAt: first, InstalledAt: first, SeenAt: first, UpdatedAt: first,
			},
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if got, err := l.History(t.Context(), l.Pseudonym(app, "nobody")); err != nil || len(got) != 0 {
			t.Errorf("history of a device that was never seen: %v, %v", got, err)
		}
	})
}

// Nothing in the database's files, the log or the metrics tells a device's id.
func TestPrivacy(t *testing.T) {
	t.Parallel()
	const id = "3F2C8A1E-77AB-4C00-8000-5EC12E7DE01D"
	dir := t.TempDir()
	log := &logged{}
	l, stop := open(t, ledger.Config{Path: filepath.Join(dir, "ledger.db"), Log: log.logger()})
	l.Checked(check(l, id, offer(bad, resolve.Candidate), start))
	l.Reported(report(l, id, bad, ledger.Failed, start))
	if err := l.SetOverride(t.Context(), app, l.Pseudonym(app, id), "beta"); err != nil {
		t.Fatal(err)
	}
	flush(t, l)
	p := l.Pseudonym(app, id)
	if p == l.Pseudonym("com.example.other", id) || p == (ledger.Pseudonym{}) {
		t.Error("a device must have another pseudonym in each app")
	}
	if p != l.Pseudonym(app, strings.ToLower(id)) {
		t.Error("the case of an id makes no difference")
	}
	families, err := func() (string, error) {
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(l)
		f, err := r.Gather()
		return fmt.Sprint(f), err
	}()
	if err != nil {
		t.Fatal(err)
	}
	var found [][]byte
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, raw)
	}
	stop()
	everything := append(bytes.Join(found, nil), log.text()+families...)
	if !bytes.Contains(everything, p[:]) {
		t.Error("the files do not even have the pseudonym: this test looks at the wrong ones")
	}
	if low := bytes.ToLower(everything); bytes.Contains(low, []byte(strings.ToLower(id))) || bytes.Contains(low, []byte(strings.ToLower(strings.ReplaceAll(id, "-", "")))) {
		t.Error("the device's id is there in clear")
	}
	if info, err := os.Stat(filepath.Join(dir, "ledger.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the database: %v, %v, want 0600", info.Mode(), err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	l, _ := open(t, ledger.Config{})
	l.Checked(check(l, "d1", offer(bad, resolve.Candidate), start))
	flush(t, l)
	for i, o := range []ledger.Outcome{ledger.Failed, ledger.Confirmed, ledger.Failed} {
		l.Reported(report(l, "d1", bad, o, start.Add(time.Duration(i)*time.Minute)))
	}
	flush(t, l)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(l)
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	const expected = `
# HELP windlass_gateway_devices_total Devices that reached an outcome with a bundle, each once in a stage of a release, by the replica that wrote it down. Add up the replicas.
# TYPE windlass_gateway_devices_total counter
windlass_gateway_devices_total{app="com.example.shop",arm="candidate",channel="production",outcome="confirmed",version="2.1.0"} 1
windlass_gateway_devices_total{app="com.example.shop",arm="candidate",channel="production",outcome="delivery_failed",version="2.1.0"} 0
windlass_gateway_devices_total{app="com.example.shop",arm="candidate",channel="production",outcome="downloaded",version="2.1.0"} 0
windlass_gateway_devices_total{app="com.example.shop",arm="candidate",channel="production",outcome="exposed",version="2.1.0"} 1
windlass_gateway_devices_total{app="com.example.shop",arm="candidate",channel="production",outcome="failed",version="2.1.0"} 1
windlass_gateway_devices_total{app="com.example.shop",arm="candidate",channel="production",outcome="installed",version="2.1.0"} 0
windlass_gateway_devices_total{app="com.example.shop",arm="candidate",channel="production",outcome="offered",version="2.1.0"} 1
windlass_gateway_devices_total{app="com.example.shop",arm="candidate",channel="production",outcome="returned",version="2.1.0"} 0
`
	if err := testutil.GatherAndCompare(r, strings.NewReader(expected), "windlass_gateway_devices_total"); err != nil {
		t.Error(err)
	}
}

func TestCheckPathDoesNotAllocate(t *testing.T) {
	l, err := ledger.Open(t.Context(), ledger.Config{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := check(l, "d", offer(bad, resolve.Candidate), start)
	r := report(l, "d", bad, ledger.Failed, start)
	r.Assigned, r.Known = ledger.Series{App: app, Channel: "production", Digest: bad}, true
	l.Reported(r)
	l.Checked(c)
	for name, tc := range map[string]struct {
		most float64
		do   func()
	}{
		"a check that repeats": {0, func() { l.Checked(c) }},
		"a check with news":    {2, func() { c.At = c.At.Add(time.Minute); l.Checked(c) }},
		"what failed":          {0, func() { _ = l.Failed(c.Device) }},
		"the override":         {0, func() { _ = l.Override(c.Device) }},
	} {
		if n := testing.AllocsPerRun(200, tc.do); n > tc.most {
			t.Errorf("%s allocates %v times, want %v at most", name, n, tc.most)
		}
	}
}
