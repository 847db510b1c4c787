// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// pieces gives content in the sizes that it is told, like a network does.
type pieces struct {
	rest  []byte
	sizes []int
	n     int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := min(p.sizes[p.n%len(p.sizes)], len(b), len(p.rest))
	p.n++
	copy(b, p.rest[:n])
	p.rest = p.rest[n:]
	return n, nil
}

// Whatever the sizes of reads, every sink gets every byte in order.
func TestPump(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := bytes.Repeat([]byte("0123456789abcdefg"), rapid.IntRange(0, 3*chunk/17).Draw(t, "length"))
		sizes := rapid.SliceOfN(rapid.IntRange(1<<10, 2*chunk), 1, 5).Draw(t, "sizes")
		var a, b bytes.Buffer
		n, err := pump(&pieces{rest: content, sizes: sizes}, &a, &b)
		if err != nil || n != int64(len(content)) || !bytes.Equal(a.Bytes(), content) || !bytes.Equal(b.Bytes(), content) {
			t.Fatalf("pump gave %d bytes, sinks have %d and %d, error %v; want %d", n, a.Len(), b.Len(), err, len(content))
		}
	})
}

func TestPump_readError(t *testing.T) {
	broken := errors.New("broken")
	for name, want := range map[string]error{"plain": broken, "unexpected EOF": io.ErrUnexpectedEOF} {
		var sink bytes.Buffer
		_, err := pump(io.MultiReader(bytes.NewReader(make([]byte, 3*chunk)), iotest.ErrReader(want)), &sink)
		if !errors.Is(err, want) {
			t.Errorf("%s: got error %v, want %v", name, err, want)
		}
		if _, ok := errors.AsType[*sinkError](err); ok {
			t.Errorf("%s: a failed read is taken for a failed write", name)
		}
	}
}

type failingSink struct {
	after int
	err   error
}

func (f *failingSink) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, f.err
	}
	return len(p), nil
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A sink that fails ends the reading of an endless source.
func TestPump_sinkError(t *testing.T) {
	full := errors.New("disk full")
	for _, after := range []int{0, 10 * chunk} {
		_, err := pump(endless{}, io.Discard, &failingSink{after: after, err: full})
		sink, ok := errors.AsType[*sinkError](err)
		if !ok || !errors.Is(sink, full) {
			t.Errorf("got error %v, want a sinkError of %v", err, full)
		}
	}
}
