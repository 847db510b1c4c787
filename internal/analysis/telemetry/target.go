// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// dnsPrefix before a URL asks for every address of its host, as the dns+ of Thanos does.
const dnsPrefix = "dns+"

// maxReplicas bounds how many addresses of a name are asked.
const maxReplicas = 256

// Target is where gateways are asked.
type Target struct {
	url *url.URL
	all bool // every address that the host's name has when it is asked
}

// ParseTarget reads a URL such as http://10.0.0.7:8081, which is one gateway, or dns+http://windlass-gateway-internal:8081, which
// is all gateways behind the name of a headless Service.
func ParseTarget(text string) (Target, error) {
	rest, all := strings.CutPrefix(text, dnsPrefix)
	u, err := url.Parse(strings.TrimRight(rest, "/"))
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "http" && u.Scheme != "https") {
		return Target{}, errors.New("expected a URL such as http://10.0.0.7:8081, or dns+http://windlass-gateway-internal:8081 for every address of a name")
	}
	return Target{u, all}, nil
}

// String gives the text that ParseTarget reads.
func (t Target) String() string {
	if t.all {
		return dnsPrefix + t.url.String()
	}
	return t.url.String()
}

// replica is one gateway.
type replica struct {
	name string // for messages
	base string // URL that it is asked at
	host string // that its certificate and its Host header are of
}

// replicas gives what is to be asked now. A name without an address is an error: nobody is there who could tell of failures.
func (t Target) replicas(ctx context.Context, resolver *net.Resolver) ([]replica, error) {
	if !t.all {
		return []replica{{t.String(), t.url.String(), t.url.Host}}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := resolver.LookupNetIP(ctx, "ip", t.url.Hostname())
	if err != nil {
		return nil, fmt.Errorf("gateways %s: %s", t, lookupReason(err))
	}
	slices.SortFunc(found, netip.Addr.Compare)
	found = slices.Compact(found)
	if len(found) > maxReplicas {
		return nil, fmt.Errorf("gateways %s: expected at most %d addresses, got %d", t, maxReplicas, len(found))
	}
	port := cmp.Or(t.url.Port(), map[string]string{"http": "80", "https": "443"}[t.url.Scheme])
	var out []replica
	for _, address := range found {
		at := *t.url
		at.Host = net.JoinHostPort(address.Unmap().String(), port)
		out = append(out, replica{fmt.Sprintf("%s at %s", t, at.Host), at.String(), t.url.Host})
	}
	return out, nil
}

// lookupReason is a stable text for an error of a lookup, without the address of the name server.
func lookupReason(err error) string {
	e, ok := errors.AsType[*net.DNSError](err)
	switch {
	case ok && e.IsNotFound:
		return "the name has no address: is a gateway running?"
	case ok && e.IsTimeout:
		return "the name server does not answer in time"
	case ok:
		return "the name cannot be looked up: " + e.Err
	}
	return "the name cannot be looked up: " + err.Error()
}
