// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/release"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	app    = "com.example.shop"
	device = "3f2c0d7e-0000-4000-8000-00000000000a"
	keyID  = "MIIBCgKCAQEAq1vE5yc7"
)

var (
	now       = time.Unix(1_800_000_000, 0)
	stableHex = strings.Repeat("a", 64)
	trialHex  = strings.Repeat("b", 64)
)

// production is what devices follow that wish for nothing.
func production(edits ...func(*release.Document)) *release.Document {
	doc := &release.Document{
		Schema: release.Schema, App: app, Channel: "production", Revision: 3, Serving: release.Active,
		Stable: &release.Bundle{
			Name: "s", Version: "2.4.0", Digest: "sha256:" + stableHex, Size: 11, Path: "bundles/" + app + "/2.4.0.zip", MediaType: "application/zip",
		},
		Refused: []release.Refusal{{Digest: "sha256:" + strings.Repeat("c", 64), Version: "2.3.9"}},
	}
	for _, edit := range edits {
		edit(doc)
	}
	return doc
}

// Edits of documents.
func named(name string) func(*release.Document) {
	return func(d *release.Document) { d.Channel = name }
}

func follow(visibility, selfAssignment string) func(*release.Document) {
	return func(d *release.Document) { d.Follow.Visibility, d.Follow.SelfAssignment = visibility, selfAssignment }
}

func version(v string) func(*release.Document) {
	return func(d *release.Document) {
		d.Stable.Version, d.Stable.Digest = v, "sha256:"+trialHex
	}
}

func encrypted(d *release.Document) {
	d.Stable.Encryption = &release.Encryption{SessionKey: "aXY=:a2V5", Checksum: strings.Repeat("e", 512), KeyID: keyID}
}

func empty(d *release.Document) { d.Stable = nil }

// spy is the real ledger, and remembers what it was handed.
type spy struct {
	*ledger.Ledger

	mu      sync.Mutex
	checks  []ledger.Check
	reports []ledger.Report
	full    bool     // it takes no reports
	failed  []string // digests that failed on every device, beside those that it knows
}

func (s *spy) Failed(p ledger.Pseudonym) []string {
	if s.failed != nil {
		return s.failed
	}
	return s.Ledger.Failed(p)
}

func (s *spy) Checked(c *ledger.Check) {
	s.mu.Lock()
	s.checks = append(s.checks, *c)
	s.mu.Unlock()
	s.Ledger.Checked(c)
}

func (s *spy) Reported(r *ledger.Report) bool {
	s.mu.Lock()
	s.reports = append(s.reports, *r)
	full := s.full
	s.mu.Unlock()
	return !full && s.Ledger.Reported(r)
}

// fixture is the protocol over compiled documents and a ledger in memory.
type fixture struct {
	testing.TB
	handler *capgo.Handler
	ledger  *spy
	mux     http.Handler
	metrics *prometheus.Registry
	now     time.Time
}

func newFixture(t testing.TB, docs ...*release.Document) *fixture {
	t.Helper()
	return fixtureOn(t, newLedger(t), docs...)
}

// fixtureOn shares a ledger, which takes a moment to open, with other fixtures.
func fixtureOn(t testing.TB, l *ledger.Ledger, docs ...*release.Document) *fixture {
	t.Helper()
	f := &fixture{TB: t, ledger: &spy{Ledger: l}, metrics: prometheus.NewRegistry(), now: now}
	f.handler = capgo.New(capgo.Config{
		View: f.compile(docs...), Ledger: f.ledger,
		BaseURL: "https://ota.example.com", Now: func() time.Time { return f.now },
	}, f.metrics)
	f.withEdge(edge.Config{})
	f.mux = httpx.New(slog.New(slog.DiscardHandler), f.metrics).Mux(f.handler.Routes()...)
	return f
}

// withEdge lets requests through another edge.
func (f *fixture) withEdge(cfg edge.Config) {
	f.Helper()
	cfg.Limits.Networks = 64
	e, err := edge.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		f.Fatal(err)
	}
	f.handler.Edge = e
}

// occupy leaves no room for another request.
func occupy(f *fixture) {
	f.withEdge(edge.Config{Limits: limit.Config{MaxInFlight: 1}})
	if !f.handler.Edge.Begin(limit.Checks) || !f.handler.Edge.Begin(limit.Reports) {
		f.Fatal("no room for one")
	}
}

