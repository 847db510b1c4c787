// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package httpx_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
)

// The channel of the sample routes allows one origin, and another channel allows another.
const (
	appOrigin   = "https://app.example.com"
	otherOrigin = "https://other.example.com:8443"
	viewOrigin  = "capacitor://localhost"
)

func ofAnyChannel(origin string) bool {
	return slices.Contains([]string{appOrigin, otherOrigin, viewOrigin}, origin)
}

func ofTheChannel(origin string) bool { return origin == appOrigin || origin == viewOrigin }

// sampleRoutes are one of each class.
func sampleRoutes() []httpx.Route {
	say := func(w http.ResponseWriter, r *http.Request) error {
		httpx.AllowOrigin(w, r, ofTheChannel)
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, "{}")
		return nil
	}
	refuse := func(w http.ResponseWriter, r *http.Request) error {
		httpx.AllowOrigin(w, r, ofTheChannel)
		return &httpx.Problem{Status: http.StatusBadRequest}
	}
	return []httpx.Route{
		{Method: "POST", Path: "/check", Name: "check", MaxBody: 8, Origins: ofAnyChannel, Handle: say},
		{Method: "POST", Path: "/refused", Name: "refused", MaxBody: 8, Origins: ofAnyChannel, Handle: refuse},
		{Method: "GET", Path: "/channel", Name: "channel", Origins: ofAnyChannel, Handle: say},
		{Method: "POST", Path: "/channel", Name: "channel", Origins: ofAnyChannel, Handle: say},
		{Method: "DELETE", Path: "/channel", Name: "channel", Origins: ofAnyChannel, Handle: say},
		{Method: "PUT", Path: "/channel", Name: "channel", Handle: say},
		{Method: "GET", Path: "/artifact/{digest}", Name: "artifact", Origins: ofAnyChannel, Handle: say},
		{Method: "GET", Path: "/livez", Name: "livez", Handle: func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.WriteString(w, "ok")
			return err
		}},
	}
}

type originCase struct {
	name   string
	lines  []string
	any    bool // a channel allows it
	theOne bool // the channel that answers does
}

var origins = []originCase{
	{"none", nil, false, false},
	{"allowed", []string{appOrigin}, true, true},
	{"allowed web view", []string{viewOrigin}, true, true},
	{"allowed by another channel", []string{otherOrigin}, true, false},
	{"unknown", []string{"https://evil.example.com"}, false, false},
	{"null", []string{"null"}, false, false},
	{"empty", []string{""}, false, false},
	{"all", []string{"*"}, false, false},
	{"upper case", []string{"https://APP.example.com"}, false, false},
	{"scheme in upper case", []string{"HTTPS://app.example.com"}, false, false},
	{"default port", []string{appOrigin + ":443"}, false, false},
	{"other port", []string{appOrigin + ":8443"}, false, false},
	{"port is missing", []string{"https://other.example.com"}, false, false},
	{"slash at the end", []string{appOrigin + "/"}, false, false},
	{"path", []string{appOrigin + "/x"}, false, false},
	{"no TLS", []string{"http://app.example.com"}, false, false},
	{"no scheme", []string{"app.example.com"}, false, false},
	{"longer name", []string{appOrigin + ".evil.example"}, false, false},
	{"shorter name", []string{"https://example.com"}, false, false},
	{"user", []string{"https://app.example.com@evil.example"}, false, false},
	{"space", []string{appOrigin + " "}, false, false},
	{"list", []string{appOrigin + ", " + appOrigin}, false, false},
	{"two lines", []string{appOrigin, appOrigin}, false, false},
	{"long", []string{"https://" + strings.Repeat("a", 8000)}, false, false},
}

// The methods that a preflight allows, by path; none for paths that pages cannot use.
var pathMethods = map[string]string{
	"/check": "POST", "/refused": "POST", "/channel": "GET, POST, DELETE", "/artifact/x": "GET", "/livez": "", "/none": "",
}

// securityHeaders are on every answer. What is said of CORS is checked by the caller.
func checkSecurity(t *testing.T, h http.Header) {
	t.Helper()
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") != "default-src 'none'" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("headers %v", h)
	}
}

