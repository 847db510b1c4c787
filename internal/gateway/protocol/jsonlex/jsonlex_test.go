// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package jsonlex_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
)

func TestSkip(t *testing.T) {
	t.Parallel()
	for in, rest := range map[string]string{
		` {"a":[1,{"b":null}],"c":"\u00e9"} x`: " x",
		`[]]`:                                  "]",
		`"a\"b",`:                              ",",
		`-1.5e+3 `:                             " ",
		`0 `:                                   " ",
		`01`:                                   "1",
		`true,`:                                ",",
		`null`:                                 "",
		strings.Repeat("[", 64) + strings.Repeat("]", 64) + "!": "!",
	} {
		l := jsonlex.Lexer{In: in}
		if l.Skip(); l.Syntax != "" || in[l.Pos:] != rest {
			t.Errorf("%s: stopped before %q with error %q, want before %q", in, in[l.Pos:], l.Syntax, rest)
		}
	}
	for _, in := range []string{
		``, `{`, `{"a"}`, `{"a":1,}`, `{a:1}`, `[1 2]`, `[,]`, `"a`, "\"\n\"", `"\x"`, `-`, `1.`, `1e`, `.5`, `+1`, `tru`, `nul`, `NaN`, `]`,
		strings.Repeat("[", 65) + strings.Repeat("]", 65), strings.Repeat(`{"a":`, 1<<20),
	} {
		l := jsonlex.Lexer{In: in}
		if l.Skip(); l.Syntax != "a value" || l.Pos != 0 {
			t.Errorf("%.20s: got %q at %d, want an error at 0", in, l.Syntax, l.Pos)
		}
	}
}

func TestScalar(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`"a"`: "a", `12.50`: "12.50", `true`: "true", `false`: "false", `null`: "", `{"a":1}`: "", `[1]`: "", `"\u0041"`: "A",
	} {
		l := jsonlex.Lexer{In: in}
		if got := l.Scalar(); got != want || l.Syntax != "" || l.Pos != len(in) {
			t.Errorf("%s: got %q, error %q", in, got, l.Syntax)
		}
	}
	for _, in := range []string{`"a`, `-`, `yes`, ``} {
		l := jsonlex.Lexer{In: in}
		if got := l.Scalar(); got != "" || l.Syntax == "" {
			t.Errorf("%s: got %q, want an error", in, got)
		}
	}
}

func TestElementsCanEndEarly(t *testing.T) {
	t.Parallel()
	l := jsonlex.Lexer{In: `["a","b",!`}
	var got []string
	l.Elements(func() bool {
		got = append(got, l.Scalar())
		return len(got) < 2
	})
	if strings.Join(got, "") != "ab" || l.Syntax != "" {
		t.Errorf("got %q, error %q", got, l.Syntax)
	}
}

func TestWrongBrackets(t *testing.T) {
	t.Parallel()
	l := jsonlex.Lexer{In: `[1]`}
	l.Fields(func(string) { t.Error("an array has no fields") })
	if l.Syntax != "an object" {
		t.Errorf("got %q", l.Syntax)
	}
	l = jsonlex.Lexer{In: `{}`}
	l.Elements(func() bool { t.Error("an object has no elements"); return true })
	if l.Syntax != "an array" {
		t.Errorf("got %q", l.Syntax)
	}
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789", 300)
	for _, size := range []int{0, 1, 2999, 3000, 4096} {
		got, err := jsonlex.ReadAll(make([]byte, 0, size), iotest.HalfReader(strings.NewReader(text)))
		if err != nil || string(got) != text {
			t.Errorf("buffer of %d: got %d bytes, %v", size, len(got), err)
		}
	}
	if _, err := jsonlex.ReadAll(nil, iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

// FuzzSkip holds Skip against encoding/json: what it takes is JSON, and it refuses no JSON that nests as real requests do.
func FuzzSkip(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":null}],"c":"\u00e9"}`, `[[[]]]`, `-0.5E-7`, `"\ud800"`, `[1,]`, `{"a":tru}`, "[\"\x01\"]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if !utf8.ValidString(in) {
			return
		}
		l := jsonlex.Lexer{In: in}
		l.Skip()
		if l.Syntax == "" && !json.Valid([]byte(in[:l.Pos])) {
			t.Fatalf("%q is no JSON", in[:l.Pos])
		}
		if l.End(); l.Syntax == "" != (json.Valid([]byte(in)) && depth(in) <= 64) {
			t.Fatalf("%q: error %q, encoding/json says %v", in, l.Syntax, json.Valid([]byte(in)))
		}
	})
}

// depth is how deep the brackets of a JSON text nest.
func depth(in string) int {
	d := json.NewDecoder(strings.NewReader(in))
	deepest, now := 0, 0
	for {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			deepest = max(deepest, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}

// FuzzAppendText: what is written is read again as the same text.
func FuzzAppendText(f *testing.F) {
	f.Add("a\"b", "\\\u2028é\x00")
	f.Fuzz(func(t *testing.T, a, b string) {
		raw := jsonlex.AppendText(nil, a, b)
		var got string
		if err := json.Unmarshal(raw, &got); err != nil || utf8.ValidString(a) && utf8.ValidString(b) && got != a+b {
			t.Fatalf("%q and %q became %s: %v", a, b, raw, err)
		}
	})
}
