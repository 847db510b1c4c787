// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package netaddr tells from which network a request comes: a /24 of IPv4 or a /48 of IPv6, which is about what one customer
// or one cell site has. Addresses do not leave this package: others get a keyed hash that ends with the process.
package netaddr

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
)

// Lengths of the prefixes that count as one network, in bits.
const (
	bits4 = 24
	bits6 = 48
)

// maxHops bounds the trusted proxies that are walked through. Real chains have a few.
const maxHops = 16

// The headers in which proxies tell of their clients.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded" // RFC 7239
)

// Config of a Resolver.
type Config struct {
	// Trusted are the networks of the proxies in front of the gateway, as ParseTrusted gives them. Without any, headers are
	// not read.
	Trusted []netip.Prefix
	// Header is the one that these proxies write, XForwardedFor or Forwarded; empty: XForwardedFor. The other one is not read:
	// a proxy lets through what it does not know, so that clients would write it.
	Header string
	// RegionHeader is the one in which these proxies tell the region of the client, such as CF-IPCountry; empty: none is told. They
	// must set it in each request: what a client writes there and a proxy lets through is believed.
	RegionHeader string
	Log          *slog.Logger
	Metrics      prometheus.Registerer
}

// Resolver tells the networks of requests. Two Resolvers give different values for the same network.
type Resolver struct {
	trusted []netip.Prefix
	header  string
	region  string                                           // header of regions, as requests have it
	hop     func(line string) (rest, node string, more bool) // cuts off the right-most
	key     [sha256.Size]byte

	strangers prometheus.Counter
	warning   sync.Once
	log       *slog.Logger
}

// New makes a Resolver with a key of its own, and registers its metric.
func New(cfg Config) (*Resolver, error) {
	r := &Resolver{trusted: cfg.Trusted, header: cfg.Header, log: cfg.Log, strangers: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "windlass_gateway_untrusted_forwarded_total",
		Help: "Requests whose peer says for whom it speaks (X-Forwarded-For, Forwarded) and is no trusted proxy. Most requests: name the proxies.",
	})}
	switch cfg.Header {
	case "", XForwardedFor:
		r.header, r.hop = XForwardedFor, lastElement
	case Forwarded:
		r.hop = lastForwarded
	default:
		return nil, fmt.Errorf("header of proxies: expected %s or %s, got %q", XForwardedFor, Forwarded, cfg.Header)
	}
	var err error
	if r.region, err = cfg.regionHeader(); err != nil {
		return nil, err
	}
	for _, p := range cfg.Trusted {
		if !p.IsValid() || p.Bits() == 0 {
			return nil, fmt.Errorf("trusted proxies: expected networks of proxies, got %s", p)
		}
	}
	_, _ = rand.Read(r.key[:]) // never fails
	cfg.Metrics.MustRegister(r.strangers)
	return r, nil
}

// Network gives the network that a request comes from. It is never 0, which stands for a device that proved who it is. All
// requests whose origin cannot be told are of one network, so that hiding it gains nothing.
func (r *Resolver) Network(req *http.Request) ledger.Network {
	return r.hash(r.client(req))
}

// client gives the address of the client; the zero one when it cannot be told. Each proxy appends the address of its own peer:
// the right-most one that is no trusted proxy is the last that somebody trusted has seen, and what is left of it may be made up.
func (r *Resolver) client(req *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := plain(peer.Addr())
	if !r.trusts(addr) {
		r.notice(req)
		return addr
	}
	lines := req.Header[r.header]
	hops := 0
	for _, line := range slices.Backward(lines) {
		for rest, more := line, true; more; hops++ {
			var node string
			rest, node, more = r.hop(rest)
			if addr = parseNode(node); hops == maxHops || !addr.IsValid() {
				return netip.Addr{}
			}
			if !r.trusts(addr) {
				return addr
			}
		}
	}
	return addr // a proxy's own request, or that of a client among the proxies
}

// notice counts and tells once what is most often a proxy that nobody named: it makes one network of all its clients, whose
// few votes are all that a rollout sees. It can as well be a client that makes things up; its address is of no interest.
func (r *Resolver) notice(req *http.Request) {
	if len(req.Header[XForwardedFor]) == 0 && len(req.Header[Forwarded]) == 0 {
		return
	}
	r.strangers.Inc()
	r.warning.Do(func() {
		r.log.Warn("A request was forwarded by a peer that is no trusted proxy, and counts as one of that peer's network: if a load balancer or "+
			"ingress is in front of the gateway, name its networks in --trusted-proxies, else all its devices share 20 votes and one rate limit",
			"metric", "windlass_gateway_untrusted_forwarded_total")
	})
}

func (r *Resolver) trusts(a netip.Addr) bool {
	for _, p := range r.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// hash maps a network to 64 bits, by SHA-256 of the key and the prefix in one block: as both have a fixed length and the
// result is cut, this is as good as an HMAC, at a quarter of its price.
func (r *Resolver) hash(a netip.Addr) ledger.Network {
	var block [sha256.Size + 1 + bits6/8]byte
	copy(block[:], r.key[:])
	rest := block[sha256.Size:]
	switch {
	case a.Is4():
		all := a.As4()
		rest[0] = 4
		copy(rest[1:], all[:bits4/8])
	case a.Is6():
		all := a.As16()
		rest[0] = 6
		copy(rest[1:], all[:bits6/8])
	}
	sum := sha256.Sum256(block[:])
	return ledger.Network(max(1, binary.LittleEndian.Uint64(sum[:])))
}
