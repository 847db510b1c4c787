// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sync/errgroup"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// reload makes what is in the bucket the present, and gives the channels that another writer changed. It makes a root when
// there is none.
func (p *Publisher) reload(ctx context.Context) ([]ChannelKey, error) {
	w, err := p.load(ctx)
	if err != nil {
		return nil, classify(err)
	}
	w.count()
	w.loadedAt = p.cfg.Clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.world
	p.world, p.stale = w, false
	return w.changedSince(old), nil
}

func (p *Publisher) load(ctx context.Context) (*world, error) {
	found, err := p.survey(ctx)
	if err != nil {
		return nil, err
	}
	if len(found.roots) == 0 && len(found.versions[metadata.SNAPSHOT]) == 0 && p.seen() > 0 {
		return nil, kit.Retry(otav1alpha1.PublishFailedReason,
			"the bucket has no metadata, although version %d was published: restore it from a backup", p.seen())
	}
	w := newWorld()
	if err := p.loadRoots(ctx, w, found); err != nil {
		return nil, err
	}
	raw, obj, err := p.cfg.Bucket.Get(ctx, timestampName, tuf.MaxTimestamp)
	if errors.Is(err, store.ErrNotExist) {
		return p.recover(ctx, w, found)
	}
	if err != nil {
		return nil, err
	}
	w.etag, w.committedAt = obj.ETag, obj.LastModified
	timestamp, err := metadata.Timestamp().FromBytes(raw)
	if err := verified(err, func() error { return tuf.CheckTimestamp(&timestamp.Signed, 0, time.Time{}) }, timestampName); err != nil {
		return nil, err
	}
	under, err := p.signedUnder(w, timestamp)
	if err != nil {
		return nil, err
	}
	w.inherited = under != w.root
	w.audit = AnchorOf(&timestamp.Signed)
	w.version, w.timestampExpires = timestamp.Signed.Version, timestamp.Signed.Expires
	p.highest = max(p.highest, w.version)
	if err := p.loadSnapshot(ctx, w, under, w.version); err != nil {
		return nil, err
	}
	if err := p.loadTargets(ctx, w, under); err != nil {
		return nil, err
	}
	return w, p.loadChannels(ctx, w, found)
}

// seen is the highest version that is known to have been published, apart from what the bucket says now.
func (p *Publisher) seen() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.world == nil {
		return p.cfg.Seen
	}
	return max(p.cfg.Seen, p.world.version)
}

// survey is what the metadata folder has, committed or not.
type survey struct {
	roots    map[int64]string   // ETags, by version
	versions map[string][]int64 // of each other role; the newest first
}

// survey lists the metadata, and remembers the highest version that any object carries.
func (p *Publisher) survey(ctx context.Context) (*survey, error) {
	p.highest = max(p.highest, p.cfg.Seen)
	found := &survey{roots: map[int64]string{}, versions: map[string][]int64{}}
	for obj, err := range p.cfg.Bucket.List(ctx, metadataFolder) {
		if err != nil {
			return nil, err
		}
		role, version, ok := parseObject(obj.Key)
		switch {
		case !ok:
		case role == metadata.ROOT:
			found.roots[version] = obj.ETag
		default:
			found.versions[role] = append(found.versions[role], version)
			p.highest = max(p.highest, version)
		}
	}
	for _, versions := range found.versions {
		slices.SortFunc(versions, func(a, b int64) int { return cmp.Compare(b, a) })
	}
	return found, nil
}

// canSign is an error unless the keys can sign under the present root, or under one that comes next.
func (p *Publisher) canSign(w *world) error {
	err := p.cfg.Keys.matches(&w.root.Signed, inBucket)
	if err == nil {
		return nil
	}
	roots, problem := p.nextRoots(w)
	switch {
	case problem != nil && len(roots) == 0:
		return fmt.Errorf("%w; %w", err, problem)
	case len(roots) == 0:
		return err
	}
	return nil
}

func (p *Publisher) loadSnapshot(ctx context.Context, w *world, under *tuf.Root, version int64) error {
	name := object(metadata.SNAPSHOT, version)
	raw, _, err := p.cfg.Bucket.Get(ctx, name, tuf.MaxSnapshot)
	if err != nil {
		return lost(name, err)
	}
	snapshot, err := metadata.Snapshot().FromBytes(raw)
	if err := verified(err, func() error {
		return cmp.Or(under.VerifyDelegate(metadata.SNAPSHOT, snapshot), sameVersion(snapshot.Signed.Version, version),
			tuf.CheckSnapshot(&snapshot.Signed, tuf.Versions{}, time.Time{}))
	}, name); err != nil {
		return err
	}
	w.snapshotExpires = snapshot.Signed.Expires
	for file, meta := range snapshot.Signed.Meta {
		w.versions[strings.TrimSuffix(file, ".json")] = meta.Version
	}
	return nil
}

