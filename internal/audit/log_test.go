// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/store"
)

func happened(i int) Record {
	return Record{ID: fmt.Sprintf("uid.%d", i), At: epoch.Add(time.Duration(i) * time.Minute), Kind: "Rollout", Namespace: "mobile", Name: "shop", Action: "Progressing"}
}

// idle is a log whose work the test does itself, and whose clock is a minute after the last of what happened.
func idle(t *testing.T, b Bucket, anchors ...Anchor) *Log {
	t.Helper()
	l := newLog(t.Context(), Config{Bucket: b, Anchors: anchors, Now: func() time.Time { return epoch.Add(time.Hour) },
		Owner: Record{Kind: "Repository", Namespace: "mobile", Name: "default", UID: "repository"}})
	l.working = true
	return l
}

func rounds(t *testing.T, l *Log) {
	t.Helper()
	for first := true; first || l.State().Waiting > 0; first = false {
		if err := l.round(); err != nil {
			t.Fatal(err)
		}
	}
}

// whole demands that a log verifies and has these ids, each once, in this order.
func whole(t *testing.T, b *bucket, ids ...string) {
	t.Helper()
	v := NewVerifier(1)
	var got []string
	for _, line := range b.lines() {
		r, _ := v.Add(0, line)
		got = append(got, r.ID)
	}
	if faults := v.Report().Faults; len(faults) > 0 || !slices.Equal(got, ids) {
		t.Fatalf("the log has %v, want %v; faults %v", got, ids, faults)
	}
}

func TestAppend(t *testing.T) {
	b := newBucket()
	l := idle(t, b)
	l.Submit(happened(1), happened(2))
	l.Submit(happened(2), happened(3))
	if l.Recorded("uid.1") || l.State().Waiting != 3 {
		t.Errorf("before: recorded %v, waiting %d", l.Recorded("uid.1"), l.State().Waiting)
	}
	var woken []Ref
	l.cfg.Notify = func(refs []Ref) { woken = append(woken, refs...) }
	l.cfg.MetadataVersion = func() int64 { return 42 }
	rounds(t, l)
	whole(t, b, "uid.1", "uid.2", "uid.3")
	if len(woken) != 3 || woken[0] != (Ref{"Rollout", types.NamespacedName{Namespace: "mobile", Name: "shop"}}) || !l.Recorded("uid.3") {
		t.Errorf("woken %v", woken)
	}
	got, err := l.Read(t.Context(), 2, 10)
	if err != nil || len(got) != 2 || got[0].ID != "uid.2" || got[1].MetadataVersion != 42 || got[1].Hash != l.Head().Hash {
		t.Errorf("read %+v, %v", got, err)
	}
	if got, err := l.Read(t.Context(), 4, 10); len(got) > 0 || err != nil {
		t.Errorf("after the end: read %+v, %v", got, err)
	}
	again := idle(t, b, Anchor{Head: l.Head(), Source: "status.audit"})
	again.Submit(happened(3), happened(4), happened(1))
	rounds(t, again)
	whole(t, b, "uid.1", "uid.2", "uid.3", "uid.4")
}

// A manager is killed at every call to the bucket, before the call and after it: the next one ends up with each record once.
func TestKilledAtEveryCall(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			b := newBucket()
			head := func() Anchor { l := idle(t, b); rounds(t, l); return Anchor{Head: l.Head(), Source: "status.audit"} }
			first := idle(t, b)
			first.Submit(happened(1))
			rounds(t, first)

			m := &mortal{bucket: b, dieAt: at, after: after}
			dying := idle(t, m, head())
			dying.Submit(happened(1), happened(2), happened(3))
			err := dying.round()
			next := idle(t, b, head())
			next.Submit(happened(1), happened(2), happened(3), happened(4))
			rounds(t, next)
			whole(t, b, "uid.1", "uid.2", "uid.3", "uid.4")
			if err == nil {
				if at < 4 {
					t.Fatalf("only %d calls were made", at)
				}
				break
			}
			if !errors.Is(err, errDead) {
				t.Fatal(err)
			}
		}
	}
}

