// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package netaddr

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"
)

const proxies = "10.0.0.0/8, fd00::/8,192.0.2.7,::ffff:172.16.0.0/108"

func resolver(t testing.TB, trusted, header string) *Resolver {
	t.Helper()
	prefixes, err := ParseTrusted(trusted)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Config{Trusted: prefixes, Header: header, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func request(peer, header string, lines ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.RemoteAddr = peer
	for _, line := range lines {
		r.Header.Add(header, line)
	}
	return r
}

// Each request must be of the network of a plain connection from same; of none when same is empty.
func TestNetwork(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("203.0.113.9, ", 3000)
	for _, tc := range []struct {
		name, peer, header string
		lines              []string
		same               string
	}{
		{name: "IPv4", peer: "203.0.113.9:1", same: "203.0.113.200:2"},
		{name: "mapped", peer: "[::ffff:203.0.113.9]:1", same: "203.0.113.200:2"},
		{name: "NAT64", peer: "[64:ff9b::203.0.113.9]:1", same: "203.0.113.200:2"},
		{name: "IPv6", peer: "[2001:db8:1:2::3]:1", same: "[2001:db8:1:ffff::]:1"},
		{name: "zone", peer: "[fe80::1%eth0]:1", same: "[fe80::2]:1"},
		{name: "no address", peer: "@"},
		{name: "no port", peer: "203.0.113.9"},
		{name: "untrusted peer", peer: "203.0.113.9:1", lines: []string{"198.51.100.1"}, same: "203.0.113.9:1"},
		{name: "one hop", peer: "10.0.0.1:1", lines: []string{"198.51.100.1"}, same: "198.51.100.1:1"},
		{name: "one address is trusted", peer: "192.0.2.7:1", lines: []string{"198.51.100.1"}, same: "198.51.100.1:1"},
		{name: "its neighbour is not", peer: "192.0.2.8:1", lines: []string{"198.51.100.1"}, same: "192.0.2.8:1"},
		{name: "a mapped network is trusted", peer: "172.31.0.1:1", lines: []string{"198.51.100.1"}, same: "198.51.100.1:1"},
		{name: "IPv6 proxy", peer: "[fd00::1]:1", lines: []string{"2001:db8:1::1"}, same: "[2001:db8:1::]:1"},
		{name: "made-up hop", peer: "10.0.0.1:1", lines: []string{"6.6.6.6, 198.51.100.1, 10.2.2.2"}, same: "198.51.100.1:1"},
		{name: "lines", peer: "10.0.0.1:1", lines: []string{"6.6.6.6", "198.51.100.1", "10.2.2.2\t,10.3.3.3"}, same: "198.51.100.1:1"},
		{name: "made-up trusted hop", peer: "10.0.0.1:1", lines: []string{"10.9.9.9, 198.51.100.1"}, same: "198.51.100.1:1"},
		{name: "port", peer: "10.0.0.1:1", lines: []string{"198.51.100.1:4711"}, same: "198.51.100.1:1"},
		{name: "brackets and port", peer: "10.0.0.1:1", lines: []string{"[2001:db8:1::1]:4711"}, same: "[2001:db8:1::]:1"},
		{name: "brackets", peer: "10.0.0.1:1", lines: []string{"[2001:db8:1::1]"}, same: "[2001:db8:1::]:1"},
		{name: "only proxies", peer: "10.0.0.1:1", lines: []string{"10.9.9.9, 10.8.8.8"}, same: "10.9.9.9:1"},
		{name: "no header", peer: "10.0.0.1:1", same: "10.0.0.1:1"},
		{name: "garbage right-most", peer: "10.0.0.1:1", lines: []string{"198.51.100.1, unknown"}},
		{name: "garbage after proxies", peer: "10.0.0.1:1", lines: []string{"198.51.100.1, _hidden, 10.2.2.2"}},
		{name: "empty", peer: "10.0.0.1:1", lines: []string{""}},
		{name: "empty element", peer: "10.0.0.1:1", lines: []string{"198.51.100.1,"}},
		{name: "empty line behind", peer: "10.0.0.1:1", lines: []string{"198.51.100.1", ",10.2.2.2"}},
		{name: "brackets around IPv4", peer: "10.0.0.1:1", lines: []string{"[198.51.100.1]"}},
		{name: "open bracket", peer: "10.0.0.1:1", lines: []string{"[2001:db8::1"}},
		{name: "leading zeros", peer: "10.0.0.1:1", lines: []string{"198.051.100.001"}},
		{name: "text that is too long", peer: "10.0.0.1:1", lines: []string{strings.Repeat("1", 8<<10)}},
		{name: "thousands of hops", peer: "10.0.0.1:1", lines: []string{long + "198.51.100.1"}, same: "198.51.100.1:1"},
		{name: "thousands of proxies", peer: "10.0.0.1:1", lines: []string{"198.51.100.1" + strings.Repeat(",10.0.0.1", 3000)}},
		{name: "as many proxies as allowed", peer: "10.0.0.1:1", lines: []string{"198.51.100.1" + strings.Repeat(",10.0.0.1", maxHops-1)}, same: "198.51.100.1:1"},
		{name: "one proxy too many", peer: "10.0.0.1:1", lines: []string{"198.51.100.1" + strings.Repeat(",10.0.0.1", maxHops)}},

		{name: "other header", peer: "10.0.0.1:1", header: Forwarded, same: "10.0.0.1:1"},
		{name: "for", peer: "10.0.0.1:1", header: Forwarded, lines: []string{"for=198.51.100.1"}, same: "198.51.100.1:1"},
		{name: "case and parameters", peer: "10.0.0.1:1", header: Forwarded, lines: []string{"proto=https;FOR=198.51.100.1;by=10.1.1.1"}, same: "198.51.100.1:1"},
		{name: "quoted", peer: "10.0.0.1:1", header: Forwarded, lines: []string{`for="[2001:db8:1::1]:80"; proto=https`}, same: "[2001:db8:1::]:1"},
		{name: "list", peer: "10.0.0.1:1", header: Forwarded, lines: []string{`for=6.6.6.6, for="198.51.100.1:80", for=10.2.2.2`}, same: "198.51.100.1:1"},
		{name: "separators in quotes", peer: "10.0.0.1:1", header: Forwarded, lines: []string{`for=6.6.6.6, for=198.51.100.1;x="a,b;\"for=1.1.1.1"`}, same: "198.51.100.1:1"},
		{name: "a quote that the client left open", peer: "10.0.0.1:1", header: Forwarded, lines: []string{`for="6.6.6.6, for=198.51.100.1`}, same: "198.51.100.1:1"},
		{name: "obfuscated", peer: "10.0.0.1:1", header: Forwarded, lines: []string{"for=198.51.100.1, for=_hidden"}},
		{name: "no for", peer: "10.0.0.1:1", header: Forwarded, lines: []string{"for=198.51.100.1, proto=https"}},
		{name: "two for", peer: "10.0.0.1:1", header: Forwarded, lines: []string{"for=198.51.100.1;for=198.51.100.1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := resolver(t, proxies, tc.header)
			in := tc.header
			if in == "" {
				in = XForwardedFor
			}
			got := r.Network(request(tc.peer, in, tc.lines...))
			want := r.Network(request(tc.same, ""))
			if got != want || got == 0 {
				t.Errorf("got %x, want %x: %v", got, want, r.client(request(tc.peer, in, tc.lines...)))
			}
		})
	}
}

// A proxy that nobody named is counted and told of, once and without its address.
func TestUntrustedProxyIsNoticed(t *testing.T) {
	t.Parallel()
	prefixes, err := ParseTrusted(proxies)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		trusted bool // that there are any trusted proxies
		peer    string
		headers []string
		want    float64
	}{
		"no proxy is named":        {false, "192.168.7.7:1", []string{XForwardedFor, XForwardedFor}, 2},
		"another one is named":     {true, "192.168.7.7:1", []string{XForwardedFor, Forwarded}, 2},
		"the named one":            {true, "10.0.0.1:1", []string{XForwardedFor, Forwarded}, 0},
		"a device that comes here": {false, "192.168.7.7:1", []string{"", ""}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			cfg := Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: prometheus.NewRegistry()}
			if tc.trusted {
				cfg.Trusted = prefixes
			}
			r, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			for _, header := range tc.headers {
				r.Network(request(tc.peer, header, "198.51.100.1"))
			}
			if got := testutil.ToFloat64(r.strangers); got != tc.want {
				t.Errorf("%v counted, want %v", got, tc.want)
			}
			warnings := strings.Count(log.String(), "--trusted-proxies")
			if (warnings == 1) != (tc.want > 0) || strings.Contains(log.String(), "192.168") || strings.Contains(log.String(), "198.51") {
				t.Errorf("%d warnings: %s", warnings, log.String())
			}
		})
	}
}

