// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package origin reads a repository's prefix for the gateway: over plain HTTP, or from an S3 bucket, which for reading is a
// web server that wants its requests signed. The manager's internal/store is not used: it writes, and carries Kubernetes
// with it.
package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of a request. A stream may take as long as the device that it goes to.
const (
	dialTimeout   = 5 * time.Second
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second // of an object that is read whole
	idleConns     = 64
)

// How often a stream is opened before that fails, and the time between: enough for a connection that went stale and for a
// server that restarts behind its balancer. Whole objects are not tried again here: who polls does that.
const (
	openAttempts = 2
	openPause    = 100 * time.Millisecond
)

// Origin reads objects below a base URL.
type Origin struct {
	base   string // ends in a slash
	client *http.Client
}

// NewHTTP reads a prefix that a web server serves.
func NewHTTP(base string) (*Origin, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
		return nil, errors.New("metadata URL: expected an http or https URL without user name and query")
	}
	return &Origin{base: strings.TrimSuffix(u.String(), "/") + "/", client: &http.Client{Transport: newTransport()}}, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		MaxIdleConnsPerHost:   idleConns,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // objects are what their digest says
	}
}

// Get reads an object of at most limit bytes. The error is fs.ErrNotExist when there is none.
func (o *Origin) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	raw, _, err := o.GetIfChanged(ctx, name, "", limit)
	return raw, err
}

// GetIfChanged reads an object unless it still has the ETag: then raw is nil.
func (o *Origin) GetIfChanged(ctx context.Context, name, etag string, limit int64) (raw []byte, newETag string, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	header := http.Header{}
	if etag != "" {
		header.Set("If-None-Match", etag)
	}
	res, err := o.do(ctx, name, header)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotModified && etag != "":
		return nil, etag, nil
	case res.StatusCode != http.StatusOK:
		return nil, "", unexpected(name, res.StatusCode)
	}
	if raw, err = io.ReadAll(io.LimitReader(res.Body, limit+1)); err != nil {
		return nil, "", fmt.Errorf("get %s: %w", name, cause(err))
	}
	if int64(len(raw)) > limit {
		return nil, "", fmt.Errorf("get %s: it has more than the expected %d bytes", name, limit)
	}
	return raw, res.Header.Get("ETag"), nil
}

// Open streams length bytes of an object from an offset on. The context bounds the whole stream. It tries again when there is
// no answer, or one of a server that fails; a stream that breaks off later is the caller's to resume.
func (o *Origin) Open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	for attempt := 1; ; attempt++ {
		body, passing, err := o.open(ctx, name, offset, length)
		if err == nil || !passing || attempt == openAttempts {
			return body, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(openPause):
		}
	}
}

// open is one attempt. Passing tells of an error whether it may be gone at the next.
func (o *Origin) open(ctx context.Context, name string, offset, length int64) (body io.ReadCloser, passing bool, err error) {
	header := http.Header{}
	header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-"+strconv.FormatInt(offset+length-1, 10))
	res, err := o.do(ctx, name, header)
	if err != nil {
		return nil, ctx.Err() == nil, err
	}
	switch {
	case res.StatusCode == http.StatusPartialContent && res.ContentLength == length:
		return res.Body, false, nil
	case res.StatusCode == http.StatusOK && offset == 0 && res.ContentLength == length:
		return res.Body, false, nil
	}
	res.Body.Close()
	if res.StatusCode/100 == 2 {
		return nil, false, fmt.Errorf("open %s: expected %d bytes from %d on, got status %d with %d", name, length, offset, res.StatusCode, res.ContentLength)
	}
	return nil, res.StatusCode/100 == 5, unexpected(name, res.StatusCode)
}

func (o *Origin) do(ctx context.Context, name string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.base+name, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", name, err)
	}
	req.Header = header
	res, err := o.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", name, cause(err))
	}
	return res, nil
}

// unexpected words a status. Object stores answer 403 instead of 404 to who may read but not list.
func unexpected(name string, status int) error {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("get %s: %w (status %d)", name, fs.ErrNotExist, status)
	case http.StatusForbidden:
		return fmt.Errorf("get %s: %w, or the credentials may not read it (status %d)", name, fs.ErrNotExist, status)
	}
	return fmt.Errorf("get %s: expected status 200, got %d", name, status)
}

// cause drops the URL that net/http puts before its errors: it may be long, and says nothing that the name does not.
func cause(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
