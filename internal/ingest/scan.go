// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/kit"
)

// scan looks into an artifact while it streams by. It is the sink of a pump, and never holds it up: what nobody reads any more is
// dropped. Its verdict comes last, so that a refused archive hides neither a broken transfer nor a wrong digest.
type scan struct {
	ctx     context.Context //nolint:containedctx // of the transfer: a Write has none
	in      *io.PipeWriter
	done    chan struct{}
	scanner *content.Scanner
	facts   artifact.Facts
	size    int64
	err     error
}

// errSeen ends the writes to a scan that has seen enough.
var errSeen = errors.New("the scan has ended")

// startScan starts a scan, which runs until finish, or until ctx ends.
func startScan(ctx context.Context) *scan {
	out, in := io.Pipe()
	s := &scan{ctx: ctx, in: in, done: make(chan struct{}), scanner: content.NewScanner()}
	stop := context.AfterFunc(ctx, func() { out.CloseWithError(ctx.Err()) }) // a Write must not wait for what nobody needs
	go func() {
		defer close(s.done)
		defer stop()
		defer out.CloseWithError(errSeen)
		defer func() { // artifacts come from outside: one that breaks a parser must not stop the manager
			if p := recover(); p != nil {
				s.err = kit.Stall(otav1alpha1.InternalErrorReason, "looking into the artifact failed unexpectedly, which is a defect: %v", p)
			}
		}()
		s.facts, s.err = artifact.Scan(out, artifact.Limits{}, func(name string, r io.Reader) error {
			return s.scanner.File(name, &while{ctx: ctx, r: r})
		})
	}()
	return s
}

// while reads as long as a context has not ended.
type while struct {
	ctx context.Context //nolint:containedctx // a Read has none
	r   io.Reader
}

// Read implements io.Reader.
func (w *while) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(p)
}

// Write implements io.Writer. It does not fail.
func (s *scan) Write(p []byte) (int, error) {
	_, _ = s.in.Write(p)
	return len(p), nil
}

// finish ends the artifact after size bytes, with the error of its reader, and waits for the scan. It fails when the context
// ends before: then the scan is of no use, and may go on for a moment.
func (s *scan) finish(size int64, err error) error {
	s.size = size
	s.in.CloseWithError(err)
	select {
	case <-s.done:
		return s.ctx.Err()
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// verdict refuses what devices could not unpack.
func (s *scan) verdict() error {
	switch {
	case s.size == 0:
		return kit.Stall(otav1alpha1.ArchiveInvalidReason, "the artifact is empty: expected an update of at least one byte")
	case s.err == nil:
		return nil
	case errors.Is(s.err, artifact.ErrInvalid):
		return kit.Stall(otav1alpha1.ArchiveInvalidReason, "%w", s.err)
	}
	return fmt.Errorf("look into the artifact: %w", s.err)
}
