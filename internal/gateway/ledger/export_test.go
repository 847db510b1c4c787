// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"errors"
)

// Sweep forgets what is old now.
func (l *Ledger) Sweep(ctx context.Context) error { return l.sweep(ctx) }

// MakeTables makes the tables as an older version had them.
func MakeTables(ctx context.Context, cfg Config, version int64) error {
	d, err := openDatabase(&cfg)
	if err != nil {
		return err
	}
	p, err := d.migrations()
	if err == nil {
		_, err = p.UpTo(ctx, version)
	}
	return errors.Join(err, d.close())
}

// SliceAlone keeps others from reading the votes of a trial until it is released.
func (l *Ledger) SliceAlone() (release func()) {
	l.slicing <- struct{}{}
	return func() { <-l.slicing }
}

// SlicesQuery is what Slices asks the database.
const SlicesQuery = slicesQuery

// HistoryQuery is what History asks the database.
const HistoryQuery = historyQuery

// MaxGroups is how many groups Slices tells one by one.
const MaxGroups = maxGroups

// Change runs a transaction while no other writer runs one.
func (l *Ledger) Change(ctx context.Context, do func(*sql.Tx) error) error {
	return l.db.change(ctx, do)
}

// DB gives the database, to look at what was written.
func (l *Ledger) DB() *sql.DB { return l.db.read }

// Refresh reads the changes of other replicas.
func (l *Ledger) Refresh(ctx context.Context) error { return l.refresh(ctx) }

// Write writes events in one batch, as the writer does.
func (l *Ledger) Write(ctx context.Context, checks []*Check, reports []*Report) error {
	return l.write(ctx, eventsOf(checks, reports))
}

// Commit is Write, but memory and metrics know of it when it is published.
func (l *Ledger) Commit(ctx context.Context, checks []*Check, reports []*Report) (publish func(), err error) {
	b, err := l.commit(ctx, eventsOf(checks, reports))
	return b.publish, err
}

func eventsOf(checks []*Check, reports []*Report) (events []*event) {
	for _, c := range checks {
		e := &event{}
		e.fromCheck(c)
		events = append(events, e)
	}
	for _, r := range reports {
		e := &event{}
		e.fromReport(r)
		events = append(events, e)
	}
	return events
}
