// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

const (
	sweepEvery = 4 * time.Hour
	sweepPage  = 1000                  // rows looked at, at a time
	sweepPause = 20 * time.Millisecond // between pages that had something old: the writer goes first
	// tombstones is how long what was deleted stays in the database, so that each replica hears of it.
	tombstones = 24 * time.Hour
)

// sweepAlways forgets what is old, until the context ends.
func (l *Ledger) sweepAlways(ctx context.Context) {
	for wait(ctx, sweepEvery) == nil {
		if l.attached.Load() == nil {
			continue
		}
		if err := l.sweep(ctx); err != nil && ctx.Err() == nil {
			l.cfg.Log.Warn("The ledger could not forget all that is old; it is tried again in some hours", "error", err.Error())
		}
	}
}

// sweep forgets what nothing happened to for the retention. Counts lose the votes that go.
func (l *Ledger) sweep(ctx context.Context) error {
	now := l.cfg.Now()
	oldest, buried := now.Add(-l.cfg.Retention).UnixMilli(), now.Add(-tombstones).UnixMilli()
	l.metrics.forget(oldest)
	return errors.Join(
		l.sweepVotes(ctx, oldest),
		l.sweepFailures(ctx, oldest),
		l.sweepOverrides(ctx, oldest),
		l.remove(ctx, "DELETE FROM failures WHERE lifted = 1 AND at < $1", buried),
		l.remove(ctx, "DELETE FROM overrides WHERE channel = '' AND at < $1", buried),
		l.remove(ctx, "DELETE FROM series WHERE tracked = 0 AND served_at < $1", oldest),
		l.remove(ctx, "DELETE FROM sessions WHERE ended_at <> 0 AND ended_at < $1", oldest),
	)
}

func (l *Ledger) remove(ctx context.Context, statement string, args ...any) error {
	return l.db.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	})
}

// sweepVotes walks through all votes by their key: an index by time would cost more with each write than this does now and then.
func (l *Ledger) sweepVotes(ctx context.Context, oldest millis) error {
	var at Pseudonym
	series := int64(-1)
	for {
		var old []Pseudonym
		n := 0
		err := each(ctx, l.db.read, func(rows *sql.Rows) error {
			var raw []byte
			var updated millis
			if err := rows.Scan(&raw, &series, &updated); err != nil {
				return err
			}
			n++
			p, err := pseudonymOf(raw)
			at = p
			if updated < oldest && (len(old) == 0 || old[len(old)-1] != p) {
				old = append(old, p)
			}
			return err
		}, "SELECT device, series_id, updated_at FROM votes WHERE (device, series_id) > ($1, $2) ORDER BY device, series_id LIMIT $3", at[:], series, sweepPage)
		if err != nil {
			return err
		}
		if len(old) > 0 {
			if err := errors.Join(l.forgetVotes(ctx, old, oldest), wait(ctx, sweepPause)); err != nil {
				return err
			}
		}
		if n < sweepPage {
			return nil
		}
	}
}

// forgetVotes deletes the old votes of devices, and takes them out of the counts.
func (l *Ledger) forgetVotes(ctx context.Context, devices []Pseudonym, oldest millis) error {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	return l.db.change(ctx, func(tx *sql.Tx) error {
		type key struct {
			device Pseudonym
			series int64
		}
		r, err := readRules(ctx, tx)
		if err != nil {
			return err
		}
		var gone []key
		lost := map[int64]difference{}
		err = l.votesOf(ctx, tx, devices, func(p Pseudonym, s *placedSeries, v *vote) {
			if v.updatedAt < oldest {
				gone = append(gone, key{p, s.id})
				d := lost[s.id]
				lost[s.id] = difference{d.rows - 1, d.tally.minus(r.counted(v))}
			}
		})
		if err != nil {
			return err
		}
		for _, k := range gone {
			if _, err := tx.ExecContext(ctx, "DELETE FROM votes WHERE device = $1 AND series_id = $2", k.device[:], k.series); err != nil {
				return err
			}
		}
		return addDifferences(ctx, tx, lost, 0)
	})
}

// sweepFailures forgets old failures here, and deletes them in the database a day later, when each replica did so.
func (l *Ledger) sweepFailures(ctx context.Context, oldest millis) error {
	err := each(ctx, l.db.read, func(rows *sql.Rows) error {
		var raw []byte
		var digest string
		if err := rows.Scan(&raw, &digest); err != nil {
			return err
		}
		p, err := pseudonymOf(raw)
		if err == nil {
			l.failures.forget(p, digest)
		}
		return err
	}, "SELECT device, digest FROM failures WHERE at < $1", oldest)
	if err != nil {
		return err
	}
	return l.remove(ctx, "DELETE FROM failures WHERE at < $1", oldest-tombstones.Milliseconds())
}

// sweepOverrides deletes the old overrides of devices that nothing else is known of any more.
func (l *Ledger) sweepOverrides(ctx context.Context, oldest millis) error {
	var gone []Pseudonym
	err := each(ctx, l.db.read, func(rows *sql.Rows) error {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		p, err := pseudonymOf(raw)
		gone = append(gone, p)
		return err
	}, "SELECT device FROM overrides WHERE channel <> '' AND at < $1 AND NOT EXISTS (SELECT 1 FROM votes WHERE votes.device = overrides.device)", oldest)
	for _, p := range gone {
		if err == nil {
			err = l.SetOverride(ctx, "", p, "")
		}
	}
	return err
}
