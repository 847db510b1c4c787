// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/store"
)

// Limits of the work.
const (
	gatherTime   = 20 * time.Millisecond // after the first record of a batch: what happens together wakes its objects once
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = time.Minute
	batchTimeout = 2 * time.Minute
	maxBatch     = 64 // records between two wake-up calls
	jsonType     = "application/json"
)

// Bucket is what the log needs of the object store. *store.Bucket is one.
type Bucket interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, store.Object, error)
	PutImmutable(ctx context.Context, key string, content []byte, contentType string) error
	ListAfter(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error]
}

// Ref names an object.
type Ref struct {
	Kind string
	types.NamespacedName
}

// Config of a Log.
type Config struct {
	Bucket Bucket
	// Anchors are what status and metadata say of the log. It goes on after the last of them, also when the bucket has less.
	Anchors []Anchor
	// MetadataVersion that devices can see now; when nil, records do not tell.
	MetadataVersion func() int64
	// Careful says that the object store lets two writers believe that they were first: what was put is read back.
	Careful bool
	// Now is when records are appended; when nil, the real time.
	Now func() time.Time
	// Owner is the Repository, for records of the log about itself: Kind, Namespace, Name and UID.
	Owner Record
	// Notify hears, from the log's goroutine, whose records are in the bucket now. It must not block for long.
	Notify func([]Ref)
}

// Log is the audit log of one Repository. It has one writer: the leader. Its methods do not wait for the bucket, but for Read and
// Close. A goroutine works only while there is something to append.
type Log struct {
	cfg    Config
	life   context.Context //nolint:containedctx // of the work, which outlives the calls that ask for it
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	working bool
	closed  bool
	loaded  bool
	head    Head
	memory  memory
	queue   []Record
	queued  map[string]bool // ids in the queue
	known   []Ref           // objects that asked for what was in the bucket already
	faults  []Fault         // that were found in the bucket
	lastErr error
}

// Open makes a log and begins to look for its end. It does not wait for the bucket. ctx gives the log its values, not its life.
func Open(ctx context.Context, cfg Config) *Log {
	l := newLog(ctx, cfg)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake()
	return l
}

func newLog(ctx context.Context, cfg Config) *Log {
	if cfg.Now == nil {
		cfg.Now = clock.RealClock{}.Now
	}
	if cfg.Notify == nil {
		cfg.Notify = func([]Ref) {}
	}
	if cfg.MetadataVersion == nil {
		cfg.MetadataVersion = func() int64 { return 0 }
	}
	l := &Log{cfg: cfg, queued: map[string]bool{}, memory: newMemory()}
	l.life, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, a := range cfg.Anchors {
		if a.Sequence > l.head.Sequence {
			l.head = a.Head
		}
	}
	return l
}

// Close ends the work after the record that is under way. What is not appended is submitted again by its objects.
func (l *Log) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.done.Wait()
}

// Submit asks to append records, in this order. What the log has, or has been asked for already, by id, is not appended again; of what
// it has the object hears once more, since it may have asked before that was known.
// Sequence, Previous, Recorded, Hash and MetadataVersion are set by the log.
func (l *Log) Submit(records ...Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		switch ref := refOf(&r); {
		case l.memory.has(r.ID):
			if !slices.Contains(l.known, ref) {
				l.known = append(l.known, ref)
			}
		case !l.queued[r.ID]:
			l.queue, l.queued[r.ID] = append(l.queue, r), true
		}
	}
	if len(l.queue)+len(l.known) > 0 {
		l.wake()
	}
}

func refOf(r *Record) Ref {
	return Ref{Kind: r.Kind, NamespacedName: types.NamespacedName{Namespace: r.Namespace, Name: r.Name}}
}

// Recorded tells whether the record of an id is known to be in the bucket. After a restart it is not known before it is submitted.
func (l *Log) Recorded(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.memory.has(id)
}

// Head is the last record that is known to be in the bucket.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// State says how the log is.
type State struct {
	Waiting int     // records that are not in the bucket yet
	Faults  []Fault // that were found: records are missing, or do not follow each other
	Err     error   // why the last attempt failed; nil after one that succeeded
}

// State gives a summary.
func (l *Log) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return State{Waiting: len(l.queue), Faults: l.faults, Err: l.lastErr}
}

// wake starts the work unless it is under way. The caller holds the lock.
func (l *Log) wake() {
	if l.working || l.closed {
		return
	}
	l.working = true
	l.done.Go(l.work)
}

