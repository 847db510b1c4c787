// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// How long the writer waits before it tries a batch again.
const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

// maxRefusals is how often a database may refuse a batch for what is in it before it is dropped: what comes after it must not wait
// for ever.
const maxRefusals = 5

// pile is what the writer has taken from the queue.
type pile struct {
	events  []*event
	waiting []chan struct{} // of Flush
}

// take adds an event to the pile.
func (l *Ledger) take(e *event) {
	p := &l.pile
	if e.written != nil {
		p.waiting = append(p.waiting, e.written)
		return
	}
	if len(p.events) == 0 {
		l.oldest.Store(e.taken)
	}
	p.events = append(p.events, e)
}

// done empties the pile.
func (l *Ledger) done() {
	p := &l.pile
	l.oldest.Store(0)
	for _, w := range p.waiting {
		close(w)
	}
	clear(p.events)
	p.events, p.waiting = p.events[:0], nil
}

// writeAlways writes batches until the context ends. What it took and could not write goes to drain.
func (l *Ledger) writeAlways(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-l.queue:
			l.take(e)
		}
		l.gather(ctx)
		if l.keepTrying(ctx) != nil {
			return
		}
	}
}

// gather takes events until the batch is full, its first event has waited long enough or somebody waits for it.
func (l *Ledger) gather(ctx context.Context) {
	timer := time.NewTimer(l.cfg.FlushEvery)
	defer timer.Stop()
	for len(l.pile.events) < l.cfg.BatchSize && len(l.pile.waiting) == 0 {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case e := <-l.queue:
			l.take(e)
		}
	}
}

// keepTrying writes the pile. It gives an error only when the context ends before.
func (l *Ledger) keepTrying(ctx context.Context) error {
	backoff, refusals := firstBackoff, 0
	var complained time.Time
	for {
		err := l.writePile(ctx)
		if err == nil {
			l.done()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if isBadData(err) {
			refusals++
		}
		if now := l.cfg.Now(); now.Sub(complained) >= complainEvery {
			complained = now
			l.cfg.Log.Warn("The ledger's database did not take a batch; it is tried again", "events", len(l.pile.events), "error", err.Error())
		}
		if refusals == maxRefusals {
			l.cfg.Log.Error("The ledger's database refuses a batch; it is dropped", "events", len(l.pile.events), "error", err.Error())
			l.metrics.lost(l.pile.events)
			l.done()
			return nil
		}
		if err := wait(ctx, backoff/2+rand.N(backoff)); err != nil {
			return err
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

func (l *Ledger) writePile(ctx context.Context) error {
	if len(l.pile.events) == 0 {
		return nil
	}
	if l.attached.Load() == nil {
		return errors.New("it has not answered since the start")
	}
	start := time.Now()
	err := l.write(ctx, l.pile.events)
	if err == nil {
		l.metrics.flush.Observe(time.Since(start).Seconds())
	}
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// drain writes what is left in the queue, and counts what it cannot write.
func (l *Ledger) drain(ctx context.Context) {
	for {
		for len(l.pile.events) < l.cfg.BatchSize && len(l.queue) > 0 {
			l.take(<-l.queue)
		}
		if len(l.pile.events) == 0 && len(l.pile.waiting) == 0 {
			return
		}
		if l.keepTrying(ctx) != nil {
			break
		}
	}
	lost := len(l.pile.events)
	l.metrics.lost(l.pile.events)
	for len(l.queue) > 0 {
		e := <-l.queue
		l.metrics.lost([]*event{e})
		lost++
	}
	l.cfg.Log.Error("The ledger's database did not answer until the end; what was not written is lost", "events", lost)
}
