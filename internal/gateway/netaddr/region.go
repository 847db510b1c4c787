// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package netaddr

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"
)

// maxRegion is the longest name of a region, in bytes.
const maxRegion = 32

// unknownRegion is how Cloudflare writes that it does not know the country of an address.
const unknownRegion = "XX"

// regionHeader checks the name of the header that tells regions, and gives it as requests have it.
func (c *Config) regionHeader() (string, error) {
	if c.RegionHeader == "" {
		return "", nil
	}
	for i := range len(c.RegionHeader) {
		if b := c.RegionHeader[i]; b != '-' && !alphanumeric(b) {
			return "", fmt.Errorf("header of regions: expected a name such as CF-IPCountry, got %q", c.RegionHeader)
		}
	}
	if len(c.Trusted) == 0 {
		return "", errors.New("header of regions: expected trusted proxies that write it: whoever may write it chooses his own region")
	}
	return textproto.CanonicalMIMEHeaderKey(c.RegionHeader), nil
}

// Region gives the region that a trusted proxy tells of a request's client, in upper case: at most 32 letters, digits and dashes.
// It is empty where none is told, where it is told twice, and where the peer is no trusted proxy.
func (r *Resolver) Region(req *http.Request) string {
	if r.region == "" {
		return ""
	}
	lines := req.Header[r.region]
	if len(lines) != 1 || !isRegion(lines[0]) {
		return ""
	}
	peer, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil || !r.trusts(plain(peer.Addr())) {
		return ""
	}
	if region := strings.ToUpper(lines[0]); region != unknownRegion {
		return region
	}
	return ""
}

func isRegion(s string) bool {
	if s == "" || len(s) > maxRegion {
		return false
	}
	for i := range len(s) {
		if s[i] != '-' && !alphanumeric(s[i]) {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
