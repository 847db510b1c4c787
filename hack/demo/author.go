// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// author stands for the CI of a team: it packs updates, signs them and serves them.
type author struct {
	key       *ecdsa.PrivateKey
	publicPEM []byte
	site      *http.Server
	url       string
	files     *http.ServeMux
}

// update is what CI made of one version.
type update struct {
	version, url, digest, signature string
}

// newAuthor makes a key and starts a web server on loopback.
func newAuthor(ctx context.Context) (*author, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the author's key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode the author's key: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve updates: %w", err)
	}
	a := &author{
		key: key, publicPEM: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		url: "http://" + listener.Addr().String(), files: http.NewServeMux(),
	}
	a.site = &http.Server{Handler: a.files, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute}
	go func() { _ = a.site.Serve(listener) }() // ends with Close
	return a, nil
}

// publish packs a folder, signs the archive as `openssl dgst -sha256 -sign` does, and serves it.
func (a *author) publish(folder, version string) (*update, error) {
	content, err := pack(filepath.Join(folder, version))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", version, err)
	}
	path := "/shop-" + version + ".zip"
	a.files.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/zip")
		_, _ = w.Write(content) // the client is gone: nobody is left to tell
	})
	return &update{
		version: version, url: a.url + path, digest: "sha256:" + hex.EncodeToString(sum[:]),
		signature: base64.StdEncoding.EncodeToString(signature),
	}, nil
}

// pack makes a zip archive of a folder's files.
func pack(folder string) ([]byte, error) {
	var buf bytes.Buffer
	archive := zip.NewWriter(&buf)
	if err := archive.AddFS(os.DirFS(folder)); err != nil {
		return nil, fmt.Errorf("pack %s: %w", folder, err)
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("pack %s: %w", folder, err)
	}
	return buf.Bytes(), nil
}
