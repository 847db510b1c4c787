// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ingest measures how fast artifacts are taken in, and how much memory that takes: from a web server through digest,
// signature, scratch file, archive and content checks into a real object store, against sha256sum of the same file.
package ingest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/windlass-dev/windlass/internal/devcluster"
)

const (
	artifactSize = 1 << 30 // bytes
	rounds       = 3
	bucket       = "bench"
	readHeader   = 10 * time.Second
)

// kind is an artifact that is measured.
type kind struct {
	name   string // of the figures: <name>_ratio and <name>_peak_mib
	title  string
	make   func(file string) error
	report bool // in figures, not only in the table
}

// Run measures one large artifact that is no archive, and prints a table and below it one line a figure.
func Run(ctx context.Context, w io.Writer) error {
	return measure(ctx, w, kind{name: "ingest", title: "INGEST of 1 GiB", make: fill, report: true})
}

// measure takes an artifact in some times.
func measure(ctx context.Context, w io.Writer, k kind) error {
	dir, err := os.MkdirTemp("", "windlass-bench-ingest-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "artifact")
	if err := k.make(file); err != nil {
		return fmt.Errorf("make the artifact: %w", err)
	}
	bench, stop, err := start(ctx, dir, file)
	if err != nil {
		return err
	}
	defer stop()
	var all []round
	for range rounds {
		r, err := bench.round(ctx, len(all))
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	return bench.print(w, k, all)
}

// bench is what all rounds share.
type bench struct {
	file string
	size int64 // of the file, in bytes
	job  childJob
}

// start makes the signature of an artifact, a web server and an object store.
func start(ctx context.Context, dir, file string) (*bench, func(), error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, nil, fmt.Errorf("look at the artifact: %w", err)
	}
	b := &bench{file: file, size: info.Size()}
	digest, _, err := sha256sum(ctx, b.file)
	if err != nil {
		return nil, nil, err
	}
	public, signature, err := sign(digest)
	if err != nil {
		return nil, nil, err
	}
	objects, err := devcluster.StartObjectStore(ctx, filepath.Join(dir, "store"), bucket)
	if err != nil {
		return nil, nil, err
	}
	url, closeWeb, err := serve(ctx, b.file)
	if err != nil {
		objects.Stop()
		return nil, nil, err
	}
	b.job = childJob{
		URL: url, Digest: "sha256:" + digest, PublicKey: public, Signature: signature, Scratch: filepath.Join(dir, "scratch"),
		Endpoint: objects.Endpoint, Bucket: bucket, AccessKey: objects.AccessKey, SecretKey: objects.SecretKey,
	}
	return b, func() { closeWeb(); objects.Stop() }, nil
}

// fill writes an artifact that nothing can compress.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // closed below when it counts
	var seed [32]byte
	out := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(out, rand.NewChaCha8(seed), artifactSize); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// sha256sum is the yardstick: the tool that everybody has, on the same file.
func sha256sum(ctx context.Context, file string) (string, time.Duration, error) {
	begin := time.Now()
	out, err := exec.CommandContext(ctx, "sha256sum", file).Output()
	if err != nil {
		return "", 0, fmt.Errorf("sha256sum: %w", err)
	}
	digest, _, _ := strings.Cut(string(out), " ")
	return digest, time.Since(begin), nil
}

// serve serves a file from this process: the one that takes it in is another.
func serve(ctx context.Context, file string) (url string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{ReadHeaderTimeout: readHeader, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, file)
	})}
	go server.Serve(listener)                                                                 //nolint:errcheck // ends with Close
	return "http://" + listener.Addr().String() + "/artifact", func() { server.Close() }, nil //nolint:errcheck // nothing to save
}

// round is one measurement.
type round struct {
	yardstick time.Duration
	childResult
}

func (r round) ratio() float64   { return r.yardstick.Seconds() / r.Took.Seconds() }
func (r round) peakMiB() float64 { return float64(r.PeakKiB-r.IdleKiB) / 1024 }

// round takes the artifact in under a version of its own, so that nothing is there already. The child removes what it stored:
// memory that the system has to find for the first time would be measured else.
func (b *bench) round(ctx context.Context, n int) (round, error) {
	syscall.Sync() // the disk has nothing left to do of what was before
	_, before, err := sha256sum(ctx, b.file)
	if err != nil {
		return round{}, err
	}
	job := b.job
	job.Version = fmt.Sprintf("1.0.%d", n)
	result, err := runChild(ctx, job)
	if err != nil {
		return round{}, err
	}
	_, after, err := sha256sum(ctx, b.file) // on both sides, because the machine may be shared
	return round{yardstick: (before + after) / 2, childResult: result}, err
}

func (b *bench) print(w io.Writer, k kind, all []round) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, k.title+"\tsha256sum\tingest\tfetch+verify+inspect\tstore\tratio\tpeak over idle")
	mib := float64(b.size) / (1 << 20)
	for i, r := range all {
		fmt.Fprintf(t, "round %d\t%.2f s (%.0f MiB/s)\t%.2f s (%.0f MiB/s)\t%.2f s\t%.2f s\t%.2f\t%.1f MiB\n", i+1,
			r.yardstick.Seconds(), mib/r.yardstick.Seconds(), r.Took.Seconds(), mib/r.Took.Seconds(), r.Fetch.Seconds(), r.Store.Seconds(), r.ratio(), r.peakMiB())
	}
	if err := t.Flush(); err != nil || !k.report {
		return err
	}
	byRatio := slices.SortedFunc(slices.Values(all), func(a, b round) int { return int(1e6 * (a.ratio() - b.ratio())) })
	peak := slices.MaxFunc(all, func(a, b round) int { return int(1e3 * (a.peakMiB() - b.peakMiB())) })
	_, err := fmt.Fprintf(w, "BENCH %s_ratio %.2f ratio\nBENCH %s_peak_mib %.1f MiB\n", k.name, byRatio[len(byRatio)/2].ratio(), k.name, peak.peakMiB())
	return err
}
