// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// damageOf gives what a log says of its damage, and what the verification of the whole bucket says.
func damageOf(t *testing.T, b *bucket) (damage []string, report Report) {
	t.Helper()
	v := NewVerifier(1)
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		n, ok := SequenceOf(key)
		if !ok {
			continue
		}
		if r, ok := v.Add(n, b.objects[key]); ok && r.Action == DamagedAction {
			damage = append(damage, r.Message)
		}
	}
	return damage, v.Report()
}

// An object that is larger than any record, before the log starts and at its next sequence while it writes: the log tells and goes on, and
// the verification finds that one object and nothing else.
func TestObjectTooLargeIsGoneAround(t *testing.T) {
	large := bytes.Repeat([]byte("x"), MaxRecord+1)
	for name, spoil := range map[string]func(b *bucket, l *Log) *Log{
		"before the start": func(b *bucket, l *Log) *Log {
			anchor := Anchor{Head: l.Head(), Source: "status.audit"}
			b.objects[Key(2)] = large
			return idle(t, b, anchor)
		},
		"before the first start": func(b *bucket, _ *Log) *Log {
			b.objects[Key(2)] = large
			return idle(t, b)
		},
		"while it writes": func(b *bucket, l *Log) *Log {
			b.objects[Key(2)] = large
			return l
		},
	} {
		b := newBucket()
		first := idle(t, b)
		first.Submit(happened(1))
		rounds(t, first)
		l := spoil(b, first)
		l.Submit(happened(2), happened(3))
		rounds(t, l)
		damage, report := damageOf(t, b)
		if len(damage) != 1 || !strings.HasPrefix(damage[0], "record 2: cannot be read: it has more than") {
			t.Errorf("%s: the log tells %q", name, damage)
		}
		if len(report.Faults) != 1 || report.Faults[0].Sequence != 2 || report.Head.Sequence != 5 || report.Head.Hash != l.Head().Hash {
			t.Errorf("%s: verified %+v, head %+v", name, report, l.Head())
		}
		again := idle(t, b, Anchor{Head: Head{Sequence: 2, Hash: HashOf([]byte(Oversized))}, Source: "status.audit"})
		rounds(t, again)
		if faults := again.State().Faults; len(faults) > 0 {
			t.Errorf("%s: an anchor that names the object: %v", name, faults)
		}
	}
}

// One object with a number far away neither uses up the numbers nor keeps readers busy.
func TestFarObjectIsIgnored(t *testing.T) {
	for _, key := range []string{"audit/1000000000000.json", "audit/00000000001.json", "audit/+00000000001.json", "000000000001.json"} {
		if n, ok := SequenceOf(key); ok {
			t.Errorf("%s is the name of record %d", key, n)
		}
	}
	b := newBucket()
	first := idle(t, b)
	first.Submit(happened(1))
	rounds(t, first)
	b.objects[Key(999_999_999_999)] = []byte("x")
	for range 3 {
		l := idle(t, b)
		l.Submit(happened(2))
		rounds(t, l)
		if head := l.Head(); head.Sequence != 3 || len(l.State().Faults) != 1 {
			t.Fatalf("head %+v, %+v", head, l.State())
		}
	}
	if damage, _ := damageOf(t, b); len(damage) != 1 || !strings.Contains(damage[0], "record 999999999999: lies more than") {
		t.Errorf("the log tells %q", damage)
	}
}

// A gap costs a reader one list, however wide it is.
func TestReadSkipsGaps(t *testing.T) {
	b := newBucket()
	l := idle(t, b)
	l.Submit(happened(1))
	rounds(t, l)
	const far = maxJump
	l.head = Head{Sequence: far, Hash: l.head.Hash}
	l.Submit(happened(2))
	rounds(t, l)
	b.asked = 0
	got, err := l.Read(t.Context(), 2, 100)
	if err != nil || len(got) != 1 || got[0].ID != "uid.2" || got[0].Sequence != far+1 || b.asked > 300 {
		t.Errorf("read %+v with %d requests, %v", got, b.asked, err)
	}
	if got, err := l.Read(t.Context(), far+2, 100); len(got) > 0 || err != nil {
		t.Errorf("after the end: %+v, %v", got, err)
	}
}

// All records that are remembered at the start are missing: those before them are looked at before a known one is appended again.
func TestMissingEndHidesNoRecord(t *testing.T) {
	b := newBucket()
	l := idle(t, b)
	l.Submit(happened(1), happened(2))
	rounds(t, l)
	next := idle(t, b, Anchor{Head: Head{Sequence: 2*blockSize + 10, Hash: l.Head().Hash}, Source: "status.audit"})
	next.Submit(happened(1), happened(2))
	rounds(t, next)
	count := 0
	for _, line := range b.lines() {
		if r, err := Decode(line); err == nil && strings.HasPrefix(r.ID, "uid.") {
			count++
		}
	}
	if count != 2 {
		t.Errorf("%d records of two transitions", count)
	}
}

// An object asks for what the log found out to have after the object looked: it hears of it.
func TestAskedForWhatIsKnown(t *testing.T) {
	b := newBucket()
	l := idle(t, b)
	l.Submit(happened(1))
	rounds(t, l)
	heard := make(chan Ref, 10)
	next := Open(t.Context(), Config{Bucket: b, Now: func() time.Time { return epoch.Add(time.Hour) }, Notify: func(refs []Ref) {
		for _, ref := range refs {
			heard <- ref
		}
	}})
	next.done.Wait() // it has found its end
	next.Submit(happened(1), happened(1))
	next.done.Wait()
	next.Close()
	if len(heard) != 1 || <-heard != (Ref{"Rollout", shopKey}) {
		t.Errorf("%d more objects heard", len(heard))
	}
	whole(t, b, "uid.1")
}