// work loads the end of the log and appends until nothing is queued.
func (l *Log) work() {
	backoff := time.Duration(0)
	for l.sleep(max(gatherTime, jitter(backoff))) {
		err := l.round()
		switch {
		case l.rests(err):
			return
		case err == nil:
			backoff = 0
		default:
			backoff = min(max(2*backoff, firstBackoff), lastBackoff)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.working = false
}

// rests notes how a round went, and tells whether there is nothing more to do.
func (l *Log) rests(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastErr = err
	if err == nil && len(l.queue)+len(l.known) == 0 {
		l.working = false
	}
	return !l.working
}

func (l *Log) sleep(d time.Duration) bool {
	t := clock.RealClock{}.NewTimer(d)
	defer t.Stop()
	select {
	case <-l.life.Done():
		return false
	case <-t.C():
		return true
	}
}

// jitter gives 75 % to 125 % of a delay.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Int64N(int64(d)/2+1))
}

// round appends what is queued, up to a batch, and wakes the objects whose records are in the bucket.
func (l *Log) round() error {
	ctx, cancel := context.WithTimeout(l.life, batchTimeout)
	defer cancel()
	wake := l.takeKnown()
	defer func() {
		if len(wake) > 0 {
			l.cfg.Notify(wake)
		}
	}()
	if err := l.load(ctx); err != nil {
		return err
	}
	for range maxBatch {
		r, ok := l.first()
		if !ok {
			return nil
		}
		if err := l.record(ctx, r); err != nil {
			return err
		}
		l.mu.Lock()
		l.queue = l.queue[1:]
		delete(l.queued, r.ID)
		l.mu.Unlock()
		wake = append(wake, refOf(&r))
	}
	return nil
}

func (l *Log) takeKnown() []Ref {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.known
	l.known = nil
	return known
}

func (l *Log) first() (Record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return Record{}, false
	}
	return l.queue[0], true
}

// record makes sure that a record is in the bucket once.
func (l *Log) record(ctx context.Context, r Record) error {
	if err := l.reach(ctx, r.At); err != nil {
		return err
	}
	for !l.Recorded(r.ID) {
		if err := l.append(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// append puts a record after the last one. When another writer has put one there, that one is taken in and nothing is lost: the
// caller tries again.
func (l *Log) append(ctx context.Context, r Record) error {
	head := l.Head()
	r.Sequence, r.Previous = head.Sequence+1, head.Hash
	r.Recorded, r.MetadataVersion = l.cfg.Now().UTC().Truncate(time.Microsecond), l.cfg.MetadataVersion()
	line, hash, err := r.Encode()
	if err != nil {
		return kit.Stall(otav1alpha1.InternalErrorReason, "%w", err)
	}
	err = l.cfg.Bucket.PutImmutable(ctx, Key(r.Sequence), line, jsonType)
	switch {
	case err == nil && !l.cfg.Careful:
		l.advance(r, hash)
		return nil
	case err == nil, errors.Is(err, store.ErrDifferent):
		return l.takeIn(ctx, r.Sequence) // that of another writer, or our own
	}
	return fmt.Errorf("append record %d: %w", r.Sequence, err)
}

// takeIn makes the record of another writer the last one.
func (l *Log) takeIn(ctx context.Context, sequence int64) error {
	line, obj, err := l.fetch(ctx, sequence)
	if err != nil {
		return fmt.Errorf("read record %d of another writer: %w", sequence, err)
	}
	head := l.Head()
	r, err := Decode(line)
	switch {
	case err != nil:
		l.fault(sequence, "cannot be read: %v", err)
	case r.Sequence != sequence:
		l.fault(sequence, "says that it is record %d", r.Sequence)
	case r.Previous != head.Hash:
		l.fault(sequence-1, "was changed, or record %d was put after another one", sequence)
	}
	r.Sequence, r.Recorded = sequence, l.appended(&r, obj)
	l.advance(r, HashOf(line))
	return nil
}

// advance makes a record of the bucket the last one.
func (l *Log) advance(r Record, hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = Head{Sequence: r.Sequence, Hash: hash, At: r.Recorded}
	l.memory.add(&r)
}

// fault remembers what is wrong with what is in the bucket, and lets the log itself tell of it.
func (l *Log) fault(sequence int64, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) == maxFaults {
		return
	}
	f := Fault{Sequence: sequence, Message: fmt.Sprintf(format, args...)}
	l.faults = append(l.faults, f)
	r := l.cfg.Owner
	r.ID, r.Action, r.Message = fmt.Sprintf("damage.%d.%.12s", sequence, strings.TrimPrefix(HashOf([]byte(f.Message)), hashPrefix)), DamagedAction, f.String()
	if r.At = l.cfg.Now().UTC().Truncate(time.Microsecond); !l.queued[r.ID] && !l.memory.has(r.ID) {
		l.queue, l.queued[r.ID] = append(l.queue, r), true
	}
}

// DamagedAction is the action of a record of the log about itself: what it found in the bucket is not what it had appended.
const DamagedAction = "LogDamaged"

// maxFaults bounds what is remembered of a damaged log: its verification tells all.
const maxFaults = 16
