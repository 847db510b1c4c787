// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ingest takes an artifact from its source to the bucket: one streaming pass to a scratch file in which it is
// digested and its signatures are checked, then a look into the archive, and only then the upload. An encrypted artifact whose
// key is known is opened in between, to a second scratch file. Nothing of an artifact that is refused reaches the bucket.
package ingest

import (
	"context"
	"time"

	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/verify"
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// Signature is one that the author named, inline or at a source.
type Signature struct {
	Inline string
	Source source.Source
}

// jobTimeout bounds a job with all its transfers; each of them has a shorter one of its own.
const jobTimeout = 2 * time.Hour

// Job is one artifact to take in.
type Job struct {
	App         string
	Version     string
	Digest      string // sha256:<hex>, as the author says
	Source      source.Source
	Signatures  []Signature
	Authorities []verify.Authority
	Envelope    *envelope.Envelope   // of an encrypted artifact; nil: it is readable
	Keys        []envelope.PublicKey // of the app; none: an encrypted artifact passes unopened
	Bucket      Bucket
}

// Stage is a part of the work, in order.
type Stage int

// The stages. A Result of stage Stored is complete.
const (
	Started   Stage = iota
	Decoded         // the signatures are readable, and the envelope fits a key
	Fetched         // all bytes are there and have the digest
	Verified        // an authority's signature matches, and the encrypted checksum that of the opened artifact
	Inspected       // the archive is sound, or was not opened
	Stored          // the bucket has it
)

// String names the stage for metrics.
func (s Stage) String() string {
	return [...]string{"start", "signatures", "fetch", "verify", "inspect", "store"}[s]
}

// Result is what was found out, up to the stage that was reached.
type Result struct {
	Reached  Stage
	Size     int64 // bytes
	Facts    artifact.Facts
	Path     string // of the TUF target
	Matches  []verify.Match
	OpenedBy string // id of the key that opened an encrypted artifact; empty: none did
}

// Worker carries out jobs. It is safe for concurrent use.
type Worker struct {
	Client  *source.Client
	Scratch *Scratch
	Now     func() time.Time
	MaxSize int64         // of a stored artifact that is read again, in bytes; zero: that of package source
	Idle    time.Duration // for its next bytes; zero: that of package source
	// Observe is told how long each stage took and how it ended.
	Observe func(stage Stage, took time.Duration, err error)
}

// Run carries out a job. Its error is of package kit; the result tells how far it came.
func (w *Worker) Run(ctx context.Context, job Job) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	r := &run{Worker: w, job: job}
	defer r.close()
	steps := []func(context.Context) error{r.decode, r.fetch, r.verify, r.inspect, r.store}
	for i, step := range steps {
		stage := Stage(i + 1)
		start := w.Now()
		err := step(ctx)
		w.Observe(stage, w.Now().Sub(start), err)
		if err != nil {
			return r.result, err
		}
		r.result.Reached = stage
	}
	return r.result, nil
}
