// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"io"
	"iter"
	"path"
	"strings"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

// Bucket is where artifacts are kept. *store.Bucket is one.
type Bucket interface {
	PutFile(ctx context.Context, key string, content io.ReaderAt, size int64, sum, contentType string) error
	Head(ctx context.Context, key string) (store.Object, error)
	Open(ctx context.Context, key string, part store.Range) (*store.Reader, error)
	List(ctx context.Context, prefix string) iter.Seq2[store.Object, error]
	Delete(ctx context.Context, key string) error
}

// Present tells whether the bucket has an artifact with the size and, where the object store keeps it, the digest. Path is
// that of the TUF target.
func Present(ctx context.Context, b Bucket, target, digest string, size int64) (bool, error) {
	obj, err := b.Head(ctx, release.TargetObject(target, digest))
	if errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, storageError(err)
	}
	return obj.Size == size && (obj.SHA256 == "" || obj.SHA256 == release.Hex(digest)), nil
}

// find looks for a version in the bucket and gives the key of its object, empty when there is none. A version means one
// digest for ever, devices take it for an identity: another digest under it is a conflict. So is a new version of what is stored:
// floors and refusals hold for an artifact whatever it is called. What older versions of Windlass stored twice stays.
func find(ctx context.Context, b Bucket, app, version, digest string) (string, error) {
	folder := path.Dir(release.TargetObject(release.BundleTarget(app, version, "bin"), digest)) + "/"
	found, called := "", ""
	for obj, err := range b.List(ctx, folder) {
		if err != nil {
			return "", storageError(err)
		}
		hex, file, _ := strings.Cut(path.Base(obj.Key), ".")
		stored, ok := artifact.VersionOf(file)
		switch {
		case !ok:
		case stored != version:
			if hex == release.Hex(digest) {
				called = stored
			}
		case hex == release.Hex(digest):
			found = obj.Key
		default:
			return "", kit.Stall(otav1alpha1.VersionConflictReason,
				"version %s of %s is stored already with digest %s%s: devices take a version for one digest for ever; use another version for %s",
				version, app, release.DigestPrefix, hex, digest)
		}
	}
	if found == "" && called != "" {
		return "", kit.Stall(otav1alpha1.VersionConflictReason,
			"digest %s of %s is stored already as version %s: an artifact has one version; build and sign another one for %s", digest, app, called, version)
	}
	return found, nil
}

// storageError gives a class and reason to errors that have none.
func storageError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*kit.Error](err); ok {
		return err
	}
	return kit.Retry(otav1alpha1.StorageFailedReason, "the artifact could not be stored or read back: %w", err)
}
