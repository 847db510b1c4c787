// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

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
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
	"golang.org/x/sync/errgroup"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// clientURL is the base that the client believes in; the fetcher maps it to the bucket.
const clientURL = "bucket:/"

// readBack verifies a commit before it happens: a TUF client that trusts the present root reads everything new from the
// bucket, and timestamp.json as it will be.
func (p *Publisher) readBack(ctx context.Context, w *world, d *draft) error {
	f := &fetcher{ctx: ctx, bucket: p.cfg.Bucket, have: map[string][]byte{timestampName: d.timestamp}}
	if _, fresh := d.put[object(metadata.TARGETS, d.world.versions[metadata.TARGETS])]; !fresh {
		f.have[object(metadata.TARGETS, w.versions[metadata.TARGETS])] = w.targetsRaw // was verified when it was read or written
	}
	if err := f.prefetch(ctx, d.put); err != nil {
		return err
	}
	if !d.rootsFirst {
		if err := p.verify(w, d, f); err != nil {
			return f.blame(err)
		}
	}
	if len(d.roots) == 0 {
		return nil
	}
	for _, r := range d.roots { // and as a client will that follows the new roots
		f.have[r.name()] = r.raw
	}
	if err := p.verify(w, d, f); err != nil {
		return f.blame(err)
	}
	return nil
}

// blame tells a failure of the bucket from metadata that do not verify.
func (f *fetcher) blame(err error) error {
	if f.err != nil {
		return f.err
	}
	return kit.Retry(otav1alpha1.PublishFailedReason, "what was written does not verify, nothing was published: %w", err)
}

func (p *Publisher) verify(w *world, d *draft, f *fetcher) error {
	client, err := updater.New(&config.UpdaterConfig{
		MaxRootRotations: 256, MaxDelegations: 32,
		RootMaxLength: tuf.MaxRoot, TimestampMaxLength: tuf.MaxTimestamp, SnapshotMaxLength: tuf.MaxSnapshot, TargetsMaxLength: tuf.MaxTargets,
		Fetcher: known{fetcher: f, foreign: w.foreign != nil}, LocalTrustedRoot: w.raw, RemoteMetadataURL: clientURL + metadataFolder,
		DisableLocalCache: true, LocalMetadataDir: "/dev/null", // the client looks for cached files even so
	})
	if err != nil {
		return err
	}
	client.UnsafeSetRefTime(p.cfg.Clock.Now())
	if err := client.Refresh(); err != nil {
		return err
	}
	trusted := client.GetTrustedMetadataSet()
	for role, version := range w.versions {
		if now := trusted.Snapshot.Signed.Meta[role+".json"]; now == nil || now.Version < version {
			return fmt.Errorf("role %s would vanish or go back", role)
		}
	}
	for _, key := range d.signed {
		if err := verifyChannel(&trusted, d.world.channels[key], key, f); err != nil {
			return err
		}
	}
	return nil
}

// verifyChannel follows one delegation. It does not let the client search for it, because that looks at all
// delegations for each channel.
func verifyChannel(trusted *trustedmetadata.TrustedMetadata, c *channel, key ChannelKey, f *fetcher) error {
	name := release.Role(key.App, key.Channel)
	raw, err := f.get(object(name, c.version), tuf.MaxTargets)
	if err != nil {
		return err
	}
	role, err := trusted.UpdateDelegatedTargets(raw, name, metadata.TARGETS)
	if err != nil {
		return err
	}
	target := release.ChannelTarget(key.App, key.Channel)
	file := role.Signed.Targets[target]
	if file == nil {
		return fmt.Errorf("role %s lacks %s", name, target)
	}
	doc, ok := f.have[release.TargetObject(target, sum(c.raw))]
	if !ok {
		doc = c.raw // of a renewed role: the document was read before
	}
	return file.VerifyLengthHashes(doc)
}

// fetcher gives a TUF client the objects of a bucket.
type fetcher struct {
	ctx    context.Context //nolint:containedctx // go-tuf's Fetcher has none
	bucket readBucket
	have   map[string][]byte
	err    error // of the bucket, other than that something does not exist
}

// prefetch reads what was just written, all at once.
func (f *fetcher) prefetch(ctx context.Context, objects map[string][]byte) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	var mu sync.Mutex
	for name := range objects {
		group.Go(func() error {
			raw, _, err := f.bucket.Get(ctx, name, int64(len(objects[name])))
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			f.have[name] = raw
			return nil
		})
	}
	return group.Wait()
}

func (f *fetcher) get(name string, limit int64) ([]byte, error) {
	if raw, ok := f.have[name]; ok {
		return raw, nil
	}
	raw, _, err := f.bucket.Get(f.ctx, name, limit)
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		f.err = err
	}
	return raw, err
}

// DownloadFile is go-tuf's Fetcher.
func (f *fetcher) DownloadFile(url string, limit int64, _ time.Duration) ([]byte, error) {
	raw, err := f.get(strings.TrimPrefix(url, clientURL), limit)
	if errors.Is(err, store.ErrNotExist) {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: url}
	}
	return raw, err
}

// known is a fetcher that gives no roots but those that it has: of others it is known that they are foreign to the chain, or all of the
// bucket is to be read again.
type known struct {
	*fetcher
	foreign bool
}

// DownloadFile is go-tuf's Fetcher.
func (k known) DownloadFile(url string, limit int64, timeout time.Duration) ([]byte, error) {
	name := strings.TrimPrefix(url, clientURL)
	role, _, ok := parseObject(name)
	if !ok || role != metadata.ROOT || k.have[name] != nil {
		return k.fetcher.DownloadFile(url, limit, timeout)
	}
	if !k.foreign {
		switch _, err := k.bucket.Head(k.ctx, name); {
		case err == nil:
			k.err = fmt.Errorf("%s: %w", name, store.ErrConflict)
		case !errors.Is(err, store.ErrNotExist):
			k.err = err
		}
		if k.err != nil {
			return nil, k.err
		}
	}
	return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: url}
}
