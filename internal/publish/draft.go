// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/release"
)

// previousField of a snapshot names the version of the commit that it followed. It is text, because numbers of unknown
// fields do not survive all canonical JSON readers.
const previousField = "x-windlass-previous"

// maxRenewals bounds how many roles of unchanged channels one commit signs again.
const maxRenewals = 500

// draft is a commit that is being made.
type draft struct {
	version   int64
	world     *world            // after the commit
	put       map[string][]byte // immutable objects, by name
	timestamp []byte
	signed    []ChannelKey // channels with a new role
	newRoot   bool
}

// plan says what a commit has to do.
type plan struct {
	changes map[ChannelKey]*submission
	renew   []ChannelKey // unchanged channels whose role is to be signed again
	root    bool
	targets bool
	forced  bool // even when nothing of the above
}

func (p *plan) empty() bool {
	return len(p.changes) == 0 && len(p.renew) == 0 && !p.root && !p.targets && !p.forced
}

// plan decides what to sign besides the changes.
func (p *Publisher) plan(w *world, changes map[ChannelKey]*submission) plan {
	now := p.cfg.Clock.Now()
	due := func(at time.Time) bool { return !at.After(now) }
	pl := plan{
		changes: changes,
		root:    p.cfg.Keys.HasRoot() && due(p.otherDue(w.root.Signed.Expires)),
		targets: w.version == 0 || due(p.otherDue(w.targets.Signed.Expires)),
		// A bucket that was restored from a backup is behind what devices have seen.
		forced: w.etag == "" || w.version < p.cfg.Floor || due(p.timestampDue(w)) || due(p.otherDue(w.snapshotExpires)),
	}
	all := w.recovered || p.rekeyed(w)
	pl.targets = pl.targets || all
	for key, c := range w.channels {
		if changes[key] == nil && (all || c.restored || due(p.otherDue(c.expires)) && len(pl.renew) < maxRenewals) {
			pl.renew = append(pl.renew, key)
		}
	}
	pl.targets = pl.targets || redelegates(w, changes)
	return pl
}

// redelegates tells whether changes add or remove a delegation.
func redelegates(w *world, changes map[ChannelKey]*submission) bool {
	for key, s := range changes {
		if delegated := isDelegated(w.targets, release.Role(key.App, key.Channel)); delegated != (s.doc != nil) {
			return true
		}
	}
	return false
}

// rekeyed tells whether channels are delegated to another key than the present one. Then all of their roles are signed anew.
func (p *Publisher) rekeyed(w *world) bool {
	d := w.targets.Signed.Delegations
	return d != nil && slices.ContainsFunc(d.Roles, func(r metadata.DelegatedRole) bool {
		return !slices.Contains(r.KeyIDs, p.cfg.Keys.byRole[channelsRole].id)
	})
}

func isDelegated(targets *metadata.Metadata[metadata.TargetsType], role string) bool {
	d := targets.Signed.Delegations
	return d != nil && slices.ContainsFunc(d.Roles, func(r metadata.DelegatedRole) bool { return r.Name == role })
}

// draft signs everything that a plan needs. Nothing is written yet.
func (p *Publisher) draft(w *world, pl plan) (*draft, error) {
	p.highest++
	d := &draft{version: p.highest, world: w.clone(), put: map[string][]byte{}}
	for key, s := range pl.changes {
		if err := p.draftChange(d, key, s); err != nil {
			return nil, err
		}
	}
	for _, key := range pl.renew {
		old := *w.channels[key]
		if err := p.draftRole(d, key, &old); err != nil {
			return nil, err
		}
	}
	for _, step := range []func(*draft, *world, plan) error{p.draftRoot, p.draftTargets, p.draftSnapshot} {
		if err := step(d, w, pl); err != nil {
			return nil, err
		}
	}
	d.world.recovered = false
	d.world.count()
	return d, nil
}

// draftChange adds the document and the role of a channel, or the empty role of one that is removed.
func (p *Publisher) draftChange(d *draft, key ChannelKey, s *submission) error {
	if s.doc == nil {
		delete(d.world.channels, key)
		delete(d.world.lost, key)
		role := metadata.Targets(p.expires(p.cfg.RootExpiry))
		return p.addRole(d, release.Role(key.App, key.Channel), role)
	}
	d.put[release.TargetObject(release.ChannelTarget(key.App, key.Channel), sum(s.raw))] = s.raw
	return p.draftRole(d, key, &channel{doc: s.doc, raw: s.raw})
}

// draftRole adds the role of a channel: its document and the artifacts that the document refers to.
func (p *Publisher) draftRole(d *draft, key ChannelKey, c *channel) error {
	role := metadata.Targets(p.expires(p.cfg.RootExpiry))
	files := role.Signed.Targets
	files[release.ChannelTarget(key.App, key.Channel)] = targetFile(int64(len(c.raw)), sum(c.raw))
	for _, b := range c.doc.Bundles() {
		files[b.Path] = targetFile(b.Size, release.Hex(b.Digest))
	}
	c.version, c.expires, c.restored = d.version, role.Signed.Expires, false
	d.world.channels[key] = c
	d.signed = append(d.signed, key)
	return p.addRole(d, release.Role(key.App, key.Channel), role)
}

