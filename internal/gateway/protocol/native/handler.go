// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/outcome"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// maxBody is the largest request, in bytes. Real ones have some hundred.
const maxBody = 64 << 10

// Ledger is what the protocol needs of the outcome ledger.
type Ledger interface {
	Checked(app, channel string, d *resolve.Device, told *resolve.Decision, now time.Time)
	Reported(r outcome.Report, current *resolve.Channel, now time.Time) outcome.Result
}

// Handler answers the protocol's requests from the present view.
type Handler struct {
	View      func() *view.View
	Ledger    Ledger
	BaseURL   string        // of artifact URLs, without a slash at its end; empty: as the request came in
	NextCheck time.Duration // asked of devices; zero: nothing is
	Now       func() time.Time

	versions versions
}

// Routes of the protocol.
func (h *Handler) Routes() []httpx.Route {
	return []httpx.Route{
		{Method: http.MethodPost, Path: CheckPath, Name: "native_check", MaxBody: maxBody, Handle: h.check},
		{Method: http.MethodPost, Path: ReportPath, Name: "native_report", MaxBody: maxBody, Handle: h.report},
	}
}

// Header values that all answers share; nobody changes them.
var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
)

// scratch is what a request needs while it is answered. It is used again for others.
type scratch struct {
	buf    []byte // the request's body, then the answer
	reader reader
	check  CheckRequest
	device resolve.Device
	told   resolve.Decision
}

var scratches = sync.Pool{New: func() any { return &scratch{buf: make([]byte, 0, 2<<10)} }}

func (s *scratch) release() {
	s.reader, s.check, s.device, s.told = reader{}, CheckRequest{}, resolve.Device{}, resolve.Decision{}
	scratches.Put(s)
}

func (h *Handler) check(w http.ResponseWriter, r *http.Request) error {
	s := scratches.Get().(*scratch)
	defer s.release()
	body, err := s.readBody(r)
	if err != nil {
		return err
	}
	q := &s.check
	s.reader.In = body
	if err := read(&s.reader, checkFields, q); err != nil {
		return err
	}
	if err := q.device(&h.versions, &s.device); err != nil {
		return err
	}
	now := h.Now()
	s.told = decide(h.View(), q, &s.device, now)
	h.Ledger.Checked(q.App, q.Channel, &s.device, &s.told, now)
	s.buf = h.appendCheck(s.buf[:0], r, q.App, &s.told)
	return answer(w, http.StatusOK, s.buf)
}

func decide(v *view.View, q *CheckRequest, d *resolve.Device, now time.Time) resolve.Decision {
	if v == nil {
		return (*resolve.View)(nil).Decide(q.App, q.Channel, d, now)
	}
	return v.Decide(q.App, q.Channel, d, now)
}

func (h *Handler) report(w http.ResponseWriter, r *http.Request) error {
	s := scratches.Get().(*scratch)
	defer s.release()
	body, err := s.readBody(r)
	if err != nil {
		return err
	}
	q, err := parseReport(body)
	if err != nil {
		return err
	}
	now := h.Now()
	var current *resolve.Channel
	if v := h.View(); v != nil {
		current, _ = v.Channel(q.App, q.Channel, now)
	}
	s.buf = appendReport(s.buf[:0], h.Ledger.Reported(q.report(), current, now))
	return answer(w, http.StatusAccepted, s.buf)
}

// readBody reads a request's JSON. The text stays valid when the buffer is used again.
func (s *scratch) readBody(r *http.Request) (string, error) {
	if !isJSON(r.Header.Get("Content-Type")) {
		return "", &httpx.Problem{Status: http.StatusUnsupportedMediaType, Detail: "expected Content-Type application/json"}
	}
	s.buf = s.buf[:0]
	for {
		if len(s.buf) == cap(s.buf) {
			s.buf = slices.Grow(s.buf, cap(s.buf))
		}
		n, err := r.Body.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if err == io.EOF {
			return string(s.buf), nil
		}
		if err != nil {
			return "", err
		}
	}
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/json"
}

// answer writes an answer for one device.
func answer(w http.ResponseWriter, status int, body []byte) error {
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = jsonType, noStore
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client went away
	return nil
}

// baseURL is where this request can reach the server again. A proxy that ended TLS says so; to be believed, it can only make
// the URL safer.
func (h *Handler) baseURL(r *http.Request) (scheme, host string) {
	if h.BaseURL != "" {
		return "", h.BaseURL
	}
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		return "https://", r.Host
	}
	return "http://", r.Host
}