func TestNetworksDiffer(t *testing.T) {
	t.Parallel()
	r := resolver(t, "", "")
	seen := map[any]string{}
	for _, peer := range []string{"203.0.113.9:1", "203.0.112.9:1", "[2001:db8:1::]:1", "[2001:db8:2::]:1", "[cb00:7100::]:1", "[::]:1", "0.0.0.0:1", "@"} {
		n := r.Network(request(peer, ""))
		if seen[n] != "" {
			t.Errorf("%s and %s are one network", peer, seen[n])
		}
		seen[n] = peer
	}
	if peer := "203.0.113.9:1"; resolver(t, "", "").Network(request(peer, "")) == r.Network(request(peer, "")) {
		t.Error("two Resolvers have the same key")
	}
}

func TestRefusedConfigs(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"10.0.0.0/33", "proxy", "0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96", "::ffff:0.0.0.0/90", "10.0.0.1/8/8", "fe80::1%eth0/64"} {
		if got, err := ParseTrusted(list); err == nil {
			t.Errorf("%s: got %v, want an error", list, got)
		}
	}
	if _, err := New(Config{Header: "X-Real-IP"}); err == nil {
		t.Error("X-Real-IP: got no error")
	}
	if got, err := ParseTrusted(" , "); err != nil || len(got) != 0 {
		t.Errorf("empty list: %v %v", got, err)
	}
}