// loadTargets reads the delegations that a snapshot refers to.
func (p *Publisher) loadTargets(ctx context.Context, w *world, under *tuf.Root) error {
	version := w.versions[metadata.TARGETS]
	name := object(metadata.TARGETS, version)
	raw, _, err := p.cfg.Bucket.Get(ctx, name, tuf.MaxTargets)
	if err != nil {
		return lost(name, err)
	}
	targets, err := metadata.Targets().FromBytes(raw)
	if err := verified(err, func() error {
		return cmp.Or(under.VerifyDelegate(metadata.TARGETS, targets), sameVersion(targets.Signed.Version, version),
			tuf.CheckTargets(&targets.Signed, time.Time{}))
	}, name); err != nil {
		return err
	}
	w.targets, w.targetsRaw = targets, raw
	return nil
}

func sameVersion(have, want int64) error {
	if have != want {
		return fmt.Errorf("it is version %d", have)
	}
	return nil
}

// loadChannels reads what channels publish. A channel whose role or document is lost or damaged goes back to the newest
// intact one before; without one its state is lost, which is not the same as to be unpublished: who took it for that would
// publish it from the start, without what was stable or refused.
func (p *Publisher) loadChannels(ctx context.Context, w *world, found *survey) error {
	if w.targets.Signed.Delegations == nil {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	group.SetLimit(parallel)
	for _, role := range w.targets.Signed.Delegations.Roles {
		group.Go(func() error {
			key := keyOf(role.Name)
			c, err := p.loadChannel(ctx, w, role.Name, found.versions[role.Name])
			bad, ok := errors.AsType[*damage](err)
			if err != nil && !ok {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if ok {
				w.lost[key] = stateLost(key, bad)
			} else {
				w.channels[key] = c
			}
			return nil
		})
	}
	return group.Wait()
}

// loadChannel reads the committed version of a role, or, when that one is damaged, an older one that is in the bucket.
func (p *Publisher) loadChannel(ctx context.Context, w *world, role string, versions []int64) (*channel, error) {
	version := w.versions[role]
	if c := p.remembered(role, version); c != nil {
		return c, nil
	}
	c, err := p.readRole(ctx, w, role, version)
	if _, ok := errors.AsType[*damage](err); !ok {
		return c, err
	}
	for _, older := range versions {
		if older >= version {
			continue // never committed
		}
		c, again := p.readRole(ctx, w, role, older)
		switch _, bad := errors.AsType[*damage](again); {
		case errors.Is(again, errNoDocument):
			return nil, err // the channel was removed: what it was before does not count
		case again == nil:
			c.restored = true
			return c, nil
		case !bad:
			return nil, again
		}
	}
	return nil, err
}

// readRole reads one version of a channel's role and its document. What is wrong with them is a *damage.
func (p *Publisher) readRole(ctx context.Context, w *world, role string, version int64) (*channel, error) {
	name := object(role, version)
	raw, _, err := p.cfg.Bucket.Get(ctx, name, tuf.MaxTargets)
	if err != nil {
		return nil, damageOf(name, err)
	}
	meta, err := metadata.Targets().FromBytes(raw)
	if err == nil {
		err = cmp.Or(w.targets.VerifyDelegate(role, meta), sameVersion(meta.Signed.Version, version), tuf.CheckRole(role, &meta.Signed, time.Time{}))
	}
	if err != nil {
		return nil, &damage{object: name, err: err}
	}
	target, file := documentOf(meta)
	if file == nil {
		return nil, &damage{object: name, err: errNoDocument}
	}
	name = release.TargetObject(target, file.Hashes["sha256"].String())
	body, _, err := p.cfg.Bucket.Get(ctx, name, release.MaxDocumentSize)
	if err != nil {
		return nil, damageOf(name, err)
	}
	if err := file.VerifyLengthHashes(body); err != nil {
		return nil, &damage{object: name, err: err}
	}
	doc, err := release.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	return &channel{doc: doc, raw: body, version: version, expires: meta.Signed.Expires, at: p.cfg.Clock.Now()}, nil
}

// remembered gives a channel that did not change since the last load.
func (p *Publisher) remembered(role string, version int64) *channel {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.world == nil {
		return nil
	}
	if c := p.world.channels[keyOf(role)]; c != nil && c.version == version {
		return c
	}
	return nil
}

// documentOf finds the release document among a role's targets.
func documentOf(meta *metadata.Metadata[metadata.TargetsType]) (string, *metadata.TargetFiles) {
	for path, file := range meta.Signed.Targets {
		if isDocument(path) && len(file.Hashes["sha256"]) > 0 {
			return path, file
		}
	}
	return "", nil
}

func previousOf(s *metadata.SnapshotType) int64 {
	text, _ := s.UnrecognizedFields[previousField].(string)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
