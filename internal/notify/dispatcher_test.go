// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const (
	secret = "for tests only: 32 random bytes."
	// impatience is how long tests wait for a receiver that hangs.
	impatience = 100 * time.Millisecond
)

var home = types.NamespacedName{Namespace: "mobile", Name: "default"}

// tape is an audit log in memory.
type tape struct {
	mu      sync.Mutex
	records []audit.Record
	err     error
}

func (l *tape) add(action string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := record(int64(len(l.records)) + 1)
	r.ID, r.Action = fmt.Sprintf("id-%d", r.Sequence), action
	l.records = append(l.records, r)
}

func (l *tape) Head() audit.Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return audit.Head{Sequence: int64(len(l.records))}
}

func (l *tape) Read(_ context.Context, from int64, limit int) ([]audit.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || from > int64(len(l.records)) {
		return nil, l.err
	}
	rest := l.records[from-1:]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

// inbox is a receiver. It verifies what it gets as the specification says, by code of its own.
type inbox struct {
	*httptest.Server
	tb    testing.TB
	fault func(w http.ResponseWriter, r *http.Request) (answered bool) // when nil, none

	mu       sync.Mutex
	order    []string // ids as they came first
	requests map[string]int
	bodies   map[string]string
}

func newInbox(tb testing.TB) *inbox {
	in := &inbox{tb: tb, requests: map[string]int{}, bodies: map[string]string{}}
	in.Server = httptest.NewServer(in)
	tb.Cleanup(in.Close)
	return in
}

// ServeHTTP implements http.Handler: a fault may strike before the event is taken in, or after it.
func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	late := rand.IntN(2) == 0
	if !late && in.fault != nil && in.fault(w, r) {
		return
	}
	in.take(r, string(raw))
	if late && in.fault != nil && in.fault(w, r) {
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (in *inbox) take(r *http.Request, body string) {
	id, stamp := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	if got, want := r.Header.Get("webhook-signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
		in.tb.Errorf("%s is signed %s, want %s", id, got, want)
	}
	var e struct{ ID, Type string }
	if err := json.Unmarshal([]byte(body), &e); err != nil || e.ID != id || !strings.HasPrefix(e.Type, TypePrefix) {
		in.tb.Errorf("%s is no event of that id: %v, %+v", id, err, e)
	}
	if got := r.Header.Get("Content-Type"); got != ContentType {
		in.tb.Errorf("content type %s", got)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.requests[id] == 0 {
		in.order, in.bodies[id] = append(in.order, id), body
	}
	in.requests[id]++
	if in.bodies[id] != body {
		in.tb.Errorf("%s came with two bodies:\n%s\n%s", id, in.bodies[id], body)
	}
}

func (in *inbox) got() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.order)
}

// world is a Repository whose manager can be ended at any time.
type world struct {
	testing.TB
	log       *tape
	receivers []Receiver
	timeout   time.Duration

	mu     sync.Mutex
	status map[string]State // as it was written last
	d      *Dispatcher
	stop   func()
}

func newWorld(tb testing.TB, receivers ...Receiver) *world {
	w := &world{TB: tb, log: &tape{}, receivers: receivers, timeout: Timeout, status: map[string]State{}}
	tb.Cleanup(func() { w.stop() })
	return w
}

// start begins where the status is. A status is written after a delivery in most cases only, as a manager that is killed may not get to it.
func (w *world) start(writes func() bool) {
	poster := &Poster{http: fetch.New(testkit.Loopback(), w.timeout), now: time.Now}
	var d *Dispatcher
	d = NewDispatcher(Config{
		Log:  func(types.NamespacedName) (Log, bool) { return w.log, true },
		Key:  func(context.Context, types.NamespacedName, string) (Key, error) { return ParseKey([]byte(secret)) },
		Post: poster.Post, Now: time.Now, Backoff: func(int) time.Duration { return time.Millisecond },
		Changed: func(at types.NamespacedName) {
			if writes() {
				w.write(d, at)
			}
		},
	})
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Start(ctx) }()
	w.d, w.stop = d, func() { cancel(); <-done }
	w.serve()
}

