// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"sync"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

// Outcome is how a job ended.
type Outcome struct {
	Result Result
	Err    error
}

// Lane is a queue of a Pool. Each has slots of its own.
type Lane int

// The lanes. What is in the bucket already does not wait behind sources that may be slow: whether it is still to be trusted has to be
// known soon.
const (
	FromSource Lane = iota
	FromBucket
	lanes
)

// Pool runs jobs in the background, a few at a time in each lane, and keeps each outcome until it is dropped. Jobs are known by a
// key; K must tell two artifacts of one object apart.
type Pool[K comparable] struct {
	slots [lanes]chan struct{}
	wake  func(K)
	ctx   context.Context //nolint:containedctx // the life of the pool, not of a call
	stop  context.CancelFunc

	mu    sync.Mutex
	tasks map[K]*task
	all   sync.WaitGroup
}

type task struct {
	cancel context.CancelFunc
	done   bool
	out    Outcome
}

// NewPool makes a pool for size jobs at a time in each lane, until ctx or that of Start is done. Wake is called after each job and must not block.
func NewPool[K comparable](ctx context.Context, size int, wake func(K)) *Pool[K] {
	p := &Pool[K]{wake: wake, tasks: map[K]*task{}}
	for i := range p.slots {
		p.slots[i] = make(chan struct{}, size)
	}
	p.ctx, p.stop = context.WithCancel(ctx) //nolint:gosec // Start calls stop
	return p
}

// Start blocks until ctx is done, then ends all jobs and waits for them.
func (p *Pool[K]) Start(ctx context.Context) error {
	<-ctx.Done()
	p.mu.Lock()
	p.stop() // under the lock: no job is added any more once all are waited for
	p.mu.Unlock()
	p.all.Wait()
	return nil
}

// NeedLeaderElection says that only the leader transfers artifacts.
func (p *Pool[K]) NeedLeaderElection() bool { return true }

// Submit queues a job unless one of that key is there already, under way or with its outcome not dropped.
func (p *Pool[K]) Submit(key K, lane Lane, job func(context.Context) (Result, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tasks[key] != nil || p.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(p.ctx)
	t := &task{cancel: cancel}
	p.tasks[key] = t
	p.all.Go(func() {
		defer cancel()
		out := inSlot(ctx, p.slots[lane], job)
		if p.finish(key, t, out) {
			p.wake(key)
		}
	})
}

func inSlot(ctx context.Context, slots chan struct{}, job func(context.Context) (Result, error)) Outcome {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return Outcome{Err: ctx.Err()}
	}
	return guarded(ctx, job)
}

// guarded turns a panic into an error: artifacts come from outside, and one that breaks a parser must not stop the manager.
func guarded(ctx context.Context, job func(context.Context) (Result, error)) (out Outcome) {
	defer func() {
		if p := recover(); p != nil {
			out.Err = kit.Stall(otav1alpha1.InternalErrorReason, "taking in the artifact failed unexpectedly, which is a defect: %v", p)
		}
	}()
	result, err := job(ctx)
	return Outcome{Result: result, Err: err}
}

// finish records an outcome, unless the job was cancelled meanwhile and nobody wants it.
func (p *Pool[K]) finish(key K, t *task, out Outcome) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tasks[key] != t {
		return false
	}
	t.done, t.out = true, out
	return true
}

// Look gives the outcome of a job, as often as it is asked for. Busy tells that the job is queued or under way.
func (p *Pool[K]) Look(key K) (out Outcome, done, busy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tasks[key]
	if t == nil {
		return Outcome{}, false, false
	}
	return t.out, t.done, !t.done
}

// Drop ends a job, when it is under way, and forgets it and its outcome.
func (p *Pool[K]) Drop(key K) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tasks[key]; t != nil {
		t.cancel()
		delete(p.tasks, key)
	}
}
