// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package floors tries to offer again what a floor in the root of trust has withdrawn: as the operator, as the holder of all
// online keys, and as the holder of the root keys, against publisher and gateway over a real object store.
package floors

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/tuf"
)

const (
	app       = "com.example.shop"
	channel   = "production"
	withdrawn = "1.0.0"
	floor     = "2.0.0"
	day       = 24 * time.Hour
)

var server *devcluster.ObjectStore

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "windlass-floors-")
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

// world is a repository whose floor has withdrawn a version that was stable before, and a gateway that follows it.
type world struct {
	t         *testing.T
	bucket    *store.Bucket
	prefix    string
	cache     string // of the gateway
	holders   []ceremony.PrivateKey
	secret    map[string][]byte
	roots     map[int64][]byte
	bad, good *release.Bundle
	publisher *publish.Publisher
	gateway   *view.Poller

	first, newest []byte        // roots before the attack
	seen          publish.State // what status has recorded then
}

// begin makes the world. With an online root the manager has the root key and raises the floor itself.
func begin(t *testing.T, online bool) *world {
	t.Helper()
	made, err := ceremony.Init(ceremony.Params{Generate: 1, Threshold: 1, Life: 365 * day, Now: time.Now()})
	check(t, err)
	w := &world{t: t, prefix: strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()), cache: t.TempDir(), holders: made.RootKeys, secret: made.Online}
	w.bucket, err = store.Open(store.Config{
		Endpoint: server.Endpoint, Bucket: "bucket", Prefix: w.prefix, AccessKey: server.AccessKey, SecretKey: server.SecretKey,
	})
	check(t, err)
	if online {
		w.secret["root.key"] = made.RootKeys[0].PEM
	} else {
		w.roots = map[int64][]byte{1: made.Root}
	}
	w.bad, w.good = w.artifact(withdrawn), w.artifact(floor)
	w.open(nil)
	w.submit(document(1, w.bad))
	w.follow()
	if got := w.offered(); got != withdrawn {
		t.Fatalf("before the floor: %q is offered", got)
	}
	if online {
		w.open(map[string]string{app: floor})
	} else {
		w.succeed(ceremony.RaiseFloor(app, floor))
		w.open(nil)
	}
	c, _ := w.publisher.Committed(app, channel)
	w.submit(document(c.Document.Revision+1, w.good))
	w.poll()
	if got := w.offered(); got != floor {
		t.Fatalf("after the floor: %q is offered", got)
	}
	w.first, w.newest, w.seen = w.get("metadata/1.root.json"), w.get("metadata/2.root.json"), w.publisher.State()
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) artifact(version string) *release.Bundle {
	content := []byte("bundle " + version)
	sum := sha256.Sum256(content)
	b := &release.Bundle{
		Name: "shop-" + version, Version: version, Digest: release.DigestPrefix + hex.EncodeToString(sum[:]), Size: int64(len(content)),
		Path: release.BundleTarget(app, version, "zip"),
	}
	check(w.t, w.bucket.PutImmutable(w.t.Context(), release.TargetObject(b.Path, b.Digest), content, "application/zip"))
	return b
}

func document(revision int64, stable *release.Bundle) *release.Document {
	return &release.Document{Schema: release.Schema, App: app, Channel: channel, Revision: revision, Serving: release.Active, Stable: stable}
}

// open opens the publisher, as a new manager would.
func (w *world) open(floors map[string]string) {
	w.t.Helper()
	if w.publisher != nil {
		w.publisher.Close()
	}
	p, err := publish.Open(w.t.Context(), w.config(floors))
	check(w.t, err)
	w.publisher = p
	w.t.Cleanup(p.Close)
}

// config is that of a manager which has read status.
func (w *world) config(floors map[string]string) publish.Config {
	w.t.Helper()
	keys, err := publish.ParseKeys(w.secret)
	check(w.t, err)
	return publish.Config{
		Bucket: w.bucket, Keys: keys, Roots: maps.Clone(w.roots), Floors: floors,
		Seen: w.seen.Version, SeenRoot: w.seen.RootVersion, SeenFirstRoot: w.seen.FirstRoot, SeenFloors: w.seen.Floors,
	}
}

// restart opens the publisher again over what an attack has left. That it refuses to open publishes nothing either.
func (w *world) restart() {
	w.t.Helper()
	w.publisher.Close()
	w.publisher = nil
	if p, err := publish.Open(w.t.Context(), w.config(nil)); err == nil {
		w.publisher = p
		w.t.Cleanup(p.Close)
	}
}

// submit publishes a document, or gives up when it is refused.
func (w *world) submit(doc *release.Document) {
	w.t.Helper()
	w.publisher.Submit(doc)
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		c, ok := w.publisher.Committed(doc.App, doc.Channel)
		if ok && c.Document.Revision == doc.Revision || w.publisher.State().Pending == 0 && w.publisher.Problem(doc.App, doc.Channel) != nil {
			tick.Stop()
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("neither committed nor refused: %v", w.publisher.Problem(doc.App, doc.Channel))
		}
	}
}

// follow starts a gateway that pins the first root, with the cache that an earlier one left.
func (w *world) follow() {
	w.t.Helper()
	if w.first == nil {
		w.first = w.get("metadata/1.root.json")
	}
	w.start(w.first, w.cache)
}

