// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package egress_test

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/testkit"
)

func parse(t *testing.T, entries ...string) egress.Policy {
	t.Helper()
	p, err := egress.Parse(entries)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCheck(t *testing.T) {
	for _, tc := range []struct{ addr, why string }{
		{"0.1.2.3", "this network"}, {"10.1.2.3", "private"}, {"100.64.0.1", "carrier"}, {"100.100.100.200", "carrier"}, {"100.128.0.1", ""},
		{"127.9.9.9", "loopback"}, {"168.63.129.16", "Azure"}, {"168.63.129.17", ""}, {"169.254.169.254", "link-local"},
		{"172.15.255.255", ""}, {"172.16.0.1", "private"}, {"172.31.255.255", "private"}, {"172.32.0.1", ""}, {"192.0.0.192", "protocols"},
		{"192.0.1.1", ""}, {"192.0.2.1", "documentation"}, {"192.31.196.1", "AS112"}, {"192.52.193.1", "tunnels"}, {"192.88.99.1", "6to4"}, {"192.168.0.1", "private"},
		{"192.175.48.6", "AS112"}, {"198.17.255.255", ""}, {"198.18.0.1", "benchmarks"}, {"198.19.255.255", "benchmarks"}, {"198.20.0.1", ""},
		{"198.51.100.1", "documentation"}, {"203.0.113.1", "documentation"}, {"224.0.0.1", "multicast"}, {"239.255.255.255", "multicast"},
		{"240.0.0.1", "reserved"}, {"255.255.255.255", "broadcast"}, {"1.1.1.1", ""}, {"8.8.8.8", ""}, {"223.255.255.255", ""},
		{"::", "unspecified"}, {"::1", "loopback"}, {"::127.0.0.1", "compatible"}, {"::ffff:127.0.0.1", "loopback"}, {"::ffff:8.8.8.8", ""},
		{"::ffff:0:127.0.0.1", "translated"}, {"64:ff9b::a9fe:a9fe", "link-local"}, {"64:ff9b::808:808", ""}, {"64:ff9b:1::808:808", "NAT64"},
		{"100::1", "discard"}, {"100:0:0:1::1", "dummy"}, {"2001::1", "Teredo"}, {"2001:1::1", "protocols"}, {"2001:20::1", "protocols"}, {"2001:200::1", ""},
		{"2001:db8::1", "documentation"}, {"2002:a9fe:a9fe::", "6to4"}, {"2606:4700:4700::1111", ""}, {"2620:4f:8000::1", "AS112"}, {"3fff::1", "documentation"},
		{"5f00::1", "segment"}, {"fc00::1", "unique"}, {"fd00:ec2::254", "unique"}, {"fe80::1", "link-local"}, {"fe80::1%eth0", "zone"},
		{"2606:4700:4700::1111%eth0", "zone"}, {"fec0::1", "site-local"}, {"ff02::1", "multicast"}, {"4000::1", "outside"}, {"1::1", "outside"},
	} {
		err := egress.Policy{}.Check("host.example", netip.AddrPortFrom(netip.MustParseAddr(tc.addr), 443))
		switch {
		case tc.why == "" && err != nil:
			t.Errorf("%s: got %v, want it allowed", tc.addr, err)
		case tc.why != "" && (!errors.Is(err, egress.ErrDenied) || !strings.Contains(err.Error(), tc.why)):
			t.Errorf("%s: got %v, want it denied as %q", tc.addr, err, tc.why)
		}
	}
}

func TestDeniedError(t *testing.T) {
	for host, want := range map[string]string{
		"db.example": "db.example has the address 10.0.0.7, which is a private address (RFC 1918): the manager connects to it only when it is started with --allow-address=db.example",
		"10.0.0.7":   "10.0.0.7 is a private address (RFC 1918): the manager connects to it only when it is started with --allow-address=10.0.0.7",
	} {
		err := egress.Policy{}.Check(host, netip.MustParseAddrPort("10.0.0.7:80"))
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		denied, ok := errors.AsType[*egress.DeniedError](err)
		if !ok || denied.Literal() != (host == "10.0.0.7") {
			t.Errorf("%s: got literal %v", host, ok && denied.Literal())
		}
	}
}

func TestParse_allows(t *testing.T) {
	for _, tc := range []struct {
		entry, host, addr string
		want              bool
	}{
		{"10.0.0.7", "10.0.0.7", "10.0.0.7:80", true},
		{"10.0.0.7", "a.example", "10.0.0.7:80", true},
		{"10.0.0.7", "10.0.0.8", "10.0.0.8:80", false},
		{"10.0.0.7:80", "10.0.0.7", "10.0.0.7:80", true},
		{"10.0.0.7:80", "10.0.0.7", "10.0.0.7:81", false},
		{"10.0.0.0/8", "a.example", "10.9.9.9:1", true},
		{"10.0.0.0/8", "a.example", "[::ffff:10.9.9.9]:1", true},
		{"10.0.0.0/8", "a.example", "[64:ff9b::a09:909]:1", true},
		{"10.0.0.0/8", "a.example", "11.9.9.9:1", true}, // public
		{"10.0.0.0/8", "a.example", "192.168.0.1:1", false},
		{"fd00::/8", "a.example", "[fd00::1]:1", true},
		{"fd00::7", "a.example", "[fd00::7]:1", true},
		{"[fd00::7]", "a.example", "[fd00::7]:1", true},
		{"[fd00::7]:9000", "a.example", "[fd00::7]:1", false},
		{"fe80::/10", "a.example", "[fe80::1%eth0]:1", false}, // the zone is chosen by who asks
		{"a.example", "a.example", "10.0.0.7:80", true},
		{"A.Example.", "a.example", "10.0.0.7:80", true},
		{"a.example", "A.EXAMPLE.", "10.0.0.7:80", true},
		{"a.example:80", "a.example", "10.0.0.7:80", true},
		{"a.example:80", "a.example", "10.0.0.7:81", false},
		{"a.example", "b.a.example", "10.0.0.7:80", false},
		{"a.example", "a.example.evil.example", "10.0.0.7:80", false},
		{"http://a.example:80", "a.example", "10.0.0.7:80", true},
		{"localhost", "127.0.0.1", "127.0.0.1:80", false},
	} {
		err := parse(t, tc.entry).Check(tc.host, netip.MustParseAddrPort(tc.addr))
		if (err == nil) != tc.want {
			t.Errorf("%s lets %s be reached at %s: got %v, want %v", tc.entry, tc.host, tc.addr, err, tc.want)
		}
	}
}

func TestParse_refuses(t *testing.T) {
	for entry, want := range map[string]string{
		"": "expected an address", "*": "expected an address", "*.example": "expected an address", "a b": "expected an address", "https://a.example": "expected an address",
		"a.example/path": "expected an address", "http://a.example/": "expected an address", "-a.example": "expected an address", "a..example": "expected an address",
		"a.example:": "port", "a.example:0": "port", "a.example:65536": "port", "a.example:http": "port", "10.0.0.1/8": "did you mean 10.0.0.0/8", "10.0.0.0/33": "expected an address",
		"::ffff:10.0.0.0/104": "IPv4 prefix", "::ffff:10.0.0.1": "IPv4 address within IPv6", "fe80::1%eth0": "zone", "2130706433": "number", "0x7f.1": "number", "127.1": "number",
		"010.0.0.1": "number", "[::1": "expected an address", "user@a.example": "expected an address", strings.Repeat("a.", 130) + "example": "expected an address",
	} {
		if _, err := egress.Parse([]string{"8.8.8.8", entry}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", entry, err, want)
		}
	}
}

func TestPlainHTTP(t *testing.T) {
	for _, tc := range []struct {
		entry, host string
		want        bool
	}{
		{"127.0.0.0/8", "127.0.0.1:5000", true}, {"127.0.0.0/8", "127.0.0.1", true}, {"::1", "[::1]:5000", true}, {"localhost", "localhost:5000", true},
		{"127.0.0.0/8", "localhost:5000", false}, {"10.0.0.0/8", "10.0.0.1:5000", false}, {"registry.example", "registry.example", false},
		{"http://registry.example", "registry.example:5000", true}, {"http://registry.example:5000", "registry.example:5000", true},
		{"http://registry.example:5000", "registry.example", false}, {"http://10.0.0.1", "10.0.0.1:5000", true}, {"http://10.0.0.1", "10.0.0.2:5000", false},
		{"8.8.8.8", "127.0.0.1", false}, {"http://registry.example", "registry.example:x", false},
	} {
		if got := parse(t, tc.entry).PlainHTTP(tc.host); got != tc.want {
			t.Errorf("%s, %s: got %v, want %v", tc.entry, tc.host, got, tc.want)
		}
	}
	if (egress.Policy{}).PlainHTTP("127.0.0.1:5000") {
		t.Error("nothing is listed, and a registry is asked without TLS")
	}
}

// listener counts the connections that are made to it.
func listener(t *testing.T) (addr string, made *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	made = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			made.Add(1)
			c.Close()
		}
	}()
	return l.Addr().String(), made
}

