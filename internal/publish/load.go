// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sync/errgroup"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

// Limits of what is read, in bytes: those of go-tuf's client, so that nothing is written that clients refuse.
const (
	maxRoot      = 512_000
	maxTimestamp = 16_384
	maxSnapshot  = 2_000_000
	maxTargets   = 5_000_000
)

// reload makes what is in the bucket the present, and gives the channels that another writer changed. It makes a root when
// there is none.
func (p *Publisher) reload(ctx context.Context) ([]ChannelKey, error) {
	w, err := p.load(ctx)
	if err != nil {
		return nil, classify(err)
	}
	w.count()
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.world
	p.world = w
	return w.changedSince(old), nil
}

func (p *Publisher) load(ctx context.Context) (*world, error) {
	lastRoot, err := p.survey(ctx)
	if err != nil {
		return nil, err
	}
	w := &world{versions: map[string]int64{}, channels: map[ChannelKey]*channel{}}
	if err := p.loadRoot(ctx, w, lastRoot); err != nil {
		return nil, err
	}
	raw, obj, err := p.cfg.Bucket.Get(ctx, timestampName, maxTimestamp)
	if errors.Is(err, store.ErrNotExist) {
		w.targets = metadata.Targets() // due at once
		return w, nil
	}
	if err != nil {
		return nil, err
	}
	w.etag, w.committedAt = obj.ETag, obj.LastModified
	timestamp, err := metadata.Timestamp().FromBytes(raw)
	if err := verified(err, func() error { return w.root.VerifyDelegate(metadata.TIMESTAMP, timestamp) }, timestampName); err != nil {
		return nil, err
	}
	w.version, w.timestampExpires = timestamp.Signed.Version, timestamp.Signed.Expires
	p.highest = max(p.highest, w.version)
	snapshot := timestamp.Signed.Meta[metadata.SNAPSHOT+".json"]
	if snapshot == nil {
		return nil, damaged(timestampName, errors.New("it names no snapshot"))
	}
	if err := p.loadSnapshot(ctx, w, snapshot.Version); err != nil {
		return nil, err
	}
	return w, p.loadChannels(ctx, w)
}

// survey finds the last root, and the highest version that any object carries, committed or not.
func (p *Publisher) survey(ctx context.Context) (lastRoot int64, err error) {
	p.highest = max(p.highest, p.cfg.Floor)
	for obj, err := range p.cfg.Bucket.List(ctx, metadataFolder) {
		if err != nil {
			return 0, err
		}
		role, version, ok := parseObject(obj.Key)
		switch {
		case !ok:
		case role == metadata.ROOT:
			lastRoot = max(lastRoot, version)
		default:
			p.highest = max(p.highest, version)
		}
	}
	return lastRoot, nil
}

// loadRoot reads the last root, or makes the first one.
func (p *Publisher) loadRoot(ctx context.Context, w *world, version int64) error {
	if version == 0 {
		return p.firstRoot(ctx, w)
	}
	name := object(metadata.ROOT, version)
	raw, _, err := p.cfg.Bucket.Get(ctx, name, maxRoot)
	if err != nil {
		return err
	}
	root, err := metadata.Root().FromBytes(raw)
	if err := verified(err, func() error { return root.VerifyDelegate(metadata.ROOT, root) }, name); err != nil {
		return err
	}
	w.root, w.rootRaw = root, raw
	return p.cfg.Keys.matches(&root.Signed)
}

func (p *Publisher) firstRoot(ctx context.Context, w *world) (err error) {
	if !p.cfg.Keys.HasRoot() {
		return kit.Retry(otav1alpha1.SecretNotFoundReason,
			"the bucket has no root of trust yet and the signing Secret no root.key: put metadata/1.root.json into the bucket, or root.key into the Secret")
	}
	if w.root, w.rootRaw, err = p.signRoot(nil); err != nil {
		return err
	}
	err = p.cfg.Bucket.PutImmutable(ctx, object(metadata.ROOT, 1), w.rootRaw, jsonType)
	if errors.Is(err, store.ErrDifferent) { // another writer was first
		return p.loadRoot(ctx, w, 1)
	}
	return err
}

