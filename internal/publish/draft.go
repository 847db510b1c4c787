// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
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
	roots     []*rootFile  // new ones, in order
	// rootsFirst says that the roots come before timestamp.json, because nothing can be signed under the present one any more.
	// Else they come after it, and what is signed holds under both: no client ever finds what its root does not verify.
	rootsFirst bool
	under      []*metadata.RootType // the roots under which it holds
}

// plan says what a commit has to do.
type plan struct {
	changes map[ChannelKey]*submission
	renew   []ChannelKey // unchanged channels whose role is to be signed again
	roots   []*rootFile  // new ones, in order
	targets bool
	forced  bool // even when nothing of the above
}

func (p *plan) empty() bool {
	return len(p.changes) == 0 && len(p.renew) == 0 && len(p.roots) == 0 && !p.targets && !p.forced
}

// plan decides what to sign besides the changes.
func (p *Publisher) plan(w *world, changes map[ChannelKey]*submission, roots []*rootFile) (plan, error) {
	now := p.cfg.Clock.Now()
	due := func(at time.Time) bool { return !at.After(now) }
	last := lastRoot(w, roots)
	pl := plan{
		changes: maps.Clone(changes), roots: roots,
		targets: w.version == 0 || due(p.otherDue(w.targets.Signed.Expires)) ||
			len(roots) > 0 && last.root.VerifyDelegate(metadata.TARGETS, w.targets) != nil,
		// A bucket that was restored from a backup is behind what devices have seen.
		forced: w.etag == "" || w.version < p.cfg.Seen || due(p.timestampDue(w)) || due(p.otherDue(w.snapshotExpires)),
	}
	withdrawn, err := withdrawals(w, last.floors, changes, now)
	if err != nil {
		return pl, err
	}
	for _, s := range withdrawn {
		pl.changes[s.key] = s
	}
	all := w.recovered || w.inherited || p.rekeyed(w)
	pl.targets = pl.targets || all || redelegates(w, pl.changes)
	pl.renew = p.renewals(w, pl.changes, all)
	return pl, nil
}

// renewals are the channels whose role is to be signed again as it is.
func (p *Publisher) renewals(w *world, changes map[ChannelKey]*submission, all bool) (keys []ChannelKey) {
	now := p.cfg.Clock.Now()
	for key, c := range w.channels {
		if changes[key] == nil && (all || c.restored || !p.otherDue(c.expires).After(now) && len(keys) < maxRenewals) {
			keys = append(keys, key)
		}
	}
	return keys
}

// lastRoot is the root that counts after new ones are published.
func lastRoot(w *world, roots []*rootFile) *rootFile {
	if len(roots) == 0 {
		return &w.rootFile
	}
	return roots[len(roots)-1]
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
		return !slices.Contains(r.KeyIDs, p.cfg.Keys.wanted(tuf.ChannelsRole).ID)
	})
}

func isDelegated(targets *metadata.Metadata[metadata.TargetsType], role string) bool {
	d := targets.Signed.Delegations
	return d != nil && slices.ContainsFunc(d.Roles, func(r metadata.DelegatedRole) bool { return r.Name == role })
}

// draft signs everything that a plan needs. Nothing is written yet.
func (p *Publisher) draft(w *world, pl plan) (*draft, error) {
	p.highest++
	d := &draft{version: p.highest, world: w.clone(), put: map[string][]byte{}, roots: pl.roots}
	p.chooseRoots(d, w)
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
	for _, step := range []func(*draft, *world, plan) error{p.draftTargets, p.draftSnapshot} {
		if err := step(d, w, pl); err != nil {
			return nil, err
		}
	}
	d.world.recovered, d.world.inherited = false, false
	d.world.count()
	return d, nil
}

// chooseRoots says under which roots the commit holds.
func (p *Publisher) chooseRoots(d *draft, w *world) {
	d.under = []*metadata.RootType{&w.root.Signed}
	if len(d.roots) == 0 {
		return
	}
	last := lastRoot(w, d.roots)
	d.rootsFirst = w.root.Signed.IsExpired(p.cfg.Clock.Now()) || p.cfg.Keys.matches(&w.root.Signed, inBucket) != nil
	if d.rootsFirst {
		d.under, d.world.rootFile = nil, *last
	}
	d.under = append(d.under, &last.root.Signed)
}

// signers gives the keys that sign for a top-level role.
func (p *Publisher) signers(role string, d *draft) []tuf.Key {
	return signers(p.cfg.Keys, role, d.under...)
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
	role.Signed.Targets = filesOf(c.doc, c.raw)
	c.version, c.expires, c.restored = d.version, role.Signed.Expires, false
	d.world.channels[key] = c
	d.signed = append(d.signed, key)
	return p.addRole(d, release.Role(key.App, key.Channel), role)
}

