// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"archive/zip"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// Author signs artifacts as `openssl dgst -sha256 -sign` does with an ECDSA P-256 key.
type Author struct {
	// Name of the authority in Env.Repository.
	Name string
	key  *ecdsa.PrivateKey
	pem  string
}

// NewAuthor makes a key.
func NewAuthor(tb testing.TB, name string) *Author {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("make an author's key: %v", err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		tb.Fatalf("encode an author's key: %v", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return &Author{Name: name, key: key, pem: string(text)}
}

// PublicPEM is the public key.
func (a *Author) PublicPEM() string { return a.pem }

// Sign gives the signature of content in base64.
func (a *Author) Sign(tb testing.TB, content []byte) string {
	tb.Helper()
	sum := sha256.Sum256(content)
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		tb.Fatalf("sign: %v", err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

// Zip makes an archive. The same files give the same bytes.
func Zip(tb testing.TB, files map[string]string) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err != nil {
			tb.Fatalf("make a zip archive: %v", err)
		}
		if _, err := f.Write([]byte(files[name])); err != nil {
			tb.Fatalf("make a zip archive: %v", err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatalf("make a zip archive: %v", err)
	}
	return buf.Bytes()
}

// Digest is the digest of content as the API writes it.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Artifact is content that a Site serves.
type Artifact struct {
	URL        string
	Digest     string
	Content    []byte
	Signatures []string // base64
}

// Site is a web server with artifacts.
type Site struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
}

// NewSite starts a web server that ends with the test.
func NewSite(tb testing.TB) *Site {
	tb.Helper()
	s := &Site{files: map[string][]byte{}}
	s.Server = httptest.NewServer(s)
	tb.Cleanup(s.Close)
	return s
}

// ServeHTTP answers with a file or 404.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	content, ok := s.files[r.URL.Path]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(content) // the client is gone: nobody is left to tell
}

// Put serves content under a path that starts with a slash, in place of what was there. Nil content removes it.
func (s *Site) Put(path string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if content == nil {
		delete(s.files, path)
		return
	}
	s.files[path] = content
}

// Publish serves content under a path, signed by authors.
func (s *Site) Publish(tb testing.TB, path string, content []byte, authors ...*Author) *Artifact {
	tb.Helper()
	s.Put(path, content)
	a := &Artifact{URL: s.URL + path, Digest: Digest(content), Content: content}
	for _, author := range authors {
		a.Signatures = append(a.Signatures, author.Sign(tb, content))
	}
	return a
}
