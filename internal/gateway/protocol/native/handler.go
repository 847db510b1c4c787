// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"io"
	"mime"
	"net/http"
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

// buffers holds what requests are read into and answers rendered in.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

func (h *Handler) check(w http.ResponseWriter, r *http.Request) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	body, err := readBody(r, buf)
	if err != nil {
		return err
	}
	q, err := parseCheck(body)
	if err != nil {
		return err
	}
	device, err := q.device()
	if err != nil {
		return err
	}
	now := h.Now()
	told := decide(h.View(), &q, &device, now)
	h.Ledger.Checked(q.App, q.Channel, &device, &told, now)
	*buf = h.appendCheck((*buf)[:0], r, q.App, &told)
	return answer(w, http.StatusOK, *buf)
}

func decide(v *view.View, q *CheckRequest, d *resolve.Device, now time.Time) resolve.Decision {
	if v == nil {
		return (*resolve.View)(nil).Decide(q.App, q.Channel, d, now)
	}
	return v.Decide(q.App, q.Channel, d, now)
}

func (h *Handler) report(w http.ResponseWriter, r *http.Request) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	body, err := readBody(r, buf)
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
	result := h.Ledger.Reported(q.report(), current, now)
	*buf = appendReport((*buf)[:0], result)
	return answer(w, http.StatusAccepted, *buf)
}

// readBody reads a request's JSON. The text stays valid when the buffer is used again.
func readBody(r *http.Request, buf *[]byte) (string, error) {
	if !isJSON(r.Header.Get("Content-Type")) {
		return "", &httpx.Problem{Status: http.StatusUnsupportedMediaType, Detail: "expected Content-Type application/json"}
	}
	b := (*buf)[:0]
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
	}
	*buf = b
	return string(b), nil
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
