// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package netaddr

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxNode is the longest address that is read, in bytes: IPv6 with brackets and a port has 47.
const maxNode = 64

// ParseTrusted reads a list of networks and addresses with commas between them, such as 10.0.0.0/8,fd00::/8. A network of
// all addresses is refused: with it, every client would write its own address.
func ParseTrusted(list string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		p, err := parsePrefix(one)
		if err != nil {
			return nil, fmt.Errorf("trusted proxies: expected networks such as 10.0.0.0/8, got %q", one)
		}
		if p.Bits() == 0 {
			return nil, fmt.Errorf("trusted proxies: expected the networks of the proxies, got %s, which has every client in it", one)
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		return netip.PrefixFrom(plain(a), plain(a).BitLen()), err
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Addr().Is4In6() {
		return p.Addr().Unmap().Prefix(p.Bits() - 96)
	}
	return p.Masked(), err
}

// nat64 is the well-known prefix of IPv4 clients that reach an IPv6 server (RFC 6052): without a look inside, all of IPv4
// would be one network.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// plain gives an address in its own family, without a zone.
func plain(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		all := a.As16()
		return netip.AddrFrom4([4]byte(all[12:]))
	}
	return a
}

// parseNode reads an address, with or without brackets and port. Anything else, such as unknown or _hidden of RFC 7239, gives
// the zero address.
func parseNode(s string) netip.Addr {
	if len(s) > maxNode {
		return netip.Addr{}
	}
	if inside, ok := strings.CutPrefix(s, "["); ok {
		inside, port, closed := strings.Cut(inside, "]")
		if !closed || port != "" && port[0] != ':' || !strings.Contains(inside, ":") {
			return netip.Addr{}
		}
		s = inside
	} else if host, _, ok := strings.Cut(s, ":"); ok && strings.Count(s, ":") == 1 {
		s = host
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return plain(a)
}

// lastElement cuts the last element off a list with commas.
func lastElement(line string) (rest, last string, more bool) {
	at := strings.LastIndexByte(line, ',')
	return line[:max(0, at)], strings.Trim(line[at+1:], " \t"), at >= 0
}

// lastForwarded cuts the last element off a list as RFC 7239 has it, and gives the node that it names by for=.
//
// It reads from the right: a quote that a client left open cannot swallow what the proxy appended.
func lastForwarded(line string) (rest, node string, more bool) {
	at := lastOutside(line, ',')
	element := line[at+1:]
	found := 0
	for {
		cut := lastOutside(element, ';')
		name, value, _ := strings.Cut(strings.Trim(element[cut+1:], " \t"), "=")
		if strings.EqualFold(name, "for") {
			node = value
			found++
		}
		if cut < 0 {
			break
		}
		element = element[:cut]
	}
	if found != 1 {
		node = ""
	}
	if len(node) >= 2 && node[0] == '"' && node[len(node)-1] == '"' {
		node = node[1 : len(node)-1]
	}
	return line[:max(0, at)], node, at >= 0
}

// lastOutside gives the last index of a byte that is not in a quoted string; -1 without one.
func lastOutside(s string, b byte) int {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == '"' && (i == 0 || s[i-1] != '\\'):
			quoted = !quoted
		case s[i] == b && !quoted:
			return i
		}
	}
	return -1
}
