// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/analysis/query"
)

func newDesk(t interface{ Fatal(...any) }) (*Desk, *prometheus.Registry) {
	registry := prometheus.NewRegistry()
	d, err := New(time.Now, registry)
	if err != nil {
		t.Fatal(err)
	}
	return d, registry
}

// about is a question to a Prometheus, asked every 30 s.
func about(address, text string) Question {
	return Question{Provider: Prometheus, Address: address, Text: text, Interval: 30 * time.Second}
}

// clocked answers with the time at which it was asked, after a while.
func clocked(asked *atomic.Int32, takes time.Duration) func(context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) {
		asked.Add(1)
		at := time.Now()
		select {
		case <-time.After(takes):
			return at, nil
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// errSlow is what a client says of a server that does not answer.
var errSlow = &query.ProviderError{Reason: "m.example did not answer in time", Err: context.DeadlineExceeded}

func silence(asked *atomic.Int32) func(context.Context) (time.Time, error) {
	return func(context.Context) (time.Time, error) {
		asked.Add(1)
		time.Sleep(10 * time.Second) // of the bubble
		return time.Time{}, errSlow
	}
}

// A thousand that have the same question at the same time ask once; so do those that come within half of an interval.
func TestAsk_sameQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, registry := newDesk(t)
		var asked atomic.Int32
		began := time.Now()
		askAll := func(n int) {
			var group sync.WaitGroup
			for range n {
				group.Go(func() {
					if got, err := Ask(t.Context(), d, about("m", "up"), clocked(&asked, time.Second)); err != nil || got.Value.Before(began) {
						t.Errorf("got %+v, %v", got, err)
					}
				})
			}
			group.Wait()
		}
		askAll(1000)
		time.Sleep(13 * time.Second)
		askAll(1000)
		if asked.Load() != 1 {
			t.Errorf("asked %d times, want once", asked.Load())
		}
		time.Sleep(2 * time.Second)
		askAll(1)
		if asked.Load() != 2 {
			t.Errorf("asked %d times after 16 s, want twice", asked.Load())
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("problems %v, error %v", problems, err)
		}
		if got := testutil.ToFloat64(d.metrics.questions.WithLabelValues(Prometheus, "answered")); got != 2 {
			t.Errorf("%g questions are counted, want 2", got)
		}
		if got := testutil.ToFloat64(d.metrics.shared.WithLabelValues(Prometheus)); got != 1999 {
			t.Errorf("%g shared answers are counted, want 1999", got)
		}
	})
}

// What differs in anything is another question.
func TestAsk_otherQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDesk(t)
		var asked atomic.Int32
		for _, q := range []Question{about("m", "up"), about("m", "down"), about("n", "up"), {Provider: Web, Address: "m", Text: "up", Interval: time.Minute}} {
			if _, err := Ask(t.Context(), d, q, clocked(&asked, 0)); err != nil {
				t.Error(err)
			}
		}
		if asked.Load() != 4 {
			t.Errorf("asked %d times, want 4", asked.Load())
		}
	})
}

// asker comes with a question, and takes what it is told.
type asker struct {
	starts, since, interval, takes time.Duration
	text                           string
}

func askers() *rapid.Generator[asker] {
	return rapid.Custom(func(t *rapid.T) asker {
		within := func(most time.Duration, label string) time.Duration {
			return time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, label))
		}
		a := asker{within(time.Minute, "starts"), 0, within(time.Minute, "interval"), within(9*time.Second, "takes"), "a"}
		a.since = within(a.starts, "since") // nobody asks about a weight that is not committed yet
		if rapid.Bool().Draw(t, "other") {
			a.text = "b"
		}
		return a
	})
}

// Whatever comes when: no answer was asked for before the weight of whoever gets it was committed, nor more than half an interval
// before the wait for it began, and nobody gets that of another question.
func TestAsk_fresh(t *testing.T) {
	type answer struct {
		at   time.Time
		text string
	}
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.SliceOfN(askers(), 1, 40).Draw(rt, "askers")
		synctest.Test(t, func(t *testing.T) {
			d, _ := newDesk(t)
			begin := time.Now()
			var group sync.WaitGroup
			for _, a := range all {
				group.Go(func() {
					time.Sleep(a.starts) // of the bubble
					came := time.Now()
					q := Question{Provider: Web, Address: "m", Text: a.text, Since: begin.Add(a.since), Interval: a.interval}
					got, err := Ask(t.Context(), d, q, func(context.Context) (answer, error) {
						at := time.Now()
						time.Sleep(a.takes)
						return answer{at, a.text}, nil
					})
					value := got.Value
					if err != nil || value.text != q.Text || value.at.Before(q.Since) || came.Sub(value.at) > q.Interval/2 || !got.At.Equal(value.at) {
						t.Errorf("asked %+v after %s, got %+v, %v", q, came.Sub(begin), got, err)
					}
				})
			}
			group.Wait()
		})
	})
}

// One address that does not answer holds up nobody who asks another one, and at most some at a time ask it.
func TestAsk_slowAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDesk(t)
		var asked, most, now atomic.Int32
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				_, _ = Ask(t.Context(), d, about("slow", fmt.Sprint(i)), func(ctx context.Context) (time.Time, error) {
					if n := now.Add(1); n > most.Load() {
						most.Store(n)
					}
					defer now.Add(-1)
					return silence(&asked)(ctx)
				})
			})
		}
		synctest.Wait()
		began := time.Now()
		for i := range 100 {
			if _, err := Ask(t.Context(), d, about("quick", fmt.Sprint(i)), clocked(&atomic.Int32{}, time.Millisecond)); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("another address took %s", took)
		}
		group.Wait()
		if most.Load() != share {
			t.Errorf("%d questions at a time, want %d", most.Load(), share)
		}
	})
}

