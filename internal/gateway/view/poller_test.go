// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// harness is a poller of a test repository.
type harness struct {
	*testing.T
	repo    *viewtest.Repo
	url     string
	dir     string
	root    []byte
	offset  time.Duration // of the poller's clock
	metrics *prometheus.Registry
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	repo := viewtest.New(t)
	server := httptest.NewServer(repo)
	t.Cleanup(server.Close)
	return &harness{T: t, repo: repo, url: server.URL, dir: t.TempDir(), root: repo.Root()}
}

// start makes a poller as a new process would.
func (h *harness) start() *view.Poller {
	h.Helper()
	source, err := origin.NewHTTP(h.url)
	if err != nil {
		h.Fatal(err)
	}
	h.metrics = prometheus.NewRegistry()
	p, err := view.New(h.Context(), view.Config{
		Source: source, Root: h.root, CacheDir: h.dir, Interval: time.Second, Timeout: time.Minute,
		Log: slog.New(slog.DiscardHandler), Metrics: h.metrics, Now: func() time.Time { return time.Now().Add(h.offset) },
	})
	if err != nil {
		h.Fatal(err)
	}
	return p
}

func (h *harness) poll(p *view.Poller) {
	h.Helper()
	if err := p.Poll(h.Context()); err != nil {
		h.Fatal(err)
	}
}

// wantPollError polls and wants an error with a text.
func (h *harness) wantPollError(p *view.Poller, text string) {
	h.Helper()
	if err := p.Poll(h.Context()); err == nil || !strings.Contains(err.Error(), text) {
		h.Fatalf("got %v, want an error with %q", err, text)
	}
}

// wantVersion wants that devices are offered a version of an app, or no update for a reason.
func (h *harness) want(p *view.Poller, channel, versionOrReason string) {
	h.Helper()
	d := resolve.Device{
		Device: compat.Device{Platform: "ios", NativeVersion: semver.MustParse("1.0.0")},
		ID:     "d", Distribution: resolve.Production, Hardware: resolve.Physical,
	}
	var v *resolve.View
	if p.View() != nil {
		v = &p.View().View
	}
	at := time.Now().Add(h.offset)
	c, reason := v.Channel("shop", channel, at)
	got := resolve.Decision{Action: resolve.None, Reason: reason}
	if c != nil {
		got = c.Decide(&d, at)
	}
	if got.Action == resolve.Update && got.Bundle.Version == versionOrReason || string(got.Reason) == versionOrReason {
		return
	}
	h.Fatalf("channel %s: got %s %s, want %s", channel, got.Action, got.Reason, versionOrReason)
}

func doc(channel, version string) *release.Document {
	return &release.Document{
		Schema: release.Schema, App: "shop", Channel: channel, Revision: 1, Serving: release.Active,
		Stable: &release.Bundle{
			Name: "shop-" + version, Version: version, Digest: release.DigestPrefix + strings.Repeat("a", 64), Size: 4,
			Path: release.BundleTarget("shop", version, "zip"),
		},
	}
}

func TestFollowsTheRepository(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	p := h.start()
	h.want(p, "production", "NoMetadata")
	h.poll(p)
	h.want(p, "production", "UnknownApp")
	h.repo.Publish(doc("production", "1.1.0"), doc("beta", "1.2.0"))
	h.poll(p)
	h.want(p, "production", "1.1.0")
	h.want(p, "beta", "1.2.0")
	h.want(p, "nightly", "UnknownChannel")
	h.repo.Publish(doc("beta", "1.3.0"))
	h.poll(p)
	h.want(p, "production", "1.1.0")
	h.want(p, "beta", "1.3.0")
}

func TestReadsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var docs []*release.Document
	for i := range 40 { // more than the 32 delegations that TUF clients walk
		docs = append(docs, doc(fmt.Sprintf("c%d", i), "1.1.0"))
	}
	h.repo.Publish(docs...)
	p := h.start()
	h.poll(p)
	h.want(p, "c39", "1.1.0")
	h.repo.Requests()

	h.poll(p)
	if got := h.repo.Requests(); len(got) != 1 || got["metadata/timestamp.json"] != 1 {
		t.Errorf("nothing changed, but read %v", got)
	}
	h.repo.Publish(doc("c7", "1.2.0"))
	h.poll(p)
	got := h.repo.Requests()
	// timestamp, the next root, snapshot, the role, its document
	if len(got) != 5 || got["metadata/2.shop.c7.json"] != 1 {
		t.Errorf("one channel changed, but read %v", got)
	}
	h.want(p, "c7", "1.2.0")
}

func TestServesOnWithoutTheRepository(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"))
	p := h.start()
	h.poll(p)
	h.repo.Down(http.StatusServiceUnavailable)
	h.wantPollError(p, "got 503")
	h.want(p, "production", "1.1.0")

	p = h.start() // a restart while the repository is gone
	h.want(p, "production", "1.1.0")
	h.wantPollError(p, "got 503")
	h.want(p, "production", "1.1.0")

	h.offset = 25 * time.Hour
	h.want(p, "production", "MetadataExpired")
	p = h.start()
	h.want(p, "production", "MetadataExpired")
	if got := gauge(t, h.metrics, "windlass_gateway_view_expired"); got != 1 {
		t.Errorf("expired gauge is %v, want 1", got)
	}

	h.repo.Down(0)
	h.repo.Expires = time.Now().Add(48 * time.Hour)
	h.repo.Publish(doc("production", "1.2.0"))
	h.poll(p)
	h.want(p, "production", "1.2.0")
}

