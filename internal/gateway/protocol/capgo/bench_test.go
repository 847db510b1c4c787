// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
)

// mostAllocations is the budget of a check, with what the HTTP layer around the protocol needs and without net/http itself.
const mostAllocations = 25

// void takes an answer.
type void struct{ header http.Header }

func (v *void) Header() http.Header         { return v.header }
func (v *void) Write(p []byte) (int, error) { return len(p), nil }
func (v *void) WriteHeader(int)             {}

// replayed asks the same thing again and again.
func replayed(f *fixture, body string) func() {
	source := strings.NewReader(body)
	r := httptest.NewRequest(http.MethodPost, capgo.CheckPath, io.NopCloser(source))
	r.ContentLength = int64(len(body))
	content := r.Body
	w := &void{header: http.Header{}}
	return func() {
		_, _ = source.Seek(0, io.SeekStart)
		r.Body = content
		clear(w.header)
		f.mux.ServeHTTP(w, r)
	}
}

// The checks that a fleet sends most.
func commonChecks() map[string]string {
	return map[string]string{
		"update":     androidApp.with(fields{"version_name": "2.3.0"}).json(),
		"up_to_date": androidApp.with(fields{"version_name": "2.4.0"}).json(),
		"old":        oldApp.json(),
	}
}

func BenchmarkCheck(b *testing.B) {
	for name, body := range commonChecks() {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b, production())
			f.handler.Ledger = f.ledger.Ledger // the spy allocates
			ask := replayed(f, body)
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
}

func TestAllocations(t *testing.T) {
	for name, body := range commonChecks() {
		f := newFixture(t, production())
		f.handler.Ledger = f.ledger.Ledger // the spy allocates
		ask := replayed(f, body)
		ask()
		if got := testing.AllocsPerRun(100, ask); got > mostAllocations {
			t.Errorf("%s: %v allocations, at most %d are allowed", name, got, mostAllocations)
		}
	}
}