// An answer that got lost, and a record that is tried again at another time: it is there once.
func TestLostAnswer(t *testing.T) {
	b := newBucket()
	m := &mortal{bucket: b, dieAt: 2, after: true} // the first call lists
	l := idle(t, m)
	l.Submit(happened(1))
	if err := l.round(); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	l.cfg.Bucket, l.cfg.Now = b, func() time.Time { return epoch.Add(2 * time.Hour) }
	rounds(t, l)
	whole(t, b, "uid.1")
}

// Two managers believe that they lead, and both have what the other one has: the log does not fork, and nothing is told twice.
func TestTwoWriters(t *testing.T) {
	b := newBucket()
	var logs []*Log
	for range 2 {
		logs = append(logs, Open(t.Context(), Config{Bucket: b, Now: func() time.Time { return epoch.Add(time.Hour) }}))
	}
	var group sync.WaitGroup
	var want []string
	for i := range 50 {
		want = append(want, happened(i).ID)
		for _, l := range logs {
			group.Go(func() { l.Submit(happened(i)) })
		}
	}
	group.Wait()
	for _, l := range logs {
		l.done.Wait() // ends when nothing is queued
		l.Close()
	}
	v, got := NewVerifier(1), []string(nil)
	for _, line := range b.lines() {
		r, _ := v.Add(0, line)
		got = append(got, r.ID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if faults := v.Report().Faults; len(faults) > 0 || !slices.Equal(got, want) {
		t.Errorf("got %v, want %v; faults %v", got, want, faults)
	}
}

// Between our last record and our next one another writer puts one: ours comes after it.
func TestAnotherWritersRecordIsTakenIn(t *testing.T) {
	b := newBucket()
	l := idle(t, b)
	l.Submit(happened(1), happened(2), happened(3))
	other := idle(t, b)
	other.Submit(happened(1), happened(3), happened(9))
	b.before = func(key string) {
		if key == Key(2) {
			b.before = nil
			rounds(t, other)
		}
	}
	rounds(t, l)
	whole(t, b, "uid.1", "uid.3", "uid.9", "uid.2")
}

// What somebody did to the bucket is told by the log itself, and the log goes on without using a sequence again.
func TestDamageIsTold(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(b *bucket)
		want   string
		next   int64
	}{
		"cut off":  {func(b *bucket) { delete(b.objects, Key(3)); delete(b.objects, Key(2)) }, "record 3: is missing", 4},
		"all gone": {func(b *bucket) { clear(b.objects) }, "record 3: is missing", 4},
		"last changed": {func(b *bucket) {
			b.objects[Key(3)] = bytes.Replace(b.objects[Key(3)], []byte("shop"), []byte("spam"), 1)
		}, "record 3: is not the one that was the last", 4},
		"last spoiled": {func(b *bucket) { b.objects[Key(3)] = []byte("x") }, "record 3: is not the one that was the last", 4},
		"a gap":        {func(b *bucket) { b.objects[Key(5)] = b.objects[Key(3)] }, "record 4: is missing", 6},
	} {
		b := newBucket()
		l := idle(t, b)
		l.Submit(happened(1), happened(2), happened(3))
		rounds(t, l)
		anchor := Anchor{Head: l.Head(), Source: "status.audit"}
		tc.damage(b)
		for range 2 { // the second manager has nothing to add
			next := idle(t, b, anchor)
			next.Submit(happened(4))
			rounds(t, next)
			anchor = Anchor{Head: next.Head(), Source: "status.audit"}
		}
		var told []string
		for key, line := range b.objects {
			if r, err := Decode(line); err == nil && r.Action == DamagedAction {
				told = append(told, r.Message)
				if n, _ := SequenceOf(key); n < tc.next {
					t.Errorf("%s: sequence %d is used again", name, n)
				}
			}
		}
		if !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, tc.want) }) || len(told) > 2 {
			t.Errorf("%s: told %q, want %q", name, told, tc.want)
		}
	}
}

