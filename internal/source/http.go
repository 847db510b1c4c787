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

// userAgent tells servers who asks.
const userAgent = "windlass"

// HTTP is a file on a web server. With Token it asks as bearer, with Username it uses basic authentication; not with both.
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

func (h HTTP) host() string {
	u, err := url.Parse(h.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func (h HTTP) open(ctx context.Context, c *Client) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, http.NoBody)
	if err != nil || req.URL.Hostname() == "" || (req.URL.Scheme != "http" && req.URL.Scheme != "https") {
		return nil, 0, kit.Stall(otav1alpha1.InvalidSpecReason, "the URL of the source cannot be read: expected an absolute http or https URL")
	}
	if req.URL.User != nil {
		return nil, 0, kit.Stall(otav1alpha1.InvalidSpecReason, "%s has a user name in its URL: expected credentials in a Secret", h)
	}
	if h.Token+h.Username+h.Password != "" && req.URL.Scheme == "http" && !c.opts.Egress.Lists(req.URL.Host) {
		return nil, 0, kit.Retry(otav1alpha1.CredentialsNotAllowedReason, "%s is asked without TLS, which shows its credentials to the network: "+
			"expected an https URL, or the manager started with --allow-address=%s", h, req.URL.Host)
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	switch {
	case h.Token != "" && h.Username+h.Password != "":
		return nil, 0, kit.Retry(otav1alpha1.SourceAccessDeniedReason,
			"the Secret of %s has a token and a user name: expected either token, or username and password", h)
	case h.Token != "":
		req.Header.Set("Authorization", "Bearer "+h.Token)
	case h.Username != "":
		req.SetBasicAuth(h.Username, h.Password)
	}
	resp, err := c.web.Do(req)
	if err != nil {
		return nil, 0, failed(ctx, h, err)
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
	errScheme    = errors.New("it redirects from http to https or back, which is not followed: name the URL that it redirects to")
	errUserinfo  = errors.New("it redirects to a URL with a user name, which is not followed")
)

// checkRedirect bounds redirects, never follows one to another scheme, and takes credentials and the last URL, which may be a
// signed one, out of requests from the first one to another server on.
func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return errRedirects
	case req.URL.Scheme != via[0].URL.Scheme:
		return errScheme
	case req.URL.User != nil:
		return errUserinfo
	}
	req.Header.Del("Referer")
	for _, r := range append(via[1:len(via):len(via)], req) {
		if r.URL.Host != via[0].URL.Host {
			req.Header.Del("Authorization")
		}
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
