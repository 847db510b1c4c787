// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tlsfiles serves TLS from files that others replace: cert-manager, a Secret that is mounted, a person. New files are
// taken when they fit together; until then the old ones are served, and no connection is dropped.
package tlsfiles

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// DefaultInterval is the time between looks at the files. The kubelet takes up to a minute to bring a changed Secret.
const DefaultInterval = 10 * time.Second

// Config of Files.
type Config struct {
	Cert, Key string // PEM files: the certificate with its chain, and its private key
	// ClientCA is a PEM file with the authorities of client certificates; empty: clients are not asked for certificates. Clients
	// without one are served, and so are those with one of another authority or one that expired: ask Verified.
	ClientCA string
	Interval time.Duration // between looks; 0: DefaultInterval
	Now      func() time.Time
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

// Files is a TLS configuration that follows its files.
type Files struct {
	cfg     Config
	current atomic.Pointer[loaded]
	errors  prometheus.Counter

	mu       sync.Mutex // one reload at a time
	lastText string     // of the error that was logged last
}

// Open reads the files. A pair that does not fit is an error; one that has expired is served and logged, as a process that
// does not start helps nobody, and clients that look refuse it in any case.
func Open(cfg Config) (*Files, error) {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	raw, err := cfg.read()
	if err != nil {
		return nil, err
	}
	first, err := cfg.parse(raw)
	if err != nil {
		return nil, err
	}
	f := &Files{cfg: cfg, errors: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "windlass_gateway_tls_reload_errors_total",
		Help: "Looks at the TLS files that found changed ones that cannot be used; the old ones are served meanwhile.",
	})}
	f.current.Store(first)
	if !first.valid(cfg.Now()) {
		cfg.Log.Error("Serving a certificate that clients will refuse", "error", first.invalid())
	}
	cfg.Metrics.MustRegister(f.errors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "windlass_gateway_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate that is served expires.",
	}, func() float64 { return float64(f.current.Load().leaf.NotAfter.Unix()) }))
	return f, nil
}

// TLS gives a configuration for servers, with HTTP/2. Connections that exist keep what they began with.
func (f *Files) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.current.Load().config, nil },
	}
}

// Verified tells whether the client of a connection showed a certificate that is valid now and of an authority in the present
// file, for use by clients (RFC 5280, 4.2.1.12). The handshake made sure that the client has its key, also for a session that is
// resumed. It takes some hundred microseconds.
func (f *Files) Verified(c *tls.ConnectionState) bool {
	authorities := f.current.Load().config.ClientCAs
	if authorities == nil || len(c.PeerCertificates) == 0 {
		return false
	}
	between := x509.NewCertPool()
	for _, one := range c.PeerCertificates[1:] {
		between.AddCert(one)
	}
	_, err := c.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: authorities, Intermediates: between, CurrentTime: f.cfg.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

// Run looks at the files until the context ends.
func (f *Files) Run(ctx context.Context) {
	tick := time.NewTicker(f.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = f.Reload() // it is logged and counted, and tried again at the next tick
		}
	}
}

// Reload takes the files as they are now. Those that cannot be used are an error, and what was served before is served on.
// It compares contents, since times and names tell nothing of a mounted Secret, whose folder is a link that is swapped; a look
// in the middle of that finds a pair that does not fit, and the next one finds the new pair.
func (f *Files) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.current.Load()
	raw, err := f.cfg.read()
	if err == nil && raw == old.raw {
		f.lastText = ""
		return nil
	}
	var changed *loaded
	if err == nil {
		changed, err = f.cfg.parse(raw)
	}
	if err == nil {
		err = changed.mayReplace(old, f.cfg.Now())
	}
	if err != nil {
		f.errors.Inc()
		if f.lastText != err.Error() {
			f.lastText = err.Error()
			f.cfg.Log.Error("Reloading TLS files failed, the old ones are served on", "error", err)
		}
		return err
	}
	f.current.Store(changed)
	f.lastText = ""
	f.cfg.Log.Info("Reloaded TLS files", "expires", changed.leaf.NotAfter)
	return nil
}
