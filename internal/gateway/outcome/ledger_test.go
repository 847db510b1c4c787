// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/gateway/outcome"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

var start = time.Unix(1_800_000_000, 0)

func digestOf(c string) string { return release.DigestPrefix + strings.Repeat(c, 64) }

func bundle(version, hex string) release.Bundle {
	return release.Bundle{Name: version, Version: version, Digest: digestOf(hex), Path: "p/" + version}
}

var good, bad = bundle("2.0.0", "a"), bundle("2.1.0", "b")

// trial compiles a channel with a candidate at a weight; release 0 means none.
func trial(t testing.TB, weight int32, releaseNumber int64) *resolve.Channel {
	t.Helper()
	stable := good
	doc := &release.Document{Schema: release.Schema, App: "shop", Channel: "production", Serving: release.Active, Stable: &stable}
	if releaseNumber > 0 {
		doc.Candidate = &release.Candidate{
			Bundle: bad, Weight: weight, Salt: "s", Release: releaseNumber, LeaseExpires: start.Add(24 * time.Hour).Unix(),
		}
	}
	c, err := resolve.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func viewOf(c *resolve.Channel) *resolve.View {
	return &resolve.View{Apps: map[string]map[string]*resolve.Channel{"shop": {"production": c}}, Expires: start.Add(24 * time.Hour)}
}

func device(id string) *resolve.Device {
	return &resolve.Device{
		Device: compat.Device{Platform: "ios", NativeVersion: semver.MustParse("1.0.0")},
		ID:     id, Distribution: resolve.Production, Hardware: resolve.Physical,
	}
}

func ledger() *outcome.Ledger {
	return outcome.New(outcome.Config{PerBundle: 100_000, Total: 100_000, Keep: time.Hour}, start)
}

func check(l *outcome.Ledger, c *resolve.Channel, d *resolve.Device, at time.Time) resolve.Decision {
	told := c.Decide(d, at)
	l.Checked("shop", "production", d, &told, at)
	return told
}

func report(id, digest string, o outcome.Outcome) outcome.Report {
	return outcome.Report{App: "shop", Channel: "production", DeviceID: id, Digest: digest, Votes: true, Outcome: o}
}

var sorted = cmpopts.SortSlices(func(a, b outcome.Row) bool { return a.Arm+a.Digest < b.Arm+b.Digest })

func want(t *testing.T, l *outcome.Ledger, rows ...outcome.Row) {
	t.Helper()
	if diff := cmp.Diff(rows, l.Counts("shop", "production"), sorted, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func candidateRow(edit func(*outcome.Row)) outcome.Row {
	r := outcome.Row{Digest: bad.Digest, Version: "2.1.0", Arm: "candidate", Candidate: bad.Digest, Release: 1}
	edit(&r)
	return r
}

func TestCountsDevicesNotRequests(t *testing.T) {
	t.Parallel()
	l, c := ledger(), trial(t, release.FullWeight, 1)
	for range 3 {
		check(l, c, device("d1"), start)
		check(l, c, device("D1"), start) // the same device
		l.Reported(report("d1", bad.Digest, outcome.Downloaded), c, start)
		l.Reported(report("d1", bad.Digest, outcome.Installed), c, start)
		l.Reported(report("D1", bad.Digest, outcome.Failed), c, start)
	}
	check(l, c, device("d2"), start)
	l.Reported(report("d2", bad.Digest, outcome.DeliveryFailed), c, start)
	want(t, l, candidateRow(func(r *outcome.Row) {
		r.Devices, r.Offered, r.Downloaded, r.Installed, r.Failed, r.DeliveryFailed = 2, 2, 1, 1, 1, 1
	}))
}

func TestOneVote(t *testing.T) {
	t.Parallel()
	type vote struct {
		what outcome.Outcome
		at   time.Duration
	}
	for _, tc := range []struct {
		name              string
		votes             []vote
		confirmed, failed int64
	}{
		{"failed after confirmed", []vote{{outcome.Confirmed, 0}, {outcome.Failed, time.Hour}}, 0, 1},
		{"confirmed soon after failed", []vote{{outcome.Failed, 0}, {outcome.Confirmed, 10 * time.Minute}}, 1, 0},
		{"confirmed long after failed", []vote{{outcome.Failed, 0}, {outcome.Confirmed, 11 * time.Minute}}, 0, 1},
		{"failed again", []vote{{outcome.Failed, 0}, {outcome.Failed, 0}}, 0, 1},
		{"there and back", []vote{{outcome.Confirmed, 0}, {outcome.Failed, 0}, {outcome.Confirmed, time.Minute}, {outcome.Failed, time.Minute}}, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l, c := ledger(), trial(t, release.FullWeight, 1)
			for _, v := range tc.votes {
				if got := l.Reported(report("d", bad.Digest, v.what), c, start.Add(v.at)); got != outcome.Counted {
					t.Fatalf("report: %s", got)
				}
			}
			want(t, l, candidateRow(func(r *outcome.Row) { r.Devices, r.Confirmed, r.Failed = 1, tc.confirmed, tc.failed }))
		})
	}
}

// A device has one vote at any time, whatever it reports in whatever order, and the counts are those of the votes.
func TestVotesAddUp(t *testing.T) {
	t.Parallel()
	c := trial(t, release.FullWeight, 1)
	rapid.Check(t, func(t *rapid.T) {
		l, at := ledger(), start
		devices := map[int]bool{}
		for i := range rapid.IntRange(1, 60).Draw(t, "reports") {
			id := rapid.IntRange(0, 5).Draw(t, fmt.Sprintf("device %d", i))
			what := rapid.SampledFrom([]outcome.Outcome{outcome.Downloaded, outcome.Confirmed, outcome.Failed}).Draw(t, "what")
			at = at.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "seconds")) * time.Second)
			l.Reported(report(fmt.Sprint(id), bad.Digest, what), c, at)
			devices[id] = true
			row := l.Counts("shop", "production")[0]
			if row.Devices != int64(len(devices)) || row.Confirmed+row.Failed > row.Devices || min(row.Confirmed, row.Failed) < 0 {
				t.Fatalf("%d devices reported, counts are %+v", len(devices), row)
			}
		}
	})
}

