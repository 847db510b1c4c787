// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package tlsfiles

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// authority issues certificates.
type authority struct {
	*testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{T: t}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.pem, _ = a.sign(a.cert, a.key)
	a.cert, _ = x509.ParseCertificate(first(a.pem))
	return a
}

func first(raw []byte) []byte {
	block, _ := pem.Decode(raw)
	return block.Bytes
}

func (a *authority) sign(c *x509.Certificate, key *ecdsa.PrivateKey) (certPEM, keyPEM []byte) {
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.Fatal(err)
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey})
}

// issue makes a certificate for both uses, valid from and for so long.
func (a *authority) issue(serial int64, from, life time.Duration) (certPEM, keyPEM []byte) {
	return a.issueFor(serial, from, life, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

// only makes a certificate for one use.
func (a *authority) only(serial int64, from, life time.Duration, use x509.ExtKeyUsage) tls.Certificate {
	pair, err := tls.X509KeyPair(a.issueFor(serial, from, life, use))
	if err != nil {
		a.Fatal(err)
	}
	return pair
}

func (a *authority) issueFor(serial int64, from, life time.Duration, uses ...x509.ExtKeyUsage) (certPEM, keyPEM []byte) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	begin := time.Now().Add(from)
	return a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gateway"}, DNSNames: []string{"gateway"}, NotBefore: begin, NotAfter: begin.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: uses,
	}, key)
}

// pair is a valid certificate for now.
func (a *authority) pair(serial int64) tls.Certificate {
	p, err := tls.X509KeyPair(a.issue(serial, -time.Minute, time.Hour))
	if err != nil {
		a.Fatal(err)
	}
	return p
}

// mount is a folder of files that are swapped at once, as the kubelet does it.
type mount struct {
	*testing.T
	dir   string
	n     int
	files map[string][]byte
}

func newMount(t *testing.T) *mount { return &mount{T: t, dir: t.TempDir(), files: map[string][]byte{}} }

func (m *mount) path(name string) string { return filepath.Join(m.dir, "..data", name) }

func (m *mount) swap(files map[string][]byte) {
	m.Helper()
	maps.Copy(m.files, files)
	m.n++
	next := filepath.Join(m.dir, strings.Repeat("v", m.n))
	link := filepath.Join(m.dir, "new")
	if err := os.Mkdir(next, 0o700); err != nil {
		m.Fatal(err)
	}
	for name, raw := range m.files {
		if raw == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(next, name), raw, 0o600); err != nil {
			m.Fatal(err)
		}
	}
	if err := os.Symlink(next, link); err != nil {
		m.Fatal(err)
	}
	if err := os.Rename(link, filepath.Join(m.dir, "..data")); err != nil {
		m.Fatal(err)
	}
}

func (m *mount) swapPair(a *authority, serial int64, from, life time.Duration) {
	m.Helper()
	cert, key := a.issue(serial, from, life)
	m.swap(map[string][]byte{"tls.crt": cert, "tls.key": key})
}

type fixture struct {
	*mount
	ca       *authority
	log      bytes.Buffer
	registry *prometheus.Registry
	files    *Files
	url      string
}

