// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	lru "github.com/hashicorp/golang-lru/v2"
)

// networksKept is of how many networks and series the votes are remembered; about 100 bytes each.
const networksKept = 1 << 17

// Ledger counts outcomes. It is safe for concurrent use.
type Ledger struct {
	cfg        Config
	rules      atomic.Pointer[rules] // as the database had them last
	db         *database
	pseudonyms *pseudonyms
	metrics    *metrics

	queue     chan *event
	filter    *filter
	failures  *failures
	overrides *overrides
	catalog   *catalog
	networks  *lru.Cache[networkKey, int64] // votes that came of a network
	slicing   chan struct{}                 // one at a time reads the votes of a trial: the writer needs connections, too
	pile      pile                          // of the writer
	oldest    atomic.Int64                  // when the first event of the pile came in; 0: it is empty

	failuresFrom atomic.Int64 // the first change of failures that the follower has to read again; 0: none

	attaching sync.Mutex
	attached  atomic.Pointer[attachment] // nil until the database answered
	refused   atomic.Pointer[refusal]    // why the database is not to be used, if it is not
}

// Open opens the ledger, and makes its tables if need be. A PostgreSQL that does not answer is no error: Run tries it again.
// A database that is damaged, that a newer version made, or that was written with another key, is one.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	key, err := cfg.loadKey()
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(&cfg)
	if err != nil {
		return nil, err
	}
	l := &Ledger{
		cfg: cfg, db: db, pseudonyms: newPseudonyms(key),
		queue:    make(chan *event, cfg.QueueSize),
		filter:   newFilter(cfg.FilterSize, cfg.ReadyTime.Milliseconds()),
		failures: newFailures(cfg.MaxFailures), overrides: newOverrides(cfg.MaxOverrides), catalog: newCatalog(),
		slicing: make(chan struct{}, 1),
	}
	l.rules.Store(cfg.rules())
	l.metrics = newMetrics(l)
	if l.networks, err = lru.New[networkKey, int64](networksKept); err != nil {
		return nil, fmt.Errorf("ledger: %w", errors.Join(err, db.close()))
	}
	if err := l.attach(ctx); err != nil {
		if !db.postgres || errors.As(err, new(refusal)) {
			return nil, fmt.Errorf("ledger: %s: %w", cfg.database(), errors.Join(err, db.close()))
		}
		l.tell(ctx, refreshes, err)
	}
	return l, nil
}

// Close closes the database. Call it when Run has returned.
func (l *Ledger) Close() error {
	if err := l.db.close(); err != nil {
		return fmt.Errorf("ledger: close the database: %w", err)
	}
	return nil
}

// Pseudonym gives the name that a device has in the ledger.
func (l *Ledger) Pseudonym(app, deviceID string) Pseudonym { return l.pseudonyms.of(app, deviceID) }

// Failed gives the digests of the bundles that must not be offered to a device again, since they failed on it; mostly nil. Do not
// change it.
func (l *Ledger) Failed(p Pseudonym) []string { return l.failures.of(p) }

// Known tells whether the database answered since the start, so that Failed and Override say what there is. Before, a bundle may have
// failed on any device.
func (l *Ledger) Known() bool { return l.attached.Load() != nil }

// Override gives the channel that is stored for a device; mostly empty.
func (l *Ledger) Override(p Pseudonym) string { return l.overrides.of(p) }

// Checked notes a check and its answer. It keeps nothing of what c points to, does not block, and drops what repeats the
// device's last check, or all checks when the queue is nearly full.
func (l *Ledger) Checked(c *Check) {
	var e event
	e.fromCheck(c)
	l.tidy(&e)
	place, before, news := l.filter.pass(&e)
	if !news {
		return
	}
	if len(l.queue) < cap(l.queue)*9/10 && l.enqueue(&e) {
		return
	}
	l.metrics.droppedChecks.Inc()
	place.Store(before) // the next check says it again
}

