// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ledger keeps what devices report of bundles: one device, one vote for a bundle, in the arm that it was assigned to.
// The rows are in a database, SQLite or PostgreSQL; nothing on the path of a request waits for it.
package ledger

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// Ledger counts outcomes. It is safe for concurrent use.
type Ledger struct {
	cfg Config
}

// Open opens the ledger, and makes its tables if need be. A PostgreSQL that does not answer is no error: Run tries it again.
// A database that is damaged, that a newer version made, or that was written with another key, is one.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	panic("not written yet")
}

// Run writes what comes in, follows other replicas and forgets what is old, until the context ends; then it writes what is
// left, for some seconds at most.
func (l *Ledger) Run(ctx context.Context) {
	panic("not written yet")
}

// Close closes the database. Call it when Run has returned.
func (l *Ledger) Close() error {
	panic("not written yet")
}

// Flush waits until what came in before is in the database. Run must be running.
func (l *Ledger) Flush(ctx context.Context) error {
	panic("not written yet")
}

// Pseudonym gives the name that a device has in the ledger.
func (l *Ledger) Pseudonym(app, deviceID string) Pseudonym {
	panic("not written yet")
}

// Failed gives the digests of the bundles that failed on a device, in no order; mostly nil. Do not change it.
func (l *Ledger) Failed(p Pseudonym) []string {
	panic("not written yet")
}

// Override gives the channel that is stored for a device; mostly empty.
func (l *Ledger) Override(p Pseudonym) string {
	panic("not written yet")
}

// SetOverride stores a channel for a device, or with an empty channel deletes it. Override gives it on this replica at once, and
// on others soon. It gives ErrUnavailable when the database does not answer, and ErrFull.
func (l *Ledger) SetOverride(ctx context.Context, app string, p Pseudonym, channel string) error {
	panic("not written yet")
}

// Checked notes a check and its answer. It keeps nothing of what c points to, does not block, and drops what repeats the
// device's last check, or all checks when the queue is nearly full.
func (l *Ledger) Checked(c *Check) {
	panic("not written yet")
}

// Reported notes what a device tells. A failure that names a bundle is in Failed when it returns. It gives false when the
// queue was full, and the report was dropped.
func (l *Ledger) Reported(r *Report) bool {
	panic("not written yet")
}

// Describe implements prometheus.Collector.
func (l *Ledger) Describe(ch chan<- *prometheus.Desc) {
	panic("not written yet")
}

// Collect implements prometheus.Collector.
func (l *Ledger) Collect(ch chan<- prometheus.Metric) {
	panic("not written yet")
}
