// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jsonlex takes JSON apart where encoding/json would take half of a request's time: it allocates nothing for texts
// without escapes, which stay parts of the input. What values mean is the protocols' matter. AppendText writes strings, at the
// same price.
package jsonlex

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Lexer reads one JSON text. The first error of syntax ends the reading.
type Lexer struct {
	In     string
	Pos    int    // in bytes
	Syntax string // what was expected where reading ended; empty: no error
}

// ReadAll reads all of a body into a buffer, which it grows if need be.
func ReadAll(buf []byte, body io.Reader) ([]byte, error) {
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, max(512, cap(buf)))
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch err {
		case nil:
		case io.EOF:
			return buf, nil
		default:
			return buf, err
		}
	}
}

// Expect notes an error of syntax at the present position.
func (l *Lexer) Expect(what string) {
	if l.Syntax == "" {
		l.Syntax = what
	}
}

// Space steps over white space.
func (l *Lexer) Space() {
	for l.Pos < len(l.In) {
		switch l.In[l.Pos] {
		case ' ', '\t', '\n', '\r':
			l.Pos++
		default:
			return
		}
	}
}

// Take steps over a character and the space before it, if it comes next.
func (l *Lexer) Take(c byte) bool {
	l.Space()
	if l.Pos < len(l.In) && l.In[l.Pos] == c {
		l.Pos++
		return true
	}
	return false
}

// Text reads a string.
func (l *Lexer) Text() (string, bool) {
	l.Space()
	if l.Pos >= len(l.In) || l.In[l.Pos] != '"' {
		return "", false
	}
	for i := l.Pos + 1; i < len(l.In); i++ {
		switch c := l.In[i]; {
		case c == '"':
			s := l.In[l.Pos+1 : i]
			l.Pos = i + 1
			return s, true
		case c == '\\':
			return l.escaped()
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// escaped reads a string with escapes.
func (l *Lexer) escaped() (string, bool) {
	for i := l.Pos + 1; i < len(l.In); i++ {
		switch l.In[i] {
		case '\\':
			i++
		case '"':
			var s string
			if json.Unmarshal([]byte(l.In[l.Pos:i+1]), &s) != nil {
				return "", false
			}
			l.Pos = i + 1
			return s, true
		}
	}
	return "", false
}

// Kind names the value that comes next.
func (l *Lexer) Kind() string {
	if l.Pos >= len(l.In) {
		return "the end of the body"
	}
	switch c := l.In[l.Pos]; {
	case c == '"':
		return "a string"
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '-' || '0' <= c && c <= '9':
		return "a number"
	case c == 't' || c == 'f':
		return "a boolean"
	case c == 'n':
		return "null"
	}
	return "no value"
}

// maxDepth bounds how deep a value that is skipped may nest. Real requests nest to three levels.
const maxDepth = 64

// Skip steps over a value that nobody wants. One that nests deeper than 64 levels is an error of syntax.
func (l *Lexer) Skip() {
	l.Space()
	start := l.Pos
	if !l.skip(maxDepth) {
		l.Pos = start
		l.Expect("a value")
	}
}

func (l *Lexer) skip(depth int) bool {
	switch l.Kind() {
	case "a string":
		_, ok := l.Text()
		return ok
	case "an object":
		return depth > 0 && l.members('{', '}', func() bool {
			_, ok := l.Text()
			return ok && l.Take(':') && l.inner(depth)
		})
	case "an array":
		return depth > 0 && l.members('[', ']', func() bool { return l.inner(depth) })
	}
	_, ok := l.token()
	return ok
}

func (l *Lexer) inner(depth int) bool {
	l.Space()
	return l.skip(depth - 1)
}

// members steps through what is between two brackets. It gives false where the syntax is wrong.
func (l *Lexer) members(open, end byte, member func() bool) bool {
	if !l.Take(open) {
		return false
	}
	for first := true; !l.Take(end); first = false {
		if !first && !l.Take(',') || !member() {
			return false
		}
	}
	return true
}

// token reads a number, true, false or null as it stands in the input.
func (l *Lexer) token() (string, bool) {
	start := l.Pos
	switch l.Kind() {
	case "a number":
		return l.number()
	case "a boolean", "null":
		for _, word := range [...]string{"true", "false", "null"} {
			if strings.HasPrefix(l.In[start:], word) {
				l.Pos += len(word)
				return word, true
			}
		}
	}
	return "", false
}

// number reads a number (RFC 8259 section 6).
func (l *Lexer) number() (string, bool) {
	start := l.Pos
	l.one("-")
	if !l.one("0") && !l.digits() {
		return "", false
	}
	if l.one(".") && !l.digits() {
		return "", false
	}
	if l.one("eE") {
		l.one("+-")
		if !l.digits() {
			return "", false
		}
	}
	return l.In[start:l.Pos], true
}

// one steps over a character of a set, if one comes next.
func (l *Lexer) one(set string) bool {
	if l.Pos < len(l.In) && strings.IndexByte(set, l.In[l.Pos]) >= 0 {
		l.Pos++
		return true
	}
	return false
}

func (l *Lexer) digits() bool {
	start := l.Pos
	for l.Pos < len(l.In) && '0' <= l.In[l.Pos] && l.In[l.Pos] <= '9' {
		l.Pos++
	}
	return l.Pos > start
}

// Scalar reads a string, or a number or boolean as its text. It gives "" for null, and for an array or object, which it skips.
func (l *Lexer) Scalar() string {
	l.Space()
	var text string
	ok := true
	switch l.Kind() {
	case "a string":
		text, ok = l.Text()
	case "a number", "a boolean":
		text, ok = l.token()
	default:
		l.Skip()
	}
	if !ok {
		l.Expect("a value")
		return ""
	}
	return text
}

// Fields reads an object: field is called with each name and has to read or skip the value.
func (l *Lexer) Fields(field func(name string)) {
	if l.Syntax != "" {
		return
	}
	ok := l.members('{', '}', func() bool {
		name, ok := l.Text()
		if !ok || !l.Take(':') {
			return false
		}
		field(name)
		return l.Syntax == ""
	})
	if !ok {
		l.Expect("an object")
	}
}

// Elements reads an array: element is called for each value and has to read or skip it. It gives false to end the reading.
func (l *Lexer) Elements(element func() bool) {
	if l.Syntax != "" {
		return
	}
	enough := false
	ok := l.members('[', ']', func() bool {
		enough = !element()
		return !enough && l.Syntax == ""
	})
	if !ok && !enough {
		l.Expect("an array")
	}
}

// End notes an error of syntax unless only space is left.
func (l *Lexer) End() {
	l.Space()
	if l.Pos < len(l.In) {
		l.Expect("the end of the body")
	}
}

// Next shows what comes next.
func (l *Lexer) Next() string {
	if l.Pos >= len(l.In) {
		return "the end of the body"
	}
	c, _ := utf8.DecodeRuneInString(l.In[l.Pos:])
	return fmt.Sprintf("%q", c)
}

// AppendText renders the parts of one JSON string.
func AppendText(b []byte, parts ...string) []byte {
	b = append(b, '"')
	for _, s := range parts {
		if plain(s) {
			b = append(b, s...)
			continue
		}
		quoted, err := json.Marshal(s)
		if err != nil { // strings cannot fail to encode
			continue
		}
		b = append(b, quoted[1:len(quoted)-1]...)
	}
	return append(b, '"')
}

// plain tells whether a text needs no escapes in JSON.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
