// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// secretText is what no error may hold: answers, queries and credentials of this test have it in them.
const secretText = "s3cr3t"

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func newClient(t *testing.T, opts source.Options) *source.Client {
	t.Helper()
	opts.Egress = testkit.Loopback()
	c := source.New(opts)
	t.Cleanup(c.Close)
	return c
}

func fetch(ctx context.Context, c *source.Client, src source.Source) ([]byte, error) {
	body, err := c.Open(ctx, src)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// wantError holds an error to its class, its reason, a part of its text, and to what no text may have in it.
func wantError(t *testing.T, err error, class kit.Class, reason, text string) {
	t.Helper()
	e, ok := errors.AsType[*kit.Error](err)
	switch {
	case !ok:
		t.Fatalf("got error %v, want one of package kit", err)
	case e.Class != class || e.Reason != reason:
		t.Errorf("got class %d and reason %s, want %d and %s (%v)", e.Class, e.Reason, class, reason, err)
	case !strings.Contains(err.Error(), text):
		t.Errorf("got error %q, want one that says %q", err, text)
	case strings.Contains(err.Error(), secretText):
		t.Errorf("the error gives a secret away: %q", err)
	}
}

func TestHTTP_statuses(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(status)
		fmt.Fprint(w, "internal page with "+secretText)
	})
	for status, reason := range map[int]string{
		404: otav1alpha1.SourceNotFoundReason, 410: otav1alpha1.SourceNotFoundReason,
		401: otav1alpha1.SourceAccessDeniedReason, 403: otav1alpha1.SourceAccessDeniedReason,
		500: otav1alpha1.FetchFailedReason, 503: otav1alpha1.FetchFailedReason, 429: otav1alpha1.FetchFailedReason,
		204: otav1alpha1.FetchFailedReason, 206: otav1alpha1.FetchFailedReason, 304: otav1alpha1.FetchFailedReason,
	} {
		_, err := fetch(t.Context(), newClient(t, source.Options{}), source.HTTP{URL: fmt.Sprintf("%s/%d?token=%s", url, status, secretText)})
		wantError(t, err, kit.Transient, reason, fmt.Sprintf("/%d", status))
		if !strings.Contains(err.Error(), strconv.Itoa(status)) {
			t.Errorf("%q does not tell the status", err)
		}
	}
}

func TestHTTP_credentials(t *testing.T) {
	var got http.Header
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	c := newClient(t, source.Options{})
	for _, tc := range []struct {
		src  source.HTTP
		want string
	}{
		{source.HTTP{URL: url}, ""},
		{source.HTTP{URL: url, Token: "t"}, "Bearer t"},
		{source.HTTP{URL: url, Username: "u", Password: "p"}, "Basic dTpw"},
	} {
		if _, err := fetch(t.Context(), c, tc.src); err != nil {
			t.Fatal(err)
		}
		if got.Get("Authorization") != tc.want {
			t.Errorf("Authorization is %q, want %q", got.Get("Authorization"), tc.want)
		}
		if e := got.Get("Accept-Encoding"); e != "" {
			t.Errorf("Accept-Encoding is %q: the digest is that of the bytes as they are kept", e)
		}
	}
}

// A Secret with both kinds of credentials, or a URL with some in it, is a mistake that nobody guesses about.
func TestHTTP_credentialsRefused(t *testing.T) {
	var asked atomic.Bool
	url := serve(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	c := newClient(t, source.Options{})
	for _, src := range []source.HTTP{{URL: url, Token: secretText, Username: "u"}, {URL: url, Token: "t", Password: secretText}} {
		_, err := fetch(t.Context(), c, src)
		wantError(t, err, kit.Transient, otav1alpha1.SourceAccessDeniedReason, "either token, or username and password")
	}
	_, err := fetch(t.Context(), c, source.HTTP{URL: strings.Replace(url, "//", "//u:"+secretText+"@", 1)})
	wantError(t, err, kit.Stalled, otav1alpha1.InvalidSpecReason, "credentials in a Secret")
	if asked.Load() {
		t.Error("the server was asked")
	}
	to := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(url, "//", "//u:"+secretText+"@", 1), http.StatusFound)
	})
	_, err = fetch(t.Context(), c, source.HTTP{URL: to})
	wantError(t, err, kit.Transient, otav1alpha1.FetchFailedReason, "a user name")
}

func TestHTTP_limit(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}
	var sent atomic.Bool
	declared := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1001")
		w.WriteHeader(http.StatusOK)
		sent.Store(true)
	}
	sized := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for range n { // chunked: no length beforehand
				fmt.Fprint(w, "x")
				w.(http.Flusher).Flush()
			}
		}
	}
	c := newClient(t, source.Options{MaxSize: 1000})
	for name, h := range map[string]http.HandlerFunc{"endless": endless, "declared": declared, "one more": sized(1001)} {
		_, err := fetch(t.Context(), c, source.HTTP{URL: serve(t, h)})
		t.Log(name)
		wantError(t, err, kit.Stalled, otav1alpha1.TooLargeReason, "limit of 1000 bytes")
	}
	got, err := fetch(t.Context(), c, source.HTTP{URL: serve(t, sized(1000))})
	if err != nil || len(got) != 1000 {
		t.Errorf("got %d bytes and error %v, want all 1000", len(got), err)
	}
	if !sent.Load() {
		t.Error("the server was never asked for the artifact with a declared size")
	}
}

