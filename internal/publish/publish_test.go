// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

var server *devcluster.ObjectStore

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("15") // histories are long; -rapid.checks=500 looks harder
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "windlass-publish-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if server, err = devcluster.StartObjectStore(context.Background(), dir, "bucket"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Stop()
	return m.Run()
}

const patience = 30 * time.Second

func bucketConfig(t testing.TB) store.Config {
	return store.Config{
		Endpoint: server.Endpoint, Bucket: "bucket", Prefix: strings.ReplaceAll(t.Name(), "/", "-"),
		AccessKey: server.AccessKey, SecretKey: server.SecretKey,
	}
}

func openBucket(t testing.TB) *store.Bucket {
	t.Helper()
	b, err := store.Open(bucketConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func generateKeys(t testing.TB) *Keys {
	t.Helper()
	data, err := GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys(data)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// open opens a publisher and closes it with the test.
func open(t testing.TB, cfg Config) *Publisher {
	t.Helper()
	p, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

const app = "com.example.shop"

// artifact is a bundle of app whose content is in the bucket.
func artifact(t testing.TB, b Bucket, version string) *release.Bundle {
	t.Helper()
	bundle := unstored(version)
	if err := b.PutImmutable(t.Context(), release.TargetObject(bundle.Path, bundle.Digest), []byte("bundle "+version), "application/zip"); err != nil {
		t.Fatal(err)
	}
	return bundle
}

func unstored(version string) *release.Bundle {
	content := "bundle " + version
	return &release.Bundle{
		Name: "v" + version, Version: version, Digest: release.DigestPrefix + sum([]byte(content)), Size: int64(len(content)),
		Path: release.BundleTarget(app, version, "zip"),
	}
}

func document(channel string, revision int64, stable *release.Bundle) *release.Document {
	return &release.Document{
		Schema: release.Schema, App: app, Channel: channel, Revision: revision, Serving: release.Active, Stable: stable,
	}
}

// waitFor polls until a condition holds.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("gave up waiting: %s", what)
		case <-tick.C:
		}
	}
}

// publishAndWait submits documents and waits until all of them are committed.
func publishAndWait(t testing.TB, p *Publisher, docs ...*release.Document) {
	t.Helper()
	for _, d := range docs {
		p.Submit(d)
	}
	for _, d := range docs {
		waitFor(t, fmt.Sprintf("revision %d of %s is committed (problem: %v)", d.Revision, d.Channel, p.Problem(d.App, d.Channel)), func() bool {
			c, ok := p.Committed(d.App, d.Channel)
			return ok && c.Document.Revision == d.Revision
		})
	}
}

func TestPublish(t *testing.T) {
	b := openBucket(t)
	keys := generateKeys(t)
	p := open(t, Config{Bucket: b, Keys: keys})
	if s := p.State(); s.Version != 1 || s.RootVersion != 1 || s.Channels != 0 || s.LastError != nil {
		t.Errorf("after the first opening: got %+v", s)
	}
	one := artifact(t, b, "1.0.0")
	publishAndWait(t, p, document("production", 1, one))
	c, _ := p.Committed(app, "production")
	if s := p.State(); s.Version != 2 || s.Channels != 1 || s.Bundles != 1 || c.MetadataVersion != 2 || !s.CommittedAt.Equal(c.At) {
		t.Errorf("after a commit: got %+v, %+v", s, c)
	}
	if !p.References(one.Digest) || p.References("sha256:other") {
		t.Error("References does not tell what is published")
	}
	p.Remove(app, "production")
	waitFor(t, "the channel is gone", func() bool { _, ok := p.Committed(app, "production"); return !ok })
	if s := p.State(); s.Version != 3 || s.Channels != 0 || s.Bundles != 0 {
		t.Errorf("after the removal: got %+v", s)
	}
	publishAndWait(t, p, document("production", 1, one))
	p.Close()

	again := open(t, Config{Bucket: b, Keys: keys})
	if s := again.State(); s.Version != 4 || s.Channels != 1 {
		t.Errorf("opened again: got %+v", s)
	}
	if c, ok := again.Committed(app, "production"); !ok || c.Document.Revision != 1 || c.MetadataVersion != 4 {
		t.Errorf("opened again: got %+v, %v", c, ok)
	}
}
