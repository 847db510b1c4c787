// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package prometheus asks a Prometheus server, or one that speaks its HTTP API, for one number. Whatever is no number is told
// apart: there was nothing to measure (query.NoDataError), or the server could not be asked or gave something else (query.ProviderError).
package prometheus

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/analysis/query"
)

// maxAnswer is how many bytes of an answer are read. One number takes some hundred.
const maxAnswer = 1 << 20

// Client asks Prometheus servers. It may be used by several goroutines.
type Client struct {
	http *fetch.Client
	now  func() time.Time
}

// New makes a Client that asks by another one.
func New(by *fetch.Client) *Client { return &Client{http: by, now: time.Now} }

// Query evaluates a query now. Its errors are *query.NoDataError and *query.ProviderError, or that of a canceled ctx.
func (c *Client) Query(ctx context.Context, address, text string) (float64, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return 0, &query.ProviderError{Reason: "the address is no URL", Err: err}
	}
	at := c.now()
	form := url.Values{"query": {text}, "time": {formatTime(at)}, "timeout": {c.http.Timeout().String()}}
	answer, err := c.http.Do(ctx, fetch.Request{
		Method: http.MethodPost, URL: u.JoinPath("api", "v1", "query").String(), Body: form.Encode(), MaxAnswer: maxAnswer,
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	})
	if err != nil {
		return 0, err
	}
	if err := problem(answer); err != nil {
		return 0, err
	}
	return decode(answer.Body, at)
}

// problem says why an answer holds nothing, in the words of the API if it has some.
func problem(answer fetch.Answer) error {
	err := answer.Problem()
	if err != nil && answer.Code >= http.StatusBadRequest && answer.Code != http.StatusUnauthorized && answer.Code != http.StatusForbidden {
		if words := apiError(answer.Body); words != nil {
			return words
		}
	}
	return err
}

func formatTime(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}
