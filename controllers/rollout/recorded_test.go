// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// records is a bucket in memory.
type records struct {
	mu      sync.Mutex
	objects map[string][]byte
	lose    bool // the next put takes effect, and its answer gets lost
	deaf    bool // no put takes effect
}

func (b *records) Get(_ context.Context, key string, _ int64) ([]byte, store.Object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if raw, ok := b.objects[key]; ok {
		return raw, store.Object{Key: key}, nil
	}
	return nil, store.Object{}, store.ErrNotExist
}

func (b *records) PutImmutable(_ context.Context, key string, content []byte, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, ok := b.objects[key]
	switch {
	case b.deaf:
		return errors.New("the bucket is away")
	case ok && !bytes.Equal(old, content):
		return store.ErrDifferent
	}
	b.objects[key] = bytes.Clone(content)
	if b.lose {
		b.deaf = true
		return errors.New("the answer got lost")
	}
	return nil
}

func (b *records) ListAfter(_ context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	b.mu.Lock()
	keys := slices.Sorted(maps.Keys(b.objects))
	b.mu.Unlock()
	return func(yield func(store.Object, error) bool) {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && key > after && !yield(store.Object{Key: key}, nil) {
				return
			}
		}
	}
}

type logs struct{ log *audit.Log }

func (l logs) For(types.NamespacedName) (*audit.Log, bool) { return l.log, l.log != nil }

// manager gives the world a log with what one manager has in memory. wait returns once it has nothing to do, or meets an error.
func (w *world) manager(b *records) (wait func(), kill func()) {
	l := audit.Open(w.Context(), audit.Config{Bucket: b, Now: func() time.Time { return w.now }})
	w.Outbox = audit.Outbox{Logs: logs{l}}
	wait = func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for l.State().Waiting > 0 && l.State().Err == nil {
			select {
			case <-w.Context().Done():
				w.Fatal("the log does not come to an end")
			case <-tick.C:
			}
		}
	}
	return wait, l.Close
}

// The manager is killed at each step between the status write that has a transition and the one that drops it. The next one ends up with one
// record of it.
func TestTransitionIsRecordedOnceWheneverTheManagerIsKilled(t *testing.T) {
	for name, killed := range map[string]func(w *world, b *records){
		"never": func(w *world, b *records) {
			wait, kill := w.manager(b)
			w.reconcile("shop")
			wait()
			kill()
		},
		"before the write": func(w *world, b *records) {
			_, kill := w.manager(b)
			w.lost = errors.New("killed")
			w.reconcile("shop")
			w.lost = nil
			kill()
		},
		"after the write, before it submits": func(w *world, _ *records) {
			w.Outbox = audit.Outbox{Logs: logs{}}
			w.reconcile("shop")
		},
		"after it submitted, before the log appends": func(w *world, b *records) {
			b.deaf = true
			wait, kill := w.manager(b)
			w.reconcile("shop")
			wait()
			kill()
		},
		"while the log appends": func(w *world, b *records) {
			b.lose = true
			wait, kill := w.manager(b)
			w.reconcile("shop")
			wait()
			kill()
		},
		"after the log appended, before the next write": func(w *world, b *records) {
			wait, kill := w.manager(b)
			w.reconcile("shop")
			wait()
			w.lost = errors.New("killed")
			w.reconcile("shop")
			w.lost = nil
			kill()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := &records{objects: map[string][]byte{}}
			w := single(t, func(*otav1alpha1.Rollout, *otav1alpha1.Channel) {})
			wait, kill := w.manager(b)
			w.begin("shop")
			wait()
			kill()
			w.stages = []eprocess.Stage{arms(1, 2000, 910, 18000, 180)}
			w.now = w.now.Add(10 * time.Second)
			killed(w, b)

			b.lose, b.deaf = false, false
			wait, kill = w.manager(b)
			defer kill()
			var r *otav1alpha1.Rollout
			for range 4 {
				r, _ = w.reconcile("shop")
				wait()
			}
			if r.Status.Release.State != otav1alpha1.ReleaseRollingBack || len(r.Status.Unrecorded) > 0 {
				t.Fatalf("%s, and %d transitions wait", r.Status.Release.State, len(r.Status.Unrecorded))
			}
			v, told := audit.NewVerifier(1), map[string]int{}
			for _, key := range slices.Sorted(maps.Keys(b.objects)) {
				rec, _ := v.Add(0, b.objects[key])
				told[rec.Action]++
				if rec.Action == "RollingBack" && (rec.Candidate == nil || rec.Candidate.Failures != 910 || len(rec.Evidence) != 1 || rec.Channel != "production") {
					t.Errorf("the record lacks what it rests on: %+v", rec)
				}
			}
			if faults := v.Report().Faults; len(faults) > 0 || told["ReleaseStarted"] != 1 || told["Progressing"] != 1 || told["RollingBack"] != 1 {
				t.Errorf("told %v, faults %v", told, faults)
			}
		})
	}
}

// The Channel goes first, while the log cannot be written: what the Rollout has to tell still gets into the log, and then it goes.
func TestTransitionsAreRecordedAfterTheChannelIsGone(t *testing.T) {
	b := &records{objects: map[string][]byte{}, deaf: true}
	w := single(t, func(*otav1alpha1.Rollout, *otav1alpha1.Channel) {})
	_, kill := w.manager(b)
	r := w.begin("shop")
	kill()
	if len(r.Status.Unrecorded) == 0 {
		t.Fatal("nothing waits")
	}
	ch := channel(r.Spec.ChannelRef.Name, "")
	if err := errors.Join(w.client.Delete(w.Context(), ch), w.client.Delete(w.Context(), r)); err != nil {
		t.Fatal(err)
	}
	b.deaf = false
	wait, kill := w.manager(b)
	defer kill()
	if left, _ := w.reconcile("shop"); len(left.Finalizers) == 0 {
		t.Fatal("the Rollout goes before its transitions are recorded")
	}
	wait()
	if _, err := w.Reconcile(w.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(r)}); err != nil {
		t.Fatal(err)
	}
	if err := w.client.Get(w.Context(), client.ObjectKeyFromObject(r), &otav1alpha1.Rollout{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Rollout is still there: %v", err)
	}
	var told []string
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		rec, err := audit.Decode(b.objects[key])
		if err != nil || rec.App != testkit.App || rec.Channel != "production" {
			t.Errorf("record %+v, %v", rec, err)
		}
		told = append(told, rec.Action)
	}
	if len(told) != len(r.Status.Unrecorded)+1 || told[len(told)-1] != "Deleted" {
		t.Errorf("told %v, %d waited", told, len(r.Status.Unrecorded))
	}
}
