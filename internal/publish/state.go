// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"maps"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/audit"
)

// State of a publisher.
type State struct {
	Version     int64     // of timestamp.json
	CommittedAt time.Time // of that version
	ExpiresAt   time.Time // of timestamp.json
	Channels    int       // published
	Bundles     int       // distinct digests that published channels refer to
	Pending     int       // submissions that are not committed
	LastError   error     // of the last attempt; nil after one that succeeded

	RootVersion   int64
	FirstRoot     string // digest of 1.root.json
	RootExpiresAt time.Time
	RootThreshold int               // how many root keys sign a root
	RootOnline    bool              // and the keys of the publisher are enough of them
	RootError     error             // why a root of Config.Roots, or one with what Config asks for, is not published; nil: it is
	Floors        map[string]string // least versions, by app, that the root holds

	Audit audit.Head // last record of the audit log that timestamp.json names
}

// State gives a summary.
func (p *Publisher) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.world
	root := &w.root.Signed
	return State{
		Version: w.version, CommittedAt: w.committedAt, ExpiresAt: w.timestampExpires,
		Channels: len(w.channels), Bundles: len(w.digests), Pending: len(p.pending), LastError: p.lastErr,
		RootVersion: root.Version, FirstRoot: w.firstRoot, RootExpiresAt: root.Expires, RootThreshold: root.Roles[metadata.ROOT].Threshold,
		Audit: w.audit, RootOnline: p.cfg.Keys.signRoots(root), RootError: p.rootErr, Floors: maps.Clone(w.floors),
	}
}

// Floor is the least version of an app that may be offered, as the published root of trust says; empty: there is none.
func (p *Publisher) Floor(app string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.world.floors[app]
}
