// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"fmt"
	"testing"

	"github.com/windlass-dev/windlass/internal/devcluster"
)

// Bucket is an empty bucket of a real object server.
type Bucket struct {
	// Endpoint of the server, such as http://127.0.0.1:7070.
	Endpoint string
	// Name of the bucket.
	Name string
	// AccessKeyID and SecretAccessKey may do everything.
	AccessKeyID, SecretAccessKey string
}

// ObjectStore gives a test a bucket of its own on the package's object server, which runs until Main ends. A test that stops
// or breaks its server starts one itself with devcluster.StartObjectStore.
func ObjectStore(tb testing.TB) *Bucket {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	requireMain(tb)
	if shared.objectStore == nil && shared.objectStoreErr == nil {
		shared.objectStore, shared.objectStoreErr = startObjectStore()
	}
	if shared.objectStoreErr != nil {
		tb.Fatalf("no object server for this test: %v", shared.objectStoreErr)
	}
	shared.buckets++
	s := shared.objectStore
	b := &Bucket{
		Endpoint: s.Endpoint, Name: fmt.Sprintf("bucket-%d", shared.buckets),
		AccessKeyID: s.AccessKey, SecretAccessKey: s.SecretKey,
	}
	if err := s.MakeBuckets(tb.Context(), b.Name); err != nil {
		tb.Fatalf("make the test's bucket: %v", err)
	}
	return b
}

func startObjectStore() (*devcluster.ObjectStore, error) {
	dir, err := tempDir()
	if err != nil {
		return nil, err
	}
	s, err := devcluster.StartObjectStore(context.Background(), dir)
	if err == nil {
		shared.stops = append(shared.stops, s.Stop)
	}
	return s, err
}
