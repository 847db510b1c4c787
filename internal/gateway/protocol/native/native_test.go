// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/auth"
	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/release"
)

var (
	now        = time.Unix(1_800_000_000, 0)
	stableHex  = strings.Repeat("a", 64)
	trialHex   = strings.Repeat("b", 64)
	refusedHex = strings.Repeat("c", 64)
)

// document has production in the middle of a rollout to everybody.
func document() *release.Document {
	return &release.Document{
		Schema: release.Schema, App: "com.example.shop", Channel: "production", Revision: 3, Serving: release.Active,
		Stable: &release.Bundle{Name: "s", Version: "2.4.0", Digest: "sha256:" + stableHex, Size: 11, Path: "bundles/shop/2.4.0.zip"},
		Candidate: &release.Candidate{
			Bundle: release.Bundle{
				Name: "c", Version: "2.4.1", Digest: "sha256:" + trialHex, Size: 22, Path: "bundles/shop/2.4.1.zip", MediaType: "application/zip",
				Signatures: []release.Signature{
					{Authority: "ci", KeyID: "0123456789abcdef", Algorithm: "ECDSA-P256-SHA256", Signature: "TUVVQ0lR"},
					{Authority: "managers", KeyID: "fedcba9876543210", Algorithm: "ED25519", Signature: "QUJD"},
				},
			},
			Weight: release.FullWeight, Salt: "s", Release: 1, LeaseExpires: now.Add(time.Hour).Unix(),
		},
		Refused: []release.Refusal{{Digest: "sha256:" + refusedHex, Version: "2.3.9"}},
	}
}

// fixture is the protocol over a compiled document.
type fixture struct {
	testing.TB
	handler *native.Handler
	ledger  *ledger.Ledger
	mux     http.Handler
}

func newFixture(t testing.TB, docs ...*release.Document) *fixture {
	t.Helper()
	v, err := view.Compile(now.Add(time.Hour), docs...)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{TB: t, ledger: startLedger(t)}
	f.handler = &native.Handler{
		View: func() *view.View { return v }, Ledger: f.ledger, Now: func() time.Time { return now },
	}
	f.withEdge(edge.Config{})
	f.mux = httpx.New(slog.New(slog.DiscardHandler), prometheus.NewRegistry()).Mux(f.handler.Routes()...)
	return f
}

// withEdge lets requests through another edge.
func (f *fixture) withEdge(cfg edge.Config) {
	f.Helper()
	e, err := edge.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		f.Fatal(err)
	}
	f.handler.Edge = e
}

// startLedger starts a ledger in memory, which ends with the test.
func startLedger(t testing.TB) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), ledger.Config{Now: func() time.Time { return now }, FilterSize: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	t.Cleanup(func() {
		stop()
		<-done
		if err := l.Close(); err != nil {
			t.Errorf("close the ledger: %v", err)
		}
	})
	return l
}

// counts gives what the ledger counted for production so far.
func (f *fixture) counts() []ledger.Row {
	f.Helper()
	if err := f.ledger.Flush(f.Context()); err != nil {
		f.Fatal(err)
	}
	got, err := f.ledger.Counts(f.Context(), "com.example.shop", "production")
	if err != nil {
		f.Fatal(err)
	}
	return got.Rows
}

func (f *fixture) post(path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return w
}

// decode reads an answer strictly.
func decode[T any](t testing.TB, w *httptest.ResponseRecorder, code int) T {
	t.Helper()
	var out T
	d := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil || w.Code != code {
		t.Fatalf("got %d %s (%v), want %d", w.Code, w.Body, err, code)
	}
	return out
}

