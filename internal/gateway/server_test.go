// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
	"github.com/windlass-dev/windlass/internal/release"
)

const token = "a-token-of-the-manager"

var (
	artifact = bytes.Repeat([]byte("update"), 50_000)
	digest   = release.DigestPrefix + viewtest.Digest(artifact)
)

// document has production at one stable version, whose artifact is in the repository.
func document(repo *viewtest.Repo, version string) *release.Document {
	b := &release.Bundle{
		Name: version, Version: version, Digest: digest, Size: int64(len(artifact)),
		Path: release.BundleTarget("shop", version, "zip"),
	}
	repo.Put(release.TargetObject(b.Path, b.Digest), artifact)
	return &release.Document{Schema: release.Schema, App: "shop", Channel: "production", Revision: 1, Serving: release.Active, Stable: b}
}

// running is a gateway with real listeners.
type running struct {
	*testing.T
	server           *gateway.Server
	public, internal string
	log              *bytes.Buffer // to be read after stop
	cancel           context.CancelFunc
	done             chan error
}

func start(t *testing.T, cfg gateway.Config) *running {
	t.Helper()
	r := &running{T: t, log: &bytes.Buffer{}, done: make(chan error, 1)}
	cfg.PollInterval, cfg.Ledger.FlushEvery, cfg.Ledger.FilterSize = 10*time.Millisecond, time.Millisecond, 1<<10
	cfg.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := gateway.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.server = s
	var listeners [2]net.Listener
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	r.public, r.internal = "http://"+listeners[0].Addr().String(), "http://"+listeners[1].Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r.cancel = cancel
	go func() { r.done <- s.Run(ctx, listeners[0], listeners[1]) }()
	t.Cleanup(r.stop)
	return r
}

// stop ends the gateway and waits for its end.
func (r *running) stop() {
	r.cancel()
	if r.done == nil {
		return
	}
	if err := <-r.done; err != nil {
		r.Errorf("run: %v", err)
	}
	r.done = nil
}

func (r *running) get(url string, header ...string) (int, string) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		r.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(raw)
}

func (r *running) check(device string) native.CheckResponse {
	r.Helper()
	raw, err := json.Marshal(native.CheckRequest{App: "shop", Channel: "production", DeviceID: device, Platform: "ios", NativeVersion: "1.0.0"})
	if err != nil {
		r.Fatal(err)
	}
	res, err := http.Post(r.public+native.CheckPath, "application/json", bytes.NewReader(raw))
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	var out native.CheckResponse
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || res.StatusCode != http.StatusOK {
		r.Fatalf("check: %d, %v", res.StatusCode, err)
	}
	return out
}

// eventually waits until a condition holds.
func (r *running) eventually(what string, holds func() bool) {
	r.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("never came: %s", what)
		}
	}
}

// world is a repository behind a web server, with a token file.
func world(t *testing.T) (*viewtest.Repo, gateway.Config) {
	t.Helper()
	repo := viewtest.New(t)
	bucket := httptest.NewServer(repo)
	t.Cleanup(bucket.Close)
	source, err := origin.NewHTTP(bucket.URL)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return repo, gateway.Config{Origin: source, Root: repo.Root(), CacheDir: t.TempDir(), TokenFile: file}
}

