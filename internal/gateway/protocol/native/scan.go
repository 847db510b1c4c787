// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
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
	jsonlex.Lexer
	fields []httpx.FieldError
}

// read reads a request.
func read[T any](r *reader, fields []field[T], into *T) error {
	if !utf8.ValidString(r.In) {
		return &httpx.Problem{Status: 400, Detail: "the body is not valid UTF-8"}
	}
	object(r, "", fields, into)
	r.Space()
	if r.Syntax == "" && r.Pos < len(r.In) {
		r.Expect("the end of the body")
	}
	switch {
	case r.Syntax != "":
		return &httpx.Problem{Status: 400, Detail: fmt.Sprintf("the body is not the expected JSON: expected %s at byte %d, got %s", r.Syntax, r.Pos, r.Next())}
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
	if !r.Take('{') {
		r.Expect("an object")
		return
	}
	for first := true; !r.Take('}'); first = false {
		if !first && !r.Take(',') {
			r.Expect("a comma or the end of the object")
			return
		}
		name, ok := r.Text()
		if !ok || !r.Take(':') {
			r.Expect("a field's name and a colon")
			return
		}
		i := index(fields, name)
		switch {
		case i < 0:
			r.wrong(prefix+clip(name), "no such field", "a field of this name")
			r.Skip()
		case seen&(1<<i) != 0:
			r.wrong(prefix+name, "the field once", "the field twice")
			r.Skip()
		default:
			seen |= 1 << i
			value(r, prefix, &fields[i], into)
		}
		if r.Syntax != "" {
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
	r.Space()
	switch kind := r.Kind(); {
	case f.object != nil && kind == "an object":
		f.object(r, into)
	case f.object != nil:
		r.wrong(prefix+f.name, "an object", kind)
		r.Skip()
	case kind != "a string":
		r.wrong(prefix+f.name, f.valid.expected, kind)
		r.Skip()
	default:
		text, ok := r.Text()
		switch {
		case !ok:
			r.Expect("a string")
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

// mostQuoted is how much of a wrong value an error shows, in bytes.
const mostQuoted = 64

func quote(s string) string { return fmt.Sprintf("%q", clip(s)) }

func clip(s string) string {
	if len(s) <= mostQuoted {
		return s
	}
	return strings.ToValidUTF8(s[:mostQuoted], "") + "…"
}
