// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"github.com/windlass-dev/windlass/internal/audit"
)

const (
	workers = 8                // deliveries at the same time, of all Repositories
	share   = 2                // of them, of one Repository: its receivers may all be slow
	batch   = 32               // records of a receiver before it is the turn of others
	atMost  = 30 * time.Second // of reading the log; after that no delivery of a turn begins

	firstBackoff = time.Second
	lastBackoff  = 5 * time.Minute
)

// Log is what is delivered. *audit.Log is one.
type Log interface {
	Head() audit.Head
	Read(ctx context.Context, from int64, limit int) ([]audit.Record, error)
}

// Receiver is one receiver of a Repository, as its spec has it.
type Receiver struct {
	Name    string
	URL     string
	Secret  string   // its name
	Actions []string // that are sent, beside those of the log about itself; none: all
}

func (r Receiver) equal(o Receiver) bool {
	return r.Name == o.Name && r.URL == o.URL && r.Secret == o.Secret && slices.Equal(r.Actions, o.Actions)
}

// ofTheLog are sent whatever actions a receiver asks for: they say that others are not told one by one, or not at all.
var ofTheLog = []string{audit.FoldedAction, audit.DamagedAction}

// wants tells whether a record is for the receiver.
func (r Receiver) wants(rec audit.Record) bool {
	return len(r.Actions) == 0 || slices.Contains(r.Actions, rec.Action) || slices.Contains(ofTheLog, rec.Action)
}

// State is how far a receiver is.
type State struct {
	Delivered int64     // sequence of the last record that the receiver has taken, or that is not for it
	Message   string    // why the next one is not delivered yet
	Since     time.Time // when deliveries began to fail; zero: they do not
}

// Config of a Dispatcher.
type Config struct {
	Log  func(repository types.NamespacedName) (Log, bool)
	Key  func(ctx context.Context, secret types.NamespacedName, url string) (Key, error)
	Post func(ctx context.Context, url string, key Key, r audit.Record) error
	// Changed hears, from a worker, that the State of a receiver is another. It must not block for long.
	Changed func(repository types.NamespacedName)
	// Now is the time that Since is told in.
	Now func() time.Time
	// Backoff is the time after so many failures of a receiver in a row; when nil, one second, twofold each time up to 5 minutes.
	Backoff func(failures int) time.Duration
	// Turn is when a turn of a receiver ends, but for a delivery that is under way; when zero, after 30 seconds.
	Turn time.Duration
}

// Dispatcher delivers the records of all Repositories: those of a receiver in order and one at a time, those of different receivers
// beside each other, with a fixed number of workers, of which a Repository has a share.
type Dispatcher struct {
	cfg   Config
	queue workqueue.TypedDelayingInterface[address]

	mu        sync.Mutex
	receivers map[address]*receiver
	busy      map[types.NamespacedName]int       // workers of a Repository; never more than share
	waiting   map[types.NamespacedName][]address // receivers whose turn came while their Repository had its share, the first one first
}

// address of a receiver.
type address struct {
	repository types.NamespacedName
	name       string
}

type receiver struct {
	Receiver
	State
	failures int
	gone     bool
}

// NewDispatcher makes a Dispatcher without receivers.
func NewDispatcher(cfg Config) *Dispatcher {
	if cfg.Backoff == nil {
		cfg.Backoff = backoff
	}
	if cfg.Turn == 0 {
		cfg.Turn = atMost
	}
	return &Dispatcher{
		cfg: cfg, receivers: map[address]*receiver{}, busy: map[types.NamespacedName]int{}, waiting: map[types.NamespacedName][]address{},
		queue: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[address]{Name: "notify"}),
	}
}

// Serve sets the receivers of a Repository, each with what its status says, and looks whether there is news for them. What is known to
// be delivered beyond that stays known. A receiver that fails is not hurried, unless its spec has changed.
func (d *Dispatcher) Serve(repository types.NamespacedName, receivers []Receiver, known []State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for at := range d.receivers {
		if at.repository == repository && !slices.ContainsFunc(receivers, func(r Receiver) bool { return r.Name == at.name }) {
			delete(d.receivers, at)
		}
	}
	for i, r := range receivers {
		at := address{repository, r.Name}
		have := d.receivers[at]
		switch {
		case have == nil:
			d.receivers[at] = &receiver{Receiver: r, State: known[i]}
		case !have.equal(r):
			d.receivers[at] = &receiver{Receiver: r, State: have.State}
		case have.failures > 0 || have.gone:
			continue
		}
		d.queue.Add(at)
	}
}

// Head is the sequence of the last record of a Repository. False: its log is not open.
func (d *Dispatcher) Head(repository types.NamespacedName) (int64, bool) {
	log, ok := d.cfg.Log(repository)
	if !ok {
		return 0, false
	}
	return log.Head().Sequence, true
}

// State tells how far a receiver is. False: it is not known.
func (d *Dispatcher) State(repository types.NamespacedName, name string) (State, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.receivers[address{repository, name}]
	if !ok {
		return State{}, false
	}
	return r.State, true
}