// cut ends the connection in the midst of an answer.
func cut(w http.ResponseWriter, head string) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	fmt.Fprint(buf, head)
	_ = buf.Flush()
	conn.Close()
}

func TestHTTP_broken(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"truncated": func(w http.ResponseWriter, _ *http.Request) {
			cut(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		},
		"truncated chunks": func(w http.ResponseWriter, _ *http.Request) {
			cut(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		},
		"no answer":     func(w http.ResponseWriter, _ *http.Request) { cut(w, "") },
		"not HTTP":      func(w http.ResponseWriter, _ *http.Request) { cut(w, "SSH-2.0-"+secretText+"\r\n") },
		"huge header":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"redirect loop": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) },
		"no location":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) },
		"bad location": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://%zz"+secretText)
			w.WriteHeader(http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, h)
			_, err := fetch(t.Context(), newClient(t, source.Options{}), source.HTTP{URL: url + "/a?x=" + secretText})
			wantError(t, err, kit.Transient, otav1alpha1.FetchFailedReason, url+"/a")
			_, again := fetch(t.Context(), newClient(t, source.Options{}), source.HTTP{URL: url + "/a?x=" + secretText})
			if again == nil || again.Error() != err.Error() {
				t.Errorf("the message is not stable:\n%v\n%v", err, again)
			}
		})
	}
}

func TestHTTP_redirects(t *testing.T) {
	var got http.Header
	target := serve(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header; fmt.Fprint(w, "artifact") })
	hops := func(n int) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			at, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
			if at+1 < n {
				http.Redirect(w, r, fmt.Sprintf("/%d", at+1), http.StatusFound)
				return
			}
			http.Redirect(w, r, target, http.StatusFound)
		}) + "/0?token=" + secretText
	}
	c := newClient(t, source.Options{})
	content, err := fetch(t.Context(), c, source.HTTP{URL: hops(3), Token: secretText})
	if err != nil || string(content) != "artifact" {
		t.Fatalf("got %q and error %v, want the artifact", content, err)
	}
	if got.Get("Authorization") != "" || got.Get("Referer") != "" {
		t.Errorf("another server was told Authorization %q and Referer %q", got.Get("Authorization"), got.Get("Referer"))
	}
	_, err = fetch(t.Context(), c, source.HTTP{URL: hops(4)})
	wantError(t, err, kit.Transient, otav1alpha1.FetchFailedReason, "redirects more than 3 times")
}

// Credentials that left their server do not come back to it: where to is then chosen by the other one.
func TestHTTP_redirectBack(t *testing.T) {
	var got http.Header
	var other string
	first := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			http.Redirect(w, r, other, http.StatusFound)
			return
		}
		got = r.Header
	})
	other = serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, first+"/b", http.StatusFound) })
	if _, err := fetch(t.Context(), newClient(t, source.Options{}), source.HTTP{URL: first + "/a", Token: secretText}); err != nil {
		t.Fatal(err)
	}
	if got == nil || got.Get("Authorization") != "" {
		t.Errorf("the last request has Authorization %q, want none", got.Get("Authorization"))
	}
}

func TestHTTP_noUpgrade(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other server was asked") }))
	t.Cleanup(secure.Close)
	plain := serve(t, http.RedirectHandler(secure.URL, http.StatusFound).ServeHTTP)
	_, err := fetch(t.Context(), newClient(t, source.Options{}), source.HTTP{URL: plain})
	wantError(t, err, kit.Transient, otav1alpha1.FetchFailedReason, "from http to https or back")
}

func TestHTTP_noDowngrade(t *testing.T) {
	plain := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the unencrypted server was asked") })
	secure := httptest.NewTLSServer(http.RedirectHandler(plain, http.StatusFound))
	t.Cleanup(secure.Close)
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	_, err := fetch(t.Context(), newClient(t, source.Options{RootCAs: pool}), source.HTTP{URL: secure.URL})
	wantError(t, err, kit.Transient, otav1alpha1.FetchFailedReason, "from http to https or back")
}