func (w *world) write(d *Dispatcher, at types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.receivers {
		if st, ok := d.State(at, r.Name); ok {
			w.status[r.Name] = st
		}
	}
}

func (w *world) serve() {
	w.mu.Lock()
	known := make([]State, len(w.receivers))
	for i, r := range w.receivers {
		known[i] = w.status[r.Name]
	}
	w.mu.Unlock()
	w.d.Serve(home, w.receivers, known)
}

func (w *world) until(what string, holds func() bool) {
	w.Helper()
	limit := time.Now().Add(2 * time.Minute)
	for !holds() {
		if time.Now().After(limit) {
			w.Fatalf("it did not come to: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func always() bool { return true }

func ids(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("id-%d", i+1))
	}
	return out
}

// strike is a fault of some kind.
func strike(w http.ResponseWriter, r *http.Request, kind int) {
	switch kind {
	case 0:
		panic(http.ErrAbortHandler) // the connection is dropped
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
	case 2:
		w.WriteHeader(http.StatusTooManyRequests)
	case 3:
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("half"))
	case 4:
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	default:
		<-r.Context().Done() // no answer in time
	}
}

// With a thousand faults of receiver and manager, each record comes in order, and never with another id or another body.
func TestDispatcher_faults(t *testing.T) {
	const records, faults = 400, 1000
	rng := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	struck := 0
	next := func(n int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(n) }
	in := newInbox(t)
	in.fault = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		strikes, kind := struck < faults && rng.IntN(4) > 0, rng.IntN(50) // one in ten is slow: it costs the test's time
		if strikes {
			struck++
		}
		mu.Unlock()
		if strikes {
			strike(w, r, min(kind/9, 5))
		}
		return strikes
	}
	w := newWorld(t, Receiver{Name: "ops", URL: in.URL + "/hook", Secret: "hook"})
	w.timeout = impatience
	w.start(func() bool { return next(3) > 0 })
	restarts := 0
	for i := range records {
		w.log.add("RollingBack")
		w.serve()
		if next(4) == 0 {
			w.until("some delivery", func() bool { return len(in.got()) > i/2 })
			w.stop()
			w.start(func() bool { return next(3) > 0 })
			restarts++
		}
	}
	w.until("all are delivered", func() bool { st, _ := w.d.State(home, "ops"); return st.Delivered == records })
	if got := in.got(); !slices.Equal(got, ids(records)) {
		t.Errorf("events came in this order: %v", got)
	}
	t.Logf("%d faults, %d restarts", struck, restarts)
	if struck < faults/2 || restarts < records/8 {
		t.Errorf("%d faults and %d restarts are too few to tell", struck, restarts)
	}
}

// Without faults there is one request a record and receiver, and receivers get what they ask for.
func TestDispatcher_calm(t *testing.T) {
	const records, wanted = 200, 100 // every other one, those of the log about itself among them
	all, some := newInbox(t), newInbox(t)
	w := newWorld(t, Receiver{Name: "all", URL: all.URL, Secret: "hook"}, Receiver{Name: "some", URL: some.URL, Secret: "hook", Actions: []string{"RolledBack"}})
	w.start(always)
	for i := range records {
		w.log.add([]string{"RolledBack", "Completed", audit.FoldedAction, "Completed", audit.DamagedAction, "Completed"}[i%6])
		w.serve()
	}
	w.until("all are delivered", func() bool {
		a, _ := w.d.State(home, "all")
		b, _ := w.d.State(home, "some")
		return a.Delivered == records && b.Delivered == records
	})
	w.stop() // what was written is enough for the next manager
	w.start(always)
	w.log.add("RolledBack")
	w.serve()
	w.until("the next one comes", func() bool { return len(all.got()) == records+1 && len(some.got()) == wanted+1 })
	for _, in := range []*inbox{all, some} {
		for id, n := range in.requests {
			if n != 1 {
				t.Errorf("%s came %d times", id, n)
			}
		}
	}
}

