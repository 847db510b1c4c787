// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Credentials of the object store: loopback only and thrown away with it, so that they need no secrecy.
const (
	ObjectStoreAccessKey = "windlass"
	ObjectStoreSecretKey = "windlass-dev-only"
)

// ObjectStore is a running versitygw, an S3 server that keeps objects as files.
type ObjectStore struct {
	*Process
	Endpoint  string // http://127.0.0.1:<port>
	AccessKey string
	SecretKey string
}

// startAttempts bounds how often another port is tried: a free port may be taken before the server binds it.
const startAttempts = 3

// StartObjectStore starts an object store that keeps its data and log below dir, and makes the buckets.
func StartObjectStore(ctx context.Context, dir string, buckets ...string) (*ObjectStore, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		s, err := StartObjectStoreOn(ctx, dir, port, buckets...)
		if err == nil || attempt == startAttempts || ctx.Err() != nil {
			return s, err
		}
		if port, err = FreePort(); err != nil {
			return nil, err
		}
	}
}

// StartObjectStoreOn is StartObjectStore with a chosen port: a store that was stopped comes back where it was.
func StartObjectStoreOn(ctx context.Context, dir string, port int, buckets ...string) (*ObjectStore, error) {
	path, err := Binary(ctx, "versitygw")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "objects")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, fmt.Errorf("start object store: %w", err)
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	s := &ObjectStore{Endpoint: "http://" + address, AccessKey: ObjectStoreAccessKey, SecretKey: ObjectStoreSecretKey}
	s.Process, err = StartProcess(ctx, Command{
		Name: "versitygw", Path: path, Dir: dir,
		Args:  []string{"--access", s.AccessKey, "--secret", s.SecretKey, "--port", address, "--quiet", "--keep-alive", "posix", data},
		Ready: s.answers,
	})
	if err != nil {
		return nil, err
	}
	if err := s.MakeBuckets(ctx, buckets...); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// MakeBuckets makes buckets that do not exist yet.
func (s *ObjectStore) MakeBuckets(ctx context.Context, names ...string) error {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return fmt.Errorf("make buckets: %w", err)
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: "us-east-1",
	})
	if err != nil {
		return fmt.Errorf("make buckets: %w", err)
	}
	for _, name := range names {
		if ok, err := client.BucketExists(ctx, name); err == nil && ok {
			continue
		}
		if err := client.MakeBucket(ctx, name, minio.MakeBucketOptions{}); err != nil {
			return fmt.Errorf("make bucket %s: %w", name, err)
		}
	}
	return nil
}

// answers is nil when the server answers at all; it refuses a request without signature, which is answer enough.
func (s *ObjectStore) answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/", http.NoBody)
	if err != nil {
		return err
	}
	res, err := probeClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}
