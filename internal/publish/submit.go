// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"maps"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// submission asks that a channel publishes a document, or nothing any more.
type submission struct {
	key ChannelKey
	doc *release.Document // nil: remove
	raw []byte
	// base is the digest of the committed document that this one was computed from; empty: none was committed. Revisions
	// alone do not tell: two writers that start from the same document give their successors the same revision.
	base string

	notBefore time.Time // real time of the next attempt
	backoff   time.Duration
}

// Submit asks to publish a document. The latest submission of a channel wins. What is wrong with one shows in Problem.
func (p *Publisher) Submit(doc *release.Document) {
	key := ChannelKey{App: doc.App, Channel: doc.Channel}
	raw, err := encode(doc)
	if err != nil {
		p.refuse(key, err)
		return
	}
	own, err := release.Decode(raw) // a copy that the caller cannot change
	if err == nil {
		err = aboveFloor(own, p.floors())
	}
	if err != nil {
		p.refuse(key, err)
		return
	}
	p.enqueue(&submission{key: key, doc: own, raw: raw})
}

// Remove asks to publish a channel no more.
func (p *Publisher) Remove(app, channel string) {
	p.enqueue(&submission{key: ChannelKey{App: app, Channel: channel}})
}

func (p *Publisher) enqueue(s *submission) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.doc != nil && p.world.lost[s.key] != nil {
		return // what it was computed from is not what was published
	}
	s.base = p.world.base(s.key)
	if old := p.pending[s.key]; old != nil {
		if string(old.raw) == string(s.raw) {
			return // the same again: keep its backoff
		}
		s.base = old.base // nothing was committed in between
	}
	delete(p.problem, s.key)
	p.pending[s.key] = s
	p.signal()
}

func (p *Publisher) refuse(key ChannelKey, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pending, key)
	p.problem[key] = err
}

func (p *Publisher) floors() tuf.Floors {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.world.floors
}

// settle ends a submission with an error, unless it was replaced meanwhile.
func (p *Publisher) settle(s *submission, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending[s.key] == s {
		delete(p.pending, s.key)
		p.problem[s.key] = err
	}
}

// batch takes the submissions that are due, and settles those that are committed already or that are older than what is.
func (p *Publisher) batch(now time.Time) (batch map[ChannelKey]*submission, settled []ChannelKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch = map[ChannelKey]*submission{}
	for key, s := range maps.All(p.pending) {
		have := p.world.channels[key]
		switch {
		case p.world.lost[key] != nil && s.doc != nil: // Problem says why
		case have == nil && s.doc == nil && p.world.lost[key] == nil, have != nil && s.doc != nil && string(have.raw) == string(s.raw):
		case s.isOutdated(p.world):
			p.problem[key] = kit.Retry(otav1alpha1.PublishFailedReason,
				"revision %d of channel %s was computed from another document than the committed one: it is computed again", s.doc.Revision, key.Channel)
		case s.notBefore.After(now):
			continue
		default:
			batch[key] = s
			continue
		}
		delete(p.pending, key)
		settled = append(settled, key)
	}
	return batch, settled
}

// postpone keeps a submission whose own fault it is for later, and tells whether its problem is new.
func (p *Publisher) postpone(s *submission, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending[s.key] != s {
		return false // replaced meanwhile
	}
	fresh := errorText(p.problem[s.key]) != errorText(err)
	p.problem[s.key] = err
	s.backoff = min(max(2*s.backoff, firstBackoff), lastBackoff)
	s.notBefore = time.Now().Add(jitter(s.backoff))
	return fresh
}

// encode checks what the publisher relies on.
func encode(doc *release.Document) ([]byte, error) {
	fail := func(format string, args ...any) ([]byte, error) {
		return nil, kit.Stall(otav1alpha1.PublishFailedReason, "release document of %s/%s: "+format, append([]any{doc.App, doc.Channel}, args...)...)
	}
	if !isName(doc.App) || !isName(doc.Channel) || strings.Contains(doc.Channel, ".") {
		return fail("app and channel must be names without slashes, the channel without dots")
	}
	paths := map[string]string{}
	for _, b := range doc.Bundles() {
		if err := checkBundle(doc.App, b); err != nil {
			return fail("bundle %s: %w", b.Name, err)
		}
		if other, ok := paths[b.Path]; ok && other != b.Digest {
			return fail("%s stands for two digests", b.Path)
		}
		paths[b.Path] = b.Digest
	}
	raw, err := doc.Encode()
	if err != nil {
		return fail("%w", err)
	}
	if err := tuf.CheckFiles(release.Role(doc.App, doc.Channel), filesOf(doc, raw)); err != nil {
		return fail("%w", err)
	}
	return raw, nil
}
