// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
)

// Sweep forgets what is old now.
func (l *Ledger) Sweep(ctx context.Context) error { return l.sweep(ctx) }

// DB gives the database, to look at what was written.
func (l *Ledger) DB() *sql.DB { return l.db.read }