// What was recorded long ago is known again after a restart, however much came since.
func TestOldRecordsAreFoundAgain(t *testing.T) {
	b := newBucket()
	l := idle(t, b)
	now := epoch
	l.cfg.Now = func() time.Time { return now }
	const many = 3 * blockSize
	for i := range many {
		now = epoch.Add(time.Duration(i) * time.Minute)
		l.Submit(happened(i))
		rounds(t, l)
	}
	next := idle(t, b, Anchor{Head: l.Head(), Source: "status.audit"})
	rounds(t, next)
	if next.Recorded("uid.5") {
		t.Fatal("everything is read at the start: that is too much of a long log")
	}
	next.Submit(happened(5), happened(many-1), happened(many))
	rounds(t, next)
	if got := int64(len(b.lines())); got != many+1 || next.Head().Sequence != many+1 {
		t.Errorf("%d records, want %d", got, many+1)
	}
}

// The memory is bounded, and what it forgets is found in the bucket.
func TestMemoryIsBounded(t *testing.T) {
	m := newMemory()
	for i := range 3 * maxMemory {
		m.add(&Record{ID: fmt.Sprint(i), Sequence: int64(i + 1), Recorded: epoch.Add(time.Duration(i) * time.Second)})
	}
	if len(m.ids) > maxMemory || len(m.order) != len(m.ids) || m.covers(epoch) || !m.covers(epoch.Add(3*maxMemory*time.Second)) {
		t.Errorf("%d ids since %s, from record %d on", len(m.ids), m.since, m.first)
	}
}

// A bucket that is away is asked again until it is back, and nothing is lost.
func TestOutage(t *testing.T) {
	b := newBucket()
	m := &mortal{bucket: b, dieAt: 3}
	l := Open(t.Context(), Config{Bucket: m, Now: func() time.Time { return epoch.Add(time.Hour) }})
	l.Submit(happened(1), happened(2), happened(3))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for l.State().Err == nil { // until the log has met the outage
		select {
		case <-t.Context().Done():
			t.Fatal("the log does not notice that its bucket is away")
		case <-tick.C:
		}
	}
	m.mu.Lock()
	m.dieAt = 1 << 30
	m.mu.Unlock()
	l.done.Wait()
	l.Close()
	whole(t, b, "uid.1", "uid.2", "uid.3")
}

type oneLog struct{ log *Log }

func (o oneLog) For(types.NamespacedName) (*Log, bool) { return o.log, o.log != nil }

func shop() *otav1alpha1.Rollout {
	return &otav1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "mobile", Name: "shop", UID: "uid", ResourceVersion: "7"}}
}

func about(o metav1.Object) Subject {
	return Subject{Kind: "Rollout", Object: o, App: "com.example.shop", Channel: "production", Repository: types.NamespacedName{Namespace: "mobile", Name: "default"}}
}

func event(reason string) kit.Event {
	return kit.Event{Reason: reason, Note: "it did", Bundle: "shop-2", Evidence: []string{"errors Failing: 5 of 100", ""}}
}

// A transition waits until the log has it, and is dropped then.
func TestOutbox(t *testing.T) {
	b := newBucket()
	l := idle(t, b)
	o := Outbox{Logs: oneLog{l}}
	waiting := o.Next(about(shop()), nil, []kit.Event{event("RollingBack").Asked("jane", otav1alpha1.ActorVerified), event("Paused")}, epoch)
	if len(waiting) != 2 || waiting[0].ID == waiting[1].ID || waiting[0].By != "jane" || len(waiting[0].Evidence) != 1 {
		t.Fatalf("waiting %+v", waiting)
	}
	o.Submit(about(shop()), waiting)
	if got := o.Next(about(shop()), waiting, nil, epoch); len(got) != 2 {
		t.Errorf("dropped before it is recorded: %+v", got)
	}
	o.Submit(about(shop()), waiting)
	rounds(t, l)
	if got := o.Next(about(shop()), waiting, nil, epoch); got != nil {
		t.Errorf("kept after it is recorded: %+v", got)
	}
	whole(t, b, waiting[0].ID, waiting[1].ID)
	got, err := l.Read(t.Context(), 1, 1)
	if err != nil || got[0].App != "com.example.shop" || got[0].Actor != otav1alpha1.ActorVerified || got[0].Bundle != "shop-2" || !got[0].At.Equal(epoch) {
		t.Errorf("got %+v, %v", got, err)
	}
	closed := Outbox{Logs: oneLog{}}
	if got := closed.Next(about(shop()), waiting, []kit.Event{event("Paused")}, epoch); len(got) != 3 {
		t.Errorf("without a log: %+v", got)
	}
	closed.Submit(about(shop()), waiting)
	if got := (Outbox{}).Next(about(shop()), nil, []kit.Event{event("Paused")}, epoch); got != nil {
		t.Errorf("nobody records, and %+v waits", got)
	}
}

