// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/windlass-dev/windlass/internal/tuf"
)

// Largest metadata files that are read, in bytes. A delegation takes about 200 bytes in targets.json and 60 in
// snapshot.json, so that these bound a repository to about 100 000 channels.
const (
	maxRoot      = 512 << 10
	maxTimestamp = 16 << 10
	maxSnapshot  = 16 << 20
	maxTargets   = 32 << 20
	maxRole      = 4 << 20
)

// maxRootRotations bounds how many new roots one update follows (TUF specification 5.3.3).
const maxRootRotations = 256

const timestampName = "metadata/timestamp.json"

// versionedName names a metadata file of a repository with consistent snapshots.
func versionedName(role string, version int64) string {
	return "metadata/" + strconv.FormatInt(version, 10) + "." + role + ".json"
}

// chain holds the last top-level metadata that were verified. They are what a new state is compared with, so that a
// repository cannot go back to an older state (TUF specification 5.4.3, 5.5.5). go-tuf's trustedmetadata does all checking;
// its Updater is not used because that re-reads every role from disk at every poll.
type chain struct {
	root, timestamp, snapshot, targets []byte

	newerRoots map[string][]byte // by object name: those that lead from the pinned root to this one
	next       string            // object name of the root that would follow; empty: nobody has looked yet
	floors     tuf.Floors        // of this root
}

// top is a verified set of top-level metadata, to which delegated roles can be added.
type top struct {
	set    *trustedmetadata.TrustedMetadata
	floors tuf.Floors
	files  map[string][]byte // by object name: all that it takes to verify this state again
}

// update verifies new timestamp metadata and what they lead to. What is verified is kept at once, also when a later file
// is missing, so that the next update cannot be an older one.
func (c *chain) update(ctx context.Context, src Getter, timestamp []byte, now time.Time) (*top, error) {
	set, err := trustedmetadata.New(c.root)
	if err != nil {
		return nil, fmt.Errorf("pinned root: %w", err)
	}
	set.RefTime = now.UTC()
	t := &top{set: set, files: map[string][]byte{}}
	if err := c.followRoots(ctx, src, t); err != nil {
		return nil, err
	}
	t.floors = c.floors
	if err := c.updateTimestamp(t, timestamp); err != nil {
		return nil, err
	}
	if err := c.updateSnapshot(ctx, src, t); err != nil {
		return nil, err
	}
	if err := c.updateTargets(ctx, src, t); err != nil {
		return nil, err
	}
	maps.Copy(t.files, c.newerRoots)
	return t, nil
}

// snapshotName is that of the snapshot among the yardsticks: the version that it should have is not known there.
const snapshotName = "metadata/snapshot.json"

// yardsticks are the metadata, by object name, that tell an older state from a newer one. The targets are none: the snapshot
// says which version they have.
func (c *chain) yardsticks() map[string][]byte {
	out := maps.Clone(c.newerRoots)
	if c.timestamp != nil {
		out[timestampName] = c.timestamp
	}
	if c.snapshot != nil {
		out[snapshotName] = c.snapshot
	}
	return out
}

// recall takes over the yardsticks of an earlier process, as far as they verify and are newer than what is known. It does not
// matter whether they have expired.
func (c *chain) recall(ctx context.Context, src Getter) {
	set, err := trustedmetadata.New(c.root)
	if err != nil {
		return
	}
	set.RefTime = time.Unix(0, 0)
	t := &top{set: set, files: map[string][]byte{}}
	_ = c.followRoots(ctx, src, t) // as far as they go
	if raw, err := src.Get(ctx, timestampName, maxTimestamp); err == nil {
		_ = c.updateTimestamp(t, raw) // one that does not verify is none
	}
	if raw, err := src.Get(ctx, snapshotName, maxSnapshot); err == nil && t.snapshotVersion(raw) > t.snapshotVersion(c.snapshot) {
		c.snapshot = raw
	}
}

// snapshotVersion gives the version of a snapshot that the root's keys have signed; 0 when they have not.
func (t *top) snapshotVersion(raw []byte) int64 {
	snapshot, err := metadata.Snapshot().FromBytes(raw)
	if err != nil || t.set.Root.VerifyDelegate(metadata.SNAPSHOT, snapshot) != nil {
		return 0
	}
	return snapshot.Signed.Version
}

func newChain(root []byte) *chain { return &chain{root: root, newerRoots: map[string][]byte{}} }

