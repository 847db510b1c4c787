// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/windlass-dev/windlass/internal/tuf"
)

// A writer dies at each of its calls to the object store, before or after the call has its effect, and a client reads before
// and after the death. The client never fails and never goes back, and the next writer finishes the work.
func TestCrashAtEveryStep(t *testing.T) {
	for _, after := range []bool{false, true} {
		for failAt := 1; ; failAt++ {
			died := false
			t.Run(fmt.Sprintf("after=%t,call=%d", after, failAt), func(t *testing.T) { died = crash(t, failAt, after) })
			if !died {
				if least := map[bool]int{false: 25, true: 7}[after]; failAt <= least {
					t.Errorf("only %d calls were interrupted, want at least the %d of a whole commit", failAt-1, least)
				}
				break
			}
			if t.Failed() {
				return
			}
		}
	}
}

func crash(t *testing.T, failAt int, after bool) (died bool) {
	b, keys := openBucket(t), generateKeys(t)
	one, two := artifact(t, b, "1.0.0"), artifact(t, b, "2.0.0")
	first := open(t, Config{Bucket: b, Keys: keys})
	publishAndWait(t, first, document("a", 1, one), document("b", 1, one))
	first.Close()
	client := newReader(t, b)
	look := func() {
		if got, err := client.read(); err != nil || got["a"] == 0 {
			t.Errorf("a client got %v, %v", got, err)
		}
	}
	f := &faulty{Bucket: b, failAt: failAt, after: after, before: func(n int) {
		if n == failAt {
			look()
		}
	}}
	if p, err := Open(t.Context(), Config{Bucket: f, Keys: keys}); err == nil {
		p.Submit(document("a", 2, two))
		p.Submit(document("c", 1, two))
		p.Remove(app, "b")
		waitFor(t, "the writer dies or finishes", func() bool {
			_, removed := p.Committed(app, "b")
			return f.died() || !removed && p.State().Channels == 2
		})
		p.Close()
	} else if !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	look()

	next := open(t, Config{Bucket: b, Keys: keys})
	next.Remove(app, "b")
	publishAndWait(t, next, document("a", 2, two), document("c", 1, two))
	waitFor(t, "b is gone", func() bool { _, ok := next.Committed(app, "b"); return !ok })
	if got, err := client.read(); err != nil || !maps.Equal(got, map[string]int64{"a": 2, "c": 1}) {
		t.Errorf("at the end a client got %v, %v", got, err)
	}
	return f.died()
}

func TestLostAnswerOfTheCommit(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one := artifact(t, b, "1.0.0")
	swap := &lossy{Bucket: b}
	p := open(t, Config{Bucket: swap, Keys: keys})
	publishAndWait(t, p, document("a", 1, one))
	before := p.State().Version
	swap.lose()
	publishAndWait(t, p, document("a", 2, one))
	if got := p.State().Version; got != before+1 {
		t.Errorf("got version %d after %d, want one commit", got, before)
	}
	if err := p.Problem(app, "a"); err != nil {
		t.Errorf("the problem stayed: %v", err)
	}
}

// lossy loses the answer of one swap.
type lossy struct {
	Bucket
	mu   sync.Mutex
	next bool
}

func (l *lossy) lose() { l.mu.Lock(); defer l.mu.Unlock(); l.next = true }

func (l *lossy) CompareAndSwap(ctx context.Context, key, old string, content []byte, contentType string) (string, error) {
	etag, err := l.Bucket.CompareAndSwap(ctx, key, old, content, contentType)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next {
		l.next = false
		return "", errInjected
	}
	return etag, err
}

func TestTwoPublishersOnOnePrefix(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one := artifact(t, b, "1.0.0")
	left, right := open(t, Config{Bucket: b, Keys: keys}), open(t, Config{Bucket: b, Keys: keys})
	client := newReader(t, b)
	const rounds = 15
	for revision := int64(1); revision <= rounds; revision++ {
		left.Submit(document("left", revision, one))
		right.Submit(document("right", revision, one))
		publishAndWait(t, left, document("left", revision, one))
		publishAndWait(t, right, document("right", revision, one))
		got, err := client.read()
		if want := map[string]int64{"left": revision, "right": revision}; err != nil || !maps.Equal(got, want) {
			t.Fatalf("got %v, %v, want %v: a commit of one writer was lost", got, err, want)
		}
	}
	timestamp, _, err := b.Get(t.Context(), timestampName, tuf.MaxTimestamp)
	if err != nil {
		t.Fatal(err)
	}
	if highest := max(left.State().Version, right.State().Version); highest < 2*rounds+1 {
		t.Errorf("got version %d, want at least one for each of %d commits: %s", highest, 2*rounds, timestamp)
	}

	// The other writer's newer revision is not overwritten with an older one. That writer may not have seen the last revision
	// yet: then it is told so, and submits again.
	right.Submit(document("left", rounds+2, one))
	waitFor(t, "the other writer has committed", func() bool {
		if right.Problem(app, "left") != nil {
			right.Submit(document("left", rounds+2, one))
		}
		c, ok := right.Committed(app, "left")
		return ok && c.Document.Revision == rounds+2
	})
	left.Submit(document("left", rounds+1, one))
	waitFor(t, "the older revision is refused", func() bool { return left.Problem(app, "left") != nil })
	if c, _ := left.Committed(app, "left"); c.Document.Revision != rounds+2 {
		t.Errorf("got revision %d, want the newer one", c.Document.Revision)
	}
}

