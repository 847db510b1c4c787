// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// encrypted is a job over what CI encrypted, with the key of the app.
func (b *bench) encrypted(t *testing.T, app *testkit.CapgoKey, c *testkit.CapgoBundle) ingest.Job {
	t.Helper()
	job := b.job(t, b.site.Publish(t, "/a", c.Content, b.author))
	opens, err := envelope.Parse(c.SessionKey, c.Checksum, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := envelope.ParsePublicKey([]byte(app.PublicPEM()))
	if err != nil {
		t.Fatal(err)
	}
	job.Envelope, job.Keys = &opens, []envelope.PublicKey{key}
	return job
}

// An encrypted artifact is stored byte for byte, under one path whether somebody could look into it or not.
func TestWorker_encrypted(t *testing.T) {
	app := testkit.NewCapgoKey(t)
	c := app.Encrypt(t, testkit.Zip(t, map[string]string{"a": "1", "b/c": noise(3 << 20)}))
	for name, opened := range map[string]bool{"opened": true, "passed": false} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, source.Options{})
			job := b.encrypted(t, app, c)
			if !opened {
				job.Keys = nil
			}
			res, err := b.worker.Run(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			if res.Reached != ingest.Stored || res.Path != "bundles/"+testkit.App+"/1.0.0.bin" || res.Size != int64(len(c.Content)) {
				t.Errorf("result is %+v", res)
			}
			if opened && (res.OpenedBy != app.ID() || res.Facts.Files == nil || *res.Facts.Files != 2) || !opened && (res.OpenedBy != "" || res.Facts.Files != nil) {
				t.Errorf("opened by %q, files %v", res.OpenedBy, res.Facts.Files)
			}
			stored, _, err := b.bucket.Get(t.Context(), release.TargetObject(res.Path, job.Digest), 1<<30)
			if err != nil || !bytes.Equal(stored, c.Content) {
				t.Errorf("the bucket has %d bytes, error %v", len(stored), err)
			}
			b.wantClean(t)
		})
	}
}

func TestWorker_encryptedRefused(t *testing.T) {
	app, other := testkit.NewCapgoKey(t), testkit.NewCapgoKey(t)
	zip := testkit.Zip(t, map[string]string{"a": "1"})
	good := app.Encrypt(t, zip)
	with := func(edit func(*testkit.CapgoBundle)) *testkit.CapgoBundle {
		c := *good
		edit(&c)
		return &c
	}
	for name, tc := range map[string]struct {
		content *testkit.CapgoBundle
		keyless bool
		reason  string
		reached ingest.Stage
	}{
		"foreign key":      {other.Encrypt(t, zip), false, otav1alpha1.EncryptionInvalidReason, ingest.Started},
		"foreign checksum": {with(func(c *testkit.CapgoBundle) { c.Checksum = other.Encrypt(t, zip).Checksum }), false, otav1alpha1.EncryptionInvalidReason, ingest.Started},
		"another checksum": {with(func(c *testkit.CapgoBundle) { c.Checksum = app.Encrypt(t, []byte("x")).Checksum }), false, otav1alpha1.ChecksumMismatchReason, ingest.Fetched},
		"changed artifact": {with(func(c *testkit.CapgoBundle) { c.Content = flipped(c.Content, 5) }), false, otav1alpha1.ChecksumMismatchReason, ingest.Fetched},
		"cut":              {with(func(c *testkit.CapgoBundle) { c.Content = c.Content[:100] }), false, otav1alpha1.EncryptionInvalidReason, ingest.Fetched},
		"cut, without key": {with(func(c *testkit.CapgoBundle) { c.Content = c.Content[:100] }), true, otav1alpha1.EncryptionInvalidReason, ingest.Fetched},
		"empty":            {with(func(c *testkit.CapgoBundle) { c.Content = []byte{} }), true, otav1alpha1.EncryptionInvalidReason, ingest.Fetched},
		"escaping path":    {app.Encrypt(t, testkit.Zip(t, map[string]string{"../a": "1"})), false, otav1alpha1.ArchiveInvalidReason, ingest.Verified},
		"broken archive":   {app.Encrypt(t, zip[:len(zip)-5]), false, otav1alpha1.ArchiveInvalidReason, ingest.Verified},
		"nothing in it":    {app.Encrypt(t, nil), false, otav1alpha1.ArchiveInvalidReason, ingest.Verified},
		"not encrypted":    {with(func(c *testkit.CapgoBundle) { c.Content = []byte("PK\x03\x04 as it is") }), false, otav1alpha1.EncryptionInvalidReason, ingest.Fetched},
		"bad last block":   {with(func(c *testkit.CapgoBundle) { c.Content = flipped(c.Content, len(c.Content)-17) }), false, otav1alpha1.EncryptionInvalidReason, ingest.Fetched},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, source.Options{})
			job := b.encrypted(t, app, tc.content)
			if tc.keyless {
				job.Keys = nil
			}
			res, err := b.worker.Run(t.Context(), job)
			e, ok := errors.AsType[*kit.Error](err)
			if !ok || e.Class != kit.Stalled || e.Reason != tc.reason || res.Reached != tc.reached || res.OpenedBy != "" && tc.reached < ingest.Verified {
				t.Errorf("reached %s, opened by %q with error %+v, want %s and %s", res.Reached, res.OpenedBy, err, tc.reached, tc.reason)
			}
			if keys := b.objects(t); len(keys) > 0 {
				t.Errorf("the bucket has %v of a refused artifact", keys)
			}
			b.wantClean(t)
		})
	}
}

// flipped changes the highest bit of a byte. In the block before the last one it ruins the padding.
func flipped(content []byte, at int) []byte {
	out := bytes.Clone(content)
	out[at] ^= 0x80
	return out
}

// Opening needs no memory that grows with the artifact.
func TestWorker_encryptedMemory(t *testing.T) {
	app := testkit.NewCapgoKey(t)
	b := newBench(t, source.Options{})
	job := b.encrypted(t, app, app.Encrypt(t, bytes.Repeat([]byte("0123456789abcde\x00"), 4<<20)))
	job.Bucket = discardBucket{b.bucket}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := b.worker.Run(t.Context(), job)
	runtime.ReadMemStats(&after)
	if err != nil || res.OpenedBy != app.ID() {
		t.Fatalf("opened by %q with error %v", res.OpenedBy, err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
		t.Errorf("an artifact of %d bytes took %d bytes of memory, want at most 16 MiB", res.Size, got)
	}
	b.wantClean(t)
}

// discardBucket takes an artifact without reading it: the object store runs in this process, and its memory is not ours.
type discardBucket struct{ ingest.Bucket }

func (discardBucket) PutFile(context.Context, string, io.ReaderAt, int64, string, string) error {
	return nil
}

func (discardBucket) Head(context.Context, string) (store.Object, error) {
	return store.Object{Size: 64<<20 + 16}, nil
}
