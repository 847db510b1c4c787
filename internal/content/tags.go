// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"errors"
	"io"
)

const (
	// maxSeparators bounds the attributes of one tag: there is a blank, a slash or a quote before each. The tokenizer has 32 bytes for each.
	maxSeparators = 1 << 18
	// maxAttributes is how many attributes of interest a tag may have, and maxAttribute how many bytes each.
	maxAttributes = 256
	maxAttribute  = 256 << 10
)

// errLongTag ends the reading of a page.
var errLongTag = errors.New("a tag has too many attributes")

// tagReader hands a text to a tokenizer, and stops where a tag would take too much memory.
type tagReader struct {
	text       []byte
	given      int // bytes that the tokenizer has
	token      int // where its present token starts
	separators int // in this token, as far as it was given
}

// next says that a token of so many bytes was read. Each byte is counted once when it is given and once when it is read, however
// many tokens there are.
func (r *tagReader) next(size int) {
	end := r.token + size
	r.separators -= separators(r.text[min(r.token, r.given):min(end, r.given)])
	r.token = end
}

// Read implements io.Reader.
func (r *tagReader) Read(p []byte) (int, error) {
	if r.given == len(r.text) {
		return 0, io.EOF
	}
	if r.separators > maxSeparators && r.text[r.token] == '<' && r.token+1 < len(r.text) && isWord(r.text[r.token+1]) {
		return 0, errLongTag
	}
	n := copy(p[:min(len(p), headSize)], r.text[r.given:])
	r.separators += separators(r.text[r.given : r.given+n])
	r.given += n
	return n, nil
}

func separators(text []byte) int {
	n := 0
	for _, c := range text {
		if c <= ' ' || c == '/' || c == '"' || c == '\'' {
			n++
		}
	}
	return n
}
