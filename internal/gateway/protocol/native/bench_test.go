// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/release"
)

// mostAllocations is the budget of a check: what the HTTP layer around the protocol needs (the limit of the body, the remembered
// status), the request's text, and no more than a few. A check makes 3; the race detector, under which sync.Pool forgets at random,
// adds some.
const mostAllocations = 8

// void takes an answer.
type void struct{ header http.Header }

func (v *void) Header() http.Header         { return v.header }
func (v *void) Write(p []byte) (int, error) { return len(p), nil }
func (v *void) WriteHeader(int)             {}

// Checks go on without work for the collector of garbage. One of some runs has to keep the budget.
func TestCheckAllocations(t *testing.T) {
	doc := document()
	doc.Candidate.Exclude = []release.Slice{{Platform: "ios", OSVersion: "<13.0.0", Region: "DE"}}
	f := newFixture(t, doc)
	f.withEdge(proxied())
	source := strings.NewReader(request("osVersion", `"17.5.1"`, "current", `{"version":"2.4.0","digest":"sha256:`+stableHex+`"}`))
	r := httptest.NewRequest(http.MethodPost, native.CheckPath, http.NoBody)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("CF-IPCountry", "DE")
	r.ContentLength = source.Size()
	body, w := io.NopCloser(source), &void{header: http.Header{}}
	check := func() {
		_, _ = source.Seek(0, io.SeekStart)
		r.Body = body
		clear(w.header)
		f.mux.ServeHTTP(w, r)
	}
	check()
	var best float64
	for try := range 5 {
		if n := testing.AllocsPerRun(200, check); try == 0 || n < best {
			best = n
		}
	}
	if best > mostAllocations {
		t.Errorf("a check allocates %v times, at most %d are wanted", best, mostAllocations)
	}
}