// filesOf gives the targets of a channel's role.
func filesOf(doc *release.Document, raw []byte) map[string]*metadata.TargetFiles {
	files := map[string]*metadata.TargetFiles{release.ChannelTarget(doc.App, doc.Channel): targetFile(int64(len(raw)), sum(raw))}
	for _, b := range doc.Bundles() {
		files[b.Path] = targetFile(b.Size, release.Hex(b.Digest))
	}
	return files
}

func targetFile(length int64, digest string) *metadata.TargetFiles {
	raw, _ := hex.DecodeString(digest) // checked by encode
	return &metadata.TargetFiles{Length: length, Hashes: metadata.Hashes{"sha256": raw}}
}

func (p *Publisher) addRole(d *draft, name string, role *metadata.Metadata[metadata.TargetsType]) error {
	role.Signed.Version = d.version
	if err := tuf.CheckRole(name, &role.Signed, p.cfg.Clock.Now()); err != nil {
		return fmt.Errorf("role %s: %w", name, err)
	}
	raw, err := sign(role, tuf.MaxTargets, p.cfg.Keys.wanted(tuf.ChannelsRole))
	if err != nil {
		return fmt.Errorf("role %s: %w", name, err)
	}
	d.put[object(name, d.version)] = raw
	d.world.versions[name] = d.version
	return nil
}

// draftTargets renews the list of delegations.
func (p *Publisher) draftTargets(d *draft, _ *world, pl plan) (err error) {
	if !pl.targets {
		return nil
	}
	targets := metadata.Targets(p.expires(p.cfg.RootExpiry))
	targets.Signed.Version = d.version
	targets.Signed.Delegations = p.delegations(d.world)
	if err := tuf.CheckTargets(&targets.Signed, p.cfg.Clock.Now()); err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	if d.world.targetsRaw, err = sign(targets, tuf.MaxTargets, p.signers(metadata.TARGETS, d)...); err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	d.world.targets = targets
	d.world.versions[metadata.TARGETS] = d.version
	d.put[object(metadata.TARGETS, d.version)] = d.world.targetsRaw
	return nil
}

func (p *Publisher) delegations(w *world) *metadata.Delegations {
	signer := p.cfg.Keys.wanted(tuf.ChannelsRole)
	d := &metadata.Delegations{Keys: map[string]*metadata.Key{signer.ID: signer.Public}, Roles: []metadata.DelegatedRole{}}
	for key := range w.delegated() {
		d.Roles = append(d.Roles, metadata.DelegatedRole{
			Name: release.Role(key.App, key.Channel), KeyIDs: []string{signer.ID}, Threshold: 1,
			Paths: tuf.Paths(key.App, key.Channel),
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
	before, now := tuf.Versions{Timestamp: w.version, Roles: w.versions}, p.cfg.Clock.Now()
	if err := tuf.CheckSnapshot(&snapshot.Signed, before, now); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	raw, err := sign(snapshot, tuf.MaxSnapshot, p.signers(metadata.SNAPSHOT, d)...)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	d.put[object(metadata.SNAPSHOT, d.version)] = raw

	timestamp := metadata.Timestamp(p.expires(p.cfg.TimestampExpiry))
	timestamp.Signed.Version = d.version
	digest := sha256.Sum256(raw)
	timestamp.Signed.Meta[metadata.SNAPSHOT+".json"] = &metadata.MetaFiles{
		Version: d.version, Length: int64(len(raw)), Hashes: metadata.Hashes{"sha256": digest[:]},
	}
	d.world.audit = p.anchor(w)
	timestamp.Signed.UnrecognizedFields = anchorFields(d.world.audit)
	if err := tuf.CheckTimestamp(&timestamp.Signed, w.version, now); err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	if d.timestamp, err = sign(timestamp, tuf.MaxTimestamp, p.signers(metadata.TIMESTAMP, d)...); err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	d.world.version = d.version
	d.world.snapshotExpires, d.world.timestampExpires = snapshot.Signed.Expires, timestamp.Signed.Expires
	return nil
}

// expires gives a time as TUF writes it: UTC and whole seconds.
func (p *Publisher) expires(life time.Duration) time.Time {
	return p.cfg.Clock.Now().Add(life).UTC().Truncate(time.Second)
}

// sign gives a file that clients read: at most limit bytes.
func sign[T metadata.Roles](m *metadata.Metadata[T], limit int, keys ...tuf.Key) ([]byte, error) {
	raw, err := tuf.Sign(m, keys...)
	if err != nil {
		return nil, err
	}
	return raw, tuf.CheckSize(raw, limit)
}

func sum(raw []byte) string {
	digest := sha256.Sum256(raw)
	return hex.EncodeToString(digest[:])
}
