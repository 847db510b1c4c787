// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// JWT says which tokens are taken: those of one issuer that were made for us, signed by one of the issuer's keys.
type JWT struct {
	Issuer   string // as in iss
	Audience string // one of aud
	// JWKSURL is where the issuer has its keys (RFC 7517): https, or http on this machine. Redirects are not followed.
	JWKSURL string
	Claim   string        // that has the device id; empty: sub
	Refresh time.Duration // between looks at the keys; 0: DefaultRefresh
	// Transport of JWKSURL; nil: http.DefaultTransport.
	Transport http.RoundTripper
}

func (j *JWT) validate() error {
	switch u, err := url.Parse(j.JWKSURL); {
	case j.Issuer == "" || j.Audience == "":
		return errors.New("expected an issuer and an audience of tokens: without them, tokens that were made for others would be taken")
	case err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return errors.New("expected an https URL of the issuer's keys (JWKS)")
	case j.Refresh < 0:
		return fmt.Errorf("expected time between looks at the issuer's keys, got %s", j.Refresh)
	}
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// device gives the device id that a verified token names; empty: none.
func (j *JWT) device(token *oidc.IDToken) string {
	if j.Claim == "" || j.Claim == "sub" {
		return token.Subject
	}
	var claims map[string]json.RawMessage
	var id string
	if token.Claims(&claims) != nil || json.Unmarshal(claims[j.Claim], &id) != nil {
		return ""
	}
	return id
}

// maxToken is the longest token that is looked at, in bytes. Common ones have about one thousand.
const maxToken = 8 << 10

var (
	errNoToken   = errors.New("expected an Authorization header with a bearer token, got none")
	errMalformed = fmt.Errorf("expected one Authorization header with Bearer and a JWT of at most %d bytes", maxToken)
)

// bearer gives the token of a request (RFC 6750 2.1), in the compact form of RFC 7515 7.1.
func bearer(h http.Header) (string, error) {
	lines := h["Authorization"]
	if len(lines) == 0 {
		return "", errNoToken
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	if len(lines) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return "", errMalformed
	}
	token = strings.Trim(token, " ")
	if len(token) > maxToken || strings.Count(token, ".") != 2 || strings.ContainsFunc(token, isNoBase64URL) {
		return "", errMalformed
	}
	return token, nil
}

// isNoBase64URL tells what no JWT in compact form has.
func isNoBase64URL(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}
