// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"bytes"
	"io"
)

// plainReader reads a file that is no archive, and sees to it that it is none either without the zeros and blanks in front,
// which some programs skip.
type plainReader struct {
	r     io.Reader
	leads [2]lead
}

// lead gathers the first bytes behind some that do not count.
type lead struct {
	skip string
	head []byte
	done bool
}

func newPlainReader(r io.Reader) *plainReader {
	return &plainReader{r: r, leads: [2]lead{{skip: "\x00"}, {skip: "\x00\t\n\v\f\r "}}}
}

// Read implements io.Reader.
func (p *plainReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	for i := range p.leads {
		if k := p.leads[i].add(b[:n], err == io.EOF); k.ext != unknown.ext {
			what := k.refuse
			if what == "" {
				what = k.mediaType
			}
			return n, invalid("behind zeros or blanks it is %s: expected one of zip, tar, tar.gz and tar.zst from its first byte, or a single file that is "+
				"no archive", what)
		}
	}
	return n, err
}

// add takes more bytes in, and tells the kind once there are enough, or no more. Until then it is unknown.
func (l *lead) add(b []byte, last bool) kind {
	if l.done {
		return unknown
	}
	if len(l.head) == 0 {
		b = bytes.TrimLeft(b, l.skip)
	}
	l.head = append(l.head, b[:min(len(b), headSize-len(l.head))]...)
	if l.done = last || len(l.head) == headSize; !l.done {
		return unknown
	}
	return kindOf(l.head)
}
