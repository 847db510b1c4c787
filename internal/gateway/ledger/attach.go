// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// attachment is what is known of a database that was found right.
type attachment struct {
	ledger  string // id
	since   time.Time
	session int64 // of this process

	// For the follower alone:
	failureSeq, overrideSeq int64              // the changes up to here are known
	peers                   map[int64]peerBeat // by session
}

// attach finds out whether the database answers and is the right one, brings its tables up to date, and reads what has to be
// in memory. It is for one goroutine at a time.
func (l *Ledger) attach(ctx context.Context) error {
	l.attaching.Lock()
	defer l.attaching.Unlock()
	if l.attached.Load() != nil {
		return nil
	}
	if r := l.refused.Load(); r != nil {
		return *r
	}
	ping, stop := context.WithTimeout(ctx, connectTimeout)
	defer stop()
	if err := l.db.write.PingContext(ping); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	a, err := l.setUp(ctx)
	if r := (refusal{}); errors.As(err, &r) {
		l.refused.Store(&r)
		return r
	}
	if err != nil {
		return err
	}
	l.attached.Store(a)
	return nil
}

func (l *Ledger) setUp(ctx context.Context) (*attachment, error) {
	if err := l.db.migrate(ctx); err != nil {
		return nil, err
	}
	a := &attachment{peers: map[int64]peerBeat{}}
	if err := l.db.change(ctx, func(tx *sql.Tx) error { return l.identify(ctx, tx, a) }); err != nil {
		return nil, err
	}
	if err := l.readSeries(ctx, l.db.read); err != nil {
		return nil, err
	}
	if err := l.readFailures(ctx, a); err != nil {
		return nil, err
	}
	if err := l.readOverrides(ctx, a); err != nil {
		return nil, err
	}
	return a, l.db.change(ctx, func(tx *sql.Tx) error { return l.beginSession(ctx, tx, a) })
}

// identify reads or writes who the database is.
func (l *Ledger) identify(ctx context.Context, tx *sql.Tx, a *attachment) error {
	now, told := l.cfg.Now().UnixMilli(), l.cfg.rules()
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails: crypto/rand
	_, err := tx.ExecContext(ctx, "INSERT INTO meta (one, id, created_at, key_fingerprint, ready_time, heal_window, seq) "+
		"VALUES (1, $1, $2, $3, $4, $5, 0) ON CONFLICT (one) DO NOTHING", hex.EncodeToString(id), now, l.pseudonyms.fingerprint, told.ready, told.window)
	if err != nil {
		return err
	}
	var since millis
	var fingerprint string
	if err := tx.QueryRowContext(ctx, "SELECT id, created_at, key_fingerprint FROM meta WHERE one = 1").Scan(&a.ledger, &since, &fingerprint); err != nil {
		return err
	}
	a.since = timeOf(since)
	if fingerprint != l.pseudonyms.fingerprint {
		return refusal{fmt.Errorf("expected the key of the pseudonyms with the fingerprint %s, which the database was written with, got one with %s: "+
			"give the old key, or begin a new database", fingerprint, l.pseudonyms.fingerprint)}
	}
	return l.rule(ctx, tx, told)
}

// beginSession begins the session of this process. It comes last: who has a session has to show that it lives.
func (l *Ledger) beginSession(ctx context.Context, tx *sql.Tx, a *attachment) (err error) {
	if a.session, err = numbers(ctx, tx, 1); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO sessions (id, replica, started_at, beat, ended_at, unclean) VALUES ($1, $2, $3, 1, 0, 0)",
		a.session, clean(l.cfg.Replica), l.cfg.Now().UnixMilli())
	return err
}

// readFailures notes the failures that are new in the database. The first time these are all, or the newest of them if there
// are more than fit.
func (l *Ledger) readFailures(ctx context.Context, a *attachment) error {
	oldest := l.cfg.Now().Add(-l.cfg.Retention).UnixMilli()
	if a.failureSeq == 0 {
		err := l.db.read.QueryRowContext(ctx, "SELECT seq FROM failures ORDER BY seq DESC LIMIT 1 OFFSET $1", l.cfg.MaxFailures).Scan(&a.failureSeq)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	if from := l.failuresFrom.Swap(0); from != 0 {
		a.failureSeq = min(a.failureSeq, from-1)
	}
	for {
		n := 0
		err := each(ctx, l.db.read, func(rows *sql.Rows) error {
			var (
				raw    []byte
				digest string
				at     millis
				lifted bool
			)
			if err := rows.Scan(&a.failureSeq, &raw, &digest, &at, &lifted); err != nil {
				return err
			}
			n++
			p, err := pseudonymOf(raw)
			switch {
			case err != nil:
			case lifted:
				l.failures.forget(p, digest)
			case at >= oldest:
				l.remember(p, digest)
			}
			return err
		}, "SELECT seq, device, digest, at, lifted FROM failures WHERE seq > $1 ORDER BY seq LIMIT $2", a.failureSeq, pageSize)
		if err != nil || n < pageSize {
			return err
		}
	}
}

// readOverrides notes the overrides that are new in the database.
func (l *Ledger) readOverrides(ctx context.Context, a *attachment) error {
	for {
		n := 0
		err := each(ctx, l.db.read, func(rows *sql.Rows) error {
			var (
				raw     []byte
				channel string
			)
			if err := rows.Scan(&a.overrideSeq, &raw, &channel); err != nil {
				return err
			}
			n++
			p, err := pseudonymOf(raw)
			if err == nil {
				l.overrides.set(p, channel, a.overrideSeq)
				l.overrides.settle(p, a.overrideSeq)
			}
			return err
		}, "SELECT seq, device, channel FROM overrides WHERE seq > $1 ORDER BY seq LIMIT $2", a.overrideSeq, pageSize)
		if err != nil || n < pageSize {
			return err
		}
	}
}

// pageSize is how many rows are read at a time.
const pageSize = 5000
