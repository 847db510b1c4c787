// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package capgo speaks to apps with @capgo/capacitor-updater and @capgo/electron-updater: update checks, statistics and the
// channel that a device chooses. It is lenient in what it reads and strict in what it sends, since the clients of two platforms
// take offence at different things. docs/api/capgo.md is its contract.
package capgo

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/prometheus/client_golang/prometheus"

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

// Routes of the protocol: updateUrl, statsUrl and channelUrl of an app's configuration. Clients add the last part of SizePath.
const (
	CheckPath   = "/updates"
	SizePath    = "/updates/manifest_size"
	StatsPath   = "/stats"
	ChannelPath = "/channel_self"
)

// Largest bodies, in bytes. Checks have some hundred; statistics come by the hundred, and a manifest lists all files of an app.
const (
	maxBody      = 64 << 10
	maxBatchBody = 1 << 20
)

// batchTimeout is the time for the body of a batch, over a slow network. Clients wait about as long for their answer.
const batchTimeout = 25 * time.Second

// Ledger is what the protocol needs of the ledger.
type Ledger interface {
	Overrides

	Failed(p ledger.Pseudonym) []string
	Checked(c *ledger.Check)
	Reported(r *ledger.Report) bool
}

// Overrides keeps the channels that devices with old plugins chose.
type Overrides interface {
	Pseudonym(app, deviceID string) ledger.Pseudonym
	Override(p ledger.Pseudonym) string
	SetOverride(ctx context.Context, app string, p ledger.Pseudonym, channel string) error
}

// Edge is what the protocol needs of the gateway's edge.
type Edge interface {
	Admit(c limit.Class, r *http.Request) (v edge.Visitor, wait time.Duration)
	SpeakFor(v edge.Visitor, deviceID string) (ledger.Network, error)
	Charge(c limit.Class, v edge.Visitor, requests int)
	Begin(c limit.Class) bool
	End(c limit.Class)
}

// Config of a Handler.
type Config struct {
	View    func() *view.View
	Ledger  Ledger
	Edge    Edge
	BaseURL string // of artifact URLs, without a slash at its end; empty: as the request came in
	Now     func() time.Time
}

// Handler answers the protocol's requests from the present view.
type Handler struct {
	Config

	events map[string]prometheus.Counter // by action
	builds *versions.Cache               // of native builds: 1.2 means 1.2.0
	names  *versions.Cache               // of bundles: 1.2 is none of ours
	os     *versions.Systems
}

// New makes a Handler and registers its metrics.
func New(cfg Config, r prometheus.Registerer) *Handler {
	return &Handler{
		Config: cfg, events: newEventCounters(r),
		builds: versions.New(compat.ParseVersion), names: versions.New(semver.StrictNewVersion),
		os: versions.NewSystems(),
	}
}

// Routes of the protocol.
func (h *Handler) Routes() []httpx.Route {
	routes := []httpx.Route{
		{Method: http.MethodPost, Path: CheckPath, Name: "capgo_check", MaxBody: maxBody, Handle: h.check},
		{Method: http.MethodPost, Path: SizePath, Name: "capgo_size", MaxBody: maxBatchBody, Handle: h.size},
		{Method: http.MethodPost, Path: StatsPath, Name: "capgo_stats", MaxBody: maxBatchBody, BodyTimeout: batchTimeout, Handle: h.stats},
		{Method: http.MethodPut, Path: ChannelPath, Name: "capgo_channel", MaxBody: maxBody, Handle: h.channel(h.getChannel)},
		{Method: http.MethodPost, Path: ChannelPath, Name: "capgo_channel", MaxBody: maxBody, Handle: h.channel(h.setChannel)},
		{Method: http.MethodGet, Path: ChannelPath, Name: "capgo_channel", MaxBody: maxBody, Handle: h.channel(h.listChannels)},
		{Method: http.MethodDelete, Path: ChannelPath, Name: "capgo_channel", MaxBody: maxBody, Handle: h.channel(h.unsetChannel)},
	}
	for i := range routes {
		routes[i].Handle, routes[i].Origins = rendered(routes[i].Handle), h.allowsOrigin
	}
	return routes
}

