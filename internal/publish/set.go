// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// Set holds the open publisher of each Repository.
type Set struct {
	notify func(repository types.NamespacedName, channels []ChannelKey)

	mu   sync.Mutex
	open map[types.NamespacedName]entry
}

type entry struct {
	publisher *Publisher
	bucket    *store.Bucket
	identity  string
}

// NewSet makes an empty set. notify hears of every publisher what Config.Notify says, and must not block.
func NewSet(notify func(repository types.NamespacedName, channels []ChannelKey)) *Set {
	return &Set{notify: notify, open: map[types.NamespacedName]entry{}}
}

// Open makes sure that a Repository has a publisher over a bucket. The identity stands for all that the publisher was made
// from: with the same one nothing happens, with another one a new publisher takes over what is pending. An error leaves the
// old one at work. Only one caller at a time may open a Repository.
func (s *Set) Open(ctx context.Context, repository types.NamespacedName, identity string, bucket *store.Bucket, cfg Config) (*Publisher, error) {
	s.mu.Lock()
	old := s.open[repository]
	s.mu.Unlock()
	if old.publisher != nil && old.identity == identity {
		return old.publisher, nil
	}
	cfg.Bucket = bucket
	cfg.Notify = func(channels []ChannelKey) { s.notify(repository, channels) }
	if old.publisher != nil {
		cfg = cfg.after(old.publisher.State())
	}
	p, err := prepared(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.open[repository] = entry{publisher: p, bucket: bucket, identity: identity}
	s.mu.Unlock()
	if old.publisher != nil {
		p.succeed(ctx, old.publisher)
	}
	p.start()
	s.notify(repository, p.channels()) // those who looked before it was open have to look again
	return p, nil
}

// after adds to what status has recorded what another publisher has seen, which may be more.
func (c Config) after(s State) Config {
	c.Seen, c.SeenRoot = max(c.Seen, s.Version), max(c.SeenRoot, s.RootVersion)
	c.SeenFirstRoot = cmp.Or(c.SeenFirstRoot, s.FirstRoot)
	c.SeenFloors = tuf.Floors(c.SeenFloors).Over(s.Floors)
	return c
}

// succeed takes over from another publisher, before this one starts: what that one committed while this one was opened, and
// what it had not committed. When the bucket cannot be read now, it is read before the first commit.
func (p *Publisher) succeed(ctx context.Context, old *Publisher) {
	old.Close()
	p.mu.Lock()
	p.stale = true
	p.mu.Unlock()
	_, _ = p.reload(ctx) // a failure leaves it stale
	old.mu.Lock()
	defer old.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, s := range old.pending {
		if p.pending[key] == nil { // else there is a later one
			p.pending[key] = &submission{key: key, doc: s.doc, raw: s.raw, base: s.base}
		}
	}
	p.signal()
}

// channels are those that are published or lost.
func (p *Publisher) channels() []ChannelKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	var keys []ChannelKey
	for k := range p.world.delegated() {
		keys = append(keys, k)
	}
	return keys
}

// Get gives the publisher of a Repository. False: none is open.
func (s *Set) Get(repository types.NamespacedName) (*Publisher, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.open[repository]
	return e.publisher, ok
}

// Bucket gives the bucket of a Repository that has a publisher.
func (s *Set) Bucket(repository types.NamespacedName) (*store.Bucket, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.open[repository]
	return e.bucket, ok
}

// References tells whether a Repository publishes a digest or is about to. Known is false when it has no publisher.
func (s *Set) References(repository types.NamespacedName, digest string) (refers, known bool) {
	p, ok := s.Get(repository)
	return ok && p.References(digest), ok
}

// Close ends the publisher of a Repository, if it has one, after the commit that is under way.
func (s *Set) Close(repository types.NamespacedName) {
	s.mu.Lock()
	e, ok := s.open[repository]
	delete(s.open, repository)
	s.mu.Unlock()
	if ok {
		e.publisher.Close()
	}
}

// Start is for a manager's life-cycle: it ends all publishers when the context ends.
func (s *Set) Start(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	open := s.open
	s.open = map[types.NamespacedName]entry{}
	s.mu.Unlock()
	for _, e := range open {
		e.publisher.Close()
	}
	return nil
}

// NeedLeaderElection tells a manager to start the set with its controllers: only the leader publishes.
func (s *Set) NeedLeaderElection() bool { return true }
