// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway_test

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
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/auth"
	"github.com/windlass-dev/windlass/internal/gateway/edge"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
	"github.com/windlass-dev/windlass/internal/gateway/tlsfiles"
)

// identity is a certificate with its key.
type identity struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newIdentity makes a certificate that the parent signed; nil makes an authority.
func newIdentity(t *testing.T, name string, parent *identity) *identity {
	t.Helper()
	return newIdentityUntil(t, name, parent, time.Now().Add(time.Hour))
}

func newIdentityUntil(t *testing.T, name string, parent *identity, end time.Time) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: end, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IsCA: parent == nil,
	}
	signer := parent
	if parent == nil {
		signer = &identity{template, key}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, signer.cert, &key.PublicKey, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &identity{cert, key}
}

// write writes certificate and key as PEM files.
func (i *identity) write(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	raw, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: i.cert.Raw}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// The public listener serves TLS with certificates of devices, and whoever shows a bad one is treated as who shows none; the
// internal listener stays plain, and no address is in the log.
func TestServesTLS(t *testing.T) {
	t.Parallel()
	for mode, codes := range map[auth.Mode]struct{ other, nobody int }{auth.Required: {403, 401}, auth.Optional: {200, 200}} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			servesTLS(t, mode, codes.other, codes.nobody)
		})
	}
}

func servesTLS(t *testing.T, mode auth.Mode, other, nobody int) {
	t.Helper()
	dir := t.TempDir()
	authority := newIdentity(t, "authority", nil)
	repo, cfg := world(t)
	repo.Publish(document(repo, "1.1.0"))
	cfg.TLS.Cert, cfg.TLS.Key = newIdentity(t, "gateway", authority).write(t, dir, "gateway")
	cfg.TLS.ClientCA, _ = authority.write(t, dir, "authority")
	cfg.TLS.Interval, cfg.HSTS = tlsfiles.DefaultInterval, time.Hour
	cfg.Edge = edge.Config{Auth: auth.Config{Mode: mode, Certificates: &auth.Certificates{}}}
	r := start(t, cfg)
	r.eventually("ready", func() bool { code, _ := r.get(r.internal + "/readyz"); return code == 200 })

	roots := x509.NewCertPool()
	roots.AddCert(authority.cert)
	address := "https://" + strings.TrimPrefix(r.public, "http://") + native.CheckPath
	body := []byte(`{"app":"shop","channel":"production","deviceID":"jane","platform":"ios","nativeVersion":"1.0.0"}`)
	check := func(device *identity) (int, string, error) {
		client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
		if device != nil { // whatever authorities the server names
			client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &tls.Certificate{Certificate: [][]byte{device.cert.Raw}, PrivateKey: device.key}, nil
			}
		}
		req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, address, bytes.NewReader(body))
		if err != nil {
			return 0, "", err
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			return 0, "", err
		}
		_ = res.Body.Close()
		return res.StatusCode, res.Header.Get("Strict-Transport-Security"), nil
	}
	for _, tc := range []struct {
		name   string
		device *identity
		code   int
	}{
		{"the device", newIdentity(t, "Jane", authority), 200},
		{"another device", newIdentity(t, "john", authority), other},
		{"no certificate", nil, nobody},
		{"expired", newIdentityUntil(t, "jane", authority, time.Now().Add(-time.Minute)), nobody},
		{"of another authority", newIdentity(t, "jane", newIdentity(t, "nobody", nil)), nobody},
	} {
		if code, hsts, err := check(tc.device); err != nil || code != tc.code || hsts != "max-age=3600" {
			t.Errorf("%s: %d, HSTS %q, %v; want %d", tc.name, code, hsts, err, tc.code)
		}
	}
	if code, body := r.get(r.public + "/livez"); code != 400 {
		t.Errorf("without TLS: %d %s", code, body)
	}
	r.stop()
	if log := r.log.String(); addressIn(log) || !strings.Contains(log, "TLS handshake error") {
		t.Errorf("log: %s", log)
	}
}

// addressIn tells whether a line about a connection has an address.
func addressIn(log string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "Connection failed") && strings.Contains(line, "127.0.0.1") {
			return true
		}
	}
	return false
}
