// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
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
	opener     *envelope.Opener // of an encrypted artifact; nil: it is not opened
	file       *os.File
	plain      *os.File // what was in an encrypted artifact
	plainSize  int64    // bytes
	verifier   *verify.Verifier
	damaged    string // key of an object that must be replaced
}

func (r *run) close() {
	for _, f := range []*os.File{r.file, r.plain} {
		if f != nil {
			f.Close() //nolint:errcheck // it has no name: closing takes its space back
		}
	}
}

// decode gets all signatures before the artifact: Ed25519 needs them first, and what cannot be read is known sooner. So is
// what no key fits.
func (r *run) decode(ctx context.Context) error {
	for i, s := range r.job.Signatures {
		file := []byte(s.Inline)
		if s.Source != nil {
			var err error
			if file, err = r.Client.ReadSmall(ctx, s.Source, verify.MaxSignatureFile); err != nil {
				return rephrase(err, "signature %d of %d", i+1, len(r.job.Signatures))
			}
		}
		signature, err := verify.DecodeSignature(file)
		if err != nil {
			return kit.Stall(signatureReason(err), "signature %d of %d: %w", i+1, len(r.job.Signatures), err)
		}
		r.signatures = append(r.signatures, signature)
	}
	return r.unlock()
}

func signatureReason(err error) string {
	if errors.Is(err, verify.ErrNotSupportedYet) {
		return otav1alpha1.NotSupportedYetReason
	}
	return otav1alpha1.SignatureUnreadableReason
}

// rephrase says what an error is about and keeps its class and reason.
func rephrase(err error, format string, args ...any) error {
	e := kit.Classify(err)
	return &kit.Error{Class: e.Class, Reason: e.Reason, After: e.After, Err: fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), e.Err)}
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
	if err := r.receive(body); err != nil {
		return err
	}
	if actual := r.verifier.Digest(); actual != r.job.Digest {
		return kit.Stall(otav1alpha1.DigestMismatchReason, "%s is not what the author signed: expected %s, got %s; make a new Bundle with the right digest",
			r.job.Source, r.job.Digest, actual)
	}
	return nil
}

// receive reads all of body into a fresh scratch file, through a fresh verifier.
func (r *run) receive(body io.ReadCloser) error {
	defer body.Close()
	r.close()
	var err error
	if r.file, err = r.Scratch.file(); err != nil {
		return scratchError(err)
	}
	if r.verifier, err = verify.New(r.Now(), verify.Subject{App: r.job.App, Version: r.job.Version}, r.job.Authorities, r.signatures); err != nil {
		return kit.Stall(otav1alpha1.SignatureInvalidReason, "%w", err)
	}
	r.result.Size, err = pump(body, r.verifier, r.file)
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
		return kit.Retry(otav1alpha1.FetchFailedReason, "the manager's scratch folder is full: give it more space than the largest artifacts that are fetched at once, "+
			"twice as much for encrypted ones")
	}
	return kit.Retry(otav1alpha1.FetchFailedReason, "the manager's scratch folder cannot be written: %w", err)
}

// verify asks for at least one signature by an authority, and opens what is encrypted.
func (r *run) verify(context.Context) error {
	r.result.Matches = r.verifier.Matches()
	if len(r.result.Matches) > 0 {
		return r.open()
	}
	tried, expired := r.verifier.Tried()
	return kit.Stall(otav1alpha1.SignatureInvalidReason, "none of %d signatures matches an authority of the Repository: tried %s%s",
		len(r.signatures), orNone(tried), expiredNote(expired))
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func expiredNote(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; no longer valid: " + strings.Join(names, ", ")
}

func (r *run) inspect(context.Context) error {
	facts, err := encryptedFacts, error(nil)
	switch {
	case r.job.Envelope == nil:
		facts, err = look(r.file, r.result.Size)
	case r.plain != nil: // devices download the one and unpack the other
		var inside artifact.Facts
		inside, err = look(r.plain, r.plainSize)
		facts.Files = inside.Files
	}
	if err != nil {
		return err
	}
	r.result.Facts = facts
	r.result.Path = release.BundleTarget(r.job.App, r.job.Version, facts.Ext)
	return nil
}

// look refuses what devices could not unpack.
func look(file *os.File, size int64) (artifact.Facts, error) {
	if size == 0 {
		return artifact.Facts{}, kit.Stall(otav1alpha1.ArchiveInvalidReason, "the artifact is empty: expected an update of at least one byte")
	}
	facts, err := artifact.Inspect(file, size)
	switch {
	case errors.Is(err, artifact.ErrInvalid):
		return artifact.Facts{}, kit.Stall(otav1alpha1.ArchiveInvalidReason, "%w", err)
	case err != nil:
		return artifact.Facts{}, scratchError(err)
	}
	return facts, nil
}

// store uploads and reads back what the object store says of it.
func (r *run) store(ctx context.Context) error {
	key := release.TargetObject(r.result.Path, r.job.Digest)
	if r.damaged != "" {
		if err := r.job.Bucket.Delete(ctx, r.damaged); err != nil {
			return storageError(err)
		}
	}
	if err := r.put(ctx, key); err != nil {
		return err
	}
	there, err := Present(ctx, r.job.Bucket, r.result.Path, r.job.Digest, r.result.Size)
	if err == nil && !there {
		err = kit.Retry(otav1alpha1.StorageFailedReason, "the bucket took %s, but does not have it with the right size and digest when asked again", key)
	}
	return err
}

// put uploads under a key that holds the digest. What is there under it with other content was damaged, and is replaced.
func (r *run) put(ctx context.Context, key string) error {
	upload := func() error {
		return r.job.Bucket.PutFile(ctx, key, r.file, r.result.Size, release.Hex(r.job.Digest), r.result.Facts.MediaType)
	}
	err := upload()
	if errors.Is(err, store.ErrDifferent) {
		if err = r.job.Bucket.Delete(ctx, key); err == nil {
			err = upload()
		}
	}
	return storageError(err)
}
