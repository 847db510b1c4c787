// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
)

// FuzzCheck holds the reader against encoding/json: what it takes, encoding/json takes too and reads alike; what it refuses is
// a 400 that says why; and what encoding/json writes, it takes.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{"app":"com.example.shop","channel":"production","deviceID":"d","platform":"ios","nativeVersion":"4.2.0"}`,
		`{"app":"a","channel":"b","deviceID":"\u0041\n","platform":"web","nativeVersion":"1","runtimeVersion":"5\"2",` +
			`"build":{"distribution":"Production","hardware":"Emulator"},"current":{"version":"1.0.0","digest":"sha256:00"}}`,
		`{"app":1}`, `{"a":{"b":[1,2,{"c":null}]}}`, ` { } x`, `{"app":"a","app":"b"}`, "{\"app\":\"\x00\"}", `{"app":"\ud800"}`, `[`, ``,
		`{"current":{}}`, `{"build":{}}`, `{"app":tru}`, `{"":""}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var q CheckRequest
		err := read(&reader{Lexer: jsonlex.Lexer{In: body}}, checkFields, &q)
		if err != nil {
			var p *httpx.Problem
			if !errors.As(err, &p) || p.Status != 400 || p.Detail == "" {
				t.Fatalf("error %#v", err)
			}
			for _, field := range p.Fields {
				if field.Field == "" && !strings.Contains(body, `""`) || field.Expected == "" || field.Actual == "" || !utf8.ValidString(field.Field+field.Actual) {
					t.Fatalf("field error %+v", field)
				}
			}
			return
		}
		var same CheckRequest
		d := json.NewDecoder(strings.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&same); err != nil {
			t.Fatalf("taken, but encoding/json says %v", err)
		}
		if _, err := d.Token(); err != io.EOF {
			t.Fatalf("taken, but more follows: %v", err)
		}
		if diff := cmp.Diff(same, q); diff != "" {
			t.Fatalf("encoding/json reads otherwise (-json +ours):\n%s", diff)
		}
		again, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		var q2 CheckRequest
		if err := read(&reader{Lexer: jsonlex.Lexer{In: string(again)}}, checkFields, &q2); err != nil || q2 != q {
			t.Fatalf("written again as %s: %v", again, err)
		}
	})
}

// FuzzReport: no report makes the reader panic, and what it takes is complete.
func FuzzReport(f *testing.F) {
	f.Add(`{"app":"a","channel":"b","deviceID":"d","digest":"sha256:00","outcome":"failed","kind":"crash"}`)
	f.Fuzz(func(t *testing.T, body string) {
		q, err := parseReport(body)
		if err == nil && (q.App == "" || q.Channel == "" || q.DeviceID == "" || !isDigest(q.Digest) || (q.Outcome == "failed") != (q.Kind != "")) {
			t.Fatalf("taken: %+v", q)
		}
	})
}