// The whole way of a device: check, download, report; and what the manager and Prometheus see of it.
func TestDeviceStory(t *testing.T) {
	const jane = "phone-of-jane" // nothing random in a log looks like it
	t.Parallel()
	repo, cfg := world(t)
	repo.Down(http.StatusServiceUnavailable)
	r := start(t, cfg)
	if code, body := r.get(r.public + "/readyz"); code != 503 || !strings.Contains(body, "no metadata were verified yet") {
		t.Errorf("before the first metadata: %d %s", code, body)
	}
	if got := r.check(jane); got.Action != "none" || got.Reason != "NoMetadata" {
		t.Errorf("before the first metadata: %+v", got)
	}
	repo.Down(0)
	repo.Publish(document(repo, "1.1.0"))
	r.eventually("an update", func() bool { return r.check(jane).Action == "update" })
	for _, url := range []string{r.public + "/readyz", r.public + "/livez", r.internal + "/readyz", r.internal + "/livez"} {
		if code, body := r.get(url); code != 200 || body != "ok\n" {
			t.Errorf("%s: %d %s", url, code, body)
		}
	}

	offer := r.check(jane).Bundle
	if code, body := r.get(offer.URL); code != 200 || body != string(artifact) {
		t.Errorf("download: %d, %d bytes", code, len(body))
	}
	report := fmt.Sprintf(`{"app":"shop","channel":"production","deviceID":"phone-of-jane","digest":%q,"outcome":"confirmed"}`, offer.Digest)
	res, err := http.Post(r.public+native.ReportPath, "application/json", strings.NewReader(report))
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("report: %v, %v", res, err)
	}
	res.Body.Close()
	r.checkCounts()
	r.checkMetrics()

	repo.Down(http.StatusServiceUnavailable)
	if got := r.check("d2"); got.Action != "update" {
		t.Errorf("without the bucket: %+v", got)
	}
	r.stop()
	if log := r.log.String(); strings.Contains(log, jane) || strings.Contains(log, token) || strings.Contains(log, "remote") || !strings.Contains(log, "route=native_check") {
		t.Errorf("log: %s", log)
	}
	again := start(t, cfg) // a restart without the bucket
	if got := again.check("d2"); got.Action != "update" {
		t.Errorf("restarted without the bucket: %+v", got)
	}
	if code, _ := again.get(again.public + "/readyz"); code != 200 {
		t.Errorf("restarted without the bucket: not ready, %d", code)
	}
}

func (r *running) checkCounts() {
	r.Helper()
	url := r.internal + gateway.CountsPath + "?app=shop&channel=production"
	var counts gateway.Counts
	r.eventually("the vote is counted", func() bool {
		code, body := r.get(url, "Authorization", "Bearer "+token)
		if err := json.Unmarshal([]byte(body), &counts); err != nil || code != 200 {
			r.Fatalf("counts: %d %s, %v", code, body, err)
		}
		return len(counts.Counts) == 1 && counts.Counts[0].Confirmed == 1
	})
	if counts.Counts[0].Devices != 1 || counts.Ledger == "" || counts.Since.IsZero() || counts.MetadataVersion != 2 {
		r.Errorf("counts %+v", counts)
	}
	for name, tc := range map[string]struct {
		url, authorization string
		code               int
	}{
		"no token":    {url, "", 401},
		"wrong token": {url, "Bearer " + token + "x", 401},
		"empty token": {url, "Bearer ", 401},
		"basic":       {url, "Basic " + token, 401},
		"no channel":  {r.internal + gateway.CountsPath + "?app=shop", "Bearer " + token, 400},
		"public side": {r.public + gateway.CountsPath + "?app=shop&channel=production", "Bearer " + token, 404},
	} {
		if code, body := r.get(tc.url, "Authorization", tc.authorization); code != tc.code || strings.Contains(body, token) {
			r.Errorf("%s: %d %s, want %d", name, code, body, tc.code)
		}
	}
}