// followRoots loads every newer root that the repository has, one by one, each signed by the one before. One that lowers a
// floor is refused, whoever has signed it.
func (c *chain) followRoots(ctx context.Context, src Getter, t *top) (err error) {
	if c.floors, err = tuf.FloorsOf(&t.set.Root.Signed); err != nil {
		return fmt.Errorf("root version %d: %w", t.set.Root.Signed.Version, err)
	}
	for range maxRootRotations {
		before := t.set.Root
		c.next = versionedName(metadata.ROOT, before.Signed.Version+1)
		raw, err := src.Get(ctx, c.next, maxRoot)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", c.next, err)
		}
		if _, err := t.set.UpdateRoot(raw); err != nil {
			return fmt.Errorf("verify %s: %w", c.next, err)
		}
		if err := tuf.CheckFloors(&before.Signed, &t.set.Root.Signed); err != nil {
			return fmt.Errorf("verify %s: %w", c.next, err)
		}
		if c.floors, err = tuf.FloorsOf(&t.set.Root.Signed); err != nil {
			return fmt.Errorf("verify %s: %w", c.next, err)
		}
		c.root = raw
		c.newerRoots[c.next] = raw
	}
	return nil
}

// hasNewer tells whether the repository has a root that was not followed yet.
func (c *chain) hasNewer(ctx context.Context, src Getter) bool {
	if c.next == "" {
		return false
	}
	_, err := src.Get(ctx, c.next, maxRoot)
	return err == nil
}

// updateTimestamp loads the timestamp of before, for comparison, and then the new one. One of before that does not verify
// any more was signed by keys that a newer root took away: then it is no yardstick (TUF specification 5.3.11).
func (c *chain) updateTimestamp(t *top, raw []byte) error {
	if c.timestamp != nil {
		_, _ = t.set.UpdateTimestamp(c.timestamp)
	}
	_, err := t.set.UpdateTimestamp(raw)
	switch {
	case errors.Is(err, &metadata.ErrEqualVersionNumber{}):
		t.files[timestampName] = c.timestamp
		return nil
	case err != nil:
		if t.set.Timestamp != nil && errors.Is(err, &metadata.ErrExpiredMetadata{}) {
			c.timestamp = raw // verified, and a yardstick all the same
		}
		return fmt.Errorf("verify %s: %w", timestampName, err)
	}
	c.timestamp = raw
	t.files[timestampName] = raw
	return nil
}

func (c *chain) updateSnapshot(ctx context.Context, src Getter, t *top) error {
	meta := t.set.Timestamp.Signed.Meta[metadata.SNAPSHOT+".json"]
	if meta == nil {
		return fmt.Errorf("verify %s: it names no snapshot", timestampName)
	}
	name := versionedName(metadata.SNAPSHOT, meta.Version)
	if c.snapshot != nil {
		if _, err := t.set.UpdateSnapshot(c.snapshot, true); err == nil {
			t.files[name] = c.snapshot
			return nil
		}
	}
	raw, err := src.Get(ctx, name, limit(meta.Length, maxSnapshot))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if _, err := t.set.UpdateSnapshot(raw, false); err != nil {
		return fmt.Errorf("verify %s: %w", name, err)
	}
	c.snapshot = raw
	t.files[name] = raw
	return nil
}

func (c *chain) updateTargets(ctx context.Context, src Getter, t *top) error {
	meta := t.set.Snapshot.Signed.Meta[metadata.TARGETS+".json"]
	if meta == nil {
		return errors.New("verify snapshot.json: it names no targets")
	}
	name := versionedName(metadata.TARGETS, meta.Version)
	if c.targets != nil {
		if _, err := t.set.UpdateTargets(c.targets); err == nil {
			t.files[name] = c.targets
			return nil
		}
	}
	raw, err := src.Get(ctx, name, limit(meta.Length, maxTargets))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if _, err := t.set.UpdateTargets(raw); err != nil {
		return fmt.Errorf("verify %s: %w", name, err)
	}
	c.targets = raw
	t.files[name] = raw
	return nil
}

// limit bounds a read by the length that signed metadata give, if they give one.
func limit(length, most int64) int64 {
	if length > 0 && length < most {
		return length
	}
	return most
}

// expires is when the first of the top-level metadata stops to hold.
func (t *top) expires() time.Time {
	first := t.set.Root.Signed.Expires
	for _, e := range []time.Time{
		t.set.Timestamp.Signed.Expires, t.set.Snapshot.Signed.Expires, t.set.Targets[metadata.TARGETS].Signed.Expires,
	} {
		if e.Before(first) {
			first = e
		}
	}
	return first
}
