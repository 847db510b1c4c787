// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

func keepNothing(string) bool { return false }

func TestCollect(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b := newMemory(fake.Now)
	p := open(t, Config{Bucket: b, Keys: generateKeys(t), Clock: fake})
	old, wanted, now := artifact(t, b, "1.0.0"), artifact(t, b, "2.0.0"), artifact(t, b, "3.0.0")
	publishAndWait(t, p, document("a", 1, old))
	publishAndWait(t, p, document("a", 2, now))
	keep := func(digest string) bool { return digest == wanted.Digest }
	has := func(bundle *release.Bundle) bool {
		_, err := b.Head(t.Context(), release.TargetObject(bundle.Path, bundle.Digest))
		return err == nil
	}
	collect := func(c Collection) Collected {
		t.Helper()
		c.Keep = keep
		out, err := p.Collect(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}

	if got := collect(Collection{Grace: time.Hour}); len(got.Deleted) != 0 {
		t.Errorf("right after the commits: deleted %v", got.Deleted)
	}
	step(t, fake, 2*day)
	if got := collect(Collection{Grace: day}); len(got.Deleted) != 0 {
		t.Errorf("a device may still hold the older timestamp: deleted %v", got.Deleted)
	}
	waitFor(t, "the timestamp is renewed", func() bool { return p.State().ExpiresAt.Sub(fake.Now()) > 4*day })
	for range 10 {
		step(t, fake, 2*day)
		waitFor(t, "the timestamp is renewed", func() bool { return p.State().ExpiresAt.Sub(fake.Now()) > 4*day })
	}
	dry := collect(Collection{Grace: day, DryRun: true})
	if !has(old) || len(dry.Deleted) == 0 {
		t.Errorf("a dry run deleted %v", dry.Deleted)
	}
	got := collect(Collection{Grace: day})
	if has(old) || !has(wanted) || !has(now) || !slices.Equal(got.Deleted, dry.Deleted) {
		t.Errorf("deleted %v (%v, %v, %v), want what the dry run said: %v", got.Deleted, has(old), has(wanted), has(now), dry.Deleted)
	}
	client := newReader(t, b)
	client.now = fake.Now
	if got, err := client.read(); err != nil || got["a"] != 2 {
		t.Errorf("a client got %v, %v", got, err)
	}

	// What was deleted is not believed to be there.
	p.Submit(document("b", 1, old))
	waitFor(t, "the problem shows", func() bool { return p.Problem(app, "b") != nil })
}

// An artifact that a channel asks for while it is being collected stays.
func TestCollectSparesWhatIsSubmittedMeanwhile(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b := newMemory(fake.Now)
	old := artifact(t, b, "1.0.0")
	p := open(t, Config{Bucket: b, Keys: generateKeys(t), Clock: fake})
	step(t, fake, 2*day)
	asked := 0
	out, err := p.Collect(t.Context(), Collection{Grace: day, Keep: func(digest string) bool {
		if digest == old.Digest {
			if asked++; asked == 2 { // once to choose it, once right before its deletion
				p.Submit(document("a", 1, old))
			}
		}
		return false
	}})
	if err != nil || asked != 2 {
		t.Fatalf("asked %d times, %v", asked, err)
	}
	if slices.Contains(out.Deleted, release.TargetObject(old.Path, old.Digest)) {
		t.Error("the artifact was deleted although a submission refers to it")
	}
	waitFor(t, "it is published", func() bool { _, ok := p.Committed(app, "a"); return ok })
}

func TestCollectStopsWhenAnotherWriterCommits(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b, keys := newMemory(fake.Now), generateKeys(t)
	old := artifact(t, b, "1.0.0")
	p := open(t, Config{Bucket: b, Keys: keys, Clock: fake})
	step(t, fake, day)
	other := open(t, Config{Bucket: b, Keys: keys, Clock: fake})
	var once sync.Once
	_, err := p.Collect(t.Context(), Collection{Grace: time.Hour, Keep: func(string) bool {
		once.Do(func() { publishAndWait(t, other, document("a", 1, old)) })
		return false
	}})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if _, err := b.Head(t.Context(), release.TargetObject(old.Path, old.Digest)); err != nil {
		t.Errorf("the artifact that the other writer published is gone: %v", err)
	}
}

// history is a random life of a repository: commits, removals, crashes, passing time and collections. Devices come by, keep
// the timestamp they saw, and must be able to fetch everything of it until it expires.
type history struct {
	t     *rapid.T
	clock *clocktesting.FakeClock
	mem   *memory
	keys  *Keys
	p     *Publisher

	revision int64
	highest  int64
	devices  map[int64]time.Time // metadata versions that devices hold, and when their timestamps expire
	deleted  int
}

func (h *history) open(b Bucket, floor int64) error {
	p := newPublisher(Config{Bucket: b, Keys: h.keys, Clock: h.clock, Seen: floor})
	if err := p.prepare(h.t.Context()); err != nil {
		return err
	}
	h.p = p
	return nil
}

// reopen stands for a new manager. Status may know less than the bucket, and is never ahead of it.
func (h *history) reopen() {
	if err := h.open(h.mem, rapid.Int64Range(0, h.highest).Draw(h.t, "floor")); err != nil {
		h.t.Fatalf("open: %v", err)
	}
}

func (h *history) random(label string) string {
	return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(h.t, label)
}

func (h *history) submit() {
	h.revision++
	version := rapid.SampledFrom([]string{"1.0.0", "2.0.0", "3.0.0", "4.0.0"}).Draw(h.t, "version")
	b := unstored(version)
	if err := h.mem.PutImmutable(h.t.Context(), release.TargetObject(b.Path, b.Digest), []byte("bundle "+version), ""); err != nil {
		h.t.Fatal(err)
	}
	h.p.Submit(document(h.random("channel"), h.revision, b))
}

func (h *history) attempt() {
	if _, err := h.p.attempt(h.t.Context()); err != nil {
		h.t.Fatalf("commit: %v", err)
	}
	if n := len(h.p.pending); n > 0 {
		h.t.Fatalf("%d submissions are left: %v", n, h.p.problem)
	}
}

// crash lets a manager die at some call, and another one come.
func (h *history) crash() {
	f := &faulty{Bucket: h.mem, failAt: rapid.IntRange(1, 25).Draw(h.t, "call"), after: rapid.Bool().Draw(h.t, "after")}
	if h.open(f, 0) == nil {
		h.submit()
		h.submit()
		_, _ = h.p.attempt(h.t.Context())
	}
	h.reopen()
}

func (h *history) collect() {
	ctx, cancel := context.WithCancel(h.t.Context())
	var server sync.WaitGroup
	server.Go(func() { // in place of the publisher's goroutine
		for {
			select {
			case task := <-h.p.tasks:
				task(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	defer server.Wait()
	defer cancel()
	grace := time.Duration(rapid.IntRange(1, 20).Draw(h.t, "grace")) * day
	out, err := h.p.Collect(ctx, Collection{Grace: grace, Keep: keepNothing})
	if err != nil {
		h.t.Fatalf("collect: %v", err)
	}
	h.deleted += len(out.Deleted)
}

// visit lets a device see the present.
func (h *history) visit() {
	s := h.p.State()
	if s.Version < h.highest {
		h.t.Fatalf("version %d came after %d", s.Version, h.highest)
	}
	h.highest = s.Version
	h.devices[s.Version] = s.ExpiresAt
}

// check looks for all that devices hold.
func (h *history) check() {
	for version, expires := range h.devices {
		if h.clock.Now().After(expires) {
			delete(h.devices, version)
			continue
		}
		if err := h.resolve(version); err != nil {
			h.t.Fatalf("a device with version %d, which holds until %s: %v", version, expires, err)
		}
	}
}

// resolve looks for everything that a commit refers to.
func (h *history) resolve(version int64) error {
	live := &marks{names: map[string]bool{}}
	if _, err := h.p.markCommit(h.t.Context(), object("snapshot", version), live); err != nil {
		return err
	}
	for name := range live.names {
		if _, err := h.mem.Head(h.t.Context(), name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func TestNoHistoryBreaksADevice(t *testing.T) {
	t.Parallel()
	keys := generateKeys(t)
	var mu sync.Mutex
	deleted := 0
	rapid.Check(t, func(rt *rapid.T) {
		fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		h := &history{t: rt, clock: fake, mem: newMemory(fake.Now), keys: keys, devices: map[int64]time.Time{}}
		h.reopen()
		rt.Repeat(map[string]func(*rapid.T){
			"submit": func(*rapid.T) { h.submit(); h.attempt() },
			"batch":  func(*rapid.T) { h.submit(); h.submit(); h.submit(); h.attempt() },
			"remove": func(*rapid.T) { h.p.Remove(app, h.random("channel")); h.attempt() },
			"crash":  func(*rapid.T) { h.crash() },
			"reopen": func(*rapid.T) { h.reopen() },
			"wait": func(rt *rapid.T) {
				fake.Step(time.Duration(rapid.IntRange(1, 100).Draw(rt, "hours")) * time.Hour)
				h.attempt()
			},
			"away":    func(*rapid.T) { fake.Step(40 * day); h.attempt() },
			"collect": func(*rapid.T) { h.collect(); h.check() },
			"":        func(*rapid.T) { h.visit() },
		})
		h.check()
		mu.Lock()
		defer mu.Unlock()
		deleted += h.deleted
	})
	if deleted == 0 {
		t.Error("no collection of any history deleted anything: the test cannot fail")
	}
}

func TestObjectNames(t *testing.T) {
	for key, want := range map[string]string{
		"metadata/5.snapshot.json": "snapshot 5", "metadata/12.com.example.shop.beta.json": "com.example.shop.beta 12",
		"metadata/3.5.root.json": "5.root 3", "metadata/timestamp.json": "", "metadata/x.json": "", "metadata/-1.root.json": "",
		"metadata/1.root.txt": "", "targets/1.root.json": "",
	} {
		role, version, ok := parseObject(key)
		got := fmt.Sprint(role, " ", version)
		if ok != (want != "") || ok && (got != want || object(role, version) != key) {
			t.Errorf("%s: got %q, %v, want %q", key, got, ok, want)
		}
	}
	if got := keyOf("com.example.shop.beta"); got != (ChannelKey{App: app, Channel: "beta"}) {
		t.Errorf("got %+v", got)
	}
}

func TestSubmitRefusesBadDocuments(t *testing.T) {
	b := newMemory(time.Now)
	p := open(t, Config{Bucket: b, Keys: generateKeys(t)})
	good := func() *release.Document { return document("a", 1, unstored("1.0.0")) }
	for name, change := range map[string]func(*release.Document){
		"dot in the channel": func(d *release.Document) { d.Channel = "a.b" },
		"slash in the app":   func(d *release.Document) { d.App = "a/b" },
		"path outside":       func(d *release.Document) { d.Stable.Path = "bundles/other/1.0.0.zip" },
		"path with a folder": func(d *release.Document) { d.Stable.Path += "/x" },
		"digest":             func(d *release.Document) { d.Stable.Digest = "sha256:abc" },
		"size":               func(d *release.Document) { d.Stable.Size = 0 },
		"two digests": func(d *release.Document) {
			other := *d.Stable
			other.Digest = release.DigestPrefix + strings.Repeat("0", 64)
			d.Previous = &other
		},
		"too large": func(d *release.Document) { d.PublicURL = strings.Repeat("x", release.MaxDocumentSize) },
	} {
		d := good()
		change(d)
		p.Submit(d)
		if p.Problem(d.App, d.Channel) == nil {
			t.Errorf("%s: the document was accepted", name)
		}
	}
	if s := p.State(); s.Pending != 0 {
		t.Errorf("%d refused submissions are pending", s.Pending)
	}
}

// Evidence stays as long as a signature of a committed document refers to it, or somebody else wants it.
func TestCollectEvidence(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b := newMemory(fake.Now)
	p := open(t, Config{Bucket: b, Keys: generateKeys(t), Clock: fake})
	put := func(content string) string {
		digest := release.DigestPrefix + sum([]byte(content))
		if err := b.PutImmutable(t.Context(), release.EvidenceObject(digest), []byte(content), jsonType); err != nil {
			t.Fatal(err)
		}
		return digest
	}
	named, wanted, unwanted := put("named"), put("wanted"), put("unwanted")
	one := artifact(t, b, "1.0.0")
	one.Signatures = []release.Signature{{Authority: "ci", Evidence: named}}
	publishAndWait(t, p, document("a", 1, one))
	keep := Collection{Grace: day, Keep: func(digest string) bool { return digest == wanted }}
	step(t, fake, 30*day)
	waitFor(t, "the timestamp is renewed", func() bool { return p.State().ExpiresAt.After(fake.Now()) })
	for _, want := range [][]string{{unwanted}, {named}} {
		out, err := p.Collect(t.Context(), keep)
		gone := slices.DeleteFunc(out.Deleted, func(name string) bool { return !strings.HasPrefix(name, evidenceFolder) })
		if err != nil || !slices.Equal(gone, []string{release.EvidenceObject(want[0])}) {
			t.Errorf("deleted %v, %v, want %v", gone, err, want)
		}
		publishAndWait(t, p, document("a", 2, artifact(t, b, "2.0.0")))
	}
	if s := p.State(); s.Bundles != 1 {
		t.Errorf("%d bundles, want 1: evidence is none", s.Bundles)
	}
}
