// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/windlass-dev/windlass/internal/analysis/query"
)

// of is a question of a namespace to one address, asked every 30 s.
func of(namespace, text string) Question {
	q := about("m", text)
	q.Namespace = namespace
	return q
}

// Three queries of a namespace that are too heavy, each asked again and again, take no answer from a healthy query to the same address:
// neither from one of another namespace, not even when it is never the same twice, nor from one of their own.
func TestAsk_heavyQueries(t *testing.T) {
	for _, namespace := range []string{"b", "a"} {
		t.Run(namespace, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, _ := newDesk(t)
				var group sync.WaitGroup
				var heavy, healthy atomic.Int32
				every := func(q Question, by func(context.Context) (time.Time, error), want error) {
					group.Go(func() {
						for i := range 40 {
							if namespace != "a" {
								q.Text += fmt.Sprint(" ", i) // as a query with a window does
							}
							if _, err := Ask(t.Context(), d, q, by); !errors.Is(err, want) {
								t.Errorf("%s of %s: got %v, want %v", q.Text, q.Namespace, err, want)
							}
							time.Sleep(30 * time.Second) // of the bubble
						}
					})
				}
				every(of(namespace, "healthy"), clocked(&healthy, 100*time.Millisecond), nil)
				synctest.Wait()
				for i := range 3 {
					every(of("a", fmt.Sprint("heavy", i)), silence(&heavy), errSlow)
				}
				group.Wait()
				if healthy.Load() != 40 || heavy.Load() < 40 {
					t.Errorf("the healthy query was asked %d times, the heavy ones %d times; want 40, and at least 40", healthy.Load(), heavy.Load())
				}
			})
		})
	}
}

// A namespace with many slow questions leaves room for others at once, even to those who have a question that waits in its queue.
func TestAsk_share(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDesk(t)
		var group sync.WaitGroup
		var asked atomic.Int32
		for i := range 100 {
			group.Go(func() { _, _ = Ask(t.Context(), d, of("a", fmt.Sprint(i)), silence(&asked)) })
		}
		synctest.Wait()
		group.Go(func() { _, _ = Ask(t.Context(), d, of("a", "up"), clocked(&atomic.Int32{}, time.Millisecond)) })
		synctest.Wait()
		if asked.Load() != share {
			t.Errorf("%d questions of one namespace at a time, want %d", asked.Load(), share)
		}
		for _, text := range []string{"other", "up"} {
			began := time.Now()
			if _, err := Ask(t.Context(), d, of("b", text), clocked(&atomic.Int32{}, time.Millisecond)); err != nil || time.Since(began) != time.Millisecond {
				t.Errorf("%s: got %v after %s, want an answer after 1ms", text, err, time.Since(began))
			}
		}
		group.Wait()
	})
}

// Where namespaces have taken all slots, the next one is for who has none.
func TestAsk_fairTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDesk(t)
		var group sync.WaitGroup
		for _, namespace := range []string{"a", "b"} {
			for i := range 20 {
				group.Go(func() {
					_, _ = Ask(t.Context(), d, of(namespace, fmt.Sprint(namespace, i)), clocked(&atomic.Int32{}, 3*time.Second))
				})
			}
		}
		synctest.Wait()
		came := time.Now()
		got, err := Ask(t.Context(), d, of("c", "up"), clocked(&atomic.Int32{}, 0))
		if waited := got.At.Sub(came); err != nil || waited != 3*time.Second {
			t.Errorf("asked after %s, %v; want the first turn, after 3s", waited, err)
		}
		group.Wait()
	})
}

// The time of a shared answer is when it was asked for, and that of a question which was not asked is none.
func TestAsk_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDesk(t)
		began := time.Now()
		for i := range silentAfter {
			for range 2 {
				got, err := Ask(t.Context(), d, of("a", fmt.Sprint(i)), silence(&atomic.Int32{}))
				if want := began.Add(time.Duration(i) * 10 * time.Second); !errors.Is(err, errSlow) || !got.At.Equal(want) {
					t.Errorf("got %v at %s, want it at %s", err, got.At, want)
				}
			}
		}
		if got, err := Ask(t.Context(), d, of("a", "new"), silence(&atomic.Int32{})); !errors.Is(err, errSlow) || !got.At.IsZero() {
			t.Errorf("got %v at %s, want an outage that is told at no time", err, got.At)
		}
	})
}

// A panic is an error to all who wait, is logged with its stack, and leaves no slot taken.
func TestAsk_panic(t *testing.T) {
	d, _ := newDesk(t)
	var log bytes.Buffer
	ctx := logContext(t.Context(), &log)
	for i := range 2 * width {
		_, err := Ask(ctx, d, of("a", fmt.Sprint(i)), func(context.Context) (int, error) { panic("secret") })
		if provider, ok := errors.AsType[*query.ProviderError](err); !ok || bytes.Contains([]byte(provider.Error()), []byte("secret")) {
			t.Fatalf("got %v, want a ProviderError that does not tell of what", err)
		}
	}
	if got, err := Ask(ctx, d, of("a", "up"), func(context.Context) (int, error) { return 7, nil }); err != nil || got.Value != 7 {
		t.Errorf("after panics: %+v, %v", got, err)
	}
	if !bytes.Contains(log.Bytes(), []byte("tenants_test.go")) {
		t.Errorf("the log tells no stack: %s", log.String())
	}
}

// logContext has a logger that writes to a buffer, which is read when those who write are waited for.
func logContext(ctx context.Context, to *bytes.Buffer) context.Context {
	return logr.NewContext(ctx, funcr.New(func(_, args string) { to.WriteString(args) }, funcr.Options{}))
}
