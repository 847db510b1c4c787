// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ask lets many Rollouts share what they ask the providers of metrics: a question that a thousand of them have is asked once,
// questions to one address do not crowd out those to others, and an address that is silent does not keep everybody waiting.
package ask

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/analysis/query"
)

const (
	// maxAnswers bounds the answers that are kept. The largest ones, of web metrics, have 64 KiB.
	maxAnswers = 512
	// maxAddresses bounds the addresses that are remembered.
	maxAddresses = 512
	// width is how many questions an address is asked at the same time.
	width = 8
	// patience is how long a question waits for its turn.
	patience = 10 * time.Second
	// longest is how long a question may take, with its turn: every provider has a shorter bound of its own.
	longest = time.Minute
	// silentAfter is how many questions in a row an address leaves unanswered until it is taken to be silent.
	silentAfter = 3
)

// Question is what is asked. Questions that are the same in the first three fields share their answers.
type Question struct {
	Provider string // telemetry, prometheus or web
	Address  string // that is asked: host and port, or what stands for all gateways
	Text     string // all that the answer depends on

	Since    time.Time     // an answer to what was asked before does not count
	Interval time.Duration // between measurements: an answer counts when it was asked for at most half of it ago
}

// fresh tells whether something of this time counts for whoever asks now.
func (q Question) fresh(at, now time.Time) bool {
	return !at.Before(q.Since) && !at.After(now) && now.Sub(at) <= q.Interval/2
}

type key struct{ provider, address, text string }

func (q Question) key() key { return key{q.Provider, q.Address, q.Text} }

// call is a question that is being asked, or was.
type call struct {
	key     key
	begun   time.Time // zero: it waits for its turn
	waiting int       // who want the answer
	cancel  context.CancelFunc
	done    chan struct{}

	answer any // after done
	err    error
}

// Desk asks for all. It may be used by several goroutines.
type Desk struct {
	now     func() time.Time
	metrics metrics

	mu      sync.Mutex
	answers *lru.Cache[key, *call] // that are done
	asking  map[key]*call
	lanes   *lru.Cache[key, *lane] // by provider and address
}

// New makes a Desk whose clock is that of Question.Since, and which counts in a registry.
func New(now func() time.Time, registry prometheus.Registerer) (*Desk, error) {
	d := &Desk{now: now, metrics: newMetrics(), asking: map[key]*call{}}
	if err := d.metrics.register(registry); err != nil {
		return nil, fmt.Errorf("metrics of the analysis: %w", err)
	}
	var err error
	if d.answers, err = lru.New[key, *call](maxAnswers); err != nil {
		return nil, err
	}
	d.lanes, err = lru.New[key, *lane](maxAddresses)
	return d, err
}

// Ask gives the answer to a question: one that is known and fresh enough, that of somebody who is asking it right now, or that of
// by, which is called at most once for all of them. Errors are answers, too. When ctx ends, so does the wait; the question goes on
// while anybody waits for it.
func Ask[A any](ctx context.Context, d *Desk, q Question, by func(context.Context) (A, error)) (A, error) {
	c, shared := d.find(ctx, q, func(ctx context.Context) (any, error) { return by(ctx) })
	if shared {
		d.metrics.shared.WithLabelValues(q.Provider).Inc()
	}
	var none A
	select {
	case <-c.done:
	case <-ctx.Done():
		d.leave(c)
		return none, ctx.Err()
	}
	if c.err != nil {
		return none, c.err
	}
	return c.answer.(A), nil
}

// find gives the call whose answer is that to a question, and whether somebody else had made it.
func (d *Desk) find(ctx context.Context, q Question, by func(context.Context) (any, error)) (c *call, shared bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if c, ok := d.answers.Get(q.key()); ok && q.fresh(c.begun, now) {
		return c, true
	}
	if c, ok := d.asking[q.key()]; ok && (c.begun.IsZero() || q.fresh(c.begun, now)) {
		c.waiting++
		return c, true
	}
	l := d.lane(q)
	if c := l.outage(q, now); c != nil {
		return c, true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	c = &call{key: q.key(), waiting: 1, cancel: cancel, done: make(chan struct{})}
	d.asking[q.key()] = c
	l.busy++
	go d.run(ctx, q, l, c, by)
	return c, false
}

// leave stops a call that nobody waits for any more.
func (d *Desk) leave(c *call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.waiting--; c.waiting == 0 {
		c.cancel()
		d.forget(c)
	}
}

// forget lets the next who has the question ask it anew.
func (d *Desk) forget(c *call) {
	if d.asking[c.key] == c {
		delete(d.asking, c.key)
	}
}

// run asks when it is its turn.
func (d *Desk) run(ctx context.Context, q Question, l *lane, c *call, by func(context.Context) (any, error)) {
	defer c.cancel()
	answer, err := any(nil), l.enter(ctx, q.Address)
	if err == nil {
		begun := d.begin(c)
		answer, err = by(ctx)
		l.leave()
		d.metrics.observe(q.Provider, d.now().Sub(begun), err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c.answer, c.err = answer, err
	d.forget(c)
	if c.waiting > 0 && !c.begun.IsZero() { // else it was given up, which says nothing about the provider
		l.note(c, d.now())
		d.answers.Add(c.key, c)
	}
	l.busy--
	close(c.done)
}

func (d *Desk) begin(c *call) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.begun = d.now()
	return c.begun
}

// lane gives what is known of an address.
func (d *Desk) lane(q Question) *lane {
	k := key{provider: q.Provider, address: q.Address}
	l, ok := d.lanes.Get(k)
	if !ok {
		l = &lane{slots: make(chan struct{}, width)}
		d.lanes.Add(k, l)
	}
	return l
}

// timedOut tells whether an address did not answer, as opposed to having answered with an error.
func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// busy is the error of a question whose turn did not come.
func busy(address string) error {
	return &query.ProviderError{Reason: address + " is asked so much that the question did not have its turn in time: share queries between Rollouts, or make intervals longer"}
}
