// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package attacks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const (
	app     = "com.example.shop"
	other   = "com.example.bank"
	channel = "production"
	target  = "channels/" + app + "/" + channel + ".json"

	maxObject = 1 << 20
)

// files are the objects of a bucket, by name.
type files map[string][]byte

// world is a repository that the real publisher wrote into a real object store: three states of it, one after another, and one
// after the root was renewed by two of its three keys.
type world struct {
	bucket   *store.Bucket
	root     *ceremony.Result
	states   [5]files  // from 1; the last with the second root
	versions [5]int64  // of the metadata
	expires  time.Time // of the last timestamp
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server := testkit.ObjectStore(t)
	bucket, err := store.Open(store.Config{
		Endpoint: server.Endpoint, Bucket: server.Name, AccessKey: server.AccessKeyID, SecretKey: server.SecretAccessKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{bucket: bucket}
	w.root, err = ceremony.Init(ceremony.Params{Generate: 3, Threshold: 2, Life: publish.DefaultRootExpiry, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, "metadata/1.root.json", w.root.Root)
	for i := 1; i <= 3; i++ {
		w.publish(t, i, int64(i))
	}
	w.put(t, "metadata/2.root.json", w.renewed(t, 0, 1))
	w.publish(t, 4, 4)
	return w
}

func (w *world) put(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := w.bucket.PutImmutable(t.Context(), name, content, "application/json"); err != nil {
		t.Fatal(err)
	}
}

// renewed is a second root, signed by the keys of the first that are named.
func (w *world) renewed(t *testing.T, signers ...int) []byte {
	t.Helper()
	next, err := ceremony.Next(w.root.Root, time.Now(), ceremony.Renew(time.Now().Add(publish.DefaultRootExpiry)))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range signers {
		if next, err = ceremony.Sign(next, w.root.Root, w.root.RootKeys[i].PEM); err != nil {
			t.Fatal(err)
		}
	}
	return next
}

// publish commits a revision of both apps' channels, and keeps the state of the bucket.
func (w *world) publish(t *testing.T, state int, revision int64) {
	t.Helper()
	keys, err := publish.ParseKeys(w.root.Online)
	if err != nil {
		t.Fatal(err)
	}
	p, err := publish.Open(t.Context(), publish.Config{Bucket: w.bucket, Keys: keys, Audit: auditHead})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, a := range []string{app, other} {
		p.Submit(w.document(t, a, revision))
	}
	waitFor(t, "both channels are published", func() bool {
		one, _ := p.Committed(app, channel)
		two, _ := p.Committed(other, channel)
		return one.Document != nil && one.Document.Revision == revision && two.Document != nil && two.Document.Revision == revision
	})
	s := p.State()
	w.versions[state], w.expires = s.Version, s.ExpiresAt
	w.states[state] = w.snapshot(t)
}

// waitFor polls until a condition holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
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

func (w *world) document(t *testing.T, a string, revision int64) *release.Document {
	t.Helper()
	version := fmt.Sprintf("%d.0.0", revision)
	content := []byte("update " + version + " of " + a)
	b := &release.Bundle{
		Name: "v" + version, Version: version, Digest: release.DigestPrefix + hexSum(content), Size: int64(len(content)),
		Path: release.BundleTarget(a, version, "zip"), Since: time.Now().Unix(),
	}
	if err := w.bucket.PutImmutable(t.Context(), release.TargetObject(b.Path, b.Digest), content, "application/zip"); err != nil {
		t.Fatal(err)
	}
	return &release.Document{Schema: release.Schema, App: a, Channel: channel, Revision: revision, Serving: release.Active, Stable: b}
}

// snapshot reads the whole bucket.
func (w *world) snapshot(t *testing.T) files {
	t.Helper()
	out := files{}
	for obj, err := range w.bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		raw, _, err := w.bucket.Get(t.Context(), obj.Key, maxObject)
		if err != nil {
			t.Fatal(err)
		}
		out[obj.Key] = raw
	}
	return out
}

// name of a versioned role in a state.
func (w *world) name(role string, state int) string {
	return fmt.Sprintf("metadata/%d.%s.json", w.versions[state], role)
}

// object is the one object of a folder that a state has and the one before has not.
func (w *world) object(t *testing.T, folder string, state int) string {
	t.Helper()
	for name := range w.states[state] {
		if _, before := w.states[state-1][name]; strings.HasPrefix(name, folder) && !before {
			return name
		}
	}
	t.Fatalf("state %d has nothing new in %s", state, folder)
	return ""
}

func (f files) clone() files { return maps.Clone(f) }

// mirror serves files over HTTP: what a bucket gives out once an attacker may write to it, or what a network makes of it.
type mirror struct {
	files   files
	special map[string]http.HandlerFunc
}

// start serves until the test ends, or stop is called.
func (m mirror) start(t *testing.T) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if special := m.special[name]; special != nil {
			special(w, r.WithContext(ctx))
			return
		}
		raw, ok := m.files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
	}))
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel() // first, for a handler that goes on for ever
			server.CloseClientConnections()
			server.Close()
		})
	}
	t.Cleanup(stop)
	return server.URL, stop
}

func hexSum(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// auditHead is in the signed part of the timestamp, where clients do not know it and read on.
func auditHead() audit.Head {
	return audit.Head{Sequence: 123_456_789_012, Hash: audit.HashOf([]byte("the last record"))}
}
