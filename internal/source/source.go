// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package source reads artifacts and signatures from where authors put them: web servers, S3-compatible object stores and
// container registries. A read is one streaming pass with a hard size limit, and with limits of time for the whole, for no
// progress and for slow progress. Connections are made only to addresses that the policy of package egress allows. Errors carry
// the class and the reason for the controller; they hold neither what the server sent nor the query of a URL.
package source

import (
	"cmp"
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
)

// Defaults of Options.
const (
	DefaultMaxSize = 2 << 30
	DefaultTimeout = time.Hour
	DefaultIdle    = 30 * time.Second
	DefaultConnect = 10 * time.Second
	DefaultAnswer  = 30 * time.Second
	DefaultMinRate = 16 << 10
	DefaultWindow  = time.Minute
)

// smallTimeout is for a signature: a few hundred bytes.
const smallTimeout = time.Minute

// Options of a Client. Zero values mean the defaults.
type Options struct {
	MaxSize int64          // of an artifact, in bytes
	Timeout time.Duration  // for one artifact as a whole
	Idle    time.Duration  // for the next bytes of it
	Connect time.Duration  // for the connection, and again for the TLS handshake
	Answer  time.Duration  // for the head of the answer
	MinRate int64          // bytes a second that an artifact must come with, on average over Window
	Window  time.Duration  // of waiting for the server; nothing is judged before the first one is over
	RootCAs *x509.CertPool // to trust; nil: those of the system
	Egress  egress.Policy  // where connections may go
}

func (o Options) withDefaults() Options {
	o.MaxSize = cmp.Or(o.MaxSize, DefaultMaxSize)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.Idle = cmp.Or(o.Idle, DefaultIdle)
	o.Connect = cmp.Or(o.Connect, DefaultConnect)
	o.Answer = cmp.Or(o.Answer, DefaultAnswer)
	o.MinRate = cmp.Or(o.MinRate, DefaultMinRate)
	o.Window = cmp.Or(o.Window, DefaultWindow)
	return o
}

// Source is where an artifact is. The kinds of it are HTTP, S3 and OCI.
type Source interface {
	// open sends the request and gives the answer's body, and its length in bytes or -1.
	open(ctx context.Context, c *Client) (io.ReadCloser, int64, error)
	// String names the source for people, without secrets.
	String() string
	// host is the one that the source names, without the port.
	host() string
}

// Client reads from sources. It is safe for concurrent use.
type Client struct {
	opts      Options
	transport *http.Transport
	web       *http.Client
}

// New makes a Client.
func New(opts Options) *Client {
	opts = opts.withDefaults()
	transport := newTransport(opts)
	return &Client{
		opts:      opts,
		transport: transport,
		web:       &http.Client{Transport: transport, CheckRedirect: checkRedirect},
	}
}

// Close drops idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Open starts to read an artifact. The reader fails with an error of package kit; it must be closed.
func (c *Client) Open(ctx context.Context, src Source) (io.ReadCloser, error) {
	return c.read(ctx, src, c.opts.MaxSize, c.opts.Timeout)
}

// ReadSmall reads a small file, such as a signature, of at most limit bytes.
func (c *Client) ReadSmall(ctx context.Context, src Source, limit int64) ([]byte, error) {
	body, err := c.read(ctx, src, limit, smallTimeout)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func (c *Client) read(ctx context.Context, src Source, limit int64, timeout time.Duration) (io.ReadCloser, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTooSlow)
	ctx, abort := context.WithCancelCause(ctx)
	stop := func() { abort(nil); cancel() }
	raw, length, err := src.open(ctx, c)
	if err != nil {
		stop()
		return nil, err
	}
	if length > limit {
		raw.Close()
		stop()
		return nil, tooLarge(src, limit)
	}
	b := &body{src: src, ctx: ctx, raw: raw, stop: stop, left: limit, limit: limit, idle: c.opts.Idle}
	b.pace = pace{least: c.opts.MinRate, window: c.opts.Window}
	b.watch = time.AfterFunc(c.opts.Idle, func() { abort(errIdle) })
	b.watch.Stop() // runs while the server is waited for, not while the reader has work with what came
	return b, nil
}

// body holds a stream to its limits and types its errors.
type body struct {
	src   Source
	ctx   context.Context //nolint:containedctx // tells why the stream was cut
	raw   io.ReadCloser
	stop  func()
	watch *time.Timer
	idle  time.Duration
	pace  pace
	left  int64 // bytes that may still come
	limit int64
}

// Read fails with TooLarge as soon as one byte more than the limit arrives.
func (b *body) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	b.watch.Reset(b.idle)
	since := time.Now()
	n, err := b.raw.Read(p)
	b.watch.Stop()
	b.left -= int64(n)
	switch {
	case b.left < 0:
		return 0, tooLarge(b.src, b.limit)
	case err == nil && !b.pace.keeps(n, time.Since(since)):
		err = errTrickle
	case err == nil || err == io.EOF:
		return n, err
	}
	return n, kit.Retry(otav1alpha1.FetchFailedReason, "%s could not be read to its end: %s", b.src, describe(b.ctx, err))
}

// Close ends the transfer.
func (b *body) Close() error {
	b.watch.Stop()
	err := b.raw.Close()
	b.stop()
	return err
}

func tooLarge(src Source, limit int64) error {
	return kit.Stall(otav1alpha1.TooLargeReason, "%s is larger than the limit of %d bytes", src, limit)
}
