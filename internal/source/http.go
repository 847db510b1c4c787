// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

// maxRedirects is how many redirects are followed.
const maxRedirects = 3

// HTTP is a file on a web server. With Token it asks as bearer, else with Username it uses basic authentication.
type HTTP struct {
	URL      string
	Token    string
	Username string
	Password string
}

// String is the URL without its query, which may be a signature.
func (h HTTP) String() string {
	u, err := url.Parse(h.URL)
	if err != nil {
		return "the source"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// SameOrigin tells whether a URL is on the same server, so that it may get the same credentials.
func (h HTTP) SameOrigin(other string) bool {
	a, errA := url.Parse(h.URL)
	b, errB := url.Parse(other)
	return errA == nil && errB == nil && a.Scheme == b.Scheme && a.Host == b.Host
}

func (h HTTP) open(ctx context.Context, c *Client) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, http.NoBody)
	if err != nil {
		return nil, 0, kit.Stall(otav1alpha1.InvalidSpecReason, "the URL of the source cannot be read: expected an absolute http or https URL")
	}
	req.Header.Set("User-Agent", "windlass")
	req.Header.Set("Accept", "*/*")
	switch {
	case h.Token != "":
		req.Header.Set("Authorization", "Bearer "+h.Token)
	case h.Username != "":
		req.SetBasicAuth(h.Username, h.Password)
	}
	resp, err := c.web.Do(req)
	if err != nil {
		return nil, 0, kit.Retry(otav1alpha1.FetchFailedReason, "%s could not be fetched: %s", h, describe(ctx, err))
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close() // not read: an error page is none of our business
		return nil, 0, statusError(h, resp.StatusCode)
	}
	return resp.Body, resp.ContentLength, nil
}

// Causes of a refused redirect.
var (
	errRedirects = errors.New("it redirects more than 3 times")
	errDowngrade = errors.New("it redirects from https to http, which is not followed")
)

// checkRedirect bounds redirects, never follows one to less security, and takes credentials and the last URL, which may be a
// signed one, out of a request to another server.
func checkRedirect(req *http.Request, via []*http.Request) error {
	last := via[len(via)-1].URL
	switch {
	case len(via) > maxRedirects:
		return errRedirects
	case last.Scheme == "https" && req.URL.Scheme != "https":
		return errDowngrade
	}
	req.Header.Del("Referer")
	if first := via[0].URL; first.Host != req.URL.Host || first.Scheme != req.URL.Scheme {
		req.Header.Del("Authorization")
	}
	return nil
}

// statusError gives the class and reason of an answer other than 200.
func statusError(src Source, status int) error {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		return kit.Retry(otav1alpha1.SourceNotFoundReason, "%s is not there: the server answered %d", src, status)
	case http.StatusUnauthorized, http.StatusForbidden:
		return kit.Retry(otav1alpha1.SourceAccessDeniedReason, "%s may not be read: the server answered %d; check the Secret of the source", src, status)
	}
	return kit.Retry(otav1alpha1.FetchFailedReason, "%s could not be fetched: the server answered %d, expected 200", src, status)
}
