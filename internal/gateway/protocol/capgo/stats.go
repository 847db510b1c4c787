// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// maxEvents bounds the statistics of one body. Clients queue 200.
const maxEvents = 500

// eventsPerRequest is how many statistics cost a network as much as one request.
const eventsPerRequest = 50

// event is one statistic of a body.
type event struct {
	info

	wrong error // what keeps it from being taken, or nil
}

// batch is a body of statistics, all of one app.
type batch struct {
	events []event
	array  bool
	more   bool // there were more than maxEvents
}

// Results of statistics that are not taken, beside the faults of requests.
var (
	errNoObject  = &fault{status: http.StatusBadRequest, code: "invalid_json_body", message: "Expected an object"}
	errNoAction  = &fault{status: http.StatusBadRequest, code: "missing_action", message: "Expected action, the name of a statistic"}
	errMixedApps = &fault{status: http.StatusOK, code: "mixed_app_ids", message: "Expected statistics of one app_id"}
	errTooMuch   = &fault{code: "too_many_events", message: "Expected at most 500 statistics: this one and those after it were not read"}
	errUnproved  = &fault{code: "device_not_proved", message: "Expected a proof that the statistic comes from its device"}
	errDropped   = &fault{status: http.StatusOK, code: "not_recorded", message: "The gateway is busy: the statistic was dropped"}
)