func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// snapshot of what the repository serves, to play an old state back.
func (h *harness) keep() map[string][]byte {
	return map[string][]byte{"metadata/timestamp.json": h.repo.Object("metadata/timestamp.json")}
}

func TestRefusesAnOlderState(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"))
	old := h.keep()
	h.repo.Publish(doc("production", "1.2.0"))
	p := h.start()
	h.poll(p)
	for name, raw := range old {
		h.repo.Put(name, raw)
	}
	h.wantPollError(p, "timestamp version")
	h.want(p, "production", "1.2.0")

	p = h.start() // the memory of the newest state outlives the process
	h.wantPollError(p, "timestamp version")
	h.want(p, "production", "1.2.0")
}

// Expired metadata are no state to serve, but one that nothing may go back behind.
func TestRefusesAStateOlderThanAnExpiredOne(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"))
	old := h.keep()
	h.repo.Expires = time.Now().Add(-time.Hour)
	h.repo.Publish(doc("production", "1.2.0"))
	p := h.start()
	h.wantPollError(p, "expired")
	h.want(p, "production", "MetadataExpired")
	for name, raw := range old {
		h.repo.Put(name, raw)
	}
	h.wantPollError(p, "timestamp version")
	h.want(p, "production", "MetadataExpired")
}

func TestRefusesWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"))
	p := h.start()
	h.poll(p)

	other := viewtest.New(t)
	other.Publish(doc("production", "6.6.6"))
	other.Publish(doc("production", "6.6.6"))
	h.repo.Put("metadata/timestamp.json", other.Object("metadata/timestamp.json"))
	h.wantPollError(p, "verify metadata/timestamp.json")
	h.repo.Put("metadata/timestamp.json", []byte("<html>"))
	h.wantPollError(p, "verify metadata/timestamp.json")
	h.repo.Put("metadata/timestamp.json", make([]byte, 20<<10))
	h.wantPollError(p, "more than the expected 16384 bytes")
	h.want(p, "production", "1.1.0")
}

func TestFollowsNewKeys(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"))
	p := h.start()
	h.poll(p)
	h.repo.RotateKeys()
	h.repo.RotateKeys()
	h.repo.Publish(doc("production", "1.2.0"))
	h.poll(p)
	h.want(p, "production", "1.2.0")

	h.repo.Down(http.StatusServiceUnavailable)
	h.want(h.start(), "production", "1.2.0") // the cache has the roots between
}

// One channel that cannot be read does not keep the others back, stays as it was, and is read as soon as that works.
func TestOneBrokenChannel(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"), doc("beta", "1.1.0"))
	p := h.start()
	h.poll(p)
	h.repo.Publish(doc("production", "1.2.0"), doc("beta", "1.2.0"))
	lost := h.repo.Object("metadata/2.shop.beta.json")
	h.repo.Delete("metadata/2.shop.beta.json")
	h.poll(p)
	h.want(p, "production", "1.2.0")
	h.want(p, "beta", "1.1.0")
	if got := gauge(t, h.metrics, "windlass_gateway_view_stale_channels"); got != 1 {
		t.Errorf("%v stale channels, want 1", got)
	}

	h.repo.Put("metadata/2.shop.beta.json", lost)
	h.offset += time.Minute
	h.poll(p)
	h.want(p, "beta", "1.2.0")
}

// What a key signed that was taken away is not served any more, though it was verified once.
func TestRevokedChannelKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"))
	p := h.start()
	h.poll(p)
	h.repo.RevokeChannelKey()
	h.poll(p)
	h.want(p, "production", "ReleaseUnreadable")
	h.repo.Publish(doc("production", "1.2.0")) // signed by the new key
	h.poll(p)
	h.want(p, "production", "1.2.0")
}

// A role says nothing of what it was not delegated.
func TestRoleWithoutDelegation(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"))
	p := h.start()
	h.poll(p)
	h.repo.Delegate("channels/shop/another.json")
	h.poll(p)
	h.want(p, "production", "ReleaseUnreadable")
	h.want(h.start(), "production", "ReleaseUnreadable") // from the cache
	h.repo.Delegate("")
	h.poll(p)
	h.want(p, "production", "1.1.0")
}

func TestRemovedChannel(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"), doc("beta", "1.1.0"))
	p := h.start()
	h.poll(p)
	h.repo.Remove("shop", "beta")
	h.poll(p)
	h.want(p, "beta", "UnknownChannel")
	h.want(p, "production", "1.1.0")
	h.want(h.start(), "beta", "UnknownChannel") // from the cache
	h.repo.Publish(doc("beta", "1.2.0"))
	h.poll(p)
	h.want(p, "beta", "1.2.0")
}

