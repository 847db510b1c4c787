// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package httpx

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// requestBody is a request's body within its limits. What goes wrong with it is the client's doing, as its errors say.
type requestBody struct {
	io.ReadCloser
	limit    int64
	tooLarge bool // as the header says: there is no need to read it
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.tooLarge {
		return 0, &bodyError{&http.MaxBytesError{Limit: b.limit}}
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = &bodyError{err}
	}
	return n, err
}

// bodyError is why a body could not be read.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "read the request's body: " + e.err.Error() }

func (e *bodyError) Unwrap() error { return e.err }

// limitBody makes a request's body end with an error where the route's limits are.
func (h *handler) limitBody(res *response, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	if h.route.BodyTimeout > 0 {
		// Not supported: a test's recorder, which has no slow clients.
		_ = http.NewResponseController(res.ResponseWriter).SetReadDeadline(time.Now().Add(h.route.BodyTimeout))
	}
	res.body = requestBody{
		ReadCloser: http.MaxBytesReader(res.ResponseWriter, r.Body, h.route.MaxBody),
		limit:      h.route.MaxBody, tooLarge: r.ContentLength > h.route.MaxBody,
	}
	r.Body = &res.body
}

// gone tells whether the client went away, or its connection broke. The context says so of HTTP/2 only: with HTTP/1.1, net/http
// cancels it with any error of the connection.
func (e *bodyError) gone(r *http.Request) bool {
	_, broken := errors.AsType[*net.OpError](e.err)
	cut := broken || errors.Is(e.err, io.ErrUnexpectedEOF) || r.ProtoMajor > 1 && r.Context().Err() != nil
	return cut && !errors.Is(e.err, os.ErrDeadlineExceeded)
}

// problem is how the client is told.
func (e *bodyError) problem(r *http.Request) *Problem {
	p := &Problem{Status: http.StatusBadRequest, Detail: "expected a whole body in the transfer coding that the header names"}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](e.err); ok {
		p = &Problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("expected a body of at most %d bytes", tooLarge.Limit)}
	} else if errors.Is(e.err, os.ErrDeadlineExceeded) {
		p = &Problem{Status: http.StatusRequestTimeout, Detail: "expected the whole body in less time"}
	}
	if r.ProtoMajor == 1 { // the rest of the body is not waited for
		p.Header = http.Header{"Connection": {"close"}}
	}
	return p
}
