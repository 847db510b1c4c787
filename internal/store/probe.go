// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const (
	probeFolder  = "probe/"
	probeRounds  = 3
	probeRacers  = 16
	probeTimeout = time.Minute
)

// Capabilities are what Probe found.
type Capabilities struct {
	ConditionalWrites otav1alpha1.ConditionalWrites
	Versioning        string // Enabled, Suspended, Off or Unknown
}

// Probe finds out whether conditional writes can be trusted, by racing them on objects that it removes again.
func (b *Bucket) Probe(ctx context.Context) (Capabilities, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	folder := probeFolder + strings.ToLower(rand.Text()) + "/"
	caps := Capabilities{Versioning: b.versioning(ctx)}
	defer b.clean(context.WithoutCancel(ctx), folder, caps.Versioning != "Off")

	obeys, err := b.obeys(ctx, folder+"obeys")
	if err != nil || !obeys {
		caps.ConditionalWrites = otav1alpha1.ConditionalWritesIgnored
		return caps, err
	}
	caps.ConditionalWrites = otav1alpha1.ConditionalWritesAtomic
	for round := range probeRounds {
		atomic, err := b.race(ctx, fmt.Sprintf("%srace-%d", folder, round))
		if err != nil {
			return caps, err
		}
		if !atomic {
			caps.ConditionalWrites = otav1alpha1.ConditionalWritesNotAtomic
			return caps, nil
		}
	}
	return caps, nil
}

func (b *Bucket) versioning(ctx context.Context) string {
	cfg, err := b.core.GetBucketVersioning(ctx, b.bucket)
	switch {
	case err != nil:
		return "Unknown"
	case cfg.Status == "":
		return "Off"
	}
	return cfg.Status
}

// obeys tells whether conditions that are false fail, without any race.
func (b *Bucket) obeys(ctx context.Context, key string) (bool, error) {
	if err := b.attempt(ctx, key, "first", absent); err != nil {
		return false, ignoreNotImplemented(err)
	}
	for _, cond := range []condition{absent, {etag: strings.Repeat("0", 32)}} {
		err := b.attempt(ctx, key, "second", cond)
		if err == nil || errors.Is(err, errNotImplemented) {
			return false, nil
		}
		if !errors.Is(err, errCondition) {
			return false, err
		}
	}
	return true, nil
}

func ignoreNotImplemented(err error) error {
	if errors.Is(err, errNotImplemented) {
		return nil
	}
	return err
}

// race lets writers create one object, and then replace it. Each time exactly one must win and its content must stay.
func (b *Bucket) race(ctx context.Context, key string) (bool, error) {
	cond := absent
	for range 2 {
		winners, err := b.compete(ctx, key, cond)
		if err != nil || len(winners) != 1 {
			return false, err
		}
		now, obj, err := b.Get(ctx, key, 64)
		if err != nil {
			return false, err
		}
		if string(now) != winners[0] {
			return false, nil
		}
		cond = condition{etag: obj.ETag}
	}
	return true, nil
}

// compete gives the contents of the writers that were told that they won.
func (b *Bucket) compete(ctx context.Context, key string, cond condition) ([]string, error) {
	var group errgroup.Group
	start, won := make(chan struct{}), make(chan string, probeRacers)
	for i := range probeRacers {
		group.Go(func() error {
			content := fmt.Sprintf("racer %d of %s", i, cond.etag)
			<-start
			err := b.attempt(ctx, key, content, cond)
			switch {
			case err == nil:
				won <- content
			case errors.Is(err, errCondition), errors.Is(err, errUnordered):
			default:
				return err
			}
			return nil
		})
	}
	close(start)
	err := group.Wait()
	close(won)
	var winners []string
	for content := range won {
		winners = append(winners, content)
	}
	return winners, err
}

// attempt is a conditional write whose condition is always sent.
func (b *Bucket) attempt(ctx context.Context, key, content string, cond condition) error {
	opts := minio.PutObjectOptions{ContentType: "text/plain", DisableContentSha256: true}
	cond.set(&opts)
	_, err := b.core.PutObject(ctx, b.bucket, b.prefix+key, strings.NewReader(content), int64(len(content)), "", sumOf(content), opts)
	return b.fail("put", key, err)
}

// clean removes what the probe wrote, with all versions where the bucket keeps them.
func (b *Bucket) clean(ctx context.Context, folder string, versions bool) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	opts := minio.ListObjectsOptions{Prefix: b.prefix + folder, Recursive: true, WithVersions: versions}
	for info := range b.core.ListObjectsIter(ctx, b.bucket, opts) {
		if info.Err != nil {
			return // nothing depends on it
		}
		_ = b.core.RemoveObject(ctx, b.bucket, info.Key, minio.RemoveObjectOptions{VersionID: info.VersionID})
	}
}
