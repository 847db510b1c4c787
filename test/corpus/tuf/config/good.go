// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config makes TUF configurations that must not be signed: each is a good one with one mistake. Whoever signs them, in
// the manager or in a ceremony, asks the same rules (internal/tuf).
package config

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// now is when all of it is signed.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	day  = 24 * time.Hour
	app  = "com.example.shop"
	role = app + ".beta"
)

// world is a good configuration: what one repository signs, and what it published before.
type world struct {
	before   *metadata.RootType // version 1
	root     *metadata.RootType // its successor
	targets  *metadata.TargetsType
	channel  *metadata.TargetsType // the role of a channel
	snapshot *metadata.SnapshotType
	stamp    *metadata.TimestampType
	seen     tuf.Versions

	keys [][]byte // public keys in PEM that nobody has used
}

// file gives the only document of a channel.
func (w *world) file() *metadata.TargetFiles {
	return w.channel.Targets[release.ChannelTarget(app, "beta")]
}

// delegation gives the only delegation.
func (w *world) delegation() *metadata.DelegatedRole { return &w.targets.Delegations.Roles[0] }

func newWorld() (*world, error) {
	first, err := ceremony.Init(ceremony.Params{Generate: 3, Threshold: 2, Life: 365 * day, Now: now})
	if err != nil {
		return nil, err
	}
	before, err := tuf.ParseRoot(first.Root)
	if err != nil {
		return nil, err
	}
	w := &world{before: &before.Signed}
	raised, err := ceremony.Successor(before, now, ceremony.RaiseFloor(app, "2.0.0"), ceremony.RaiseFloor("other", "1.0.0"))
	if err != nil {
		return nil, err
	}
	w.root = &raised.Signed
	w.before.UnrecognizedFields = map[string]any{tuf.FloorsField: map[string]any{app: "2.0.0"}}
	for range 2 {
		private, err := tuf.GenerateKey()
		if err != nil {
			return nil, err
		}
		public, err := ceremony.PublicKey(private)
		if err != nil {
			return nil, err
		}
		w.keys = append(w.keys, public)
	}
	return w, w.fill(first.Online["channels.key"])
}

// fill makes what the online keys sign.
func (w *world) fill(channels []byte) error {
	key, err := tuf.ParseKey(channels)
	if err != nil {
		return err
	}
	at := now.Add(30 * day)
	w.targets = &metadata.Targets(at).Signed
	w.targets.Version = 7
	w.targets.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{key.ID: key.Public}, Roles: []metadata.DelegatedRole{
		{Name: role, KeyIDs: []string{key.ID}, Threshold: 1, Paths: tuf.Paths(app, "beta")},
		{Name: "other.beta", KeyIDs: []string{key.ID}, Threshold: 1, Paths: tuf.Paths("other", "beta")},
	}}
	digest := sha256.Sum256([]byte("content"))
	w.channel = &metadata.Targets(at).Signed
	w.channel.Version = 7
	for _, path := range []string{release.ChannelTarget(app, "beta"), release.BundleTarget(app, "2.0.0", "zip")} {
		w.channel.Targets[path] = &metadata.TargetFiles{Length: 7, Hashes: metadata.Hashes{"sha256": digest[:]}}
	}
	w.seen = tuf.Versions{Timestamp: 6, Roles: map[string]int64{metadata.TARGETS: 5, role: 6}}
	w.snapshot = &metadata.Snapshot(at).Signed
	w.snapshot.Version = 7
	for _, name := range []string{metadata.TARGETS, role, "other.beta"} {
		w.snapshot.Meta[name+".json"] = metadata.MetaFile(7)
	}
	w.stamp = &metadata.Timestamp(at).Signed
	w.stamp.Version = 7
	w.stamp.Meta = map[string]*metadata.MetaFiles{
		metadata.SNAPSHOT + ".json": {Version: 7, Length: 400, Hashes: metadata.Hashes{"sha256": digest[:]}},
	}
	return nil
}

// check asks the rules about all of it, as who signs does.
func (w *world) check() error {
	for _, step := range []struct {
		name string
		err  error
	}{
		{"root", tuf.CheckSuccession(w.before, w.root, now)},
		{"targets", tuf.CheckTargets(w.targets, now)},
		{"role", tuf.CheckRole(role, w.channel, now)},
		{"snapshot", tuf.CheckSnapshot(w.snapshot, w.seen, now)},
		{"timestamp", tuf.CheckTimestamp(w.stamp, w.seen.Timestamp, now)},
	} {
		if step.err != nil {
			return fmt.Errorf("%s: %w", step.name, step.err)
		}
	}
	return nil
}
