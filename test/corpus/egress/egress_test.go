// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	analysis "github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/analysis/prometheus"
	asked "github.com/windlass-dev/windlass/internal/analysis/query"
	"github.com/windlass-dev/windlass/internal/analysis/web"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// patience is how long a client waits for a connection that it should never have begun.
const patience = 3 * time.Second

// attempt is one try to make a client connect somewhere.
type attempt struct {
	name  string
	allow []string // entries of the list of addresses
	do    func(ctx context.Context, p egress.Policy) error
}

// trap counts the connections that are made to this machine, by IPv4 and, where there is any, IPv6.
func trap(t *testing.T) (port string, made *atomic.Int64) {
	t.Helper()
	made = new(atomic.Int64)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String())
	listeners := []net.Listener{l}
	if six, err := net.Listen("tcp6", "[::1]:"+port); err == nil {
		listeners = append(listeners, six)
	} else {
		t.Logf("no connection by IPv6 can be counted: %v", err)
	}
	for _, l := range listeners {
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				made.Add(1)
				_ = c.Close()
			}
		}()
	}
	return port, made
}

// names makes all clients of this process ask a name server of the test.
func names(t *testing.T) {
	t.Helper()
	before := net.DefaultResolver
	net.DefaultResolver = testkit.Resolver(t, answers)
	t.Cleanup(func() { net.DefaultResolver = before })
}

// fetch reads a source to its end.
func fetch(src source.Source) func(context.Context, egress.Policy) error {
	return func(ctx context.Context, p egress.Policy) error {
		c := source.New(source.Options{Egress: p, Connect: patience, Answer: patience})
		defer c.Close()
		body, err := c.Open(ctx, src)
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = io.Copy(io.Discard, body)
		return err
	}
}

func image(registry string) source.OCI {
	digest := "sha256:" + strings.Repeat("0", 64)
	return source.OCI{Image: registry + "/a/b@" + digest, Layer: digest}
}

func attachments(registry string) func(context.Context, egress.Policy) error {
	return func(ctx context.Context, p egress.Policy) error {
		c := source.New(source.Options{Egress: p, Connect: patience, Answer: patience})
		defer c.Close()
		_, err := image(registry).Attachments(ctx, c)
		return err
	}
}

func query(address string) func(context.Context, egress.Policy) error {
	return func(ctx context.Context, p egress.Policy) error {
		_, err := prometheus.New(analysis.New(p, patience)).Query(ctx, address, "up")
		return err
	}
}

func metric(address string) func(context.Context, egress.Policy) error {
	return func(ctx context.Context, p egress.Policy) error {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		_, err = web.New(analysis.New(p, patience), nil).Get(ctx, u, "", "")
		return err
	}
}

func head(endpoint string) func(context.Context, egress.Policy) error {
	return func(ctx context.Context, p egress.Policy) error {
		b, err := store.Open(store.Config{Endpoint: endpoint, Bucket: "bucket", AccessKey: "a", SecretKey: "s", Egress: &p})
		if err != nil {
			return kit.Stall(otav1alpha1.InvalidSpecReason, "spec.storage: %w", err)
		}
		_, err = b.Head(ctx, "key")
		return err
	}
}

// served is a server that may be asked, and what is then asked of it.
func served(t *testing.T, name string, h http.HandlerFunc, do func(url string) func(context.Context, egress.Policy) error) attempt {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return attempt{name: name, allow: []string{strings.TrimPrefix(s.URL, "http://")}, do: do(s.URL)}
}

func fromWeb(url string) func(context.Context, egress.Policy) error {
	return fetch(source.HTTP{URL: url})
}

func fromRegistry(url string) func(context.Context, egress.Policy) error {
	return fetch(image(strings.TrimPrefix(url, "http://")))
}

// attempts are all attacks.
func attempts(t *testing.T, port string) []attempt {
	t.Helper()
	var out []attempt
	add := func(name string, do func(context.Context, egress.Policy) error) {
		out = append(out, attempt{name: name, do: do, allow: []string{"listed.example:2"}})
	}
	for _, addr := range reserved {
		add("address "+addr, fetch(source.HTTP{URL: "http://" + addr + "/"}))
	}
	for _, url := range forms(port) {
		add("form "+url, fetch(source.HTTP{URL: url}))
	}
	for name := range answers {
		add("name "+name, fetch(source.HTTP{URL: "http://" + name + ":" + port + "/"}))
	}
	for _, host := range hosts(port) {
		add("s3 "+host, fetch(source.S3{Endpoint: "http://" + host, Bucket: "bucket", Key: "key", AccessKeyID: "a", SecretAccessKey: "s"}))
		add("oci "+host, fetch(image(host)))
		add("cosign "+host, attachments(host))
		add("prometheus "+host, query("http://"+host))
		add("web metric "+host, metric("http://"+host))
		add("storage "+host, head("http://"+host))
	}
	for _, to := range redirects(port) {
		out = append(out,
			served(t, "redirect "+to, func(w http.ResponseWriter, _ *http.Request) { found(w, to) }, fromWeb),
			served(t, "second redirect "+to, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/next" {
					found(w, to)
					return
				}
				found(w, "/next")
			}, fromWeb),
			served(t, "registry redirects "+to, func(w http.ResponseWriter, _ *http.Request) { found(w, to) }, fromRegistry),
			served(t, "token server "+to, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+to+`",service="s"`)
				w.WriteHeader(http.StatusUnauthorized)
			}, fromRegistry),
			served(t, "prometheus redirects "+to, func(w http.ResponseWriter, _ *http.Request) { found(w, to) }, query),
			served(t, "storage redirects "+to, func(w http.ResponseWriter, _ *http.Request) { found(w, to) }, head))
	}
	return out
}

