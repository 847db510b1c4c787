// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fetch asks the web servers of metrics: one request, a bounded time, a bounded answer, no redirect, and one retry of a
// connection that died. What went wrong is a sentence that stays the same as long as the cause does.
package fetch

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/windlass-dev/windlass/internal/analysis/query"
	"github.com/windlass-dev/windlass/internal/egress"
)

// Timeout is how long an answer may take, with its retry.
const Timeout = 10 * time.Second

const (
	// maxConns bounds the connections to one server: many Rollouts ask the same one.
	maxConns = 8
	// maxHeader is how many bytes of header are read.
	maxHeader = 64 << 10
	// maxDrain is how many bytes of a body without interest are read.
	maxDrain = 4 << 10
)

// Client asks web servers. It may be used by several goroutines.
type Client struct {
	http    *http.Client
	timeout time.Duration
}

// New makes a Client that connects where a policy allows, and waits for an answer for at most timeout.
func New(allowed egress.Policy, timeout time.Duration) *Client {
	dialer := &net.Dialer{Timeout: timeout}
	return &Client{
		timeout: timeout,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy: allowed.Proxy, DialContext: allowed.DialContext(dialer), ForceAttemptHTTP2: true, TLSHandshakeTimeout: timeout,
				MaxConnsPerHost: maxConns, MaxIdleConnsPerHost: maxConns, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxHeader,
			},
			// A redirect is the login page of a proxy, or an address that should be corrected. Following it would send the
			// question, and maybe its credentials, to a host that the Rollout does not name.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Timeout is how long the client waits for an answer.
func (c *Client) Timeout() time.Duration { return c.timeout }

// Request is what a server is asked.
type Request struct {
	Method    string // GET or POST; asking changes nothing
	URL       string
	Header    http.Header
	Body      string
	MaxAnswer int // bytes; 0: the body of the answer is of no interest
}

// Answer is what a server answered with any status.
type Answer struct {
	Code int
	Body []byte
}

// Do asks once, and once more when the connection died: asking changes nothing, and keep-alive connections die unannounced. Its
// errors are *query.ProviderError, or that of a canceled ctx.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answer, err := c.once(ctx, r)
	if cause := (*connError)(nil); errors.As(err, &cause) && cause.reset() {
		answer, err = c.once(ctx, r)
	}
	if cause := (*connError)(nil); errors.As(err, &cause) {
		if errors.Is(err, context.Canceled) {
			return Answer{}, context.Canceled
		}
		return Answer{}, &query.ProviderError{Reason: cause.host + " " + cause.sentence(), Err: cause.err}
	}
	return answer, err
}

func (c *Client) once(ctx context.Context, r Request) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, strings.NewReader(r.Body))
	if err != nil || req.URL.Host == "" {
		return Answer{}, &query.ProviderError{Reason: "the address is no URL"}
	}
	req.Header.Set("Accept", "application/json")
	maps.Copy(req.Header, r.Header)
	res, err := c.http.Do(req)
	if err != nil {
		return Answer{}, &connError{req.URL.Host, err}
	}
	defer res.Body.Close()
	if r.MaxAnswer == 0 {
		_, _ = io.CopyN(io.Discard, res.Body, maxDrain) // what the connection needs to be used again, if it is little
		return Answer{Code: res.StatusCode}, nil
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, int64(r.MaxAnswer)+1))
	if err != nil {
		return Answer{}, &connError{req.URL.Host, err}
	}
	if len(raw) > r.MaxAnswer {
		return Answer{}, &query.ProviderError{Reason: "the answer is larger than " + strconv.Itoa(r.MaxAnswer>>10) + " KiB, want one number"}
	}
	return Answer{res.StatusCode, raw}, nil
}

// Problem tells why an answer with this status holds no number; nil for 200.
func (a Answer) Problem() error {
	code := strconv.Itoa(a.Code)
	switch {
	case a.Code == http.StatusOK:
		return nil
	case a.Code >= 300 && a.Code < 400:
		return &query.ProviderError{Reason: "the server redirects (status " + code + "): name the address that it redirects to"}
	case a.Code == http.StatusUnauthorized, a.Code == http.StatusForbidden:
		return &query.ProviderError{Reason: "the server refuses access (status " + code + ")"}
	}
	return &query.ProviderError{Reason: "the server answered with status " + code + ", want 200"}
}

// connError is an error of the connection. Its own text has ports of this machine, which change with each try.
type connError struct {
	host string
	err  error
}

func (e *connError) Error() string { return e.err.Error() }
func (e *connError) Unwrap() error { return e.err }

// reset tells whether the connection was closed under the request.
func (e *connError) reset() bool {
	return errors.Is(e.err, syscall.ECONNRESET) || errors.Is(e.err, syscall.EPIPE) || errors.Is(e.err, io.EOF)
}

func (e *connError) sentence() string {
	var (
		dns  *net.DNSError
		nerr net.Error
		text = e.err.Error() // net/http has no types for these
	)
	if denied, ok := errors.AsType[*egress.DeniedError](e.err); ok {
		return "is not asked: " + denied.Error()
	}
	switch {
	case errors.As(e.err, &nerr) && nerr.Timeout():
		return "did not answer in time"
	case errors.Is(e.err, syscall.ECONNREFUSED):
		return "refuses connections"
	case errors.As(e.err, &dns):
		return "is no known host name"
	case e.reset(), errors.Is(e.err, io.ErrUnexpectedEOF):
		return "closed the connection before it had answered"
	case strings.Contains(text, "tls: "), strings.Contains(text, "x509: "), strings.Contains(text, "to HTTPS client"):
		return "has no certificate that is trusted here, or speaks no TLS"
	case strings.Contains(text, "malformed HTTP"):
		return "does not speak HTTP"
	}
	return "cannot be reached"
}
