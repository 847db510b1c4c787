// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	registries "github.com/prometheus/client_golang/prometheus"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/controllers/rollout"
	"github.com/windlass-dev/windlass/internal/analysis/ask"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/analysis/prometheus"
	"github.com/windlass-dev/windlass/internal/analysis/web"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// counted counts what a server is asked.
func counted(t *testing.T, handler http.Handler) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func newProviders(t *testing.T) rollout.Providers {
	t.Helper()
	desk, err := ask.New(time.Now, registries.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	http := fetch.New(testkit.Loopback(), fetch.Timeout)
	return rollout.Providers{Desk: desk, Prometheus: prometheus.New(http), Web: web.New(http, nil)}
}

// subject of one of many Rollouts. A step began a minute ago.
func subject(i int) rollout.Subject {
	return rollout.Subject{
		Namespace: fmt.Sprint("team-", i), App: "shop", Channel: fmt.Sprint("c", i%3), Digest: "sha256:ab", Salt: "s", Version: fmt.Sprintf("1.%d.0", i),
		Since: time.Now().Add(-time.Minute), Now: time.Now(), Interval: time.Minute,
	}
}

// measureAll measures a thousand Rollouts at the same time.
func measureAll(t *testing.T, p rollout.Providers, of func(i int) rollout.Subject, want func(i int) float64) {
	t.Helper()
	var group sync.WaitGroup
	for i := range 1000 {
		group.Go(func() {
			if m := p.Measure(t.Context(), of(i)); m.Err != "" || m.NoData != "" || m.Value != want(i) {
				t.Errorf("%d: got %+v, want %g", i, m, want(i))
			}
		})
	}
	group.Wait()
}

// A thousand Rollouts with the same query ask a real Prometheus once, and with three queries three times; each is told what it asked.
func TestProviders_prometheusAskedOnce(t *testing.T) {
	t.Parallel()
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("rate{channel=\"c0\"} 5\nrate{channel=\"c1\"} 6\nrate{channel=\"c2\"} 7\n"))
	}))
	t.Cleanup(exporter.Close)
	server, err := devcluster.StartPrometheus(t.Context(), t.TempDir(), 200*time.Millisecond,
		devcluster.Scrape{Job: "shop", Targets: []string{strings.TrimPrefix(exporter.URL, "http://")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	upstream, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	address, asked := counted(t, httputil.NewSingleHostReverseProxy(upstream))
	about := func(query string) func(i int) rollout.Subject {
		return func(i int) rollout.Subject {
			s := subject(i)
			s.Prometheus = &otav1alpha1.PrometheusMetric{Address: otav1alpha1.URL(address), Query: query}
			return s
		}
	}
	// On a busy machine a scrape may fail, and then there is no rate until the next one: the last that there was is asked for.
	const all, one = "sum(last_over_time(rate[1h]))", "sum(last_over_time(rate{channel={{ quote .channel }}}[1h]))"
	waitFor(t, func() bool { return newProviders(t).Measure(t.Context(), about(all)(0)).Value == 18 })

	p := newProviders(t)
	asked.Store(0)
	measureAll(t, p, about(all), func(int) float64 { return 18 })
	if asked.Load() != 1 {
		t.Errorf("Prometheus was asked %d times by those with the same query, want once", asked.Load())
	}
	asked.Store(0)
	measureAll(t, p, about(one), func(i int) float64 { return float64(5 + i%3) })
	if asked.Load() != 3 {
		t.Errorf("Prometheus was asked %d times about three channels, want 3", asked.Load())
	}
}

// Different numbers of the same answer of a web server are one question, and so are all counts of a release.
func TestProviders_otherProvidersAskedOnce(t *testing.T) {
	t.Parallel()
	address, asked := counted(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"c0":5,"c1":6,"c2":7}`))
	}))
	p := newProviders(t)
	measureAll(t, p, func(i int) rollout.Subject {
		s := subject(i)
		s.Web = &otav1alpha1.WebMetric{URL: address + "/{{ .app }}", CEL: fmt.Sprintf("result.c%d", i%3)}
		if i%2 == 0 {
			s.Web.CEL, s.Web.JSONPath = "", fmt.Sprintf("{.c%d}", i%3)
		}
		return s
	}, func(i int) float64 { return float64(5 + i%3) })
	if asked.Load() != 1 {
		t.Errorf("the web server was asked %d times, want once", asked.Load())
	}

	ledger := &tally{}
	p.Telemetry = ledger
	for range 5 {
		m := p.Measure(t.Context(), subject(0))
		if len(m.Stages) != 1 || m.Stages[0].ID != 7 || m.At.IsZero() || m.At.After(ledger.at) {
			t.Fatalf("got %+v, want what the gateways were asked for until %s", m, ledger.at)
		}
		m.Stages[0].ID = 8 // what one does with its counts is nothing to the others
	}
	if ledger.asked.Load() != 1 {
		t.Errorf("the gateways were asked %d times, want once", ledger.asked.Load())
	}
}

// tally is a Counter that counts how often it is asked.
type tally struct {
	asked atomic.Int32
	at    time.Time
}

func (c *tally) Counts(context.Context, rollout.Subject) ([]eprocess.Stage, error) {
	c.asked.Add(1)
	c.at = time.Now()
	return []eprocess.Stage{{ID: 7}}, nil
}

func (c *tally) Slices(context.Context, rollout.Subject) ([]blame.Group, error) { return nil, nil }

// What cannot be asked at all is an error of the provider, too.
func TestProviders_cannotAsk(t *testing.T) {
	t.Parallel()
	p := newProviders(t)
	for want, change := range map[string]func(*rollout.Subject){
		"no gateway is configured": func(*rollout.Subject) {},
		`query: 1:3: executing "query"`: func(s *rollout.Subject) {
			s.Prometheus = &otav1alpha1.PrometheusMetric{Address: "http://127.0.0.1:1", Query: "{{ .x }}"}
		},
		"the address is no URL": func(s *rollout.Subject) {
			s.Prometheus = &otav1alpha1.PrometheusMetric{Address: "http://[::1", Query: "up"}
		},
		"url: after its variables": func(s *rollout.Subject) { s.Web = &otav1alpha1.WebMetric{URL: "{{ .app }}", CEL: "result"} },
		"cel \"results\"":          func(s *rollout.Subject) { s.Web = &otav1alpha1.WebMetric{URL: "http://127.0.0.1:1", CEL: "results"} },
	} {
		s := subject(1)
		change(&s)
		if m := p.Measure(t.Context(), s); !strings.Contains(m.Err, want) || m.NoData != "" || m.Value != 0 || m.Stages != nil {
			t.Errorf("got %+v, want %q", m, want)
		}
	}
	s := subject(1)
	address, _ := counted(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"n":null}`)) }))
	s.Web = &otav1alpha1.WebMetric{URL: address, CEL: "result.n"}
	if m := p.Measure(t.Context(), s); m.NoData == "" || m.Err != "" {
		t.Errorf("null is %+v, want no data", m)
	}
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("nothing is measured after 30 s")
		}
	}
}
