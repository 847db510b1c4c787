// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package commit measures how long the publisher needs, and how many requests to the object store, to publish the changes of
// many channels at once.
package commit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

const (
	app      = "com.example.shop"
	bucket   = "bench"
	channels = 1000 // that are published before the measurement
	patience = 5 * time.Minute
)

// sizes are how many channels change at once.
var sizes = []int{1, 10, 100, 1000}

// counter counts requests.
type counter struct {
	next  http.RoundTripper
	count atomic.Int64
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.count.Add(1)
	return c.next.RoundTrip(r)
}

// result of one commit.
type result struct {
	took     time.Duration
	requests int64
	commits  int64
}

// Run measures commits on a real object store and prints a table and the figures of it.
func Run(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "windlass-bench-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	server, err := devcluster.StartObjectStore(ctx, dir, bucket)
	if err != nil {
		return err
	}
	defer server.Stop()
	b, err := newBench(ctx, server)
	if err != nil {
		return err
	}
	defer b.publisher.Close()
	results := map[int]result{}
	for _, n := range append([]int{channels}, sizes...) { // the first one publishes all channels, and warms up
		if results[n], err = b.measure(ctx, n); err != nil {
			return err
		}
	}
	return report(w, results)
}

func report(w io.Writer, results map[int]result) error {
	fmt.Fprintf(w, "Commit: publishing changed channels of %d (each with two bundles), real versitygw on loopback\n\n", channels)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "changed channels\tcommits\ttime\trequests\tper channel\t")
	for _, n := range sizes {
		r := results[n]
		fmt.Fprintf(table, "%d\t%d\t%s\t%d\t%.1f\t\n", n, r.commits, r.took.Round(time.Millisecond), r.requests, float64(r.requests)/float64(n))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	fmt.Fprintf(w, "\nBENCH commit_1_requests %d requests\n", results[1].requests)
	fmt.Fprintf(w, "BENCH commit_1_ms %d ms\n", results[1].took.Milliseconds())
	fmt.Fprintf(w, "BENCH commit_1000_requests %d requests\n", results[1000].requests)
	_, err := fmt.Fprintf(w, "BENCH commit_1000_ms %d ms\n", results[1000].took.Milliseconds())
	return err
}

type bench struct {
	publisher *publish.Publisher
	requests  *counter
	news      chan []publish.ChannelKey
	bundles   [2]release.Bundle
	revision  int64
}

func newBench(ctx context.Context, server *devcluster.ObjectStore) (*bench, error) {
	b := &bench{requests: &counter{}, news: make(chan []publish.ChannelKey, 100)}
	bucket, err := store.Open(store.Config{
		Endpoint: server.Endpoint, Bucket: bucket, AccessKey: server.AccessKey, SecretKey: server.SecretKey,
		WrapTransport: func(next http.RoundTripper) http.RoundTripper { b.requests.next = next; return b.requests },
	})
	if err != nil {
		return nil, err
	}
	for i := range b.bundles {
		if b.bundles[i], err = artifact(ctx, bucket, fmt.Sprintf("1.0.%d", i)); err != nil {
			return nil, err
		}
	}
	data, err := publish.GenerateKeys()
	if err != nil {
		return nil, err
	}
	keys, err := publish.ParseKeys(data)
	if err != nil {
		return nil, err
	}
	b.publisher, err = publish.Open(ctx, publish.Config{
		Bucket: bucket, Keys: keys, Notify: func(channels []publish.ChannelKey) { b.news <- channels },
	})
	return b, err
}

func artifact(ctx context.Context, bucket *store.Bucket, version string) (release.Bundle, error) {
	content := []byte("bundle " + version)
	b := release.Bundle{
		Name: version, Version: version, Digest: digest(content), Size: int64(len(content)), Path: release.BundleTarget(app, version, "zip"),
	}
	return b, bucket.PutImmutable(ctx, release.TargetObject(b.Path, b.Digest), content, "application/zip")
}

// measure changes some channels at once and waits until all of them are published.
func (b *bench) measure(ctx context.Context, n int) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b.revision++
	before, version := b.requests.count.Load(), b.publisher.State().Version
	start := time.Now()
	for i := range n {
		b.publisher.Submit(&release.Document{
			Schema: release.Schema, App: app, Channel: fmt.Sprintf("channel-%d", i), Revision: b.revision, Serving: release.Active,
			Stable: &b.bundles[0], Candidate: &release.Candidate{Bundle: b.bundles[1], Weight: 100, Salt: "salt", Rollout: "web", Release: b.revision},
		})
	}
	for left := n; left > 0; {
		select {
		case done := <-b.news:
			left -= len(done)
		case <-ctx.Done():
			return result{}, errors.Join(fmt.Errorf("commit of %d channels: %w", n, ctx.Err()), b.publisher.State().LastError)
		}
	}
	return result{
		took: time.Since(start), requests: b.requests.count.Load() - before, commits: b.publisher.State().Version - version,
	}, nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return release.DigestPrefix + hex.EncodeToString(sum[:])
}
