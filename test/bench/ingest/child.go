// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/verify"
)

// childEnv marks the process that takes the artifact in: memory is measured of a process that does nothing else.
const childEnv = "WINDLASS_BENCH_INGEST"

func init() {
	if os.Getenv(childEnv) == "" {
		return
	}
	if err := child(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// childJob is what the child reads from its standard input.
type childJob struct {
	URL, Digest, Version, PublicKey, Signature, Scratch string
	Endpoint, Bucket, AccessKey, SecretKey              string
}

// childResult is what it writes to its standard output.
type childResult struct {
	Took, Fetch, Store time.Duration
	IdleKiB, PeakKiB   int64
}

func runChild(ctx context.Context, job childJob) (childResult, error) {
	exe, err := os.Executable()
	if err != nil {
		return childResult{}, fmt.Errorf("find this program: %w", err)
	}
	input, err := json.Marshal(job)
	if err != nil {
		return childResult{}, fmt.Errorf("encode the job: %w", err)
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return childResult{}, fmt.Errorf("ingest: %w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return childResult{}, fmt.Errorf("ingest: %w", err)
	}
	var result childResult
	return result, json.Unmarshal(out, &result)
}

// child takes one artifact in by the code that the manager runs.
func child(ctx context.Context) error {
	var in childJob
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return fmt.Errorf("decode the job: %w", err)
	}
	var out childResult
	worker, job, err := in.prepare(&out)
	if err != nil {
		return err
	}
	debug.FreeOSMemory()
	if out.IdleKiB, err = memory("VmRSS"); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // resets VmHWM, see proc(5)
		return fmt.Errorf("reset the peak of memory: %w", err)
	}
	begin := time.Now()
	result, err := worker.Run(ctx, job)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	out.Took = time.Since(begin)
	if out.PeakKiB, err = memory("VmHWM"); err != nil {
		return err
	}
	if err := job.Bucket.Delete(ctx, release.TargetObject(result.Path, job.Digest)); err != nil {
		return fmt.Errorf("remove the object: %w", err)
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func (in childJob) prepare(out *childResult) (*ingest.Worker, ingest.Job, error) {
	key, err := verify.ParsePublicKey([]byte(in.PublicKey))
	if err != nil {
		return nil, ingest.Job{}, err
	}
	bucket, err := store.Open(store.Config{Endpoint: in.Endpoint, Bucket: in.Bucket, AccessKey: in.AccessKey, SecretKey: in.SecretKey})
	if err != nil {
		return nil, ingest.Job{}, err
	}
	scratch, err := ingest.NewScratch(in.Scratch)
	if err != nil {
		return nil, ingest.Job{}, err
	}
	observe := func(stage ingest.Stage, took time.Duration, _ error) {
		if stage == ingest.Fetched {
			out.Fetch = took
		}
		if stage == ingest.Stored {
			out.Store = took
		}
	}
	allowed, err := egress.Parse([]string{"127.0.0.0/8"})
	if err != nil {
		return nil, ingest.Job{}, err
	}
	worker := &ingest.Worker{Client: source.New(source.Options{Egress: allowed}), Scratch: scratch, Now: time.Now, Observe: observe}
	return worker, ingest.Job{
		App: "com.example.bench", Version: in.Version, Digest: in.Digest, Source: source.HTTP{URL: in.URL}, Bucket: bucket,
		Signatures:  []ingest.File{{Inline: in.Signature}},
		Authorities: []verify.Authority{{Name: "ci", Key: key}},
	}, nil
}

// memory reads a figure of /proc/self/status in KiB.
func memory(name string) (int64, error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read the memory in use: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		}
	}
	return 0, fmt.Errorf("there is no %s in /proc/self/status", name)
}

// sign makes a key, and its signature over content with the given digest, as openssl dgst -sha256 -sign does.
func sign(digest string) (public, signature string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	sum, err := hex.DecodeString(digest)
	if err != nil {
		return "", "", fmt.Errorf("read the digest: %w", err)
	}
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum)
	if err != nil {
		return "", "", fmt.Errorf("sign: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", fmt.Errorf("encode the key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), base64.StdEncoding.EncodeToString(sig), nil
}
