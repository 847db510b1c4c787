// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package web asks a URL that answers in JSON. Which number of the answer is meant is told by package extract.
package web

import (
	"context"
	"net/http"
	"net/url"

	"github.com/windlass-dev/windlass/internal/analysis/fetch"
)

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 64 << 10

// Headers gives the headers of a Secret for the server of a URL, when its owner lets that server have them. Its errors are sentences
// without anything of the Secret's values.
type Headers interface {
	Headers(ctx context.Context, namespace, name string, to *url.URL) (http.Header, error)
}

// Client asks web servers. It may be used by several goroutines.
type Client struct {
	http    *fetch.Client
	secrets Headers
}

// New makes a Client that asks by another one, with headers of Secrets.
func New(by *fetch.Client, secrets Headers) *Client { return &Client{by, secrets} }

// Get gives the answer of a URL, with the headers of a Secret in a namespace; no name: with none. Its errors are
// *query.ProviderError, or that of a canceled ctx.
func (c *Client) Get(ctx context.Context, u *url.URL, namespace, secret string) ([]byte, error) {
	var header http.Header
	if secret != "" {
		var err error
		if header, err = c.secrets.Headers(ctx, namespace, secret, u); err != nil {
			return nil, err
		}
	}
	answer, err := c.http.Do(ctx, fetch.Request{Method: http.MethodGet, URL: u.String(), Header: header, MaxAnswer: maxAnswer})
	if err != nil {
		return nil, err
	}
	if err := answer.Problem(); err != nil {
		return nil, err
	}
	return answer.Body, nil
}
