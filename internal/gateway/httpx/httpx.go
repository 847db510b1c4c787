// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package httpx adapts handlers that return errors to net/http: one place that limits, recovers, measures, logs and renders
// what went wrong.
package httpx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HandlerFunc answers a request, or gives a *Problem; any other error is a 500 whose text stays in the log. It must not have
// written when it returns an error.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Route is one method on one path.
type Route struct {
	Method  string
	Path    string        // pattern of http.ServeMux, without the method
	Name    string        // label of metrics and logs
	MaxBody int64         // bytes of the request's body; 0: none is allowed
	Timeout time.Duration // of the request's context; 0: that of the server
	Handle  HandlerFunc

	// BodyTimeout is the time for the request's body, from the end of its header; 0: what is left of the server's ReadTimeout.
	// The answer must be written in the server's WriteTimeout, which begins at the same time.
	BodyTimeout time.Duration
	// Origins tells whether pages of a web origin may ask at all (CORS): browsers get an answer to their question before the
	// request (preflight), and a request that is not GET of a page of another origin is a 403. Which answers a page may read
	// is said by the handler, with AllowOrigin. Nil: pages are not thought of.
	Origins func(origin string) bool
}

// Adapter makes http.Handlers of Routes.
type Adapter struct {
	log       *slog.Logger
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	bytes     *prometheus.CounterVec
	inFlight  prometheus.Gauge
	hsts      []string
}

// New makes an Adapter and registers its metrics.
func New(log *slog.Logger, r prometheus.Registerer) *Adapter {
	a := &Adapter{
		log: log,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "windlass_gateway_http_requests_total", Help: "Requests that were answered; code 499 means that the client went away.",
		}, []string{"route", "method", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "windlass_gateway_http_request_duration_seconds", Help: "Time to answer a request, with its body.",
			Buckets:                     []float64{0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"route", "method"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "windlass_gateway_http_response_bytes_total", Help: "Bytes of the bodies of answers.",
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "windlass_gateway_http_requests_in_flight", Help: "Requests that are being answered.",
		}),
	}
	r.MustRegister(a.requests, a.durations, a.bytes, a.inFlight)
	return a
}

// HSTS makes answers over TLS tell browsers to come back over TLS only, for so long (RFC 6797); 0: they do not. Call it before
// the first request. Subdomains are not spoken for. Behind a proxy that ends TLS, the proxy has to say it.
func (a *Adapter) HSTS(maxAge time.Duration) {
	a.hsts = nil
	if maxAge > 0 {
		a.hsts = []string{fmt.Sprintf("max-age=%d", int64(maxAge.Seconds()))}
	}
}

// Mux makes a handler of routes. Other paths are a 404 and other methods a 405, both as Problems. So are paths that http.ServeMux
// would redirect to their clean form: no client of ours asks for them, and updaters do not follow a redirect of a POST.
func (a *Adapter) Mux(routes ...Route) http.Handler {
	mux := http.NewServeMux()
	paths := map[string][]Route{}
	for _, r := range routes {
		mux.Handle(r.Method+" "+r.Path, a.Handler(r))
		paths[r.Path] = append(paths[r.Path], r)
	}
	for path, routes := range paths {
		if r, ok := preflight(routes); ok {
			mux.Handle(r.Method+" "+path, a.Handler(r))
		}
		mux.Handle(path, a.Handler(Route{Name: "other", Method: "other", Handle: methodNotAllowed(methodList(routes))}))
	}
	other := a.Handler(Route{Name: "other", Method: "other", Handle: notFound})
	mux.Handle("/", other)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isClean(r.URL.EscapedPath()) {
			other.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isClean tells whether a path begins with a slash, and has no element that is ".", ".." or, but for the last, empty.
func isClean(path string) bool {
	rest, more := strings.CutPrefix(path, "/")
	for more {
		var element string
		element, rest, more = strings.Cut(rest, "/")
		if element == "." || element == ".." || element == "" && more {
			return false
		}
	}
	return strings.HasPrefix(path, "/")
}

func methodNotAllowed(list string) HandlerFunc {
	return func(http.ResponseWriter, *http.Request) error {
		return &Problem{Status: http.StatusMethodNotAllowed, Detail: "expected method " + list, Header: http.Header{"Allow": {list}}}
	}
}

func notFound(http.ResponseWriter, *http.Request) error {
	return &Problem{Status: http.StatusNotFound, Detail: "there is no such path"}
}

// commonCodes have their counters looked up once for each route.
var commonCodes = []int{200, 202, 204, 206, 304, 307, 400, 401, 403, 404, 405, 408, 413, 415, 416, 429, statusClientGone, 500, 502, 503}

// handler is one route with its counters.
type handler struct {
	*Adapter
	route    Route
	codes    map[int]prometheus.Counter
	duration prometheus.Observer
	sent     prometheus.Counter // bytes
}

// Handler adapts one route.
func (a *Adapter) Handler(route Route) http.Handler {
	h := &handler{
		Adapter: a, route: route, codes: map[int]prometheus.Counter{}, duration: a.durations.WithLabelValues(route.Name, route.Method),
		sent: a.bytes.WithLabelValues(route.Name),
	}
	for _, code := range commonCodes {
		h.codes[code] = h.count(code)
	}
	return h
}

func (h *handler) count(code int) prometheus.Counter {
	return h.requests.WithLabelValues(h.route.Name, h.route.Method, fmt.Sprint(code))
}

// Values that all answers share; nobody changes them.
var (
	noSniff   = []string{"nosniff"}
	noContent = []string{"default-src 'none'"}
)

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	h.inFlight.Inc()
	res := &response{ResponseWriter: w}
	defer h.done(res, r, start) // also when a panic goes on
	defer func() {
		if v := recover(); v != nil {
			h.panicked(res, r, v)
		}
	}()
	header := w.Header()
	header["X-Content-Type-Options"], header["Content-Security-Policy"] = noSniff, noContent
	if h.hsts != nil && r.TLS != nil {
		header["Strict-Transport-Security"] = h.hsts
	}
	if h.route.Origins != nil {
		header["Vary"] = varyOrigin
	}
	if h.route.Timeout > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), h.route.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	h.limitBody(res, r)
	if err := h.answer(res, r); err != nil {
		h.fail(res, r, err)
	}
}