// A name that leads to this machine is refused on every try, also when its first answer was a public address.
func TestDialContext_rebinding(t *testing.T) {
	addr, made := listener(t)
	_, port, _ := net.SplitHostPort(addr)
	for name, answers := range map[string][][]string{
		"at once":    {{"127.0.0.1"}},
		"mapped":     {{"::ffff:127.0.0.1"}},
		"six":        {{"::1"}},
		"both":       {{"::1", "127.0.0.1"}},
		"many":       {{"127.0.0.1", "127.0.0.2", "10.0.0.1"}},
		"any":        {{"0.0.0.0"}, {"::"}},
		"compatible": {{"::127.0.0.1"}},
	} {
		d := &net.Dialer{Resolver: testkit.Resolver(t, testkit.Answers{"rebind.example": answers}), Timeout: 5 * time.Second}
		dial := egress.Policy{}.DialContext(d)
		for range 3 {
			c, err := dial(t.Context(), "tcp", net.JoinHostPort("rebind.example", port))
			if err == nil {
				c.Close()
			}
			if !errors.Is(err, egress.ErrDenied) {
				t.Errorf("%s: got %v, want ErrDenied", name, err)
			}
		}
	}
	// A name that is judged when it is looked up would pass: its first answer is public, and only its second leads here.
	d := &net.Dialer{Resolver: testkit.Resolver(t, testkit.Answers{"rebind.example": {{"8.8.8.8"}, {"127.0.0.1"}}}), Timeout: 5 * time.Second}
	if got, err := d.Resolver.LookupHost(t.Context(), "rebind.example"); err != nil || !slices.Equal(got, []string{"8.8.8.8"}) {
		t.Fatalf("the name server answers %v, %v", got, err)
	}
	if _, err := (egress.Policy{}).DialContext(d)(t.Context(), "tcp", net.JoinHostPort("rebind.example", port)); !errors.Is(err, egress.ErrDenied) {
		t.Errorf("got %v, want ErrDenied", err)
	}
	if n := made.Load(); n != 0 {
		t.Errorf("%d connections were made, want none", n)
	}
	d = &net.Dialer{Resolver: testkit.Resolver(t, testkit.Answers{"rebind.example": {{"127.0.0.1"}}}), Timeout: 5 * time.Second}
	for _, entry := range []string{"127.0.0.1", "rebind.example", "rebind.example:" + port} {
		c, err := parse(t, entry).DialContext(d)(t.Context(), "tcp", net.JoinHostPort("rebind.example", port))
		if err != nil {
			t.Fatalf("%s: %v", entry, err)
		}
		c.Close()
	}
}

