// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
)

// readAttempts bounds how often a small object is read again after its body broke off.
const readAttempts = 3

// Get reads an object of at most limit bytes.
func (b *Bucket) Get(ctx context.Context, key string, limit int64) ([]byte, Object, error) {
	raw, obj, _, err := b.GetIfChanged(ctx, key, "", limit)
	return raw, obj, err
}

// GetIfChanged reads an object unless it still has the ETag. An empty ETag always reads.
func (b *Bucket) GetIfChanged(ctx context.Context, key, etag string, limit int64) (raw []byte, obj Object, changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		raw, obj, err = b.read(ctx, key, etag, limit)
		if errors.Is(err, errNotModified) {
			return nil, Object{Key: key, ETag: etag}, false, nil
		}
		if !errors.Is(err, errBroken) || attempt == readAttempts || ctx.Err() != nil {
			return raw, obj, err == nil, err
		}
	}
}

func (b *Bucket) read(ctx context.Context, key, etag string, limit int64) ([]byte, Object, error) {
	var opts minio.GetObjectOptions
	if etag != "" {
		if err := opts.SetMatchETagExcept(etag); err != nil {
			return nil, Object{}, b.fail("get", key, err)
		}
	}
	body, obj, _, err := b.get(ctx, key, opts)
	if err != nil {
		return nil, Object{}, err
	}
	defer body.Close()
	if obj.Size > limit {
		return nil, Object{}, fmt.Errorf("get %s: %w: it has %d bytes, at most %d are allowed", key, ErrTooLarge, obj.Size, limit)
	}
	raw, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(raw)) != obj.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, Object{}, b.broken(key, err)
	}
	return raw, obj, nil
}

// Range is a part of an object.
type Range struct {
	Offset int64 // of the first byte
	Length int64 // zero: to the end
}

// Reader streams an object, or a part of it. It must be closed.
type Reader struct {
	io.ReadCloser
	Object Object // Size is that of the whole object
	Length int64  // bytes that this reader gives
}

// Open streams an object. The caller's context bounds the whole reading. A Range outside of the object is an error.
func (b *Bucket) Open(ctx context.Context, key string, part Range) (*Reader, error) {
	var opts minio.GetObjectOptions
	if part != (Range{}) {
		end := int64(0) // the library's "to the end", but for an offset of zero, which needs no range
		if part.Length > 0 {
			end = part.Offset + part.Length - 1
		}
		if err := opts.SetRange(part.Offset, end); err != nil {
			return nil, fmt.Errorf("open %s: %w", key, err)
		}
	}
	body, obj, header, err := b.get(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	r := &Reader{ReadCloser: body, Object: obj, Length: obj.Size}
	if _, total, ok := strings.Cut(header.Get("Content-Range"), "/"); ok {
		if r.Object.Size, err = strconv.ParseInt(total, 10, 64); err != nil {
			body.Close()
			return nil, fmt.Errorf("open %s: the object store answered with a bad Content-Range", key)
		}
	}
	return r, nil
}

func (b *Bucket) get(ctx context.Context, key string, opts minio.GetObjectOptions) (io.ReadCloser, Object, http.Header, error) {
	body, info, header, err := b.core.GetObject(ctx, b.bucket, b.prefix+key, opts)
	if err != nil {
		return nil, Object{}, nil, b.fail("get", key, err)
	}
	info.Key = b.prefix + key
	return body, b.object(info), header, nil
}
