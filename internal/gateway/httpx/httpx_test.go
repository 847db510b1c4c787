// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package httpx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
)

type fixture struct {
	*testing.T
	log      bytes.Buffer
	registry *prometheus.Registry
	adapter  *httpx.Adapter
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{T: t, registry: prometheus.NewRegistry()}
	f.adapter = httpx.New(slog.New(slog.NewTextHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug})), f.registry)
	return f
}

// serve answers one request by a handler on POST /x.
func (f *fixture) serve(method, path, body string, handle httpx.HandlerFunc) *httptest.ResponseRecorder {
	f.Helper()
	mux := f.adapter.Mux(httpx.Route{Method: http.MethodPost, Path: "/x", Name: "x", MaxBody: 8, Handle: handle})
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func (f *fixture) count(code string) float64 {
	f.Helper()
	families, err := f.registry.Gather()
	if err != nil {
		f.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if family.GetName() == "windlass_gateway_http_requests_total" && l.GetName() == "code" && l.GetValue() == code {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

func readAll(w http.ResponseWriter, r *http.Request) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	_, err = w.Write(raw)
	return err
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	secret := errors.New("dial 10.0.0.7: refused")
	for _, tc := range []struct {
		name, method, path, body string
		handle                   httpx.HandlerFunc
		code                     int
		text                     string
	}{
		{"fine", "POST", "/x", "12345678", readAll, 200, "12345678"},
		{"too large", "POST", "/x", "123456789", readAll, 413, "expected a body of at most 8 bytes"},
		{"no such path", "GET", "/y", "", readAll, 404, "there is no such path"},
		{"twice a slash", "POST", "//x", "", readAll, 404, "there is no such path"},
		{"a dot", "POST", "/./x", "", readAll, 404, "there is no such path"},
		{"the way back", "POST", "/y/../x", "", readAll, 404, "there is no such path"},
		{"a slash at the end", "POST", "/x/", "", readAll, 404, "there is no such path"},
		{"an escaped dot", "POST", "/%2e/x", "", readAll, 404, "there is no such path"},
		{"a connection", "CONNECT", "/x/.", "", readAll, 404, "there is no such path"},
		{"other method", "GET", "/x", "", readAll, 405, "expected method POST"},
		{"problem", "POST", "/x", "", func(http.ResponseWriter, *http.Request) error {
			return fmt.Errorf("wrapped: %w", &httpx.Problem{Status: 400, Fields: []httpx.FieldError{{Field: "app", Expected: "a", Actual: "b"}}})
		}, 400, `"errors":[{"field":"app","expected":"a","actual":"b"}]`},
		{"error", "POST", "/x", "", func(http.ResponseWriter, *http.Request) error { return secret }, 500, "Internal Server Error"},
		{"panic", "POST", "/x", "", func(http.ResponseWriter, *http.Request) error { panic(secret) }, 500, "Internal Server Error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			w := f.serve(tc.method, tc.path, tc.body, tc.handle)
			if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.text) {
				t.Errorf("got %d %s, want %d with %q", w.Code, w.Body, tc.code, tc.text)
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Security-Policy") != "default-src 'none'" {
				t.Errorf("headers %v", w.Header())
			}
			if strings.Contains(w.Body.String(), "10.0.0.7") {
				t.Error("the answer shows the cause")
			}
			if got := f.count(fmt.Sprint(tc.code)); got != 1 {
				t.Errorf("%v requests counted with code %d, want 1", got, tc.code)
			}
			if tc.code >= 400 {
				f.checkProblem(w, tc.code)
			}
		})
	}
}

// No path makes a redirect, which an updater would not follow with its POST.
func TestNoRedirects(t *testing.T) {
	t.Parallel()
	mux := newFixture(t).adapter.Mux(
		httpx.Route{Method: http.MethodPost, Path: "/x", Name: "x", Handle: readAll}, httpx.Route{Method: http.MethodGet, Path: "/y/{name}", Name: "y", Handle: readAll},
	)
	rapid.Check(t, func(t *rapid.T) {
		path := "/" + rapid.StringMatching(`((x|y|\.|\.\.|%2e|%2F|a b|)/?){0,5}`).Draw(t, "path")
		r := httptest.NewRequest(rapid.SampledFrom([]string{"POST", "GET", "HEAD", "CONNECT", "OPTIONS"}).Draw(t, "method"), "/", nil)
		r.URL.RawPath = path
		r.URL.Path, _ = url.PathUnescape(path)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code/100 == 3 || w.Header().Get("Location") != "" || w.Header().Get("X-Content-Type-Options") == "" {
			t.Fatalf("%s %s: %d, %v", r.Method, path, w.Code, w.Header())
		}
	})
}

// checkProblem wants an answer as RFC 9457 has it, with an id that is in the log when the fault is ours.
func (f *fixture) checkProblem(w *httptest.ResponseRecorder, code int) {
	f.Helper()
	var p struct {
		Status    int    `json:"status"`
		RequestID string `json:"requestID"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != code || len(p.RequestID) != 16 {
		f.Errorf("problem %s: %v", w.Body, err)
	}
	if w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("X-Request-Id") != p.RequestID {
		f.Errorf("headers %v", w.Header())
	}
	if code == 500 && !strings.Contains(f.log.String(), p.RequestID) {
		f.Errorf("log has not the request id: %s", f.log.String())
	}
}

func TestProblemDropsHeadersOfTheAnswerThatWasNotGiven(t *testing.T) {
	t.Parallel()
	w := newFixture(t).serve("POST", "/x", "", func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("ETag", `"x"`)
		return errors.New("then it failed")
	})
	if w.Header().Get("ETag") != "" || w.Header().Get("Content-Length") != "" {
		t.Errorf("headers %v", w.Header())
	}
}

// A panic after the answer has begun cuts the connection: the client must not take half an answer for a whole one.
func TestPanicAfterTheAnswerBegan(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := httptest.NewServer(f.adapter.Handler(httpx.Route{Name: "x", Method: "GET", Handle: func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		panic("oh")
	}}))
	defer s.Close()
	res, err := http.Get(s.URL)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if err == nil {
		t.Error("the client got a whole answer")
	}
	s.Close() // waits for the handler: it logs after the connection is cut
	if families, _ := f.registry.Gather(); !strings.Contains(fmt.Sprint(families), "in_flight") || strings.Contains(f.log.String(), "127.0.0.1") {
		t.Errorf("log shows an address: %s", f.log.String())
	}
}

func TestGoneClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	h := f.adapter.Handler(httpx.Route{Name: "x", Method: "GET", Handle: func(_ http.ResponseWriter, r *http.Request) error {
		cancel()
		return r.Context().Err()
	}})
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
	if f.count("499") != 1 || strings.Contains(f.log.String(), "level=ERROR") {
		t.Errorf("499 counted %v times, log %s", f.count("499"), f.log.String())
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.adapter.Handler(httpx.Route{Name: "x", Method: "GET", Timeout: time.Millisecond, Handle: func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return &httpx.Problem{Status: http.StatusServiceUnavailable, Err: r.Context().Err()}
	}})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d", w.Code)
	}
}

func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.serve("POST", "/x", "", readAll)
	if problems, err := testutil.GatherAndLint(f.registry); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
