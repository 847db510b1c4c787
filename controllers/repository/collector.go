// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/store"
)

const (
	defaultRetention = 720 * time.Hour
	// minRetention is longer than an upload and the commit after it may take.
	minRetention = time.Hour
	// collectTimeout bounds one collection of one Repository.
	collectTimeout = 30 * time.Minute
)

// collector deletes from time to time what nothing refers to any more. It works beside the reconciles, because a look
// at a large bucket takes long.
type collector struct {
	client client.Client
	set    *publish.Set
	every  time.Duration
	log    logr.Logger
}

// Start collects until the context ends.
func (c *collector) Start(ctx context.Context) error {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.collectAll(ctx)
		}
	}
}

func (c *collector) collectAll(ctx context.Context) {
	var list otav1alpha1.RepositoryList
	if err := c.client.List(ctx, &list); err != nil {
		c.log.Error(err, "Listing Repositories to collect")
		return
	}
	for i := range list.Items {
		repo := &list.Items[i]
		p, ok := c.set.Get(client.ObjectKeyFromObject(repo))
		if !ok || !repo.DeletionTimestamp.IsZero() {
			continue
		}
		out, err := c.collect(ctx, repo, p)
		switch {
		case errors.Is(err, store.ErrConflict):
			c.log.V(1).Info("Another writer has committed, collecting later", "Repository", klog.KObj(repo))
		case err != nil:
			c.log.Error(err, "Collecting what nothing refers to", "Repository", klog.KObj(repo))
		case len(out.Deleted) > 0:
			c.log.Info("Deleted what nothing refers to", "Repository", klog.KObj(repo), "objects", len(out.Deleted), "more", out.More)
		}
	}
}

// collect keeps what metadata, Bundles and pending commits refer to. A Bundle keeps its digest before it is stored: what is
// in the bucket already is taken as it is.
func (c *collector) collect(ctx context.Context, repo *otav1alpha1.Repository, p *publish.Publisher) (publish.Collected, error) {
	grace, err := retention(repo.Spec.Retention)
	if err != nil {
		return publish.Collected{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, collectTimeout)
	defer cancel()
	return p.Collect(ctx, publish.Collection{Grace: grace, Keep: func(digest string) bool {
		return wanted(ctx, c.client, client.ObjectKeyFromObject(repo), digest)
	}})
}

// retention checks the grace time. It comes last, as trust does.
func (r *Reconciler) retention(_ context.Context, s *scope) (time.Duration, error) {
	_, err := retention(s.repo.Spec.Retention)
	return 0, err
}

func retention(spec *otav1alpha1.RetentionSpec) (time.Duration, error) {
	if spec == nil || spec.UnreferencedAfter == "" {
		return defaultRetention, nil
	}
	return atLeast("spec.retention.unreferencedAfter", spec.UnreferencedAfter, minRetention)
}

// wanted asks the cache whether Bundles of a Repository want a digest, of an artifact or of what proves a signature. It asks each
// time: between the choice of what to delete and its deletion a Bundle may come. When nobody can tell, the answer is yes.
func wanted(ctx context.Context, c client.Reader, repository client.ObjectKey, digest string) bool {
	bundles, err := bundlesOf(ctx, c, repository)
	return err != nil || slices.ContainsFunc(bundles, func(b *otav1alpha1.Bundle) bool {
		i := b.Status.Inspection
		return string(b.Spec.Digest) == digest || i != nil && string(i.Evidence) == digest || slices.ContainsFunc(b.Status.Verifications, func(v otav1alpha1.Verification) bool {
			return string(v.Evidence) == digest
		})
	})
}