func TestDialContext_forms(t *testing.T) {
	addr, made := listener(t)
	_, port, _ := net.SplitHostPort(addr)
	dial := egress.Policy{}.DialContext(&net.Dialer{Timeout: 2 * time.Second})
	for _, host := range []string{"127.0.0.1", "127.0.0.1.", "localhost", "LOCALHOST", "localhost.", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "", "2130706433", "0x7f.1", "0177.0.0.1", "127.1"} {
		if c, err := dial(t.Context(), "tcp", net.JoinHostPort(host, port)); err == nil {
			c.Close()
			t.Errorf("%q was connected to", host)
		}
	}
	for _, network := range []string{"udp", "unix", "ip"} {
		if _, err := dial(t.Context(), network, addr); !errors.Is(err, egress.ErrDenied) {
			t.Errorf("%s: got %v, want ErrDenied", network, err)
		}
	}
	if n := made.Load(); n != 0 {
		t.Errorf("%d connections were made, want none", n)
	}
}

// The table agrees with package netip where that knows an address, and an IPv4 address is judged the same in every form.
func TestCheck_properties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes")
		v4, v6 := netip.AddrFrom4([4]byte(b)), netip.AddrFrom16([16]byte(b))
		judge := func(a netip.Addr) bool {
			return egress.Policy{}.Check("a.example", netip.AddrPortFrom(a, 443)) == nil
		}
		for _, a := range []netip.Addr{v4, v6} {
			known := a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || !a.IsGlobalUnicast()
			if known && judge(a) {
				t.Fatalf("%s is allowed", a)
			}
		}
		mapped, nat := netip.AddrFrom16(v4.As16()), netip.MustParseAddr("64:ff9b::").As16()
		copy(nat[12:], b[:4])
		if want := judge(v4); judge(mapped) != want || judge(netip.AddrFrom16(nat)) != want {
			t.Fatalf("%s is judged by its form", v4)
		}
		all, err := egress.Parse([]string{"0.0.0.0/0", "::/0"})
		if err != nil || all.Check("a.example", netip.AddrPortFrom(v4, 1)) != nil || all.Check("a.example", netip.AddrPortFrom(v6, 1)) != nil {
			t.Fatalf("%s or %s is denied by a list of all, %v", v4, v6, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "a.example:80", "[fd00::7]:9000", "http://registry:5000", "0x7f.1", "fe80::1%eth0", "127.0.0.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		p, err := egress.Parse([]string{entry})
		if err != nil {
			return
		}
		// One entry never opens everything: of two distant networks and a name, at most one is let through.
		open := 0
		for _, a := range []string{"10.255.254.253:81", "192.168.254.253:82", "[fd12:3456::1]:83"} {
			if p.Check("nobody-lists-this.example", netip.MustParseAddrPort(a)) == nil {
				open++
			}
		}
		if open > 1 && !strings.Contains(entry, "/") {
			t.Errorf("%q opens %d networks", entry, open)
		}
		if _, err := egress.Parse([]string{strings.ToUpper(entry)}); err != nil && !strings.HasPrefix(entry, "http://") {
			t.Errorf("%q is read, and not in upper case: %v", entry, err)
		}
	})
}