// certificate makes one that signs itself.
func certificate(t *testing.T, edit func(*x509.Certificate)) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	edit(cert)
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestHTTP_tls(t *testing.T) {
	for name, tc := range map[string]struct {
		edit  func(*x509.Certificate)
		trust bool
		want  string
	}{
		"good":    {func(*x509.Certificate) {}, true, ""},
		"unknown": {func(*x509.Certificate) {}, false, "unknown authority"},
		"expired": {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }, true, "expired"},
		"foreign": {func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }, true, "another host"},
	} {
		t.Run(name, func(t *testing.T) {
			cert, pool := certificate(t, tc.edit)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			s.StartTLS()
			t.Cleanup(s.Close)
			opts := source.Options{RootCAs: x509.NewCertPool()}
			if tc.trust {
				opts.RootCAs = pool
			}
			_, err := fetch(t.Context(), newClient(t, opts), source.HTTP{URL: s.URL})
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, kit.Transient, otav1alpha1.FetchFailedReason, tc.want)
		})
	}
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, err := fetch(t.Context(), newClient(t, source.Options{}), source.HTTP{URL: strings.Replace(plain, "http:", "https:", 1)})
	wantError(t, err, kit.Transient, otav1alpha1.FetchFailedReason, "https://")
}

// Each kind of waiting ends by itself, and says which one it was.
func TestHTTP_timeouts(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	stuck := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "some")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	drip := func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprint(w, "x")
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
	for name, tc := range map[string]struct {
		h    http.HandlerFunc
		opts source.Options
		want string
	}{
		"no answer":   {silent, source.Options{Answer: 50 * time.Millisecond}, "did not answer in time"},
		"no progress": {stuck, source.Options{Idle: 50 * time.Millisecond}, "no data came for too long"},
		"too slow":    {drip, source.Options{Timeout: 100 * time.Millisecond}, "longer than the time"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fetch(t.Context(), newClient(t, tc.opts), source.HTTP{URL: serve(t, tc.h)})
			wantError(t, err, kit.Transient, otav1alpha1.FetchFailedReason, tc.want)
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		url := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
		_, err := fetch(ctx, newClient(t, source.Options{}), source.HTTP{URL: url})
		wantError(t, err, kit.Transient, otav1alpha1.FetchFailedReason, "cancelled")
	})
}

func TestHTTP_unreachable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c := newClient(t, source.Options{})
	_, err := fetch(t.Context(), c, source.HTTP{URL: gone.URL + "?token=" + secretText})
	wantError(t, err, kit.Transient, otav1alpha1.FetchFailedReason, "connection was refused")
	_, err = fetch(t.Context(), c, source.HTTP{URL: "http://" + secretText + "host.invalid\x7f/"})
	wantError(t, err, kit.Stalled, otav1alpha1.InvalidSpecReason, "cannot be read")
}

func TestReadSmall(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		_, _ = w.Write(bytes.Repeat([]byte("x"), n))
	})
	c := newClient(t, source.Options{})
	if got, err := c.ReadSmall(t.Context(), source.HTTP{URL: url + "/64"}, 64); err != nil || len(got) != 64 {
		t.Errorf("got %d bytes and error %v, want 64", len(got), err)
	}
	_, err := c.ReadSmall(t.Context(), source.HTTP{URL: url + "/65"}, 64)
	wantError(t, err, kit.Stalled, otav1alpha1.TooLargeReason, "64 bytes")
}

func TestHTTP_sameOrigin(t *testing.T) {
	h := source.HTTP{URL: "https://ci.example.com/a.zip"}
	for other, want := range map[string]bool{
		"https://ci.example.com/a.sig": true, "http://ci.example.com/a.sig": false, "https://ci.example.com:8443/a.sig": false, "https://example.com/a.sig": false, "%": false,
	} {
		if h.SameOrigin(other) != want {
			t.Errorf("SameOrigin(%q) = %v, want %v", other, !want, want)
		}
	}
}

// Credentials are shown to the network only where the operator lists the server.
func TestHTTP_plainCredentials(t *testing.T) {
	var asked atomic.Int32
	url := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	port := url[strings.LastIndex(url, ":"):]
	for _, tc := range []struct {
		allow, url string
		want       bool
	}{
		{"127.0.0.0/8", url, true},
		{"127.0.0.1" + port, url, true},
		{"localhost", "http://localhost" + port, true},
		{"127.0.0.0/8", "http://localhost" + port, false}, // where a name leads may change
		{"127.0.0.1:1", url, false},
		{"localhost", url, false},
	} {
		p, err := egress.Parse([]string{tc.allow})
		if err != nil {
			t.Fatal(err)
		}
		c := source.New(source.Options{Egress: p})
		t.Cleanup(c.Close)
		for _, src := range []source.HTTP{{URL: tc.url, Token: secretText}, {URL: tc.url, Username: "ci", Password: secretText}} {
			before := asked.Load()
			_, err = fetch(t.Context(), c, src)
			switch {
			case tc.want && err != nil:
				t.Errorf("%s with %s: %v", tc.url, tc.allow, err)
			case !tc.want:
				wantError(t, err, kit.Transient, otav1alpha1.CredentialsNotAllowedReason, "expected an https URL, or the manager started with --allow-address=")
			}
			if got := asked.Load() - before; (got == 1) != tc.want {
				t.Errorf("%s with %s: the server was asked %d times", tc.url, tc.allow, got)
			}
		}
	}
}
