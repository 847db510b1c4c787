// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

const (
	// digestMetadata is the user metadata that records the SHA-256 of an object's content.
	digestMetadata = "Windlass-Sha256"

	immutableCache = "public, max-age=31536000, immutable"
	mutableCache   = "no-cache"

	// conflictAttempts bounds how often a write is tried again that the server could not order among its rivals (409).
	conflictAttempts = 5
)

// MaxSinglePut is the largest object that one PUT can make: S3 allows 5 GiB.
const MaxSinglePut = 5 << 30

// PutImmutable makes an object that never changes. That it exists already with the same content is success;
// with other content it is ErrDifferent.
func (b *Bucket) PutImmutable(ctx context.Context, key string, content []byte, contentType string) error {
	sum := sha256.Sum256(content)
	return b.PutStream(ctx, key, Stream{
		Reader: bytes.NewReader(content), Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), ContentType: contentType,
	})
}

// PutFile is PutImmutable for content of any size up to MaxSinglePut, with constant memory. sum is the hexadecimal SHA-256
// of the content; the object store checks it.
func (b *Bucket) PutFile(ctx context.Context, key string, content io.ReaderAt, size int64, sum, contentType string) error { //nolint:revive // PutStream takes a struct; this is its short form for files
	return b.PutStream(ctx, key, Stream{
		Reader: io.NewSectionReader(content, 0, size), Size: size, SHA256: sum, ContentType: contentType,
	})
}

// Stream is content whose size and digest are known before it is read. The object store refuses what does not match, so an
// artifact can be uploaded while it still arrives.
type Stream struct {
	Reader      io.Reader // tried again after a failure only when it is an io.Seeker
	Size        int64     // bytes
	SHA256      string    // hexadecimal
	ContentType string
}

// PutStream is PutImmutable for content that is read once.
func (b *Bucket) PutStream(ctx context.Context, key string, s Stream) error {
	if s.Size > MaxSinglePut {
		return kit.Stall(otav1alpha1.TooLargeReason, "put %s: %w: it has %d bytes, at most %d are allowed", key, ErrTooLarge, s.Size, int64(MaxSinglePut))
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout+time.Duration(s.Size/slowestBody)*time.Second)
	defer cancel()
	opts := minio.PutObjectOptions{
		ContentType: s.ContentType, CacheControl: immutableCache,
		UserMetadata: map[string]string{digestMetadata: s.SHA256}, DisableContentSha256: true,
	}
	cond := absent
	cond.none = b.plain.Load()
	if b.careful || cond.none {
		if err := b.same(ctx, key, s); !errors.Is(err, ErrNotExist) {
			return err
		}
	}
	_, err := b.put(ctx, key, s, opts, cond)
	switch {
	case errors.Is(err, errCondition):
		return b.same(ctx, key, s)
	case errors.Is(err, errNotImplemented) && b.fallback(s, cond):
		return b.PutStream(ctx, key, s)
	}
	return err
}

// fallback gives up conditional writes on a server that has none, and tells whether a refused write can be sent again: once,
// without its condition. Each of many writes at once has to, not only the first that hears of it.
func (b *Bucket) fallback(s Stream, refused condition) bool {
	if refused.none {
		return false // the server does not mean the condition
	}
	b.plain.Store(true)
	_, again := s.Reader.(io.Seeker)
	return again
}

// same is nil when the object has the wanted content.
func (b *Bucket) same(ctx context.Context, key string, s Stream) error {
	obj, err := b.Head(ctx, key)
	if err != nil {
		return err
	}
	if obj.Size == s.Size && obj.SHA256 == "" { // of another writer: read it
		if obj.SHA256, err = b.digest(ctx, key); err != nil {
			return err
		}
	}
	if obj.Size != s.Size || obj.SHA256 != s.SHA256 {
		return kit.Retry(otav1alpha1.StorageFailedReason, "put %s: %w", key, ErrDifferent)
	}
	return nil
}

func (b *Bucket) digest(ctx context.Context, key string) (string, error) {
	r, err := b.Open(ctx, key, Range{})
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", b.broken(key, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// CompareAndSwap replaces a small object that still has the ETag; an empty ETag asks that there is none. It gives the new
// ETag. When another writer was first it fails with ErrConflict, and with any other error when nobody can tell.
func (b *Bucket) CompareAndSwap(ctx context.Context, key, old string, content []byte, contentType string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	cond := condition{etag: old, none: b.plain.Load()}
	careful := b.careful || cond.none
	if careful {
		if err := b.unchanged(ctx, key, old); err != nil {
			return b.settle(ctx, key, content, err)
		}
	}
	sum := sha256.Sum256(content)
	s := Stream{Reader: bytes.NewReader(content), Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
	opts := minio.PutObjectOptions{ContentType: contentType, CacheControl: mutableCache, DisableContentSha256: true}
	etag, err := b.put(ctx, key, s, opts, cond)
	switch {
	case err == nil && !careful:
		return etag, nil
	case errors.Is(err, errNotImplemented) && b.fallback(s, cond):
		return b.CompareAndSwap(ctx, key, old, content, contentType)
	}
	return b.settle(ctx, key, content, err)
}

// settle finds out what became of a swap whose answer is not to be believed. It has its own deadline, because a swap
// that timed out still needs an answer.
func (b *Bucket) settle(ctx context.Context, key string, content []byte, cause error) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	now, obj, err := b.Get(ctx, key, int64(len(content)))
	switch {
	case err == nil && bytes.Equal(now, content):
		return obj.ETag, nil
	case cause != nil && !lost(cause):
		return "", cause
	case err == nil, errors.Is(err, ErrTooLarge), errors.Is(err, ErrNotExist):
		return "", fmt.Errorf("swap %s: %w", key, ErrConflict)
	}
	return "", err
}

// lost tells whether an error says that the object is not the expected one. A server answers a match of nothing with
// "not found".
func lost(err error) bool { return errors.Is(err, errCondition) || errors.Is(err, ErrNotExist) }

// unchanged is an error of lost unless the object still has the ETag.
func (b *Bucket) unchanged(ctx context.Context, key, old string) error {
	obj, err := b.Head(ctx, key)
	if errors.Is(err, ErrNotExist) {
		obj, err = Object{}, nil
	}
	if err == nil && obj.ETag != old {
		err = errCondition
	}
	return err
}

// condition is what a write asks of the object that is there.
type condition struct {
	etag string // empty: there must be none
	none bool   // the store has no conditional writes: nothing is asked
}

var absent condition

func (c condition) set(opts *minio.PutObjectOptions) {
	switch {
	case c.none:
	case c.etag == "":
		opts.SetMatchETagExcept("*")
	default:
		opts.SetMatchETag(c.etag)
	}
}

// put is the one PUT that all writes are. The library rewinds a reader that is an io.Seeker.
func (b *Bucket) put(ctx context.Context, key string, s Stream, opts minio.PutObjectOptions, cond condition) (string, error) {
	cond.set(&opts)
	_, again := s.Reader.(io.Seeker)
	for attempt := 1; ; attempt++ {
		info, err := b.core.PutObject(ctx, b.bucket, b.prefix+key, s.Reader, s.Size, "", s.SHA256, opts)
		err = b.fail("put", key, err)
		if !errors.Is(err, errUnordered) || !again || attempt == conflictAttempts {
			return info.ETag, err
		}
	}
}

func sumOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
