// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package egress decides to which addresses the manager may connect on behalf of what users write into resources. The check
// is made on the resolved address at the moment of the connection, so that neither redirects nor DNS answers that change get
// around it (docs/egress.md).
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// ErrDenied is what every DeniedError is.
var ErrDenied = errors.New("the address is not one that the manager connects to")

// DeniedError tells which address was refused, and why. No connection to it was made.
type DeniedError struct {
	Host string     // as it was asked for, without the port
	Addr netip.Addr // that Host is or has; the zero value: none was looked up
	Why  string     // such as "a private address (RFC 1918)"; never a text of a server
}

// Literal tells whether the host was asked for by its address, so that no other DNS answer can mend it.
func (e *DeniedError) Literal() bool {
	_, ok := literal(e.Host)
	return ok
}

func (e *DeniedError) Error() string {
	name := e.Host
	if e.Addr.IsValid() && !e.Literal() {
		name += " has the address " + e.Addr.String() + ", which"
	}
	return fmt.Sprintf("%s is %s: the manager connects to it only when it is started with --allow-address=%s", name, e.Why, e.Host)
}

// Is makes a DeniedError an ErrDenied.
func (e *DeniedError) Is(target error) bool { return target == ErrDenied }

// Policy says which addresses may be connected to: public ones, and those that are listed. The zero value allows public ones.
type Policy struct{ rules []rule }

// rule is one entry of the allow-list: either a prefix or a host.
type rule struct {
	prefix netip.Prefix // one address: of full length
	host   string       // in the form of normal
	port   uint16       // 0: every port
	plain  bool         // registries there are asked without TLS
}

// DialContext wraps a dialer: it fails with ErrDenied before a connection to an address that the policy does not allow is made.
// Every address that a name has is judged by itself, at the moment when it is dialled. The dialer's own Control is not called.
func (p Policy) DialContext(d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !strings.HasPrefix(network, "tcp") {
			return nil, fmt.Errorf("dial %s: expected tcp: %w", network, ErrDenied)
		}
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("dial: %w", err)
		}
		if p.trusts(host, port) || isProxy(host, port) {
			return d.DialContext(ctx, network, addr)
		}
		guarded := *d
		guarded.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			return p.check(host, resolved)
		}
		return guarded.DialContext(ctx, network, addr)
	}
}

// check judges an address that the dialer is about to connect to.
func (p Policy) check(host, resolved string) error {
	to, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return &DeniedError{Host: host, Why: "no address of the internet"}
	}
	return p.Check(host, to)
}

// Check judges an address that a host is or has. It is nil, or a *DeniedError.
func (p Policy) Check(host string, to netip.AddrPort) error {
	if p.trusts(host, strconv.Itoa(int(to.Port()))) {
		return nil
	}
	addr := plain(to.Addr())
	for _, r := range p.rules {
		if r.prefix.IsValid() && (r.port == 0 || r.port == to.Port()) && r.prefix.Contains(addr) {
			return nil
		}
	}
	if why := reserved(addr); why != "" {
		return &DeniedError{Host: host, Addr: to.Addr(), Why: why}
	}
	return nil
}

// trusts tells whether a host is on the list by its name, so that its DNS decides alone.
func (p Policy) trusts(host, port string) bool {
	name, ok := normal(host)
	if !ok {
		return false
	}
	for _, r := range p.rules {
		if r.host != "" && r.host == name && (r.port == 0 || strconv.Itoa(int(r.port)) == port) {
			return true
		}
	}
	return false
}

// PlainHTTP tells whether a registry, given as host or host:port, is asked without TLS: when the list has it with http://, or
// when it is a listed address of this machine, as the tools for containers do.
func (p Policy) PlainHTTP(hostport string) bool {
	host, _ := splitHTTP(hostport)
	name, _ := normal(host)
	addr, isAddr := literal(host)
	local := name == "localhost" || isAddr && addr.IsLoopback()
	return slices.ContainsFunc(p.listing(hostport), func(r rule) bool { return r.plain || local })
}

// Lists tells whether the list has what is asked by plain HTTP as host or host:port: a name as it is, an address by itself or in
// a prefix. A name is not on it by where it leads, because that may be another place the next time.
func (p Policy) Lists(hostport string) bool { return len(p.listing(hostport)) > 0 }

// listing gives the entries that list a host, at port 80 when it has none.
func (p Policy) listing(hostport string) (out []rule) {
	host, port := splitHTTP(hostport)
	number, err := strconv.ParseUint(port, 10, 16)
	name, ok := normal(host)
	if err != nil || !ok {
		return nil
	}
	addr, isAddr := literal(host)
	addr = plain(addr)
	for _, r := range p.rules {
		listed := r.host == name || isAddr && r.prefix.IsValid() && r.prefix.Contains(addr)
		if listed && (r.port == 0 || uint64(r.port) == number) {
			out = append(out, r)
		}
	}
	return out
}

// splitHTTP takes the port from host or host:port as a URL of plain HTTP has it.
func splitHTTP(hostport string) (host, port string) {
	if host, port, err := net.SplitHostPort(hostport); err == nil {
		return host, port
	}
	return strings.Trim(hostport, "[]"), "80"
}
