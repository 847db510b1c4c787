// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// BenchmarkFlush writes the life of devices with a bundle: an offer, three reports, and a check that proves that all is well,
// in batches as the writer makes them. Each device is in the ledger with another bundle already.
func BenchmarkFlush(b *testing.B) {
	for name, cfg := range map[string]func() ledger.Config{
		"sqlite":   func() ledger.Config { return ledger.Config{Path: filepath.Join(b.TempDir(), "ledger.db")} },
		"postgres": func() ledger.Config { return ledger.Config{DSN: newDatabase(b)} },
	} {
		b.Run(name, func(b *testing.B) {
			c := cfg()
			c.Key = key
			l, err := ledger.Open(context.Background(), c)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close() //nolint:errcheck // of a benchmark
			const batch, devices = 1000, 20_000
			ids := make([]string, devices)
			var before []*ledger.Check
			for i := range ids {
				ids[i] = fmt.Sprintf("device-%d", i)
				before = append(before, check(l, ids[i], upToDate(stable, resolve.NoArm), start))
				if len(before) == batch {
					writeAll(b, l, before, nil)
					before = nil
				}
			}
			events, round := 0, 0
			for b.Loop() {
				at := start.Add(time.Duration(round) * time.Minute)
				first := (round / 3 * batch / 2) % devices
				var checks []*ledger.Check
				var reports []*ledger.Report
				for _, id := range ids[first : first+batch/2] {
					switch round % 3 {
					case 0:
						checks = append(checks, check(l, id, offer(bad, resolve.Candidate), at))
						reports = append(reports, report(l, id, bad, ledger.Downloaded, at))
					case 1:
						reports = append(reports, report(l, id, bad, ledger.Installed, at), report(l, id, bad, ledger.Confirmed, at))
					case 2:
						checks = append(checks, check(l, id, upToDate(bad, resolve.Candidate), at))
					}
				}
				writeAll(b, l, checks, reports)
				events += len(checks) + len(reports)
				round++
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkSlices groups a hundred thousand votes of a trial, which lie between those of as many devices in no trial.
func BenchmarkSlices(b *testing.B) {
	for name, cfg := range map[string]func() ledger.Config{
		"sqlite":   func() ledger.Config { return ledger.Config{Path: filepath.Join(b.TempDir(), "ledger.db")} },
		"postgres": func() ledger.Config { return ledger.Config{DSN: newDatabase(b)} },
	} {
		b.Run(name, func(b *testing.B) {
			c := cfg()
			c.NetworkShare = 1
			l, _ := open(b, c)
			var checks []*ledger.Check
			for i := range 200_000 {
				told := upToDate(stable, resolve.NoArm)
				if i%2 == 0 {
					told = in(int32(1+i%5), offer(bad, []resolve.Arm{resolve.Candidate, resolve.Control}[i/2%2]))
				}
				one := check(l, fmt.Sprint(i), told, start)
				one.Client.OSVersion, one.Client.Region = fmt.Sprint(i%13), fmt.Sprint(i%17)
				if checks = append(checks, one); len(checks) == 2000 {
					writeAll(b, l, checks, nil)
					checks = nil
				}
			}
			for b.Loop() {
				if s, err := l.Slices(context.Background(), app, "production", "salt"); err != nil || len(s.Groups) != 5*13*17 {
					b.Fatalf("%d groups, %v", len(s.Groups), err)
				}
			}
		})
	}
}

func writeAll(b *testing.B, l *ledger.Ledger, checks []*ledger.Check, reports []*ledger.Report) {
	b.Helper()
	if err := l.Write(context.Background(), checks, reports); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkChecked is what a check that says nothing new costs, and one that does.
func BenchmarkChecked(b *testing.B) {
	b.Run("repeated", func(b *testing.B) {
		l, _ := open(b, ledger.Config{})
		c := check(l, "d", offer(bad, resolve.Candidate), start)
		b.ReportAllocs()
		for b.Loop() {
			l.Checked(c)
		}
	})
	b.Run("new", func(b *testing.B) {
		l, _ := open(b, ledger.Config{})
		c := check(l, "d", offer(bad, resolve.Candidate), start)
		b.ReportAllocs()
		for b.Loop() {
			c.At = c.At.Add(time.Minute)
			l.Checked(c)
		}
	})
}

// BenchmarkFailed is what a check asks of the memory, with a hundred thousand devices in it.
func BenchmarkFailed(b *testing.B) {
	l, _ := open(b, ledger.Config{})
	for i := range 100_000 {
		r := report(l, fmt.Sprint(i), bad, ledger.Failed, start)
		r.Assigned, r.Known = ledger.Series{App: app, Channel: "production", Digest: bad}, true
		l.Reported(r)
	}
	p, other := l.Pseudonym(app, "7"), l.Pseudonym(app, "x")
	b.ReportAllocs()
	for b.Loop() {
		if len(l.Failed(p)) != 1 || l.Failed(other) != nil || l.Override(p) != "" {
			b.Fatal("the memory forgot")
		}
	}
}

// BenchmarkPseudonym makes the name of a device.
func BenchmarkPseudonym(b *testing.B) {
	l, _ := open(b, ledger.Config{})
	b.ReportAllocs()
	for b.Loop() {
		l.Pseudonym(app, "3F2C8A1E-0000-4000-8000-000000000001")
	}
}
