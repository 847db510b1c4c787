// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	requestTimeout  = 10 * time.Second
	downloadTimeout = 2 * time.Minute
	maxResponse     = 64 << 10  // bytes of an answer to a check or report
	maxArtifact     = 256 << 20 // bytes of an artifact: it is held in memory while it is checked
)

// gateway is what devices talk to.
type gateway struct {
	base      string
	config    *Config
	calls     *http.Client // never redirected
	downloads *http.Client // follows one redirect, to a CDN
}

func newGateway(c *Config) *gateway {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: c.Workers, IdleConnTimeout: time.Minute,
		ResponseHeaderTimeout: requestTimeout, TLSHandshakeTimeout: requestTimeout,
	}
	return &gateway{
		base: strings.TrimRight(c.Gateway, "/"), config: c,
		calls: &http.Client{Transport: transport, Timeout: requestTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
		downloads: &http.Client{Transport: transport, Timeout: downloadTimeout, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 1 {
				return errors.New("more than one redirect")
			}
			return nil
		}},
	}
}

// call posts JSON and reads JSON.
func (g *gateway) call(ctx context.Context, d *device, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	req, err := request(ctx, d, http.MethodPost, g.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := g.calls.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxResponse))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("%s: status %d, want 200 or 202: %.300s", path, res.StatusCode, raw)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// request is one that a load balancer passes on for a device.
func request(ctx context.Context, d *device, method, url string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err == nil {
		req.Header.Set("X-Forwarded-For", d.address)
	}
	return req, err
}

// download reads an artifact, and stops when it is larger than announced.
func (g *gateway) download(ctx context.Context, d *device, o *offer) ([]byte, error) {
	if o.size < 0 || o.size > maxArtifact {
		return nil, reject("size", "%d bytes are announced, at most %d fit", o.size, maxArtifact)
	}
	req, err := request(ctx, d, http.MethodGet, o.url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	res, err := g.downloads.Do(req)
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("download: status %d, want 200", res.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(res.Body, cmp.Or(o.size, maxArtifact)+1))
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	return content, nil
}