// What a client writes into a header has no influence, as the proxy appends the address that it sees.
func TestClientCannotChooseItsNetwork(t *testing.T) {
	t.Parallel()
	r := map[string]*Resolver{XForwardedFor: resolver(t, proxies, ""), Forwarded: resolver(t, proxies, Forwarded)}
	rapid.Check(t, func(t *rapid.T) {
		for header, appended := range map[string]string{XForwardedFor: "198.51.100.1", Forwarded: `for="198.51.100.1:1";by=10.0.0.1`} {
			made := rapid.SliceOf(rapid.StringMatching(`[ -~]{0,40}|(for=)?"?(10\.0\.0\.1|6\.6\.6\.6)"?(, ?|;)`)).Draw(t, header)
			line := strings.Join(append(made, ", "), "") + appended
			want := r[header].Network(request("198.51.100.1:1", ""))
			if got := r[header].Network(request("10.0.0.1:1", header, line)); got != want {
				t.Fatalf("%s: %s gives another network", header, line)
			}
		}
	})
}

// FuzzHeaders: no header makes the reading panic, or gives a device the rights of one that proved who it is; and what a client
// writes has no influence.
func FuzzHeaders(f *testing.F) {
	f.Add("203.0.113.9:1", "6.6.6.6, 10.0.0.1")
	f.Add("10.0.0.1:1", `for="[2001:db8::1]:80";proto=https, for=10.0.0.1;x="\",;"`)
	f.Add("[::ffff:10.0.0.1%1]:1", `,,"`)
	r := map[string]*Resolver{XForwardedFor: resolver(f, proxies, ""), Forwarded: resolver(f, proxies, Forwarded)}
	f.Fuzz(func(t *testing.T, peer, line string) {
		for header, appended := range map[string]string{XForwardedFor: "198.51.100.1", Forwarded: `for=198.51.100.1`} {
			if r[header].Network(request(peer, header, line)) == 0 {
				t.Fatal("0 is for devices that proved who they are")
			}
			want := r[header].Network(request("198.51.100.1:1", ""))
			if got := r[header].Network(request("10.0.0.1:1", header, line+", "+appended)); got != want {
				t.Fatalf("%s: %s gives another network", header, line)
			}
		}
	})
}

func TestNoAllocations(t *testing.T) {
	direct, behind := resolver(t, "", ""), resolver(t, proxies, "")
	for name, run := range map[string]func(){
		"direct": func() { direct.Network(request4) },
		"behind": func() { behind.Network(requestBehind) },
	} {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

var (
	request4      = request("203.0.113.9:1", "")
	requestBehind = request("10.0.0.1:1", XForwardedFor, "6.6.6.6, 198.51.100.1")
)

func BenchmarkNetwork(b *testing.B) {
	r := resolver(b, proxies, "")
	b.ReportAllocs()
	for b.Loop() {
		r.Network(requestBehind)
	}
}
