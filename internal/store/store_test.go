// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/kit"
)

var server *devcluster.ObjectStore

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "windlass-store-")
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

// config is that of a prefix of its own for each test.
func config(t *testing.T) Config {
	return Config{
		Endpoint: server.Endpoint, Bucket: "bucket", Prefix: "test/" + t.Name(),
		AccessKey: server.AccessKey, SecretKey: server.SecretKey,
	}
}

func open(t *testing.T, cfg Config) *Bucket {
	t.Helper()
	b, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantReason(t *testing.T, err error, reason string) {
	t.Helper()
	e, ok := errors.AsType[*kit.Error](err)
	if !ok || e.Reason != reason || e.Class != kit.Transient {
		t.Errorf("got %v, want a transient error with reason %s", err, reason)
	}
}

func TestPutImmutable(t *testing.T) {
	b := open(t, config(t))
	ctx := t.Context()
	if err := b.PutImmutable(ctx, "a/b.json", []byte("one"), "application/json"); err != nil {
		t.Fatal(err)
	}
	if err := b.PutImmutable(ctx, "a/b.json", []byte("one"), "application/json"); err != nil {
		t.Errorf("same content again: %v", err)
	}
	for _, content := range []string{"two", "one more"} {
		if err := b.PutImmutable(ctx, "a/b.json", []byte(content), "application/json"); !errors.Is(err, ErrDifferent) {
			t.Errorf("put %q over it: got %v, want ErrDifferent", content, err)
		}
	}
	raw, obj, err := b.Get(ctx, "a/b.json", 3)
	if err != nil || string(raw) != "one" {
		t.Errorf("got %q, %v, want the first content", raw, err)
	}
	if obj.Key != "a/b.json" || obj.Size != 3 || obj.SHA256 != sumOf("one") || obj.ETag == "" || obj.LastModified.IsZero() {
		t.Errorf("got %+v", obj)
	}
}

// Another tool may have put the object, without the digest in its metadata.
func TestPutImmutableReadsObjectsOfOtherWriters(t *testing.T) {
	cfg := config(t)
	b := open(t, cfg)
	file := filepath.Join(filepath.Dir(server.LogPath), "objects", cfg.Bucket, cfg.Prefix, "foreign")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := b.PutImmutable(t.Context(), "foreign", []byte("one"), "text/plain"); err != nil {
		t.Errorf("same content: %v", err)
	}
	if err := b.PutImmutable(t.Context(), "foreign", []byte("two"), "text/plain"); !errors.Is(err, ErrDifferent) {
		t.Errorf("other content of the same size: got %v, want ErrDifferent", err)
	}
}

func TestPutFileChecksTheDigest(t *testing.T) {
	b := open(t, config(t))
	content := strings.Repeat("windlass", 5<<20) // 40 MiB: the library would split it into parts
	if err := b.PutFile(t.Context(), "big", strings.NewReader(content), int64(len(content)), sumOf("something else"), ""); err == nil {
		t.Error("an object with a wrong digest was stored")
	}
	if _, err := b.Head(t.Context(), "big"); !errors.Is(err, ErrNotExist) {
		t.Errorf("after a refused upload: got %v, want ErrNotExist", err)
	}
	if err := b.PutFile(t.Context(), "big", strings.NewReader(content), int64(len(content)), sumOf(content), ""); err != nil {
		t.Fatal(err)
	}
	if err := b.PutFile(t.Context(), "big", strings.NewReader(content[1:]), int64(len(content)-1), sumOf(content[1:]), ""); !errors.Is(err, ErrDifferent) {
		t.Errorf("put over it: got %v, want ErrDifferent", err)
	}
}

func TestPutStreamThatBreaksOffStoresNothing(t *testing.T) {
	b := open(t, config(t))
	broken := errors.New("source went away")
	s := Stream{Reader: io.MultiReader(strings.NewReader("half"), errReader{broken}), Size: 8, SHA256: sumOf("halfhalf")}
	if err := b.PutStream(t.Context(), "half", s); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the source", err)
	}
	if _, err := b.Head(t.Context(), "half"); !errors.Is(err, ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestGet(t *testing.T) {
	b := open(t, config(t))
	ctx := t.Context()
	if _, _, err := b.Get(ctx, "absent", 10); !errors.Is(err, ErrNotExist) {
		t.Errorf("absent: got %v, want ErrNotExist", err)
	}
	if err := b.PutImmutable(ctx, "x", []byte("0123456789"), "text/plain"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Get(ctx, "x", 9); !errors.Is(err, ErrTooLarge) {
		t.Errorf("limit: got %v, want ErrTooLarge", err)
	}
	_, obj, changed, err := b.GetIfChanged(ctx, "x", "", 10)
	if err != nil || !changed {
		t.Fatalf("got changed %v, %v", changed, err)
	}
	raw, _, changed, err := b.GetIfChanged(ctx, "x", obj.ETag, 10)
	if err != nil || changed || raw != nil {
		t.Errorf("unchanged: got %q, %v, %v", raw, changed, err)
	}
	if _, _, changed, err = b.GetIfChanged(ctx, "x", strings.Repeat("0", 32), 10); err != nil || !changed {
		t.Errorf("other ETag: got changed %v, %v", changed, err)
	}
}

func TestOpenRanges(t *testing.T) {
	b := open(t, config(t))
	if err := b.PutImmutable(t.Context(), "x", []byte("0123456789"), "text/plain"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		part Range
		want string
	}{
		{Range{}, "0123456789"}, {Range{Length: 1}, "0"}, {Range{Offset: 0, Length: 4}, "0123"},
		{Range{Offset: 3}, "3456789"}, {Range{Offset: 8, Length: 2}, "89"}, {Range{Offset: 8, Length: 20}, "89"},
	} {
		r, err := b.Open(t.Context(), "x", c.part)
		if err != nil {
			t.Errorf("%+v: %v", c.part, err)
			continue
		}
		raw, err := io.ReadAll(r)
		if err != nil || string(raw) != c.want || r.Length != int64(len(c.want)) || r.Object.Size != 10 {
			t.Errorf("%+v: got %q (length %d of %d), %v, want %q", c.part, raw, r.Length, r.Object.Size, err, c.want)
		}
		r.Close()
	}
	if _, err := b.Open(t.Context(), "x", Range{Offset: 10}); err == nil {
		t.Error("a range behind the end was opened")
	}
}

func TestListAndDelete(t *testing.T) {
	b := open(t, config(t))
	ctx := t.Context()
	for _, key := range []string{"a/1", "a/2", "a/deep/3", "b/4"} {
		if err := b.PutImmutable(ctx, key, []byte(key), "text/plain"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(ctx, "a/2"); err != nil {
		t.Error(err)
	}
	if err := b.Delete(ctx, "a/2"); err != nil {
		t.Errorf("delete again: %v", err)
	}
	var keys []string
	for obj, err := range b.List(ctx, "a/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, obj.Key)
	}
	if got := strings.Join(keys, " "); got != "a/1 a/deep/3" {
		t.Errorf("got %s, want a/1 a/deep/3", got)
	}
}

func TestCompareAndSwap(t *testing.T) {
	for _, mode := range []otav1alpha1.ConditionalWrites{"", otav1alpha1.ConditionalWritesNotAtomic} {
		t.Run("mode "+string(mode), func(t *testing.T) {
			cfg := config(t)
			cfg.ConditionalWrites = mode
			swap(t, open(t, cfg))
		})
	}
}

func swap(t *testing.T, b *Bucket) {
	ctx := t.Context()
	first, err := b.CompareAndSwap(ctx, "x", "", []byte("one"), "text/plain")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.CompareAndSwap(ctx, "x", "", []byte("rival"), "text/plain"); !errors.Is(err, ErrConflict) {
		t.Errorf("create over it: got %v, want ErrConflict", err)
	}
	second, err := b.CompareAndSwap(ctx, "x", first, []byte("two"), "text/plain")
	if err != nil || second == first {
		t.Fatalf("got %q after %q, %v", second, first, err)
	}
	if _, err := b.CompareAndSwap(ctx, "x", first, []byte("rival"), "text/plain"); !errors.Is(err, ErrConflict) {
		t.Errorf("swap of an older one: got %v, want ErrConflict", err)
	}
	if _, err := b.CompareAndSwap(ctx, "gone", first, []byte("rival"), "text/plain"); !errors.Is(err, ErrConflict) {
		t.Errorf("swap of an absent one: got %v, want ErrConflict", err)
	}
	if etag, err := b.CompareAndSwap(ctx, "x", first, []byte("two"), "text/plain"); err != nil || etag != second {
		t.Errorf("what is there already: got %q, %v, want success with %q", etag, err, second)
	}
	raw, _, err := b.Get(ctx, "x", 10)
	if err != nil || !bytes.Equal(raw, []byte("two")) {
		t.Errorf("got %q, %v, want two", raw, err)
	}
}

func TestProbe(t *testing.T) {
	b := open(t, config(t))
	caps, err := b.Probe(t.Context())
	if err != nil || caps.ConditionalWrites != otav1alpha1.ConditionalWritesAtomic || caps.Versioning != "Off" {
		t.Errorf("got %+v, %v, want Atomic and Off", caps, err)
	}
	for obj, err := range b.List(t.Context(), "") {
		t.Errorf("the probe left %s behind (%v)", obj.Key, err)
	}
}

func TestErrorsCarryTheirReason(t *testing.T) {
	ctx := t.Context()
	wrong := config(t)
	wrong.SecretKey = "wrong"
	unknown := config(t)
	unknown.AccessKey = "unknown"
	missing := config(t)
	missing.Bucket = "no-such-bucket"
	nobody := config(t)
	nobody.Endpoint = "http://127.0.0.1:1"
	for _, c := range []struct {
		name   string
		cfg    Config
		reason string
	}{
		{"wrong secret", wrong, otav1alpha1.StorageAccessDeniedReason},
		{"unknown key", unknown, otav1alpha1.StorageAccessDeniedReason},
		{"missing bucket", missing, otav1alpha1.BucketNotFoundReason},
		{"nobody listens", nobody, otav1alpha1.StorageUnreachableReason},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, c.cfg)
			wantReason(t, b.PutImmutable(ctx, "x", []byte("one"), ""), c.reason)
			_, _, err := b.Get(ctx, "x", 10)
			wantReason(t, err, c.reason)
			_, err = b.CompareAndSwap(ctx, "x", "", []byte("one"), "")
			wantReason(t, err, c.reason)
			_, err = b.Probe(ctx)
			wantReason(t, err, c.reason)
			if strings.Contains(fmt.Sprint(err), c.cfg.AccessKey) || strings.Contains(fmt.Sprint(err), "Signature=") {
				t.Errorf("the message shows credentials: %v", err)
			}
		})
	}
}

func TestOpenRefusesBadConfig(t *testing.T) {
	for _, c := range []Config{{}, {Endpoint: "s3.example.com"}, {Endpoint: "ftp://s3.example.com"}, {Endpoint: "https://s3.example.com", CABundle: []byte("none")}} {
		if _, err := Open(c); err == nil {
			t.Errorf("%+v was opened", c)
		}
	}
}