func TestTamperedDocument(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"))
	p := h.start()
	h.poll(p)
	next := doc("production", "1.2.0")
	h.repo.Publish(next)
	raw, err := next.Encode()
	if err != nil {
		t.Fatal(err)
	}
	h.repo.Put(documentName(t, next), []byte(strings.Replace(string(raw), "1.2.0", "6.6.6", 1)))
	h.poll(p)
	h.want(p, "production", "1.1.0")
}

func documentName(t *testing.T, d *release.Document) string {
	t.Helper()
	raw, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return release.TargetObject(release.ChannelTarget(d.App, d.Channel), viewtest.Digest(raw))
}

// A document that is signed but cannot be understood may hold a rollback: the channel offers nothing.
func TestUnreadableDocument(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"), doc("beta", "1.1.0"))
	p := h.start()
	h.poll(p)
	for _, raw := range []string{`{"schema": 2}`, `<html>`, `{"schema":1,"app":"bank","channel":"beta","serving":"Active"}`} {
		h.repo.PublishRaw("shop", "beta", []byte(raw))
		h.poll(p)
		h.want(p, "beta", "ReleaseUnreadable")
		h.want(p, "production", "1.1.0")
	}
	h.repo.Publish(doc("beta", "1.4.0"))
	h.poll(p)
	h.want(p, "beta", "1.4.0")
}

// A cache that was tampered with, or broke, is like none.
func TestBrokenCache(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.repo.Publish(doc("production", "1.1.0"))
	h.poll(h.start())
	files := 0
	err := filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		return os.WriteFile(path, []byte("{}"), 0o600)
	})
	if err != nil || files != 5 { // timestamp, snapshot, targets, role, document
		t.Fatalf("the cache has %d files, %v; want 5", files, err)
	}
	p := h.start()
	h.want(p, "production", "NoMetadata")
	h.poll(p)
	h.want(p, "production", "1.1.0")
	h.want(h.start(), "production", "1.1.0")
}

func TestRefusesARootThatIsNone(t *testing.T) {
	t.Parallel()
	for _, root := range []string{"", "{}", "-----BEGIN PUBLIC KEY-----"} {
		_, err := view.New(t.Context(), view.Config{Root: []byte(root), Metrics: prometheus.NewRegistry()})
		if err == nil || !strings.Contains(err.Error(), "expected TUF root metadata") {
			t.Errorf("root %q: %v", root, err)
		}
	}
}

func TestArtifacts(t *testing.T) {
	t.Parallel()
	at := time.Now()
	d := doc("production", "1.1.0")
	d.PublicURL = "https://cdn.example.com/x"
	v, err := view.Compile(at.Add(time.Minute), d)
	if err != nil {
		t.Fatal(err)
	}
	hex := strings.Repeat("a", 64)
	if a, ok := v.Artifact("shop", hex, at); !ok || a.PublicURL != d.PublicURL || a.Bundle.Version != "1.1.0" {
		t.Errorf("got %+v, %v", a, ok)
	}
	for name, ok := range map[string]bool{
		"another app":    second(v.Artifact("bank", hex, at)),
		"another digest": second(v.Artifact("shop", strings.Repeat("b", 64), at)),
		"expired":        second(v.Artifact("shop", hex, at.Add(time.Minute))),
		"no view":        second((*view.View)(nil).Artifact("shop", hex, at)),
	} {
		if ok {
			t.Errorf("%s: found", name)
		}
	}
}

// A channel whose own role has expired hands out nothing, though the repository's other metadata hold. What another channel
// hands out too is there as long as that one holds.
func TestArtifactsOfAnExpiredChannel(t *testing.T) {
	t.Parallel()
	own, shared := strings.Repeat("b", 64), strings.Repeat("a", 64)
	for range 8 { // channels are walked in random order
		h := newHarness(t)
		production := doc("production", "1.1.0")
		production.Previous = &release.Bundle{
			Name: "shop-1.0.0", Version: "1.0.0", Digest: release.DigestPrefix + own, Size: 4, Path: release.BundleTarget("shop", "1.0.0", "zip"),
		}
		h.repo.Expires = time.Now().Add(time.Hour)
		h.repo.Publish(production)
		h.repo.Expires = time.Now().Add(48 * time.Hour)
		h.repo.Publish(doc("beta", "1.1.0"))
		p := h.start()
		h.poll(p)
		for _, tc := range []struct {
			hex  string
			in   time.Duration
			want bool
		}{{own, 0, true}, {own, 2 * time.Hour, false}, {shared, 0, true}, {shared, 2 * time.Hour, true}, {shared, 49 * time.Hour, false}} {
			if got := second(p.View().Artifact("shop", tc.hex, time.Now().Add(tc.in))); got != tc.want {
				t.Errorf("artifact %.1s after %v: found %v, want %v", tc.hex, tc.in, got, tc.want)
			}
		}
	}
}

func second[T any](_ T, ok bool) bool { return ok }

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx, cancel := context.WithCancel(t.Context())
	p := h.start()
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	cancel()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("Run goes on")
	}
}

func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.poll(h.start())
	problems, err := testutil.GatherAndLint(h.metrics)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