// start starts a gateway.
func (w *world) start(root []byte, cache string) {
	w.t.Helper()
	source, err := origin.NewS3(origin.S3Config{Endpoint: server.Endpoint, Bucket: "bucket", Prefix: w.prefix})
	check(w.t, err)
	w.gateway, err = view.New(w.t.Context(), view.Config{
		Source: source, Root: root, CacheDir: cache, Interval: time.Second, Timeout: time.Minute,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	check(w.t, err)
	w.poll()
}

// poll lets the gateway look. That it refuses what it finds is no failure.
func (w *world) poll() { _ = w.gateway.Poll(w.t.Context()) }

// offered is the version that a device is offered, which runs the embedded bundle; empty: none.
func (w *world) offered() string {
	d := resolve.Device{
		Device: compat.Device{Platform: "ios", NativeVersion: semver.MustParse("0.1.0")},
		ID:     "d", Distribution: resolve.Production, Hardware: resolve.Physical,
	}
	v := w.gateway.View()
	if v == nil {
		return ""
	}
	if c, _ := v.Channel(app, channel, time.Now()); c != nil {
		if got := c.Decide(&d, time.Now()); got.Action == resolve.Update {
			return got.Bundle.Version
		}
	}
	return ""
}

// reoffers tells whether anybody can get what was withdrawn.
func (w *world) reoffers() (how string) {
	if _, ok := w.gateway.View().Artifact(app, release.Hex(w.bad.Digest), time.Now()); ok {
		return "the gateway hands it out"
	}
	if got := w.offered(); got != "" && semver.MustParse(got).LessThan(semver.MustParse(floor)) {
		return "the gateway offers " + got
	}
	if w.publisher == nil {
		return ""
	}
	if got := w.publisher.Floor(app); got != floor {
		return "the publisher has floor " + got
	}
	if c, ok := w.publisher.Committed(app, channel); ok {
		for _, b := range c.Document.Bundles() {
			if b.Digest == w.bad.Digest {
				return "the publisher names it"
			}
		}
	}
	return ""
}

// succeed puts a root into the ConfigMap that the rules allow.
func (w *world) succeed(changes ...ceremony.Change) {
	w.t.Helper()
	version := int64(len(w.roots))
	next, err := ceremony.Next(w.roots[version], time.Now(), changes...)
	check(w.t, err)
	w.roots[version+1], err = ceremony.Sign(next, w.roots[version], w.holders[0].PEM)
	check(w.t, err)
}

func (w *world) get(name string) []byte {
	w.t.Helper()
	raw, _, err := w.bucket.Get(w.t.Context(), name, tuf.MaxTargets)
	check(w.t, err)
	return raw
}

// put replaces an object, as who holds the bucket can.
func (w *world) put(name string, raw []byte) {
	w.t.Helper()
	check(w.t, w.bucket.Delete(w.t.Context(), name))
	check(w.t, w.bucket.PutImmutable(w.t.Context(), name, raw, "application/json"))
}

// forge signs a successor of the published root that no rule was asked about, with a key of the holders, or with another.
func (w *world) forge(key []byte, change func(r *metadata.RootType)) []byte {
	w.t.Helper()
	root, err := metadata.Root().FromBytes(w.get("metadata/2.root.json"))
	check(w.t, err)
	root.ClearSignatures()
	root.Signed.Version++
	change(&root.Signed)
	k, err := tuf.ParseKey(key)
	check(w.t, err)
	raw, err := tuf.Sign(root, k)
	check(w.t, err)
	return raw
}

// evil commits a document as the holder of all online keys, without the publisher.
func (w *world) evil(doc *release.Document) {
	w.t.Helper()
	raw, err := doc.Encode()
	check(w.t, err)
	key := func(role string) tuf.Key {
		k, err := tuf.ParseKey(w.secret[role+".key"])
		check(w.t, err)
		return k
	}
	const version = 1000
	at := time.Now().Add(day).UTC().Truncate(time.Second)
	target := release.ChannelTarget(app, channel)
	role := metadata.Targets(at)
	role.Signed.Version = version
	role.Signed.Targets[target], err = metadata.TargetFile().FromBytes(target, raw, "sha256")
	check(w.t, err)
	for _, b := range doc.Bundles() {
		sum, err := hex.DecodeString(release.Hex(b.Digest))
		check(w.t, err)
		role.Signed.Targets[b.Path] = &metadata.TargetFiles{Length: b.Size, Hashes: metadata.Hashes{"sha256": sum}}
	}
	old, err := metadata.Timestamp().FromBytes(w.get("metadata/timestamp.json"))
	check(w.t, err)
	snapshot, err := metadata.Snapshot().FromBytes(w.get(fmt.Sprintf("metadata/%d.snapshot.json", old.Signed.Version)))
	check(w.t, err)
	snapshot.ClearSignatures()
	snapshot.Signed.Version = version
	snapshot.Signed.Meta[release.Role(app, channel)+".json"] = metadata.MetaFile(version)
	sum := sha256.Sum256(raw)
	w.put(release.TargetObject(target, hex.EncodeToString(sum[:])), raw)
	file, err := tuf.Sign(role, key("channels"))
	check(w.t, err)
	w.put(fmt.Sprintf("metadata/%d.%s.json", version, release.Role(app, channel)), file)
	file, err = tuf.Sign(snapshot, key("snapshot"))
	check(w.t, err)
	w.put(fmt.Sprintf("metadata/%d.snapshot.json", version), file)

	timestamp := metadata.Timestamp(at)
	timestamp.Signed.Version = version
	sum = sha256.Sum256(file)
	timestamp.Signed.Meta["snapshot.json"] = &metadata.MetaFiles{
		Version: version, Length: int64(len(file)), Hashes: metadata.Hashes{"sha256": sum[:]},
	}
	file, err = tuf.Sign(timestamp, key("timestamp"))
	check(w.t, err)
	w.put("metadata/timestamp.json", file)
}
