// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
)

// rule makes the rules that this process was told those of the database, and counts anew if it had others. A replica that still runs
// takes them over with its next batch.
func (l *Ledger) rule(ctx context.Context, tx *sql.Tx, told *rules) error {
	have, err := readRules(ctx, tx)
	if err != nil || *have == *told {
		return err
	}
	if err := l.recount(ctx, tx, told); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE meta SET ready_time = $1, heal_window = $2", told.ready, told.window)
	return err
}

func readRules(ctx context.Context, tx *sql.Tx) (*rules, error) {
	r := &rules{}
	return r, tx.QueryRowContext(ctx, "SELECT ready_time, heal_window FROM meta WHERE one = 1").Scan(&r.ready, &r.window)
}

// adopt notes the rules that the database has.
func (l *Ledger) adopt(r *rules) {
	if before := l.rules.Swap(r); *before != *r {
		l.cfg.Log.Warn("Another gateway of this ledger was told another --ready-time; all count by that of the last that started",
			"readyMilliseconds", r.ready, "was", before.ready)
	}
}

// recount replaces all counts by those of the votes.
func (l *Ledger) recount(ctx context.Context, tx *sql.Tx, r *rules) error {
	counts := map[int64]difference{}
	after, series := Pseudonym{}, int64(-1)
	for n := pageSize; n == pageSize; {
		n = 0
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var row scanned
			if err := row.read(rows); err != nil {
				return err
			}
			n++
			d := counts[row.series]
			counts[row.series] = difference{d.rows + 1, d.tally.plus(r.counted(&row.vote))}
			p, err := pseudonymOf(row.device)
			after, series = p, row.series
			return err
		}, "SELECT "+voteColumns+" FROM votes WHERE (device, series_id) > ($1, $2) ORDER BY device, series_id LIMIT $3", after[:], series, pageSize)
		if err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "UPDATE series SET tracked = 0, exposed = 0, offered = 0, downloaded = 0, installed = 0, confirmed = 0, "+
		"failed = 0, delivery_failed = 0, returned = 0, failed_once = 0")
	if err != nil {
		return err
	}
	return addDifferences(ctx, tx, counts, 0)
}
