// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/store"
)

var shopKey = types.NamespacedName{Namespace: "mobile", Name: "shop"}

// moody is a bucket that is there, away, or takes what is put and does not say so.
type moody struct {
	*bucket
	mood string
}

func (m *moody) Get(ctx context.Context, key string, limit int64) ([]byte, store.Object, error) {
	if m.mood == "away" {
		return nil, store.Object{}, errDead
	}
	return m.bucket.Get(ctx, key, limit)
}

func (m *moody) PutImmutable(ctx context.Context, key string, content []byte, kind string) error {
	switch m.mood {
	case "away":
		return errDead
	case "mute":
		if err := m.bucket.PutImmutable(ctx, key, content, kind); err != nil {
			return err
		}
		return errDead
	}
	return m.bucket.PutImmutable(ctx, key, content, kind)
}

func (m *moody) ListAfter(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	if m.mood == "away" {
		return func(yield func(store.Object, error) bool) { yield(store.Object{}, errDead) }
	}
	return m.bucket.ListAfter(ctx, prefix, after)
}

// object is one whose status a manager writes.
type object struct {
	*otav1alpha1.Rollout
	b       *moody
	l       *Log
	version int
	now     time.Time
}

func (o *object) restart(t *testing.T) {
	o.l = idle(t, o.b)
	o.l.cfg.Now = func() time.Time { return o.now }
}

// pass is a reconcile: one status write, which can fail, and what is submitted after it.
func (o *object) pass(written bool, told ...kit.Event) bool {
	box := Outbox{Logs: oneLog{o.l}}
	o.now = o.now.Add(time.Second)
	next := box.Next(about(o), o.Status.Unrecorded, told, o.now)
	if written {
		o.version++
		o.Status.Unrecorded, o.ResourceVersion = next, fmt.Sprint(o.version)
		box.Submit(about(o), next)
	}
	return written
}

// However often the bucket is away or does not answer, the manager starts again and writes of the status fail: the log has each transition
// once, by itself or as a sentence of a fold, and holds no more than what one object may ask for.
func TestOutageTellsEachTransitionOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := &object{Rollout: shop(), b: &moody{bucket: newBucket()}, now: epoch}
		o.restart(t)
		for i := 0; i < 100; {
			o.b.mood = rapid.SampledFrom([]string{"away", "away", "away", "away", "mute", ""}).Draw(rt, "mood")
			if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
				o.restart(t)
			}
			for range rapid.IntRange(1, 30).Draw(rt, "transitions") {
				if i < 100 && o.pass(rapid.IntRange(0, 9).Draw(rt, "written") > 0, kit.Event{Reason: "CommandRefused", Note: fmt.Sprintf("command %d.", i)}) {
					i++
				}
				if rapid.Bool().Draw(rt, "works") {
					_ = o.l.round()
				}
				if n := o.l.State().Waiting; n > maxSubmitted {
					rt.Fatalf("the log holds %d records of one object", n)
				}
			}
		}
		o.b.mood = ""
		if rapid.Bool().Draw(rt, "restart at the end") {
			o.restart(t)
		}
		for range 10 {
			o.pass(true)
			rounds(t, o.l)
		}
		if len(o.Status.Unrecorded) > 0 {
			rt.Fatalf("%d transitions wait on", len(o.Status.Unrecorded))
		}
		once(rt, o.b.bucket)
	})
}

// once demands that a log is whole and tells each of a hundred transitions once.
func once(t *rapid.T, b *bucket) {
	v, sentences := NewVerifier(1), []string(nil)
	for _, line := range b.lines() {
		r, _ := v.Add(0, line)
		sentences = append(sentences, slices.Concat([]string{r.Message}, r.Evidence)...)
	}
	all := strings.Join(sentences, "\n")
	for i := range 100 {
		if n := strings.Count(all, fmt.Sprintf("command %d.", i)); n != 1 {
			t.Fatalf("transition %d is told %d times:\n%s", i, n, all)
		}
	}
	if faults := v.Report().Faults; len(faults) > 0 {
		t.Fatalf("faults %v", faults)
	}
}

// An object changes hands, or loses its Channel, while something waits: it goes into the log of the Repository where it happened.
func TestWaitsForTheRepositoryWhereItHappened(t *testing.T) {
	here, there := newBucket(), newBucket()
	logs := twoLogs{"default": idle(t, here), "other": idle(t, there)}
	o := Outbox{Logs: logs}
	waiting := o.Next(about(shop()), nil, []kit.Event{event("Paused")}, epoch)
	for _, now := range []string{"other", ""} {
		s := about(shop())
		s.App, s.Channel, s.Repository.Name = "", "", now
		o.Submit(s, waiting)
		rounds(t, logs["default"])
		if got := o.Next(s, waiting, nil, epoch); got != nil {
			t.Errorf("with the Repository %q: %+v waits", now, got)
		}
	}
	whole(t, here, waiting[0].ID)
	got, err := logs["default"].Read(t.Context(), 1, 1)
	if err != nil || len(got) != 1 || got[0].App != "com.example.shop" || got[0].Channel != "production" || len(there.lines()) > 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

type twoLogs map[string]*Log

func (l twoLogs) For(repository types.NamespacedName) (*Log, bool) {
	log, ok := l[repository.Name]
	return log, ok
}
