// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A restart while the repository is gone changes nothing: channels that cannot be read do not keep the others' newest state
// out of the cache.
func TestRestartWithBrokenChannels(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"), doc("beta", "1.1.0"))
	p := h.start()
	h.poll(p)
	h.repo.Publish(doc("production", "1.2.0"), doc("beta", "1.2.0"), doc("nightly", "1.2.0"))
	lost := h.repo.Object("metadata/2.shop.beta.json")
	h.repo.Delete("metadata/2.shop.beta.json")
	h.repo.Delete("metadata/1.shop.nightly.json")
	h.poll(p)
	h.repo.Publish(doc("production", "1.3.0"))
	h.poll(p)
	old := h.repo.Object("metadata/timestamp.json")
	h.repo.Publish(doc("production", "1.4.0"))
	h.poll(p)

	h.repo.Down(http.StatusServiceUnavailable)
	for range 2 { // the second start is from what the first one left
		h.want(p, "production", "1.4.0")
		h.want(p, "beta", "1.1.0")
		h.want(p, "nightly", "ReleaseUnreadable")
		if got := gauge(t, h.metrics, "windlass_gateway_view_stale_channels"); got != 2 {
			t.Errorf("%v stale channels, want 2", got)
		}
		p = h.start()
	}
	h.repo.Down(0)
	newest := h.repo.Object("metadata/timestamp.json")
	h.repo.Put("metadata/timestamp.json", old)
	h.wantPollError(p, "timestamp version")

	h.repo.Put("metadata/timestamp.json", newest)
	h.repo.Put("metadata/2.shop.beta.json", lost)
	h.offset += time.Minute
	h.poll(p)
	h.want(p, "beta", "1.2.0")
	h.want(p, "production", "1.4.0")
	h.want(h.start(), "beta", "1.2.0") // from the cache
}

// What a key signed that was taken away is not brought back by a restart.
func TestRestartAfterRevokedChannelKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"))
	p := h.start()
	h.poll(p)
	h.repo.Publish(doc("production", "1.2.0"))
	h.repo.Delete("metadata/2.shop.production.json")
	h.poll(p)
	h.want(p, "production", "1.1.0")
	h.repo.RevokeChannelKey()
	h.poll(p)
	h.want(p, "production", "ReleaseUnreadable")
	h.want(h.start(), "production", "ReleaseUnreadable")
}

// What was verified of a state that could not be had as a whole outlives the process: no older state is accepted after it,
// and the last whole one is served.
func TestRestartKeepsYardsticks(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		breaks func(*harness) // the newest state
		want   string         // of polling a state between the one that is served and the newest
	}{
		"no snapshot": {func(h *harness) { h.repo.Delete("metadata/4.snapshot.json") }, "timestamp version"},
		"no targets":  {func(h *harness) { h.repo.Delete("metadata/4.targets.json") }, "timestamp version"},
		"expired":     {func(h *harness) { h.repo.Expires = time.Now().Add(-time.Hour); h.repo.Publish() }, "timestamp version"},
		"new root": {func(h *harness) {
			h.repo.RotateKeys()
			h.repo.Put("metadata/timestamp.json", nil)
		}, "verify metadata/timestamp.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.repo.Publish(doc("production", "1.1.0"))
			p := h.start()
			h.poll(p)
			h.repo.Publish(doc("production", "1.2.0"))
			between := h.repo.Object("metadata/timestamp.json")
			h.repo.Publish(doc("production", "1.3.0"), doc("beta", "1.3.0")) // version 4, with other targets
			tc.breaks(h)
			if err := p.Poll(t.Context()); err == nil {
				t.Fatal("polled a broken state")
			}
			h.want(p, "production", "1.1.0")

			h.repo.Put("metadata/timestamp.json", between)
			h.repo.Delete("metadata/2.root.json")
			for range 2 {
				p = h.start()
				h.want(p, "production", "1.1.0")
				h.wantPollError(p, tc.want)
				h.want(p, "production", "1.1.0")
			}
		})
	}
}

// The yardsticks go when a state is saved that is newer, so that the cache does not grow.
func TestYardsticksAreReplaced(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"))
	p := h.start()
	h.poll(p)
	h.repo.Publish(doc("production", "1.2.0"))
	lost := h.repo.Object("metadata/3.snapshot.json")
	h.repo.Delete("metadata/3.snapshot.json")
	h.wantPollError(p, "read metadata/3.snapshot.json")
	if got := len(files(t, h.dir)); got != 7 { // timestamp, snapshot, targets, role, document; the yardsticks timestamp and snapshot
		t.Errorf("the cache has %d files, want 7", got)
	}
	h.repo.Put("metadata/3.snapshot.json", lost)
	h.poll(p)
	h.want(p, "production", "1.2.0")
	if got := len(files(t, h.dir)); got != 5 {
		t.Errorf("the cache has %d files, want 5", got)
	}
}

// files lists those of a folder, and of its folders.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
