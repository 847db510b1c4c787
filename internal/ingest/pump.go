// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"errors"
	"io"
	"sync/atomic"
)

const (
	// chunk is how many bytes go through the pipeline at once: large enough that handing them on costs nothing, small
	// enough to stay in the processor's cache between two stages.
	chunk = 512 << 10
	// chunks are in flight: one being read, one in each of three sinks, one spare.
	chunks = 5
)

// pump copies r to all sinks. Reading and each sink run side by side, over a fixed set of buffers: the slowest sets the
// pace, not the sum. It returns the number of bytes read; an error of a sink is a sinkError.
func pump(r io.Reader, sinks ...io.Writer) (int64, error) {
	free := make(chan []byte, chunks)
	for range chunks {
		free <- make([]byte, chunk)
	}
	var failed atomic.Pointer[sinkError]
	first := make(chan []byte, chunks)
	last := (<-chan []byte)(first)
	for _, sink := range sinks {
		last = stage(last, sink, &failed)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range last {
			free <- b[:chunk]
		}
	}()
	n, err := read(r, free, first, &failed)
	close(first)
	<-done
	if f := failed.Load(); f != nil {
		return n, f
	}
	return n, err
}

// read fills buffers until the end, an error, or a failed sink.
func read(r io.Reader, free <-chan []byte, out chan<- []byte, failed *atomic.Pointer[sinkError]) (int64, error) {
	var total int64
	for b := range free {
		n, end, err := fill(r, b)
		total += int64(n)
		out <- b[:n]
		if end || err != nil || failed.Load() != nil {
			return total, err
		}
	}
	return total, nil
}

// fill reads until b is full. Other than io.ReadFull it keeps the end of r apart from an unexpected end that r reports.
func fill(r io.Reader, b []byte) (n int, end bool, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	if errors.Is(err, io.EOF) {
		return n, true, nil
	}
	return n, false, err
}

// stage writes what comes in to a sink and hands it on. After a failure it only hands on, so that nobody is stuck.
func stage(in <-chan []byte, sink io.Writer, failed *atomic.Pointer[sinkError]) <-chan []byte {
	out := make(chan []byte, chunks)
	go func() {
		defer close(out)
		for b := range in {
			if failed.Load() == nil {
				if _, err := sink.Write(b); err != nil {
					failed.CompareAndSwap(nil, &sinkError{err})
				}
			}
			out <- b
		}
	}()
	return out
}

// sinkError keeps a failed write apart from a failed read.
type sinkError struct{ error }

func (e *sinkError) Unwrap() error { return e.error }