// request makes a check; edits set fields, an empty value removes one.
func request(edits ...string) string {
	m := map[string]any{
		"app": "com.example.shop", "channel": "production", "deviceID": "3F2C-1", "platform": "ios", "nativeVersion": "2.0",
	}
	for i := 0; i+1 < len(edits); i += 2 {
		if edits[i+1] == "" {
			delete(m, edits[i])
			continue
		}
		m[edits[i]] = json.RawMessage(edits[i+1])
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func TestCheckOffersABundle(t *testing.T) {
	t.Parallel()
	f := newFixture(t, document())
	w := f.post(native.CheckPath, request())
	want := native.CheckResponse{
		Action: "update", Reason: "Candidate", Arm: "candidate",
		Bundle: &native.Bundle{
			Version: "2.4.1", Digest: "sha256:" + trialHex, Size: 22, MediaType: "application/zip",
			URL: "http://example.com/v1/artifacts/com.example.shop/" + trialHex,
			Signatures: []native.Signature{
				{Authority: "ci", KeyID: "0123456789abcdef", Algorithm: "ECDSA-P256-SHA256", Signature: "TUVVQ0lR"},
				{Authority: "managers", KeyID: "fedcba9876543210", Algorithm: "ED25519", Signature: "QUJD"},
			},
		},
	}
	if diff := cmp.Diff(want, decode[native.CheckResponse](t, w, 200)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", h)
	}
	rows := f.counts()
	if len(rows) != 1 || rows[0].Offered != 1 || rows[0].Arm != "candidate" {
		t.Errorf("counts %+v", rows)
	}
}

func TestCheckDecisions(t *testing.T) {
	t.Parallel()
	halted := document()
	halted.Serving = release.Halted
	for _, tc := range []struct {
		name   string
		doc    *release.Document
		body   string
		action string
		reason string
	}{
		{"up to date", document(), request("current", `{"version":"2.4.1","digest":"sha256:`+trialHex+`"}`), "none", "UpToDate"},
		{"up to date by version", document(), request("current", `{"version":"2.4.1"}`), "none", "UpToDate"},
		{"refused", document(), request("current", `{"digest":"sha256:`+refusedHex+`"}`), "update", "Refused"},
		{"halted", halted, request(), "none", "Halted"},
		{"unknown app", document(), request("app", `"com.example.bank"`), "none", "UnknownApp"},
		{"unknown channel", document(), request("channel", `"beta"`), "none", "UnknownChannel"},
		{"native build is newer", document(), request("nativeVersion", `"3.0.0"`), "none", "BelowNative"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := decode[native.CheckResponse](t, newFixture(t, tc.doc).post(native.CheckPath, tc.body), 200)
			if got.Action != tc.action || got.Reason != tc.reason || (got.Bundle != nil) != (tc.action == "update") {
				t.Errorf("got %+v, want %s %s", got, tc.action, tc.reason)
			}
		})
	}
}

func TestCheckBeforeTheFirstMetadata(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.handler.View = func() *view.View { return nil }
	if got := decode[native.CheckResponse](t, f.post(native.CheckPath, request()), 200); got.Reason != "NoMetadata" || got.Action != "none" {
		t.Errorf("got %+v", got)
	}
}

func TestArtifactURL(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ base, proto, want string }{
		{"", "", "http://example.com/v1/"},
		{"", "https", "https://example.com/v1/"},
		{"", "gopher", "http://example.com/v1/"},
		{"https://ota.example.org/gw", "", "https://ota.example.org/gw/v1/"},
	} {
		f := newFixture(t, document())
		f.handler.BaseURL, f.handler.NextCheck = tc.base, time.Minute
		got := decode[native.CheckResponse](t, f.post(native.CheckPath, request(), "X-Forwarded-Proto", tc.proto), 200)
		if !strings.HasPrefix(got.Bundle.URL, tc.want) || got.NextCheckSeconds != 60 {
			t.Errorf("%+v: URL %s, next check %d", tc, got.Bundle.URL, got.NextCheckSeconds)
		}
	}
}

