// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"archive/zip"
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// ManifestFile is the file in a demo bundle that declares how it behaves.
const ManifestFile = "windlass-demo.json"

// maxManifest is the largest manifest in bytes that is read.
const maxManifest = 64 << 10

// manifest is the content of ManifestFile.
type manifest struct {
	Version     string  `json:"version"`
	FailureRate float64 `json:"failureRate"` // share of devices on which this version breaks, 0 to 1
}

// rejection is an artifact that a device does not install.
type rejection struct {
	check string // size, digest, signature, archive
	err   error
}

func (r *rejection) Error() string { return r.check + ": " + r.err.Error() }
func (r *rejection) Unwrap() error { return r.err }

func reject(check, format string, args ...any) error {
	return &rejection{check: check, err: fmt.Errorf(format, args...)}
}

// ParseAuthor reads a PEM public key of an ECDSA author, as an app carries it.
func ParseAuthor(text []byte) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("the author's key is no PEM block of type PUBLIC KEY")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the author's key: %w", err)
	}
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the author's key is of type %T, want ECDSA", key)
	}
	return ec, nil
}

// checkDigest checks an artifact against the digest that was offered.
func checkDigest(content []byte, want string) error {
	sum := sha256.Sum256(content)
	if got := "sha256:" + hex.EncodeToString(sum[:]); got != want {
		return reject("digest", "got %s, want %s", got, want)
	}
	return nil
}

// readManifest opens an archive and reads what the bundle declares.
func readManifest(content []byte) (*manifest, error) {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, reject("archive", "open: %w", err)
	}
	file, err := archive.Open(ManifestFile)
	if err != nil {
		return nil, reject("archive", "open: %w", err)
	}
	defer func() { _ = file.Close() }() // nothing was written
	raw, err := io.ReadAll(io.LimitReader(file, maxManifest+1))
	if err != nil {
		return nil, reject("archive", "read %s: %w", ManifestFile, err)
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, reject("archive", "read %s: %w", ManifestFile, err)
	}
	if m.Version == "" || m.FailureRate < 0 || m.FailureRate > 1 {
		return nil, reject("archive", "%s has version %q and failureRate %g, want a version and 0 to 1", ManifestFile, m.Version, m.FailureRate)
	}
	return &m, nil
}
