// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jsonlex takes JSON apart where encoding/json would take half of a request's time: it allocates nothing for texts
// without escapes, which stay parts of the input. What values mean is the protocols' matter.
package jsonlex

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Lexer reads one JSON text. The first error of syntax ends the reading.
type Lexer struct {
	In     string
	Pos    int    // in bytes
	Syntax string // what was expected where reading ended; empty: no error
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

// Skip steps over a value that nobody wants.
func (l *Lexer) Skip() {
	d := json.NewDecoder(strings.NewReader(l.In[l.Pos:]))
	var raw json.RawMessage
	if d.Decode(&raw) != nil {
		l.Expect("a value")
		return
	}
	l.Pos += int(d.InputOffset())
}

// Next shows what comes next.
func (l *Lexer) Next() string {
	if l.Pos >= len(l.In) {
		return "the end of the body"
	}
	c, _ := utf8.DecodeRuneInString(l.In[l.Pos:])
	return fmt.Sprintf("%q", c)
}
