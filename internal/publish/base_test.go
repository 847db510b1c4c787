// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/windlass-dev/windlass/internal/release"
)

// heard collects what a publisher notifies of.
type heard struct {
	mu   sync.Mutex
	keys []ChannelKey
}

func (h *heard) notify(keys []ChannelKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys = append(h.keys, keys...)
}

func (h *heard) of(channel string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.keys, ChannelKey{App: app, Channel: channel})
}

// Two writers follow the same document with different ones of the same revision: the second is refused and told, and does
// not wipe out what the first one refused.
func TestSecondSuccessorOfADocumentIsRefused(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one, two := artifact(t, b, "1.0.0"), artifact(t, b, "2.0.0")
	first := open(t, Config{Bucket: b, Keys: keys})
	publishAndWait(t, first, document("a", 1, one))
	news := &heard{}
	stale := open(t, Config{Bucket: b, Keys: keys, Notify: news.notify})
	refusal := document("a", 2, one)
	refusal.Refused = []release.Refusal{{Digest: two.Digest, Version: two.Version}}
	publishAndWait(t, first, refusal)

	stale.Submit(document("a", 2, two))
	waitFor(t, "the channel is told", func() bool { return news.of("a") && stale.State().Pending == 0 })
	c, _ := stale.Committed(app, "a")
	if len(c.Document.Refused) != 1 || c.Document.Stable.Digest != one.Digest {
		t.Errorf("got %+v, want what the first writer committed", c.Document)
	}
	if stale.Problem(app, "a") == nil {
		t.Error("the problem does not show")
	}
	next := document("a", 3, one)
	next.Refused = refusal.Refused
	publishAndWait(t, stale, next)
	if err := stale.Problem(app, "a"); err != nil {
		t.Errorf("computed anew: got %v", err)
	}
}

// The first document of a channel is not replaced with another first one.
func TestSecondFirstDocumentIsRefused(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one, two := artifact(t, b, "1.0.0"), artifact(t, b, "2.0.0")
	left, right := open(t, Config{Bucket: b, Keys: keys}), open(t, Config{Bucket: b, Keys: keys})
	publishAndWait(t, left, document("a", 1, one))
	right.Submit(document("a", 5, two))
	waitFor(t, "it is refused", func() bool { return right.Problem(app, "a") != nil })
	if c, ok := right.Committed(app, "a"); !ok || c.Document.Revision != 1 {
		t.Errorf("got %+v, %v, want the first writer's", c, ok)
	}
}

func candidateUntil(revision, lease int64, b *release.Bundle) *release.Document {
	d := document("a", revision, nil)
	d.Candidate = &release.Candidate{Bundle: *b, Weight: 1000, Salt: "salt", LeaseExpires: lease}
	return d
}

// A renewed lease keeps the revision, and nothing else may.
func TestRenewedLeaseKeepsTheRevision(t *testing.T) {
	b := openBucket(t)
	one, two := artifact(t, b, "1.0.0"), artifact(t, b, "2.0.0")
	p := open(t, Config{Bucket: b, Keys: generateKeys(t)})
	publishAndWait(t, p, candidateUntil(1, 100, one))
	for lease := int64(200); lease < 500; lease += 100 {
		p.Submit(candidateUntil(1, lease, one))
		waitFor(t, "the lease is renewed", func() bool {
			c, _ := p.Committed(app, "a")
			return c.Document.Candidate.LeaseExpires == lease
		})
	}
	p.Submit(candidateUntil(1, 900, two))
	waitFor(t, "another content of the same revision is refused", func() bool { return p.Problem(app, "a") != nil })
	if c, _ := p.Committed(app, "a"); c.Document.Candidate.LeaseExpires != 400 {
		t.Errorf("got %+v, want the last renewal", c.Document.Candidate)
	}
}

// What was submitted on top of a submission follows it, also when the first one is being committed meanwhile.
func TestSubmissionOnTopOfAnother(t *testing.T) {
	swap := &onSwap{Bucket: openBucket(t)}
	one, two := artifact(t, swap, "1.0.0"), artifact(t, swap, "2.0.0")
	p := open(t, Config{Bucket: swap, Keys: generateKeys(t)})
	p.tasks <- func(context.Context) { // while this runs, no commit starts
		p.Submit(document("a", 1, one))
		p.Submit(document("a", 1, two))
	}
	waitFor(t, "the later one is committed", func() bool {
		c, ok := p.Committed(app, "a")
		return ok && c.Document.Stable.Digest == two.Digest
	})
	swap.next(func() { p.Submit(document("a", 3, one)) })
	p.Submit(document("a", 2, one))
	waitFor(t, "both are committed", func() bool { c, _ := p.Committed(app, "a"); return c.Document.Revision == 3 })
}

// onSwap does something right before the next swap.
type onSwap struct {
	Bucket
	mu sync.Mutex
	do func()
}

func (o *onSwap) next(do func()) { o.mu.Lock(); defer o.mu.Unlock(); o.do = do }

func (o *onSwap) CompareAndSwap(ctx context.Context, key, old string, content []byte, contentType string) (string, error) {
	o.mu.Lock()
	do := o.do
	o.do = nil
	o.mu.Unlock()
	if do != nil {
		do()
	}
	return o.Bucket.CompareAndSwap(ctx, key, old, content, contentType)
}
