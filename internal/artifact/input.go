// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// bufferSize is how much is read at once.
const bufferSize = 128 << 10

// outside marks the errors of the reader that the caller gave.
type outside struct{ r io.Reader }

func (o outside) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // what is wrapped in another error is no end
		err = fmt.Errorf("read artifact: %w", err)
	}
	return n, err
}

// source counts what is read, remembers the error that ended it, and the last bytes if asked to. It ends once: bufio.Reader
// asks again after an end.
type source struct {
	r     io.Reader
	count int64
	ended bool
	err   error // but io.EOF
	tail  []byte
}

func (s *source) Read(p []byte) (int, error) {
	if s.ended {
		return 0, cmp.Or(s.err, io.EOF)
	}
	n, err := s.r.Read(p)
	s.ended = err != nil
	s.count += int64(n)
	if s.tail != nil {
		s.remember(p[:n])
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// keepTail makes the source remember the last bytes from now on, after those that were read already.
func (s *source) keepTail(read []byte) {
	s.tail = make([]byte, 0, 2*tailSize)
	s.remember(read)
}

// remember keeps at least the last tailSize bytes.
func (s *source) remember(p []byte) {
	if len(p) > tailSize {
		p = p[len(p)-tailSize:]
	}
	if len(s.tail)+len(p) > cap(s.tail) {
		kept := copy(s.tail, s.tail[len(s.tail)-tailSize+len(p):])
		s.tail = s.tail[:kept]
	}
	s.tail = append(s.tail, p...)
}

// input reads structures and content, and knows where it is. Its errors are ready to be returned.
type input struct {
	src *source
	br  *bufio.Reader
}

func newInput(r io.Reader) *input {
	src := &source{r: r}
	return &input{src: src, br: bufio.NewReaderSize(src, bufferSize)}
}

// offset is how many bytes were consumed.
func (in *input) offset() int64 { return in.src.count - int64(in.br.Buffered()) }

// buffered is what was read, but not consumed.
func (in *input) buffered() []byte {
	read, _ := in.br.Peek(in.br.Buffered())
	return read
}

// head is the first bytes, fewer when there are no more.
func (in *input) head() ([]byte, error) {
	head, _ := in.br.Peek(headSize)
	return head, in.src.err
}

// peek gives the next n bytes without consuming them. They are valid until the next call.
func (in *input) peek(n int, what string) ([]byte, error) {
	p, err := in.br.Peek(n)
	if err != nil {
		return nil, in.fault(err, what)
	}
	return p, nil
}

// take gives the next n bytes, valid until the next call.
func (in *input) take(n int, what string) ([]byte, error) {
	p, err := in.peek(n, what)
	if err == nil {
		_, err = in.br.Discard(n)
	}
	return p, err
}

// ended demands that nothing follows.
func (in *input) ended(what string) error {
	if _, err := in.br.Peek(1); err == nil {
		return invalid("there are bytes after %s at offset %d, expected the end of the file", what, in.offset())
	}
	return in.src.err
}

// fault says whether the reader failed or the artifact is at fault.
func (in *input) fault(err error, what string) error {
	switch {
	case in.src.err != nil:
		return in.src.err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return invalid("it ends at offset %d within %s: expected more, was it cut off?", in.src.count, what)
	}
	return invalid("%s cannot be unpacked: %w", what, err)
}

func updateCRC(crc uint32, p []byte) uint32 { return crc32.Update(crc, crc32.IEEETable, p) }

func zeros(p []byte) bool {
	return len(bytes.TrimLeft(p, "\x00")) == 0
}

// zipEnd starts the record that programs look for from the end of a file.
const zipEnd = "PK\x05\x06"

// zipRecord is one of the records at the end of a zip archive.
type zipRecord struct {
	sign  string
	size  int
	leads []int // where it has sizes and offsets, of which programs believe one or the other; of large ones some read 32 bits
}

var (
	zipEndRecord = zipRecord{zipEnd, 22, []int{12, 16}}
	zip64Records = []zipRecord{
		{"PK\x06\x06", 56, []int{40, 48}}, // the same in the large variant
		{"PK\x06\x07", 20, []int{8}},      // leads there
	}
)

const (
	zipEndSize = 22
	tailSize   = 20 + zipEndSize + 0xffff // a comment may follow
)

// hidesZip tells whether programs that look for a zip archive from the end of the file, which are many, might find one.
func (s *source) hidesZip() bool { return s.holds(zipEndRecord) || s.hidesZip64() }

// hidesZip64 is the same for the records of the large variant, which some programs look for in any zip archive.
func (s *source) hidesZip64() bool { return slices.ContainsFunc(zip64Records, s.holds) }

// holds tells whether a record is in the last bytes that leads to any place before it. What else it says counts for some
// programs only. Text that holds the letters of the signature, as JavaScript that reads zip archives does, leads nowhere.
func (s *source) holds(r zipRecord) bool {
	for at := 0; ; at++ {
		next := bytes.Index(s.tail[at:], []byte(r.sign))
		if next < 0 {
			return false
		}
		if at += next; at+r.size > len(s.tail) {
			return false
		}
		before := s.count - int64(len(s.tail)-at)
		for _, field := range r.leads {
			if n := binary.LittleEndian.Uint32(s.tail[at+field:]); int64(n) <= before || n == 0xffffffff { // which is "see zip64"
				return true
			}
		}
	}
}