// A host name that is none cannot break out of the answer's JSON.
func TestHostIsEscaped(t *testing.T) {
	t.Parallel()
	f := newFixture(t, document())
	r := httptest.NewRequest(http.MethodPost, native.CheckPath, strings.NewReader(request()))
	r.Header.Set("Content-Type", "application/json")
	r.Host = `x","action":"reset` + "\u2028é"
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	got := decode[native.CheckResponse](t, w, 200)
	if got.Action != "update" || !strings.HasPrefix(got.Bundle.URL, "http://"+r.Host) {
		t.Errorf("got %+v", got)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, body, field, expected, actual string }{
		{"missing", request("app", ""), "app", "an app id", "nothing"},
		{"number", request("deviceID", "7"), "deviceID", "1 to 128 printable ASCII", "a number"},
		{"null", request("platform", "null"), "platform", "one of ios, android", "null"},
		{"array", request("platform", `["ios"]`), "platform", "one of ios, android", "an array"},
		{"platform", request("platform", `"iOS"`), "platform", "one of ios, android", `"iOS"`},
		{"app", request("app", `"../x"`), "app", "an app id", `"../x"`},
		{"channel", request("channel", `"Production"`), "channel", "lower-case", `"Production"`},
		{"device", request("deviceID", `"a b"`), "deviceID", "without space", `"a b"`},
		{"long device", request("deviceID", `"`+strings.Repeat("x", 129)+`"`), "deviceID", "1 to 128", "…"},
		{"native version", request("nativeVersion", `"four"`), "nativeVersion", "a semantic version", `"four"`},
		{"runtime version", request("runtimeVersion", `""`), "runtimeVersion", "1 to 64 characters", `""`},
		{"unknown field", request("devceID", `{"a":[1,{}]}`), "devceID", "no such field", "a field of this name"},
		{"letter case", request("App", `"x"`), "App", "no such field", "a field of this name"},
		{"twice", `{"app":"a","app":"b"}`, "app", "the field once", "the field twice"},
		{"build", request("build", `"Production"`), "build", "an object", "a string"},
		{"distribution", request("build", `{"distribution":"Debug"}`), "build.distribution", "one of Production, Development", `"Debug"`},
		{"hardware", request("build", `{"hardwre":"Device"}`), "build.hardwre", "no such field", "a field"},
		{"empty current", request("current", `{}`), "current", "version, digest or both", "an empty object"},
		{"current version", request("current", `{"version":"x"}`), "current.version", "a semantic version", `"x"`},
		{"digest", request("current", `{"digest":"sha256:ABC"}`), "current.digest", "sha256: and 64", `"sha256:ABC"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, document())
			var p struct{ Errors []httpx.FieldError }
			if err := json.Unmarshal(f.post(native.CheckPath, tc.body).Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			for _, e := range p.Errors {
				if e.Field == tc.field && strings.Contains(e.Expected, tc.expected) && strings.Contains(e.Actual, tc.actual) {
					return
				}
			}
			t.Errorf("got %+v, want field %s, expected %s, actual %s", p.Errors, tc.field, tc.expected, tc.actual)
		})
	}
}

func TestNotJSON(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"":                       "expected an object at byte 0, got the end of the body",
		"[]":                     "expected an object at byte 0, got '['",
		`{"app":"a"`:             "expected a comma or the end of the object at byte 10, got the end of the body",
		`{"app":"a",}`:           "expected a field's name and a colon at byte 11, got '}'",
		`{"app" "a"}`:            "expected a field's name and a colon",
		`{"app":}`:               "expected a value",
		`{"app":"a}`:             "expected a string at byte 7",
		`{"app":"\x"}`:           "expected a string at byte 7",
		"{\"app\":\"a\nb\"}":     "expected a string at byte 7",
		request() + "{}":         "expected the end of the body",
		"{\"app\":\"\xff\xfe\"}": "not valid UTF-8",
		`{"x":[1,2}`:             "expected a value at byte 5",
	} {
		w := newFixture(t, document()).post(native.CheckPath, body)
		var p struct{ Detail string }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 400 || !strings.Contains(p.Detail, want) {
			t.Errorf("body %q: got %d %q, want 400 %q", body, w.Code, p.Detail, want)
		}
	}
}

func TestWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, document())
	if w := f.post(native.CheckPath, request(), "Content-Type", "text/plain"); w.Code != 415 {
		t.Errorf("text/plain: %d", w.Code)
	}
	if w := f.post(native.CheckPath, request(), "Content-Type", "application/json; charset=utf-8"); w.Code != 200 {
		t.Errorf("with charset: %d", w.Code)
	}
	if w := f.post(native.CheckPath, request("deviceID", `"`+strings.Repeat("x", 65<<10)+`"`)); w.Code != 413 {
		t.Errorf("too large: %d", w.Code)
	}
	if w := f.post(native.CheckPath, request("deviceID", `"`+strings.Repeat("x", 63<<10)+`"`)); w.Code != 400 {
		t.Errorf("large: %d", w.Code)
	}
	if w := f.post(native.CheckPath, strings.Replace(request(), "production", `pr\u006fduction`, 1)); w.Code != 200 || !strings.Contains(w.Body.String(), "Candidate") {
		t.Errorf("escapes: %d %s", w.Code, w.Body)
	}
}

func reportOf(outcome, extra string) string {
	return fmt.Sprintf(`{"app":"com.example.shop","channel":"production","deviceID":"d","digest":"sha256:%s","outcome":%q%s}`, trialHex, outcome, extra)
}

func TestReports(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body string
		result     native.Result
		count      func(ledger.Row) int64 // nil: nothing counts
	}{
		{"downloaded", reportOf("downloaded", ""), native.Accepted, func(r ledger.Row) int64 { return r.Downloaded }},
		{"installed", reportOf("installed", ""), native.Accepted, func(r ledger.Row) int64 { return r.Installed }},
		{"confirmed", reportOf("confirmed", ""), native.Accepted, func(r ledger.Row) int64 { return r.Confirmed }},
		{"crash", reportOf("failed", `,"kind":"crash"`), native.Accepted, func(r ledger.Row) int64 { return r.Failed }},
		{"verification", reportOf("failed", `,"kind":"verification"`), native.Accepted, func(r ledger.Row) int64 { return r.Failed }},
		{"rollback", reportOf("failed", `,"kind":"rollback"`), native.Accepted, func(r ledger.Row) int64 { return r.Failed }},
		{"network", reportOf("failed", `,"kind":"network"`), native.Accepted, func(r ledger.Row) int64 { return r.DeliveryFailed }},
		{"disk", reportOf("failed", `,"kind":"disk"`), native.Accepted, func(r ledger.Row) int64 { return r.DeliveryFailed }},
		{"emulator", reportOf("failed", `,"kind":"crash","build":{"hardware":"Emulator"}`), native.NotVoting, nil},
		{"development", reportOf("failed", `,"kind":"crash","build":{"distribution":"Development"}`), native.NotVoting, nil},
		{"unknown bundle", strings.Replace(reportOf("confirmed", ""), trialHex, refusedHex, 1), native.UnknownBundle, nil},
		{"unknown channel", strings.Replace(reportOf("confirmed", ""), "production", "beta", 1), native.UnknownChannel, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, document())
			got := decode[native.ReportResponse](t, f.post(native.ReportPath, tc.body), 202)
			if got.Reason != tc.result || got.Accepted != (tc.result != native.UnknownChannel) {
				t.Errorf("got %+v, want %s", got, tc.result)
			}
			var counted, votes int64
			for _, r := range f.counts() {
				votes += r.Confirmed + r.Failed
				if tc.count != nil {
					counted += tc.count(r)
				} else {
					counted += r.Devices
				}
			}
			if tc.count == nil && counted+votes != 0 || tc.count != nil && (counted != 1 || votes > 1) {
				t.Errorf("counts %+v", f.counts())
			}
		})
	}
}

