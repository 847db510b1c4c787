// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Source reads the repository.
type Source interface {
	Getter
	// GetIfChanged reads an object of at most limit bytes, unless it still has the ETag: then raw is nil.
	GetIfChanged(ctx context.Context, name, etag string, limit int64) (raw []byte, newETag string, err error)
}

// Config of a Poller.
type Config struct {
	Source   Source
	Root     []byte        // pinned root of trust
	CacheDir string        // keeps the last verified state over restarts; empty: nothing is kept
	Interval time.Duration // between polls, give or take a tenth
	Timeout  time.Duration // of one poll with all that it reads
	OnChange func(*View)   // called after each publication, from the poller's goroutine; may be nil
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	Now      func() time.Time // nil: time.Now
}

// maxBackoff bounds the time between polls while they fail.
const maxBackoff = 15 * time.Second

// staleRetry is the time after which channels are tried again that could not be read.
const staleRetry = 5 * time.Second

// rootCheck is how often a newer root is looked for while the timestamp stays the same: who can write timestamps and not roots
// must not keep a raised floor from the gateway.
const rootCheck = time.Minute

// Poller follows a repository.
type Poller struct {
	cfg     Config
	current atomic.Pointer[View]
	mirror  *mirror // nil: none
	metrics *metrics

	// Of the polling goroutine.
	chain    *chain
	loader   loader
	cache    cached
	etag     string
	last     []byte    // timestamp metadata of the last publication
	retryAt  time.Time // when channels that are not as published are tried again; zero: there are none
	rootsAt  time.Time // when roots were looked for
	failures int       // polls in a row
}

// New makes a Poller and publishes the state that the cache holds, if it verifies. It does not touch the repository.
func New(ctx context.Context, cfg Config) (*Poller, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p := &Poller{cfg: cfg, chain: newChain(cfg.Root)}
	p.metrics = newMetrics(cfg.Metrics, p)
	if _, err := metadata.Root().FromBytes(cfg.Root); err != nil {
		return nil, fmt.Errorf("pinned root: expected TUF root metadata: %w", err)
	}
	if cfg.CacheDir == "" {
		return p, nil
	}
	var err error
	if p.mirror, err = openMirror(cfg.CacheDir, cfg.Root); err != nil {
		return nil, err
	}
	p.restore(ctx)
	return p, nil
}

// View is the last verified state, or nil before the first one.
func (p *Poller) View() *View { return p.current.Load() }

// Run polls until the context ends.
func (p *Poller) Run(ctx context.Context) {
	for {
		p.noteResult(p.Poll(ctx))
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.delay()):
		}
	}
}

// delay is the time to the next poll: the interval, doubled with each failure in a row, give or take a tenth so that
// replicas spread.
func (p *Poller) delay() time.Duration {
	d := p.cfg.Interval
	for range p.failures {
		if d *= 2; d >= maxBackoff {
			d = max(maxBackoff, p.cfg.Interval)
			break
		}
	}
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// noteResult logs when polling begins to fail and when it works again, and not in between.
func (p *Poller) noteResult(err error) {
	switch {
	case errors.Is(err, context.Canceled):
		return
	case err != nil:
		if p.failures++; p.failures == 1 {
			p.cfg.Log.Warn("Reading the repository failed; serving on from the last view", "error", err)
		}
	case p.failures > 0:
		p.cfg.Log.Info("Reading the repository works again", "failures", p.failures)
		p.failures = 0
	}
}

// Poll looks once for a new state and publishes it. The view of before stays when it fails.
func (p *Poller) Poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	changed, err := p.poll(ctx)
	p.metrics.polled(changed, err)
	return err
}

func (p *Poller) poll(ctx context.Context) (changed bool, err error) {
	raw, etag, err := p.cfg.Source.GetIfChanged(ctx, timestampName, p.etag, maxTimestamp)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", timestampName, err)
	}
	if raw == nil {
		raw, etag = p.last, p.etag
	}
	if bytes.Equal(raw, p.last) && !p.retryDue() && !p.newRoot(ctx) {
		p.etag = etag
		return false, nil
	}
	if err := p.refresh(ctx, p.cfg.Source, raw); err != nil {
		return false, err
	}
	p.etag = etag
	return true, nil
}

// retryDue tells whether channels that could not be read are to be tried again though nothing changed.
func (p *Poller) retryDue() bool { return !p.retryAt.IsZero() && !p.cfg.Now().Before(p.retryAt) }

// newRoot looks from time to time for a root that was not followed yet.
func (p *Poller) newRoot(ctx context.Context) bool {
	now := p.cfg.Now()
	if now.Sub(p.rootsAt) < rootCheck {
		return false
	}
	p.rootsAt = now
	return p.chain.hasNewer(ctx, p.cfg.Source)
}

// raiseFloors applies the floors of the newest root to the view of before, which stays though a newer state cannot be had.
func (p *Poller) raiseFloors() {
	v := p.View()
	if !p.loader.raise(p.chain.floors) || v == nil {
		return
	}
	p.publish(assemble(p.loader.entries, v.Expires, v.Version, v.LoadedAt))
}

// refresh verifies a state and publishes it.
func (p *Poller) refresh(ctx context.Context, src Getter, timestamp []byte) error {
	start := p.cfg.Now()
	if src != Getter(p.mirror) {
		p.rootsAt = start
	}
	t, err := p.chain.update(ctx, src, timestamp, start)
	if err != nil {
		p.raiseFloors()
		p.remember(src)
		if p.View() == nil && errors.Is(err, &metadata.ErrExpiredMetadata{}) {
			p.publish(expiredView(start)) // known, but expired: better than not to know
		}
		return err
	}
	if src == Getter(p.mirror) {
		p.loader.recall(ctx, p.mirror, t)
	}
	out, err := p.loader.load(ctx, src, t)
	if err != nil {
		p.raiseFloors()
		p.remember(src)
		return err
	}
	v := assemble(out.entries, t.expires(), t.set.Timestamp.Signed.Version, start)
	p.publish(v)
	p.last = timestamp
	p.metrics.loaded(p.cfg.Now().Sub(start), len(out.stale))
	p.noteStale(out.stale, start)
	p.save(src, t, out)
	return nil
}

// noteStale arranges that channels are tried again that could not be read. The others are served, and polled as ever.
func (p *Poller) noteStale(stale []error, now time.Time) {
	if len(stale) == 0 {
		p.retryAt = time.Time{}
		return
	}
	if p.retryAt.IsZero() {
		p.cfg.Log.Warn("Serving some channels as they were before", "channels", len(stale), "error", errStale(stale))
	}
	p.retryAt = now.Add(staleRetry)
}

func (p *Poller) publish(v *View) {
	p.current.Store(v)
	p.cfg.Log.Debug("Publishing a view", "metadataVersion", v.Version, "expires", v.Expires)
	if p.cfg.OnChange != nil {
		p.cfg.OnChange(v)
	}
}
