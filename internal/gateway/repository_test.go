// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/gateway/view/viewtest"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

// channels are more than the 32 roles that TUF clients walk.
const channels = 40

// A gateway follows what the manager's own publisher commits to a real object store, over the store's signed API, and
// answers on when the store is killed.
func TestFollowsTheManager(t *testing.T) {
	s3, err := devcluster.StartObjectStore(t.Context(), t.TempDir(), "updates")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s3.Stop() })
	bucket, err := store.Open(store.Config{
		Endpoint: s3.Endpoint, Bucket: "updates", Prefix: "mobile", AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	publisher := openPublisher(t, bucket)
	stable := put(t, bucket, "1.1.0", artifact)
	bad := put(t, bucket, "1.2.0", append([]byte("bad "), artifact...))
	for i := range channels {
		publisher.Submit(channelDocument(fmt.Sprintf("c%d", i), stable))
	}
	publisher.Submit(channelDocument("production", stable))

	t.Setenv("AWS_ACCESS_KEY_ID", s3.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3.SecretKey)
	source, err := origin.NewS3(origin.S3Config{Endpoint: s3.Endpoint, Bucket: "updates", Prefix: "mobile"})
	if err != nil {
		t.Fatal(err)
	}
	root, _, err := bucket.Get(t.Context(), "metadata/1.root.json", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	cfg := gateway.Config{Origin: source, Root: root, CacheDir: t.TempDir()}
	r := start(t, cfg)
	r.eventually("the stable update", func() bool { return offers(r.check("d1"), "1.1.0") })

	candidate := channelDocument("production", stable)
	candidate.Revision = 2
	candidate.Candidate = &release.Candidate{Bundle: *bad, Weight: release.FullWeight, Salt: "s", Rollout: "r", Release: 1, LeaseExpires: 1 << 40}
	publisher.Submit(candidate)
	r.eventually("the candidate", func() bool { return offers(r.check("d1"), "1.2.0") })
	if code, body := r.get(r.check("d1").Bundle.URL, "Range", "bytes=0-3"); code != http.StatusPartialContent || body != "bad " {
		t.Errorf("download of a part: %d %q", code, body)
	}

	back := channelDocument("production", stable)
	back.Revision, back.Refused = 3, []release.Refusal{{Digest: bad.Digest, Version: bad.Version, At: 1}}
	publisher.Submit(back)
	r.eventually("the rollback", func() bool { return offers(r.check("d1"), "1.1.0") })
	if code, _ := r.get(r.public + "/v1/artifacts/shop/" + release.Hex(bad.Digest)); code != http.StatusNotFound {
		t.Errorf("the refused artifact is still handed out: %d", code)
	}
	publisher.Remove("shop", "production")
	r.eventually("the channel is gone", func() bool { return r.check("d1").Reason == "UnknownChannel" })

	s3.Stop()
	again := start(t, cfg) // from its cache, with the store gone
	if got := again.check("d1"); got.Reason != "UnknownChannel" {
		t.Errorf("restarted without the store: %+v", got)
	}
	if code, body := again.get(again.public + "/v1/artifacts/shop/" + release.Hex(stable.Digest)); code != http.StatusBadGateway {
		t.Errorf("download without the store: %d %s", code, body)
	}
}

func offers(got native.CheckResponse, version string) bool {
	return got.Bundle != nil && got.Bundle.Version == version
}

func openPublisher(t *testing.T, bucket *store.Bucket) *publish.Publisher {
	t.Helper()
	data, err := publish.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := publish.ParseKeys(data)
	if err != nil {
		t.Fatal(err)
	}
	p, err := publish.Open(t.Context(), publish.Config{Bucket: bucket, Keys: keys, Audit: auditHead})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// put stores an artifact as the manager does.
func put(t *testing.T, bucket *store.Bucket, version string, content []byte) *release.Bundle {
	t.Helper()
	b := &release.Bundle{
		Name: "shop-" + version, Version: version, Digest: release.DigestPrefix + viewtest.Digest(content), Size: int64(len(content)),
		Path: release.BundleTarget("shop", version, "zip"),
	}
	if err := bucket.PutImmutable(t.Context(), release.TargetObject(b.Path, b.Digest), content, "application/zip"); err != nil {
		t.Fatal(err)
	}
	return b
}

func channelDocument(channel string, stable *release.Bundle) *release.Document {
	return &release.Document{
		Schema: release.Schema, App: "shop", Channel: channel, Revision: 1, Serving: release.Active, Stable: stable,
	}
}

// A repository of many channels is followed as one of ten (BenchmarkPoll has a thousand): what did not change costs no request.
func TestManyChannels(t *testing.T) {
	t.Parallel()
	repo, cfg := world(t)
	docs := []*release.Document{document(repo, "1.1.0")}
	for i := range 300 {
		docs = append(docs, channelDocument(fmt.Sprintf("c%d", i), docs[0].Stable))
	}
	repo.Publish(docs...)
	r := start(t, cfg)
	r.eventually("an update", func() bool { return offers(r.check("d1"), "1.1.0") })
	repo.Requests()
	repo.Publish(document(repo, "1.2.0"))
	r.eventually("the next update", func() bool { return offers(r.check("d1"), "1.2.0") })
	for name, n := range repo.Requests() {
		if strings.Contains(name, ".c") {
			t.Errorf("%s was read %d times though nothing changed in it", name, n)
		}
	}
	r.stop()
}

// auditHead is in the signed part of the timestamp, where clients do not know it and read on.
func auditHead() audit.Head {
	return audit.Head{Sequence: 123_456_789_012, Hash: audit.HashOf([]byte("the last record"))}
}
