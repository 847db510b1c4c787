// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

const (
	reporting = 100_000   // devices that are offered a bundle and report
	known     = 1_000_000 // devices in the SQLite file at the end: the others are offered a bundle only
	events    = 4         // of a reporting device: the offer, downloaded, installed, confirmed or failed
	burst     = 10_000    // devices between two looks at the database: their events fit into the queue
	pace      = 5_000     // events a second that must fit without a loss
	paced     = 5 * time.Second
	failing   = 50 // every so many devices fail
)

// measureLedgers fills both databases, and leaves the SQLite file to the gateway that is measured with it.
func measureLedgers(ctx context.Context, w io.Writer, file string) error {
	fmt.Fprintln(w, "Events into the ledger: offers and reports of devices, as fast as the database takes them, then at a pace")
	sqlite, err := measureLedger(ctx, ledger.Config{Path: file}, known)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "SQLite      %7.0f events a second of %d devices; %d a second for %s: none dropped\n", sqlite, reporting, pace, paced)
	server, err := devcluster.StartPostgres(ctx, filepath.Dir(file))
	if err != nil {
		return err
	}
	defer server.Stop()
	postgres, err := measureLedger(ctx, ledger.Config{DSN: server.DSN, Key: []byte(strings.Repeat("k", 32))}, 0)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "PostgreSQL  %7.0f events a second of %d devices; %d a second for %s: none dropped\n\n", postgres, reporting, pace, paced)
	_, err = fmt.Fprintf(w, "BENCH ledger_sqlite_events_s %.0f events/s\nBENCH ledger_postgres_events_s %.0f events/s\n\n", sqlite, postgres)
	return err
}

// measureLedger gives how many events a second a ledger takes, and fills it up to a number of devices.
func measureLedger(ctx context.Context, cfg ledger.Config, fill int) (float64, error) {
	l, err := ledger.Open(ctx, cfg)
	if err != nil {
		return 0, err
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { l.Run(running); close(done) }()
	defer func() { stop(); <-done; _ = l.Close() }()
	f, err := newFeed(l)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := f.upTo(ctx, reporting, true); err != nil {
		return 0, err
	}
	rate := float64(reporting*events) / time.Since(begin).Seconds()
	f.pace()
	if err := l.Flush(ctx); err != nil {
		return 0, err
	}
	if err := f.nothingLost(ctx); err != nil {
		return 0, err
	}
	return rate, f.upTo(ctx, fill, false)
}

// feed plays devices that are offered a candidate and report how it went.
type feed struct {
	ledger *ledger.Ledger
	told   resolve.Decision
	device int
}

func newFeed(l *ledger.Ledger) (*feed, error) {
	c, err := resolve.Compile(document(channelName(0)))
	if err != nil {
		return nil, err
	}
	t := c.Trial()
	return &feed{ledger: l, told: resolve.Decision{
		Action: resolve.Update, Reason: resolve.ReasonCandidate, Bundle: t.Bundle, Arm: resolve.Candidate, Trial: t,
	}}, nil
}

// upTo plays devices up to a number as fast as the database takes them.
func (f *feed) upTo(ctx context.Context, device int, reports bool) error {
	for f.device < device {
		for range burst {
			f.next(reports)
		}
		if err := f.ledger.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pace plays devices at a steady rate for a while.
func (f *feed) pace() {
	const ticks = 100 // a second
	tick := time.NewTicker(time.Second / ticks)
	defer tick.Stop()
	for range int(paced.Seconds()) * ticks {
		<-tick.C
		for range pace / events / ticks {
			f.next(true)
		}
	}
}

// next plays one device.
func (f *feed) next(reports bool) {
	client := ledger.Client{Platform: "android", NativeVersion: "2.3.0", Plugin: "capgo/8.51.23"}
	p, now := f.ledger.Pseudonym(app, deviceID(f.device)), time.Now()
	f.ledger.Checked(&ledger.Check{
		App: app, Channel: channelName(0), Device: p, Client: client, Votes: true, Told: f.told, RunsVersion: "2.4.0", At: now,
	})
	f.device++
	if !reports {
		return
	}
	report := ledger.Report{App: app, Device: p, Client: client, Votes: true, Version: f.told.Bundle.Version, At: now}
	last := ledger.Confirmed
	if f.device%failing == 0 {
		last, report.Kind = ledger.Failed, ledger.KindRollback
	}
	for _, report.Outcome = range []ledger.Outcome{ledger.Downloaded, ledger.Installed, last} {
		f.ledger.Reported(&report)
	}
}

// nothingLost holds the counts against what was fed, and wants no drop to be counted.
func (f *feed) nothingLost(ctx context.Context) error {
	got, err := f.ledger.Counts(ctx, app, channelName(0))
	if err != nil {
		return err
	}
	digest := release.DigestPrefix + strings.Repeat("b", 64)
	for _, r := range got.Rows {
		if r.Digest == digest && r.Devices == int64(f.device) && r.Confirmed+r.Failed == int64(f.device) {
			return nil
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(f.ledger)
	families, err := registry.Gather()
	return fmt.Errorf("expected the votes of %d devices, got %+v; %v %w", f.device, got.Rows, families, err)
}
