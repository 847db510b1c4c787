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

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// Identity of the CI workflow that signs without a key of its own, as a hosted CI has it.
const (
	issuer   = "https://ci.example.com"
	workflow = "https://ci.example.com/acme/shop/.ci/release.yml@refs/heads/main"
)

// author stands for the CI of a team: it packs updates, signs them and serves them.
type author struct {
	key       *ecdsa.PrivateKey
	publicPEM []byte
	sigstore  *testkit.Sigstore // a Sigstore instance of the demo's own
	site      *http.Server
	url       string
	files     *http.ServeMux
}

// update is what CI made of one version.
type update struct {
	version, url, digest string
	signatures           []otav1alpha1.SignatureSource
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
	sigstore, err := testkit.NewSigstore()
	if err != nil {
		return nil, fmt.Errorf("make a Sigstore instance: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve updates: %w", err)
	}
	a := &author{
		key: key, publicPEM: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		sigstore: sigstore, url: "http://" + listener.Addr().String(), files: http.NewServeMux(),
	}
	a.site = &http.Server{Handler: a.files, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute}
	go func() { _ = a.site.Serve(listener) }() // ends with Close
	return a, nil
}

// publish packs a folder, signs the archive as `openssl dgst -sha256 -sign` does, and serves it. With keyless it is signed by the
// workflow too, as `cosign sign-blob --bundle` does.
func (a *author) publish(folder, version string, keyless bool) (*update, error) {
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
	u := &update{
		version: version, url: a.serve(path, "application/zip", content), digest: "sha256:" + hex.EncodeToString(sum[:]),
		signatures: []otav1alpha1.SignatureSource{{Inline: base64.StdEncoding.EncodeToString(signature)}},
	}
	if keyless {
		bundle, err := a.sigstore.SignBlob(issuer, workflow, content)
		if err != nil {
			return nil, fmt.Errorf("sign %s: %w", version, err)
		}
		url := a.serve(path+".sigstore.json", "application/json", bundle)
		u.signatures = append(u.signatures, otav1alpha1.SignatureSource{URL: otav1alpha1.URL(url)})
	}
	return u, nil
}

func (a *author) serve(path, kind string, content []byte) (url string) {
	a.files.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(content) // the client is gone: nobody is left to tell
	})
	return a.url + path
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
