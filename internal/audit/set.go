// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Set holds the open log of each Repository.
type Set struct {
	notify func(repository types.NamespacedName, recorded []Ref)

	mu     sync.Mutex
	open   map[types.NamespacedName]entry
	closed bool
}

type entry struct {
	log      *Log
	identity string
}

// NewSet makes an empty set. notify hears of each Repository whose records are in the bucket now, and must not block for long.
func NewSet(notify func(repository types.NamespacedName, recorded []Ref)) *Set {
	return &Set{notify: notify, open: map[types.NamespacedName]entry{}}
}

// Open makes sure that a Repository has a log over a bucket, and does not wait for it. The identity stands for all that the log is made
// from: with the same one nothing happens, with another one a new log takes the place of the old one, and objects submit again what
// that had not appended. Only one caller at a time may open a Repository.
func (s *Set) Open(ctx context.Context, repository types.NamespacedName, identity string, cfg Config) *Log {
	s.mu.Lock()
	old := s.open[repository]
	s.mu.Unlock()
	if old.log != nil && old.identity == identity {
		return old.log
	}
	if old.log != nil {
		old.log.Close()
		cfg.Anchors = append(cfg.Anchors, Anchor{Head: old.log.Head(), Source: "this manager"})
	}
	cfg.Notify = func(recorded []Ref) { s.notify(repository, recorded) }
	l := Open(ctx, cfg)
	if old.log != nil {
		l.Submit(old.log.waiting()...)
	}
	s.mu.Lock()
	s.open[repository] = entry{log: l, identity: identity}
	closed := s.closed
	s.mu.Unlock()
	if closed {
		l.Close()
	}
	return l
}

// waiting gives what a closed log has not appended.
func (l *Log) waiting() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queue
}

// For gives the log of a Repository. False: it is not open, since its bucket was never reached.
func (s *Set) For(repository types.NamespacedName) (*Log, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.open[repository]
	return e.log, ok
}

// Close ends the log of a Repository, if it has one.
func (s *Set) Close(repository types.NamespacedName) {
	s.mu.Lock()
	e, ok := s.open[repository]
	delete(s.open, repository)
	s.mu.Unlock()
	if ok {
		e.log.Close()
	}
}

// Start is for a manager's life-cycle: it ends all logs when the context ends.
func (s *Set) Start(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	open := s.open
	s.open, s.closed = map[types.NamespacedName]entry{}, true
	s.mu.Unlock()
	for _, e := range open {
		e.log.Close()
	}
	return nil
}

// NeedLeaderElection tells a manager to start the set with its controllers: only the leader writes the log.
func (s *Set) NeedLeaderElection() bool { return true }
