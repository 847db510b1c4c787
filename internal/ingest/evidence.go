// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"slices"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

// evidenceType is the media type of evidence in the bucket.
const evidenceType = "application/json"

// read gives the content of a file that the author named.
func (r *run) read(ctx context.Context, f File, limit int64) ([]byte, error) {
	if f.Source == nil {
		return []byte(f.Inline), nil
	}
	return r.Client.ReadSmall(ctx, f.Source, limit)
}

// keep takes note of a file that proves something and has to be in the bucket before the artifact counts. It gives its digest.
func (r *run) keep(file []byte) string {
	if len(file) == 0 {
		return ""
	}
	if r.evidence == nil {
		r.evidence = map[string][]byte{}
	}
	digest := digestOf(file)
	r.evidence[digest] = file
	return digest
}

// storeEvidence uploads what was kept.
func (r *run) storeEvidence(ctx context.Context) error {
	for _, digest := range slices.Sorted(maps.Keys(r.evidence)) {
		file := r.evidence[digest]
		o := object{key: release.EvidenceObject(digest), content: bytes.NewReader(file), size: int64(len(file)), digest: digest, mediaType: evidenceType}
		if err := r.put(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// recall reads evidence from the bucket. It is nil when it is not there any more, or is not what it was.
func (r *run) recall(ctx context.Context, digest string, limit int64) ([]byte, error) {
	if digest == "" {
		return nil, nil
	}
	stored, err := r.job.Bucket.Open(ctx, release.EvidenceObject(digest), store.Range{})
	if errors.Is(err, store.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, storageError(err)
	}
	defer stored.Close()
	file, err := io.ReadAll(io.LimitReader(stored, limit))
	if err != nil {
		return nil, kit.Retry(otav1alpha1.StorageFailedReason, "the evidence %s could not be read to its end", digest)
	}
	if digestOf(file) != digest {
		return nil, nil
	}
	return file, nil
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return release.DigestPrefix + hex.EncodeToString(sum[:])
}
