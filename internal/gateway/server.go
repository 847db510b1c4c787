// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gateway answers devices. It reads a repository's signed metadata and artifacts and nothing else: no Kubernetes API,
// no database. What it counts it tells the manager through an internal listener.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/windlass-dev/windlass/internal/gateway/delivery"
	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/outcome"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/gateway/view"
)

// Limits of connections. A download extends its write timeout while it makes progress.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	shutdownTimeout   = 25 * time.Second
	retainEvery       = time.Minute
)

// Origin reads the repository's prefix.
type Origin interface {
	view.Source
	delivery.Origin
}

// Config of a Server.
type Config struct {
	Origin       Origin
	Root         []byte // pinned TUF root
	CacheDir     string
	PollInterval time.Duration
	BaseURL      string        // of artifact URLs; empty: as the request came in
	NextCheck    time.Duration // asked of devices; zero: nothing is
	TokenFile    string        // bearer token of the counts; empty: nobody gets them
	Ledger       outcome.Config
	DrainDelay   time.Duration // between the end of readiness and the end of listening
	Log          *slog.Logger
}

// pollTimeout bounds one poll, with the first that reads all channels.
const pollTimeout = 2 * time.Minute

// Server is a gateway.
type Server struct {
	cfg      Config
	poller   *view.Poller
	ledger   *outcome.Ledger
	registry *prometheus.Registry
	draining atomic.Bool

	public   http.Handler
	internal http.Handler
}

// New makes a Server that serves what its cache holds. Run follows the repository.
func New(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, ledger: outcome.New(cfg.Ledger, time.Now()), registry: prometheus.NewRegistry()}
	s.registry.MustRegister(s.ledger, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	s.poller, err = view.New(ctx, view.Config{
		Source: cfg.Origin, Root: cfg.Root, CacheDir: cfg.CacheDir, Interval: cfg.PollInterval, Timeout: pollTimeout,
		OnChange: func(v *view.View) { s.ledger.Retain(&v.View, time.Now()) },
		Log:      cfg.Log, Metrics: s.registry,
	})
	if err != nil {
		return nil, err
	}
	adapter := httpx.New(cfg.Log, s.registry)
	protocol := &native.Handler{View: s.poller.View, Ledger: s.ledger, BaseURL: cfg.BaseURL, NextCheck: cfg.NextCheck, Now: time.Now}
	artifacts := &delivery.Handler{View: s.poller.View, Origin: cfg.Origin, Now: time.Now}
	routes := append(protocol.Routes(), artifacts.Routes()...)
	s.public = adapter.Mux(append(routes, s.probes()...)...)
	s.internal = adapter.Mux(append(s.internalRoutes(), s.probes()...)...)
	return s, nil
}

// Public answers devices.
func (s *Server) Public() http.Handler { return s.public }

// Internal answers the manager and Prometheus.
func (s *Server) Internal() http.Handler { return s.internal }

// Follow follows the repository until the context ends.
func (s *Server) Follow(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { s.retain(ctx) })
	s.poller.Run(ctx)
	wg.Wait()
}

// Run follows the repository and serves until the context ends; then it drains.
func (s *Server) Run(ctx context.Context, public, internal net.Listener) error {
	g, serving := errgroup.WithContext(ctx)
	g.Go(func() error { s.Follow(serving); return nil })
	for name, server := range map[string]*http.Server{"public": s.server(s.public), "internal": s.server(s.internal)} {
		listener := public
		if name == "internal" {
			listener = internal
		}
		s.cfg.Log.Info("Listening", "listener", name, "address", listener.Addr().String())
		g.Go(func() error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", name, err)
			}
			return nil
		})
		g.Go(func() error { return s.drain(serving, server) })
	}
	return g.Wait()
}

func (s *Server) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// drain ends a server when the context ends: not ready first, so that load balancers look elsewhere, then no new
// connections, then the requests that are left.
func (s *Server) drain(ctx context.Context, server *http.Server) error {
	<-ctx.Done()
	s.draining.Store(true)
	time.Sleep(s.cfg.DrainDelay)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		return server.Close() // a download that would not end
	}
	return nil
}

// retain lets the ledger forget what the view has not had for long, also when the view stands still.
func (s *Server) retain(ctx context.Context) {
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if v := s.poller.View(); v != nil {
				s.ledger.Retain(&v.View, now)
			}
		}
	}
}
