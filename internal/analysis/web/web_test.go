// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/analysis/query"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func serve(t *testing.T, handler http.HandlerFunc) *url.URL {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return mustParse(t, server.URL+"/rate?app=shop")
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// refused wants an error of the right type, in one line and without the words of the server.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if provider, ok := errors.AsType[*query.ProviderError](err); !ok || !strings.Contains(provider.Reason, want) {
		t.Errorf("got %T: %v; want a ProviderError with %q", err, err, want)
	}
	if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n")) {
		t.Errorf("the error tells too much: %q", err)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	var got *http.Request
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		_, _ = w.Write([]byte(`{"rate":0.5}`))
	})
	answer, err := New(fetch.New(testkit.Loopback(), fetch.Timeout), nil).Get(t.Context(), u, "", "")
	if err != nil || string(answer) != `{"rate":0.5}` {
		t.Fatalf("got %q, %v", answer, err)
	}
	if got.Method != http.MethodGet || got.URL.String() != "/rate?app=shop" || got.Header.Get("Accept") != "application/json" || got.ContentLength != 0 {
		t.Errorf("asked %s %s with %v", got.Method, got.URL, got.Header)
	}
}

func TestGet_cannotTell(t *testing.T) {
	t.Parallel()
	answer := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://other.example/s3cret")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"500":        {answer(500, "s3cret"), "the server answered with status 500, want 200"},
		"204":        {answer(204, ""), "the server answered with status 204, want 200"},
		"401":        {answer(401, "s3cret"), "the server refuses access (status 401)"},
		"redirect":   {answer(302, "s3cret"), "the server redirects (status 302): name the address that it redirects to"},
		"65 KiB":     {answer(200, strings.Repeat("s3cret ", 10_000)), "the answer is larger than 64 KiB"},
		"closed":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "closed the connection before it had answered"},
		"silent":     {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "did not answer in time"},
		"big header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("s3cret", 20_000)) }, "cannot be reached"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("         "))
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(time.Millisecond): // of a server that drips
				}
			}
		}, "did not answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(fetch.New(testkit.Loopback(), 500*time.Millisecond), nil).Get(t.Context(), serve(t, tc.handler), "", "")
			refused(t, err, tc.want)
		})
	}
	c := New(fetch.New(testkit.Loopback(), time.Second), nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = c.Get(t.Context(), mustParse(t, "http://"+l.Addr().String()), "", "")
	refused(t, err, l.Addr().String()+" refuses connections")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = c.Get(ctx, mustParse(t, "http://127.0.0.1:1"), "", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	_, err = New(fetch.New(egress.Policy{}, time.Second), nil).Get(t.Context(), mustParse(t, "http://127.0.0.1:1"), "", "")
	refused(t, err, "--allow-address=127.0.0.1")
}

// secret for a host, with one header.
func secret(name, host, header, value string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{kit.HostsAnnotation: host}}, StringData: map[string]string{header: value},
	}
}

// Headers come from a real Secret, are sent to the server that it names and to no other one, and never by mistake without TLS.
func TestGet_headers(t *testing.T) {
	t.Parallel()
	env := testkit.Start(t)
	asked := 0
	var got http.Header
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		got = r.Header
		_, _ = w.Write([]byte(`1`))
	})
	by := fetch.New(testkit.Loopback(), fetch.Timeout)
	c := New(by, Secrets{Live: env.Client, Egress: testkit.Loopback()})
	good := secret("good", "other.example, "+u.Host, "authorization", " Bearer s3cret\n")
	good.StringData["X-Scope-OrgID"] = "7"
	empty := secret("empty", u.Host, "", "")
	empty.StringData = nil
	bootstrap := secret("bootstrap", u.Host, "token-id", "s3cret")
	bootstrap.Type = corev1.SecretTypeBootstrapToken
	for _, o := range []*corev1.Secret{
		good, empty, bootstrap, secret("host", u.Host, "host", "s3cret.example"),
		secret("elsewhere", "other.example", "authorization", "s3cret"), secret("nowhere", "", "authorization", "s3cret"),
	} {
		o.Namespace = env.Namespace
		env.Create(t, o)
	}
	if _, err := c.Get(t.Context(), u, env.Namespace, "good"); err != nil {
		t.Fatal(err)
	}
	if got.Get("Authorization") != "Bearer s3cret" || got.Get("X-Scope-OrgID") != "7" {
		t.Errorf("got %v", got)
	}

	for name, want := range map[string]string{
		"missing":   "there is no Secret missing, which web.headersSecretRef names",
		"elsewhere": "Secret elsewhere is not for " + u.Host,
		"nowhere":   "Secret nowhere is not for " + u.Host,
		"empty":     "Secret empty: expected 1 to 32 keys",
		"host":      "Secret host: header Host cannot be set",
		"bootstrap": "bootstrap.kubernetes.io/token, which is sent to no web server",
	} {
		_, err := c.Get(t.Context(), u, env.Namespace, name)
		refused(t, err, want)
	}
	_, err := c.Get(t.Context(), u, "another-namespace", "good")
	refused(t, err, "there is no Secret good")
	_, err = New(by, Secrets{Live: env.Client}).Get(t.Context(), u, env.Namespace, "good")
	refused(t, err, "would be asked without TLS, which shows the headers of Secret good to the network")
	if asked != 1 {
		t.Errorf("the server was asked %d times, want once", asked)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ" {
		many["X-"+string(c)+string(c)] = "1"
	}
	for name, tc := range map[string]struct {
		data map[string]string
		want string // of the refusal; empty: accepted
	}{
		"usual":           {map[string]string{"Authorization": "Basic eDp5", "X-Api-Key": "k"}, ""},
		"line end":        {map[string]string{"a": "b\r\n"}, ""},
		"nothing":         {nil, "expected 1 to 32 keys"},
		"too many":        {many, "expected 1 to 32 keys"},
		"two lines":       {map[string]string{"a": "b\r\nHost: s3cret"}, "the value of key a is no value of a header"},
		"NUL":             {map[string]string{"a": "s3cret\x00"}, "is no value of a header"},
		"no value":        {map[string]string{"a": " "}, "is no value of a header"},
		"blank in a name": {map[string]string{"a b": "s3cret"}, `key "a b" is no name of a header`},
		"line in a name":  {map[string]string{"a\nb": "s3cret"}, `key "a\nb" is no name of a header`},
		"colon":           {map[string]string{"a:": "s3cret"}, "is no name of a header"},
		"twice":           {map[string]string{"a-b": "1", "A-B": "2"}, "header A-B is there twice"},
		"large":           {map[string]string{"a": strings.Repeat("s", maxValues), "b": "1"}, "more than 16384 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			data := map[string][]byte{}
			for k, v := range tc.data {
				data[k] = []byte(v)
			}
			header, err := read(data)
			if tc.want == "" {
				if err != nil || len(header) != len(data) {
					t.Errorf("got %v, %v", header, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	for _, name := range []string{"host", "CONTENT-LENGTH", "connection", "transfer-encoding", "te", "Trailer", "upgrade", "Keep-Alive", "proxy-authorization",
		"accept-encoding", "expect", "x-forwarded-for", "HTTP2-Settings"} {
		if _, err := read(map[string][]byte{name: []byte("s3cret")}); err == nil || !strings.Contains(err.Error(), "cannot be set") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