// rendered answers faults in the words of the protocol. Other errors are those of the HTTP layer.
func rendered(handle httpx.HandlerFunc) httpx.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := handle(w, r)
		if f, ok := errors.AsType[*fault](err); ok {
			return f.write(w)
		}
		return err
	}
}

// admit looks at a request before it is read. It gives shed when the network of the request has spent its budget, and the client
// has to be told in the words of success; one that comes back by itself gets a fault that says when.
func (h *Handler) admit(c limit.Class, r *http.Request) (v edge.Visitor, shed bool, err error) {
	v, wait := h.Edge.Admit(c, r)
	if wait > 0 && agent(r).waits() {
		return v, false, tooMany(wait)
	}
	return v, wait > 0, nil
}

// scratch is what a request needs while it is answered. It is used again for others.
type scratch struct {
	buf    []byte // the request's body, then the answer
	info   info
	plugin plugin
	device resolve.Device
	noted  ledger.Check // with the answer
	events []event
}

var scratches = sync.Pool{New: func() any { return &scratch{buf: make([]byte, 0, 2<<10)} }}

// mostKept is the largest buffer that is used again, in bytes.
const mostKept = 256 << 10

func (s *scratch) release() {
	events := s.events[:0]
	clear(s.events)
	if *s = (scratch{buf: s.buf[:0], events: events}); cap(s.buf) > mostKept {
		return
	}
	scratches.Put(s)
}

// body reads a request's body. The text stays valid when the buffer is used again. What the client calls it is of no interest.
func (s *scratch) body(r *http.Request) (string, error) {
	var err error
	s.buf, err = jsonlex.ReadAll(s.buf, r.Body)
	return string(s.buf), err
}

// read reads a request that is one object.
func (s *scratch) read(r *http.Request) error {
	body, err := s.body(r)
	if err != nil {
		return err
	}
	err = parseInfo(&s.info, body, nil)
	s.know()
	return err
}

// know derives from the request's object what most handlers need.
func (s *scratch) know() {
	s.device = s.info.place()
	s.plugin = parsePlugin(s.info.plugin, s.device.Platform == electron)
}

// resolved gives the compiled channels, or nil before there are any.
func (h *Handler) resolved() *resolve.View {
	if v := h.View(); v != nil {
		return &v.View
	}
	return nil
}

// wish is what the device wants to follow. The server keeps a channel for old plugins only: a new one would never unset it.
func (h *Handler) wish(in *info, p plugin, device ledger.Pseudonym) resolve.Wish {
	wish := resolve.Wish{Channel: in.defaultChannel}
	if !p.keepsChannel() {
		wish.Override = h.Ledger.Override(device)
	}
	return wish
}

// silent tells whether the device asked not to be counted.
func silent(r *http.Request) bool {
	return r.Header.Get("Sec-Gpc") == "1" || r.Header.Get("Dnt") == "1" || strings.EqualFold(r.Header.Get("X-Ota-Telemetry"), "off")
}

// Header values that all answers share; nobody changes them.
var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
)

// answer writes an answer for one device.
func answer(w http.ResponseWriter, status int, body []byte) error {
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = jsonType, noStore
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client went away
	return nil
}

func (h *Handler) allowsOrigin(origin string) bool { return h.resolved().AllowsOrigin(origin) }

// allowOrigin lets pages of a web origin read the answer, if the device's channel does. There may be no channel.
func allowOrigin(w http.ResponseWriter, r *http.Request, c *resolve.Channel) {
	if r.Header["Origin"] != nil { // plugins send none
		httpx.AllowOrigin(w, r, func(origin string) bool { return c != nil && c.AllowsOrigin(origin) })
	}
}
