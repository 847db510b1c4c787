// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
	"github.com/windlass-dev/windlass/internal/release"
)

// BenchmarkPoll measures from a changed timestamp to the published view, in a repository of many channels of which one changed.
func BenchmarkPoll(b *testing.B) {
	for _, channels := range []int{10, 1000} {
		b.Run(fmt.Sprintf("channels=%d", channels), func(b *testing.B) {
			repo := viewtest.New(b)
			server := httptest.NewServer(repo)
			defer server.Close()
			source, err := origin.NewHTTP(server.URL)
			if err != nil {
				b.Fatal(err)
			}
			p, err := view.New(b.Context(), view.Config{
				Source: source, Root: repo.Root(), CacheDir: b.TempDir(), Interval: time.Second, Timeout: time.Minute,
				Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
			})
			if err != nil {
				b.Fatal(err)
			}
			docs := make([]*release.Document, channels)
			for i := range docs {
				docs[i] = doc(fmt.Sprintf("c%d", i), "1.1.0")
			}
			repo.Publish(docs...)
			begin := time.Now()
			poll(b.Context(), b, p)
			b.ReportMetric(float64(time.Since(begin).Milliseconds()), "first-ms")
			for b.Loop() {
				b.StopTimer()
				repo.Publish(doc("c3", "1.2.0"))
				b.StartTimer()
				poll(b.Context(), b, p)
			}
		})
	}
}

func poll(ctx context.Context, b *testing.B, p *view.Poller) {
	b.Helper()
	if err := p.Poll(ctx); err != nil {
		b.Fatal(err)
	}
}