// Reported notes what a device tells. A failure that names a bundle, and that the client gave it up for, is in Failed when it
// returns. It gives false when the queue was full, and the report was dropped.
func (l *Ledger) Reported(r *Report) bool {
	var e event
	e.fromReport(r)
	l.tidy(&e)
	if r.Outcome == Failed && r.Kind.bars() {
		if e.blames = l.catalog.digestOf(r); e.blames != "" {
			l.remember(r.Device, e.blames)
		}
	}
	if !l.enqueue(&e) {
		l.metrics.droppedReports.Inc()
		return false
	}
	return true
}

// enqueue gives a copy of an event to the writer, if there is room.
func (l *Ledger) enqueue(e *event) bool {
	kept := *e
	kept.own()
	kept.taken = l.cfg.Now().UnixMilli()
	if e.report {
		kept.said.heard = max(e.said.at, kept.taken)
	}
	select {
	case l.queue <- &kept:
		return true
	default:
		return false
	}
}

// late tells whether events wait for the database for so long that counts cannot be told.
func (l *Ledger) late() bool {
	oldest := l.oldest.Load()
	return oldest != 0 && l.cfg.Now().UnixMilli()-oldest > maxWait.Milliseconds()
}

// remember notes in memory that a bundle failed on a device.
func (l *Ledger) remember(p Pseudonym, digest string) {
	if !l.failures.add(p, digest) {
		l.metrics.droppedFailures.Inc()
	}
}

// Flush waits until what came in before is in the database. Run must be running.
func (l *Ledger) Flush(ctx context.Context) error {
	e := &event{written: make(chan struct{})}
	select {
	case l.queue <- e:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-e.written:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Longest texts that are kept of a device, in bytes. Versions and platforms are shorter, and names of bundles than the second.
const (
	maxText = 64
	maxName = 128
)

// tidy makes sure that the database takes what a device told.
func (l *Ledger) tidy(e *event) {
	if e.said.at <= 0 {
		e.said.at = l.cfg.Now().UnixMilli()
		e.said.heard = e.said.at
	}
	e.digest, e.version = e.digest[:min(len(e.digest), maxName)], e.version[:min(len(e.version), maxName)]
	c := &e.said.client
	for _, text := range [...]*string{&c.Platform, &c.NativeVersion, &c.OSVersion, &c.Region, &c.Plugin, (*string)(&e.said.kind)} {
		*text = clean(*text)
	}
}

// own copies the texts that may be parts of a request, into one piece: an event that waits must not keep its request's body.
func (e *event) own() {
	c := &e.said.client
	texts := [...]*string{
		&e.series.App, &e.digest, &e.version, &c.Platform, &c.NativeVersion, &c.OSVersion, &c.Region, &c.Plugin, (*string)(&e.said.kind),
	}
	length := 0
	for _, text := range texts {
		length += len(*text)
	}
	var all strings.Builder
	all.Grow(length)
	for _, text := range texts {
		all.WriteString(*text)
	}
	rest := all.String()
	for _, text := range texts {
		n := len(*text)
		*text, rest = rest[:n], rest[n:]
	}
}

// clean gives a text that is short, UTF-8 and without a zero byte, which PostgreSQL does not take.
func clean(text string) string {
	return legible(text[:min(len(text), maxText)])
}

// legible gives a text of any length that is UTF-8 and without a zero byte.
func legible(text string) string {
	if utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 {
		return text
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "?")
}

// Run writes what comes in, follows other replicas and forgets what is old, until the context ends; then it writes what is
// left, for some seconds at most.
func (l *Ledger) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { l.follow(ctx, refreshes, l.cfg.Refresh, l.refresh) })
	wg.Go(func() { l.follow(ctx, heartbeats, l.cfg.Heartbeat, l.heartbeat) }) // a slow refresh must not make it look dead
	wg.Go(func() { l.sweepAlways(ctx) })
	l.writeAlways(ctx)
	wg.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	l.drain(end)
	l.endSession(end)
}

// endTimeout bounds what is done after the context of Run has ended.
const endTimeout = 10 * time.Second
