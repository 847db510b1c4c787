// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"time"
)

// lane is an address with those who ask it. All but slots is guarded by the Desk.
type lane struct {
	slots chan struct{}

	busy   int       // questions that were begun, or wait
	silent int       // questions in a row that were not answered in time
	last   *call     // the newest of them
	at     time.Time // when it was given up
}

// enter waits for a turn.
func (l *lane) enter(ctx context.Context, address string) error {
	turn, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-turn.Done():
		return busy(address)
	}
}

func (l *lane) leave() { <-l.slots }

// note remembers how a question ended.
func (l *lane) note(c *call, now time.Time) {
	if !timedOut(c.err) {
		l.silent, l.last = 0, nil
		return
	}
	l.silent, l.last, l.at = min(l.silent, silentAfter)+1, c, now
}

// outage gives the last call to an address that has been silent for some time, for who would only wait in vain: one question at a
// time finds out whether the address is back. Nobody is told of the same outage twice, since an interval is longer.
func (l *lane) outage(q Question, now time.Time) *call {
	if l.silent < silentAfter || l.at.Before(q.Since) {
		return nil
	}
	if age := now.Sub(l.at); age <= q.Interval/2 || (l.busy > 0 && age < q.Interval) {
		return l.last
	}
	return nil
}
