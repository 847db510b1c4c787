// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package view keeps the gateway's picture of what all channels publish. It polls the repository, verifies its TUF metadata,
// compiles the release documents that changed and publishes an immutable View through one atomic pointer. Requests read
// that pointer and nothing else, so that they go on when the bucket is gone.
package view

import (
	"time"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// View is the verified state of all channels. It is immutable.
type View struct {
	resolve.View

	Version  int64     // of the timestamp metadata
	LoadedAt time.Time // when this process verified it

	artifacts map[artifactKey]Artifact
}

// Artifact is a bundle that devices may download.
type Artifact struct {
	Bundle    *resolve.Bundle
	PublicURL string // where the repository's prefix is public; empty: the gateway streams

	expires time.Time // of the channel that hands it out; zero: with the view
}

// outlives tells whether an artifact of one channel may be handed out for longer than that of another.
func (a *Artifact) outlives(b *Artifact) bool {
	return !b.expires.IsZero() && (a.expires.IsZero() || a.expires.After(b.expires))
}

type artifactKey struct{ app, hex string }

// Compile makes a View of release documents that need no verification: for tests, benchmarks and simulations.
func Compile(expires time.Time, docs ...*release.Document) (*View, error) {
	entries := make(map[string]*entry, len(docs))
	for _, doc := range docs {
		c, err := resolve.Compile(doc)
		if err != nil {
			return nil, err
		}
		entries[release.Role(doc.App, doc.Channel)] = &entry{app: doc.App, name: doc.Channel, channel: c}
	}
	return assemble(entries, expires, 0, time.Time{}), nil
}

// assemble makes a View of compiled channels.
func assemble(entries map[string]*entry, expires time.Time, version int64, now time.Time) *View {
	v := &View{Version: version, LoadedAt: now, artifacts: map[artifactKey]Artifact{}}
	channels := make([]*resolve.Channel, 0, len(entries))
	for _, e := range entries {
		if e.channel != nil {
			channels = append(channels, e.channel)
			v.addArtifacts(e)
		}
	}
	v.View = *resolve.NewView(expires, channels...)
	return v
}

// addArtifacts adds those of a channel. One that several channels hand out is there as long as the last of them holds.
func (v *View) addArtifacts(e *entry) {
	for _, b := range e.channel.Bundles() {
		key := artifactKey{e.app, release.Hex(b.Digest)}
		a := Artifact{Bundle: b, PublicURL: e.channel.PublicURL, expires: e.channel.Expires()}
		if before, ok := v.artifacts[key]; !ok || a.outlives(&before) {
			v.artifacts[key] = a
		}
	}
}

// expiredView is the View of a repository of which only expired metadata are known.
func expiredView(now time.Time) *View {
	return &View{View: resolve.View{Expires: time.Unix(0, 0)}, LoadedAt: now}
}

// Artifact finds a bundle that a channel of the app may hand out, by the hexadecimal part of its digest. When the metadata
// have expired, the channel's own or those of all, there is none: a download could install what was taken back since.
func (v *View) Artifact(app, hex string, now time.Time) (Artifact, bool) {
	if v == nil || !now.Before(v.Expires) {
		return Artifact{}, false
	}
	a, ok := v.artifacts[artifactKey{app, hex}]
	if !ok || !a.expires.IsZero() && !now.Before(a.expires) {
		return Artifact{}, false
	}
	return a, true
}

// Count gives the number of channels, and how many of them cannot be read.
func (v *View) Count() (total, unreadable int) {
	if v == nil {
		return 0, 0
	}
	for _, channels := range v.Apps {
		for _, c := range channels {
			total++
			if !c.Readable() {
				unreadable++
			}
		}
	}
	return total, unreadable
}
