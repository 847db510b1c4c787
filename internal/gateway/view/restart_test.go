// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
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

// follows wants that a device without a wish follows a channel; empty: none.
func (h *harness) follows(p *view.Poller, want string) {
	h.Helper()
	d := resolve.Device{Device: compat.Device{Platform: "ios", NativeVersion: semver.MustParse("1.0.0")}, ID: "d"}
	c, why := p.View().Follow("shop", resolve.Wish{}, &d, time.Now().Add(h.offset))
	got := ""
	if c != nil {
		got = c.Name
	}
	if got != want {
		h.Fatalf("follows %q (%s), want %q", got, why, want)
	}
}

// A manager that is newer than the gateway, and writes what the gateway does not understand, moves no device: neither those of
// that channel, nor those of others to it. A restart changes nothing of that.
func TestNewerDocumentMovesNobody(t *testing.T) {
	t.Parallel()
	const private, publicOnes = `"follow":{"visibility":"Private","selfAssignment":"Allowed"}`, `"audience":{"platforms":["ios"]}`
	for name, tc := range map[string]struct {
		beta string // members of its document; it goes before production
		want string // that devices follow which name none
	}{
		"private, a new value of a guard":    {`"schema":1,"serving":"Active","guards":{"autoUpdate":"Build"},` + private, "production"},
		"private, a new type of a guard":     {`"schema":1,"serving":"Active","guards":["Build"],` + private, "production"},
		"private, a new schema":              {`"schema":2,` + private, "production"},
		"a new visibility":                   {`"schema":1,"serving":"Active","follow":{"visibility":"Secret"}`, "production"},
		"public, a new value of a guard":     {`"schema":1,"serving":"Active","guards":{"autoUpdate":"Build"}`, "beta"},
		"public for others, a new schema":    {`"schema":2,"audience":{"platforms":["android"]}`, "production"},
		"public for its platform, new guard": {`"schema":1,"serving":"Active","guards":["Build"],` + publicOnes, "beta"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.repo.Publish(doc("production", "1.1.0"))
			h.repo.PublishRaw("shop", "beta", []byte(`{"app":"shop","channel":"beta",`+tc.beta+`}`))
			p := h.start()
			h.poll(p)
			for range 2 {
				h.want(p, "beta", "ReleaseUnreadable")
				h.want(p, "production", "1.1.0")
				h.follows(p, tc.want)
				p = h.start()
			}
		})
	}
}

// Of a channel that cannot be read at all, devices are those that it had before. A new one has none but those that name it.
func TestUnreadableKeepsItsDevices(t *testing.T) {
	t.Parallel()
	private := doc("beta", "1.1.0")
	private.Follow.Visibility = "Private"
	for name, tc := range map[string]struct {
		before *release.Document
		breaks func(*harness)
		want   string
	}{
		"public, no document": {doc("beta", "1.1.0"), func(h *harness) { h.repo.PublishRaw("shop", "beta", []byte("<html>")) }, "beta"},
		"public, of another": {doc("beta", "1.1.0"), func(h *harness) {
			h.repo.PublishRaw("shop", "beta", []byte(`{"schema":1,"app":"shop","channel":"omega"}`))
		}, "beta"},
		"private, no document":  {private, func(h *harness) { h.repo.PublishRaw("shop", "beta", []byte("<html>")) }, "production"},
		"public, no delegation": {doc("beta", "1.1.0"), func(h *harness) { h.repo.Delegate("channels/shop/production.json") }, "beta"},
		"private, revoked key":  {private, func(h *harness) { h.repo.RevokeChannelKey(); h.repo.Publish(doc("production", "1.2.0")) }, "production"},
		"new, no document":      {nil, func(h *harness) { h.repo.PublishRaw("shop", "beta", []byte("<html>")) }, "production"},
		"new, no role": {nil, func(h *harness) {
			h.repo.Publish(doc("beta", "1.1.0"))
			h.repo.Delete("metadata/1.shop.beta.json")
		}, "production"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.repo.Publish(doc("production", "1.1.0"))
			if tc.before != nil {
				h.repo.Publish(tc.before)
			}
			p := h.start()
			h.poll(p)
			tc.breaks(h)
			h.poll(p)
			h.want(p, "beta", "ReleaseUnreadable")
			h.follows(p, tc.want)
		})
	}
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
