// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpproxy"
)

// environment is what HTTP_PROXY, HTTPS_PROXY and NO_PROXY say.
var environment = sync.OnceValue(httpproxy.FromEnvironment)

// Proxy is for the field of this name of http.Transport. It takes the proxies of the environment: their addresses are the
// operator's choice. A proxy looks names up by itself, so that only hosts that are addresses can be checked here: what its
// names lead to is the proxy's to decide.
func (p Policy) Proxy(req *http.Request) (*url.URL, error) {
	host, port := req.URL.Hostname(), cmp.Or(req.URL.Port(), ports[req.URL.Scheme])
	proxy, err := environment().ProxyFunc()(req.URL)
	if err != nil || (proxy == nil && !isProxy(host, port)) {
		return nil, err
	}
	if proxy == nil { // its own pages are for the operator
		return nil, &DeniedError{Host: host, Why: "the proxy of the environment"}
	}
	return proxy, p.checkLiteral(host, port)
}

// checkLiteral judges a host without looking it up.
func (p Policy) checkLiteral(host, port string) error {
	name, ok := normal(host)
	switch {
	case !ok:
		return &DeniedError{Host: host, Why: "no host name"}
	case p.trusts(host, port):
		return nil
	case name == "localhost", strings.HasSuffix(name, ".localhost"):
		return &DeniedError{Host: host, Why: loopbackAddress}
	}
	addr, ok := literal(host)
	if !ok {
		return nil
	}
	number, _ := strconv.ParseUint(port, 10, 16) // net/http refuses URLs with another one
	return p.Check(host, netip.AddrPortFrom(addr, uint16(number)))
}

// ports are those of URLs without one.
var ports = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// isProxy tells whether an address that is dialled is that of a proxy of the environment.
func isProxy(host, port string) bool {
	name, ok := normal(host)
	if !ok {
		return false
	}
	for _, text := range []string{environment().HTTPProxy, environment().HTTPSProxy} {
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || ports[u.Scheme] == "" { // as package httpproxy reads it
			u, err = url.Parse("http://" + text)
		}
		if err != nil {
			continue
		}
		if own, ok := normal(u.Hostname()); ok && net.JoinHostPort(own, cmp.Or(u.Port(), ports[u.Scheme])) == net.JoinHostPort(name, port) {
			return true
		}
	}
	return false
}
