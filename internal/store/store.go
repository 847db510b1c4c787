// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package store is the bucket of a Repository: immutable puts, compare-and-swap and a probe of what the object store can be
// trusted with, over the S3 API.
//
// Two rules keep conditional writes honest. Every conditional write is one PUT, because the client library drops the condition
// when it splits an upload into parts. And a failed condition is never believed before the object was read back, because the
// library repeats a PUT whose answer was lost, and the repetition then fails on the object that the first one made.
package store

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/egress"
)

// Limits of every call.
const (
	defaultRegion = "us-east-1"
	callTimeout   = 30 * time.Second // with all retries, without the time for large bodies
	maxRetries    = 4                // of the library: with jittered backoff of at most 1 s
	slowestBody   = 1 << 20          // bytes a second: large bodies get this much more time
	maxIdleConns  = 64

	identityTimeout = 10 * time.Second
)

// Config says where a bucket is and how to reach it.
type Config struct {
	Endpoint string // https://host[:port] or http://…
	Bucket   string
	Prefix   string // of all keys, without slashes at its ends
	Region   string // when empty, us-east-1

	// AccessKey and SecretKey; when both are empty, the environment's or the machine's own identity is used.
	AccessKey    string
	SecretKey    string
	SessionToken string

	CABundle []byte // PEM certificates to trust beside those of the system

	// ConditionalWrites is what Probe found; empty means Atomic. With less, writes look at what is there before, and
	// CompareAndSwap after it too.
	ConditionalWrites otav1alpha1.ConditionalWrites

	// Egress says where connections may go. Nil: anywhere, for buckets that no resource names.
	Egress *egress.Policy

	// WrapTransport sees all requests; when nil, nothing does.
	WrapTransport func(http.RoundTripper) http.RoundTripper
}

// Object is what the store knows of an object.
type Object struct {
	Key          string // without the prefix of the Config
	Size         int64  // bytes
	ETag         string // without quotes
	LastModified time.Time
	SHA256       string // hexadecimal, as the writer recorded it; empty in lists and for objects of other writers
}

// Errors of an object. All others carry a kit class and a reason.
var (
	// ErrNotExist means that there is no object of this key.
	ErrNotExist = errors.New("object does not exist")
	// ErrDifferent means that an immutable object exists with other content.
	ErrDifferent = errors.New("object exists with other content")
	// ErrConflict means that the object is not the one that was to be replaced.
	ErrConflict = errors.New("object was changed by another writer")
	// ErrTooLarge means that the object is larger than the caller's limit.
	ErrTooLarge = errors.New("object is larger than allowed")
)

// Bucket is a prefix in a bucket. It is safe for concurrent use.
type Bucket struct {
	core   *minio.Core
	bucket string
	prefix string // empty or ending in a slash

	careful bool        // writes look at what is there
	plain   atomic.Bool // the store answered that it has no conditional writes
}

// Open prepares access to a bucket. It does not connect: the first call does.
func Open(cfg Config) (*Bucket, error) {
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil || endpoint.Host == "" || (endpoint.Scheme != "https" && endpoint.Scheme != "http") {
		return nil, errors.New("endpoint must be a URL such as https://s3.example.com")
	}
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	core, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds:      newCredentials(cfg),
		Secure:     endpoint.Scheme == "https",
		Region:     cmp.Or(cfg.Region, defaultRegion),
		Transport:  transport,
		MaxRetries: maxRetries,
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", cfg.Bucket, err)
	}
	b := &Bucket{core: core, bucket: cfg.Bucket}
	if cfg.Prefix != "" {
		b.prefix = strings.Trim(cfg.Prefix, "/") + "/"
	}
	b.careful = cfg.ConditionalWrites != "" && cfg.ConditionalWrites != otav1alpha1.ConditionalWritesAtomic
	return b, nil
}

func newCredentials(cfg Config) *credentials.Credentials {
	if cfg.AccessKey != "" || cfg.SecretKey != "" {
		return credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, cfg.SessionToken)
	}
	// The machine's own identity is asked for at addresses that no resource names, so not through the bucket's transport.
	own := &http.Client{Transport: http.DefaultTransport, Timeout: identityTimeout}
	return credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.IAM{Client: own}})
}

func newTransport(cfg Config) (http.RoundTripper, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 2 * time.Minute, // a server hashes a large object before it answers
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   maxIdleConns,
		WriteBufferSize:       256 << 10, // fewer system calls for large bodies
		ReadBufferSize:        64 << 10,
		DisableCompression:    true, // objects are what their digest says
	}
	if cfg.Egress != nil {
		t.Proxy, t.DialContext = cfg.Egress.Proxy, cfg.Egress.DialContext(dialer)
	}
	if len(cfg.CABundle) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(cfg.CABundle) {
			return nil, errors.New("the CA bundle holds no PEM certificate")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if cfg.WrapTransport != nil {
		return measured{cfg.WrapTransport(t)}, nil
	}
	return measured{t}, nil
}

// Head asks for an object without its content.
func (b *Bucket) Head(ctx context.Context, key string) (Object, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, err := b.core.StatObject(ctx, b.bucket, b.prefix+key, minio.StatObjectOptions{})
	if err != nil {
		return Object{}, b.fail("head", key, err)
	}
	return b.object(info), nil
}

// Delete removes an object. Removing what is not there is no error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := b.core.RemoveObject(ctx, b.bucket, b.prefix+key, minio.RemoveObjectOptions{})
	if err = b.fail("delete", key, err); errors.Is(err, ErrNotExist) {
		return nil
	}
	return err
}

// List gives all objects whose keys start with a prefix, in the order of their keys. It ends after the first error.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return b.ListAfter(ctx, prefix, "")
}

// ListAfter is List for keys that come after one, which need not exist; after the empty one come all.
func (b *Bucket) ListAfter(ctx context.Context, prefix, after string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		opts := minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}
		if after != "" {
			opts.StartAfter = b.prefix + after
		}
		for info := range b.core.ListObjectsIter(ctx, b.bucket, opts) {
			if info.Err != nil {
				yield(Object{}, b.fail("list", prefix, info.Err))
				return
			}
			if !yield(b.object(info), nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Object{}, b.fail("list", prefix, err))
		}
	}
}

func (b *Bucket) object(info minio.ObjectInfo) Object {
	return Object{
		Key: strings.TrimPrefix(info.Key, b.prefix), Size: info.Size, ETag: info.ETag,
		LastModified: info.LastModified, SHA256: info.UserMetadata[digestMetadata],
	}
}
