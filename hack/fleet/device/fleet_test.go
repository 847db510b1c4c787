// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
)

// server is a gateway that offers every device the same, in both protocols.
type server struct {
	*httptest.Server
	mu        sync.Mutex
	answer    native.CheckResponse
	content   []byte
	broken    bool
	reports   map[string]int  // by outcome and kind
	stats     map[string]int  // by action and version
	failed    map[string]bool // devices that went back, with the version
	ids       map[string]int  // checks by device
	networks  map[string]bool // of devices
	forgetful bool            // offers a device what failed on it

	busy, busiest atomic.Int64
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{
		answer: native.CheckResponse{Action: "none"}, reports: map[string]int{}, stats: map[string]int{}, failed: map[string]bool{},
		ids: map[string]int{}, networks: map[string]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+native.CheckPath, s.check)
	mux.HandleFunc("POST "+native.ReportPath, s.report)
	mux.HandleFunc("POST /updates", s.updates)
	mux.HandleFunc("POST /stats", s.stat)
	mux.HandleFunc("GET /artifact", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/cdn", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("GET /cdn", s.artifact)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) check(w http.ResponseWriter, r *http.Request) {
	var req native.CheckRequest
	err := json.NewDecoder(r.Body).Decode(&req)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken || err != nil {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	s.ids[req.DeviceID]++
	s.networks[r.Header.Get("X-Forwarded-For")] = true
	answer := s.answer
	if b := answer.Bundle; b != nil && (b.Digest == req.Current.Digest || s.failed[req.DeviceID+b.Digest] && !s.forgetful) {
		answer = native.CheckResponse{Action: "none", Reason: "UpToDate"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *server) report(w http.ResponseWriter, r *http.Request) {
	var req native.ReportRequest
	err := json.NewDecoder(r.Body).Decode(&req)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken || err != nil {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	s.reports[strings.TrimSpace(req.Outcome+" "+req.Kind)]++
	s.failed[req.DeviceID+req.Digest] = req.Kind == native.KindRollback
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write([]byte(`{"counted":true,"reason":"Counted"}`))
}

// updates answers a check of the Capgo protocol.
func (s *server) updates(w http.ResponseWriter, r *http.Request) {
	var req capgoInfo
	err := json.NewDecoder(r.Body).Decode(&req)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken || err != nil {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	s.ids[req.DeviceID]++
	s.networks[r.Header.Get("X-Forwarded-For")] = true
	b := s.answer.Bundle
	switch {
	case s.answer.Action == "reset" && req.VersionName != req.VersionBuild:
		_, _ = w.Write([]byte(`{"version":"builtin"}`))
	case b == nil || b.Version == req.VersionName || s.failed[req.DeviceID+b.Version] && !s.forgetful:
		_, _ = w.Write([]byte(`{"kind":"up_to_date","error":"no_new_version_available","message":"up to date"}`))
	default:
		_ = json.NewEncoder(w).Encode(map[string]string{"version": b.Version, "url": b.URL, "checksum": strings.TrimPrefix(b.Digest, "sha256:")})
	}
}

// stat takes statistics.
func (s *server) stat(w http.ResponseWriter, r *http.Request) {
	var req []capgoStat
	err := json.NewDecoder(r.Body).Decode(&req)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken || err != nil {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	var results []string
	for _, stat := range req {
		s.stats[stat.Action+" "+stat.VersionName]++
		if stat.Action == "update_fail" {
			s.failed[stat.DeviceID+stat.VersionName] = true
		}
		results = append(results, `{"status":"ok"}`)
	}
	_, _ = w.Write([]byte(`{"status":"ok","results":[` + strings.Join(results, ",") + `]}`))
}

func (s *server) artifact(w http.ResponseWriter, _ *http.Request) {
	if n := s.busy.Add(1); n > s.busiest.Load() {
		s.busiest.Store(n)
	}
	defer s.busy.Add(-1)
	s.mu.Lock()
	content := s.content
	s.mu.Unlock()
	if content == nil {
		http.Error(w, "gone", http.StatusBadGateway)
		return
	}
	_, _ = w.Write(content)
}

func (s *server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *server) offer(b native.Bundle, content []byte) {
	b.URL = s.URL + "/artifact"
	s.set(func() { s.answer, s.content = native.CheckResponse{Action: "update", Bundle: &b}, content })
}

func (s *server) reported(outcome string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reports[outcome]
}

type author struct{ key *ecdsa.PrivateKey }

func newAuthor(t *testing.T) *author {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &author{key}
}

// bundle makes an archive that declares a failure rate, signed.
func (a *author) bundle(t *testing.T, version, manifest string) (native.Bundle, []byte) {
	t.Helper()
	var buf bytes.Buffer
	archive := zip.NewWriter(&buf)
	if manifest != "" {
		f, err := archive.Create(ManifestFile)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte(manifest))
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return a.sign(t, version, buf.Bytes()), buf.Bytes()
}

func (a *author) sign(t *testing.T, version string, content []byte) native.Bundle {
	t.Helper()
	sum := sha256.Sum256(content)
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return native.Bundle{
		Version: version, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(content)),
		Signatures: []native.Signature{{Authority: "ci", Signature: base64.StdEncoding.EncodeToString(sig)}},
	}
}

func declares(version string, rate float64) string {
	return fmt.Sprintf(`{"version":%q,"failureRate":%g}`, version, rate)
}

// start runs devices, of which a share speaks the Capgo protocol.
func start(t *testing.T, s *server, a *author, devices int, capgo float64) *Fleet {
	t.Helper()
	f, err := New(Config{
		Capgo:   capgo,
		Gateway: s.URL + "/", App: "com.example.shop", Channel: "production", NativeVersion: "1.0.0", Platforms: []string{"ios", "android"},
		Devices: devices, Seed: 7, Poll: 50 * time.Millisecond, Workers: 8, Downloads: 2, Author: &a.key.PublicKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after a minute still not: %s", what)
		}
	}
}

// settled waits until every device has asked twice more, so that nothing is left to happen.
func (s *server) settled(t *testing.T, devices int) {
	t.Helper()
	s.set(func() { clear(s.ids) })
	eventually(t, "all devices asked again", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, n := range s.ids {
			if n < 3 {
				return false
			}
		}
		return len(s.ids) == devices
	})
}

func bundles(f *Fleet) map[string]Bundle { return f.Status().Bundles }

var noTimes = cmpopts.IgnoreFields(Bundle{}, "FirstAt", "LastLeft")

const devices = 300

// TestFleet_release follows a fleet through a good release, a bad one that fails where the bundle says, and the way back.
func TestFleet_release(t *testing.T) {
	s, a := newServer(t), newAuthor(t)
	f := start(t, s, a, devices, 0)
	good, goodContent := a.bundle(t, "1.1.0", declares("1.1.0", 0))
	s.offer(good, goodContent)
	s.settled(t, devices)
	want := map[string]Bundle{
		Embedded: {Exposed: devices, Confirmed: devices},
		"1.1.0":  {Running: devices, Exposed: devices, Confirmed: devices},
	}
	if diff := cmp.Diff(want, bundles(f), noTimes); diff != "" {
		t.Fatalf("after the good release (-want +got):\n%s", diff)
	}

	bad, badContent := a.bundle(t, "1.2.0", declares("1.2.0", 0.2))
	s.offer(bad, badContent)
	s.settled(t, devices)
	failing := 0
	for i := range devices {
		if breaks(newDevice(&f.config, i).id, &manifest{Version: "1.2.0", FailureRate: 0.2}) {
			failing++
		}
	}
	if failing < devices/10 || failing > devices*3/10 {
		t.Errorf("%d of %d devices break, want about a fifth", failing, devices)
	}
	want["1.1.0"] = Bundle{Running: failing, Exposed: devices, Confirmed: devices}
	want["1.2.0"] = Bundle{Running: devices - failing, Exposed: devices, Confirmed: devices - failing, Failed: failing}
	if diff := cmp.Diff(want, bundles(f), noTimes); diff != "" {
		t.Fatalf("after the bad release (-want +got):\n%s", diff)
	}

	downloads := f.Status().Protocols[Native].Downloads
	s.offer(good, goodContent)
	s.settled(t, devices)
	want["1.1.0"] = Bundle{Running: devices, Exposed: devices, Confirmed: devices}
	want["1.2.0"] = Bundle{Exposed: devices, Confirmed: devices - failing, Failed: failing}
	if diff := cmp.Diff(want, bundles(f), noTimes); diff != "" {
		t.Fatalf("after the way back (-want +got):\n%s", diff)
	}
	if got := f.Status().Protocols[Native].Downloads; got != downloads {
		t.Errorf("the way back took %d downloads, want none: the previous bundle is still on the device", got-downloads)
	}
	wantReports := map[string]int{
		"downloaded": 2 * devices, "installed": 2 * devices, "confirmed": 3*devices - 2*failing, "failed rollback": failing,
	}
	s.set(func() {
		if diff := cmp.Diff(wantReports, s.reports); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
	if n := s.busiest.Load(); n < 1 || n > 2 {
		t.Errorf("%d downloads at a time, want at most 2", n)
	}

	s.set(func() { s.answer = native.CheckResponse{Action: "reset"} })
	eventually(t, "all devices are reset", func() bool { return bundles(f)[Embedded].Running == devices })
}

// TestFleet_rejects sees that a device installs nothing that is not exactly what the author signed.
func TestFleet_rejects(t *testing.T) {
	a, stranger := newAuthor(t), newAuthor(t)
	good, content := a.bundle(t, "1.1.0", declares("1.1.0", 0))
	foreign, foreignContent := stranger.bundle(t, "1.1.0", declares("1.1.0", 0))
	unsigned := good
	unsigned.Signatures = nil
	garbled := good
	garbled.Signatures = []native.Signature{{Signature: "*"}, {Signature: "AAAA"}}
	longer := good
	longer.Size++
	shorter := good
	shorter.Size--
	huge := good
	huge.Size = maxArtifact + 1
	flipped := bytes.Clone(content)
	flipped[len(flipped)/2] ^= 1
	noZip := a.sign(t, "1.1.0", []byte("no archive"))
	noManifest, noManifestContent := a.bundle(t, "1.1.0", "")
	badManifest, badManifestContent := a.bundle(t, "1.1.0", `{"version":"1.1.0","failureRate":2}`)

	tests := map[string]struct {
		bundle  native.Bundle
		content []byte
		check   string
		report  string
	}{
		"flipped bit":   {good, flipped, "digest", "failed verification"},
		"truncated":     {good, content[:50], "size", "failed verification"},
		"endless":       {shorter, bytes.Repeat(content, 1000), "size", "failed verification"},
		"announced":     {longer, content, "size", "failed verification"},
		"huge":          {huge, content, "size", "failed verification"},
		"other author":  {foreign, foreignContent, "signature", "failed verification"},
		"unsigned":      {unsigned, content, "signature", "failed verification"},
		"garbled":       {garbled, content, "signature", "failed verification"},
		"no archive":    {noZip, []byte("no archive"), "archive", "failed rollback"},
		"no manifest":   {noManifest, noManifestContent, "archive", "failed rollback"},
		"bad manifest":  {badManifest, badManifestContent, "archive", "failed rollback"},
		"not delivered": {good, nil, "network", "failed network"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			f := start(t, s, a, 1, 0)
			s.offer(tc.bundle, tc.content)
			eventually(t, "the device rejects", func() bool { return s.reported(tc.report) > 0 })
			s.settled(t, 1)
			got := f.Status()
			if got.Rejected[tc.check] == 0 || len(got.Rejected) != 1 {
				t.Errorf("rejected %v, want by %s only; %s", got.Rejected, tc.check, got.LastError)
			}
			if tc.check != "network" && got.Rejected[tc.check] != 1 {
				t.Errorf("rejected %d times, want once: a device does not try the same digest again", got.Rejected[tc.check])
			}
			if b := got.Bundles["1.1.0"]; b.Running > 0 || b.Exposed > 0 {
				t.Errorf("a device installed it: %+v", b)
			}
		})
	}
}

// TestFleet_outage sees that reports survive a gateway that is away, and that nothing is counted twice.
func TestFleet_outage(t *testing.T) {
	s, a := newServer(t), newAuthor(t)
	f := start(t, s, a, 20, 0)
	s.set(func() { s.broken = true })
	eventually(t, "checks fail", func() bool { return f.Status().CheckErrors > 40 })
	if got := bundles(f)[Embedded].Running; got != 20 {
		t.Errorf("%d devices run the embedded bundle during the outage, want 20", got)
	}
	good, content := a.bundle(t, "1.1.0", declares("1.1.0", 0))
	s.offer(good, content)
	s.set(func() { s.broken = false })
	s.settled(t, 20)
	s.set(func() {
		if diff := cmp.Diff(map[string]int{"downloaded": 20, "installed": 20, "confirmed": 20}, s.reports); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}

// TestDevice_outbox sees that a device sends what it could not before it asks for more.
func TestDevice_outbox(t *testing.T) {
	s, a := newServer(t), newAuthor(t)
	f, err := New(Config{
		Gateway: s.URL, App: "a", Channel: "c", NativeVersion: "1.0.0", Platforms: []string{"ios"}, Devices: 1, Poll: time.Hour,
		Workers: 1, Downloads: 1, Author: &a.key.PublicKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(&f.config, 0)
	for range maxOutbox + 3 {
		d.report(confirmed, installed{version: "1", digest: "sha256:1"}, "")
	}
	if len(d.outbox) != maxOutbox {
		t.Errorf("%d reports are kept, want %d", len(d.outbox), maxOutbox)
	}
	s.set(func() { s.broken = true })
	d.step(t.Context(), f)
	if got := f.Status(); got.ReportErrors != 1 || got.Checks()+got.CheckErrors != 0 || len(d.outbox) != maxOutbox {
		t.Errorf("during the outage: %+v and %d reports left", got, len(d.outbox))
	}
	s.set(func() { s.broken = false })
	d.step(t.Context(), f)
	if got := f.Status(); got.Protocols[Native].Reports != maxOutbox || got.Checks() != 1 || len(d.outbox) != 0 {
		t.Errorf("after the outage: %+v and %d reports left", got, len(d.outbox))
	}
}

func TestBreaks(t *testing.T) {
	c := Config{Seed: 1, Platforms: []string{"ios"}}
	const n = 20_000
	for _, rate := range []float64{0, 0.005, 0.08, 0.5, 1} {
		var broken, both int
		for i := range n {
			d := newDevice(&c, i)
			one, two := breaks(d.id, &manifest{"1.0.0", rate}), breaks(d.id, &manifest{"1.0.1", rate})
			if one {
				broken++
			}
			if one && two {
				both++
			}
		}
		// Five standard deviations of a binomial count.
		if got := float64(broken) / n; diff(got, rate) > 5*0.5/141 {
			t.Errorf("at %g the share that breaks is %g", rate, got)
		}
		if got := float64(both) / n; diff(got, rate*rate) > 5*0.5/141 {
			t.Errorf("at %g the share that breaks on both versions is %g, want %g: versions must be independent", rate, got, rate*rate)
		}
	}
}

func diff(a, b float64) float64 { return max(a-b, b-a) }

func TestNextPoll(t *testing.T) {
	base := time.Unix(1000, 0)
	tests := map[string]struct{ late, want time.Duration }{
		"on time":          {0, time.Second},
		"a little late":    {900 * time.Millisecond, time.Second},
		"one poll late":    {time.Second, 2 * time.Second},
		"slept a minute":   {61500 * time.Millisecond, 62 * time.Second},
		"before it is due": {-time.Millisecond, time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := nextPoll(base, base.Add(tc.late), time.Second).Sub(base); got != tc.want {
				t.Errorf("next poll after %s, want %s", got, tc.want)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	a := newAuthor(t)
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"gateway":   {func(c *Config) { c.Gateway = "localhost" }, "want a URL"},
		"app":       {func(c *Config) { c.App = "" }, "must be set"},
		"devices":   {func(c *Config) { c.Devices = 0 }, "devices is 0"},
		"capgo":     {func(c *Config) { c.Capgo = 1.5 }, "from 0 to 1"},
		"poll":      {func(c *Config) { c.Poll = 0 }, "poll is 0s"},
		"workers":   {func(c *Config) { c.Workers = 0 }, "at least 1"},
		"no author": {func(c *Config) { c.Author = nil }, "installs nothing that it cannot verify"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := Config{
				Gateway: "http://gateway", App: "a", Channel: "c", NativeVersion: "1.0.0", Platforms: []string{"ios"}, Devices: 1,
				Poll: time.Second, Workers: 1, Downloads: 1, Author: &a.key.PublicKey,
			}
			if _, err := New(c); err != nil {
				t.Fatalf("a good Config is refused: %v", err)
			}
			tc.change(&c)
			if _, err := New(c); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New gave %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestParseAuthor(t *testing.T) {
	a := newAuthor(t)
	der, err := x509.MarshalPKIXPublicKey(&a.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if got, err := ParseAuthor(text); err != nil || !got.Equal(&a.key.PublicKey) {
		t.Errorf("ParseAuthor gave %v and %v", got, err)
	}
	for _, bad := range []string{"", "hello", strings.Replace(string(text), "PUBLIC", "PRIVATE", 2), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if _, err := ParseAuthor([]byte(bad)); err == nil {
			t.Errorf("ParseAuthor took %q", bad)
		}
	}
}
