// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/windlass-dev/windlass/internal/analysis/telemetry"
)

const service = "gateway-internal.example."

// nameServer answers for the name of a headless Service.
type nameServer struct {
	*testing.T
	conn net.PacketConn

	mu        sync.Mutex
	addresses []netip.Addr
	questions int
}

func startNameServer(t *testing.T, addresses ...string) *nameServer {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{T: t, conn: conn}
	n.set(addresses...)
	done := make(chan struct{})
	go func() { n.serve(); close(done) }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return n
}

func (n *nameServer) set(addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses = nil
	for _, a := range addresses {
		n.addresses = append(n.addresses, netip.MustParseAddr(a))
	}
}

func (n *nameServer) asked() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.questions
}

func (n *nameServer) serve() {
	buf := make([]byte, 512)
	for {
		size, from, err := n.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := n.answer(buf[:size]); answer != nil {
			_, _ = n.conn.WriteTo(answer, from)
		}
	}
}

func (n *nameServer) answer(query []byte) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		n.Errorf("a query that is none: %v", err)
		return nil
	}
	q := m.Questions[0]
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions}
	if q.Name.String() != service || len(n.addresses) == 0 {
		out.RCode = dnsmessage.RCodeNameError
	}
	n.questions++
	for _, a := range n.addresses {
		if q.Type == dnsmessage.TypeA && out.RCode == dnsmessage.RCodeSuccess {
			head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
		}
	}
	raw, err := out.Pack()
	if err != nil {
		n.Errorf("pack: %v", err)
	}
	return raw
}

func (n *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", n.conn.LocalAddr().String())
	}}
}

// onePort lets replicas listen at one port of several loopback addresses, as pods have one port each at their own.
func onePort(t *testing.T, replicas ...*replica) (port string, addresses []string) {
	t.Helper()
	port = "0"
	for i, r := range replicas {
		address := fmt.Sprintf("127.0.0.%d", i+1)
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(address, port))
		if err != nil {
			t.Skipf("this machine has no second loopback address: %v", err)
		}
		server := httptest.NewUnstartedServer(r.server.Internal())
		_ = server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(server.Close)
		if _, port, err = net.SplitHostPort(l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, address)
	}
	return port, addresses
}

// Every address of a name is asked, each time anew, and one that does not answer is an error.
func TestEveryAddressOfAName(t *testing.T) {
	t.Parallel()
	repo, url := publish(t)
	replicas := []*replica{startReplica(t, repo, url, sqlite(t)), startReplica(t, repo, url, sqlite(t))}
	port, addresses := onePort(t, replicas...)
	names := startNameServer(t, addresses...)
	target := "dns+http://" + strings.TrimSuffix(service, ".") + ".:" + port
	c := newClient(t, telemetry.Config{Token: tokenOf(token), Resolver: names.resolver()}, target)
	both, one := tally{}, drive(replicas[0])
	for arm, n := range drive(replicas[1]) {
		both[arm] = plus(n, one[arm])
	}
	eventually(t, c, both)
	names.set(addresses[0]) // scaled down
	before := names.asked()
	eventually(t, c, one)
	if names.asked() == before {
		t.Error("the name was not looked up again")
	}
	for name, tc := range map[string]struct {
		addresses []string
		want      string
	}{
		"one is away": {append(slices.Clone(addresses), "127.0.0.9"), "127.0.0.9:" + port + ": cannot be reached"},
		"none":        {nil, "the name has no address"},
	} {
		names.set(tc.addresses...)
		got, err := c.Counts(t.Context(), trial(1))
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), target) || got != nil {
			t.Errorf("%s: got %+v, %v; want an error with %q", name, got, err, tc.want)
		}
		if got, err := c.Slices(t.Context(), trial(1)); err == nil || !strings.Contains(err.Error(), tc.want) || got != nil {
			t.Errorf("%s: got the groups %+v, %v; want an error with %q", name, got, err, tc.want)
		}
	}
	_ = names.conn.Close()
	if _, err := c.Counts(t.Context(), trial(1)); err == nil || !strings.Contains(err.Error(), "cannot be looked up") {
		t.Errorf("without a name server: %v", err)
	}
}

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://10.0.0.7:8081":         "http://10.0.0.7:8081",
		"https://gateway.example/sub/": "https://gateway.example/sub",
		"dns+http://gateway:8081":      "dns+http://gateway:8081",
		"dns+https://gateway":          "dns+https://gateway",
		"":                             "",
		"gateway:8081":                 "",
		"dns+gateway:8081":             "",
		"http://":                      "",
		"http://:8081":                 "",
		"http://[::":                   "",
		"ftp://gateway":                "",
		"http://user:secret@gateway":   "",
		"http://gateway?x=y":           "",
		"dnssrv+http://gateway":        "",
	} {
		got, err := telemetry.ParseTarget(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}