func corsHeaders(h http.Header) []string {
	var names []string
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func ask(h http.Handler, method, path string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(""))
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Every class of routes and every origin: who may ask, who may read, and that nothing is said to others.
func TestOrigins(t *testing.T) {
	t.Parallel()
	mux := newFixture(t).adapter.Mux(sampleRoutes()...)
	for _, route := range []struct {
		method, path string
		pages        bool // may use it
		status       int  // for whom may ask
	}{
		{"POST", "/check", true, 200}, {"POST", "/refused", true, 400}, {"GET", "/channel", true, 200}, {"POST", "/channel", true, 200},
		{"DELETE", "/channel", true, 200}, {"GET", "/artifact/x", true, 200}, {"HEAD", "/artifact/x", true, 200},
		{"GET", "/livez", false, 200}, {"POST", "/livez", false, 405}, {"GET", "/none", false, 404}, {"GET", "/check", false, 405},
	} {
		for _, o := range origins {
			t.Run(route.method+route.path+" "+o.name, func(t *testing.T) {
				t.Parallel()
				w := ask(mux, route.method, route.path, http.Header{"Origin": o.lines})
				status, allowed := route.status, ""
				if route.pages && o.lines != nil && !o.any && route.method != "GET" && route.method != "HEAD" {
					status = 403
				}
				if route.pages && o.theOne {
					allowed = o.lines[0]
				}
				if w.Code != status || w.Header().Get("Access-Control-Allow-Origin") != allowed {
					t.Errorf("got %d for %q, want %d for %q", w.Code, w.Header().Get("Access-Control-Allow-Origin"), status, allowed)
				}
				if got := corsHeaders(w.Header()); len(got) != min(1, len(allowed)) {
					t.Errorf("CORS headers %v", got)
				}
				if vary := w.Header().Get("Vary"); (vary == "Origin") != route.pages {
					t.Errorf("Vary: %s", vary)
				}
				checkSecurity(t, w.Header())
			})
		}
	}
}

func TestPreflights(t *testing.T) {
	t.Parallel()
	mux := newFixture(t).adapter.Mux(sampleRoutes()...)
	for path, methods := range pathMethods {
		for _, o := range origins {
			t.Run(path+" "+o.name, func(t *testing.T) {
				t.Parallel()
				w := ask(mux, "OPTIONS", path, http.Header{
					"Origin": o.lines, "Access-Control-Request-Method": {"EVIL"}, "Access-Control-Request-Headers": {"X-Evil"},
				})
				checkSecurity(t, w.Header())
				if strings.Contains(strings.ToLower(strings.Join(slices.Concat(slices.Collect(maps.Values(w.Header()))...), "")), "evil") {
					t.Errorf("the question comes back: %v", w.Header())
				}
				if methods == "" {
					if w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusNotFound || len(corsHeaders(w.Header())) > 0 {
						t.Errorf("got %d %v", w.Code, w.Header())
					}
					return
				}
				want := http.Header{}
				if o.any {
					want = http.Header{
						"Access-Control-Allow-Origin": {o.lines[0]}, "Access-Control-Allow-Methods": {methods}, "Access-Control-Max-Age": {"600"},
						"Access-Control-Allow-Headers": {"Authorization, Content-Type, If-None-Match, Range"},
					}
				}
				if got := corsHeaders(w.Header()); w.Code != http.StatusNoContent || !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
					t.Errorf("got %d %v", w.Code, got)
				}
				for name := range want {
					if w.Header().Get(name) != want.Get(name) {
						t.Errorf("%s: got %s, want %s", name, w.Header().Get(name), want.Get(name))
					}
				}
				if !strings.HasPrefix(w.Header().Get("Vary"), "Origin, ") || w.Body.Len() > 0 {
					t.Errorf("headers %v, body %s", w.Header(), w.Body)
				}
			})
		}
	}
}

// OPTIONS without a preflight's headers is answered as HTTP has it, and says nothing of CORS.
func TestPlainOptions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := ask(f.adapter.Mux(sampleRoutes()...), "OPTIONS", "/channel", http.Header{"Origin": {appOrigin}})
	if w.Code != http.StatusNoContent || w.Header().Get("Allow") != "GET, POST, DELETE, PUT" || len(corsHeaders(w.Header())) > 0 {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	if f.count("204") != 1 {
		t.Error("it is not counted")
	}
}

// HSTS is said over TLS only, on every answer, problems too.
func TestHSTS(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		tls    bool
		maxAge time.Duration
		want   string
	}{
		{"TLS", true, 365 * 24 * time.Hour, "max-age=31536000"},
		{"plain", false, time.Hour, ""},
		{"TLS, but not wanted", true, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.adapter.HSTS(tc.maxAge)
			s := httptest.NewUnstartedServer(f.adapter.Mux(sampleRoutes()...))
			s.EnableHTTP2 = true
			if tc.tls {
				s.StartTLS()
			} else {
				s.Start()
			}
			defer s.Close()
			for _, path := range []string{"/livez", "/none", "/check", "/channel", "/artifact/x"} {
				res, err := s.Client().Get(s.URL + path)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				if got := res.Header.Get("Strict-Transport-Security"); got != tc.want {
					t.Errorf("%s: got %q, want %q", path, got, tc.want)
				}
				checkSecurity(t, res.Header)
			}
		})
	}
}
