// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sync/errgroup"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/tuf"
)

const (
	// maxCollected bounds how many objects one collection deletes: a mistake shows before everything is gone.
	maxCollected = 10_000
	// sweepBatch is how many objects are deleted between two commits: a rollback must not wait for a sweep.
	sweepBatch = 50
	// maxHistory bounds how many commits a collection looks back.
	maxHistory = 100_000
)

// Collection says what to collect.
type Collection struct {
	// Grace is the least age of what is deleted. It must be longer than an upload and the commit after it take.
	Grace time.Duration
	// Keep tells whether somebody outside of the repository wants a digest, of an artifact or of evidence. It is asked again right before a deletion.
	Keep func(digest string) bool
	// DryRun only counts.
	DryRun bool
}

// Collected is what a collection found.
type Collected struct {
	Deleted []string // object names, or what would be deleted
	Kept    int
	More    bool // more is to be deleted than one collection may
}

// Collect deletes what nothing refers to: not the present metadata, not metadata that devices with an older and unexpired
// timestamp may still ask for, not a pending submission, and not Keep. It decides beside the commits and deletes in small
// batches between them, looking again at each object, so that what is referred to meanwhile stays. When another writer has
// committed since, it stops: its references are not known here.
func (p *Publisher) Collect(ctx context.Context, c Collection) (Collected, error) {
	p.mu.Lock()
	w := p.world
	p.mu.Unlock()
	for _, err := range w.lost {
		return Collected{}, fmt.Errorf("%w; nothing was deleted, because what it refers to is not known", err)
	}
	listing, err := p.list(ctx)
	if err != nil {
		return Collected{}, err
	}
	// A timestamp that was replaced may have held longer than new ones do: the default is the least that is assumed. After the
	// expiry was raised, the history that is then needed may be gone, and collections fail until it has grown again.
	window := max(p.cfg.TimestampExpiry, DefaultTimestampExpiry)
	live, err := p.mark(ctx, w, listing, p.cfg.Clock.Now().Add(-window))
	if err != nil {
		return Collected{}, err
	}
	var out Collected
	var doomed []string
	limit := p.cfg.Clock.Now().Add(-c.Grace)
	for name, changed := range listing {
		if live.names[name] || changed.After(limit) || c.keeps(name) || p.proves(name) {
			out.Kept++
			continue
		}
		doomed = append(doomed, name)
	}
	slices.Sort(doomed)
	if len(doomed) > maxCollected {
		doomed, out.More = doomed[:maxCollected], true
	}
	if c.DryRun {
		out.Deleted = doomed
		return out, nil
	}
	out.Deleted, err = p.sweep(ctx, doomed, c)
	return out, err
}

// list gives all objects that a collection may delete, with their age. Roots stay for ever: clients follow them one by one.
func (p *Publisher) list(ctx context.Context) (map[string]time.Time, error) {
	listing := map[string]time.Time{}
	for _, folder := range []string{metadataFolder, targetsFolder, evidenceFolder} {
		for obj, err := range p.cfg.Bucket.List(ctx, folder) {
			if err != nil {
				return nil, err
			}
			role, _, versioned := parseObject(obj.Key)
			if folder == metadataFolder && (!versioned || role == metadata.ROOT) {
				continue
			}
			listing[obj.Key] = obj.LastModified
		}
	}
	return listing, nil
}

// mark finds everything that a client with an unexpired timestamp can ask for: it follows the commits back until one that is
// older than the window, because what that one replaced has expired.
func (p *Publisher) mark(ctx context.Context, w *world, listing map[string]time.Time, window time.Time) (*marks, error) {
	live := &marks{names: map[string]bool{}}
	version := w.version
	for range maxHistory {
		name := object(metadata.SNAPSHOT, version)
		previous, err := p.markCommit(ctx, name, live)
		if err != nil {
			return nil, fmt.Errorf("%s: %w; nothing was deleted, because what older metadata refers to is not known", name, err)
		}
		put, listed := listing[name]
		if previous == 0 || listed && put.Before(window) {
			return live, nil
		}
		version = previous
	}
	return nil, fmt.Errorf("more than %d commits within the life of a timestamp", maxHistory)
}

// marks are the names of objects that stay.
type marks struct {
	mu    sync.Mutex
	names map[string]bool
}

// add marks an object and tells whether that is new.
func (m *marks) add(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.names[name]
	m.names[name] = true
	return !was
}