func (h *handler) answer(w http.ResponseWriter, r *http.Request) error {
	if h.route.foreign(r) {
		return &Problem{Status: http.StatusForbidden, Detail: "expected a web origin that a channel allows, or none"}
	}
	return h.route.Handle(w, r)
}

// fail renders an error.
func (h *handler) fail(res *response, r *http.Request, err error) {
	p, ok := errors.AsType[*Problem](err)
	unread, isBody := errors.AsType[*bodyError](err)
	switch {
	case isBody && !unread.gone(r):
		p = unread.problem(r)
	case isBody || r.Context().Err() == context.Canceled:
		res.leave()
		return
	case !ok:
		p = &Problem{Status: http.StatusInternalServerError, Err: err}
	}
	id := requestID()
	if p.Status >= http.StatusInternalServerError {
		h.log.Error("Answering a request failed", "route", h.route.Name, "requestID", id, "code", p.Status, "error", err)
	}
	if res.status == 0 {
		p.write(res, id)
	}
}

// panicked answers what made a handler panic, or cuts the connection when an answer has begun.
func (h *handler) panicked(res *response, r *http.Request, v any) {
	if v == http.ErrAbortHandler { //nolint:errorlint // the very value
		panic(v)
	}
	h.log.Error("Handler panicked", "route", h.route.Name, "panic", v, "stack", string(debug.Stack()))
	if res.status != 0 {
		panic(http.ErrAbortHandler)
	}
	h.fail(res, r, &Problem{Status: http.StatusInternalServerError})
}

// done measures a request, and logs it at debug level: no device id and no address.
func (h *handler) done(res *response, r *http.Request, start time.Time) {
	h.inFlight.Dec()
	code := res.status
	if code == 0 {
		code = http.StatusOK
	}
	took := time.Since(start)
	counter, ok := h.codes[code]
	if !ok {
		counter = h.count(code)
	}
	counter.Inc()
	h.duration.Observe(took.Seconds())
	h.sent.Add(float64(res.bytes))
	if h.log.Enabled(r.Context(), slog.LevelDebug) {
		h.log.Debug("Answered", "route", h.route.Name, "method", r.Method, "code", code, "bytes", res.bytes, "duration", took)
	}
}

func requestID() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// response remembers what was answered.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
	body   requestBody // of the request, here to spare an allocation
}

// WriteHeader implements http.ResponseWriter.
func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// leave ends the answer of a client that has gone away. Who closed only its own side gets to read that it failed: net/http
// would write a 200.
func (r *response) leave() {
	if r.status == 0 {
		r.ResponseWriter.WriteHeader(http.StatusBadRequest)
	}
	r.status = statusClientGone
}

// Write implements io.Writer.
func (r *response) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }
