// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/decisions"
	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/release"
)

// world is what a gateway serves and knows.
type world struct {
	Channels int    // of one app, all in the middle of a rollout
	Ledger   string // SQLite file; empty: in memory
}

// handler makes the gateway's own handler. All that a check does is on: metrics, ledger, guards, native range.
func (w *world) handler(ctx context.Context) (http.Handler, error) {
	docs := make([]*release.Document, w.Channels)
	for i := range docs {
		docs[i] = document(channelName(i))
	}
	v, err := view.Compile(time.Now().Add(time.Hour), docs...)
	if err != nil {
		return nil, err
	}
	votes, err := ledger.Open(ctx, ledger.Config{Path: w.Ledger})
	if err != nil {
		return nil, err
	}
	go votes.Run(ctx)
	metrics, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	front, err := edge.New(edge.Config{}, log, metrics)
	if err != nil {
		return nil, err
	}
	counted := decisions.New(votes, metrics)
	one := &native.Handler{View: func() *view.View { return v }, Ledger: counted, Edge: front, Now: time.Now}
	other := capgo.New(capgo.Config{View: one.View, Ledger: counted, Edge: front, Now: time.Now}, metrics)
	adapter := httpx.New(log, metrics)
	return adapter.Mux(append(one.Routes(), other.Routes()...)...), nil
}

func document(channel string) *release.Document {
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
		Schema: release.Schema, App: app, Channel: channel, Revision: 7, Serving: release.Active,
		Audience: release.Audience{Platforms: []string{"ios", "android"}, Builds: []string{"Production"}},
		Guards:   release.Guards{AutoUpdate: "Minor"}, Stable: &stable,
		Candidate: &release.Candidate{
			Bundle: bundle("2.4.1", "b"), Weight: release.FullWeight, Salt: "0b7e6e4f8d2c4a19", Rollout: "shop", Release: 3,
			LeaseExpires: time.Now().Add(time.Hour).Unix(),
		},
	}
}

// bare makes the handler to compare a protocol with: it reads the body and writes what the gateway answered.
func (p *protocol) bare(gateway http.Handler) (http.Handler, error) {
	r := httptest.NewRequest(http.MethodPost, p.path, strings.NewReader(p.body(p.first, channelName(0))))
	r.Host = "127.0.0.1"
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, r)
	answer := w.Body.Bytes()
	if w.Code != http.StatusOK || !bytes.Contains(answer, []byte(p.update)) {
		return nil, fmt.Errorf("%s: the gateway answers %d %s", p.name, w.Code, answer)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}), nil
}
