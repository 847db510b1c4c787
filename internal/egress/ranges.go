// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import "net/netip"

// special are the addresses that are no servers of the public internet: the IANA registries of special-purpose addresses
// (RFC 6890 and its updates), multicast, what is reserved, and what clouds answer at addresses that look public. The predicates
// of package netip miss half of them: carrier-grade NAT, in which Alibaba's metadata is, and Azure's and Oracle's among them.
var special = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an address of this network (RFC 791)"},
	{netip.MustParsePrefix("10.0.0.0/8"), privateAddress},
	{netip.MustParsePrefix("100.64.0.0/10"), "an address behind a carrier's NAT (RFC 6598)"},
	{netip.MustParsePrefix("127.0.0.0/8"), loopbackAddress},
	{netip.MustParsePrefix("168.63.129.16/32"), "the platform address of Azure"},
	{netip.MustParsePrefix("169.254.0.0/16"), linkLocalAddress},
	{netip.MustParsePrefix("172.16.0.0/12"), privateAddress},
	{netip.MustParsePrefix("192.0.0.0/24"), protocolAddress},
	{netip.MustParsePrefix("192.0.2.0/24"), documentationAddress},
	{netip.MustParsePrefix("192.31.196.0/24"), as112Address},
	{netip.MustParsePrefix("192.52.193.0/24"), "an address for multicast tunnels (RFC 7450)"},
	{netip.MustParsePrefix("192.88.99.0/24"), "an address of 6to4 relays (RFC 7526)"},
	{netip.MustParsePrefix("192.168.0.0/16"), privateAddress},
	{netip.MustParsePrefix("192.175.48.0/24"), as112Address},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address for benchmarks (RFC 2544)"},
	{netip.MustParsePrefix("198.51.100.0/24"), documentationAddress},
	{netip.MustParsePrefix("203.0.113.0/24"), documentationAddress},
	{netip.MustParsePrefix("224.0.0.0/4"), multicastAddress},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address (RFC 919)"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address (RFC 1112)"},

	{netip.MustParsePrefix("::/128"), "the unspecified address (RFC 4291)"},
	{netip.MustParsePrefix("::1/128"), loopbackAddress},
	{netip.MustParsePrefix("::/96"), "an IPv4-compatible address (RFC 4291)"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "an IPv4-translated address (RFC 2765)"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an address of a local NAT64 (RFC 8215)"},
	{netip.MustParsePrefix("100::/64"), "a discard-only address (RFC 6666)"},
	{netip.MustParsePrefix("100:0:0:1::/64"), "a dummy address (RFC 9780)"},
	{netip.MustParsePrefix("2001::/32"), "a Teredo address (RFC 4380)"},
	{netip.MustParsePrefix("2001::/23"), protocolAddress},
	{netip.MustParsePrefix("2001:db8::/32"), documentationAddress},
	{netip.MustParsePrefix("2002::/16"), "a 6to4 address (RFC 3056)"},
	{netip.MustParsePrefix("2620:4f:8000::/48"), as112Address},
	{netip.MustParsePrefix("3fff::/20"), documentationAddress},
	{netip.MustParsePrefix("5f00::/16"), "an address of segment routing (RFC 9602)"},
	{netip.MustParsePrefix("fc00::/7"), "a unique local address (RFC 4193)"},
	{netip.MustParsePrefix("fe80::/10"), linkLocalAddress},
	{netip.MustParsePrefix("fec0::/10"), "a site-local address (RFC 3879)"},
	{netip.MustParsePrefix("ff00::/8"), multicastAddress},
}

// Kinds of addresses that have more than one range.
const (
	privateAddress       = "a private address (RFC 1918)"
	loopbackAddress      = "a loopback address, that of the manager itself"
	linkLocalAddress     = "a link-local address, at which clouds tell machines their credentials (RFC 3927, RFC 4291)"
	protocolAddress      = "an address for protocols (RFC 6890)"
	documentationAddress = "an address for documentation (RFC 5737, RFC 3849, RFC 9637)"
	as112Address         = "an address of AS112 (RFC 7534, RFC 7535)"
	multicastAddress     = "a multicast address (RFC 5771, RFC 4291)"
)

// Ranges that the table does without.
var (
	// globalUnicast has all public addresses of IPv6 (RFC 4291, section 2.4; IANA gives out no others).
	globalUnicast = netip.MustParsePrefix("2000::/3")
	// nat64 has the IPv4 address in its last four bytes (RFC 6052). In clusters without IPv4 every public IPv4 server is there.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// plain is an address as it is judged: the IPv4 address where it is one in the clothes of IPv6.
func plain(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// reserved says what an address is that is not a public one; empty: it is. The address must be plain.
func reserved(a netip.Addr) string {
	if a.Zone() != "" {
		return "an address with a zone, which no public one has"
	}
	for _, s := range special {
		if s.prefix.Contains(a) {
			return s.what
		}
	}
	if a.Is6() && !globalUnicast.Contains(a) {
		return "outside of the public addresses of IPv6 (RFC 4291)"
	}
	return ""
}
