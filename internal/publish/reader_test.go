// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// reader is a stock TUF client that pins the first root and keeps what it has seen, as a device does. It refuses metadata
// that goes back.
type reader struct {
	bucket Bucket
	dir    string
	root   []byte
	now    func() time.Time
}

func newReader(t testing.TB, b Bucket) *reader {
	t.Helper()
	root, _, err := b.Get(t.Context(), object(metadata.ROOT, 1), tuf.MaxRoot)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, sub := range []string{"metadata", "targets"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &reader{bucket: b, dir: dir, root: root, now: time.Now}
}

// read fetches and verifies everything that is published. It gives the revision of each channel, and fails when any document
// or artifact is missing.
func (r *reader) read() (map[string]int64, error) {
	cfg, err := config.New("bucket://host/metadata", r.root)
	if err != nil {
		return nil, err
	}
	cfg.LocalMetadataDir, cfg.LocalTargetsDir = filepath.Join(r.dir, "metadata"), filepath.Join(r.dir, "targets")
	cfg.RemoteTargetsURL = "bucket://host/targets"
	cfg.Fetcher = &hostFetcher{fetcher{ctx: context.Background(), bucket: r.bucket}}
	client, err := updater.New(cfg)
	if err != nil {
		return nil, err
	}
	client.UnsafeSetRefTime(r.now())
	if err := client.Refresh(); err != nil {
		return nil, fmt.Errorf("refresh: %w", err)
	}
	revisions := map[string]int64{}
	for _, role := range client.GetTrustedMetadataSet().Targets[metadata.TARGETS].Signed.Delegations.Roles {
		doc, err := r.document(client, role.Paths[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", role.Name, err)
		}
		revisions[doc.Channel] = doc.Revision
	}
	return revisions, nil
}

func (r *reader) document(client *updater.Updater, target string) (*release.Document, error) {
	info, err := client.GetTargetInfo(target)
	if err != nil {
		return nil, err
	}
	_, raw, err := client.DownloadTarget(info, filepath.Join(r.dir, "document"), "")
	if err != nil {
		return nil, err
	}
	doc, err := release.Decode(raw)
	if err != nil {
		return nil, err
	}
	for _, b := range doc.Bundles() {
		if _, err := client.GetTargetInfo(b.Path); err != nil {
			return nil, err
		}
		obj, err := r.bucket.Head(context.Background(), release.TargetObject(b.Path, b.Digest))
		if err != nil || obj.Size != b.Size {
			return nil, fmt.Errorf("bundle %s: got %d bytes, %w", b.Version, obj.Size, err)
		}
	}
	return doc, nil
}

// hostFetcher strips the host that go-tuf's URL joining needs.
type hostFetcher struct{ fetcher }

func (f *hostFetcher) DownloadFile(url string, limit int64, timeout time.Duration) ([]byte, error) {
	return f.fetcher.DownloadFile(clientURL+url[len("bucket://host/"):], limit, timeout)
}
