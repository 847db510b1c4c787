// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ingest takes an artifact from its source to the bucket: one streaming pass to a scratch file, in which it is digested,
// its signatures are checked and its content is looked into, and only then the upload. An encrypted artifact whose key is known is
// opened and looked into in between. Nothing of an artifact that is refused reaches the bucket.
package ingest

import (
	"context"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/source"
	"github.com/windlass-dev/windlass/internal/verify"
	"github.com/windlass-dev/windlass/internal/verify/envelope"
)

// File is one that the author named, inline or at a source: a signature, or a signed statement.
type File struct {
	Inline string // base64
	Source source.Source
}

// Known is a signature or statement that counted before. It serves when its source is gone: it is verified like any other.
type Known struct {
	Format    otav1alpha1.SignatureFormat // empty: of a statement
	Signature string                      // base64; empty: all of it is in the evidence
	Evidence  string                      // digest of the file in the bucket; empty: there is none
}

// jobTimeout bounds a job with all its transfers; each of them has a shorter one of its own.
const jobTimeout = 2 * time.Hour

// Job is one artifact to take in.
type Job struct {
	App          string
	Version      string
	Digest       string // sha256:<hex>, as the author says
	Source       source.Source
	Signatures   []File
	Attached     bool // take the signatures that are attached to the image of Source, too
	Attestations []File
	Known        []Known
	Authorities  []verify.Authority
	Envelope     *envelope.Envelope   // of an encrypted artifact; nil: it is readable
	Keys         []envelope.PublicKey // of the app; none: an encrypted artifact passes unopened
	Native       *content.Native      // as the author says; nil: not said
	Bucket       Bucket
}

// Stage is a part of the work, in order.
type Stage int

// The stages. A Result of stage Stored is complete.
const (
	Started   Stage = iota
	Decoded         // the signatures are readable, and the envelope fits a key
	Fetched         // all bytes are there and have the digest
	Verified        // an authority's signature matches, and the encrypted checksum that of the opened artifact
	Inspected       // attestations are by authorities, and the archive is sound or was not opened
	Stored          // the bucket has it, and what proves its signatures
)

// String names the stage for metrics.
func (s Stage) String() string {
	return [...]string{"start", "signatures", "fetch", "verify", "inspect", "store"}[s]
}

// Result is what was found out, up to the stage that was reached.
type Result struct {
	Reached    Stage
	Size       int64 // bytes
	Facts      artifact.Facts
	Path       string // of the TUF target
	Matches    []Match
	Untried    bool        // some signature that the Bundle names could not be had
	OpenedBy   string      // id of the key that opened an encrypted artifact; empty: none did
	Inspection *Inspection // nil: nobody could look into the artifact
}

// Match is a signature that an authority made, and how it was given.
type Match struct {
	verify.Match
	Format   otav1alpha1.SignatureFormat
	Evidence string // digest of the file in the bucket; empty: the signature is all that there is
}

// Inspection is what is in an artifact.
type Inspection struct {
	content.Report
	Attested *verify.Match // by whom; nil: the manager looked itself
	Evidence string        // digest of the attestation in the bucket
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
