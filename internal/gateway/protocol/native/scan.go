// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
)

// This file reads requests: JSON objects whose values are strings, or objects of strings. It is stricter than encoding/json,
// which takes duplicate fields, other letter case and broken UTF-8, and allocates nothing for a request without escapes.
// FuzzCheck holds it against encoding/json.

// field says how one field of a T is read.
type field[T any] struct {
	name     string
	required bool
	text     func(*T) *string  // where the text goes
	valid    rule              // what it may be
	object   func(*reader, *T) // reads an object instead of a text
}

// reader reads one request. The first error of syntax ends the reading; errors of values are collected.
type reader struct {
	in     string
	pos    int
	syntax string // what was expected where reading ended; empty: no error
	fields []httpx.FieldError
}

// read reads a request.
func read[T any](r *reader, fields []field[T], into *T) error {
	if !utf8.ValidString(r.in) {
		return &httpx.Problem{Status: 400, Detail: "the body is not valid UTF-8"}
	}
	object(r, "", fields, into)
	r.space()
	if r.syntax == "" && r.pos < len(r.in) {
		r.expect("the end of the body")
	}
	switch {
	case r.syntax != "":
		return &httpx.Problem{Status: 400, Detail: fmt.Sprintf("the body is not the expected JSON: expected %s at byte %d, got %s", r.syntax, r.pos, r.next())}
	case len(r.fields) > 0:
		return invalid(r.fields...)
	}
	return nil
}

// invalid is the answer to a request with fields that are not as expected.
func invalid(fields ...httpx.FieldError) error {
	return &httpx.Problem{Status: 400, Detail: "some fields are not as expected", Fields: fields}
}

// object reads an object into a T. The path of its fields begins with prefix.
func object[T any](r *reader, prefix string, fields []field[T], into *T) {
	var seen uint32
	if !r.take('{') {
		r.expect("an object")
		return
	}
	for first := true; !r.take('}'); first = false {
		if !first && !r.take(',') {
			r.expect("a comma or the end of the object")
			return
		}
		name, ok := r.text()
		if !ok || !r.take(':') {
			r.expect("a field's name and a colon")
			return
		}
		i := index(fields, name)
		switch {
		case i < 0:
			r.wrong(prefix+clip(name), "no such field", "a field of this name")
			r.skip()
		case seen&(1<<i) != 0:
			r.wrong(prefix+name, "the field once", "the field twice")
			r.skip()
		default:
			seen |= 1 << i
			value(r, prefix, &fields[i], into)
		}
		if r.syntax != "" {
			return
		}
	}
	for i := range fields {
		if fields[i].required && seen&(1<<i) == 0 {
			r.wrong(prefix+fields[i].name, fields[i].valid.expected, "nothing")
		}
	}
}

func index[T any](fields []field[T], name string) int {
	for i := range fields {
		if fields[i].name == name {
			return i
		}
	}
	return -1
}

// value reads the value of a field.
func value[T any](r *reader, prefix string, f *field[T], into *T) {
	r.space()
	switch kind := r.kind(); {
	case f.object != nil && kind == "an object":
		f.object(r, into)
	case f.object != nil:
		r.wrong(prefix+f.name, "an object", kind)
		r.skip()
	case kind != "a string":
		r.wrong(prefix+f.name, f.valid.expected, kind)
		r.skip()
	default:
		text, ok := r.text()
		switch {
		case !ok:
			r.expect("a string")
		case !f.valid.ok(text):
			r.wrong(prefix+f.name, f.valid.expected, quote(text))
		default:
			*f.text(into) = text
		}
	}
}

// wrong notes that a field is not as expected.
func (r *reader) wrong(path, expected, actual string) {
	const most = 16 // enough to see what is wrong
	if len(r.fields) < most {
		r.fields = append(r.fields, httpx.FieldError{Field: path, Expected: expected, Actual: actual})
	}
}

// expect notes an error of syntax at the present position.
func (r *reader) expect(what string) {
	if r.syntax == "" {
		r.syntax = what
	}
}

func (r *reader) space() {
	for r.pos < len(r.in) {
		switch r.in[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

// take steps over a character and the space before it, if it comes next.
func (r *reader) take(c byte) bool {
	r.space()
	if r.pos < len(r.in) && r.in[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

// text reads a string.
func (r *reader) text() (string, bool) {
	r.space()
	if r.pos >= len(r.in) || r.in[r.pos] != '"' {
		return "", false
	}
	for i := r.pos + 1; i < len(r.in); i++ {
		switch c := r.in[i]; {
		case c == '"':
			s := r.in[r.pos+1 : i]
			r.pos = i + 1
			return s, true
		case c == '\\':
			return r.escaped()
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// escaped reads a string with escapes.
func (r *reader) escaped() (string, bool) {
	for i := r.pos + 1; i < len(r.in); i++ {
		switch r.in[i] {
		case '\\':
			i++
		case '"':
			var s string
			if json.Unmarshal([]byte(r.in[r.pos:i+1]), &s) != nil {
				return "", false
			}
			r.pos = i + 1
			return s, true
		}
	}
	return "", false
}

// kind names the value that comes next.
func (r *reader) kind() string {
	if r.pos >= len(r.in) {
		return "the end of the body"
	}
	switch c := r.in[r.pos]; {
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

// skip steps over a value whose field is wrong anyway.
func (r *reader) skip() {
	d := json.NewDecoder(strings.NewReader(r.in[r.pos:]))
	var raw json.RawMessage
	if d.Decode(&raw) != nil {
		r.expect("a value")
		return
	}
	r.pos += int(d.InputOffset())
}

// next shows what comes next.
func (r *reader) next() string {
	if r.pos >= len(r.in) {
		return "the end of the body"
	}
	c, _ := utf8.DecodeRuneInString(r.in[r.pos:])
	return fmt.Sprintf("%q", c)
}

// mostQuoted is how much of a wrong value an error shows, in bytes.
const mostQuoted = 64

func quote(s string) string { return fmt.Sprintf("%q", clip(s)) }

func clip(s string) string {
	if len(s) <= mostQuoted {
		return s
	}
	return strings.ToValidUTF8(s[:mostQuoted], "") + "…"
}
