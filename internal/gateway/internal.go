// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/outcome"
)

// CountsPath is where the manager reads what devices reported.
const CountsPath = "/internal/v1/counts"

// internalTimeout bounds what the internal listener does for a request.
const internalTimeout = 10 * time.Second

func (s *Server) internalRoutes() []httpx.Route {
	metrics := promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{Registry: s.registry})
	return []httpx.Route{
		{Method: http.MethodGet, Path: CountsPath, Name: "counts", Timeout: internalTimeout, Handle: s.counts},
		{Method: http.MethodGet, Path: "/metrics", Name: "metrics", Handle: func(w http.ResponseWriter, r *http.Request) error {
			metrics.ServeHTTP(w, r)
			return nil
		}},
	}
}

func (s *Server) probes() []httpx.Route {
	return []httpx.Route{
		{Method: http.MethodGet, Path: "/livez", Name: "livez", Handle: func(w http.ResponseWriter, _ *http.Request) error {
			return say(w, "ok")
		}},
		{Method: http.MethodGet, Path: "/readyz", Name: "readyz", Handle: s.ready},
	}
}

// ready tells whether devices get sound answers: some metadata were verified. Expired metadata and an unreachable bucket
// keep it ready: the answers are "no update", which is right, while a 503 would count as a failure with devices.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	switch {
	case s.draining.Load():
		return &httpx.Problem{Status: http.StatusServiceUnavailable, Detail: "shutting down"}
	case s.poller.View() == nil:
		return &httpx.Problem{Status: http.StatusServiceUnavailable, Detail: "no metadata were verified yet"}
	}
	return say(w, "ok")
}

func say(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text+"\n") // an error means that the client went away
	return nil
}

// Counts is the answer of CountsPath.
type Counts struct {
	App             string        `json:"app"`
	Channel         string        `json:"channel"`
	Since           time.Time     `json:"since"`           // when this process began to count: another value means that it was restarted
	MetadataVersion int64         `json:"metadataVersion"` // what this gateway serves; 0: nothing yet
	Counts          []outcome.Row `json:"counts"`
}

func (s *Server) counts(w http.ResponseWriter, r *http.Request) error {
	if err := s.authorize(r); err != nil {
		return err
	}
	query := r.URL.Query()
	c := Counts{App: query.Get("app"), Channel: query.Get("channel"), Since: s.ledger.Since()}
	for name, value := range map[string]string{"app": c.App, "channel": c.Channel} {
		if value == "" {
			return &httpx.Problem{Status: http.StatusBadRequest, Detail: "the query is incomplete", Fields: []httpx.FieldError{
				{Field: name, Expected: "a name", Actual: "nothing"},
			}}
		}
	}
	if v := s.poller.View(); v != nil {
		c.MetadataVersion = v.Version
	}
	c.Counts = s.ledger.Counts(c.App, c.Channel)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(c)
}

// authorize checks the bearer token against the file, which is read each time so that a new token counts at once.
func (s *Server) authorize(r *http.Request) error {
	denied := &httpx.Problem{
		Status: http.StatusUnauthorized, Detail: "expected the bearer token of --counts-token-file",
		Header: http.Header{"Www-Authenticate": {"Bearer"}},
	}
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || s.cfg.TokenFile == "" {
		return denied
	}
	want, err := ReadToken(s.cfg.TokenFile)
	if err != nil {
		return err
	}
	gotSum, wantSum := sha256.Sum256([]byte(got)), sha256.Sum256(want) // equal lengths, so that time tells nothing
	if subtle.ConstantTimeCompare(gotSum[:], wantSum[:]) != 1 {
		return denied
	}
	return nil
}

// ReadToken reads a token file. White space around the token does not count.
func ReadToken(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read token file: %w", err)
	}
	token := bytes.TrimSpace(raw)
	if len(token) < 16 {
		return nil, fmt.Errorf("token file %s: expected a token of at least 16 characters, got %d", path, len(token))
	}
	return token, nil
}
