// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// bench is a worker with a real bucket and a real web server.
type bench struct {
	worker  *ingest.Worker
	bucket  *store.Bucket
	site    *testkit.Site
	author  *testkit.Author
	scratch string
	reached []ingest.Stage
}

func newBench(t *testing.T, opts source.Options) *bench {
	t.Helper()
	b := testkit.ObjectStore(t)
	bucket, err := store.Open(store.Config{Endpoint: b.Endpoint, Bucket: b.Name, Prefix: "p", AccessKey: b.AccessKeyID, SecretKey: b.SecretAccessKey})
	if err != nil {
		t.Fatal(err)
	}
	out := &bench{bucket: bucket, site: testkit.NewSite(t), author: testkit.NewAuthor(t, "ci"), scratch: filepath.Join(t.TempDir(), "scratch")}
	scratch, err := ingest.NewScratch(out.scratch)
	if err != nil {
		t.Fatal(err)
	}
	opts.Egress = testkit.Loopback()
	client := source.New(opts)
	t.Cleanup(client.Close)
	out.worker = &ingest.Worker{Client: client, Scratch: scratch, Now: time.Now, Observe: func(s ingest.Stage, _ time.Duration, _ error) {
		out.reached = append(out.reached, s)
	}}
	return out
}

func (b *bench) job(t *testing.T, a *testkit.Artifact) ingest.Job {
	t.Helper()
	key, err := verify.ParsePublicKey([]byte(b.author.PublicPEM()))
	if err != nil {
		t.Fatal(err)
	}
	job := ingest.Job{
		App: testkit.App, Version: "1.0.0", Digest: a.Digest, Source: source.HTTP{URL: a.URL}, Bucket: b.bucket,
		Authorities: []verify.Authority{{Name: "ci", Key: key}},
	}
	for _, s := range a.Signatures {
		job.Signatures = append(job.Signatures, ingest.File{Inline: s})
	}
	return job
}

func (b *bench) objects(t *testing.T) []string {
	t.Helper()
	var keys []string
	for obj, err := range b.bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, obj.Key)
	}
	return keys
}

// wantClean checks that nothing is left of an attempt on this machine.
func (b *bench) wantClean(t *testing.T) {
	t.Helper()
	if left, err := os.ReadDir(b.scratch); err != nil || len(left) > 0 {
		t.Errorf("scratch folder has %v, error %v, want nothing", left, err)
	}
}

// noise is text of n bytes that does not compress to nothing, always the same.
func noise(n int) string {
	raw := make([]byte, n/2)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(raw) // does not fail
	return hex.EncodeToString(raw)
}

func TestWorker_stores(t *testing.T) {
	b := newBench(t, source.Options{})
	content := testkit.Zip(t, map[string]string{"a": "1", "b/c": noise(3 << 20)})
	a := b.site.Publish(t, "/a.zip", content, b.author)
	res, err := b.worker.Run(t.Context(), b.job(t, a))
	if err != nil {
		t.Fatal(err)
	}
	if res.Reached != ingest.Stored || res.Size != int64(len(content)) || res.Path != "bundles/"+testkit.App+"/1.0.0.zip" || *res.Facts.Files != 2 || len(res.Matches) != 1 {
		t.Errorf("result is %+v", res)
	}
	stored, obj, err := b.bucket.Get(t.Context(), release.TargetObject(res.Path, a.Digest), 1<<30)
	if err != nil || !bytes.Equal(stored, content) || obj.SHA256 != release.Hex(a.Digest) {
		t.Errorf("the bucket has %d bytes with digest %s, error %v", len(stored), obj.SHA256, err)
	}
	if want := []ingest.Stage{ingest.Decoded, ingest.Fetched, ingest.Verified, ingest.Inspected, ingest.Stored}; !slices.Equal(b.reached, want) {
		t.Errorf("observed %v, want %v", b.reached, want)
	}
	b.wantClean(t)
}

