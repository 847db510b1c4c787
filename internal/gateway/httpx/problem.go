// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package httpx

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
)

// Problem is an error that a client is told of, as application/problem+json (RFC 9457). Err is for the log only.
//
//nolint:errname // named as the RFC names it
type Problem struct {
	Status int
	Detail string       // one sentence; empty: the status says it all
	Fields []FieldError // what is wrong with the request's fields
	Header http.Header  // added to the answer; may be nil
	Err    error        // cause; not shown
}

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field    string `json:"field"` // path, such as current.digest
	Expected string `json:"expected"`
	Actual   string `json:"actual"`
}

// Error implements error.
func (p *Problem) Error() string {
	text := cmp.Or(p.Detail, http.StatusText(p.Status))
	if p.Err != nil {
		return text + ": " + p.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

// statusClientGone is what is counted when the client went away before the answer, as nginx has it.
const statusClientGone = 499

// body is the wire form of a Problem.
type body struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail,omitempty"`
	RequestID string       `json:"requestID,omitempty"`
	Errors    []FieldError `json:"errors,omitempty"`
}

// holdsAlways are the headers that hold for a Problem as for the answer that was not given: they say what browsers may do.
var holdsAlways = map[string]bool{
	"X-Content-Type-Options": true, "Content-Security-Policy": true, "Strict-Transport-Security": true,
	"Access-Control-Allow-Origin": true, "Vary": true,
}

// write renders the Problem.
func (p *Problem) write(w http.ResponseWriter, requestID string) {
	raw, err := json.Marshal(body{
		Type: "about:blank", Title: http.StatusText(p.Status), Status: p.Status, Detail: p.Detail, RequestID: requestID, Errors: p.Fields,
	})
	if err != nil { // strings cannot fail to encode
		raw = []byte(`{"type":"about:blank","title":"Internal Server Error","status":500}`)
	}
	h := w.Header()
	for name := range h { // what the handler said of the answer that it did not give
		if !holdsAlways[name] {
			h.Del(name)
		}
	}
	maps.Copy(h, p.Header)
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Request-Id", requestID)
	w.WriteHeader(p.Status)
	_, _ = w.Write(raw) // the client may have gone
}
