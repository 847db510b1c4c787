// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
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
	in      *io.PipeWriter
	done    chan struct{}
	scanner *content.Scanner
	facts   artifact.Facts
	size    int64
	err     error
}

// errSeen ends the writes to a scan that has seen enough.
var errSeen = errors.New("the scan has ended")

// startScan starts a scan, which runs until finish.
func startScan() *scan {
	out, in := io.Pipe()
	s := &scan{in: in, done: make(chan struct{}), scanner: content.NewScanner()}
	go func() {
		defer close(s.done)
		defer out.CloseWithError(errSeen)
		defer func() { // artifacts come from outside: one that breaks a parser must not stop the manager
			if p := recover(); p != nil {
				s.err = kit.Stall(otav1alpha1.InternalErrorReason, "looking into the artifact failed unexpectedly, which is a defect: %v", p)
			}
		}()
		s.facts, s.err = artifact.Scan(out, artifact.Limits{}, s.scanner.File)
	}()
	return s
}

// Write implements io.Writer. It does not fail.
func (s *scan) Write(p []byte) (int, error) {
	_, _ = s.in.Write(p)
	return len(p), nil
}

// finish ends the artifact after size bytes, with the error of its reader, and waits for the scan.
func (s *scan) finish(size int64, err error) {
	s.size = size
	s.in.CloseWithError(err)
	<-s.done
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
