// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// encryptedFacts are what is known of an encrypted artifact from outside: its first bytes are random, and mean nothing.
var encryptedFacts = artifact.Facts{MediaType: "application/octet-stream", Ext: "bin"}

// unlock finds the key of an encrypted artifact, where the Repository has keys of the app.
func (r *run) unlock() error {
	if r.job.Envelope == nil || len(r.job.Keys) == 0 {
		return nil
	}
	opener, err := r.job.Envelope.Unlock(r.job.Keys)
	if err != nil {
		return openError(err)
	}
	r.opener = &opener
	return nil
}

// open decrypts an encrypted artifact, looks into it on the way, and compares the checksum. Without a key nothing is known but that
// its size may be right.
func (r *run) open(ctx context.Context) error {
	if r.job.Envelope == nil {
		return nil
	}
	if err := envelope.CheckSize(r.result.Size); err != nil {
		return openError(err)
	}
	if r.opener == nil {
		return nil
	}
	sum := sha256.New()
	r.scan = startScan(ctx)
	size, err := pump(r.opener.Reader(io.NewSectionReader(r.file, 0, r.result.Size)), sum, r.scan)
	stopped := r.scan.finish(size, err)
	switch {
	case err != nil:
		return openError(err)
	case stopped != nil:
		return stopped
	}
	if err := r.opener.Check(sum.Sum(nil)); err != nil {
		return openError(err)
	}
	r.result.OpenedBy = r.opener.KeyID
	r.plain = release.DigestPrefix + hex.EncodeToString(sum.Sum(nil))
	return nil
}

// openError tells what is wrong with the artifact from what is wrong with the scratch folder.
func openError(err error) error {
	switch {
	case errors.Is(err, envelope.ErrMismatch):
		return kit.Stall(otav1alpha1.ChecksumMismatchReason, "%w", err)
	case errors.Is(err, envelope.ErrInvalid):
		return kit.Stall(otav1alpha1.EncryptionInvalidReason, "%w", err)
	}
	return scratchError(err)
}
