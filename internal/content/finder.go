// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/binary"
	"io"
)

const (
	// lookAhead is how many bytes a needle's test may read from where the needle starts, lookBehind how many before it.
	lookAhead  = 4 << 10
	lookBehind = 64

	// maxNeedle is the length of the longest needle.
	maxNeedle = 32

	// windowSize is how much of a file is in memory while it is searched.
	windowSize = 128<<10 + lookAhead + lookBehind
)

// spot is where a needle was found.
type spot struct {
	ahead  []byte // from the needle's first byte: to the end of the file, or at least lookAhead bytes
	behind []byte // what is before: to the start of the file, or at least lookBehind bytes
	offset int64  // in the file
}

// needle is a byte string that is searched for at every offset of every file.
type needle struct {
	text   string
	rare   int  // where in text three bytes start that are seldom in files: only they are compared everywhere
	secret bool // that it is there is all that is told
	// test says what was found, if it was: the check, and the kind of what it found.
	test func(s *search, at spot) (check, kind string)
}

// haystack finds needles fast. Of three bytes in a row, two start at an even offset of the window: so only pairs of bytes at even
// offsets are looked up, four in a machine word, in a set of 8 KiB. That is 2 GB/s and more.
type haystack struct {
	set    [1 << 16 / 64]uint64
	byPair map[uint16][]anchor
}

// anchor is a pair of bytes of a needle.
type anchor struct {
	needle *needle
	at     int // offset of the pair in the needle
}

func newHaystack(needles []needle) *haystack {
	h := &haystack{byPair: map[uint16][]anchor{}}
	for i := range needles {
		n := &needles[i]
		for at := n.rare; at < n.rare+2; at++ {
			pair := uint16(n.text[at]) | uint16(n.text[at+1])<<8
			h.set[pair>>6] |= 1 << (pair & 63)
			h.byPair[pair] = append(h.byPair[pair], anchor{needle: n, at: at})
		}
	}
	return h
}

func (h *haystack) has(pair uint16) uint64 { return h.set[pair>>6] >> (pair & 63) & 1 }

// find calls hit for each needle that starts in window[from:to], in no particular order.
func (h *haystack) find(window []byte, from, to int, hit func(n *needle, at int)) {
	window = window[:min(len(window), to+maxNeedle)]
	for i := from &^ 1; i+1 < len(window); {
		if i+8 <= len(window) {
			v := binary.LittleEndian.Uint64(window[i:])
			if h.has(uint16(v))|h.has(uint16(v>>16))|h.has(uint16(v>>32))|h.has(uint16(v>>48)) == 0 {
				i += 8
				continue
			}
		}
		for end := min(i+8, len(window)-1); i < end; i += 2 {
			pair := uint16(window[i]) | uint16(window[i+1])<<8
			if h.has(pair) == 0 {
				continue
			}
			for _, a := range h.byPair[pair] {
				start := i - a.at
				if start >= from && start < to && bytes.HasPrefix(window[start:], []byte(a.needle.text)) {
					hit(a.needle, start)
				}
			}
		}
	}
}

// search goes through one file.
type search struct {
	scanner *Scanner
	place   place
	pe      int64 // where a PE header must be, as the DOS header says; 0: there is none
	archive bool  // the file is an archive: that other ones start in it says nothing
}

// run searches all of r for needles, and calls see with each part of it, once.
func (s *search) run(r io.Reader, see func(part []byte)) error {
	window := s.scanner.window()
	defer s.scanner.release(window)
	var base int64 // offset of window[0] in the file
	from, have := 0, 0
	for {
		n, last, err := fill(r, window[have:])
		if err != nil {
			return err
		}
		see(window[have : have+n])
		have += n
		if base == 0 && from == 0 {
			s.start(window[:have])
		}
		to := have - lookAhead
		if last {
			to = have
		}
		needles().find(window[:have], from, to, func(n *needle, at int) {
			s.hit(n, spot{ahead: window[at:have], behind: window[:at], offset: base + int64(at)})
		})
		if last {
			return nil
		}
		kept := to - lookBehind
		copy(window, window[kept:have])
		base, have, from = base+int64(kept), have-kept, lookBehind
	}
}

// fill reads until a buffer is full or r has ended. Not io.ReadFull: it gives an error that readers of cut streams give as well.
func fill(r io.Reader, buf []byte) (n int, last bool, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	if err == io.EOF {
		return n, true, nil
	}
	return n, false, err
}

func (s *search) hit(n *needle, at spot) {
	check, kind := n.test(s, at)
	switch {
	case check == "":
	case n.secret:
		s.scanner.note(check, s.place.value(kind, 0))
	default:
		s.scanner.note(check, s.place.value(kind, at.offset))
	}
}

// window gives a buffer of windowSize bytes. There is one for each archive that is open.
func (s *Scanner) window() []byte {
	if n := len(s.windows); n > 0 {
		w := s.windows[n-1]
		s.windows = s.windows[:n-1]
		return w
	}
	return make([]byte, windowSize)
}

func (s *Scanner) release(w []byte) { s.windows = append(s.windows, w) }
