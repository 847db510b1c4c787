// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package httpx

import (
	"net/http"
	"slices"
	"strings"
)

// Header values of the CORS protocol (Fetch, section 3.2) that all answers share; nobody changes them. Browsers keep a
// permission for maxAge seconds: short enough that a channel's list soon holds.
var (
	varyOrigin    = []string{"Origin"}
	varyPreflight = []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	allowHeaders  = []string{"Authorization, Content-Type, If-None-Match, Range"}
	maxAge        = []string{"600"}
)

// AllowOrigin lets pages of the request's web origin read the answer, if that origin is allowed. The function gets it as
// browsers write it, in lower case, without a default port or a slash at its end, and compares all of it. Without an Origin, and
// with null, which any page can have, nothing is allowed.
func AllowOrigin(w http.ResponseWriter, r *http.Request, allowed func(origin string) bool) {
	header := w.Header()
	header["Vary"] = varyOrigin
	if origin, ok := originOf(r); ok && allowed(origin) {
		header["Access-Control-Allow-Origin"] = []string{origin}
	}
}

// originOf gives the web origin of a request; false without exactly one.
func originOf(r *http.Request) (string, bool) {
	lines := r.Header["Origin"]
	if len(lines) != 1 || lines[0] == "" || lines[0] == "null" {
		return "", false
	}
	return lines[0], true
}

// foreign tells whether a request comes from a page that may not ask. Browsers keep such a page from reading the answer, but
// they send its request, if it is one that a form could make: pages with many visitors could vote from many networks. A device's
// own HTTP client sends no Origin.
func (r *Route) foreign(q *http.Request) bool {
	if r.Origins == nil || len(q.Header["Origin"]) == 0 || q.Method == http.MethodGet || q.Method == http.MethodHead {
		return false
	}
	origin, ok := originOf(q)
	return !ok || !r.Origins(origin)
}

// preflight makes the route by which a browser asks whether a page may use the routes of a path; false when no page ever may.
// Nothing of the question comes back but an origin that is allowed. To other origins the answer is that to a plain OPTIONS.
func preflight(routes []Route) (Route, bool) {
	var methods []string
	var allowed []func(string) bool
	for _, r := range routes {
		if r.Origins != nil {
			methods = append(methods, r.Method)
			allowed = append(allowed, r.Origins)
		}
	}
	if len(methods) == 0 {
		return Route{}, false
	}
	allow, allowMethods := []string{methodList(routes)}, []string{strings.Join(methods, ", ")}
	return Route{Method: http.MethodOptions, Path: routes[0].Path, Name: routes[0].Name, Handle: func(w http.ResponseWriter, r *http.Request) error {
		header := w.Header()
		header["Vary"], header["Allow"] = varyPreflight, allow
		origin, ok := originOf(r)
		ok = ok && r.Header.Get("Access-Control-Request-Method") != ""
		if ok && slices.ContainsFunc(allowed, func(f func(string) bool) bool { return f(origin) }) {
			header["Access-Control-Allow-Origin"] = []string{origin}
			header["Access-Control-Allow-Methods"], header["Access-Control-Allow-Headers"] = allowMethods, allowHeaders
			header["Access-Control-Max-Age"] = maxAge
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}}, true
}

func methodList(routes []Route) string {
	methods := make([]string, 0, len(routes))
	for _, r := range routes {
		methods = append(methods, r.Method)
	}
	return strings.Join(methods, ", ")
}