func TestVersionsAfterRestores(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one := artifact(t, b, "1.0.0")
	for _, c := range []struct {
		name      string
		floor     int64
		opened    int64
		committed int64
	}{
		{"first", 0, 1, 2},
		{"status was lost", 0, 2, 3},
		{"status is older: etcd was restored", 1, 3, 4},
		{"bucket is older: it was restored", 50, 51, 52},
		{"both agree", 52, 52, 53},
	} {
		p, err := Open(t.Context(), Config{Bucket: b, Keys: keys, Seen: c.floor})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.State().Version; got != c.opened {
			t.Errorf("%s: opened with version %d, want %d", c.name, got, c.opened)
		}
		publishAndWait(t, p, document("a", c.committed, one))
		if got := p.State().Version; got != c.committed {
			t.Errorf("%s: committed version %d, want %d", c.name, got, c.committed)
		}
		p.Close()
	}
}

// Objects that a crashed writer left behind carry versions that are not used again.
func TestLeftoversAreSteppedOver(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one := artifact(t, b, "1.0.0")
	first := open(t, Config{Bucket: b, Keys: keys})
	first.Close()
	for _, name := range []string{"metadata/2.snapshot.json", "metadata/7." + app + ".a.json"} {
		if err := b.PutImmutable(t.Context(), name, []byte("left over"), jsonType); err != nil {
			t.Fatal(err)
		}
	}
	p := open(t, Config{Bucket: b, Keys: keys})
	publishAndWait(t, p, document("a", 1, one))
	if got := p.State().Version; got != 8 {
		t.Errorf("got version %d, want 8", got)
	}
}

func TestMissingArtifactHoldsOneChannelOnly(t *testing.T) {
	b := openBucket(t)
	one, two := artifact(t, b, "1.0.0"), unstored("2.0.0")
	p := open(t, Config{Bucket: b, Keys: generateKeys(t)})
	p.Submit(document("late", 1, two))
	publishAndWait(t, p, document("early", 1, one))
	waitFor(t, "the problem shows", func() bool { return p.Problem(app, "late") != nil })
	if _, ok := p.Committed(app, "late"); ok || p.State().LastError != nil {
		t.Errorf("got committed %v, error %v", ok, p.State().LastError)
	}
	artifact(t, b, "2.0.0")
	waitFor(t, "the channel is published", func() bool { _, ok := p.Committed(app, "late"); return ok })
	if err := p.Problem(app, "late"); err != nil {
		t.Errorf("the problem stayed: %v", err)
	}
}

func TestWrongSizeOfArtifactIsNotPublished(t *testing.T) {
	b := openBucket(t)
	one := artifact(t, b, "1.0.0")
	one.Size++
	p := open(t, Config{Bucket: b, Keys: generateKeys(t)})
	p.Submit(document("a", 1, one))
	waitFor(t, "the problem shows", func() bool { return p.Problem(app, "a") != nil })
	if _, ok := p.Committed(app, "a"); ok {
		t.Error("a document with a wrong size was published")
	}
}

func TestManyChannelsAreOneCommit(t *testing.T) {
	b := &faulty{Bucket: openBucket(t)}
	one := artifact(t, b, "1.0.0")
	p := open(t, Config{Bucket: b, Keys: generateKeys(t)})
	const channels = 200
	before, version := b.count(), p.State().Version
	p.tasks <- func(context.Context) { // while this runs, no commit starts
		for i := range channels {
			p.Submit(document(fmt.Sprintf("c%d", i), 1, one))
		}
	}
	waitFor(t, "all are published", func() bool { return p.State().Channels == channels })
	if got := p.State().Version; got != version+1 {
		t.Errorf("got %d commits, want one", got-version)
	}
	// A document and a role each, written and read back; targets, snapshot likewise; one swap, one look for a new root, and one
	// for the artifact.
	if got, most := b.count()-before, 4*channels+4+3; got > most {
		t.Errorf("got %d requests, want at most %d", got, most)
	}
}
