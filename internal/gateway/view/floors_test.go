// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
)

func (h *harness) raise(version string) {
	h.repo.PublishRoot(tuf.FloorsField, map[string]any{"shop": version})
}

// wantNo wants that a channel hands out nothing that it named.
func (h *harness) wantNo(p *view.Poller, d *release.Document) {
	h.Helper()
	for _, b := range d.Bundles() {
		if _, ok := p.View().Artifact("shop", release.Hex(b.Digest), time.Now().Add(h.offset)); ok {
			h.Errorf("version %s can be downloaded", b.Version)
		}
	}
}

// Who holds all online keys names a bundle below the floor, in every place of a document. It is not offered.
func TestNothingBelowTheFloor(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.raise("2.0.0")
	bundle := func(version string, digit byte) *release.Bundle {
		b := *doc("x", version).Stable
		b.Digest = b.Digest[:len(b.Digest)-1] + string(digit)
		return &b
	}
	low, high := bundle("1.9.9", 'b'), bundle("2.0.0", 'c')
	p := h.start()
	for name, tc := range map[string]struct {
		edit func(d *release.Document)
		want string
	}{
		"stable":            {func(d *release.Document) { d.Stable = low }, "NothingReleased"},
		"stable of a beta":  {func(d *release.Document) { d.Stable = bundle("2.0.0-rc.1", 'b') }, "NothingReleased"},
		"stable and before": {func(d *release.Document) { d.Stable, d.Previous = low, high }, "2.0.0"},
		"before":            {func(d *release.Document) { d.Stable, d.Previous = high, low }, "2.0.0"},
		"candidate":         {func(d *release.Document) { d.Stable, d.Candidate = high, everybody(low) }, "2.0.0"},
		"floor of a channel": {func(d *release.Document) {
			d.Stable, d.Guards = high, release.Guards{FloorVersion: "1.9.9", Floor: low}
		}, "BelowFloor"},
	} {
		d := doc("production", "2.0.0")
		tc.edit(d)
		h.repo.Publish(d)
		h.poll(p)
		t.Log(name)
		h.want(p, "production", tc.want)
		h.wantNo(p, &release.Document{Stable: low})
	}
}

func everybody(b *release.Bundle) *release.Candidate {
	return &release.Candidate{Bundle: *b, Weight: release.FullWeight, Salt: "s", Rollout: "r", Release: 1, LeaseExpires: 1 << 40}
}

// A floor that rises withdraws what is served already: when only the root is new, when what follows it is broken, when the
// channel cannot be read, and after a restart from the cache.
func TestFloorRises(t *testing.T) {
	t.Parallel()
	old := doc("production", "1.1.0")
	begin := func(t *testing.T) (*harness, *view.Poller) {
		h := newHarness(t)
		h.T = t
		h.repo.Publish(old)
		p := h.start()
		h.poll(p)
		h.want(p, "production", "1.1.0")
		h.raise("1.2.0")
		return h, p
	}
	t.Run("root only", func(t *testing.T) {
		t.Parallel()
		h, p := begin(t)
		h.offset = 2 * time.Minute
		h.poll(p)
		h.want(p, "production", "NothingReleased")
		h.wantNo(p, old)
		again := h.start()
		h.repo.Delete("metadata/2.root.json") // hidden from who has seen it
		h.want(again, "production", "NothingReleased")
		h.poll(again)
		h.want(again, "production", "NothingReleased")
		h.repo.Publish(doc("production", "1.2.0"))
		h.poll(again)
		h.want(again, "production", "1.2.0")
	})
	t.Run("broken timestamp", func(t *testing.T) {
		t.Parallel()
		h, p := begin(t)
		h.repo.Put("metadata/timestamp.json", []byte("{}"))
		h.wantPollError(p, "timestamp.json")
		h.want(p, "production", "NothingReleased")
		h.wantNo(p, old)
		h.want(h.start(), "production", "NothingReleased")
	})
	t.Run("channel that cannot be read", func(t *testing.T) {
		t.Parallel()
		h, p := begin(t)
		h.repo.Publish(doc("production", "1.3.0"))
		h.repo.Delete("metadata/2.shop.production.json")
		h.poll(p)
		h.want(p, "production", "NothingReleased")
	})
}

// A root that lowers a floor is refused, though the root keys have signed it, and the view of before stays.
func TestFloorNeverFalls(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"lower":           map[string]any{"shop": "1.1.0"},
		"lower by a beta": map[string]any{"shop": "1.2.0-rc.1"},
		"dropped":         map[string]any{"other": "1.2.0"},
		"no floors":       nil,
		"number":          map[string]any{"shop": 2},
		"list":            []any{"1.2.0"},
		"empty":           map[string]any{"shop": ""},
		"with a v":        map[string]any{"shop": "v1.2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.T = t
			h.raise("1.2.0")
			h.repo.Publish(doc("production", "1.2.0"))
			p := h.start()
			h.poll(p)
			h.repo.PublishRoot(tuf.FloorsField, value)
			h.repo.Publish(doc("production", "1.1.0"))
			h.wantPollError(p, "3.root.json")
			h.want(p, "production", "1.2.0")
			h.want(h.start(), "production", "1.2.0")
		})
	}
}
