// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/ingest"
)

const (
	smallBundles = 1000
	smallFiles   = 10
	smallFile    = 2 << 10 // bytes, compressed
	transfers    = 2       // at once, as the manager's default
)

// runSmall measures how many small bundles are taken in a second, each from a source and to an object of its own.
func runSmall(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "windlass-bench-small-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	archives, err := makeSmall()
	if err != nil {
		return err
	}
	objects, err := devcluster.StartObjectStore(ctx, filepath.Join(dir, "store"), bucket)
	if err != nil {
		return err
	}
	defer objects.Stop()
	url, closeWeb, err := serveAll(ctx, archives)
	if err != nil {
		return err
	}
	defer closeWeb()
	base := childJob{Scratch: filepath.Join(dir, "scratch"), Endpoint: objects.Endpoint, Bucket: bucket, AccessKey: objects.AccessKey, SecretKey: objects.SecretKey}
	jobs := make([]ingest.Job, len(archives))
	var worker *ingest.Worker
	for i, archive := range archives {
		if worker, jobs[i], err = base.small(i, archive, url); err != nil {
			return err
		}
	}
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	for _, job := range jobs {
		group.Go(func() error {
			_, err := worker.Run(ctx, job)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("take small bundles in: %w", err)
	}
	took := time.Since(begin)
	_, err = fmt.Fprintf(w, "TRUST: %d bundles of %d files, %d at once, in %.2f s\nBENCH trust_small_bundles_s %.0f bundles/s\n",
		len(jobs), smallFiles, transfers, took.Seconds(), float64(len(jobs))/took.Seconds())
	return err
}

func (in childJob) small(i int, archive []byte, url string) (*ingest.Worker, ingest.Job, error) {
	sum := sha256.Sum256(archive)
	digest := hex.EncodeToString(sum[:])
	public, signature, err := sign(digest)
	if err != nil {
		return nil, ingest.Job{}, err
	}
	in.URL, in.Digest, in.Version = url+strconv.Itoa(i), "sha256:"+digest, fmt.Sprintf("1.%d.0", i)
	in.PublicKey, in.Signature = public, signature
	return in.prepare(new(childResult))
}

func makeSmall() ([][]byte, error) {
	random := rand.New(rand.NewPCG(6, 6))
	out := make([][]byte, smallBundles)
	for i := range out {
		var buf bytes.Buffer
		archive := zip.NewWriter(&buf)
		for n := range smallFiles {
			entry, err := archive.Create(fmt.Sprintf("js/chunk-%d.js", n))
			if err != nil {
				return nil, err
			}
			if _, err := entry.Write(script(random, smallFile*100/deflatedPercent)); err != nil {
				return nil, err
			}
		}
		if err := archive.Close(); err != nil {
			return nil, err
		}
		out[i] = buf.Bytes()
	}
	return out, nil
}

// serveAll serves archives by their number.
func serveAll(ctx context.Context, archives [][]byte) (url string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{ReadHeaderTimeout: readHeader, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil || i < 0 || i >= len(archives) {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(archives[i]))
	})}
	go server.Serve(listener)                                                         //nolint:errcheck // ends with Close
	return "http://" + listener.Addr().String() + "/", func() { server.Close() }, nil //nolint:errcheck // nothing to save
}
