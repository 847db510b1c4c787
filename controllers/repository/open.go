// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// Shortest lives of signatures that make sense: each renewal is a commit.
const (
	minTimestampExpiry = time.Minute
	minRootExpiry      = time.Hour
)

// maxRootExpiry is the longest life that readers accept (package tuf).
const maxRootExpiry = tuf.MaxLife

// open makes sure that the publisher works with what the spec and the Secrets say now.
func (r *Reconciler) open(ctx context.Context, s *scope) (time.Duration, error) {
	root, timestamp, err := expiries(s.repo.Spec.Signing)
	if err != nil {
		return 0, s.signingFailed(err)
	}
	s.signing.rootLife = cmp.Or(root, publish.DefaultRootExpiry)
	floors, _ := wantedFloors(s.repo.Spec.Floors) // what is wrong with others is told in the end
	s.identity.add("expiries", fmt.Append(nil, root, timestamp))
	s.identity.add("floors", fmt.Append(nil, floors))
	s.identity.add("offline", fmt.Append(nil, s.signing.roots != nil))
	cfg := publish.Config{Keys: s.signing.keys, Roots: s.signing.roots, Floors: floors, RootExpiry: root, TimestampExpiry: timestamp}
	if m := s.repo.Status.Metadata; m != nil {
		cfg.Seen, cfg.SeenRoot, cfg.SeenFirstRoot = m.Version, m.RootVersion, string(m.FirstRootDigest)
	}
	cfg.SeenFloors, _ = wantedFloors(s.repo.Status.Floors) // which publishedFloors wrote
	cfg.Audit = func() audit.Head { return r.head(s.key()) }
	s.publisher, err = r.Set.Open(ctx, s.key(), s.identity.String(), s.bucket, cfg)
	if err != nil {
		return 0, s.signingFailed(err)
	}
	state := s.publisher.State()
	r.openLog(ctx, s, state)
	s.judgeSigning(state, r.Now())
	s.signing.floors = s.floorsPublished(state, r.Options.Recheck)
	return 0, state.LastError
}

// expiries reads the lives of signatures; zero means the default.
func expiries(spec *otav1alpha1.SigningSpec) (root, timestamp time.Duration, err error) {
	if spec == nil {
		return 0, 0, nil
	}
	if root, err = expiry("rootExpiry", spec.RootExpiry, minRootExpiry); err != nil {
		return 0, 0, err
	}
	if timestamp, err = expiry("timestampExpiry", spec.TimestampExpiry, minTimestampExpiry); err != nil {
		return 0, 0, err
	}
	if root > maxRootExpiry || timestamp > maxRootExpiry {
		return 0, 0, kit.Stall(otav1alpha1.InvalidSpecReason, "spec.signing: rootExpiry and timestampExpiry may be %s at most", maxRootExpiry)
	}
	if wantRoot, want := cmp.Or(root, publish.DefaultRootExpiry), cmp.Or(timestamp, publish.DefaultTimestampExpiry); wantRoot < want {
		return 0, 0, kit.Stall(otav1alpha1.InvalidSpecReason,
			"spec.signing.rootExpiry is %s, shorter than the timestampExpiry %s: nothing outlives its root", wantRoot, want)
	}
	return root, timestamp, nil
}

func expiry(field string, value otav1alpha1.Duration, least time.Duration) (time.Duration, error) {
	if value == "" {
		return 0, nil
	}
	return atLeast("spec.signing."+field, value, least)
}

func atLeast(field string, value otav1alpha1.Duration, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(string(value))
	if err != nil || d < least {
		return 0, kit.Stall(otav1alpha1.InvalidSpecReason, "%s is %s, expected %s or more", field, value, least)
	}
	return d, nil
}

// openLog makes sure that the audit log is written into the bucket that the publisher has.
func (r *Reconciler) openLog(ctx context.Context, s *scope, state publish.State) {
	bucket, _ := r.Set.Bucket(s.key())
	cfg := audit.Config{
		Bucket: bucket, Now: r.Now,
		Owner: audit.Record{Kind: "Repository", Namespace: s.repo.Namespace, Name: s.repo.Name, UID: string(s.repo.UID)},
		MetadataVersion: func() int64 {
			if p, ok := r.Set.Get(s.key()); ok {
				return p.State().Version
			}
			return 0
		},
	}
	if st := s.repo.Status.Storage; st != nil {
		cfg.Careful = st.ConditionalWrites != otav1alpha1.ConditionalWritesAtomic
	}
	if state.Audit.Sequence > 0 {
		cfg.Anchors = append(cfg.Anchors, audit.Anchor{Head: state.Audit, Source: fmt.Sprintf("timestamp.json version %d", state.Version)})
	}
	if a := s.repo.Status.Audit; a != nil {
		cfg.Anchors = append(cfg.Anchors, audit.Anchor{Head: audit.Head{Sequence: a.Sequence, Hash: string(a.Hash)}, Source: "status.audit"})
	}
	r.Logs.Open(ctx, s.key(), s.identity.String(), cfg)
}

// head is the last record of the audit log, for the next commit to sign.
func (r *Reconciler) head(key types.NamespacedName) audit.Head {
	if log, ok := r.Logs.For(key); ok {
		return log.Head()
	}
	return audit.Head{}
}
