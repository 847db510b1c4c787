// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// witness reads the repository again and again, as a device with go-tuf's own client does, and holds each state to the
// invariants of architecture.md 2.
type witness struct {
	bucket   *store.Bucket
	root     []byte
	localDir string

	mu       sync.Mutex
	reads    int
	last     *release.Document
	refused  map[string]bool
	offered  map[string]bool // digests that were candidates
	seen     map[string]bool // artifacts that were found in the bucket
	problems []string
	stop     context.CancelFunc
	done     chan struct{}
}

const witnessURL = "https://repository.invalid/"

// DownloadFile is go-tuf's Fetcher over the bucket.
func (w *witness) DownloadFile(url string, limit int64, _ time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	raw, _, err := w.bucket.Get(ctx, strings.TrimPrefix(url, witnessURL), limit)
	if errors.Is(err, store.ErrNotExist) {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: url}
	}
	return raw, err
}

// watch begins to read. The Repository must have been published.
func (r *rig) watch() *witness {
	r.Helper()
	w := &witness{bucket: r.OpenBucket(), root: r.FirstRoot(), localDir: r.TempDir(), done: make(chan struct{}),
		refused: map[string]bool{}, offered: map[string]bool{}, seen: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			w.look(ctx)
		}
	}()
	r.Cleanup(func() { cancel(); <-w.done })
	return w
}

// ends stops reading and reports what was seen.
func (w *witness) ends(r *rig) {
	r.Helper()
	w.stop()
	<-w.done
	for _, p := range w.problems {
		r.Error(p)
	}
	if w.reads < 100 {
		r.Errorf("the witness read %d times only", w.reads)
	}
	r.Logf("the witness read %d times, up to revision %d", w.reads, w.last.Revision)
}

func (w *witness) problem(format string, args ...any) {
	if len(w.problems) < 20 {
		w.problems = append(w.problems, fmt.Sprintf(format, args...))
	}
}

// look reads once.
func (w *witness) look(ctx context.Context) {
	doc, artifacts, err := w.read()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	if err != nil {
		w.problem("read %d: %v", w.reads, err)
		return
	}
	if doc == nil {
		return // not published yet
	}
	w.check(doc)
	for _, key := range artifacts {
		if _, err := w.bucket.Head(context.WithoutCancel(ctx), key); err != nil && !w.seen[key] {
			w.problem("revision %d refers to %s: %v", doc.Revision, key, err)
		}
		w.seen[key] = true
	}
	w.last = doc
}

// read gives the document as a verifying client sees it. The local folder makes go-tuf refuse whatever goes back.
func (w *witness) read() (*release.Document, []string, error) {
	cfg, err := config.New(witnessURL+"metadata", w.root)
	if err != nil {
		return nil, nil, err
	}
	cfg.Fetcher, cfg.LocalMetadataDir, cfg.LocalTargetsDir = w, w.localDir, w.localDir
	cfg.RemoteTargetsURL = witnessURL + "targets"
	up, err := updater.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	if err := up.Refresh(); err != nil {
		return nil, nil, fmt.Errorf("refresh: %w", err)
	}
	info, err := up.GetTargetInfo(release.ChannelTarget(testkit.App, "production"))
	if err != nil {
		if w.last == nil {
			return nil, nil, nil
		}
		return nil, nil, fmt.Errorf("find the release document: %w", err)
	}
	_, raw, err := up.DownloadTarget(info, "", "")
	if err != nil {
		return nil, nil, fmt.Errorf("download the release document: %w", err)
	}
	doc, err := release.Decode(raw)
	if err != nil {
		return nil, nil, err
	}
	var artifacts []string
	for _, b := range doc.Bundles() {
		artifacts = append(artifacts, release.TargetObject(b.Path, b.Digest))
	}
	return doc, artifacts, nil
}

// check holds a document to what must always be true, given the one before it.
func (w *witness) check(d *release.Document) {
	for _, b := range d.Bundles() {
		if d.Refuses(b.Digest) || w.refused[b.Digest] {
			w.problem("revision %d serves %s, which was refused", d.Revision, b.Version)
		}
		if len(b.Signatures) == 0 {
			w.problem("revision %d serves %s without an author's signature", d.Revision, b.Version)
		}
	}
	for _, r := range d.Refused {
		w.refused[r.Digest] = true
	}
	if d.Candidate != nil {
		w.offered[d.Candidate.Bundle.Digest] = true
	}
	if w.last == nil {
		return
	}
	if d.Revision < w.last.Revision {
		w.problem("revision went from %d to %d", w.last.Revision, d.Revision)
	}
	before, now := w.last.Candidate, d.Candidate
	if before != nil && now != nil && before.Release == now.Release && now.Weight < before.Weight {
		w.problem("the weight of release %d fell from %d to %d without being taken back", now.Release, before.Weight, now.Weight)
	}
	if s := d.Stable; s != nil && (w.last.Stable == nil || w.last.Stable.Digest != s.Digest) && !w.offered[s.Digest] && w.reads > 1 {
		w.problem("%s became stable without having been a candidate", s.Version)
	}
}
