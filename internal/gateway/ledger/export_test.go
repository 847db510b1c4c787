// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
)

// Sweep forgets what is old now.
func (l *Ledger) Sweep(ctx context.Context) error { return l.sweep(ctx) }

// Change runs a transaction while no other writer runs one.
func (l *Ledger) Change(ctx context.Context, do func(*sql.Tx) error) error {
	return l.db.change(ctx, do)
}

// DB gives the database, to look at what was written.
func (l *Ledger) DB() *sql.DB { return l.db.read }

// Write writes events in one batch, as the writer does.
func (l *Ledger) Write(ctx context.Context, checks []*Check, reports []*Report) error {
	var events []*event
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
	return l.write(ctx, events)
}
