// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

// Defaults and limits.
const (
	DefaultRootExpiry      = 8760 * time.Hour
	DefaultTimestampExpiry = 168 * time.Hour

	gatherTime    = 20 * time.Millisecond  // without a new submission, before a commit starts
	gatherLimit   = 200 * time.Millisecond // of gathering, however many come
	firstBackoff  = 250 * time.Millisecond
	lastBackoff   = 5 * time.Second
	commitTimeout = 5 * time.Minute
	parallel      = 24 // requests at once
	maxSpread     = 0.05
)

// Bucket is what the publisher needs of the object store. *store.Bucket is one.
type Bucket interface {
	readBucket
	writeBucket
}

type readBucket interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, store.Object, error)
	Head(ctx context.Context, key string) (store.Object, error)
	List(ctx context.Context, prefix string) iter.Seq2[store.Object, error]
}

type writeBucket interface {
	PutImmutable(ctx context.Context, key string, content []byte, contentType string) error
	CompareAndSwap(ctx context.Context, key, old string, content []byte, contentType string) (string, error)
	Delete(ctx context.Context, key string) error
}

// ChannelKey names a channel of a repository.
type ChannelKey struct {
	App     string
	Channel string
}

// Config of a Publisher.
type Config struct {
	Bucket Bucket
	Keys   *Keys
	// Seen is the highest metadata version that status has recorded.
	Seen int64
	// SeenRoot is the version of the root of trust that status has recorded; zero: it has recorded none.
	SeenRoot int64
	// SeenFirstRoot is the digest of 1.root.json that status has recorded; empty: it has recorded none.
	SeenFirstRoot string
	// SeenFloors are the floors that status has recorded.
	SeenFloors map[string]string
	// Roots are roots of trust that were signed offline: files, by version. Each is published once it may follow the present one
	// and the keys can sign under it. Not nil means that the first root is one of them too.
	Roots map[int64][]byte
	// Floors are the least versions of apps that the root of trust is to hold. They have an effect where the keys can sign roots.
	Floors map[string]string
	// RootExpiry is how long root, targets, snapshot and roles hold; TimestampExpiry is how long devices trust the last
	// state when nobody re-signs. Zero means the default.
	RootExpiry      time.Duration
	TimestampExpiry time.Duration
	// Audit gives the last record of the audit log, which each commit signs; when nil, nobody writes one. It must not block.
	Audit func() audit.Head
	// Clock decides about expiry; when nil, the real one.
	Clock clock.Clock
	// Notify is told, from the publisher's goroutine, which channels were committed or failed. No channel means that only
	// the state of the publisher changed. It must not block.
	Notify func(channels []ChannelKey)
}

// Publisher commits the release documents of one repository. Its methods never wait for the bucket, except Collect and
// Close.
type Publisher struct {
	cfg    Config
	spread float64 // jitter of renewals, as a share of a life
	start  func()
	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{}              // of capacity one
	tasks  chan func(context.Context) // run between commits

	highest int64  // version that anybody used; only for the goroutine
	chain   []link // of roots that were verified, from the first; only for the goroutine

	mu        sync.Mutex
	world     *world // what is committed; replaced, never changed
	stale     bool   // another writer has changed the bucket since
	pending   map[ChannelKey]*submission
	problem   map[ChannelKey]error // of submissions that are pending or were refused
	lastErr   error
	rootErr   error           // why a root of Config.Roots is not published
	rootRetry time.Time       // by the clock of the configuration: when a root that could not be signed is tried again
	known     map[string]bool // artifacts that were seen in the bucket, by object name
}