// newFixture serves certificate 1 of an authority.
func newFixture(t *testing.T, edit func(*Config, *fixture)) *fixture {
	f := &fixture{mount: newMount(t), ca: newAuthority(t, "servers"), registry: prometheus.NewRegistry()}
	f.swapPair(f.ca, 1, -time.Minute, time.Hour)
	cfg := Config{
		Cert: f.path("tls.crt"), Key: f.path("tls.key"), Now: time.Now, Metrics: f.registry, Log: slog.New(slog.NewTextHandler(&f.log, nil)),
	}
	if edit != nil {
		edit(&cfg, f)
	}
	var err error
	if f.files, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if f.files.Verified(r.TLS) {
			name = r.TLS.PeerCertificates[0].SerialNumber.String()
		}
		_, _ = io.WriteString(w, name)
	}))
	server := &http.Server{Handler: s.Config.Handler, TLSConfig: f.files.TLS(), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() { _ = server.ServeTLS(s.Listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	f.url = "https://" + s.Listener.Addr().String()
	return f
}

// client trusts the fixture's authority, and shows certificates.
func (f *fixture) client(edit func(*tls.Config)) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(f.ca.cert)
	cfg := &tls.Config{RootCAs: roots, ServerName: "gateway", MinVersion: tls.VersionTLS12}
	if edit != nil {
		edit(cfg)
	}
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	f.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

type answer struct {
	serial  int64 // of the server
	proto   string
	me      string // serial of the client's verified certificate
	reused  bool
	resumed bool
}

func (f *fixture) get(c *http.Client) (answer, error) {
	var a answer
	ctx := httptrace.WithClientTrace(f.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { a.reused = i.Reused }})
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	res, err := c.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	me, err := io.ReadAll(res.Body)
	a.serial, a.proto, a.me, a.resumed = res.TLS.PeerCertificates[0].SerialNumber.Int64(), res.Proto, string(me), res.TLS.DidResume
	return a, err
}

func (f *fixture) mustGet(c *http.Client) answer {
	f.Helper()
	a, err := f.get(c)
	if err != nil {
		f.Fatal(err)
	}
	return a
}

func (f *fixture) reloadErrors() float64 { return testutil.ToFloat64(f.files.errors) }

// New connections get the new certificate while old ones go on, on HTTP/2 as on HTTP/1.1.
func TestRotationKeepsConnections(t *testing.T) {
	t.Parallel()
	for proto, next := range map[string][]string{"HTTP/2.0": nil, "HTTP/1.1": {"http/1.1"}} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			edit := func(c *tls.Config) { c.NextProtos = next }
			old := f.client(edit)
			if next != nil {
				old.Transport.(*http.Transport).ForceAttemptHTTP2 = false
			}
			if a := f.mustGet(old); a.serial != 1 || a.proto != proto {
				t.Fatalf("got %+v", a)
			}
			f.swapPair(f.ca, 2, -time.Minute, 2*time.Hour)
			if err := f.files.Reload(); err != nil {
				t.Fatal(err)
			}
			if a := f.mustGet(old); a.serial != 1 || !a.reused {
				t.Errorf("old connection: %+v", a)
			}
			if a := f.mustGet(f.client(edit)); a.serial != 2 || a.reused {
				t.Errorf("new connection: %+v", a)
			}
			left := time.Until(time.Unix(int64(gauge(t, f.registry, "windlass_gateway_tls_certificate_expiry_timestamp_seconds")), 0))
			if left < time.Hour || left > 2*time.Hour {
				t.Errorf("the expiry is told as in %s", left)
			}
		})
	}
}

func gauge(t *testing.T, r prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestRunFollowsTheFiles(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config, _ *fixture) { c.Interval = time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.files.Run(ctx) }()
	for serial := int64(2); serial < 5; serial++ {
		f.swapPair(f.ca, serial, -time.Minute, time.Hour)
		deadline := time.Now().Add(time.Minute)
		for f.mustGet(f.client(nil)).serial != serial {
			if time.Now().After(deadline) {
				t.Fatalf("certificate %d is not served", serial)
			}
		}
	}
	cancel()
	<-done
}