// A report that comes before the first metadata may be the only one of its device.
func TestReportWithoutMetadata(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.handler.View = func() *view.View { return nil }
	if got := decode[native.ReportResponse](t, f.post(native.ReportPath, reportOf("confirmed", "")), 202); !got.Accepted || got.Reason != native.UnknownBundle {
		t.Errorf("got %+v", got)
	}
}

// A queue that nobody empties fills up, and the client is told so; checks go on.
func TestReportsWithAFullQueue(t *testing.T) {
	t.Parallel()
	f := newFixture(t, document())
	stopped, err := ledger.Open(t.Context(), ledger.Config{QueueSize: 8, FilterSize: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stopped.Close() })
	f.handler.Ledger = stopped
	var got native.ReportResponse
	for range 9 {
		got = decode[native.ReportResponse](t, f.post(native.ReportPath, reportOf("confirmed", "")), 202)
	}
	if got.Accepted || got.Reason != native.QueueFull {
		t.Errorf("got %+v, want %s", got, native.QueueFull)
	}
	if got := decode[native.CheckResponse](t, f.post(native.CheckPath, request()), 200); got.Action != "update" {
		t.Errorf("check: %+v", got)
	}
}

// What failed on a device is not offered to it again, at once, while others get it.
func TestFailedBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t, document())
	device := request("deviceID", `"d"`)
	if got := decode[native.CheckResponse](t, f.post(native.CheckPath, device), 200); got.Reason != "Candidate" {
		t.Fatalf("before: %+v", got)
	}
	f.post(native.ReportPath, reportOf("failed", `,"kind":"rollback"`))
	if got := decode[native.CheckResponse](t, f.post(native.CheckPath, device), 200); got.Bundle != nil && got.Bundle.Digest == "sha256:"+trialHex {
		t.Errorf("after: %+v", got)
	}
	if got := decode[native.CheckResponse](t, f.post(native.CheckPath, request()), 200); got.Reason != "Candidate" {
		t.Errorf("another device: %+v", got)
	}
}