// Start is for a manager's life-cycle: it delivers until the context ends.
func (d *Dispatcher) Start(ctx context.Context) error {
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for {
				at, shutdown := d.queue.Get()
				if shutdown {
					return
				}
				if d.enter(at) {
					d.turn(ctx, at)
					d.leave(at)
				}
				d.queue.Done(at)
			}
		})
	}
	<-ctx.Done()
	d.queue.ShutDown()
	group.Wait()
	return nil
}

// NeedLeaderElection tells a manager to deliver where the log is written: at the leader.
func (*Dispatcher) NeedLeaderElection() bool { return true }

// enter takes one of the workers of a Repository. False: it has its share, and the receiver comes when one of them is free.
func (d *Dispatcher) enter(at address) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[at.repository] < share {
		d.busy[at.repository]++
		return true
	}
	if !slices.Contains(d.waiting[at.repository], at) {
		d.waiting[at.repository] = append(d.waiting[at.repository], at)
	}
	return false
}

// leave gives a worker back, to the receiver of the Repository that has waited longest.
func (d *Dispatcher) leave(at address) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[at.repository]--; d.busy[at.repository] == 0 {
		delete(d.busy, at.repository)
	}
	if next := d.waiting[at.repository]; len(next) > 0 {
		d.queue.Add(next[0])
		d.waiting[at.repository] = next[1:]
	} else {
		delete(d.waiting, at.repository)
	}
}

// turn of a receiver, with the spec that it had when it began.
type turn struct {
	at   address
	spec Receiver
	over <-chan struct{} // closed when it is the turn of others
}

// turn delivers a batch to a receiver, as far as it comes in its time.
func (d *Dispatcher) turn(ctx context.Context, at address) {
	d.mu.Lock()
	r := d.receivers[at]
	if r == nil || r.gone {
		d.mu.Unlock()
		return
	}
	spec, from := r.Receiver, r.Delivered
	d.mu.Unlock()
	log, ok := d.cfg.Log(at.repository)
	if !ok || log.Head().Sequence <= from {
		return // the Repository's next status write serves it again
	}
	bounded, cancel := context.WithTimeout(ctx, d.cfg.Turn)
	defer cancel()
	records, err := log.Read(bounded, from+1, batch)
	if bounded.Err() != nil {
		err = fmt.Errorf("expected the audit log to give record %d within %s, it did not: the bucket is slow or away", from+1, d.cfg.Turn)
	}
	if err == nil && len(records) == 0 {
		err = fmt.Errorf("the audit log has no record %d, and later ones: look with kubectl windlass audit verify", from+1)
	}
	if err == nil {
		err = d.deliver(ctx, turn{at, spec, bounded.Done()}, records)
	}
	if ctx.Err() != nil {
		return
	}
	if after := d.settle(at, spec, err); after >= 0 {
		d.queue.AddAfter(at, after)
	}
}

// deliver posts records in order until one fails, or the turn is over. None is cut off in the middle, which would send it twice: each
// has its own timeout.
func (d *Dispatcher) deliver(ctx context.Context, t turn, records []audit.Record) error {
	at, spec := t.at, t.spec
	for _, rec := range records {
		select {
		case <-t.over:
			return nil
		default:
		}
		if spec.wants(rec) {
			key, err := d.cfg.Key(ctx, types.NamespacedName{Namespace: at.repository.Namespace, Name: spec.Secret}, spec.URL)
			if err != nil {
				deliveriesTotal.WithLabelValues("unsigned").Inc()
				return err
			}
			if err := d.cfg.Post(ctx, spec.URL, key, rec); err != nil {
				return err
			}
		}
		if !d.advance(at, spec, rec.Sequence) {
			return nil
		}
	}
	return nil
}

// advance notes that a record is delivered. False: the receiver was changed or removed meanwhile.
func (d *Dispatcher) advance(at address, spec Receiver, sequence int64) bool {
	d.mu.Lock()
	r := d.receivers[at]
	if r != nil {
		r.Delivered = max(r.Delivered, sequence)
		r.failures, r.Message, r.Since = 0, "", time.Time{}
	}
	d.mu.Unlock()
	d.cfg.Changed(at.repository)
	return r != nil && r.equal(spec)
}

// settle notes how a turn ended, and gives the time until the next one; negative: not before something changes.
func (d *Dispatcher) settle(at address, spec Receiver, err error) time.Duration {
	after, news := d.note(at, spec, err)
	if news {
		d.cfg.Changed(at.repository)
	}
	return after
}

func (d *Dispatcher) note(at address, spec Receiver, err error) (after time.Duration, news bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.receivers[at]
	switch {
	case r == nil:
		return -1, false
	case err == nil, !r.equal(spec):
		return 0, false // there may be more; a turn without news ends at once
	}
	r.failures++
	if r.Since.IsZero() {
		r.Since = d.cfg.Now()
	}
	news, r.Message = r.Message != err.Error(), err.Error()
	if errors.Is(err, errGone) {
		r.gone = true
		return -1, news
	}
	return d.cfg.Backoff(r.failures), news
}

// backoff doubles with each failure, up to lastBackoff, and is spread by a quarter.
func backoff(failures int) time.Duration {
	d := lastBackoff
	if shift := failures - 1; shift < 9 {
		d = min(d, firstBackoff<<shift)
	}
	return d*3/4 + time.Duration(rand.Int64N(int64(d)/2+1))
}