func TestWorker_refuses(t *testing.T) {
	zip := testkit.Zip(t, map[string]string{"a": "1"})
	for name, tc := range map[string]struct {
		content []byte
		edit    func(*testing.T, *bench, *ingest.Job)
		reason  string
		reached ingest.Stage
	}{
		"digest": {zip, func(_ *testing.T, _ *bench, j *ingest.Job) { j.Digest = testkit.Digest([]byte("other")) }, otav1alpha1.DigestMismatchReason, ingest.Decoded},
		"foreign signature": {zip, func(t *testing.T, _ *bench, j *ingest.Job) {
			j.Signatures = []ingest.File{{Inline: testkit.NewAuthor(t, "x").Sign(t, zip)}}
		}, otav1alpha1.SignatureInvalidReason, ingest.Fetched},
		"signature of another artifact": {zip, func(t *testing.T, b *bench, j *ingest.Job) {
			j.Signatures = []ingest.File{{Inline: b.author.Sign(t, []byte("other"))}}
		}, otav1alpha1.SignatureInvalidReason, ingest.Fetched},
		"no signature":         {zip, func(_ *testing.T, _ *bench, j *ingest.Job) { j.Signatures = nil }, otav1alpha1.SignatureInvalidReason, ingest.Fetched},
		"unreadable signature": {zip, func(_ *testing.T, _ *bench, j *ingest.Job) { j.Signatures[0].Inline = "AAAA" }, otav1alpha1.SignatureUnreadableReason, ingest.Started},
		"sigstore bundle without a signature": {zip, func(_ *testing.T, b *bench, j *ingest.Job) {
			b.site.Put("/sig", []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`))
			j.Signatures = append(j.Signatures, ingest.File{Source: source.HTTP{URL: b.site.URL + "/sig"}})
		}, otav1alpha1.SignatureUnreadableReason, ingest.Started},
		"escaping path": {testkit.Zip(t, map[string]string{"../a": "1"}), nil, otav1alpha1.ArchiveInvalidReason, ingest.Verified},
		"hostile archive of another digest": {testkit.Zip(t, map[string]string{"../a": noise(600 << 10)})[:90_000], func(_ *testing.T, _ *bench, j *ingest.Job) {
			j.Digest = testkit.Digest([]byte("other"))
		}, otav1alpha1.DigestMismatchReason, ingest.Decoded},
		"hostile archive of a stranger": {testkit.Zip(t, map[string]string{"../a": "1"}), func(t *testing.T, b *bench, j *ingest.Job) {
			j.Signatures = []ingest.File{{Inline: b.author.Sign(t, []byte("other"))}}
		}, otav1alpha1.SignatureInvalidReason, ingest.Fetched},
		"broken archive": {zip[:len(zip)-5], nil, otav1alpha1.ArchiveInvalidReason, ingest.Verified},
		"too large":      {bytes.Repeat([]byte("x"), 100_001), nil, otav1alpha1.TooLargeReason, ingest.Decoded},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, source.Options{MaxSize: 100_000})
			job := b.job(t, b.site.Publish(t, "/a", tc.content, b.author))
			if tc.edit != nil {
				tc.edit(t, b, &job)
			}
			res, err := b.worker.Run(t.Context(), job)
			e, ok := errors.AsType[*kit.Error](err)
			if !ok || e.Class != kit.Stalled || e.Reason != tc.reason || res.Reached != tc.reached {
				t.Errorf("reached %s with error %+v, want %s and %s", res.Reached, err, tc.reached, tc.reason)
			}
			if keys := b.objects(t); len(keys) > 0 {
				t.Errorf("the bucket has %v of a refused artifact", keys)
			}
			b.wantClean(t)
		})
	}
}

// A source that changes between tries is judged by its last answer as a whole.
func TestWorker_changingSource(t *testing.T) {
	b := newBench(t, source.Options{})
	good := bytes.Repeat([]byte("good"), 1<<18)
	a := b.site.Publish(t, "/a", good, b.author)
	job := b.job(t, a)
	answers := 0
	site := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answers++
		if answers == 1 { // the first half of something else, then the line breaks
			w.Header().Set("Content-Length", "1048576")
			_, _ = w.Write(bytes.Repeat([]byte("evil"), 1<<17))
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(good)
	})
	b.site.Config.Handler = site
	if _, err := b.worker.Run(t.Context(), job); kit.Classify(err).Reason != otav1alpha1.FetchFailedReason {
		t.Fatalf("got error %v, want FetchFailed", err)
	}
	res, err := b.worker.Run(t.Context(), job)
	if err != nil || res.Size != int64(len(good)) {
		t.Fatalf("got %d bytes and error %v, want %d", res.Size, err, len(good))
	}
}

// What the bucket has already is not fetched again: the source of an old release may be gone.
func TestWorker_fromBucket(t *testing.T) {
	b := newBench(t, source.Options{})
	a := b.site.Publish(t, "/a", []byte("artifact"), b.author)
	if _, err := b.worker.Run(t.Context(), b.job(t, a)); err != nil {
		t.Fatal(err)
	}
	b.site.Put("/a", nil)
	res, err := b.worker.Run(t.Context(), b.job(t, a))
	if err != nil || res.Reached != ingest.Stored {
		t.Errorf("reached %s with error %v", res.Reached, err)
	}
	job := b.job(t, a)
	job.Signatures = []ingest.File{{Inline: testkit.NewAuthor(t, "x").Sign(t, a.Content)}}
	if _, err := b.worker.Run(t.Context(), job); kit.Classify(err).Reason != otav1alpha1.SignatureInvalidReason {
		t.Errorf("got error %v: what is stored must be verified again", err)
	}
	other := b.site.Publish(t, "/b", []byte("other"), b.author)
	_, err = b.worker.Run(t.Context(), b.job(t, other))
	if e := kit.Classify(err); e.Reason != otav1alpha1.VersionConflictReason || e.Class != kit.Stalled {
		t.Errorf("got error %v, want VersionConflict", err)
	}
	renamed := b.job(t, a)
	renamed.Version = "9.0.0"
	_, err = b.worker.Run(t.Context(), renamed)
	if e := kit.Classify(err); e.Reason != otav1alpha1.VersionConflictReason || !strings.Contains(err.Error(), "is stored already as version "+job.Version) {
		t.Errorf("got error %v, want VersionConflict of a second version", err)
	}
}

// A damaged object is found when it is read, and replaced from the source.
func TestWorker_damagedObject(t *testing.T) {
	for name, damage := range map[string]string{"same size": "artifacT", "other size": "arti"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, source.Options{})
			a := b.site.Publish(t, "/a", []byte("artifact"), b.author)
			key := release.TargetObject("bundles/"+testkit.App+"/1.0.0.bin", a.Digest)
			if err := b.bucket.PutImmutable(t.Context(), key, []byte(damage), "application/octet-stream"); err != nil {
				t.Fatal(err)
			}
			if _, err := b.worker.Run(t.Context(), b.job(t, a)); err != nil {
				t.Fatal(err)
			}
			if got, _, err := b.bucket.Get(t.Context(), key, 100); err != nil || string(got) != "artifact" {
				t.Errorf("the bucket has %q, error %v", got, err)
			}
		})
	}
}

// failingBucket fails at one call.
type failingBucket struct {
	ingest.Bucket
	head, put error
	open      func(context.Context, *store.Reader) error // may change what is read; nil: nothing
}

func (f failingBucket) Open(ctx context.Context, key string, part store.Range) (*store.Reader, error) {
	r, err := f.Bucket.Open(ctx, key, part)
	if err == nil && f.open != nil {
		if err = f.open(ctx, r); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, err
}

func (f failingBucket) Head(ctx context.Context, key string) (store.Object, error) {
	if f.head != nil {
		return store.Object{}, f.head
	}
	return f.Bucket.Head(ctx, key)
}

//nolint:revive // argument-limit: the method is that of the interface
func (f failingBucket) PutFile(ctx context.Context, key string, content io.ReaderAt, size int64, sum, contentType string) error {
	if f.put != nil {
		return f.put
	}
	return f.Bucket.PutFile(ctx, key, content, size, sum, contentType)
}

func TestWorker_storageFails(t *testing.T) {
	for name, bucket := range map[string]failingBucket{
		"put":            {put: errors.New("broken")},
		"lost":           {head: store.ErrNotExist},
		"head":           {head: errors.New("broken")},
		"always differs": {put: store.ErrDifferent},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, source.Options{})
			job := b.job(t, b.site.Publish(t, "/a", []byte("artifact"), b.author))
			bucket.Bucket = b.bucket
			job.Bucket = bucket
			res, err := b.worker.Run(t.Context(), job)
			if e := kit.Classify(err); e.Reason != otav1alpha1.StorageFailedReason || e.Class != kit.Transient || res.Reached != ingest.Inspected {
				t.Errorf("reached %s with error %v, want StorageFailed", res.Reached, err)
			}
		})
	}
}

// A stored artifact that cannot be read is no reason to ask the source, which may be gone: the bucket is broken.
func TestWorker_storedUnreadable(t *testing.T) {
	breaksWith := func(err error) func(context.Context, *store.Reader) error {
		return func(_ context.Context, r *store.Reader) error {
			r.ReadCloser = io.NopCloser(io.MultiReader(strings.NewReader("art"), iotest.ErrReader(err)))
			return nil
		}
	}
	for name, tc := range map[string]struct {
		open   func(context.Context, *store.Reader) error
		reason string
		text   string
	}{
		"not opened": {func(context.Context, *store.Reader) error { return errors.New("broken") }, otav1alpha1.StorageFailedReason, "broken"},
		"unreachable": {func(context.Context, *store.Reader) error {
			return kit.Retry(otav1alpha1.StorageUnreachableReason, "down")
		}, otav1alpha1.StorageUnreachableReason, "down"},
		"breaks off": {breaksWith(io.ErrUnexpectedEOF), otav1alpha1.StorageFailedReason, "broke off"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, source.Options{})
			job := b.job(t, b.site.Publish(t, "/a", []byte("artifact"), b.author))
			if _, err := b.worker.Run(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			job.Bucket = failingBucket{Bucket: b.bucket, open: tc.open}
			res, err := b.worker.Run(t.Context(), job)
			if e := kit.Classify(err); err == nil || e.Reason != tc.reason || e.Class != kit.Transient || res.Reached != ingest.Decoded || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("reached %s with error %v, want %s", res.Reached, err, tc.reason)
			}
			b.wantClean(t)
		})
	}
}

// What is gone when it is opened, or larger than an artifact may be, is not read, but replaced from the source.
func TestWorker_storedUnfit(t *testing.T) {
	for name, open := range map[string]func(context.Context, *store.Reader) error{
		"gone": func(context.Context, *store.Reader) error { return store.ErrNotExist },
		"too large": func(_ context.Context, r *store.Reader) error {
			r.ReadCloser = io.NopCloser(iotest.ErrReader(errors.New("was read")))
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, source.Options{})
			b.worker.MaxSize = 8
			a := b.site.Publish(t, "/a", []byte("artifact"), b.author)
			key := release.TargetObject("bundles/"+testkit.App+"/1.0.0.bin", a.Digest)
			if err := b.bucket.PutImmutable(t.Context(), key, []byte("artifact and more"), "application/octet-stream"); err != nil {
				t.Fatal(err)
			}
			job := b.job(t, a)
			job.Bucket = failingBucket{Bucket: b.bucket, open: open}
			if _, err := b.worker.Run(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			if got, _, err := b.bucket.Get(t.Context(), key, 100); err != nil || string(got) != "artifact" {
				t.Errorf("the bucket has %q, error %v", got, err)
			}
		})
	}
}

func TestWorker_scratch(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"artifact-123", "keep"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ingest.NewScratch(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "keep" {
		t.Errorf("left are %v, error %v, want only the file of somebody else", left, err)
	}

	b := newBench(t, source.Options{})
	job := b.job(t, b.site.Publish(t, "/a", []byte("artifact"), b.author))
	if err := os.RemoveAll(b.scratch); err != nil {
		t.Fatal(err)
	}
	_, err = b.worker.Run(t.Context(), job)
	if e := kit.Classify(err); e.Reason != otav1alpha1.FetchFailedReason || e.Class != kit.Transient || strings.Contains(err.Error(), b.scratch) {
		t.Errorf("got error %v, want FetchFailed without the path, which differs from try to try", err)
	}
}