// A private channel is for devices that were put there, whatever they ask for.
func TestPrivateChannel(t *testing.T) {
	t.Parallel()
	private := document()
	private.Follow.Visibility = "Private"
	f := newFixture(t, private)
	if got := decode[native.CheckResponse](t, f.post(native.CheckPath, request()), 200); got.Reason != "ChannelPrivate" || got.Action != "none" {
		t.Errorf("anybody: %+v", got)
	}
	device := f.ledger.Pseudonym("com.example.shop", "3F2C-1")
	if err := f.ledger.SetOverride(t.Context(), "com.example.shop", device, "production"); err != nil {
		t.Fatal(err)
	}
	if got := decode[native.CheckResponse](t, f.post(native.CheckPath, request()), 200); got.Reason != "Candidate" {
		t.Errorf("the device that was put there: %+v", got)
	}
}

// An encrypted bundle is not offered: the protocol has no words for what opens it.
func TestEncryptedBundle(t *testing.T) {
	t.Parallel()
	encrypted := document()
	encrypted.Candidate.Bundle.Encryption = &release.Encryption{SessionKey: "k", Checksum: "c", KeyID: "id"}
	f := newFixture(t, encrypted)
	if got := decode[native.CheckResponse](t, f.post(native.CheckPath, request()), 200); got.Action == "update" && got.Bundle.Digest == "sha256:"+trialHex {
		t.Errorf("got %+v", got)
	}
}

func TestBadReports(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ body, field, expected string }{
		{reportOf("failed", ""), "kind", "one of network, disk, crash, verification, rollback with outcome failed"},
		{reportOf("confirmed", `,"kind":"crash"`), "kind", "nothing with outcome confirmed"},
		{reportOf("exploded", ""), "outcome", "one of downloaded, installed, confirmed, failed"},
		{reportOf("failed", `,"kind":"boom"`), "kind", "one of network"},
		{`{}`, "digest", "sha256: and 64"},
	} {
		w := newFixture(t, document()).post(native.ReportPath, tc.body)
		if w.Code != 400 || !strings.Contains(w.Body.String(), `"field":"`+tc.field+`","expected":"`+tc.expected) {
			t.Errorf("%s: got %d %s", tc.body, w.Code, w.Body)
		}
	}
}

// A network that asks too often is told when to come back; reports have a budget of their own.
func TestLimits(t *testing.T) {
	t.Parallel()
	f := newFixture(t, document())
	f.withEdge(edge.Config{Limits: limit.Config{Checks: limit.Budget{PerSecond: 0.001, Burst: 1}, MaxInFlight: 1}})
	c := loadContract(t)
	if w := f.post(native.CheckPath, request()); w.Code != 200 {
		t.Errorf("first: %d %s", w.Code, w.Body)
	}
	w := f.post(native.CheckPath, request())
	if w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("second: %d %v %s", w.Code, w.Header(), w.Body)
	}
	c.CheckAnswer(http.MethodPost, native.CheckPath, w)
	if w := f.post(native.ReportPath, reportOf("confirmed", "")); w.Code != 202 {
		t.Errorf("report: %d %s", w.Code, w.Body)
	}
}

