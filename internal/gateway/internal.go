// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/tokenfile"
)

// CountsPath is where the manager reads what devices reported.
const CountsPath = "/internal/v1/counts"

// SlicesPath is where the manager reads on which devices a trial fails.
const SlicesPath = "/internal/v1/slices"

// internalTimeout bounds what the internal listener does for a request.
const internalTimeout = 10 * time.Second

func (s *Server) internalRoutes() []httpx.Route {
	metrics := promhttp.HandlerFor(s.Metrics(), promhttp.HandlerOpts{Registry: s.Metrics()})
	return []httpx.Route{
		{Method: http.MethodGet, Path: CountsPath, Name: "counts", Timeout: internalTimeout, Handle: s.counts},
		{Method: http.MethodGet, Path: SlicesPath, Name: "slices", Timeout: internalTimeout, Handle: s.slices},
		{Method: http.MethodGet, Path: ExplainPath, Name: "explain", Timeout: internalTimeout, Handle: s.explain},
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
//
// A replica that never saw its ledger would offer a device again what failed on it. It leaves devices to replicas that know, and to
// those that have yet to be replaced in an update. But not for ever: when all replicas were started without the database, devices
// with no answer, which would not even be sent back from a bad bundle, are worse off than those that try a bundle again.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	switch {
	case s.draining.Load():
		return &httpx.Problem{Status: http.StatusServiceUnavailable, Detail: "shutting down"}
	case s.poller.View() == nil:
		return &httpx.Problem{Status: http.StatusServiceUnavailable, Detail: "no metadata were verified yet"}
	case !s.ledger.Known() && time.Since(s.started) < s.cfg.LedgerWait:
		return &httpx.Problem{
			Status: http.StatusServiceUnavailable, Detail: "the ledger's database has not answered: which bundles failed on which devices is not known yet",
		}
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
	App             string       `json:"app"`
	Channel         string       `json:"channel"`
	Ledger          string       `json:"ledger"`          // id of the database: gateways that give the same one tell the same counts
	Since           time.Time    `json:"since"`           // when the database was made
	MetadataVersion int64        `json:"metadataVersion"` // what this gateway serves; 0: nothing yet
	Counts          []ledger.Row `json:"counts"`
}

func (s *Server) counts(w http.ResponseWriter, r *http.Request) error {
	if err := s.authorize(r); err != nil {
		return err
	}
	query := r.URL.Query()
	if err := required(query, "app", "channel"); err != nil {
		return err
	}
	c := Counts{App: query.Get("app"), Channel: query.Get("channel")}
	snapshot, err := s.ledger.Counts(r.Context(), c.App, c.Channel)
	if err != nil {
		return unavailable(err)
	}
	c.Ledger, c.Since, c.Counts = snapshot.Ledger, snapshot.Since, snapshot.Rows
	if v := s.poller.View(); v != nil {
		c.MetadataVersion = v.Version
	}
	return sayJSON(w, c)
}

// Slices is the answer of SlicesPath.
type Slices struct {
	App             string         `json:"app"`
	Channel         string         `json:"channel"`
	Trial           string         `json:"trial"`           // salt
	Ledger          string         `json:"ledger"`          // id of the database: gateways that give the same one tell the same groups
	Since           time.Time      `json:"since"`           // when the database was made
	MetadataVersion int64          `json:"metadataVersion"` // what this gateway serves; 0: nothing yet
	Groups          []ledger.Group `json:"groups"`
}

func (s *Server) slices(w http.ResponseWriter, r *http.Request) error {
	if err := s.authorize(r); err != nil {
		return err
	}
	query := r.URL.Query()
	if err := required(query, "app", "channel", "trial"); err != nil {
		return err
	}
	out := Slices{App: query.Get("app"), Channel: query.Get("channel"), Trial: query.Get("trial")}
	found, err := s.ledger.Slices(r.Context(), out.App, out.Channel, out.Trial)
	if err != nil {
		return unavailable(err)
	}
	out.Ledger, out.Since, out.Groups = found.Ledger, found.Since, found.Groups
	if v := s.poller.View(); v != nil {
		out.MetadataVersion = v.Version
	}
	return sayJSON(w, out)
}

// unavailable is the answer when the ledger cannot be read: to tell zero would be to say that nothing fails.
func unavailable(err error) error {
	if errors.Is(err, ledger.ErrUnavailable) {
		return &httpx.Problem{Status: http.StatusServiceUnavailable, Detail: "the ledger's database does not answer; ask again later", Err: err}
	}
	return err
}

// required gives a Problem when parameters of a query are missing.
func required(query url.Values, names ...string) error {
	var missing []httpx.FieldError
	for _, name := range names {
		if query.Get(name) == "" {
			missing = append(missing, httpx.FieldError{Field: name, Expected: "a value", Actual: "nothing"})
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &httpx.Problem{Status: http.StatusBadRequest, Detail: "the query is incomplete", Fields: missing}
}

func sayJSON(w http.ResponseWriter, answer any) error {
	raw, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("render the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(raw, '\n')) // an error means that the client went away
	return nil
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
	want, err := tokenfile.Read(s.cfg.TokenFile)
	if err != nil {
		return err
	}
	gotSum, wantSum := sha256.Sum256([]byte(got)), sha256.Sum256(want) // equal lengths, so that time tells nothing
	if subtle.ConstantTimeCompare(gotSum[:], wantSum[:]) != 1 {
		return denied
	}
	return nil
}
