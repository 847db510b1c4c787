// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/tuf"
)

func remove(t *testing.T, b Bucket, name string) {
	t.Helper()
	if _, err := b.Head(t.Context(), name); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := b.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

func damageIt(t *testing.T, b Bucket, name string) {
	t.Helper()
	remove(t, b, name)
	if err := b.PutImmutable(t.Context(), name, []byte("rotten"), jsonType); err != nil {
		t.Fatal(err)
	}
}

// documentObject is where the committed document of a channel is.
func documentObject(t *testing.T, p *Publisher, channel string) string {
	t.Helper()
	c, _ := p.Committed(app, channel)
	raw, err := c.Document.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return release.TargetObject(release.ChannelTarget(app, channel), sum(raw))
}

func wantRevisions(t *testing.T, client *reader, want map[string]int64) {
	t.Helper()
	if got, err := client.read(); err != nil || !maps.Equal(got, want) {
		t.Errorf("a client got %v, %v, want %v", got, err, want)
	}
}

// The loss of timestamp.json takes nothing from devices: what it referred to is published again under a higher version.
func TestLostTimestamp(t *testing.T) {
	for _, c := range []struct {
		name  string
		floor int64
		spoil func(t *testing.T, b Bucket, version int64)
		want  map[string]int64
	}{
		{"only that", 0, nil, map[string]int64{"a": 2, "b": 1}},
		{"status knows", 3, nil, map[string]int64{"a": 2, "b": 1}},
		{"and the newest snapshot", 3, func(t *testing.T, b Bucket, version int64) {
			damageIt(t, b, object("snapshot", version))
		}, map[string]int64{"a": 1, "b": 1}},
		{"and a role", 0, func(t *testing.T, b Bucket, version int64) {
			remove(t, b, object(app+".a", version))
		}, map[string]int64{"a": 1, "b": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, keys := openBucket(t), generateKeys(t)
			one := artifact(t, b, "1.0.0")
			p := open(t, Config{Bucket: b, Keys: keys})
			publishAndWait(t, p, document("a", 1, one), document("b", 1, one))
			publishAndWait(t, p, document("a", 2, one))
			client := newReader(t, b)
			wantRevisions(t, client, map[string]int64{"a": 2, "b": 1})
			version := p.State().Version
			p.Close()
			remove(t, b, timestampName)
			if c.spoil != nil {
				c.spoil(t, b, version)
			}
			again := open(t, Config{Bucket: b, Keys: keys, Seen: c.floor})
			if got := again.State(); got.Version <= version || got.Channels != 2 {
				t.Errorf("got %+v, want two channels and a version above %d", got, version)
			}
			wantRevisions(t, client, c.want)
		})
	}
}

// Without any intact snapshot nothing is published.
func TestLostTimestampAndSnapshots(t *testing.T) {
	for _, c := range []struct {
		name  string
		floor int64
		spoil func(t *testing.T, b Bucket, versions int64)
	}{
		{"damaged", 0, func(t *testing.T, b Bucket, versions int64) {
			for v := range versions {
				damageIt(t, b, object("snapshot", v+1))
			}
		}},
		{"only the empty one is left", 0, func(t *testing.T, b Bucket, versions int64) {
			damageIt(t, b, object("snapshot", versions))
		}},
		{"all are gone, roles are there", 0, func(t *testing.T, b Bucket, versions int64) {
			for v := range versions {
				remove(t, b, object("snapshot", v+1))
			}
		}},
		{"all is gone, status knows", 2, func(t *testing.T, b Bucket, _ int64) {
			for obj, err := range b.List(t.Context(), metadataFolder) {
				if err != nil {
					t.Fatal(err)
				}
				remove(t, b, obj.Key)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := clocktesting.NewFakeClock(time.Now())
			b, keys := newMemory(fake.Now), generateKeys(t)
			p := open(t, Config{Bucket: b, Keys: keys})
			publishAndWait(t, p, document("a", 1, artifact(t, b, "1.0.0")))
			version := p.State().Version
			p.Close()
			timestamp, _, _ := b.Get(t.Context(), timestampName, tuf.MaxTimestamp)
			remove(t, b, timestampName)
			c.spoil(t, b, version)
			_, err := Open(t.Context(), Config{Bucket: b, Keys: keys, Seen: c.floor})
			if kit.Classify(err).Reason != otav1alpha1.PublishFailedReason || !strings.Contains(err.Error(), "restore it") {
				t.Errorf("got %v, want that it has to be restored", err)
			}
			if _, err := b.Head(t.Context(), timestampName); !errors.Is(err, store.ErrNotExist) || len(timestamp) == 0 {
				t.Errorf("something was published: %v", err)
			}
		})
	}
}

// A commit whose channel is new cannot be undone: devices refuse a snapshot that forgets a role.
func TestLostTimestampAndSnapshotOfANewChannel(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one := artifact(t, b, "1.0.0")
	p := open(t, Config{Bucket: b, Keys: keys})
	publishAndWait(t, p, document("a", 1, one))
	publishAndWait(t, p, document("b", 1, one))
	p.Close()
	damageIt(t, b, object("snapshot", p.State().Version))
	remove(t, b, timestampName)
	if _, err := Open(t.Context(), Config{Bucket: b, Keys: keys}); err == nil || kit.Classify(err).Reason != otav1alpha1.PublishFailedReason {
		t.Errorf("got %v, want that it has to be restored", err)
	}
}

// A repository without channels starts again.
func TestLostTimestampOfAnEmptyRepository(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	open(t, Config{Bucket: b, Keys: keys}).Close()
	remove(t, b, timestampName)
	if got := open(t, Config{Bucket: b, Keys: keys, Seen: 1}).State(); got.Version != 2 {
		t.Errorf("got %+v, want version 2", got)
	}
}

// The very first opening may be interrupted anywhere, again and again.
func TestFirstOpeningIsResumed(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	for failAt := 1; ; failAt++ {
		f := &faulty{Bucket: b, failAt: failAt}
		p, err := Open(t.Context(), Config{Bucket: f, Keys: keys})
		if err == nil {
			p.Close()
			if failAt < 6 {
				t.Errorf("only %d calls were interrupted", failAt-1)
			}
			break
		}
		if !errors.Is(err, errInjected) {
			t.Fatalf("interrupted at call %d: %v", failAt, err)
		}
	}
}

// A channel whose committed role or document is damaged goes on from the version before.
func TestDamagedChannelGoesBackToAnIntactVersion(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, b Bucket, role, doc string)
	}{
		{"role is missing", func(t *testing.T, b Bucket, role, _ string) { remove(t, b, role) }},
		{"role is damaged", func(t *testing.T, b Bucket, role, _ string) { damageIt(t, b, role) }},
		{"document is missing", func(t *testing.T, b Bucket, _, doc string) { remove(t, b, doc) }},
		{"document is damaged", func(t *testing.T, b Bucket, _, doc string) { damageIt(t, b, doc) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, keys := openBucket(t), generateKeys(t)
			one := artifact(t, b, "1.0.0")
			p := open(t, Config{Bucket: b, Keys: keys})
			for revision := int64(1); revision <= 3; revision++ {
				publishAndWait(t, p, document("a", revision, one), document("b", revision, one))
			}
			client := newReader(t, b)
			wantRevisions(t, client, map[string]int64{"a": 3, "b": 3})
			version := p.State().Version
			doc := documentObject(t, p, "a")
			p.Close()
			c.spoil(t, b, object(app+".a", version), doc)

			again := open(t, Config{Bucket: b, Keys: keys})
			if got, ok := again.Committed(app, "a"); !ok || got.Document.Revision != 2 || got.MetadataVersion <= version {
				t.Errorf("got %+v, %v, want revision 2 under a new version", got, ok)
			}
			wantRevisions(t, client, map[string]int64{"a": 2, "b": 3})
			publishAndWait(t, again, document("a", 4, one))
			wantRevisions(t, client, map[string]int64{"a": 4, "b": 3})
		})
	}
}