func (r *running) checkMetrics() {
	r.Helper()
	code, text := r.get(r.internal + "/metrics")
	if code != 200 {
		r.Fatalf("metrics: %d", code)
	}
	for _, want := range []string{
		`windlass_gateway_devices_total{app="shop",arm="none",channel="production",outcome="confirmed",version="1.1.0"} 1`,
		`windlass_gateway_decisions_total{action="none",reason="NoMetadata"}`,
		`windlass_gateway_http_requests_total{code="202",method="POST",route="native_report"} 1`,
		`windlass_gateway_view_metadata_version 2`,
	} {
		if !strings.Contains(text, want) {
			r.Errorf("metrics have no %s", want)
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		r.Errorf("metrics: %v", err)
	}
	manual, err := os.ReadFile("../../docs/gateway.md")
	if err != nil {
		r.Fatal(err)
	}
	for name := range families {
		if strings.HasPrefix(name, "windlass_") && !bytes.Contains(manual, []byte("`"+name+"`")) {
			r.Errorf("docs/gateway.md does not name the metric %s", name)
		}
	}
	problems, err := promlint.New(strings.NewReader(onlyOurs(text))).Lint()
	if err != nil || len(problems) > 0 {
		r.Errorf("metrics: %v %v", problems, err)
	}
	if code, _ := r.get(r.public + "/metrics"); code != 404 {
		r.Errorf("metrics are on the public side: %d", code)
	}
}

// onlyOurs leaves out the metrics of the Go runtime and the libraries.
func onlyOurs(text string) string {
	var out strings.Builder
	ours := regexp.MustCompile(`^(# (HELP|TYPE) )?windlass_`)
	for line := range strings.Lines(text) {
		if ours.MatchString(line) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// A POST is never redirected, which updaters would not follow: not on the real listener either, whatever is wrong with its path.
func TestPostsAreNotRedirected(t *testing.T) {
	t.Parallel()
	_, cfg := world(t)
	r := start(t, cfg)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, path := range []string{"//v1/check", "/./v1/check", "/x/../updates", "//updates", "/updates/", "/updates/.", "//stats", "/v1/artifacts/../check"} {
		res, err := client.Post(r.public+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, %v", path, res.StatusCode, res.Header)
		}
	}
}

// A download that has begun is completed after SIGTERM, while readiness is gone at once.
func TestDrains(t *testing.T) {
	t.Parallel()
	repo, cfg := world(t)
	repo.Publish(document(repo, "1.1.0"))
	slow := &slowOrigin{Origin: cfg.Origin, begun: make(chan struct{}), goOn: make(chan struct{})}
	cfg.Origin, cfg.DrainDelay = slow, 300*time.Millisecond
	r := start(t, cfg)
	r.eventually("an update", func() bool { return r.check("d1").Action == "update" })
	url := r.check("d1").Bundle.URL
	type answer struct {
		code int
		body string
	}
	got := make(chan answer, 1)
	go func() {
		code, body := r.get(url)
		got <- answer{code, body}
	}()
	<-slow.begun
	r.cancel()
	r.eventually("readiness is gone", func() bool { code, _ := r.get(r.public + "/readyz"); return code == 503 })
	r.eventually("the listener is closed", func() bool { code, _ := r.get(r.public + "/livez"); return code == 0 })
	close(slow.goOn)
	if a := <-got; a.code != 200 || a.body != string(artifact) {
		t.Errorf("download: %d, %d bytes", a.code, len(a.body))
	}
	r.stop()
}

// slowOrigin holds downloads.
type slowOrigin struct {
	gateway.Origin
	begun, goOn chan struct{}
}

func (s *slowOrigin) Open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	body, err := s.Origin.Open(ctx, name, offset, length)
	close(s.begun)
	<-s.goOn
	return body, err
}

// The data plane must go on without Kubernetes, so it has no way to speak to it; and it stays small.
func TestBinaryHasNoKubernetes(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}", "../../cmd/gateway").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		path, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, banned := range []string{"k8s.io/", "sigs.k8s.io/", "github.com/sigstore/sigstore-go", "github.com/windlass-dev/windlass/api", "github.com/windlass-dev/windlass/internal/kit"} {
			if strings.HasPrefix(path, banned) {
				t.Errorf("the gateway imports %s", path)
			}
		}
		if module != "" {
			modules[module] = true
		}
	}
	const most = 60
	if len(modules) < 5 || len(modules) > most {
		t.Errorf("the gateway is made of %d modules, at most %d are wanted", len(modules), most)
	}
}
