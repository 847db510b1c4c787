// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sync/errgroup"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// parallelReads is how many objects are read at a time when many channels changed.
const parallelReads = 16

// Getter reads whole objects below the repository's prefix.
type Getter interface {
	// Get reads an object of at most limit bytes. The error is fs.ErrNotExist when there is none.
	Get(ctx context.Context, name string, limit int64) ([]byte, error)
}

// entry is a channel as it was verified.
type entry struct {
	app, name string
	version   int64  // of the role's metadata
	role      []byte // the role's metadata
	doc       []byte // the release document
	docName   string // object name of the release document
	expires   time.Time
	floor     string           // of the app, when the channel was compiled
	channel   *resolve.Channel // nil: the channel was removed, and left an empty role behind
}

// loader turns verified top-level metadata into channels. It keeps what it verified, so that an update costs what changed.
type loader struct {
	entries map[string]*entry // by role name
	targets int64             // version of the targets metadata that delegated the entries
}

// recall takes over the channels of which a mirror has no file of the version that the snapshot names, but another: they
// could not be read. They are not verified yet; load does that when it keeps them.
func (l *loader) recall(ctx context.Context, m *mirror, t *top) {
	kept := m.roles()
	l.entries = map[string]*entry{}
	for _, p := range l.pending(t) {
		if version := kept[p.role]; version == 0 || version == p.meta.Version {
			continue
		}
		if e := p.recall(ctx, m, kept[p.role]); e != nil {
			l.entries[p.role] = e
		}
	}
}

// loaded is the outcome of a load.
type loaded struct {
	entries map[string]*entry
	stale   []error // channels that could not be read and stay as they were, or out
}

// load verifies and compiles the channels that changed. A channel that cannot be read does not keep others back: it stays
// as it was, and is tried again.
func (l *loader) load(ctx context.Context, src Getter, t *top) (*loaded, error) {
	work := l.pending(t)
	if err := readAll(ctx, src, work, (*pending).readRole); err != nil {
		return nil, err
	}
	for _, w := range work {
		w.verifyRole(t)
	}
	if err := readAll(ctx, src, work, (*pending).readDocument); err != nil {
		return nil, err
	}
	out := &loaded{entries: make(map[string]*entry, len(work))}
	for _, w := range work {
		e, err := w.finish()
		if err != nil {
			out.stale = append(out.stale, fmt.Errorf("channel %s of app %s: %w", w.name, w.app, err))
			e = w.keep(t)
		}
		out.entries[w.role] = e
	}
	l.entries = out.entries
	if len(out.stale) == 0 {
		l.targets = t.set.Targets[metadata.TARGETS].Signed.Version
	}
	return out, nil
}

// raise puts the channels under higher floors, and tells whether that changed any of them.
func (l *loader) raise(floors tuf.Floors) (changed bool) {
	for role, e := range l.entries {
		if now := e.under(floors); now != e {
			l.entries[role], changed = now, true
		}
	}
	return changed
}

// pending is one channel on its way through a load.
type pending struct {
	app, name, role string
	meta            *metadata.MetaFiles
	floors          tuf.Floors
	before          *entry // as it was; nil: new
	delegated       bool   // the role may speak for the channel's document
	sameKeys        bool   // the delegation is that of the load before

	raw    []byte
	target *metadata.TargetFiles
	expiry time.Time
	doc    []byte
	err    error
}

var rolePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*\.[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// pending lists the channels that the targets metadata delegate. Of two roles that may speak for one document the first
// counts, as the specification orders it; role names are unique, so this cannot happen with our publisher.
func (l *loader) pending(t *top) []*pending {
	targets := t.set.Targets[metadata.TARGETS].Signed
	if targets.Delegations == nil {
		return nil
	}
	var out []*pending
	for i := range targets.Delegations.Roles {
		role := &targets.Delegations.Roles[i]
		meta := t.set.Snapshot.Signed.Meta[role.Name+".json"]
		if !rolePattern.MatchString(role.Name) || meta == nil {
			continue
		}
		dot := strings.LastIndexByte(role.Name, '.') // channel names have none
		p := &pending{
			app: role.Name[:dot], name: role.Name[dot+1:], role: role.Name, meta: meta, floors: t.floors,
			before: l.entries[role.Name], sameKeys: targets.Version == l.targets,
		}
		p.delegated, _ = role.IsDelegatedPath(release.ChannelTarget(p.app, p.name))
		out = append(out, p)
	}
	return out
}

// unchanged tells whether the channel needs no work at all.
func (p *pending) unchanged() bool {
	return p.before != nil && p.sameKeys && p.before.version == p.meta.Version
}

// readAll runs one reading step of all channels, some at a time. Only the end of the context stops it.
func readAll(ctx context.Context, src Getter, work []*pending, step func(*pending, context.Context, Getter)) error {
	var g errgroup.Group
	g.SetLimit(parallelReads)
	for _, p := range work {
		if p.unchanged() || p.err != nil {
			continue
		}
		g.Go(func() error {
			if ctx.Err() == nil {
				step(p, ctx, src)
			}
			return nil
		})
	}
	_ = g.Wait()
	return ctx.Err()
}

func (p *pending) readRole(ctx context.Context, src Getter) {
	if !p.delegated {
		p.err = fmt.Errorf("role %s may not speak for %s", p.role, release.ChannelTarget(p.app, p.name))
		return
	}
	if p.before != nil && p.before.version == p.meta.Version {
		p.raw = p.before.role // the keys may have changed: verify it again
		return
	}
	name := versionedName(p.role, p.meta.Version)
	if p.raw, p.err = src.Get(ctx, name, limit(p.meta.Length, maxRole)); p.err != nil {
		p.err = fmt.Errorf("read %s: %w", name, p.err)
	}
}

// verifyRole checks the role's metadata and finds the release document in it. Not for concurrent use: it adds to the set.
func (p *pending) verifyRole(t *top) {
	if p.unchanged() || p.err != nil {
		return
	}
	role, err := t.set.UpdateDelegatedTargets(p.raw, p.role, metadata.TARGETS)
	if err != nil {
		p.err = fmt.Errorf("verify %s: %w", versionedName(p.role, p.meta.Version), err)
		return
	}
	p.expiry = role.Signed.Expires
	p.target = role.Signed.Targets[release.ChannelTarget(p.app, p.name)]
}

func (p *pending) readDocument(ctx context.Context, src Getter) {
	if p.target == nil { // removed
		return
	}
	name, err := p.documentName()
	if err != nil {
		p.err = err
		return
	}
	if p.before != nil && p.before.docName == name {
		p.doc = p.before.doc
		return
	}
	if p.doc, p.err = src.Get(ctx, name, limit(p.target.Length, release.MaxDocumentSize)); p.err == nil {
		p.err = p.target.VerifyLengthHashes(p.doc)
	}
	if p.err != nil {
		p.err = fmt.Errorf("read %s: %w", name, p.err)
	}
}

// recall gives the channel as a mirror has it, with another version of its role; nil: it has not all of it.
func (p *pending) recall(ctx context.Context, m *mirror, version int64) *entry {
	raw, err := m.Get(ctx, versionedName(p.role, version), maxRole)
	if err != nil {
		return nil
	}
	role, err := metadata.Targets().FromBytes(raw)
	if err != nil {
		return nil
	}
	old := &pending{
		app: p.app, name: p.name, role: p.role, meta: metadata.MetaFile(role.Signed.Version), floors: p.floors, raw: raw,
		expiry: role.Signed.Expires, target: role.Signed.Targets[release.ChannelTarget(p.app, p.name)],
	}
	old.readDocument(ctx, m)
	e, err := old.finish()
	if err != nil {
		return nil
	}
	return e
}

func (p *pending) documentName() (string, error) {
	path := release.ChannelTarget(p.app, p.name)
	sum := p.target.Hashes["sha256"]
	if len(sum) != sha256.Size {
		return "", fmt.Errorf("target %s has no SHA-256", path)
	}
	return release.TargetObject(path, hex.EncodeToString(sum)), nil
}

// finish gives the channel's new entry. A document that was verified but cannot be understood is no error: it makes a
// channel that offers nothing.
func (p *pending) finish() (*entry, error) {
	if p.err != nil {
		return nil, p.err
	}
	if p.unchanged() {
		return p.before.under(p.floors), nil
	}
	e := &entry{app: p.app, name: p.name, version: p.meta.Version, role: p.raw, expires: p.expiry, floor: p.floors[p.app]}
	if p.target == nil {
		return e, nil
	}
	name, err := p.documentName()
	if err != nil {
		return nil, err
	}
	e.doc, e.docName = p.doc, name
	if p.before != nil && p.before.docName == name {
		e.channel = p.before.under(p.floors).channel.Until(p.expiry)
		return e, nil
	}
	e.channel = e.compile(p.floors, p.channelBefore()).Until(p.expiry)
	return e, nil
}

// under gives the entry as it is under floors, which may have risen since it was compiled.
func (e *entry) under(floors tuf.Floors) *entry {
	if e.channel == nil || e.doc == nil || e.floor == floors[e.app] {
		return e
	}
	out := *e
	out.floor = floors[e.app]
	out.channel = out.compile(floors, e.channel).Until(e.channel.Expires())
	return &out
}

// keep gives the entry of a channel that could not be read: as it was, if the keys that count now have signed that. If they
// have not, a key was taken away, and what it signed is not served: then the channel offers nothing to the devices that
// follow it. So does one of which nothing is known but that it exists.
func (p *pending) keep(t *top) *entry {
	unreadable := &entry{app: p.app, name: p.name, channel: resolve.Unreadable(p.app, p.name, nil, p.channelBefore())}
	switch {
	case p.before == nil:
		return unreadable
	case p.sameKeys:
		return p.before.under(p.floors)
	}
	role, err := metadata.Targets().FromBytes(p.before.role)
	if err == nil {
		err = t.set.Targets[metadata.TARGETS].VerifyDelegate(p.role, role)
	}
	if err == nil && p.delegated {
		return p.before.under(p.floors)
	}
	return unreadable
}

// channelBefore is the channel as it was, or nil.
func (p *pending) channelBefore() *resolve.Channel {
	if p.before == nil {
		return nil
	}
	return p.before.channel
}

// compile makes the channel of its document. Of one that is not understood, what says who follows is: a newer manager must
// not move the devices of an older gateway. What is below the floor of the app counts as refused, whoever has signed the document.
func (e *entry) compile(floors tuf.Floors, before *resolve.Channel) *resolve.Channel {
	if doc, err := release.Decode(e.doc); err == nil && e.describes(doc) {
		if c, err := resolve.Compile(floors.Withdraw(doc, time.Unix(0, 0))); err == nil {
			return c
		}
	}
	head, err := release.DecodeHead(e.doc)
	if err != nil || !e.describes(head) {
		head = nil
	}
	return resolve.Unreadable(e.app, e.name, head, before)
}

func (e *entry) describes(doc *release.Document) bool {
	return doc.App == e.app && doc.Channel == e.name
}

// errStale wraps the reasons why some channels are not as published.
func errStale(stale []error) error {
	const shown = 5
	if len(stale) > shown {
		return errors.Join(append(stale[:shown:shown], fmt.Errorf("and %d more", len(stale)-shown))...)
	}
	return errors.Join(stale...)
}