func targetFile(length int64, digest string) *metadata.TargetFiles {
	raw, _ := hex.DecodeString(digest) // checked by encode
	return &metadata.TargetFiles{Length: length, Hashes: metadata.Hashes{"sha256": raw}}
}

func (p *Publisher) addRole(d *draft, name string, role *metadata.Metadata[metadata.TargetsType]) error {
	role.Signed.Version = d.version
	raw, err := sign(role, p.cfg.Keys.byRole[channelsRole])
	if err != nil {
		return err
	}
	d.put[object(name, d.version)] = raw
	d.world.versions[name] = d.version
	return nil
}

// draftRoot renews the root with the same keys.
func (p *Publisher) draftRoot(d *draft, w *world, pl plan) (err error) {
	if !pl.root {
		return nil
	}
	d.newRoot = true
	if d.world.root, d.world.rootRaw, err = p.signRoot(w.root); err != nil {
		return err
	}
	d.put[object(metadata.ROOT, d.world.root.Signed.Version)] = d.world.rootRaw
	return nil
}

// signRoot makes the first root, or the successor of one with the same keys and roles.
func (p *Publisher) signRoot(old *metadata.Metadata[metadata.RootType]) (*metadata.Metadata[metadata.RootType], []byte, error) {
	root := metadata.Root(p.expires(p.cfg.RootExpiry))
	if old != nil {
		root.Signed.Keys, root.Signed.Roles = old.Signed.Keys, old.Signed.Roles
		root.Signed.Version = old.Signed.Version + 1
	} else {
		for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
			if err := root.Signed.AddKey(p.cfg.Keys.byRole[role].public, role); err != nil {
				return nil, nil, err
			}
		}
	}
	raw, err := sign(root, p.cfg.Keys.byRole[metadata.ROOT])
	return root, raw, err
}

// draftTargets renews the list of delegations.
func (p *Publisher) draftTargets(d *draft, _ *world, pl plan) (err error) {
	if !pl.targets {
		return nil
	}
	targets := metadata.Targets(p.expires(p.cfg.RootExpiry))
	targets.Signed.Version = d.version
	targets.Signed.Delegations = p.delegations(d.world)
	if d.world.targetsRaw, err = sign(targets, p.cfg.Keys.byRole[metadata.TARGETS]); err != nil {
		return err
	}
	d.world.targets = targets
	d.world.versions[metadata.TARGETS] = d.version
	d.put[object(metadata.TARGETS, d.version)] = d.world.targetsRaw
	return nil
}

func (p *Publisher) delegations(w *world) *metadata.Delegations {
	signer := p.cfg.Keys.byRole[channelsRole]
	d := &metadata.Delegations{Keys: map[string]*metadata.Key{signer.id: signer.public}, Roles: []metadata.DelegatedRole{}}
	for key := range w.delegated() {
		d.Roles = append(d.Roles, metadata.DelegatedRole{
			Name: release.Role(key.App, key.Channel), KeyIDs: []string{signer.id}, Threshold: 1,
			Paths: []string{release.ChannelTarget(key.App, key.Channel), "bundles/" + key.App + "/*"},
		})
	}
	slices.SortFunc(d.Roles, func(a, b metadata.DelegatedRole) int { return strings.Compare(a.Name, b.Name) })
	return d
}

// draftSnapshot makes snapshot and timestamp, which every commit has.
func (p *Publisher) draftSnapshot(d *draft, w *world, _ plan) error {
	snapshot := metadata.Snapshot(p.expires(p.cfg.RootExpiry))
	snapshot.Signed.Version = d.version
	snapshot.Signed.UnrecognizedFields = map[string]any{previousField: strconv.FormatInt(w.version, 10)}
	for role, version := range d.world.versions {
		snapshot.Signed.Meta[role+".json"] = metadata.MetaFile(version)
	}
	raw, err := sign(snapshot, p.cfg.Keys.byRole[metadata.SNAPSHOT])
	if err != nil {
		return err
	}
	d.put[object(metadata.SNAPSHOT, d.version)] = raw

	timestamp := metadata.Timestamp(p.expires(p.cfg.TimestampExpiry))
	timestamp.Signed.Version = d.version
	digest := sha256.Sum256(raw)
	timestamp.Signed.Meta[metadata.SNAPSHOT+".json"] = &metadata.MetaFiles{
		Version: d.version, Length: int64(len(raw)), Hashes: metadata.Hashes{"sha256": digest[:]},
	}
	d.timestamp, err = sign(timestamp, p.cfg.Keys.byRole[metadata.TIMESTAMP])
	d.world.version = d.version
	d.world.snapshotExpires, d.world.timestampExpires = snapshot.Signed.Expires, timestamp.Signed.Expires
	return err
}

// expires gives a time as TUF writes it: UTC and whole seconds.
func (p *Publisher) expires(life time.Duration) time.Time {
	return p.cfg.Clock.Now().Add(life).UTC().Truncate(time.Second)
}

func sign[T metadata.Roles](m *metadata.Metadata[T], k key) ([]byte, error) {
	if _, err := m.Sign(k.signer); err != nil {
		return nil, err
	}
	return m.ToBytes(false)
}

func sum(raw []byte) string {
	digest := sha256.Sum256(raw)
	return hex.EncodeToString(digest[:])
}
