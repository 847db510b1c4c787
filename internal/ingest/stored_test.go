// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// paced is a bucket whose only object comes one byte after each gap, and honours cancellation as a connection does.
type paced struct {
	Bucket
	content string
	gap     time.Duration
	ctx     context.Context //nolint:containedctx // of the request that the stream belongs to
}

func (p *paced) Open(ctx context.Context, key string, _ store.Range) (*store.Reader, error) {
	p.ctx = ctx
	return &store.Reader{ReadCloser: io.NopCloser(p), Object: store.Object{Key: key, Size: int64(len(p.content))}}, nil
}

func (p *paced) Read(b []byte) (int, error) {
	if p.content == "" {
		return 0, io.EOF
	}
	select {
	case <-time.After(p.gap):
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	}
	b[0], p.content = p.content[0], p.content[1:]
	return 1, nil
}

// What comes slowly but steadily is read; a pause that is too long ends it.
func TestFetchStored_time(t *testing.T) {
	content := strings.Repeat("x", 20)
	for gap, want := range map[time.Duration]string{20 * time.Second: "", 31 * time.Second: "no data came for too long"} {
		synctest.Test(t, func(t *testing.T) {
			scratch, err := NewScratch(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			r := &run{
				Worker: &Worker{Scratch: scratch, Now: time.Now},
				job:    Job{Digest: testkit.Digest([]byte(content)), Bucket: &paced{content: content, gap: gap}},
			}
			defer r.close()
			start := time.Now()
			err = r.fetchStored(t.Context(), "key")
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || kit.Classify(err).Reason != otav1alpha1.StorageFailedReason) {
				t.Errorf("a byte each %v: got error %v after %v, want %q", gap, err, time.Since(start), want)
			}
		})
	}
}

// A stream that gives more than its head said is not read to its end.
func TestFetchStored_endless(t *testing.T) {
	scratch, err := NewScratch(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &run{
		Worker: &Worker{Scratch: scratch, Now: time.Now, MaxSize: 3 * chunk},
		job:    Job{Digest: release.DigestPrefix + strings.Repeat("0", 64), Bucket: endlessBucket{}},
	}
	defer r.close()
	if err := r.fetchStored(t.Context(), "key"); !errors.Is(err, errNotThere) || r.damaged != "key" || r.result.Size != 3*chunk+1 {
		t.Errorf("read %d bytes, got error %v", r.result.Size, err)
	}
}

type endlessBucket struct{ Bucket }

func (endlessBucket) Open(context.Context, string, store.Range) (*store.Reader, error) {
	return &store.Reader{ReadCloser: io.NopCloser(endless{}), Object: store.Object{Size: 1}}, nil
}
