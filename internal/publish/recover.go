// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

// damage is an object that metadata refers to and that cannot be used.
type damage struct {
	object string
	err    error // nil: it is missing
}

func (d *damage) Error() string {
	if d.err == nil {
		return d.object + " is missing in the bucket, although metadata refers to it"
	}
	return fmt.Sprintf("%s in the bucket is not valid: %v", d.object, d.err)
}

func (d *damage) Unwrap() error { return d.err }

// errNoDocument marks the role of a channel that was removed.
var errNoDocument = errors.New("it names no release document")

// damageOf tells the loss of an object from a failure to read it.
func damageOf(name string, err error) error {
	switch {
	case errors.Is(err, store.ErrNotExist):
		return &damage{object: name}
	case errors.Is(err, store.ErrTooLarge):
		return &damage{object: name, err: errors.New("it is too large")}
	}
	return err
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
	return kit.Retry(otav1alpha1.PublishFailedReason, "%w: restore it from a backup", &damage{object: name, err: err})
}

func lost(name string, err error) error {
	err = damageOf(name, err)
	if _, ok := errors.AsType[*damage](err); ok {
		return kit.Retry(otav1alpha1.PublishFailedReason, "%w: restore it from a backup", err)
	}
	return err
}

func stateLost(key ChannelKey, bad *damage) error {
	return kit.Stall(otav1alpha1.StateLostReason,
		"what channel %s of app %s published cannot be read, and nothing older is intact: %w: restore the object from a backup, or delete the Channel to start it over",
		key.Channel, key.App, bad)
}

// lookPatience is how soon the bucket is looked at again after something in it was found spoiled, which somebody may have mended, and
// a root signed again that could not be.
const lookPatience = time.Minute

// lookAgain reads the bucket when that has to be before the next commit, or may bring back what was lost.
func (p *Publisher) lookAgain(ctx context.Context) ([]ChannelKey, error) {
	p.mu.Lock()
	stale, due := p.stale, p.world.lookDue(p.cfg.Clock.Now())
	p.mu.Unlock()
	if !stale && !due {
		return nil, nil
	}
	changed, err := p.reload(ctx)
	if err == nil || stale {
		return changed, err
	}
	p.mu.Lock() // the other channels go on
	defer p.mu.Unlock()
	next := p.world.clone()
	next.loadedAt = p.cfg.Clock.Now()
	p.world = next
	return nil, nil
}

func (w *world) lookDue(now time.Time) bool {
	return w.spoiled() && !w.loadedAt.Add(lookPatience).After(now)
}

// spoiled tells whether there is something in the bucket that only people can mend.
func (w *world) spoiled() bool { return len(w.lost) > 0 || w.foreign != nil }

// recover finds out what was published when timestamp.json does not exist: nothing yet, or the newest snapshot that verifies
// with all that it refers to. An empty repository is never published over one that devices may know.
func (p *Publisher) recover(ctx context.Context, w *world, found *survey) (*world, error) {
	var first error // what is wrong with the newest snapshot that is of no use
	var empty int64 // newest snapshot that lists no channels
	for _, version := range found.versions[metadata.SNAPSHOT] {
		if empty > 0 && !found.hasChannels() {
			break // no role ever vanishes from snapshots: older ones list no more
		}
		candidate := newWorld()
		candidate.rootFile, candidate.firstRoot, candidate.foreign = w.rootFile, w.firstRoot, w.foreign
		err := p.loadCandidate(ctx, candidate, version, found, first != nil)
		bad, ok := errors.AsType[*damage](err)
		switch {
		case errors.Is(err, errNoChannels):
			empty = max(empty, version)
		case ok:
			if first == nil {
				first = bad
			}
		case err != nil:
			return nil, err
		default:
			return candidate, nil
		}
	}
	if first == nil && !found.hasChannels() && p.seen() <= empty {
		w.targets = metadata.Targets() // due at once
		return w, nil
	}
	if first == nil {
		first = errors.New("there is none that lists channels")
	}
	return nil, kit.Retry(otav1alpha1.PublishFailedReason,
		"%s is missing in the bucket, and no snapshot that could replace it is intact: restore it from a backup: %w", timestampName, first)
}

var errNoChannels = errors.New("the snapshot lists no channels")

// loadCandidate reads all of what was published with a snapshot. Nothing may be damaged. All of it is to be signed again:
// devices may have seen newer versions, and refuse what goes back. For the same reason a role must not be newer than the
// snapshot says when there was a later commit, unless it is signed again.
func (p *Publisher) loadCandidate(ctx context.Context, w *world, version int64, found *survey, skipped bool) error {
	if err := p.loadSnapshot(ctx, w, w.root, version); err != nil {
		return err
	}
	if len(w.versions) <= 1 {
		return errNoChannels // what a first opening leaves when it is interrupted; roles of removed channels stay listed
	}
	if err := p.loadTargets(ctx, w, w.root); err != nil {
		return err
	}
	if err := p.loadChannels(ctx, w, found); err != nil {
		return err
	}
	for _, err := range w.lost {
		return err
	}
	for key, c := range w.channels {
		if role := release.Role(key.App, key.Channel); c.restored {
			return &damage{object: object(role, w.versions[role]), err: errors.New("it or its document")}
		}
	}
	w.version = version
	w.recovered = true
	if !skipped && p.seen() <= version {
		return nil // what is newer was never committed
	}
	for role, versions := range found.versions {
		if isDelegate(role) && w.channels[keyOf(role)] == nil && versions[0] > w.versions[role] {
			return &damage{object: object(metadata.SNAPSHOT, version), err: fmt.Errorf("it is older than %s", object(role, versions[0]))}
		}
	}
	return nil
}

// hasChannels tells whether there are roles of channels.
func (s *survey) hasChannels() bool {
	for role := range s.versions {
		if isDelegate(role) {
			return true
		}
	}
	return false
}

func isDelegate(role string) bool {
	return role != metadata.ROOT && role != metadata.TARGETS && role != metadata.SNAPSHOT && role != metadata.TIMESTAMP
}
