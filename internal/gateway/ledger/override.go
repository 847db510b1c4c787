// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"fmt"
)

// SetOverride stores a channel for a device, or with an empty channel deletes it. Override gives it on this replica at once, and
// on others soon. It gives ErrUnavailable when the database does not answer, and ErrFull.
func (l *Ledger) SetOverride(ctx context.Context, app string, p Pseudonym, channel string) error {
	if l.attached.Load() == nil {
		return ErrUnavailable
	}
	if channel != "" && l.overrides.full(p) {
		return ErrFull
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	var seq int64
	err := l.db.change(ctx, func(tx *sql.Tx) (err error) {
		if seq, err = numbers(ctx, tx, 1); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO overrides (device, app, channel, at, seq) VALUES ($1, $2, $3, $4, $5) "+
			"ON CONFLICT (device) DO UPDATE SET channel = excluded.channel, at = excluded.at, seq = excluded.seq",
			p[:], legible(app), legible(channel), l.cfg.Now().UnixMilli(), seq)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	l.overrides.set(p, channel, seq)
	return nil
}