// spend spends the budget of the network that tests ask from, for longer than a client is ever told to wait.
func spend(f *fixture) {
	once := limit.Budget{PerSecond: 1. / (24 * 60 * 60), Burst: 1}
	f.withEdge(edge.Config{Limits: limit.Config{Checks: once, Reports: once}})
	for _, class := range []limit.Class{limit.Checks, limit.Reports} {
		if _, wait := f.handler.Edge.Admit(class, httptest.NewRequest(http.MethodPost, "/", http.NoBody)); wait > 0 {
			f.Fatal("no budget for one")
		}
	}
}

// compile gives the view of documents.
func (f *fixture) compile(docs ...*release.Document) func() *view.View {
	f.Helper()
	v, err := view.Compile(now.Add(time.Hour), docs...)
	if err != nil {
		f.Fatal(err)
	}
	return func() *view.View { return v }
}

func newLedger(t testing.TB) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(context.Background(), ledger.Config{
		FilterSize: 1 << 10, QueueSize: 1 << 13, MaxFailures: 1 << 10, MaxOverrides: 1 << 10, NetworkShare: 1, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-done
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// call asks; header has names and values, of which an empty one is left out.
func (f *fixture) call(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "CapacitorUpdater/8.51.23 ("+app+") android/15")
	for i := 0; i+1 < len(header); i += 2 {
		if r.Header.Del(header[i]); header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return w
}

// fields of a request.
type fields map[string]any

// with gives the fields with others; nil removes one.
func (f fields) with(others fields) fields {
	out := maps.Clone(f)
	for name, value := range others {
		if out[name] = value; value == nil {
			delete(out, name)
		}
	}
	return out
}

func (f fields) json() string {
	raw, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func (f fields) query() string {
	q := url.Values{}
	for name, value := range f {
		q.Set(name, fmt.Sprint(value))
	}
	return "?" + q.Encode()
}

// The clients that the tests are about.
var (
	androidApp = fields{
		"platform": "android", "device_id": device, "app_id": app, "custom_id": "", "version_build": "2.0.0", "version_code": "7",
		"version_os": "15", "version_name": "2.0.0", "plugin_version": "8.51.23", "is_emulator": false, "is_prod": true,
		"install_source": "google_play", "defaultChannel": "",
	}
	iosApp      = androidApp.with(fields{"platform": "ios", "install_source": nil, "version_os": "18.1"})
	electronApp = androidApp.with(fields{"platform": "electron", "plugin_version": "0.0.1", "custom_id": nil, "install_source": nil})
	oldApp      = androidApp.with(fields{"plugin_version": "7.10.0", "version_name": "builtin"})
)

// golden is an answer that is kept in testdata, byte for byte.
type golden struct {
	name   string
	docs   []*release.Document
	method string // default: POST
	path   string // default: that of checks
	body   string
	header []string
	code   int // default: 200
	before func(f *fixture)
	client reaction // of checks: how all clients take it
}

func (g *golden) call(t testing.TB, l *ledger.Ledger) *httptest.ResponseRecorder {
	t.Helper()
	if g.docs == nil {
		g.docs = []*release.Document{production()}
	}
	f := fixtureOn(t, l, g.docs...)
	if g.before != nil {
		g.before(f)
	}
	method, path := g.method, g.path
	if method == "" {
		method = http.MethodPost
	}
	if path == "" {
		path = capgo.CheckPath
	}
	return f.call(method, path, g.body, g.header...)
}

func TestGolden(t *testing.T) {
	t.Parallel()
	l, seen := newLedger(t), map[string]bool{}
	for _, g := range slices.Concat(checkGoldens(), statsGoldens(), channelGoldens()) {
		seen[g.name+".json"] = true
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			g.check(t, l)
		})
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !seen[filepath.Base(file)] {
			t.Errorf("%s is the answer of no case", file)
		}
	}
}

func (g *golden) check(t *testing.T, l *ledger.Ledger) {
	w := g.call(t, l)
	if want := cmp.Or(g.code, http.StatusOK); w.Code != want {
		t.Errorf("got %d %s, want %d", w.Code, w.Body, want)
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", w.Header())
	}
	file := filepath.Join("testdata", g.name+".json")
	if *update {
		if err := os.WriteFile(file, w.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Body.String(); got != string(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid(w.Body.Bytes()) {
		t.Errorf("no JSON: %s", w.Body)
	}
	if g.client != "" {
		for client, got := range reactions(w.Code, w.Body.Bytes()) {
			if got != g.client {
				t.Errorf("%s takes %s as %q, want %q", client, w.Body, got, g.client)
			}
		}
	}
}