// markCommit marks what one commit refers to and gives the one before it.
func (p *Publisher) markCommit(ctx context.Context, name string, live *marks) (int64, error) {
	raw, _, err := p.cfg.Bucket.Get(ctx, name, tuf.MaxSnapshot)
	if err != nil {
		return 0, err
	}
	snapshot, err := metadata.Snapshot().FromBytes(raw)
	if err != nil {
		return 0, err
	}
	live.add(name)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for file, meta := range snapshot.Signed.Meta {
		if name := object(strings.TrimSuffix(file, ".json"), meta.Version); live.add(name) {
			group.Go(func() error { return p.markRole(ctx, name, live) })
		}
	}
	return previousOf(&snapshot.Signed), group.Wait()
}

// markRole marks the targets of a role. A role that is lost has nothing to keep.
func (p *Publisher) markRole(ctx context.Context, name string, live *marks) error {
	raw, _, err := p.cfg.Bucket.Get(ctx, name, tuf.MaxTargets)
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	role, err := metadata.Targets().FromBytes(raw)
	if err != nil {
		return err
	}
	for target, file := range role.Signed.Targets {
		live.add(release.TargetObject(target, file.Hashes["sha256"].String()))
	}
	return nil
}

// sweep deletes objects between commits.
func (p *Publisher) sweep(ctx context.Context, doomed []string, c Collection) ([]string, error) {
	var deleted []string
	for len(doomed) > 0 {
		batch := doomed[:min(len(doomed), sweepBatch)]
		doomed = doomed[len(batch):]
		done := make(chan error, 1)
		task := func(life context.Context) {
			gone, err := p.deleteBatch(life, batch, c)
			deleted = append(deleted, gone...)
			done <- err
		}
		select {
		case p.tasks <- task:
		case <-ctx.Done():
			return deleted, ctx.Err()
		case <-p.done:
			return deleted, errClosed
		}
		if err := <-done; err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

var errClosed = errors.New("the publisher was closed")

// deleteBatch runs in the publisher's goroutine: no commit is under way.
func (p *Publisher) deleteBatch(ctx context.Context, batch []string, c Collection) (deleted []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	obj, err := p.cfg.Bucket.Head(ctx, timestampName)
	if err != nil {
		return nil, err
	}
	if !p.isPresent(obj.ETag) {
		return nil, fmt.Errorf("collect: %w", store.ErrConflict)
	}
	documents := p.documents()
	for _, name := range batch {
		if documents[name] || c.keeps(name) || p.forget(name) {
			continue
		}
		if err := p.cfg.Bucket.Delete(ctx, name); err != nil {
			return deleted, err
		}
		deleted = append(deleted, name)
	}
	return deleted, nil
}

func (c Collection) keeps(name string) bool {
	digest := digestOf(name)
	return digest != "" && c.Keep(digest)
}

func (p *Publisher) isPresent(etag string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.world.etag == etag
}

// documents gives the objects of all committed release documents: a channel that goes back to an earlier document has found
// it in the bucket.
func (p *Publisher) documents() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := make(map[string]bool, len(p.world.channels))
	for key, c := range p.world.channels {
		names[release.TargetObject(release.ChannelTarget(key.App, key.Channel), sum(c.raw))] = true
	}
	return names
}

// forget drops the memory that an artifact is in the bucket, unless the artifact is referred to again.
func (p *Publisher) forget(name string) (referenced bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if digest := digestOf(name); digest != "" && p.references(digest) {
		return true
	}
	delete(p.known, name)
	return false
}

// proves tells whether an object is evidence of a signature in a document that is published or about to be.
func (p *Publisher) proves(name string) bool {
	return strings.HasPrefix(name, evidenceFolder) && p.References(digestOf(name))
}

// digestOf gives the digest of an artifact, or of evidence, from the name of its object; empty for other objects.
func digestOf(name string) string {
	if file, ok := strings.CutPrefix(name, evidenceFolder); ok {
		return release.DigestPrefix + strings.TrimSuffix(file, ".json")
	}
	rest, ok := strings.CutPrefix(name, targetsFolder+"bundles/")
	if !ok {
		return ""
	}
	hex, _, _ := strings.Cut(rest[strings.LastIndexByte(rest, '/')+1:], ".")
	return release.DigestPrefix + hex
}
