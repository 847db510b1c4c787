// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/outcome"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/release"
)

// newGateway makes the gateway's own handler over a channel in the middle of a rollout. All that a check does is on:
// metrics, ledger, guards, native range.
func newGateway() (http.Handler, error) {
	v, err := view.Compile(time.Now().Add(time.Hour), document())
	if err != nil {
		return nil, err
	}
	ledger := outcome.New(outcome.Config{PerBundle: 1 << 20, Total: 1 << 20, Keep: time.Hour}, time.Now())
	h := &native.Handler{View: func() *view.View { return v }, Ledger: ledger, Now: time.Now}
	adapter := httpx.New(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	return adapter.Mux(h.Routes()...), nil
}

func document() *release.Document {
	bundle := func(version, hex string) release.Bundle {
		return release.Bundle{
			Name: "shop-" + version, Version: version, Digest: release.DigestPrefix + strings.Repeat(hex, 64), Size: 1_834_201,
			Path: release.BundleTarget(app, version, "zip"), MediaType: "application/zip", Platforms: []string{"ios", "android"},
			NativeVersion: ">=2.0.0 <3.0.0",
			Signatures: []release.Signature{{
				Authority: "ci", KeyID: "0123456789abcdef", Algorithm: "ECDSA-P256-SHA256", Signature: strings.Repeat("TUVVQ0lR", 12),
			}},
		}
	}
	stable := bundle("2.4.0", "a")
	return &release.Document{
		Schema: release.Schema, App: app, Channel: "production", Revision: 7, Serving: release.Active,
		Audience: release.Audience{Platforms: []string{"ios", "android"}, Builds: []string{"Production"}},
		Guards:   release.Guards{AutoUpdate: "Minor"}, Stable: &stable,
		Candidate: &release.Candidate{
			Bundle: bundle("2.4.1", "b"), Weight: release.FullWeight, Salt: "0b7e6e4f8d2c4a19", Rollout: "shop", Release: 3,
			LeaseExpires: time.Now().Add(time.Hour).Unix(),
		},
	}
}

const app = "com.example.shop"

// body is the check of one device that runs stable and is offered the candidate: the longest way through.
func body(device int) string {
	return fmt.Sprintf(`{"app":%q,"channel":"production","deviceID":"3f2c8a1e-0000-4000-8000-%012d","platform":"ios",`+
		`"nativeVersion":"2.3.0","build":{"distribution":"Production","hardware":"Device"},`+
		`"current":{"version":"2.4.0","digest":"sha256:%s"}}`, app, device, strings.Repeat("a", 64))
}

// newBare makes the handler to compare with: it reads the body and writes what the gateway answered.
func newBare(gateway http.Handler, host string) (http.Handler, error) {
	r := httptest.NewRequest(http.MethodPost, native.CheckPath, strings.NewReader(body(0)))
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, r)
	answer := w.Body.Bytes()
	if w.Code != http.StatusOK || !bytes.Contains(answer, []byte(`"action":"update"`)) {
		return nil, fmt.Errorf("the gateway answers %d %s", w.Code, answer)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}), nil
}

// inProcess is the cost of both handlers without a network.
type inProcess struct{ bare, gateway cost }

type cost struct {
	took   time.Duration
	allocs float64
}

func measureInProcess() (inProcess, error) {
	gateway, err := newGateway()
	if err != nil {
		return inProcess{}, err
	}
	bare, err := newBare(gateway, "127.0.0.1")
	if err != nil {
		return inProcess{}, err
	}
	return inProcess{bare: measure(bare), gateway: measure(gateway)}, nil
}

// measure calls a handler with a prepared request and a writer that keeps nothing.
func measure(h http.Handler) cost {
	const calls = 20_000
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: native.CheckPath}, Host: "127.0.0.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}},
	}
	w, in := &null{header: http.Header{}}, &reader{}
	call := func(i int) {
		in.Reset(bodies[i%devices])
		r.Body, r.ContentLength = in, in.Size()
		clear(w.header)
		h.ServeHTTP(w, r)
	}
	for i := range devices {
		call(i)
	}
	var best cost
	for range 5 { // the best of some, for the rest is what else the machine did
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := time.Now()
		for i := range calls {
			call(i)
		}
		took := time.Since(begin) / calls
		runtime.ReadMemStats(&after)
		if best.took == 0 || took < best.took {
			best = cost{took, float64(after.Mallocs-before.Mallocs) / calls}
		}
	}
	return best
}

// bodies of all devices.
var bodies = func() []string {
	all := make([]string, devices)
	for i := range all {
		all[i] = body(i)
	}
	return all
}()

// null is a ResponseWriter that keeps nothing.
type null struct{ header http.Header }

func (n *null) Header() http.Header         { return n.header }
func (n *null) Write(p []byte) (int, error) { return len(p), nil }
func (n *null) WriteHeader(int)             {}

// reader is a request's body that can be used again.
type reader struct{ strings.Reader }

func (r *reader) Close() error { return nil }
