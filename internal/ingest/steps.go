// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/verify"
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// run is one attempt at a job. Another attempt starts with a fresh file: bytes of two answers are never mixed.
type run struct {
	*Worker
	job        Job
	result     Result
	signatures []verify.Signature
	attached   []source.Attachment
	gone       error            // why a signature file could not be had; nil: all are there
	opener     *envelope.Opener // of an encrypted artifact; nil: it is not opened
	file       *os.File
	scan       *scan  // nil: nobody can look into the artifact
	plain      string // digest of what was in an encrypted artifact
	verifier   *verify.Verifier
	evidence   map[string][]byte // files by their digest
	damaged    string            // key of an object that must be replaced
}

func (r *run) close() {
	if r.file != nil {
		r.file.Close() //nolint:errcheck // it has no name: closing takes its space back
	}
}

// fetch reads the artifact. What the bucket has already under this version is read there: sources of old releases vanish. Only
// when it is gone or damaged the source is asked; a bucket that cannot be read could not take the artifact either.
func (r *run) fetch(ctx context.Context) error {
	stored, err := find(ctx, r.job.Bucket, r.job.App, r.job.Version, r.job.Digest)
	if err != nil {
		return err
	}
	if stored != "" {
		if err = r.fetchStored(ctx, stored); !errors.Is(err, errNotThere) {
			return err
		}
	}
	body, err := r.Client.Open(ctx, r.job.Source)
	if err != nil {
		return err
	}
	if err := r.receive(ctx, body); err != nil {
		return err
	}
	if actual := r.verifier.Digest(); actual != r.job.Digest {
		return kit.Stall(otav1alpha1.DigestMismatchReason, "%s is not what the author signed: expected %s, got %s; make a new Bundle with the right digest",
			r.job.Source, r.job.Digest, actual)
	}
	return nil
}

// receive reads all of body into a fresh scratch file, through a fresh verifier and, where it is readable, a fresh scan.
func (r *run) receive(ctx context.Context, body io.ReadCloser) error {
	defer body.Close()
	r.close()
	var err error
	if r.file, err = r.Scratch.file(); err != nil {
		return scratchError(err)
	}
	if r.verifier, err = verify.New(r.Now(), verify.Subject{App: r.job.App, Version: r.job.Version}, r.job.Authorities, r.signatures); err != nil {
		return kit.Stall(otav1alpha1.SignatureInvalidReason, "%w", err)
	}
	sinks := []io.Writer{r.verifier, r.file}
	if r.job.Envelope == nil {
		r.scan = startScan(ctx)
		sinks = append(sinks, r.scan)
	}
	r.result.Size, err = pump(body, sinks...)
	if r.scan != nil {
		if scan := r.scan.finish(r.result.Size, err); err == nil {
			err = scan
		}
	}
	if sink, ok := errors.AsType[*sinkError](err); ok {
		return scratchError(sink)
	}
	return err
}

// scratchError drops the path of the scratch file, which changes with every try.
func scratchError(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = e.Err
	}
	if errors.Is(err, syscall.ENOSPC) {
		return kit.Retry(otav1alpha1.FetchFailedReason, "the manager's scratch folder is full: give it more space than the largest artifacts that are fetched at once")
	}
	return kit.Retry(otav1alpha1.FetchFailedReason, "the manager's scratch folder cannot be written: %w", err)
}

// store uploads and reads back what the object store says of it.
func (r *run) store(ctx context.Context) error {
	o := object{
		key: release.TargetObject(r.result.Path, r.job.Digest), content: r.file, size: r.result.Size,
		digest: r.job.Digest, mediaType: r.result.Facts.MediaType,
	}
	if r.damaged != "" {
		if err := r.job.Bucket.Delete(ctx, r.damaged); err != nil {
			return storageError(err)
		}
	}
	if err := r.storeEvidence(ctx); err != nil {
		return err
	}
	if err := r.put(ctx, o); err != nil {
		return err
	}
	there, err := Present(ctx, r.job.Bucket, r.result.Path, r.job.Digest, r.result.Size)
	if err == nil && !there {
		err = kit.Retry(otav1alpha1.StorageFailedReason, "the bucket took %s, but does not have it with the right size and digest when asked again", o.key)
	}
	return err
}

// object is something to upload under a key that holds its digest.
type object struct {
	key, digest, mediaType string
	content                io.ReaderAt
	size                   int64 // bytes
}

// put uploads. What is there under the key with other content was damaged, and is replaced.
func (r *run) put(ctx context.Context, o object) error {
	upload := func() error {
		return r.job.Bucket.PutFile(ctx, o.key, o.content, o.size, release.Hex(o.digest), o.mediaType)
	}
	err := upload()
	if errors.Is(err, store.ErrDifferent) {
		if err = r.job.Bucket.Delete(ctx, o.key); err == nil {
			err = upload()
		}
	}
	return storageError(err)
}
