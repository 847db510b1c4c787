// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

// commit publishes a batch, along with the signatures that are due. It gives the channels that have news: those that are
// committed, and those whose own submission is at fault. More is true when there may be another commit to make.
func (p *Publisher) commit(ctx context.Context, batch map[ChannelKey]*submission) (news []ChannelKey, more bool, err error) {
	if news, err = p.checkArtifacts(ctx, batch); err != nil {
		return news, false, err
	}
	p.mu.Lock()
	w := p.world
	p.mu.Unlock()
	roots, problem := p.nextRoots(w)
	if p.noteRoot(problem) {
		defer p.cfg.Notify(nil)
	}
	news = append(news, p.refuseBelow(batch, lastRoot(w, roots).floors)...)
	pl, err := p.plan(w, batch, roots)
	if err != nil || pl.empty() {
		return news, false, err
	}
	d, err := p.draft(w, pl)
	if err != nil {
		return news, false, fmt.Errorf("sign: %w", err)
	}
	if err := measure(func() error { return p.publish(ctx, w, d) }); err != nil {
		return news, false, err
	}
	d.world.committedAt = p.cfg.Clock.Now()
	for key := range pl.changes {
		if c := d.world.channels[key]; c != nil {
			c.at = d.world.committedAt
		}
	}
	news = append(news, p.install(d.world, pl.changes)...)
	if len(d.roots) == 0 || d.rootsFirst {
		return news, len(d.roots) > 0, nil
	}
	if err := p.putRoots(ctx, d.roots); err != nil {
		return news, false, err
	}
	p.adopt(lastRoot(w, d.roots))
	return news, true, nil
}

// publish writes a draft, verifies it, and makes it visible.
func (p *Publisher) publish(ctx context.Context, w *world, d *draft) (err error) {
	if err := p.putAll(ctx, d.put); err != nil {
		return err
	}
	if err := p.readBack(ctx, w, d); err != nil {
		return err
	}
	if d.rootsFirst {
		if err := p.putRoots(ctx, d.roots); err != nil {
			return err
		}
	}
	d.world.etag, err = p.cfg.Bucket.CompareAndSwap(ctx, timestampName, w.etag, d.timestamp, jsonType)
	return err
}

// checkArtifacts takes those submissions out of a batch that refer to an artifact that is not in the bucket.
func (p *Publisher) checkArtifacts(ctx context.Context, batch map[ChannelKey]*submission) (news []ChannelKey, err error) {
	wanted := map[string]*release.Bundle{}
	for _, s := range batch {
		if s.doc == nil {
			continue
		}
		for _, b := range s.doc.Bundles() {
			wanted[release.TargetObject(b.Path, b.Digest)] = b
		}
	}
	missing, err := p.missing(ctx, wanted)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	for key, s := range batch {
		if err := firstMissing(s, missing); err != nil {
			delete(batch, key)
			if p.postpone(s, err) {
				news = append(news, key)
			}
		}
	}
	return news, nil
}

// missing looks for artifacts that were not seen before, and tells what is wrong with those that are not as they should be.
func (p *Publisher) missing(ctx context.Context, wanted map[string]*release.Bundle) (map[string]error, error) {
	missing := map[string]error{}
	var group errgroup.Group
	group.SetLimit(parallel)
	for name, b := range wanted {
		if p.isKnown(name) {
			continue
		}
		group.Go(func() error {
			obj, err := p.cfg.Bucket.Head(ctx, name)
			if err == nil && (obj.Size != b.Size || obj.SHA256 != "" && obj.SHA256 != release.Hex(b.Digest)) {
				err = fmt.Errorf("%w: size or digest differ", store.ErrNotExist)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			switch {
			case err == nil:
				p.known[name] = true
			case errors.Is(err, store.ErrNotExist):
				missing[name] = kit.Retry(otav1alpha1.ArtifactLostReason, "artifact of bundle %s is not in the bucket", b.Name)
			default:
				return err
			}
			return nil
		})
	}
	return missing, group.Wait()
}

func (p *Publisher) isKnown(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[name]
}

func firstMissing(s *submission, missing map[string]error) error {
	if s.doc == nil {
		return nil
	}
	for _, b := range s.doc.Bundles() {
		if err := missing[release.TargetObject(b.Path, b.Digest)]; err != nil {
			return err
		}
	}
	return nil
}

// putAll writes the immutable objects of a commit, in any order: nothing refers to them before timestamp.json does.
func (p *Publisher) putAll(ctx context.Context, objects map[string][]byte) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for name, content := range objects {
		group.Go(func() error {
			err := p.cfg.Bucket.PutImmutable(ctx, name, content, jsonType)
			if _, _, versioned := parseObject(name); errors.Is(err, store.ErrDifferent) && !versioned {
				return kit.Retry(otav1alpha1.StorageFailedReason, "%s in the bucket is damaged: delete it, it is written again", name)
			}
			return err
		})
	}
	return group.Wait()
}