// However much happens while the bucket is away, status stays bounded, every transition is counted, and hundreds keep their sentence.
func TestFold(t *testing.T) {
	o := Outbox{Logs: oneLog{}}
	var waiting []otav1alpha1.PendingRecord
	ids := map[string]bool{}
	for i := range 600 {
		e := kit.Event{Reason: "CommandRefused", Note: fmt.Sprintf("command %d", i), By: "jane", Actor: otav1alpha1.ActorVerified}
		before := len(waiting)
		waiting = o.Next(about(shop()), waiting, []kit.Event{e}, epoch.Add(time.Duration(i)*time.Second))
		if len(waiting) > maxWaiting {
			t.Fatalf("%d wait after %d transitions", len(waiting), i+1)
		}
		total, sentences := 0, ""
		for j := range waiting {
			p := &waiting[j]
			total += transitionsIn(p)
			sentences += p.Message + strings.Join(p.Evidence, "\n") + "\n"
			if len(p.Evidence) > maxEvidence || len(p.ID) > 128 || len(p.Message) > 1024 {
				t.Fatalf("after %d: %+v", i+1, p)
			}
		}
		if total != i+1 {
			t.Fatalf("%d transitions are counted after %d (%d records before)", total, i+1, before)
		}
		for k := 0; i < 270 && k <= i; k++ {
			if !strings.Contains(sentences, fmt.Sprintf("command %d\n", k)) {
				t.Fatalf("after %d transitions: that of command %d has no sentence", i+1, k)
			}
		}
		ids[waiting[min(len(waiting)-1, maxSubmitted)].ID] = true
	}
	if len(ids) < 10 || waiting[maxSubmitted].Action != FoldedAction ||
		!strings.Contains(waiting[maxSubmitted].Evidence[0], "CommandRefused by jane (Verified): command 8") {
		t.Errorf("got %+v", waiting[maxSubmitted])
	}
}

// A Set keeps a log as long as it is made from the same, and hands what waits to the next one.
func TestSet(t *testing.T) {
	key := types.NamespacedName{Namespace: "mobile", Name: "default"}
	woken := make(chan Ref, 10)
	s := NewSet(func(repository types.NamespacedName, refs []Ref) {
		for _, ref := range refs {
			if repository == key {
				woken <- ref
			}
		}
	})
	if _, ok := s.For(key); ok {
		t.Error("a log that nobody opened")
	}
	gone := &mortal{bucket: newBucket(), dieAt: 1}
	first := s.Open(t.Context(), key, "a", Config{Bucket: gone})
	if s.Open(t.Context(), key, "a", Config{Bucket: gone}) != first {
		t.Error("the same identity makes another log")
	}
	first.Submit(happened(1))
	b := newBucket()
	second := s.Open(t.Context(), key, "b", Config{Bucket: b})
	if ref := <-woken; ref.Name != "shop" || !second.Recorded("uid.1") {
		t.Errorf("woken %v", ref)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Start(ctx); err != nil || !s.NeedLeaderElection() {
		t.Error(err)
	}
	if _, ok := s.For(key); ok {
		t.Error("a log is open after the end")
	}
	s.Close(key)
	whole(t, b, "uid.1")
}

var _ Bucket = (*store.Bucket)(nil)
