// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// issuer is a token issuer with its keys at a URL.
type issuer struct {
	testing.TB
	url     string
	client  http.RoundTripper
	mu      sync.Mutex
	answer  func(w http.ResponseWriter)
	fetches int
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetches++
	i.answer(w)
}

// publish sets what the issuer answers from now on.
func (i *issuer) publish(keys ...jose.JSONWebKey) {
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{}, keys...)})
	if err != nil {
		i.Fatal(err)
	}
	i.say(func(w http.ResponseWriter) { _, _ = w.Write(raw) })
}

func (i *issuer) say(answer func(http.ResponseWriter)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func (i *issuer) fetched() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func newIssuer(t testing.TB) *issuer {
	i := &issuer{TB: t}
	s := httptest.NewServer(i)
	t.Cleanup(s.Close)
	i.url = s.URL
	return i
}

func (i *issuer) authenticator(edit func(*JWT)) (*Authenticator, *bytes.Buffer) {
	i.Helper()
	cfg := &JWT{Issuer: "https://issuer.example.com", Audience: "ota", JWKSURL: i.url + "/keys", Transport: i.client}
	if edit != nil {
		edit(cfg)
	}
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	a, err := New(Config{Mode: Required, JWT: cfg, Metrics: registry, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		i.Fatal(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		i.Errorf("%v %v", problems, err)
	}
	return a, &log
}

func identify(a *Authenticator, headers ...string) Identity {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	for _, h := range headers {
		r.Header.Add("Authorization", h)
	}
	return a.Identify(r)
}

type claims map[string]any

// usual are the claims of a good token, with changes; nil removes one.
func usual(changes claims) claims {
	c := claims{"iss": "https://issuer.example.com", "aud": "ota", "sub": device, "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(c, changes)
	for name, v := range c {
		if v == nil {
			delete(c, name)
		}
	}
	return c
}

type key struct {
	private crypto.PrivateKey
	alg     jose.SignatureAlgorithm
	id      string
}

func (k key) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.(crypto.Signer).Public(), KeyID: k.id, Algorithm: string(k.alg), Use: "sig"}
}

// token signs claims.
func (k key) token(t testing.TB, c claims, extra ...string) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	if k.id != "" {
		opts = opts.WithHeader("kid", k.id)
	}
	for n := 0; n+1 < len(extra); n += 2 {
		opts = opts.WithHeader(jose.HeaderKey(extra[n]), extra[n+1])
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: k.alg, Key: k.private}, opts)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(raw)
	if err != nil {
		t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newRSA(t testing.TB, bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newEC(t testing.TB) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func raw64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestTokens(t *testing.T) {
	t.Parallel()
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rs, es, eddsa := key{newRSA(t, 2048), jose.RS256, "rsa"}, key{newEC(t), jose.ES256, "ec"}, key{ed, jose.EdDSA, "ed"}
	stranger, impostor, secret := key{newEC(t), jose.ES256, "stranger"}, key{newEC(t), jose.ES256, "ec"}, key{newEC(t), jose.ES256, "enc"}
	pinned, weak := key{rs.private, jose.PS256, "rsa"}, key{newRSA(t, 1024), jose.RS256, "weak"}
	forEncryption := secret.public()
	forEncryption.Use = "enc"
	i := newIssuer(t)
	i.publish(rs.public(), es.public(), eddsa.public(), weak.public(), forEncryption, jose.JSONWebKey{Key: []byte(strings.Repeat("s", 32)), KeyID: "oct"})
	a, _ := i.authenticator(nil)
	if err := a.keys.fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKIXPublicKey(rs.private.(*rsa.PrivateKey).Public())
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	good := es.token(t, usual(nil))
	parts := strings.Split(good, ".")
	payload, _ := json.Marshal(usual(nil))
	for _, tc := range []struct {
		name   string
		tokens []string // Authorization headers
		want   string
	}{
		{"ES256", []string{"Bearer " + good}, device},
		{"RS256", []string{"Bearer " + rs.token(t, usual(nil))}, device},
		{"EdDSA", []string{"Bearer " + eddsa.token(t, usual(nil))}, device},
		{"scheme in other case", []string{"bEARER  " + good + " "}, device},
		{"no key id", []string{"Bearer " + key{es.private, jose.ES256, ""}.token(t, usual(nil))}, device},
		{"several audiences", []string{"Bearer " + es.token(t, usual(claims{"aud": []string{"x", "ota"}}))}, device},
		{"clock of the issuer is ahead", []string{"Bearer " + es.token(t, usual(claims{"nbf": time.Now().Add(time.Minute).Unix()}))}, device},

		{"no header", nil, ""},
		{"two headers", []string{"Bearer " + good, "Bearer " + good}, ""},
		{"other scheme", []string{"Basic " + good}, ""},
		{"no token", []string{"Bearer"}, ""},
		{"two tokens", []string{"Bearer " + good + " " + good}, ""},
		{"huge token", []string{"Bearer " + es.token(t, usual(claims{"x": strings.Repeat("x", maxToken)}))}, ""},
		{"JSON form", []string{fmt.Sprintf(`Bearer {"protected":%q,"payload":%q,"signature":%q,"x":".."}`, parts[0], parts[1], parts[2])}, ""},
		{"cut", []string{"Bearer " + good[:len(good)-4]}, ""},
		{"no signature", []string{"Bearer " + parts[0] + "." + parts[1] + "."}, ""},
		{"other claims", []string{"Bearer " + parts[0] + "." + raw64(`{"sub":"other"}`) + "." + parts[2]}, ""},
		{"alg none", []string{"Bearer " + raw64(`{"alg":"none"}`) + "." + raw64(string(payload)) + "."}, ""},
		{"alg None", []string{"Bearer " + raw64(`{"alg":"None","kid":"ec"}`) + "." + raw64(string(payload)) + "." + parts[2]}, ""},
		{"HMAC with the public key", []string{"Bearer " + key{pemKey, jose.HS256, "rsa"}.token(t, usual(nil))}, ""},
		{"HMAC with a published secret", []string{"Bearer " + key{[]byte(strings.Repeat("s", 32)), jose.HS256, "oct"}.token(t, usual(nil))}, ""},
		{"another algorithm than the key's", []string{"Bearer " + pinned.token(t, usual(nil))}, ""},
		{"unknown key", []string{"Bearer " + stranger.token(t, usual(nil))}, ""},
		{"other key with a known id", []string{"Bearer " + impostor.token(t, usual(nil))}, ""},
		{"key for encryption", []string{"Bearer " + secret.token(t, usual(nil))}, ""},
		{"key that brings itself", []string{"Bearer " + withOwnKey(t, impostor)}, ""},
		{"URL of the key", []string{"Bearer " + stranger.token(t, usual(nil), "jku", i.url)}, ""},
		{"short RSA key", []string{"Bearer " + weakToken(t, weak)}, ""},
		{"wrong issuer", []string{"Bearer " + es.token(t, usual(claims{"iss": "https://issuer.example.com/"}))}, ""},
		{"no issuer", []string{"Bearer " + es.token(t, usual(claims{"iss": nil}))}, ""},
		{"wrong audience", []string{"Bearer " + es.token(t, usual(claims{"aud": "otas"}))}, ""},
		{"no audience", []string{"Bearer " + es.token(t, usual(claims{"aud": nil}))}, ""},
		{"expired", []string{"Bearer " + es.token(t, usual(claims{"exp": time.Now().Add(-time.Second).Unix()}))}, ""},
		{"never expires", []string{"Bearer " + es.token(t, usual(claims{"exp": nil}))}, ""},
		{"not yet", []string{"Bearer " + es.token(t, usual(claims{"nbf": time.Now().Add(time.Hour).Unix()}))}, ""},
		{"no subject", []string{"Bearer " + es.token(t, usual(claims{"sub": nil}))}, ""},
		{"subject is no text", []string{"Bearer " + es.token(t, usual(claims{"sub": 7}))}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := identify(a, tc.tokens...); got != (Identity{token: tc.want}) {
				t.Errorf("got %+v, want %q", got, tc.want)
			}
		})
	}
}

// withOwnKey makes a token that has the key to verify it in its header.
func withOwnKey(t testing.TB, k key) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: k.alg, Key: jose.JSONWebKey{Key: k.private, KeyID: k.id}}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(usual(nil))
	signed, err := s.Sign(raw)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := signed.CompactSerialize()
	return out
}

