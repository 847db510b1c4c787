// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
)

const device = "2a6c2be1-6a49-4d5c-8a53-6d0a5f1e7c11"

func TestIdentity(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		identity Identity
		device   string
		want     bool
	}{
		{Identity{token: device}, device, true},
		{Identity{certificate: device}, device, true},
		{Identity{token: "other", certificate: device}, device, true},
		{Identity{token: strings.ToUpper(device)}, device, true},
		{Identity{token: device + " "}, device, false},
		{Identity{token: device}, device[:35], false},
		{Identity{token: "\u212a"}, "k", false}, // the Kelvin sign
		{Identity{token: "@"}, "`", false},      // differ in the bit of the case, and are no letters
		{Identity{}, device, false},
		{Identity{}, "", false},
	} {
		if got := tc.identity.Is(tc.device); got != tc.want {
			t.Errorf("%+v is %q: got %v", tc.identity, tc.device, got)
		}
	}
}

func TestStandings(t *testing.T) {
	t.Parallel()
	nobody, me, other := Identity{}, Identity{token: device}, Identity{certificate: "other"}
	for _, tc := range []struct {
		mode     Mode
		identity Identity
		want     Standing
		network  uint64
		status   int // 0: served
	}{
		{Off, nobody, Anonymous, 7, 0},
		{Off, me, Anonymous, 7, 0},
		{"", me, Anonymous, 7, 0},
		{Optional, nobody, Anonymous, 7, 0},
		{Optional, me, Verified, 0, 0},
		{Optional, other, Anonymous, 7, 0},
		{Required, nobody, Unauthenticated, 7, 401},
		{Required, me, Verified, 0, 0},
		{Required, other, Forbidden, 7, 403},
	} {
		registry := prometheus.NewRegistry()
		none := func(*tls.ConnectionState) bool { return false }
		a, err := New(Config{Mode: tc.mode, Certificates: &Certificates{Verified: none}, Metrics: registry})
		if err != nil {
			t.Fatal(err)
		}
		a.Run(t.Context()) // without keys it has nothing to do
		got := a.Check(tc.identity, device)
		p, _ := errors.AsType[*httpx.Problem](got.Problem())
		if got != tc.want || uint64(got.Network(7)) != tc.network || got.Refused() != (tc.status != 0) || (p != nil) != got.Refused() || p != nil && p.Status != tc.status {
			t.Errorf("%s, %+v: got %s, network %d, %+v", tc.mode, tc.identity, got, got.Network(7), p)
		}
		if n := testutil.ToFloat64(a.metrics.standings[tc.want]); (n == 1) != (tc.mode == Optional || tc.mode == Required) {
			t.Errorf("%s: %v counted", tc.mode, n)
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("%v %v", problems, err)
		}
	}
}

func TestConfigs(t *testing.T) {
	t.Parallel()
	good := JWT{Issuer: "https://issuer.example.com", Audience: "ota", JWKSURL: "https://issuer.example.com/keys"}
	with := func(edit func(*JWT)) *JWT {
		j := good
		edit(&j)
		return &j
	}
	for want, jwt := range map[string]*JWT{
		"":                            &good,
		"tokens, client certificates": nil,
		"without them":                with(func(j *JWT) { j.Audience = "" }),
		"expected an issuer":          with(func(j *JWT) { j.Issuer = "" }),
		"expected an https URL":       with(func(j *JWT) { j.JWKSURL = "http://issuer.example.com/keys" }),
		"https URL of":                with(func(j *JWT) { j.JWKSURL = "https:///keys" }),
		"https URL of the issuer":     with(func(j *JWT) { j.JWKSURL = "file:///keys" }),
		"keys (JWKS)":                 with(func(j *JWT) { j.JWKSURL = "http://127.0.0.1.example.com/" }),
		"time between looks":          with(func(j *JWT) { j.Refresh = -1 }),
	} {
		_, err := New(Config{Mode: Optional, JWT: jwt, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := New(Config{Mode: Optional, Certificates: &Certificates{}, Metrics: prometheus.NewRegistry()}); err == nil {
		t.Error("certificates that nobody verifies: got no error")
	}
	for text, fine := range map[string]bool{"off": true, "optional": true, "required": true, "": false, "on": false} {
		var m Mode
		if err := m.UnmarshalText([]byte(text)); (err == nil) != fine || fine && string(m) != text {
			t.Errorf("%q: got %s %v", text, m, err)
		}
	}
}

// Certificates over real handshakes.
func TestCertificates(t *testing.T) {
	t.Parallel()
	const prefix = "spiffe://example.org/device/"
	ca, caKey := newAuthority(t)
	for _, tc := range []struct {
		name, prefix, cn string
		uris             []string
		verified         bool
		want             string
	}{
		{"common name", "", device, nil, true, device},
		{"no common name", "", "", []string{prefix + device}, true, ""},
		{"URI", prefix, "other", []string{"https://example.org/" + device, prefix + device}, true, device},
		{"another prefix", prefix, device, []string{"spiffe://example.org/service/" + device}, true, ""},
		{"two URIs", prefix, device, []string{prefix + device, prefix + "other"}, true, ""},
		{"not verified", "", device, nil, false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			certificates := &Certificates{URIPrefix: tc.prefix, Verified: func(c *tls.ConnectionState) bool {
				return tc.verified && c.PeerCertificates[0].CheckSignatureFrom(ca) == nil
			}}
			a, err := New(Config{Mode: Optional, Certificates: certificates, Metrics: prometheus.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan Identity, 1)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- a.Identify(r) }))
			s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
			s.StartTLS()
			defer s.Close()
			c := s.Client()
			c.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{issue(t, ca, caKey, tc.cn, tc.uris)}
			res, err := c.Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if i := <-got; i != (Identity{certificate: tc.want}) {
				t.Errorf("got %+v, want %q", i, tc.want)
			}
		})
	}
	if i := (&Authenticator{cfg: Config{Certificates: &Certificates{}}}).Identify(httptest.NewRequest(http.MethodGet, "/", nil)); i != (Identity{}) {
		t.Errorf("without TLS: %+v", i)
	}
}

func newAuthority(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "devices"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	return signed(t, c, c, key, key), key
}

func signed(t *testing.T, c, ca *x509.Certificate, key, caKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func issue(t *testing.T, ca *x509.Certificate, caKey *ecdsa.PrivateKey, cn string, uris []string) tls.Certificate {
	t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, one := range uris {
		u, err := url.Parse(one)
		if err != nil {
			t.Fatal(err)
		}
		c.URIs = append(c.URIs, u)
	}
	return tls.Certificate{Certificate: [][]byte{signed(t, c, ca, key, caKey).Raw}, PrivateKey: key}
}