// lose gives a repository whose channel a cannot be read, and what it was.
func lose(t *testing.T, b Bucket, cfg Config) (role string, raw []byte) {
	t.Helper()
	one := artifact(t, b, "1.0.0")
	p := open(t, cfg)
	publishAndWait(t, p, document("a", 7, one), document("b", 1, one))
	p.Close()
	role = object(app+".a", p.State().Version)
	raw, _, err := b.Get(t.Context(), role, tuf.MaxTargets)
	if err != nil {
		t.Fatal(err)
	}
	remove(t, b, role)
	return role, raw
}

func wantLost(t *testing.T, p *Publisher, object string) {
	t.Helper()
	if _, ok := p.Committed(app, "a"); ok {
		t.Error("what is lost counts as committed")
	}
	err := p.Problem(app, "a")
	if err == nil {
		t.Fatal("the loss does not show")
	}
	if k := kit.Classify(err); k.Reason != otav1alpha1.StateLostReason || k.Class != kit.Stalled || !strings.Contains(err.Error(), object) {
		t.Errorf("got %v (%s), want that %s is lost", err, k.Reason, object)
	}
}

// A channel of which nothing is intact is not started over, and the others go on.
func TestLostChannel(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	role, _ := lose(t, b, Config{Bucket: b, Keys: keys})
	p := open(t, Config{Bucket: b, Keys: keys})
	wantLost(t, p, role)
	one := artifact(t, b, "1.0.0")
	p.Submit(document("a", 1, one))
	publishAndWait(t, p, document("b", 2, one), document("c", 1, one))
	wantLost(t, p, role)
	if got := p.State(); got.Pending != 0 {
		t.Errorf("got %d submissions pending, want that of the lost channel refused", got.Pending)
	}
	if _, err := p.Collect(t.Context(), Collection{Keep: keepNothing}); kit.Classify(err).Reason != otav1alpha1.StateLostReason {
		t.Errorf("collect: got %v, want that it waits", err)
	}
	p.Close()

	again := open(t, Config{Bucket: b, Keys: keys}) // the delegations were signed anew for c
	wantLost(t, again, role)
	again.Remove(app, "a")
	waitFor(t, "the channel is removed", func() bool { return again.Problem(app, "a") == nil })
	publishAndWait(t, again, document("a", 1, one))
	wantRevisions(t, newReader(t, b), map[string]int64{"a": 1, "b": 2, "c": 1})
}