func TestArms(t *testing.T) {
	t.Parallel()
	l, c := ledger(), trial(t, 5000, 1)
	arms := map[resolve.Arm]int64{}
	for i := range 200 {
		id := fmt.Sprintf("d%d", i)
		told := check(l, c, device(id), start)
		arms[told.Arm]++
		if i%2 == 0 { // the others are told of by a process that did not see the check
			l = counted(t, l, c, id, told)
		}
	}
	rows := l.Counts("shop", "production")
	if len(rows) != 2 || arms[resolve.Candidate] == 0 || arms[resolve.Control] == 0 {
		t.Fatalf("%d candidates, %d controls, rows %+v", arms[resolve.Candidate], arms[resolve.Control], rows)
	}
	for _, r := range rows {
		if r.Devices != arms[resolve.Arm(r.Arm)] || r.Candidate != bad.Digest {
			t.Errorf("arm %s: %+v, want %d devices", r.Arm, r, arms[resolve.Arm(r.Arm)])
		}
	}

	other := ledger() // a replica that saw none of the checks places the reports alike
	for i := range 200 {
		id := fmt.Sprintf("d%d", i)
		told := c.Decide(device(id), start)
		other.Reported(report(id, told.Bundle.Digest, outcome.Confirmed), c, start)
	}
	for _, r := range other.Counts("shop", "production") {
		if r.Confirmed != arms[resolve.Arm(r.Arm)] {
			t.Errorf("replica, arm %s: %+v, want %d confirmed", r.Arm, r, arms[resolve.Arm(r.Arm)])
		}
	}
}

