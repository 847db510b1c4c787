// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ask lets many Rollouts share what they ask the providers of metrics: a question that a thousand of them have is asked once,
// questions to one address do not crowd out those to others, nor those of one namespace those of others, and an address that is silent
// does not keep everybody waiting.
package ask

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/analysis/query"
)

const (
	// maxAnswers bounds the answers that are kept. The largest ones, of web metrics, have 64 KiB.
	maxAnswers = 512
	// maxAddresses bounds the addresses that are remembered.
	maxAddresses = 512
	// maxTenants bounds the namespaces that are remembered, each once for every address that it asks.
	maxTenants = 4096
	// width is how many questions an address is asked at the same time; a Prometheus answers 20 by default.
	width = 16
	// share is how many of them may be those of one namespace.
	share = width / 2
	// patience is how long a question waits for its turn.
	patience = 10 * time.Second
	// longest is how long a question may take, with its turn: every provider has a shorter bound of its own.
	longest = time.Minute
	// silentAfter is how many questions of a namespace in a row an address leaves unanswered until it is taken to be silent to it.
	silentAfter = 3
)

// Question is what is asked. Questions that are the same in the first three fields share their answers, whoever has them.
type Question struct {
	Provider string // telemetry, prometheus or web
	Address  string // that is asked: host and port, or what stands for all gateways
	Text     string // all that the answer depends on

	Namespace string // who asks: nobody else waits for its slow questions

	Since    time.Time     // an answer to what was asked before does not count
	Interval time.Duration // between measurements: an answer counts when it was asked for at most half of it ago
}

// fresh tells whether something of this time counts for whoever asks now.
func (q Question) fresh(at, now time.Time) bool {
	return !at.Before(q.Since) && !at.After(now) && now.Sub(at) <= q.Interval/2
}

type key struct{ provider, address, text string }

func (q Question) key() key { return key{q.Provider, q.Address, q.Text} }

// Answer to a question.
type Answer[A any] struct {
	Value A         // when there is no error
	At    time.Time // when it was asked, also when that was in vain; zero: it was not
}

// Desk asks for all. It may be used by several goroutines.
type Desk struct {
	now     func() time.Time
	metrics metrics

	mu      sync.Mutex
	answers *lru.Cache[key, *call] // that are done
	asking  map[key]*call
	lanes   *lru.Cache[key, *lane]   // by provider and address
	tenants *lru.Cache[key, *tenant] // by provider, address and namespace
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
	if d.lanes, err = lru.New[key, *lane](maxAddresses); err != nil {
		return nil, err
	}
	d.tenants, err = lru.New[key, *tenant](maxTenants)
	return d, err
}

// Ask gives the answer to a question: one that is known and fresh enough, that of somebody who is asking it right now, or that of
// by, which is called at most once for all of them. Errors are answers, too, and so is a panic of by. When ctx ends, so does the wait;
// the question goes on while anybody waits for it.
func Ask[A any](ctx context.Context, d *Desk, q Question, by func(context.Context) (A, error)) (Answer[A], error) {
	c, from := d.find(ctx, q, func(ctx context.Context) (any, error) { return by(ctx) })
	if from != own {
		d.metrics.shared.WithLabelValues(q.Provider).Inc()
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		d.leave(c)
		return Answer[A]{}, ctx.Err()
	}
	at := c.begun
	if from == outage {
		at = time.Time{}
	}
	if c.err != nil {
		return Answer[A]{At: at}, c.err
	}
	return Answer[A]{c.answer.(A), at}, nil
}

// origin of a call that answers a question.
type origin int

const (
	own    origin = iota // made for it
	same                 // somebody else has, or had, the same question
	outage               // another question, which was not answered either
)

// find gives the call whose answer is that to a question.
func (d *Desk) find(ctx context.Context, q Question, by func(context.Context) (any, error)) (*call, origin) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	last, known := d.answers.Get(q.key())
	if known && q.fresh(last.begun, now) {
		return last, same
	}
	l, t := d.lane(q), d.tenant(q)
	if c, ok := d.asking[q.key()]; ok && (c.begun.IsZero() || q.fresh(c.begun, now)) {
		c.waiting++
		l.join(c, t, now)
		return c, same
	}
	answers := known && !timedOut(last.err)
	if c := t.outage(q, answers, now); c != nil {
		return c, outage
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	c := &call{key: q.key(), waiting: 1, cancel: cancel, lane: l, turn: make(chan struct{}), done: make(chan struct{})}
	d.asking[c.key] = c
	t.busy++
	l.queue = append(l.queue, c)
	l.join(c, t, now)
	go d.run(ctx, q, c, by)
	return c, own
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
func (d *Desk) run(ctx context.Context, q Question, c *call, by func(context.Context) (any, error)) {
	defer c.cancel()
	answer, err := any(nil), d.enter(ctx, c)
	if err == nil {
		answer, err = guarded(ctx, q, by)
		d.metrics.observe(q.Provider, d.now().Sub(c.begun), err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c.answer, c.err = answer, err
	d.forget(c)
	now, t := d.now(), c.tenants[0]
	if c.waiting > 0 && c.payer != nil { // else it was given up, which says nothing about the provider
		t.note(c, now)
		d.answers.Add(c.key, c)
	}
	t.busy--
	c.lane.leave(c, now)
	close(c.done)
}

// enter waits for a turn.
func (d *Desk) enter(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-c.turn:
		return nil
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.payer != nil {
		return nil // at this very moment
	}
	c.lane.withdraw(c)
	return busy(c.key.address)
}

// guarded asks. A panic is a fault of this program, but not one that all others have to end with.
func guarded(ctx context.Context, q Question, by func(context.Context) (any, error)) (answer any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			cause := fmt.Errorf("panic: %v", fault)
			logr.FromContextOrDiscard(ctx).Error(cause, "a provider of metrics panicked", "provider", q.Provider, "stack", string(debug.Stack()))
			reason := q.Provider + ": asking ended by a fault of the manager, want an answer: report it with the manager's log"
			err = &query.ProviderError{Reason: reason, Err: cause}
		}
	}()
	return by(ctx)
}

// lane gives who asks an address.
func (d *Desk) lane(q Question) *lane {
	return remembered(d.lanes, key{provider: q.Provider, address: q.Address})
}

// tenant gives what a namespace knows of an address.
func (d *Desk) tenant(q Question) *tenant {
	return remembered(d.tenants, key{q.Provider, q.Address, q.Namespace})
}

func remembered[V any](all *lru.Cache[key, *V], k key) *V {
	v, ok := all.Get(k)
	if !ok {
		v = new(V)
		all.Add(k, v)
	}
	return v
}

// timedOut tells whether an address did not answer, as opposed to having answered with an error.
func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// busy is the error of a question whose turn did not come.
func busy(address string) error {
	return &query.ProviderError{Reason: address + " is asked so much that the question did not have its turn in time: " +
		"share queries between Rollouts, or make intervals longer"}
}
