// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/store"
)

// errNotThere means that the bucket does not have the artifact, or not as its digest says.
var errNotThere = errors.New("the bucket does not have the artifact")

// errIdle cuts a transfer that makes no progress.
var errIdle = errors.New("no data came for too long")

// fetchStored reads the artifact from the bucket. An object that is larger than an artifact may be is not read: if the limit
// was lowered, the source will tell.
func (r *run) fetchStored(ctx context.Context, key string) error {
	limit := cmp.Or(r.MaxSize, source.DefaultMaxSize)
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	stored, err := r.job.Bucket.Open(ctx, key, store.Range{})
	if errors.Is(err, store.ErrNotExist) {
		return errNotThere
	}
	if err != nil {
		return storageError(err)
	}
	if stored.Object.Size > limit {
		r.damaged = key
		return errors.Join(errNotThere, stored.Close())
	}
	if err := r.receive(ctx, newWatched(ctx, abort, stored, limit, cmp.Or(r.Idle, source.DefaultIdle))); err != nil {
		return err
	}
	if r.verifier.Digest() != r.job.Digest {
		r.damaged = key
		return errNotThere
	}
	return nil
}

// watched holds the stream of an object to its limits and types its errors.
type watched struct {
	io.Reader
	io.Closer
	ctx   context.Context //nolint:containedctx // tells why the stream was cut
	watch *time.Timer     // runs while a read waits
	idle  time.Duration
}

// newWatched gives at most one byte more than the limit, so that what is too large has another digest.
func newWatched(ctx context.Context, abort context.CancelCauseFunc, raw io.ReadCloser, limit int64, idle time.Duration) *watched {
	w := &watched{Reader: io.LimitReader(raw, limit+1), Closer: raw, ctx: ctx, idle: idle}
	w.watch = time.AfterFunc(idle, func() { abort(errIdle) })
	w.watch.Stop()
	return w
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	w.watch.Reset(w.idle)
	n, err := w.Reader.Read(p)
	w.watch.Stop()
	if err == nil || err == io.EOF {
		return n, err
	}
	// Texts of package net have addresses and ports in them that change with every try.
	why := "the connection broke off"
	switch cause := context.Cause(w.ctx); {
	case errors.Is(cause, errIdle):
		why = errIdle.Error()
	case cause != nil:
		why = "the transfer was cancelled"
	}
	return n, kit.Retry(otav1alpha1.StorageFailedReason, "the stored artifact could not be read to its end: %s", why)
}