func counted(t *testing.T, l *outcome.Ledger, c *resolve.Channel, id string, told resolve.Decision) *outcome.Ledger {
	t.Helper()
	if got := l.Reported(report(id, told.Bundle.Digest, outcome.Confirmed), c, start); got != outcome.Counted {
		t.Fatalf("report: %s", got)
	}
	return l
}

// What comes in after a candidate was taken back still counts for it, as long as the counts are kept.
func TestLateReports(t *testing.T) {
	t.Parallel()
	l, c := ledger(), trial(t, release.FullWeight, 1)
	check(l, c, device("d1"), start)
	back := trial(t, 0, 0)
	l.Retain(viewOf(back), start.Add(time.Minute))
	for _, id := range []string{"d1", "d2"} {
		if got := l.Reported(report(id, bad.Digest, outcome.Failed), back, start.Add(2*time.Minute)); got != outcome.Counted {
			t.Fatalf("%s: %s", id, got)
		}
	}
	want(t, l, candidateRow(func(r *outcome.Row) { r.Devices, r.Offered, r.Failed = 2, 1, 2 }))

	l.Retain(viewOf(back), start.Add(59*time.Minute))
	if len(l.Counts("shop", "production")) != 1 {
		t.Error("the counts went too soon")
	}
	l.Retain(viewOf(back), start.Add(61*time.Minute))
	want(t, l)
	if got := l.Reported(report("d1", bad.Digest, outcome.Failed), back, start.Add(62*time.Minute)); got != outcome.UnknownBundle {
		t.Errorf("report on a bundle that is gone: %s", got)
	}
}

// A retry of the same bundle counts anew.
func TestRetryCountsAnew(t *testing.T) {
	t.Parallel()
	l := ledger()
	for n := int64(1); n <= 2; n++ {
		c := trial(t, release.FullWeight, n)
		check(l, c, device("d"), start)
	}
	l.Reported(report("d", bad.Digest, outcome.Failed), trial(t, release.FullWeight, 2), start)
	for _, r := range l.Counts("shop", "production") {
		if wanted := r.Release - 1; r.Failed != wanted {
			t.Errorf("release %d has %d failures, want %d", r.Release, r.Failed, wanted)
		}
	}
}

func TestWhoDoesNotVote(t *testing.T) {
	t.Parallel()
	l, c := ledger(), trial(t, release.FullWeight, 1)
	emulator, development := device("e"), device("v")
	emulator.Hardware, development.Distribution = resolve.Emulator, resolve.Development
	check(l, c, emulator, start)
	check(l, c, development, start)
	r := report("e", bad.Digest, outcome.Failed)
	r.Votes = false
	if got := l.Reported(r, c, start); got != outcome.NotVoting {
		t.Errorf("emulator: %s", got)
	}
	want(t, l)
	if got := l.Reported(report("d", digestOf("f"), outcome.Failed), c, start); got != outcome.UnknownBundle {
		t.Errorf("unknown bundle: %s", got)
	}
	if got := l.Reported(report("d", bad.Digest, outcome.Failed), nil, start); got != outcome.UnknownChannel {
		t.Errorf("unknown channel: %s", got)
	}
}

