// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package prometheus asks a Prometheus server, or one that speaks its HTTP API, for one number. Whatever is no number is told
// apart: there was nothing to measure (NoDataError), or the server could not be asked or gave something else (ProviderError).
package prometheus

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/windlass-dev/windlass/internal/egress"
)

const (
	// timeout of a query, with its retry.
	timeout = 10 * time.Second
	// maxAnswer is how many bytes of an answer are read. One number takes some hundred.
	maxAnswer = 1 << 20
	// maxConns bounds the connections to one server: many Rollouts ask the same one.
	maxConns = 8
)

// Sample is one number.
type Sample struct {
	Value float64
}

// NoDataError means that the server answered properly and there was nothing to measure.
type NoDataError struct {
	Reason string // a stable sentence
}

func (e *NoDataError) Error() string { return e.Reason }

// ProviderError means that the server could not be asked, or answered with anything but one number.
type ProviderError struct {
	Reason string // a stable sentence without addresses of peers, queries or content of the answer
	Err    error  // the cause, for logs; may be nil
}

func (e *ProviderError) Error() string { return e.Reason }
func (e *ProviderError) Unwrap() error { return e.Err }

// Client asks Prometheus servers. It may be used by several goroutines.
type Client struct {
	http    *http.Client
	timeout time.Duration
	now     func() time.Time
}

// New makes a Client that connects where a policy allows.
func New(allowed egress.Policy) *Client {
	dialer := &net.Dialer{Timeout: timeout}
	return &Client{
		now:     time.Now,
		timeout: timeout,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy: allowed.Proxy, DialContext: allowed.DialContext(dialer), ForceAttemptHTTP2: true,
				TLSHandshakeTimeout: timeout, MaxConnsPerHost: maxConns, IdleConnTimeout: time.Minute,
			},
			// A redirect is the login page of a proxy, or an address that should be corrected. Following it would send the
			// query to a host that the Rollout does not name.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Query evaluates a query now. Its errors are *NoDataError and *ProviderError, or that of a canceled ctx.
func (c *Client) Query(ctx context.Context, address, query string) (Sample, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return Sample{}, &ProviderError{Reason: "the address is no URL", Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	at := c.now()
	form := url.Values{"query": {query}, "time": {formatTime(at)}, "timeout": {c.timeout.String()}}
	endpoint := u.JoinPath("api", "v1", "query").String()
	raw, err := c.post(ctx, endpoint, form.Encode())
	if cause := (*connError)(nil); errors.As(err, &cause) && cause.reset() {
		raw, err = c.post(ctx, endpoint, form.Encode()) // asking changes nothing, and keep-alive connections die unannounced
	}
	if cause := (*connError)(nil); errors.As(err, &cause) {
		if errors.Is(err, context.Canceled) {
			return Sample{}, context.Canceled
		}
		return Sample{}, &ProviderError{Reason: u.Host + " " + cause.sentence(), Err: cause.err}
	}
	if err != nil {
		return Sample{}, err
	}
	return decode(raw, at)
}

func formatTime(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

// post gives the body of an answer with status 200. Its errors are *connError and *ProviderError.
func (c *Client) post(ctx context.Context, endpoint, form string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form))
	if err != nil {
		return nil, &ProviderError{Reason: "the address is no URL", Err: err}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, &connError{err}
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, &connError{err}
	}
	if len(raw) > maxAnswer {
		return nil, &ProviderError{Reason: "the answer is larger than 1 MiB, want one number"}
	}
	if err := statusError(res.StatusCode, raw); err != nil {
		return nil, err
	}
	return raw, nil
}

func statusError(code int, raw []byte) error {
	switch {
	case code == http.StatusOK:
		return nil
	case code >= 300 && code < 400:
		return &ProviderError{Reason: "the server redirects (status " + strconv.Itoa(code) + "): name the address that it redirects to"}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return &ProviderError{Reason: "the server refuses access (status " + strconv.Itoa(code) + ")"}
	}
	if err := apiError(raw); err != nil {
		return err
	}
	return &ProviderError{Reason: "the server answered with status " + strconv.Itoa(code) + ", want 200"}
}

// connError is an error of the connection. Its own text has ports of this machine, which change with each try.
type connError struct{ err error }

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