func found(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// unconnected are the ends of a fetch that come before any connection to where the attack leads: a name that does not exist, and
// redirects and token servers that are not followed to anywhere.
var unconnected = []string{"host name", "no such host", "redirects", "not that of a registry", "is no URL", "status 307", "answered 307"}

// stopped tells whether an error shows that no connection was begun. The trap sees those to this machine; for other machines the
// error is all there is: what was begun ends with a refusal, a timeout or an answer.
func stopped(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*asked.ProviderError](err); ok && errors.Is(err, egress.ErrDenied) {
		return true
	}
	switch kit.Classify(err).Reason {
	case otav1alpha1.AddressDeniedReason, otav1alpha1.InvalidSpecReason:
		return true
	}
	for _, text := range unconnected {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

func TestSSRF(t *testing.T) {
	names(t)
	port, made := trap(t)
	for _, name := range flips {
		if got, err := net.DefaultResolver.LookupHost(t.Context(), name); err != nil || len(got) != 1 || got[0] != "8.8.8.8" {
			t.Fatalf("%s has first the addresses %v, %v", name, got, err)
		}
	}
	all := attempts(t, port)
	var accepted atomic.Int64
	var group errgroup.Group
	group.SetLimit(16) // object stores are asked again before they are given up
	for _, a := range all {
		group.Go(func() error {
			p, err := egress.Parse(a.allow)
			if err != nil {
				return err
			}
			if err := a.do(t.Context(), p); !stopped(err) {
				accepted.Add(1)
				t.Errorf("%s: got error %v", a.name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := made.Load(); n != 0 {
		accepted.Store(max(accepted.Load(), n))
		t.Errorf("%d connections were made", n)
	}
	fmt.Fprintf(os.Stdout, "TRIED ssrf %d ACCEPTED %d\n", len(all), accepted.Load())
	if len(all) < 80 {
		t.Errorf("%d targets, want 80 or more", len(all))
	}
}

// The trap works: what is allowed reaches it, in all the ways in which attacks try to.
func TestGood(t *testing.T) {
	names(t)
	port, made := trap(t)
	tried, refused := 0, 0
	for _, text := range public {
		tried++
		if err := (egress.Policy{}).Check("public.example", netip.AddrPortFrom(netip.MustParseAddr(text), 443)); err != nil {
			refused++
			t.Error(err)
		}
	}
	host := "127.0.0.1:" + port
	for _, a := range []attempt{
		{"address", []string{"127.0.0.1"}, fromWeb("http://" + host)},
		{"address and port", []string{host}, fromWeb("http://" + host)},
		{"prefix", []string{"127.0.0.0/8"}, fromWeb("http://" + host)},
		{"IPv4 within IPv6", []string{"127.0.0.0/8"}, fromWeb("http://[::ffff:127.0.0.1]:" + port)},
		{"name by address", []string{"127.0.0.1"}, fromWeb("http://loop.example:" + port)},
		{"name", []string{"listed.example"}, fromWeb("http://listed.example:" + port)},
		{"name and port", []string{"listed.example:" + port}, fromWeb("http://listed.example:" + port)},
		{"name in other letters", []string{"listed.example"}, fromWeb("http://LISTED.example.:" + port)},
		{"one of many", []string{"10.9.9.9", "fd00::/8", "listed.example"}, fromWeb("http://listed.example:" + port)},
		{"one address of many", []string{"127.0.0.1"}, fromWeb("http://many.example:" + port)},
		{"s3", []string{"127.0.0.1"}, fetch(source.S3{Endpoint: "http://" + host, Bucket: "bucket", Key: "key"})},
		{"oci", []string{"127.0.0.1"}, fromRegistry("http://" + host)},
		{"oci by name", []string{"http://listed.example"}, fromRegistry("http://listed.example:" + port)},
		{"cosign", []string{"127.0.0.1"}, attachments(host)},
		{"prometheus", []string{"127.0.0.1"}, query("http://" + host)},
		{"web metric", []string{"127.0.0.1"}, metric("http://" + host)},
		{"storage", []string{"127.0.0.1"}, head("http://" + host)},
	} {
		p, err := egress.Parse(a.allow)
		if err != nil {
			t.Fatal(err)
		}
		tried++
		before := made.Load()
		err = a.do(t.Context(), p)
		if made.Load() == before {
			refused++
			t.Errorf("%s: no connection was made: %v", a.name, err)
		}
	}
	fmt.Fprintf(os.Stdout, "GOOD egress %d REFUSED %d\n", tried, refused)
}
