// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gateway answers devices. It reads a repository's signed metadata and artifacts, and has no way to the Kubernetes API.
// What devices report goes to a ledger, off the path of their requests; the manager reads it through an internal listener.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/windlass-dev/windlass/internal/gateway/auth"
	"github.com/windlass-dev/windlass/internal/gateway/decisions"
	"github.com/windlass-dev/windlass/internal/gateway/delivery"
	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/gateway/tlsfiles"
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
)

// Origin reads the repository's prefix.
type Origin interface {
	view.Source
	delivery.Origin
}

// Config of a Server. Logs and metrics of its parts are set by New.
type Config struct {
	Origin       Origin
	Root         []byte // pinned TUF root
	CacheDir     string
	PollInterval time.Duration
	BaseURL      string        // of artifact URLs; empty: as the request came in
	NextCheck    time.Duration // asked of devices; zero: nothing is
	TokenFile    string        // bearer token of the counts and of explain; empty: nobody gets them
	Ledger       ledger.Config
	LedgerWait   time.Duration // for how long a replica whose ledger never answered is not ready; 0: it is at once
	Edge         edge.Config
	TLS          tlsfiles.Config // of the public listener; without a certificate it serves plain HTTP
	HSTS         time.Duration   // for how long browsers are told to come by TLS only, when there is a certificate; 0: they are not
	DrainDelay   time.Duration   // between the end of readiness and the end of listening
	Log          *slog.Logger
}

// pollTimeout bounds one poll, with the first that reads all channels.
const pollTimeout = 2 * time.Minute

// Server is a gateway.
type Server struct {
	cfg      Config
	poller   *view.Poller
	edge     *edge.Edge
	tls      *tlsfiles.Files // nil: plain HTTP
	ledger   *ledger.Ledger
	started  time.Time
	registry *prometheus.Registry
	draining atomic.Bool

	public   http.Handler
	internal http.Handler
}

// New makes a Server that serves what its cache holds. Run follows the repository.
func New(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, registry: prometheus.NewRegistry(), started: time.Now()}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	s.poller, err = view.New(ctx, view.Config{
		Source: cfg.Origin, Root: cfg.Root, CacheDir: cfg.CacheDir, Interval: cfg.PollInterval, Timeout: pollTimeout,
		Log: cfg.Log, Metrics: s.registry,
	})
	if err != nil {
		return nil, err
	}
	if err := s.openTLS(); err != nil {
		return nil, err
	}
	if s.edge, err = edge.New(s.cfg.Edge, cfg.Log, s.registry); err != nil {
		return nil, err
	}
	cfg.Ledger.Log = cfg.Log
	if s.ledger, err = ledger.Open(ctx, cfg.Ledger); err != nil {
		return nil, err
	}
	s.registry.MustRegister(s.ledger)
	s.route()
	return s, nil
}

func (s *Server) openTLS() (err error) {
	files := s.cfg.TLS
	if files.Cert == "" {
		return nil
	}
	files.Log, files.Metrics, files.Now = s.cfg.Log, s.registry, time.Now
	if s.tls, err = tlsfiles.Open(files); err != nil {
		return err
	}
	if c := s.cfg.Edge.Auth.Certificates; c != nil {
		s.cfg.Edge.Auth.Certificates = &auth.Certificates{URIPrefix: c.URIPrefix, Verified: s.tls.Verified}
	}
	return nil
}

// route makes the handlers of both listeners.
func (s *Server) route() {
	adapter := httpx.New(s.cfg.Log, s.registry)
	adapter.HSTS(s.cfg.HSTS)
	votes := decisions.New(s.ledger, s.registry)
	own := &native.Handler{
		View: s.poller.View, Ledger: votes, Edge: s.edge, BaseURL: s.cfg.BaseURL, NextCheck: s.cfg.NextCheck, Now: time.Now,
	}
	updater := capgo.New(capgo.Config{View: s.poller.View, Ledger: votes, Edge: s.edge, BaseURL: s.cfg.BaseURL, Now: time.Now}, s.registry)
	artifacts := &delivery.Handler{View: s.poller.View, Origin: s.cfg.Origin, Edge: s.edge, Now: time.Now}
	routes := slices.Concat(own.Routes(), updater.Routes(), artifacts.Routes())
	s.public = adapter.Mux(append(routes, s.probes()...)...)
	s.internal = adapter.Mux(append(s.internalRoutes(), s.probes()...)...)
}

// Metrics are those that the internal listener tells.
func (s *Server) Metrics() *prometheus.Registry { return s.registry }

// Public answers devices.
func (s *Server) Public() http.Handler { return s.public }

// Internal answers the manager and Prometheus.
func (s *Server) Internal() http.Handler { return s.internal }

// Follow follows the repository and writes the ledger until the context ends; the Server is of no use then.
func (s *Server) Follow(ctx context.Context) error {
	return s.withLedger(ctx, func() error { s.poller.Run(ctx); return nil })
}

// Run follows the repository and serves until the context ends; then it drains.
func (s *Server) Run(ctx context.Context, public, internal net.Listener) error {
	return s.withLedger(ctx, func() error { return s.serve(ctx, public, internal) })
}

// withLedger runs the ledger for as long as work does: what the last request told is in the database when withLedger returns.
func (s *Server) withLedger(ctx context.Context, work func() error) error {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan struct{})
	go func() {
		s.ledger.Run(writing)
		close(written)
	}()
	err := work()
	stop()
	<-written
	return errors.Join(err, s.ledger.Close())
}

func (s *Server) serve(ctx context.Context, public, internal net.Listener) error {
	g, serving := errgroup.WithContext(ctx)
	g.Go(func() error { s.poller.Run(serving); return nil })
	g.Go(func() error { s.edge.Run(serving); return nil })
	if s.tls != nil {
		g.Go(func() error { s.tls.Run(serving); return nil })
	}
	for _, l := range []struct {
		name     string
		handler  http.Handler
		listener net.Listener
		tls      *tlsfiles.Files
	}{{"public", s.public, public, s.tls}, {"internal", s.internal, internal, nil}} {
		server := s.server(l.handler)
		s.cfg.Log.Info("Listening", "listener", l.name, "address", l.listener.Addr().String(), "tls", l.tls != nil)
		g.Go(func() error {
			if err := accept(server, l.listener, l.tls); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", l.name, err)
			}
			return nil
		})
		g.Go(func() error { return s.drain(serving, server) })
	}
	return g.Wait()
}

func accept(server *http.Server, listener net.Listener, files *tlsfiles.Files) error {
	if files == nil {
		return server.Serve(listener)
	}
	server.TLSConfig = files.TLS()
	return server.ServeTLS(listener, "", "")
}

func (s *Server) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: connectionLog(s.cfg.Log),
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
