// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"time"
)

// deadBeats is how many heartbeats of its own a replica sees pass without one of another until it takes that for dead.
const deadBeats = 4

// peerBeat is what was seen last of a session.
type peerBeat struct {
	beat  int64
	still int // own heartbeats since it grew
}

// loops says which of the two that follow the database did not get an answer: a database that only reads answers one of them.
type loops = uint32

const (
	refreshes loops = 1 << iota
	heartbeats
)

// follow takes a step of a loop now and then, until the context ends. A step attaches the database when it comes to answer.
func (l *Ledger) follow(ctx context.Context, loop loops, every time.Duration, step func(context.Context) error) {
	for wait(ctx, every) == nil {
		l.tell(ctx, loop, step(ctx))
	}
}

// tell shows whether the database answers, which it does if it answers each loop.
func (l *Ledger) tell(ctx context.Context, loop loops, err error) {
	switch {
	case ctx.Err() != nil:
	case err == nil:
		if l.metrics.down.And(^loop) == loop {
			l.cfg.Log.Info("The ledger's database answers")
		}
	case l.metrics.down.Or(loop) == 0:
		l.cfg.Log.Warn("The ledger's database does not answer; devices are served all the same", "error", err.Error())
	}
}

// refresh reads the changes of other replicas.
func (l *Ledger) refresh(ctx context.Context) error {
	a := l.attached.Load()
	if a == nil {
		return l.attach(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	if err := l.readFailures(ctx, a); err != nil {
		return err
	}
	return l.readOverrides(ctx, a)
}

// heartbeat shows that this replica lives, and finds those that do not. A replica that cannot reach the database does not
// judge others: they may not reach it either.
func (l *Ledger) heartbeat(ctx context.Context) error {
	a := l.attached.Load()
	if a == nil {
		return l.attach(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := l.beat(ctx, a)
	if err != nil {
		clear(a.peers)
	}
	return err
}

func (l *Ledger) beat(ctx context.Context, a *attachment) error {
	// A session that others took for dead is alive again; one that ended as it should stays so, if this comes late.
	const alive = "UPDATE sessions SET beat = beat + 1, ended_at = CASE WHEN unclean = 1 THEN 0 ELSE ended_at END, unclean = 0 WHERE id = $1"
	if _, err := l.db.write.ExecContext(ctx, alive, a.session); err != nil {
		return err
	}
	dead, err := l.silentPeers(ctx, a)
	if err != nil {
		return err
	}
	for id, beat := range dead {
		if err := l.bury(ctx, id, beat); err != nil {
			return err
		}
		delete(a.peers, id)
	}
	var rows int64
	if err := l.db.read.QueryRowContext(ctx, "SELECT CAST(COALESCE(SUM(tracked), 0) AS BIGINT) FROM series").Scan(&rows); err != nil {
		return err
	}
	l.metrics.tracked.Set(float64(rows))
	return nil
}

// silentPeers gives the sessions that have not ended and have not moved for long, with their last beat.
func (l *Ledger) silentPeers(ctx context.Context, a *attachment) (map[int64]int64, error) {
	silent, alive := map[int64]int64{}, map[int64]peerBeat{}
	err := each(ctx, l.db.read, func(rows *sql.Rows) error {
		var id, beat int64
		if err := rows.Scan(&id, &beat); err != nil {
			return err
		}
		now := peerBeat{beat: beat}
		if last, ok := a.peers[id]; ok && last.beat == beat {
			now.still = last.still + 1
		}
		alive[id] = now
		if now.still >= deadBeats {
			silent[id] = beat
		}
		return nil
	}, "SELECT id, beat FROM sessions WHERE ended_at = 0 AND id <> $1", a.session)
	a.peers = alive
	return silent, err
}

// bury ends a session that nobody else ended, and counts it.
func (l *Ledger) bury(ctx context.Context, session, beat int64) error {
	result, err := l.db.write.ExecContext(ctx, "UPDATE sessions SET ended_at = $1, unclean = 1 WHERE id = $2 AND ended_at = 0 AND beat = $3",
		l.cfg.Now().UnixMilli(), session, beat)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	l.metrics.uncleanStops.Inc()
	var replica string
	if err := l.db.read.QueryRowContext(ctx, "SELECT replica FROM sessions WHERE id = $1", session).Scan(&replica); err != nil {
		return err
	}
	l.cfg.Log.Warn("A gateway stopped without a word; what it had not written yet is lost", "replica", replica)
	return nil
}

// endSession says that this process stopped as it should.
func (l *Ledger) endSession(ctx context.Context) {
	a := l.attached.Load()
	if a == nil {
		return
	}
	_, err := l.db.write.ExecContext(ctx, "UPDATE sessions SET ended_at = $1, unclean = 0 WHERE id = $2", l.cfg.Now().UnixMilli(), a.session)
	if err != nil {
		l.cfg.Log.Warn("The ledger's session could not be ended; it will count as an unclean stop", "error", err.Error())
	}
}
