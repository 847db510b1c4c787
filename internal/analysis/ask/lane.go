// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"slices"
	"time"
)

// call is a question that is being asked, or was.
type call struct {
	key     key
	lane    *lane
	tenants []*tenant // who had the question before its turn came; the first one made the call
	payer   *tenant   // the one in whose share it is asked; nil: it waits for its turn
	turn    chan struct{}
	begun   time.Time // zero: it waits for its turn
	waiting int       // who want the answer
	cancel  context.CancelFunc
	done    chan struct{}

	answer any // after done
	err    error
}

// lane is an address with those who ask it. It is guarded by the Desk.
type lane struct {
	running int     // questions that were begun
	queue   []*call // that wait for their turn, the oldest first
}

// join lets a call that waits be asked in the share of a tenant, too: nobody waits in the queue of another one.
func (l *lane) join(c *call, t *tenant, now time.Time) {
	if c.payer == nil && !slices.Contains(c.tenants, t) {
		c.tenants = append(c.tenants, t)
		l.begin(now)
	}
}

// leave ends a call, whether its turn had come or not.
func (l *lane) leave(c *call, now time.Time) {
	if c.payer != nil {
		l.running--
		c.payer.running--
	}
	l.begin(now)
}

func (l *lane) withdraw(c *call) {
	l.queue = slices.DeleteFunc(l.queue, func(other *call) bool { return other == c })
}

// begin gives the slots that are free to those who wait.
func (l *lane) begin(now time.Time) {
	for l.running < width {
		c, payer := l.next()
		if c == nil {
			return
		}
		l.withdraw(c)
		l.running++
		payer.running++
		c.payer, c.begun = payer, now
		close(c.turn)
	}
}

// next gives the oldest call of the tenant that has the fewest under way, unless all who wait have their share.
func (l *lane) next() (c *call, payer *tenant) {
	least := share
	for _, waits := range l.queue {
		for _, t := range waits.tenants {
			if t.running < least {
				c, payer, least = waits, t, t.running
			}
		}
	}
	return c, payer
}

// tenant is a namespace that asks an address. It is guarded by the Desk.
type tenant struct {
	running int // questions that were begun in its share

	busy   int       // questions that it made, and that were begun, or wait
	silent int       // how many of them in a row were not answered in time
	last   *call     // the newest of those
	at     time.Time // when it was given up
}

// note remembers how a question ended.
func (t *tenant) note(c *call, now time.Time) {
	if !timedOut(c.err) {
		t.silent, t.last = 0, nil
		return
	}
	t.silent, t.last, t.at = min(t.silent, silentAfter)+1, c, now
}

// outage gives the last call to an address that has been silent for some time, for who would only wait in vain: one question at a
// time finds out whether the address is back, and besides it, as many as the share allows of those that were answered when they were
// asked last, since it may be only the others that are too heavy. Nobody is told of the same outage twice, since an interval is longer.
func (t *tenant) outage(q Question, answers bool, now time.Time) *call {
	if t.silent < silentAfter || t.at.Before(q.Since) || (answers && t.busy < share) {
		return nil
	}
	if age := now.Sub(t.at); age <= q.Interval/2 || (t.busy > 0 && age < q.Interval) {
		return t.last
	}
	return nil
}
