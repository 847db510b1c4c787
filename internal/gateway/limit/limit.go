// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package limit decides which requests are worked on: so many a second from one network, and so many at a time. It knows no
// HTTP: a protocol renders what is decided in the way that its clients bear best.
package limit

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
)

// Class is a kind of request with a budget of its own, so that a device that is limited in one can still do the other.
type Class uint8

// The classes.
const (
	Checks    Class = iota // update checks, and what a client asks of its channel
	Reports                // what devices tell
	Downloads              // artifacts that are streamed; they have no budget by network
	classes
)

// String is the name of the class in metrics.
func (c Class) String() string { return [...]string{"check", "report", "download"}[c] }

// Budget is what one network may send. The zero Budget is without limit.
type Budget struct {
	PerSecond float64 // requests, in the long run
	Burst     int     // requests at once, after a quiet time
}

func (b Budget) unlimited() bool { return b == Budget{} }

// Config of a Limiter.
type Config struct {
	Checks, Reports Budget
	// Networks is how many networks each class tells apart, 0: DefaultNetworks. One takes about 200 bytes.
	Networks int
	// MaxInFlight is how many checks, and how many reports, are worked on at a time, 0: without limit.
	MaxInFlight int
	// MaxDownloads is how many artifacts are streamed at a time, 0: without limit. One takes about 150 KiB, and a client that reads
	// slowly holds its place for as long.
	MaxDownloads int
	Metrics      prometheus.Registerer
}

// DefaultNetworks are told apart by each class.
const DefaultNetworks = 1 << 16

// Verdict says what becomes of a request.
type Verdict uint8

// The verdicts.
const (
	Allowed Verdict = iota
	Limited         // its network has spent its budget
	Busy            // too many requests are worked on
)

// Decision is a Verdict and what the client may be told of it.
type Decision struct {
	Verdict    Verdict
	RetryAfter time.Duration // with Limited: when the network has its next request. More than 0
}

// Limiter decides. A nil one allows everything.
type Limiter struct {
	classes [classes]class
}

type class struct {
	buckets  *buckets // nil: without limit
	max      int64    // 0: without limit
	inFlight atomic.Int64
	limited  prometheus.Counter
	busy     prometheus.Counter
}

// New makes a Limiter and registers its metrics.
func New(cfg Config) (*Limiter, error) {
	if cfg.Networks < 0 || cfg.MaxInFlight < 0 || cfg.MaxDownloads < 0 {
		return nil, errors.New("limits: expected at least 0 networks, requests in flight and downloads")
	}
	if cfg.Networks == 0 {
		cfg.Networks = DefaultNetworks
	}
	m := newMetrics()
	l := &Limiter{}
	places := [classes]int{Checks: cfg.MaxInFlight, Reports: cfg.MaxInFlight, Downloads: cfg.MaxDownloads}
	for c, budget := range [classes]Budget{Checks: cfg.Checks, Reports: cfg.Reports} {
		name := Class(c).String()
		one := &l.classes[c]
		one.max = int64(places[c])
		one.limited, one.busy = m.refused.WithLabelValues(name, "rate"), m.refused.WithLabelValues(name, "busy")
		taken := m.takeovers.WithLabelValues(name)
		if budget.unlimited() {
			continue
		}
		if budget.PerSecond <= 0 || budget.Burst < 1 {
			return nil, fmt.Errorf("limit of %ss: expected more than 0 a second and a burst of at least 1, got %v and %d", name, budget.PerSecond, budget.Burst)
		}
		one.buckets = newBuckets(budget, cfg.Networks, taken)
	}
	cfg.Metrics.MustRegister(m.refused, m.takeovers, l.gauge())
	return l, nil
}

// Take takes one request out of the budget of a network. Ask before the body is read: refusing must be cheap. It allocates
// nothing for a network that it knows. The network of a device that proved who it is counts as well.
func (l *Limiter) Take(c Class, n ledger.Network) Decision {
	if l == nil || l.classes[c].buckets == nil {
		return Decision{}
	}
	wait, ok := l.classes[c].buckets.take(n, time.Now())
	if ok {
		return Decision{}
	}
	l.classes[c].limited.Inc()
	return Decision{Verdict: Limited, RetryAfter: wait}
}

// Charge takes more out of the budget of a network, for a request that Take allowed and that turned out to hold the work of
// several. It refuses nothing: what is missing is owed, and the network's next requests wait until it is paid back. At most a
// burst is taken at once.
func (l *Limiter) Charge(c Class, n ledger.Network, requests int) {
	if l != nil && l.classes[c].buckets != nil && requests > 0 {
		l.classes[c].buckets.charge(n, requests, time.Now())
	}
}

// Begin takes a place among the requests that are worked on. After Allowed, End must give it back; Busy took none. Ask after
// the body was read: else clients that send slowly would hold all places without any work being done.
func (l *Limiter) Begin(c Class) Decision {
	if l == nil || l.classes[c].max == 0 {
		return Decision{}
	}
	one := &l.classes[c]
	if one.inFlight.Add(1) > one.max {
		one.inFlight.Add(-1)
		one.busy.Inc()
		return Decision{Verdict: Busy}
	}
	return Decision{}
}

// End gives back a place that Begin allowed.
func (l *Limiter) End(c Class) {
	if l != nil && l.classes[c].max != 0 {
		l.classes[c].inFlight.Add(-1)
	}
}
