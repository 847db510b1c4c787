// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"math"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/versions"
	"github.com/windlass-dev/windlass/internal/gateway/view"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// maxBody is the largest request, in bytes. Real ones have some hundred.
const maxBody = 64 << 10

// Ledger is what the protocol needs of the outcome ledger.
type Ledger interface {
	Pseudonym(app, deviceID string) ledger.Pseudonym
	Failed(p ledger.Pseudonym) []string
	Override(p ledger.Pseudonym) string
	Checked(c *ledger.Check)
	Reported(r *ledger.Report) bool
}

// Handler answers the protocol's requests from the present view.
type Handler struct {
	View      func() *view.View
	Ledger    Ledger
	Edge      *edge.Edge
	BaseURL   string        // of artifact URLs, without a slash at its end; empty: as the request came in
	NextCheck time.Duration // asked of devices; zero: nothing is
	Now       func() time.Time

	versions *versions.Cache
	systems  *versions.Systems
}

// Routes of the protocol.
func (h *Handler) Routes() []httpx.Route {
	h.versions, h.systems = versions.New(compat.ParseVersion), versions.NewSystems()
	return []httpx.Route{
		{Method: http.MethodPost, Path: CheckPath, Name: "native_check", MaxBody: maxBody, Origins: h.allowsOrigin, Handle: h.check},
		{Method: http.MethodPost, Path: ReportPath, Name: "native_report", MaxBody: maxBody, Origins: h.allowsOrigin, Handle: h.report},
	}
}

// resolved gives the compiled channels, or nil before there are any.
func (h *Handler) resolved() *resolve.View {
	if v := h.View(); v != nil {
		return &v.View
	}
	return nil
}

func (h *Handler) allowsOrigin(origin string) bool { return h.resolved().AllowsOrigin(origin) }

// allowOrigin lets pages of a web origin read the answer, if the channel does. There may be no channel.
func allowOrigin(w http.ResponseWriter, r *http.Request, c *resolve.Channel) {
	if r.Header["Origin"] != nil { // devices send none
		httpx.AllowOrigin(w, r, func(origin string) bool { return c != nil && c.AllowsOrigin(origin) })
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
	noted  ledger.Check // with the answer
}

var scratches = sync.Pool{New: func() any { return &scratch{buf: make([]byte, 0, 2<<10)} }}

func (s *scratch) release() {
	s.reader, s.check, s.device, s.noted = reader{}, CheckRequest{}, resolve.Device{}, ledger.Check{}
	scratches.Put(s)
}

func (h *Handler) check(w http.ResponseWriter, r *http.Request) error {
	visitor, wait := h.Edge.Admit(limit.Checks, r)
	if wait > 0 {
		return limited(wait)
	}
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
	if err := q.device(h.versions, h.systems, &s.device); err != nil {
		return err
	}
	s.device.Region = visitor.Region()
	network, err := h.Edge.SpeakFor(visitor, q.DeviceID)
	if err != nil {
		return err
	}
	if !h.Edge.Begin(limit.Checks) {
		return answer(w, http.StatusOK, busy)
	}
	defer h.Edge.End(limit.Checks)
	device := h.Ledger.Pseudonym(q.App, q.DeviceID)
	s.device.Failed = h.Ledger.Failed(device)
	s.noted = ledger.Check{
		App: q.App, Channel: q.Channel, Device: device, Network: network, Votes: s.device.Votes(), Client: q.client(&s.device),
		RunsVersion: q.Current.Version, RunsDigest: q.Current.Digest, At: h.Now(),
	}
	allowOrigin(w, r, h.decide(s))
	h.Ledger.Checked(&s.noted)
	s.buf = h.appendCheck(s.buf[:0], r, q.App, &s.noted.Told)
	return answer(w, http.StatusOK, s.buf)
}

// client is what the ledger keeps of the device.
func (q *CheckRequest) client(d *resolve.Device) ledger.Client {
	return ledger.Client{
		Platform: q.Platform, NativeVersion: q.NativeVersion, OSVersion: versions.Kept(d.OSVersion), Region: d.Region,
	}
}

// decide notes what the device is told, and gives the channel that it follows, if there is one.
func (h *Handler) decide(s *scratch) *resolve.Channel {
	n := &s.noted
	wish := resolve.Wish{Override: h.Ledger.Override(n.Device), Channel: n.Channel, Exact: true}
	c, why := h.resolved().Follow(n.App, wish, &s.device, n.At)
	if c == nil {
		n.Told = resolve.Decision{Action: resolve.None, Reason: why}
		return nil
	}
	n.Told = c.Decide(&s.device, n.At)
	return c
}

func (h *Handler) report(w http.ResponseWriter, r *http.Request) error {
	visitor, wait := h.Edge.Admit(limit.Reports, r)
	if wait > 0 {
		return limited(wait)
	}
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
	network, err := h.Edge.SpeakFor(visitor, q.DeviceID)
	if err != nil {
		return err
	}
	if !h.Edge.Begin(limit.Reports) {
		return &httpx.Problem{Status: http.StatusServiceUnavailable, Detail: "too many reports at a time", Header: retryAfter(busyRetry)}
	}
	defer h.Edge.End(limit.Reports)
	now := h.Now()
	channel, why := h.resolved().Channel(q.App, q.Channel, now)
	allowOrigin(w, r, channel)
	result := UnknownChannel // not kept: anybody can make names up
	if why != resolve.ReasonUnknownApp && why != resolve.ReasonUnknownChannel {
		result = h.take(&q, channel, network, now)
	}
	s.buf = appendReport(s.buf[:0], result)
	return answer(w, http.StatusAccepted, s.buf)
}

// take hands a report to the ledger, and says what becomes of it. There is no channel while there are no metadata: the report may
// be the only one of its device, and is kept for the bundle that this was offered.
func (h *Handler) take(q *ReportRequest, c *resolve.Channel, network ledger.Network, now time.Time) Result {
	report := q.report(h.Ledger.Pseudonym(q.App, q.DeviceID), network, now)
	report.Assigned, report.Known = ledger.AssignedTo(c, q.DeviceID, func(b *resolve.Bundle) bool { return b.Digest == q.Digest })
	switch {
	case !h.Ledger.Reported(&report):
		return QueueFull
	case !report.Votes:
		return NotVoting
	case !report.Known:
		return UnknownBundle
	}
	return Accepted
}

// limited is the answer to a network that has spent its budget.
func limited(wait time.Duration) error {
	return &httpx.Problem{
		Status: http.StatusTooManyRequests, Detail: "more requests come from this network than are allowed", Header: retryAfter(wait),
	}
}

// busyRetry is when a client that met an overload should come back.
const busyRetry = 30 * time.Second

// busy is the answer to a check under overload: no update, so that no device counts it as a failure.
var busy = fmt.Appendf(nil, `{"action":"none","reason":%q,"nextCheckSeconds":%d}`, ReasonBusy, busyRetry/time.Second)

func retryAfter(d time.Duration) http.Header {
	return http.Header{"Retry-After": {strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)}}
}

// readBody reads a request's JSON. The text stays valid when the buffer is used again.
func (s *scratch) readBody(r *http.Request) (string, error) {
	if !isJSON(r.Header.Get("Content-Type")) {
		return "", &httpx.Problem{Status: http.StatusUnsupportedMediaType, Detail: "expected Content-Type application/json"}
	}
	var err error
	s.buf, err = jsonlex.ReadAll(s.buf, r.Body)
	return string(s.buf), err
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