// An address that is silent is asked by one at a time, who find out when it is back; nobody is told of the same outage twice.
func TestAsk_silentAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDesk(t)
		var asked atomic.Int32
		var up atomic.Bool
		server := func(ctx context.Context) (time.Time, error) {
			if up.Load() {
				return clocked(&asked, time.Millisecond)(ctx)
			}
			return silence(&asked)(ctx)
		}
		ask := func(text string) (took time.Duration, err error) {
			began := time.Now()
			_, err = Ask(t.Context(), d, about("m", text), server)
			return time.Since(began), err
		}
		for i := range silentAfter {
			if took, err := ask(fmt.Sprint("first", i)); took != 10*time.Second || !errors.Is(err, errSlow) {
				t.Errorf("the first questions took %s: %v", took, err)
			}
		}
		for i := range 1000 {
			if took, err := ask(fmt.Sprint(i)); took != 0 || !errors.Is(err, errSlow) {
				t.Fatalf("in the outage a question took %s: %v", took, err)
			}
		}
		if asked.Load() != silentAfter {
			t.Errorf("asked %d times, want %d", asked.Load(), silentAfter)
		}
		time.Sleep(16 * time.Second)
		up.Store(true)
		for i := range 3 {
			if _, err := ask(fmt.Sprint(i)); err != nil {
				t.Errorf("the address is back, but: %v", err)
			}
		}
	})
}

// One slow query among others does not make an address silent.
func TestAsk_slowQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDesk(t)
		var asked atomic.Int32
		for i := range 10 {
			if _, err := Ask(t.Context(), d, about("m", fmt.Sprint("slow", i)), silence(&asked)); !errors.Is(err, errSlow) {
				t.Error(err)
			}
			if _, err := Ask(t.Context(), d, about("m", fmt.Sprint("quick", i)), clocked(&asked, 0)); err != nil {
				t.Error(err)
			}
		}
		if asked.Load() != 20 {
			t.Errorf("asked %d times, want 20", asked.Load())
		}
	})
}

// A question goes on while anybody waits for it, and ends with the last who does; then it is asked anew.
func TestAsk_givenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDesk(t)
		var asked, ended atomic.Int32
		by := func(ctx context.Context) (time.Time, error) {
			defer ended.Add(1)
			return clocked(&asked, 5*time.Second)(ctx)
		}
		wait := func(patience time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := Ask(ctx, d, about("m", "up"), by)
			return err
		}
		var group sync.WaitGroup
		group.Go(func() {
			if err := wait(time.Second); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who gave up got %v", err)
			}
		})
		group.Go(func() {
			if err := wait(time.Minute); err != nil {
				t.Errorf("who waited got %v", err)
			}
		})
		group.Wait()
		time.Sleep(time.Minute)
		if err := wait(time.Second); err == nil {
			t.Error("an answer before its time")
		}
		synctest.Wait()
		if asked.Load() != 2 || ended.Load() != 2 {
			t.Errorf("asked %d times, %d ended; want 2 and 2", asked.Load(), ended.Load())
		}
		if err := wait(time.Minute); err != nil || asked.Load() != 3 {
			t.Errorf("after it was given up: asked %d times, %v; want 3", asked.Load(), err)
		}
	})
}

// Where a turn does not come in time, that is said; and what is kept stays bounded.
func TestAsk_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDesk(t)
		var group sync.WaitGroup
		for i := range share + 1 {
			group.Go(func() {
				_, err := Ask(t.Context(), d, about("m", fmt.Sprint(i)), clocked(&atomic.Int32{}, 30*time.Second))
				if provider, ok := errors.AsType[*query.ProviderError](err); err != nil && (!ok || i < 0 || provider.Err != nil) {
					t.Errorf("got %v, want a ProviderError", err)
				}
			})
		}
		group.Wait()
		if got := d.answers.Len(); got != share {
			t.Errorf("%d answers are kept, want those %d whose turn came", got, share)
		}
		for i := range 2 * maxAnswers {
			_, _ = Ask(t.Context(), d, about(fmt.Sprint("m", i), "up"), clocked(&atomic.Int32{}, 0))
		}
		if d.answers.Len() > maxAnswers || d.lanes.Len() > maxAddresses || len(d.asking) != 0 {
			t.Errorf("%d answers, %d addresses, %d questions are kept", d.answers.Len(), d.lanes.Len(), len(d.asking))
		}
	})
}

// Errors count by what they are.
func TestAsk_results(t *testing.T) {
	d, _ := newDesk(t)
	for i, err := range []error{nil, &query.NoDataError{Reason: "none"}, &query.ProviderError{Reason: "bad"}, errors.New("bad")} {
		if _, got := Ask(t.Context(), d, about("m", fmt.Sprint(i)), func(context.Context) (int, error) { return 1, err }); !errors.Is(got, err) {
			t.Errorf("got %v, want %v", got, err)
		}
	}
	for result, want := range map[string]float64{"answered": 1, "no_data": 1, "error": 2} {
		if got := testutil.ToFloat64(d.metrics.questions.WithLabelValues(Prometheus, result)); got != want {
			t.Errorf("%g questions with %s, want %g", got, result, want)
		}
	}
	if _, err := New(time.Now, prometheus.NewRegistry()); err != nil {
		t.Error(err)
	}
}
