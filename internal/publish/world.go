// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"bytes"
	"iter"
	"maps"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/release"
)

// world is one committed state of the repository. It is not changed once it is the present.
type world struct {
	version          int64  // of timestamp.json; zero: there is none yet
	etag             string // of timestamp.json
	committedAt      time.Time
	timestampExpires time.Time
	snapshotExpires  time.Time
	audit            audit.Head // that timestamp.json names

	rootFile          // the last one that is published
	firstRoot  string // its digest: what gateways and devices pin
	foreign    error  // what is wrong with a root in the bucket that does not follow it; nil: there is none
	targets    *metadata.Metadata[metadata.TargetsType]
	targetsRaw []byte
	versions   map[string]int64 // of all roles in the snapshot: targets, channels and channels that were removed

	channels map[ChannelKey]*channel
	// lost are channels of which nothing intact is in the bucket, and why. They stay delegated until they are removed.
	lost      map[ChannelKey]error
	inherited bool            // signed under a root before the present one: all of it is to be signed again
	recovered bool            // from a snapshot without a timestamp: all of it is to be signed again
	loadedAt  time.Time       // from the bucket
	digests   map[string]bool // of the bundles that channels refer to
	evidence  map[string]bool // digests of what proves their signatures
}

// channel is what is committed of one.
type channel struct {
	doc     *release.Document
	raw     []byte
	version int64     // of its role, which is the metadata version of the commit
	expires time.Time // of its role
	at      time.Time // of the commit, or of the opening after it

	restored bool // from an older version than the committed one, which is damaged: to be signed again
}

func newWorld() *world {
	return &world{versions: map[string]int64{}, channels: map[ChannelKey]*channel{}, lost: map[ChannelKey]error{}}
}

// clone gives a copy whose maps can be changed.
func (w *world) clone() *world {
	next := *w
	next.versions = maps.Clone(w.versions)
	next.channels = maps.Clone(w.channels)
	next.lost = maps.Clone(w.lost)
	return &next
}

// base identifies what is committed of a channel by its content: a role that is only signed again keeps it. Empty: nothing
// is committed.
func (w *world) base(key ChannelKey) string {
	if c := w.channels[key]; c != nil {
		return sum(c.raw)
	}
	return ""
}

// changedSince gives the channels that are not what they were in an older world, which may be nil.
func (w *world) changedSince(old *world) []ChannelKey {
	if old == nil {
		return nil
	}
	var changed []ChannelKey
	for key := range w.channels {
		if w.base(key) != old.base(key) {
			changed = append(changed, key)
		}
	}
	for key := range old.channels {
		if w.channels[key] == nil {
			changed = append(changed, key)
		}
	}
	for key := range w.lost {
		if old.lost[key] == nil && old.channels[key] == nil {
			changed = append(changed, key)
		}
	}
	return changed
}

// isOutdated tells whether a document was computed from another one than the committed one. A removal never is.
func (s *submission) isOutdated(w *world) bool {
	if s.doc == nil {
		return false
	}
	have := w.channels[s.key]
	return s.base != w.base(s.key) || have != nil &&
		(s.doc.Revision < have.doc.Revision || s.doc.Revision == have.doc.Revision && !sameButLease(s.doc, have.doc))
}

// sameButLease tells whether two documents of one revision may follow each other: only the renewal of a lease keeps the
// revision (release.Document).
func sameButLease(a, b *release.Document) bool {
	one, errOne := withoutLease(*a).Encode()
	two, errTwo := withoutLease(*b).Encode()
	return errOne == nil && errTwo == nil && bytes.Equal(one, two)
}

func withoutLease(d release.Document) *release.Document {
	if d.Candidate != nil {
		candidate := *d.Candidate
		candidate.LeaseExpires = 0
		d.Candidate = &candidate
	}
	return &d
}

// delegated gives the channels that have a role: a lost one too, lest it is taken for one that was never published.
func (w *world) delegated() iter.Seq[ChannelKey] {
	return func(yield func(ChannelKey) bool) {
		for key := range w.channels {
			if !yield(key) {
				return
			}
		}
		for key := range w.lost {
			if !yield(key) {
				return
			}
		}
	}
}

// count fills in which digests are published.
func (w *world) count() {
	w.digests, w.evidence = map[string]bool{}, map[string]bool{}
	for _, c := range w.channels {
		for _, b := range c.doc.Bundles() {
			w.digests[b.Digest] = true
			for _, s := range b.Signatures {
				w.evidence[s.Evidence] = true
			}
		}
	}
}

// Shares of its life that a signature has left when it is renewed. A timestamp is renewed early, because its remaining life
// is how long the manager can be away without harm to devices.
const (
	timestampShare = 2.0 / 3
	otherShare     = 1.0 / 3
)

func renewAt(expires time.Time, life time.Duration, share float64) time.Time {
	return expires.Add(-time.Duration(float64(life) * share))
}

// due is when the next signature has to be renewed.
func (p *Publisher) due(w *world) time.Time {
	at := p.timestampDue(w)
	for _, other := range []time.Time{w.snapshotExpires, w.targets.Signed.Expires} {
		at = earlier(at, p.otherDue(other))
	}
	if p.cfg.Keys.signRoots(&w.root.Signed) {
		root := p.otherDue(w.root.Signed.Expires)
		if p.rootRetry.After(root) {
			root = p.rootRetry // it was tried, in vain
		}
		at = earlier(at, root)
	}
	for _, c := range w.channels {
		at = earlier(at, p.otherDue(c.expires))
	}
	if w.spoiled() {
		at = earlier(at, w.loadedAt.Add(lookPatience))
	}
	return at
}

// timestampDue is at once for a timestamp that holds longer than it should, since the wanted expiry was shortened.
func (p *Publisher) timestampDue(w *world) time.Time {
	now, life := p.cfg.Clock.Now(), p.cfg.TimestampExpiry
	if w.timestampExpires.After(now.Add(life + time.Minute)) {
		return now
	}
	return renewAt(w.timestampExpires, life, timestampShare+p.spread)
}

func (p *Publisher) otherDue(expires time.Time) time.Time {
	return renewAt(expires, p.cfg.RootExpiry, otherShare+p.spread)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
