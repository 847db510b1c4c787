// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// maxFile bounds a file, in bytes. Bundles of all public authorities have about 200 KiB.
const maxFile = 1 << 20

var protocols = []string{"h2", "http/1.1"}

// contents of the files, to be compared.
type contents struct{ cert, key, clientCA string }

// loaded is a set of files that fit together.
type loaded struct {
	raw    contents
	leaf   *x509.Certificate
	config *tls.Config
}

func (cfg *Config) read() (contents, error) {
	var c contents
	for _, file := range []struct {
		path string
		into *string
	}{{cfg.Cert, &c.cert}, {cfg.Key, &c.key}, {cfg.ClientCA, &c.clientCA}} {
		if file.path == "" && file.into == &c.clientCA {
			continue
		}
		raw, err := readFile(file.path)
		if err != nil {
			return contents{}, fmt.Errorf("TLS files: %w", err)
		}
		*file.into = string(raw)
	}
	return c, nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // read only
	raw, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(raw) > maxFile {
		err = fmt.Errorf("%s: expected at most %d bytes", path, maxFile)
	}
	return raw, err
}

// parse checks that the files fit together. Errors hold nothing of the key.
func (cfg *Config) parse(raw contents) (*loaded, error) {
	pair, err := tls.X509KeyPair([]byte(raw.cert), []byte(raw.key))
	if err != nil {
		return nil, fmt.Errorf("TLS files %s and %s: expected a certificate and its key: %w", cfg.Cert, cfg.Key, err)
	}
	l := &loaded{raw: raw, leaf: pair.Leaf, config: &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{pair},
	}}
	if cfg.ClientCA == "" {
		return l, nil
	}
	if l.config.ClientCAs, err = pool(raw.clientCA); err != nil {
		return nil, fmt.Errorf("TLS file %s: %w", cfg.ClientCA, err)
	}
	l.config.ClientAuth = tls.RequestClientCert // Verified looks at it: a handshake that fails cannot say why
	return l, nil
}

// pool reads a bundle. Unlike AppendCertsFromPEM it skips nothing: a bundle that was cut must not lock out half of the devices.
func pool(bundle string) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	rest, n := []byte(bundle), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("expected certificates, got a block %q", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", n+1, err)
		}
		p.AddCert(c)
		n++
	}
	if begun := strings.Count(bundle, "-----BEGIN "); n == 0 || begun != n {
		return nil, fmt.Errorf("expected certificates in PEM, got %d whole ones of %d", n, begun)
	}
	return p, nil
}

// valid tells whether clients take the certificate at a time.
func (l *loaded) valid(now time.Time) bool {
	return !now.Before(l.leaf.NotBefore) && !now.After(l.leaf.NotAfter)
}

// invalid is the error of a certificate that is not valid.
func (l *loaded) invalid() error {
	return fmt.Errorf("TLS files: expected a certificate that is valid now, got one for %s to %s",
		l.leaf.NotBefore.Format(time.RFC3339), l.leaf.NotAfter.Format(time.RFC3339))
}

// mayReplace refuses a certificate that clients refuse in place of one that they take. One for the future is taken when its
// time comes.
func (l *loaded) mayReplace(old *loaded, now time.Time) error {
	if old.valid(now) && !l.valid(now) {
		return l.invalid()
	}
	return nil
}