func weakToken(t testing.TB, k key) string { return k.token(t, usual(nil)) }

func TestOtherClaim(t *testing.T) {
	t.Parallel()
	i, k := newIssuer(t), key{newEC(t), jose.ES256, "1"}
	i.publish(k.public())
	a, _ := i.authenticator(func(j *JWT) { j.Claim = "device_id" })
	if err := a.keys.fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		claims claims
		want   string
	}{
		{claims{"device_id": device, "sub": "user"}, device},
		{claims{}, ""},
		{claims{"Device_ID": device}, ""},
		{claims{"device_id": []string{device}}, ""},
	} {
		if got := identify(a, "Bearer "+k.token(t, usual(tc.claims))); got != (Identity{token: tc.want}) {
			t.Errorf("%v: got %+v", tc.claims, got)
		}
	}
	if got := testutil.ToFloat64(a.metrics.verified); got != 1 {
		t.Errorf("%v counted as verified, want 1", got)
	}
	if got := testutil.ToFloat64(a.metrics.refused); got != 3 {
		t.Errorf("%v counted as refused, want 3", got)
	}
}

// pipes lets a real server and a real client talk without a network, so that time can be the test's.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// inBubble runs an authenticator whose issuer and time are the test's.
func inBubble(t *testing.T, test func(t *testing.T, i *issuer, a *Authenticator, log *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		i := &issuer{TB: t, url: "http://localhost", client: &http.Transport{DialContext: p.dial, DisableKeepAlives: true}}
		i.say(func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })
		s := &http.Server{Handler: i, ReadHeaderTimeout: time.Minute}
		go func() { _ = s.Serve(p) }()
		a, log := i.authenticator(nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		test(t, i, a, log)
		cancel()
		<-done
		_ = s.Close()
	})
}