// stats takes statistics. Clients send them again after a 408, 429 or 5xx for ever, and drop them after any other error.
func (h *Handler) stats(w http.ResponseWriter, r *http.Request) error {
	visitor, shed, err := h.admit(limit.Reports, r)
	switch {
	case err != nil:
		return err
	case shed:
		return shedStats(w)
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	body, err := s.body(r)
	if err != nil {
		return err
	}
	b, err := parseStats(s.events[:0], body)
	if s.events = b.events; err != nil {
		return err
	}
	h.Edge.Charge(limit.Reports, visitor, b.extra())
	if !h.Edge.Begin(limit.Reports) {
		return shedStats(w)
	}
	defer h.Edge.End(limit.Reports)
	h.take(w, r, visitor, &b)
	if !b.array {
		return answerOne(w, b.events[0].wrong)
	}
	s.buf = appendResults(s.buf[:0], &b)
	return answer(w, http.StatusOK, s.buf)
}

// shedStats drops statistics in the words of success, whether they were an object or an array: to be sent again each second is
// the last thing that a busy gateway needs.
func shedStats(w http.ResponseWriter) error {
	return answer(w, http.StatusOK, []byte(`{"status":"ok","results":[]}`))
}

// parseStats reads an object or an array of statistics, into a slice that is used again.
func parseStats(into []event, body string) (batch, error) {
	b := batch{events: into}
	if !utf8.ValidString(body) {
		return b, errNotJSON
	}
	l := jsonlex.Lexer{In: body}
	l.Space()
	if b.array = l.Kind() == "an array"; !b.array {
		b.add(&l)
		if l.End(); l.Syntax != "" {
			return b, errNotJSON
		}
		return b, b.ofOneApp()
	}
	l.Elements(func() bool {
		if b.more = len(b.events) == maxEvents; !b.more {
			b.add(&l)
		}
		return !b.more
	})
	if !b.more {
		l.End()
	}
	if l.Syntax != "" {
		return b, errNotJSON
	}
	return b, b.ofOneApp()
}

// extra is how many requests more a body is worth than one: by its statistics, or by its devices if those are more. Clients send
// those of one device; each further one costs the ledger a row.
func (b *batch) extra() int {
	changes := 0
	for i := 1; i < len(b.events); i++ {
		if b.events[i].device != b.events[i-1].device {
			changes++
		}
	}
	return max(changes, (len(b.events)-1)/eventsPerRequest)
}

// add reads one statistic.
func (b *batch) add(l *jsonlex.Lexer) {
	b.events = append(b.events, event{})
	e := &b.events[len(b.events)-1]
	if l.Space(); l.Kind() != "an object" {
		l.Skip()
		e.wrong = errNoObject
		return
	}
	e.read(l, nil)
	if e.wrong = e.identified(); e.wrong == nil && e.action == "" {
		e.wrong = errNoAction
	}
}

func (b *batch) ofOneApp() error {
	app := ""
	for i := range b.events {
		switch e := &b.events[i]; {
		case app == "":
			app = e.app
		case e.app != "" && e.app != app:
			return errMixedApps
		}
	}
	return nil
}

// take hands the statistics of a body to the ledger.
func (h *Handler) take(w http.ResponseWriter, r *http.Request, visitor edge.Visitor, b *batch) {
	t := taker{Handler: h, now: h.Now(), visitor: visitor, silent: silent(r), took: make(map[info]error, len(b.events))}
	for i := range b.events {
		if e := &b.events[i]; e.wrong == nil {
			h.count(e.action)
			e.wrong = t.takeOnce(&e.info)
		}
	}
	if r.Header.Get("Origin") != "" && len(b.events) > 0 {
		in := &b.events[0].info
		d := in.place()
		_ = t.turnTo(in) // also of one that may not speak, the answer may be read
		c, _ := t.follow(in, &d)
		allowOrigin(w, r, c)
	}
}

// taker hands statistics of one request to the ledger.
type taker struct {
	*Handler

	now     time.Time
	visitor edge.Visitor
	silent  bool // the device asked not to be counted

	device    string // whose statistic is taken, mostly that of all
	pseudonym ledger.Pseudonym
	network   ledger.Network
	refused   error // why the visitor may not speak for the device, if it may not

	took map[info]error // what became of each statistic of the request so far
}

// turnTo turns to the device of a statistic. It gives an error when the visitor may not speak for it.
func (t *taker) turnTo(in *info) error {
	if in.device != t.device {
		t.device, t.pseudonym = in.device, t.Ledger.Pseudonym(in.app, in.device)
		t.network, t.refused = t.Edge.SpeakFor(t.visitor, in.device)
	}
	return t.refused
}

// follow gives the channel that the device follows.
func (t *taker) follow(in *info, d *resolve.Device) (*resolve.Channel, resolve.Reason) {
	p := parsePlugin(in.plugin, d.Platform == electron)
	return t.resolved().Follow(in.app, t.wish(in, p, t.pseudonym), d, t.now)
}

// takeOnce takes a statistic, or gives what became of it when it was in the request before: to repeat it says nothing.
func (t *taker) takeOnce(in *info) error {
	err, again := t.took[*in]
	if !again {
		err = t.take(in)
		t.took[*in] = err
	}
	return err
}

// take hands over what a statistic says of a bundle. One of an unknown app is dropped in silence: anybody can make names up. Of
// a device that asked not to be counted only a failure that keeps it from a bundle is kept, without a vote.
func (t *taker) take(in *info) error {
	if err := t.turnTo(in); err != nil {
		return err
	}
	m := actions[in.action]
	if !m.counts || m.confirmed != nil && !m.confirmed(in) || t.silent && !m.bars() {
		return nil
	}
	d := in.place()
	d.OSVersion, d.Region = t.os.Get(in.os), t.visitor.Region()
	channel, why := t.follow(in, &d)
	if why == resolve.ReasonUnknownApp {
		return nil
	}
	r := ledger.Report{
		App: in.app, Device: t.pseudonym, Client: in.client(&d), Network: t.network, Votes: d.Votes() && !t.silent,
		Outcome: m.outcome, Kind: m.kind, At: in.at(t.now), AfterOffer: m.afterOffer,
	}
	if m.naming.names(d.Platform) {
		var err error
		if d.NativeVersion, err = t.builds.Get(in.build); err == nil && channel != nil {
			channel = channel.For(&d) // who could not get the candidate is in no arm
		}
		if !t.name(&r, in, channel) {
			return nil
		}
		r.AfterOffer = false
	}
	if !t.Ledger.Reported(&r) {
		return errDropped
	}
	return nil
}

// name says which bundle a report is about. It gives false for one that is none of ours, and for the embedded one unless that
// crashed: where devices keep it as the control of a trial, the candidate's crashes are compared with those.
func (t *taker) name(r *ledger.Report, in *info, channel *resolve.Channel) bool {
	version, _, _ := strings.Cut(in.name, ":") // a file's path may follow
	if version != "" && in.embedded(version) && r.Kind == ledger.KindCrash {
		r.Version = ledger.Embedded
		return true
	}
	if _, err := t.names.Get(version); err != nil || in.embedded(version) {
		return false
	}
	r.Version = version
	r.Assigned, r.Known = ledger.AssignedTo(channel, in.device, func(b *resolve.Bundle) bool { return b.Version == version })
	r.Digest = r.Assigned.Digest
	return true
}

// answerOne answers a single statistic.
func answerOne(w http.ResponseWriter, wrong error) error {
	if wrong != nil {
		return wrong
	}
	return answer(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

// appendResults renders what became of an array.
func appendResults(b []byte, of *batch) []byte {
	b = append(b, `{"status":"ok","results":[`...)
	for i := range of.events {
		b = appendResult(b, i, of.events[i].wrong)
	}
	if of.more {
		b = appendResult(b, len(of.events), errTooMuch)
	}
	return append(b, `]}`...)
}

func appendResult(b []byte, index int, wrong error) []byte {
	if index > 0 {
		b = append(b, ',')
	}
	if wrong == nil {
		b = strconv.AppendInt(append(b, `{"status":"ok","index":`...), int64(index), 10)
		return append(b, '}')
	}
	f, ok := errors.AsType[*fault](wrong)
	if !ok { // the device's proof is missing, or another's
		f = errUnproved
	}
	b = strconv.AppendInt(append(b, `{"status":"error","index":`...), int64(index), 10)
	b = jsonlex.AppendText(append(b, `,"error":`...), f.code)
	b = jsonlex.AppendText(append(b, `,"message":`...), f.message)
	return append(b, '}')
}