func (p *Publisher) loadSnapshot(ctx context.Context, w *world, version int64) error {
	name := object(metadata.SNAPSHOT, version)
	raw, _, err := p.cfg.Bucket.Get(ctx, name, maxSnapshot)
	if err != nil {
		return lost(name, err)
	}
	snapshot, err := metadata.Snapshot().FromBytes(raw)
	if err := verified(err, func() error { return w.root.VerifyDelegate(metadata.SNAPSHOT, snapshot) }, name); err != nil {
		return err
	}
	w.snapshotExpires = snapshot.Signed.Expires
	for file, meta := range snapshot.Signed.Meta {
		w.versions[file[:max(0, len(file)-len(".json"))]] = meta.Version
	}
	name = object(metadata.TARGETS, w.versions[metadata.TARGETS])
	if w.targetsRaw, _, err = p.cfg.Bucket.Get(ctx, name, maxTargets); err != nil {
		return lost(name, err)
	}
	w.targets, err = metadata.Targets().FromBytes(w.targetsRaw)
	return verified(err, func() error { return w.root.VerifyDelegate(metadata.TARGETS, w.targets) }, name)
}

// loadChannels reads what channels publish. A channel whose role or document is lost or damaged counts as unpublished, so
// that it is published again; the role keeps its version.
func (p *Publisher) loadChannels(ctx context.Context, w *world) error {
	if w.targets.Signed.Delegations == nil {
		return nil
	}
	var group errgroup.Group
	var mu sync.Mutex
	group.SetLimit(parallel)
	for _, role := range w.targets.Signed.Delegations.Roles {
		group.Go(func() error {
			key, c, err := p.loadChannel(ctx, w, role.Name)
			if errors.Is(err, errUnusable) || errors.Is(err, store.ErrNotExist) {
				return nil
			}
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				w.channels[key] = c
			}
			return err
		})
	}
	return group.Wait()
}

// errUnusable marks a role or document that cannot be used any more.
var errUnusable = errors.New("role or document is damaged")

func (p *Publisher) loadChannel(ctx context.Context, w *world, role string) (ChannelKey, *channel, error) {
	version := w.versions[role]
	if key, c := p.remembered(role, version); c != nil {
		return key, c, nil
	}
	raw, _, err := p.cfg.Bucket.Get(ctx, object(role, version), maxTargets)
	if err != nil {
		return ChannelKey{}, nil, err
	}
	meta, err := metadata.Targets().FromBytes(raw)
	if err != nil || w.targets.VerifyDelegate(role, meta) != nil || meta.Signed.Version != version {
		return ChannelKey{}, nil, errUnusable
	}
	target, file := documentOf(meta)
	if file == nil {
		return ChannelKey{}, nil, errUnusable
	}
	body, _, err := p.cfg.Bucket.Get(ctx, release.TargetObject(target, file.Hashes["sha256"].String()), release.MaxDocumentSize)
	if err != nil {
		return ChannelKey{}, nil, err
	}
	if file.VerifyLengthHashes(body) != nil {
		return ChannelKey{}, nil, errUnusable
	}
	doc, err := release.Decode(body)
	if err != nil {
		return ChannelKey{}, nil, fmt.Errorf("%s: %w", target, err)
	}
	c := &channel{doc: doc, raw: body, version: version, expires: meta.Signed.Expires, at: p.cfg.Clock.Now()}
	return ChannelKey{App: doc.App, Channel: doc.Channel}, c, nil
}

// remembered gives a channel that did not change since the last load.
func (p *Publisher) remembered(role string, version int64) (ChannelKey, *channel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.world == nil {
		return ChannelKey{}, nil
	}
	key := keyOf(role)
	if c := p.world.channels[key]; c != nil && c.version == version {
		return key, c
	}
	return ChannelKey{}, nil
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

// verified joins the errors of reading and of checking one metadata object.
func verified(parse error, check func() error, name string) error {
	if parse != nil {
		return damaged(name, parse)
	}
	if err := check(); err != nil {
		return damaged(name, err)
	}
	return nil
}

func damaged(name string, err error) error {
	return kit.Retry(otav1alpha1.PublishFailedReason, "%s in the bucket is not valid: restore it from a backup or an older version: %w", name, err)
}

func lost(name string, err error) error {
	if errors.Is(err, store.ErrNotExist) {
		return kit.Retry(otav1alpha1.PublishFailedReason, "%s is missing in the bucket, although metadata refers to it: restore it", name)
	}
	return err
}

func previousOf(s *metadata.SnapshotType) int64 {
	text, _ := s.UnrecognizedFields[previousField].(string)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