func TestKeysAreFollowed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, i *issuer, a *Authenticator, log *bytes.Buffer) {
		one, two := key{newEC(t), jose.ES256, "1"}, key{newEC(t), jose.ES256, "2"}
		verified := func(k key) bool { return identify(a, "Bearer "+k.token(t, usual(nil))).Is(device) }
		step := func(what string, after time.Duration, wantOne, wantTwo bool) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if gotOne, gotTwo := verified(one), verified(two); gotOne != wantOne || gotTwo != wantTwo {
				t.Errorf("%s: verified are %v and %v, want %v and %v", what, gotOne, gotTwo, wantOne, wantTwo)
			}
		}
		step("the issuer is away at the start", 0, false, false)
		time.Sleep(time.Hour)
		if n := i.fetched(); n < 50 || n > 150 {
			t.Errorf("%d looks in the first hour, want about one a minute", n)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("logged %d times, want once: %s", n, log.String())
		}
		i.publish(one.public())
		step("it is back", maxBackoff+time.Second, true, false) // the token of an unknown key asks for a look
		time.Sleep(minGap)
		i.publish(one.public(), two.public())
		step("a new key", 0, true, false)
		step("a new key that a token named", minGap, true, true)
		i.publish(two.public())
		step("a removed key", DefaultRefresh, false, true)
		i.say(func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"error":"no"}`)) })
		step("an answer that is no key set", time.Hour, false, true)
		step("still away", keepFor-2*time.Hour, false, true)
		step("away for too long", 2*time.Hour, false, false)
		i.publish(two.public())
		step("back again", DefaultRefresh, false, true)
		i.publish()
		step("the issuer has no key any more", DefaultRefresh, false, false)
	})
}

// Tokens that are made up make the gateway ask the issuer, but not more often than once in minGap.
func TestMadeUpTokensDoNotFloodTheIssuer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, i *issuer, a *Authenticator, _ *bytes.Buffer) {
		i.publish(key{newEC(t), jose.ES256, "1"}.public())
		time.Sleep(maxBackoff)
		before, stranger := i.fetched(), key{newEC(t), jose.ES256, "x"}.token(t, usual(nil))
		for range 600 {
			identify(a, "Bearer "+stranger)
			time.Sleep(time.Second)
		}
		if n := i.fetched() - before; n < 50 || n > 61 {
			t.Errorf("%d looks in 10 minutes, want about 60", n)
		}
	})
}

func TestKeySets(t *testing.T) {
	t.Parallel()
	k := key{newEC(t), jose.ES256, "1"}
	raw, _ := k.public().MarshalJSON()
	one := string(raw)
	for _, tc := range []struct {
		name, body string
		status     int
		want       int // keys; -1: an error
	}{
		{"fine", `{"keys":[` + one + `]}`, 200, 1},
		{"others are passed over", `{"keys":[{"kty":"new"},7,` + one + `,{"kty":"oct","k":"c2VjcmV0"}]}`, 200, 1},
		{"no key", `{"keys":[]}`, 200, 0},
		{"no set", `{}`, 200, -1},
		{"no JSON", `<html>`, 200, -1},
		{"too many", `{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`, 200, -1},
		{"too large", `{"keys":[` + strings.Repeat(" ", maxKeySet) + `]}`, 200, -1},
		{"server error", `{"keys":[` + one + `]}`, 500, -1},
		{"redirect", `{"keys":[` + one + `]}`, 302, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			i.say(func(w http.ResponseWriter) {
				w.Header().Set("Location", i.url+"/keys")
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			})
			a, _ := i.authenticator(nil)
			err := a.keys.fetch(t.Context())
			if got := len(a.keys.current.Load().keys); (err != nil) != (tc.want < 0) || got != max(0, tc.want) || i.fetched() != 1 {
				t.Errorf("got %d keys after %d looks, %v; want %d", got, i.fetched(), err, tc.want)
			}
		})
	}
}

// FuzzBearer: what is taken for a token is one header's, in three parts of base64url, and no header makes the reading panic.
func FuzzBearer(f *testing.F) {
	i := newIssuer(f)
	k := key{newEC(f), jose.ES256, "1"}
	i.publish(k.public())
	a, _ := i.authenticator(nil)
	if err := a.keys.fetch(f.Context()); err != nil {
		f.Fatal(err)
	}
	good := k.token(f, usual(nil))
	for _, seed := range []string{"Bearer a.b.c", "bearer  ..", "Basic eA==", "", "Bearer", "Bearer " + strings.Repeat("a", maxToken) + "..", "Bearer " + raw64(`{"alg":"none"}`) + ".."} {
		f.Add(seed)
	}
	f.Add("Bearer " + good)
	f.Fuzz(func(t *testing.T, line string) {
		token, err := bearer(http.Header{"Authorization": {line}})
		if err == nil && (len(token) > maxToken || strings.Count(token, ".") != 2 || strings.ContainsAny(token, " ,{}\"\x00") || !strings.Contains(line, token)) {
			t.Fatalf("taken for a token: %q", token)
		}
		if i := identify(a, line); i != (Identity{}) && token != good {
			t.Fatalf("%q is taken for %+v", line, i)
		}
	})
}