// What cannot be used is counted at each look and logged once, the old certificate is served on, and the next good one is taken.
func TestBrokenFilesKeepTheOldOnes(t *testing.T) {
	t.Parallel()
	other := newAuthority(t, "others")
	cert, key := other.issue(7, -time.Minute, time.Hour)
	for name, broken := range map[string]func(f *fixture) map[string][]byte{
		"half of a pair": func(*fixture) map[string][]byte { return map[string][]byte{"tls.crt": cert} },
		"key of another": func(*fixture) map[string][]byte { return map[string][]byte{"tls.key": key} },
		"half of a file": func(*fixture) map[string][]byte {
			return map[string][]byte{"tls.crt": cert[:len(cert)/2], "tls.key": key}
		},
		"empty file":         func(*fixture) map[string][]byte { return map[string][]byte{"tls.crt": {}} },
		"no file":            func(*fixture) map[string][]byte { return map[string][]byte{"tls.key": nil} },
		"too large":          func(*fixture) map[string][]byte { return map[string][]byte{"tls.crt": make([]byte, maxFile+1)} },
		"authority is empty": func(*fixture) map[string][]byte { return map[string][]byte{"ca.crt": {}} },
		"authority was cut": func(f *fixture) map[string][]byte {
			return map[string][]byte{"ca.crt": append(f.ca.pem, other.pem[:90]...)}
		},
		"first authority was cut": func(f *fixture) map[string][]byte {
			return map[string][]byte{"ca.crt": append(other.pem[:90:90], f.ca.pem...)}
		},
		"authority is a key": func(*fixture) map[string][]byte { return map[string][]byte{"ca.crt": key} },
		"authority is no X.509": func(*fixture) map[string][]byte {
			return map[string][]byte{"ca.crt": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}
		},
		"expired":                func(f *fixture) map[string][]byte { return f.issued(-2*time.Hour, time.Hour) },
		"valid in an hour":       func(f *fixture) map[string][]byte { return f.issued(time.Hour, time.Hour) },
		"authority is no longer": func(*fixture) map[string][]byte { return map[string][]byte{"ca.crt": nil} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(c *Config, f *fixture) {
				f.swap(map[string][]byte{"ca.crt": f.ca.pem})
				c.ClientCA = f.path("ca.crt")
			})
			f.swap(broken(f))
			for range 2 {
				if err := f.files.Reload(); err == nil {
					t.Fatal("got no error")
				}
			}
			if got := f.reloadErrors(); got != 2 || strings.Count(f.log.String(), "level=ERROR") != 1 {
				t.Errorf("%v errors counted (want 2), log: %s", got, f.log.String())
			}
			if strings.Contains(f.log.String(), string(key[30:60])) {
				t.Errorf("the log shows a key: %s", f.log.String())
			}
			if a := f.mustGet(f.client(nil)); a.serial != 1 {
				t.Errorf("got %+v", a)
			}
			f.swap(map[string][]byte{"ca.crt": f.ca.pem})
			f.swapPair(f.ca, 3, -time.Minute, time.Hour)
			if err := f.files.Reload(); err != nil || f.mustGet(f.client(nil)).serial != 3 || f.reloadErrors() != 2 {
				t.Errorf("the good pair is not served: %v", err)
			}
		})
	}
}

func (f *fixture) issued(from, life time.Duration) map[string][]byte {
	cert, key := f.ca.issue(2, from, life)
	return map[string][]byte{"tls.crt": cert, "tls.key": key}
}

// An expired certificate is served for want of a better one, loudly, and any pair replaces it.
func TestExpiredAtStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(_ *Config, f *fixture) { f.swap(f.issued(-2*time.Hour, time.Hour)) })
	if !strings.Contains(f.log.String(), "clients will refuse") {
		t.Errorf("log: %s", f.log.String())
	}
	if _, err := f.get(f.client(nil)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("got %v", err)
	}
	f.swap(f.issued(-time.Hour, 10*time.Minute)) // expired as well, but newer
	if err := f.files.Reload(); err != nil {
		t.Error(err)
	}
	f.swapPair(f.ca, 3, -time.Minute, time.Hour)
	if err := f.files.Reload(); err != nil || f.mustGet(f.client(nil)).serial != 3 {
		t.Errorf("the valid pair is not served: %v", err)
	}
}