// Open reads the repository from the bucket, makes one when there is none, and starts to publish. ctx bounds only the opening.
func Open(ctx context.Context, cfg Config) (*Publisher, error) {
	p, err := prepared(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p.start()
	return p, nil
}

// prepared gives a publisher that does not publish yet. It has to be started, also to be closed.
func prepared(ctx context.Context, cfg Config) (*Publisher, error) {
	p := newPublisher(cfg)
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel, p.start = cancel, func() { go p.run(life) }
	return p, nil
}

func newPublisher(cfg Config) *Publisher {
	cfg.RootExpiry = cmp.Or(cfg.RootExpiry, DefaultRootExpiry)
	cfg.TimestampExpiry = cmp.Or(cfg.TimestampExpiry, DefaultTimestampExpiry)
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Notify == nil {
		cfg.Notify = func([]ChannelKey) {}
	}
	return &Publisher{
		cfg: cfg, spread: rand.Float64() * maxSpread, done: make(chan struct{}), wake: make(chan struct{}, 1), tasks: make(chan func(context.Context)),
		pending: map[ChannelKey]*submission{}, problem: map[ChannelKey]error{}, known: map[string]bool{},
	}
}

// prepare reads what is there, and makes the first commit or renews what is due.
func (p *Publisher) prepare(ctx context.Context) error {
	if _, err := p.reload(ctx); err != nil {
		return err
	}
	_, err := p.attempt(ctx)
	return err
}

// Close stops publishing and waits until the commit that is under way has ended. Pending submissions are dropped.
func (p *Publisher) Close() {
	p.cancel()
	<-p.done
}

// signal wakes the goroutine.
func (p *Publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Committed gives what devices can see of a channel. Its document is for reading only.
func (p *Publisher) Committed(app, channel string) (release.Committed, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.world.channels[ChannelKey{App: app, Channel: channel}]
	if !ok {
		return release.Committed{}, false
	}
	return release.Committed{Document: c.doc, MetadataVersion: c.version, At: c.at}, true
}

// Problem tells why the last submission of a channel is not committed; nil when nothing is wrong so far. With reason
// StateLost what was published cannot be read any more: submissions are refused until it is restored or the channel removed.
func (p *Publisher) Problem(app, channel string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := ChannelKey{App: app, Channel: channel}
	if err := p.world.lost[key]; err != nil {
		return err
	}
	if err := p.problem[key]; err != nil {
		return err
	}
	if p.pending[key] != nil {
		return p.lastErr
	}
	return nil
}

// References tells whether a digest, of an artifact or of evidence, is part of what is published or about to be.
func (p *Publisher) References(digest string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.references(digest)
}

func (p *Publisher) references(digest string) bool {
	if p.world.digests[digest] || p.world.evidence[digest] {
		return true
	}
	for _, s := range p.pending {
		if s.doc != nil && refersTo(s.doc, digest) {
			return true
		}
	}
	return false
}

func refersTo(doc *release.Document, digest string) bool {
	for _, b := range doc.Bundles() {
		if b.Digest == digest || slices.ContainsFunc(b.Signatures, func(s release.Signature) bool { return s.Evidence == digest }) {
			return true
		}
	}
	return false
}

// run commits what is submitted until the context ends.
func (p *Publisher) run(ctx context.Context) {
	defer close(p.done)
	backoff := time.Duration(0)
	for {
		if !p.wait(ctx, backoff) {
			return
		}
		backoff = p.round(ctx, backoff)
	}
}

// wait returns when there may be something to do: after a submission, when a submission or a signature is due, or after a
// backoff. It is false when the publisher is to end.
func (p *Publisher) wait(ctx context.Context, backoff time.Duration) bool {
	wake := p.wake
	if backoff > 0 {
		wake = nil // a new submission must not hurry a store that fails
	}
	retry := time.NewTimer(p.untilRetry(backoff))
	defer retry.Stop()
	due := p.cfg.Clock.NewTimer(p.untilDue())
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case task := <-p.tasks:
			task(ctx)
			continue
		case <-wake:
			return p.gather(ctx)
		case <-retry.C:
		case <-due.C():
			if backoff > 0 {
				continue
			}
		}
		return true
	}
}

// round makes one attempt and gives the backoff before the next one.
func (p *Publisher) round(ctx context.Context, backoff time.Duration) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	touched, err := p.attempt(ctx)
	p.mu.Lock()
	changed := errorText(p.lastErr) != errorText(err)
	p.lastErr = err
	if err != nil && changed {
		for key := range p.pending {
			touched = append(touched, key)
		}
	}
	p.mu.Unlock()
	if len(touched) > 0 || changed {
		p.cfg.Notify(touched)
	}
	if err == nil {
		return 0
	}
	return jitter(min(max(2*backoff, firstBackoff), lastBackoff))
}

// attempt commits what is pending and due. It reads the bucket again and repeats when another writer was first.
func (p *Publisher) attempt(ctx context.Context) ([]ChannelKey, error) {
	touched, err := p.lookAgain(ctx)
	if err != nil {
		return touched, err
	}
	for conflicts, steps := 0, 0; conflicts < conflictAttempts && steps < maxSteps; steps++ {
		batch, settled := p.batch(time.Now())
		touched = append(touched, settled...)
		done, more, err := p.commit(ctx, batch)
		touched = append(touched, done...)
		switch {
		case err == nil && more:
			continue
		case !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrDifferent):
			return touched, classify(err)
		}
		conflicts++
		changed, err := p.reload(ctx)
		if touched = append(touched, changed...); err != nil {
			return touched, err
		}
	}
	return touched, kit.Retry(otav1alpha1.PublishFailedReason, "another writer commits to this bucket and prefix at the same time: look for a second manager")
}

const (
	conflictAttempts = 5
	maxSteps         = 64 // commits of one attempt: each root that is published has its own
)

// classify gives an error without a class the reason of a failed commit.
func classify(err error) error {
	if _, ok := errors.AsType[*kit.Error](err); err == nil || ok {
		return err
	}
	return kit.Retry(otav1alpha1.PublishFailedReason, "commit: %w", err)
}

// install makes a commit the present, and forgets the submissions that it fulfilled.
func (p *Publisher) install(w *world, batch map[ChannelKey]*submission) []ChannelKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.world = w
	var done []ChannelKey
	for key, s := range batch {
		switch next := p.pending[key]; {
		case next == s:
			delete(p.pending, key)
			delete(p.problem, key)
		case next != nil && next.doc != nil && s.doc != nil && next.doc.Revision > s.doc.Revision:
			next.base = w.base(key) // it follows what is committed now
		}
		done = append(done, key)
	}
	return done
}

func errorText(err error) string { return fmt.Sprint(err) }