// Under overload a check is answered with no update, and a report with a 503.
func TestBusy(t *testing.T) {
	t.Parallel()
	f := newFixture(t, document())
	f.withEdge(edge.Config{Limits: limit.Config{MaxInFlight: 1}})
	for _, class := range []limit.Class{limit.Checks, limit.Reports} {
		if !f.handler.Edge.Begin(class) {
			t.Fatal("no place")
		}
	}
	c := loadContract(t)
	w := f.post(native.CheckPath, request())
	c.CheckAnswer(http.MethodPost, native.CheckPath, w)
	if got := decode[native.CheckResponse](t, w, 200); got.Action != "none" || got.Reason != native.ReasonBusy || got.NextCheckSeconds < 1 {
		t.Errorf("check: %+v", got)
	}
	w = f.post(native.ReportPath, reportOf("confirmed", ""))
	c.CheckAnswer(http.MethodPost, native.ReportPath, w)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("report: %d %s", w.Code, w.Body)
	}
	f.handler.Edge.End(limit.Checks)
	if got := decode[native.CheckResponse](t, f.post(native.CheckPath, request()), 200); got.Action != "update" {
		t.Errorf("after the overload: %+v", got)
	}
}

// A device that has to prove who it is, and does not, is refused.
func TestDeviceAuthentication(t *testing.T) {
	t.Parallel()
	f := newFixture(t, document())
	verified := func(*tls.ConnectionState) bool { return true }
	f.withEdge(edge.Config{Auth: auth.Config{Mode: auth.Required, Certificates: &auth.Certificates{Verified: verified}}})
	c := loadContract(t)
	for path, body := range map[string]string{native.CheckPath: request(), native.ReportPath: reportOf("confirmed", "")} {
		w := f.post(path, body)
		if w.Code != 401 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		c.CheckAnswer(http.MethodPost, path, w)
	}
	for id, code := range map[string]int{"3F2C-1": 200, "3f2c-1": 200, "other": 403} {
		r := httptest.NewRequest(http.MethodPost, native.CheckPath, strings.NewReader(request()))
		r.Header.Set("Content-Type", "application/json")
		leaf := &x509.Certificate{Subject: pkix.Name{CommonName: id}}
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		w := httptest.NewRecorder()
		f.mux.ServeHTTP(w, r)
		if w.Code != code {
			t.Errorf("certificate of %s: %d %s, want %d", id, w.Code, w.Body, code)
		}
		c.CheckAnswer(http.MethodPost, native.CheckPath, w)
	}
}

// Web pages may ask when their origin is on the list of a channel, and read the answers of that channel only.
func TestWebOrigins(t *testing.T) {
	t.Parallel()
	const page = "https://app.example.com"
	open, closed := document(), document()
	open.Follow.Origins, closed.Channel = []string{page}, "closed"
	f := newFixture(t, open, closed)
	for _, tc := range []struct {
		name, body, origin string
		code               int
		allowed            string
	}{
		{"listed", request(), page, 200, page},
		{"no page", request(), "", 200, ""},
		{"another channel", request("channel", `"closed"`), page, 200, ""},
		{"another page", request(), "https://evil.example.com", 403, ""},
	} {
		w := f.post(native.CheckPath, tc.body, "Origin", tc.origin)
		if w.Code != tc.code || w.Header().Get("Access-Control-Allow-Origin") != tc.allowed {
			t.Errorf("%s: %d %v", tc.name, w.Code, w.Header())
		}
	}
	if w := f.post(native.ReportPath, reportOf("confirmed", ""), "Origin", page); w.Header().Get("Access-Control-Allow-Origin") != page {
		t.Errorf("report: %d %v", w.Code, w.Header())
	}
}
