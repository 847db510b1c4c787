// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Parse reads an allow-list: addresses ("10.0.0.7"), prefixes ("10.0.0.0/8"), and host names ("prometheus.monitoring.svc").
// Addresses and names may have a port ("minio.storage.svc:9000", "[fd00::7]:9000"). A name must be the one that the resource
// asks for, letter by letter. Before an address or a name, http:// lets registries there be asked without TLS.
func Parse(entries []string) (Policy, error) {
	var p Policy
	for _, entry := range entries {
		r, err := parseRule(entry)
		if err != nil {
			return Policy{}, fmt.Errorf("%q is not an address to allow: %w", entry, err)
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

var errForm = errors.New("expected an address such as 10.1.2.3, a prefix such as 10.0.0.0/8, or a host such as minio.storage.svc:9000")

func parseRule(entry string) (rule, error) {
	text, plain := strings.CutPrefix(entry, "http://")
	switch {
	case strings.Contains(text, "://"):
		return rule{}, errForm
	case strings.Contains(text, "/") && !plain:
		return parsePrefix(text)
	}
	host, port, err := splitPort(text)
	if err != nil {
		return rule{}, err
	}
	r := rule{port: port, plain: plain}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" || addr.Is4In6() {
			return rule{}, errors.New("it has a zone or is an IPv4 address within IPv6: expected one such as 10.1.2.3 or fd00::7")
		}
		r.prefix = netip.PrefixFrom(addr, addr.BitLen())
		return r, nil
	}
	if _, ok := literal(host); ok {
		return rule{}, errors.New("it is a number: write the address with four decimal parts")
	}
	name, ok := normal(host)
	if !ok || !isName(name) {
		return rule{}, errForm
	}
	r.host = name
	return r, nil
}

// splitPort takes the port from a host; 0: it has none.
func splitPort(text string) (string, uint16, error) {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		return strings.TrimSuffix(inner, "]"), 0, nil
	}
	if strings.Count(text, ":") != 1 && !strings.HasPrefix(text, "[") {
		return text, 0, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, errForm
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("its port is %q, expected a number from 1 to 65535", port)
	}
	return host, uint16(n), nil
}

func parsePrefix(text string) (rule, error) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return rule{}, errForm
	case prefix.Addr().Is4In6():
		return rule{}, errors.New("it is a prefix of IPv4 addresses within IPv6: write the IPv4 prefix")
	case prefix != prefix.Masked():
		return rule{}, fmt.Errorf("the address goes on behind its prefix: did you mean %s?", prefix.Masked())
	}
	return rule{prefix: prefix}, nil
}

// normal is a host name as names are compared: in lower case, in ASCII, and without the dot at its end. It is false for what
// cannot be a name or address.
func normal(host string) (string, bool) {
	host = strings.TrimSuffix(host, ".")
	if !utf8.ValidString(host) {
		return "", false
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) {
		ascii, err := idna.Lookup.ToASCII(host) // as net/http does, which makes ASCII digits of wide ones
		if err != nil {
			return "", false
		}
		host = strings.TrimSuffix(ascii, ".")
	}
	return strings.ToLower(host), host != ""
}

// maxName is the length of the longest name (RFC 1035).
const maxName = 253

// isName tells whether a text in the form of normal is a host name: labels of letters, digits, hyphens and underscores.
func isName(name string) bool {
	if len(name) > maxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		hyphen := strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-")
		if hyphen || label == "" || len(label) > 63 || strings.ContainsFunc(label, foreign) {
			return false
		}
	}
	return true
}

// foreign tells which runes labels do not have.
func foreign(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// literal reads a host that is an address by itself, also in the old forms that resolvers of C libraries take: 2130706433,
// 0x7f.1 and 0177.0.0.1 are all 127.0.0.1 (inet_aton of POSIX).
func literal(host string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr, true
	}
	name, ok := normal(host)
	if !ok {
		return netip.Addr{}, false
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr, true
	}
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		bits := 8 // the last part fills what is left
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		n, ok := number(part, bits)
		if !ok {
			return netip.Addr{}, false
		}
		sum = sum<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}

// number reads one part as C does: hexadecimal after 0x, octal after 0.
func number(part string, bits int) (uint64, bool) {
	base := 10
	switch {
	case part == "0x":
		return 0, true
	case strings.HasPrefix(part, "0x"):
		part, base = part[2:], 16
	case len(part) > 1 && part[0] == '0':
		part, base = part[1:], 8
	}
	n, err := strconv.ParseUint(part, base, bits)
	return n, err == nil
}