// A device that is not offered anything, because nothing fits it, is no sample of anything.
func TestUnfitDevicesAreNoSample(t *testing.T) {
	t.Parallel()
	l, c := ledger(), trial(t, release.FullWeight, 1)
	d := device("d")
	d.NativeVersion = semver.MustParse("9.0.0")
	if told := check(l, c, d, start); told.Reason != resolve.ReasonBelowNative {
		t.Fatalf("told %+v", told)
	}
	want(t, l)
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]outcome.Config{
		"per bundle": {PerBundle: 64, Total: 1_000_000, Keep: time.Hour},
		"total":      {PerBundle: 1_000_000, Total: 64, Keep: time.Hour},
	} {
		l, c := outcome.New(cfg, start), trial(t, release.FullWeight, 1)
		limited := false
		for i := range 1000 {
			check(l, c, device(fmt.Sprint(i)), start)
			limited = l.Reported(report(fmt.Sprint(i), bad.Digest, outcome.Failed), c, start) == outcome.DeviceLimit || limited
		}
		if got := l.Counts("shop", "production")[0]; got.Devices > 64 || got.Devices < 48 || !limited {
			t.Errorf("%s: %d devices (limited %v), want about 64", name, got.Devices, limited)
		}
		l.Retain(viewOf(trial(t, 0, 0)), start.Add(2*time.Hour))
		check(l, trial(t, release.FullWeight, 2), device("new"), start.Add(2*time.Hour))
		if rows := l.Counts("shop", "production"); len(rows) != 1 || rows[0].Devices != 1 {
			t.Errorf("%s: after the old counts went: %+v", name, rows)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	l, c := ledger(), trial(t, 5000, 1)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 500 {
				id := fmt.Sprint(i)
				told := check(l, c, device(id), start)
				l.Reported(report(id, told.Bundle.Digest, outcome.Confirmed), c, start)
				if w == 0 && i%50 == 0 {
					l.Retain(viewOf(c), start)
					l.Counts("shop", "production")
				}
			}
		})
	}
	wg.Wait()
	var confirmed int64
	for _, r := range l.Counts("shop", "production") {
		confirmed += r.Confirmed
	}
	if confirmed != 500 {
		t.Errorf("%d devices confirmed, want 500", confirmed)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	l, c := ledger(), trial(t, release.FullWeight, 1)
	check(l, c, device("d1"), start)
	for _, o := range []outcome.Outcome{outcome.Failed, outcome.Confirmed, outcome.Failed} {
		l.Reported(report("d1", bad.Digest, o), c, start)
	}
	check(l, trial(t, release.FullWeight, 2), device("d1"), start)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(l)
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	const expected = `
# HELP windlass_gateway_devices_total Devices that reached an outcome with a bundle, each once. Those of a bundle vanish some time after it was taken out.
# TYPE windlass_gateway_devices_total counter
windlass_gateway_devices_total{app="shop",arm="candidate",channel="production",outcome="confirmed",version="2.1.0"} 1
windlass_gateway_devices_total{app="shop",arm="candidate",channel="production",outcome="delivery_failed",version="2.1.0"} 0
windlass_gateway_devices_total{app="shop",arm="candidate",channel="production",outcome="downloaded",version="2.1.0"} 0
windlass_gateway_devices_total{app="shop",arm="candidate",channel="production",outcome="exposed",version="2.1.0"} 2
windlass_gateway_devices_total{app="shop",arm="candidate",channel="production",outcome="failed",version="2.1.0"} 1
windlass_gateway_devices_total{app="shop",arm="candidate",channel="production",outcome="installed",version="2.1.0"} 0
windlass_gateway_devices_total{app="shop",arm="candidate",channel="production",outcome="offered",version="2.1.0"} 2
`
	if err := testutil.GatherAndCompare(r, strings.NewReader(expected), "windlass_gateway_devices_total"); err != nil {
		t.Error(err)
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	l, c, d := ledger(), trial(t, release.FullWeight, 1), device("3F2C8A1E-0000-4000-8000-000000000001")
	if n := testing.AllocsPerRun(100, func() { check(l, c, d, start) }); n != 0 {
		t.Errorf("a check allocates %v times, want 0", n)
	}
}

func BenchmarkChecked(b *testing.B) {
	l, c, d := ledger(), trial(b, release.FullWeight, 1), device("3F2C8A1E-0000-4000-8000-000000000001")
	told := c.Decide(d, start)
	b.ReportAllocs()
	for b.Loop() {
		l.Checked("shop", "production", d, &told, start)
	}
}