// A receiver that hangs delays nobody else, and its own events wait for it.
func TestDispatcher_slow(t *testing.T) {
	slow, quick := newInbox(t), newInbox(t)
	var mu sync.Mutex
	hangs := true
	slow.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		h := hangs
		mu.Unlock()
		if h {
			<-r.Context().Done()
		}
		return h
	}
	w := newWorld(t, Receiver{Name: "slow", URL: slow.URL, Secret: "hook"}, Receiver{Name: "quick", URL: quick.URL, Secret: "hook"})
	w.timeout = impatience
	w.start(always)
	for range 50 {
		w.log.add("Completed")
	}
	w.serve()
	w.until("the quick one has all", func() bool { return len(quick.got()) == 50 })
	w.until("the slow one is told of", func() bool { st, _ := w.d.State(home, "slow"); return st.Message != "" })
	st, _ := w.d.State(home, "slow")
	if st.Delivered != 0 || st.Since.IsZero() || !strings.Contains(st.Message, "did not answer in time") {
		t.Errorf("state %+v", st)
	}
	mu.Lock()
	hangs = false
	mu.Unlock()
	w.until("the slow one has all", func() bool {
		st, _ := w.d.State(home, "slow")
		return st.Delivered == 50 && st.Message == "" && st.Since.IsZero()
	})
}

