// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/windlass-dev/windlass/internal/kit"
)

// startPool runs a pool in a bubble until the test ends.
func startPool(t *testing.T, size int) (*Pool[string], *atomic.Int32) {
	t.Helper()
	var woken atomic.Int32
	p := NewPool(t.Context(), size, func(string) { woken.Add(1) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Start(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return p, &woken
}

func TestPool_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, woken := startPool(t, 2)
		var running atomic.Int32
		finish := make(chan struct{})
		for _, key := range []string{"a", "b", "c"} {
			p.Submit(key, FromSource, func(context.Context) (Result, error) {
				running.Add(1)
				<-finish
				return Result{Size: 7}, nil
			})
			synctest.Wait()
		}
		if n := running.Load(); n != 2 {
			t.Errorf("%d jobs run, want 2", n)
		}
		if _, done, busy := p.Look("c"); done || !busy {
			t.Errorf("a queued job is done %v, busy %v", done, busy)
		}
		p.Submit("a", FromSource, func(context.Context) (Result, error) { t.Error("a second job of one key runs"); return Result{}, nil })
		close(finish)
		synctest.Wait()
		if running.Load() != 3 || woken.Load() != 3 {
			t.Errorf("%d jobs ran and woke %d times, want 3", running.Load(), woken.Load())
		}
		for range 2 { // the outcome stays until it is dropped
			if out, done, _ := p.Look("a"); !done || out.Result.Size != 7 {
				t.Errorf("outcome %v, done %v", out, done)
			}
		}
		p.Drop("a")
		if _, done, busy := p.Look("a"); done || busy {
			t.Error("a dropped job is still known")
		}
	})
}

func TestPool_drop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, woken := startPool(t, 1)
		job := func(ctx context.Context) (Result, error) { <-ctx.Done(); return Result{}, ctx.Err() }
		p.Submit("running", FromSource, job)
		synctest.Wait()
		p.Submit("queued", FromSource, job)
		p.Drop("running")
		synctest.Wait()
		p.Drop("queued")
		synctest.Wait()
		if n := woken.Load(); n != 0 {
			t.Errorf("dropped jobs woke %d times", n)
		}
		p.Submit("next", FromSource, func(context.Context) (Result, error) { return Result{}, nil })
		synctest.Wait()
		if _, done, _ := p.Look("next"); !done {
			t.Error("the slot of a dropped job is not free")
		}
	})
}

func TestPool_stop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(t.Context(), 1, func(string) {})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = p.Start(ctx) }()
		p.Submit("a", FromSource, func(ctx context.Context) (Result, error) { <-ctx.Done(); return Result{}, ctx.Err() })
		p.Submit("b", FromSource, func(ctx context.Context) (Result, error) { <-ctx.Done(); return Result{}, ctx.Err() })
		synctest.Wait()
		cancel()
		<-done
		if out, done, _ := p.Look("a"); !done || !errors.Is(out.Err, context.Canceled) {
			t.Errorf("outcome %v, done %v, want cancelled", out, done)
		}
		p.Submit("late", FromSource, func(context.Context) (Result, error) { t.Error("a job runs after the end"); return Result{}, nil })
		synctest.Wait()
	})
}

func TestPool_panic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := startPool(t, 1)
		p.Submit("a", FromSource, func(context.Context) (Result, error) { panic("parser") })
		synctest.Wait()
		if out, done, _ := p.Look("a"); !done || out.Err == nil || kit.Classify(out.Err).Class != kit.Stalled {
			t.Errorf("outcome %v, done %v, want a stalled error", out, done)
		}
	})
}