// What is restored is found without a restart.
func TestLostChannelIsRestored(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b := newMemory(fake.Now)
	news := &heard{}
	cfg := Config{Bucket: b, Keys: generateKeys(t), Clock: fake}
	role, raw := lose(t, b, cfg)
	cfg.Notify = news.notify
	p := open(t, cfg)
	wantLost(t, p, role)
	if err := b.PutImmutable(t.Context(), role, raw, jsonType); err != nil {
		t.Fatal(err)
	}
	step(t, fake, lookPatience)
	waitFor(t, "the channel is back", func() bool { c, ok := p.Committed(app, "a"); return ok && c.Document.Revision == 7 && news.of("a") })
	if err := p.Problem(app, "a"); err != nil {
		t.Errorf("the problem stayed: %v", err)
	}
}

// What a channel was before it was removed does not come back.
func TestDamagedChannelDoesNotGoBackBehindItsRemoval(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	one := artifact(t, b, "1.0.0")
	p := open(t, Config{Bucket: b, Keys: keys})
	publishAndWait(t, p, document("a", 5, one))
	p.Remove(app, "a")
	waitFor(t, "the channel is gone", func() bool { _, ok := p.Committed(app, "a"); return !ok })
	publishAndWait(t, p, document("a", 1, one))
	p.Close()
	role := object(app+".a", p.State().Version)
	damageIt(t, b, role)
	wantLost(t, open(t, Config{Bucket: b, Keys: keys}), role)
}

func TestMissingSnapshotIsToBeRestored(t *testing.T) {
	b, keys := openBucket(t), generateKeys(t)
	p := open(t, Config{Bucket: b, Keys: keys})
	publishAndWait(t, p, document("a", 1, artifact(t, b, "1.0.0")))
	p.Close()
	remove(t, b, object("snapshot", p.State().Version))
	_, err := Open(t.Context(), Config{Bucket: b, Keys: keys})
	if err == nil || errors.Is(err, store.ErrNotExist) || !strings.Contains(err.Error(), "restore it") {
		t.Errorf("got %v, want an error that says what to restore", err)
	}
}