// A pair for the future is taken when its time comes, without another change of the files.
func TestPairForTheFuture(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f := newFixture(t, func(c *Config, _ *fixture) { c.Now = func() time.Time { return now } })
	f.swap(f.issued(10*time.Minute, time.Hour))
	if err := f.files.Reload(); err == nil {
		t.Error("got no error")
	}
	now = now.Add(11 * time.Minute)
	if err := f.files.Reload(); err != nil {
		t.Error(err)
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	devices, others := newAuthority(t, "devices"), newAuthority(t, "others")
	expired := devices.only(6, -2*time.Hour, time.Hour, x509.ExtKeyUsageClientAuth)
	server := devices.only(7, -time.Minute, time.Hour, x509.ExtKeyUsageServerAuth)
	later := devices.only(8, time.Hour, time.Hour, x509.ExtKeyUsageClientAuth)
	known, unknown := devices.pair(5), others.pair(5)
	for _, tc := range []struct {
		name  string
		asked bool
		shows *tls.Certificate
		me    string
	}{
		{"off, none", false, nil, "nobody"},
		{"off, known", false, &known, "nobody"},
		{"none", true, nil, "nobody"},
		{"known", true, &known, "5"},
		{"unknown authority", true, &unknown, "nobody"},
		{"expired", true, &expired, "nobody"},
		{"not valid yet", true, &later, "nobody"},
		{"of a server", true, &server, "nobody"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(c *Config, f *fixture) {
				f.swap(map[string][]byte{"ca.crt": devices.pem})
				if tc.asked {
					c.ClientCA = f.path("ca.crt")
				}
			})
			if a := f.mustGet(f.client(show(tc.shows))); a.me != tc.me {
				t.Errorf("got %+v, want %q", a, tc.me)
			}
		})
	}
}

// show sends a certificate whatever the server asks for.
func show(c *tls.Certificate) func(*tls.Config) {
	return func(cfg *tls.Config) {
		if c != nil {
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
		}
	}
}

// Who has no key of a certificate cannot show it.
func TestKeyIsProved(t *testing.T) {
	t.Parallel()
	devices := newAuthority(t, "devices")
	f := newFixture(t, func(c *Config, f *fixture) {
		f.swap(map[string][]byte{"ca.crt": devices.pem})
		c.ClientCA = f.path("ca.crt")
	})
	stolen, own := devices.pair(5), devices.pair(6)
	stolen.PrivateKey = own.PrivateKey
	if a, err := f.get(f.client(show(&stolen))); err == nil {
		t.Errorf("a certificate without its key: got %+v", a)
	}
}

// A session of a device does not outlive its authority: what was removed cannot come back by a ticket.
func TestRemovedAuthorityEndsSessions(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			old, renewed := newAuthority(t, "old"), newAuthority(t, "new")
			f := newFixture(t, func(c *Config, f *fixture) {
				f.swap(map[string][]byte{"ca.crt": old.pem})
				c.ClientCA = f.path("ca.crt")
			})
			pair, sessions := old.pair(5), tls.NewLRUClientSessionCache(4)
			client := func() *http.Client {
				return f.client(func(c *tls.Config) {
					c.Certificates, c.ClientSessionCache, c.MaxVersion = []tls.Certificate{pair}, sessions, version
				})
			}
			if a := f.mustGet(client()); a.me != "5" || a.resumed {
				t.Fatalf("first: %+v", a)
			}
			f.swap(map[string][]byte{"ca.crt": append(old.pem, renewed.pem...)})
			if err := f.files.Reload(); err != nil {
				t.Fatal(err)
			}
			if a := f.mustGet(client()); a.me != "5" || !a.resumed {
				t.Fatalf("second: %+v", a)
			}
			f.swap(map[string][]byte{"ca.crt": renewed.pem})
			if err := f.files.Reload(); err != nil {
				t.Fatal(err)
			}
			if a := f.mustGet(client()); a.me != "nobody" {
				t.Errorf("third: %+v", a)
			}
		})
	}
}

func TestOldVersionsAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, err := f.get(f.client(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }))
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("got %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	m, ca := newMount(t), newAuthority(t, "servers")
	m.swapPair(ca, 1, -time.Minute, time.Hour)
	_, key := ca.issue(2, -time.Minute, time.Hour)
	m.swap(map[string][]byte{"other.key": key, "empty": {}})
	for want, cfg := range map[string]Config{
		"no such file":                 {Cert: m.path("none"), Key: m.path("tls.key")},
		"open : no such file":          {Cert: m.path("tls.crt")},
		"expected a certificate":       {Cert: m.path("tls.crt"), Key: m.path("other.key")},
		"expected certificates in PEM": {Cert: m.path("tls.crt"), Key: m.path("tls.key"), ClientCA: m.path("empty")},
	} {
		cfg.Metrics, cfg.Log, cfg.Now = prometheus.NewRegistry(), slog.New(slog.DiscardHandler), time.Now
		if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	if problems, err := testutil.GatherAndLint(newFixture(t, nil).registry); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