// A Repository whose receivers all hang, and one whose log does, leave workers for the others.
func TestDispatcher_share(t *testing.T) {
	log, stuck := &tape{}, &hung{}
	log.add("Completed")
	const quick = "quick"
	var mu sync.Mutex
	at, most, delivered := 0, 0, map[string]int{}
	hangs := make(chan struct{})
	d := NewDispatcher(Config{
		Log: func(at types.NamespacedName) (Log, bool) {
			if at.Name == "stuck" {
				return stuck, true
			}
			return log, true
		},
		Key: func(context.Context, types.NamespacedName, string) (Key, error) { return Key{}, nil },
		Post: func(ctx context.Context, url string, _ Key, _ audit.Record) error {
			mu.Lock()
			if delivered[url]++; url == quick {
				mu.Unlock()
				return nil
			}
			at++
			most = max(most, at)
			mu.Unlock()
			select {
			case <-hangs:
			case <-ctx.Done():
			}
			mu.Lock()
			at--
			mu.Unlock()
			return ctx.Err()
		},
		Changed: func(types.NamespacedName) {}, Now: time.Now, Turn: impatience, Backoff: func(int) time.Duration { return time.Millisecond },
	})
	w := &world{TB: t, d: d}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Start(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	var slow []Receiver
	for i := range 2 * workers {
		slow = append(slow, Receiver{Name: fmt.Sprint("slow-", i), URL: fmt.Sprint("slow-", i)})
	}
	d.Serve(types.NamespacedName{Name: "slow"}, slow, make([]State, len(slow)))
	d.Serve(types.NamespacedName{Name: "stuck"}, slow, make([]State, len(slow)))
	w.until("the share of the slow ones is used", func() bool { mu.Lock(); defer mu.Unlock(); return at == share })
	d.Serve(home, []Receiver{{Name: quick, URL: quick}}, []State{{}})
	w.until("the quick one is served", func() bool { st, _ := d.State(home, quick); return st.Delivered == 1 })
	w.until("each receiver of the log that hangs is told of", func() bool {
		return !slices.ContainsFunc(slow, func(r Receiver) bool {
			st, _ := d.State(types.NamespacedName{Name: "stuck"}, r.Name)
			return !strings.Contains(st.Message, "expected the audit log to give record 1 within 100ms")
		})
	})
	close(hangs)
	w.until("each of the slow ones has its turn", func() bool {
		return !slices.ContainsFunc(slow, func(r Receiver) bool {
			st, _ := d.State(types.NamespacedName{Name: "slow"}, r.Name)
			return st.Delivered != 1
		})
	})
	mu.Lock()
	defer mu.Unlock()
	if most != share {
		t.Errorf("%d deliveries of one Repository at a time, want %d", most, share)
	}
	for url, n := range delivered {
		if n != 1 {
			t.Errorf("%s got the event %d times", url, n)
		}
	}
}

// hung is a log whose bucket does not answer.
type hung struct{}

func (*hung) Head() audit.Head { return audit.Head{Sequence: 1} }

func (*hung) Read(ctx context.Context, _ int64, _ int) ([]audit.Record, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// The turn of a receiver ends, however slow it is, and what it has been sent is not sent again.
func TestDispatcher_turnEnds(t *testing.T) {
	log, sent := &tape{}, 0
	for range 3 {
		log.add("Completed")
	}
	var over chan struct{}
	d := NewDispatcher(Config{
		Key: func(context.Context, types.NamespacedName, string) (Key, error) { return Key{}, nil },
		Post: func(context.Context, string, Key, audit.Record) error {
			sent++
			close(over) // while the event is under way
			return nil
		},
		Changed: func(types.NamespacedName) {}, Now: time.Now,
	})
	ops := Receiver{Name: "ops"}
	d.Serve(home, []Receiver{ops}, []State{{}})
	for turns := 1; turns <= 3; turns++ {
		over = make(chan struct{})
		rest, _ := log.Read(t.Context(), int64(turns), batch)
		err := d.deliver(t.Context(), turn{address{home, "ops"}, ops, over}, rest)
		if st, _ := d.State(home, "ops"); err != nil || int(st.Delivered) != turns || sent != turns {
			t.Fatalf("after %d turns: %d sent, %+v, %v", turns, sent, st, err)
		}
	}
}

// A receiver that is gone is left alone until somebody changes it.
func TestDispatcher_gone(t *testing.T) {
	in := newInbox(t)
	var mu sync.Mutex
	asked := 0
	in.fault = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/old" {
			asked++
			w.WriteHeader(http.StatusGone)
			return true
		}
		return false
	}
	w := newWorld(t, Receiver{Name: "ops", URL: in.URL + "/old", Secret: "hook"})
	w.start(always)
	w.log.add("Completed")
	w.serve()
	w.until("it is told of", func() bool { st, _ := w.d.State(home, "ops"); return strings.Contains(st.Message, "status 410") })
	for range 20 {
		w.log.add("Completed")
		w.serve()
	}
	w.receivers[0].URL = in.URL + "/new"
	w.serve()
	w.until("all are delivered", func() bool { st, _ := w.d.State(home, "ops"); return st.Delivered == 21 && st.Message == "" })
	mu.Lock()
	defer mu.Unlock()
	if asked != 1 {
		t.Errorf("a receiver that is gone was asked %d times", asked)
	}
	w.d.Serve(home, nil, nil)
	if _, ok := w.d.State(home, "ops"); ok {
		t.Error("a receiver that was removed is still served")
	}
}

// What is wrong with Secret or log is told, and nothing is sent.
func TestDispatcher_unsigned(t *testing.T) {
	log := &tape{err: errors.New("the bucket is away")}
	log.add("Completed")
	no := errors.New("there is no Secret hook")
	d := NewDispatcher(Config{
		Log:     func(types.NamespacedName) (Log, bool) { return log, true },
		Key:     func(context.Context, types.NamespacedName, string) (Key, error) { return Key{}, no },
		Post:    func(context.Context, string, Key, audit.Record) error { t.Error("it was sent"); return nil },
		Changed: func(types.NamespacedName) {}, Now: time.Now,
	})
	d.Serve(home, []Receiver{{Name: "ops"}}, []State{{}})
	for _, want := range []string{"the bucket is away", no.Error()} {
		d.turn(t.Context(), address{home, "ops"})
		if st, _ := d.State(home, "ops"); st.Message != want {
			t.Errorf("message %q, want %q", st.Message, want)
		}
		log.err = nil
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 10: lastBackoff, 1000: lastBackoff} {
		for range 20 {
			if got := backoff(failures); got < want*3/4 || got > want*5/4 {
				t.Errorf("after %d failures the next try is after %s, want about %s", failures, got, want)
			}
		}
	}
}
