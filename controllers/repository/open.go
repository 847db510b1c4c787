// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"cmp"
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/publish"
)

// Shortest lives of signatures that make sense: each renewal is a commit.
const (
	minTimestampExpiry = time.Minute
	minRootExpiry      = time.Hour
)

// open makes sure that the publisher works with what the spec and the Secrets say now.
func (r *Reconciler) open(ctx context.Context, s *scope) (time.Duration, error) {
	root, timestamp, err := expiries(s.repo.Spec.Signing)
	if err != nil {
		return 0, s.signingFailed(err)
	}
	s.identity.add("expiries", fmt.Append(nil, root, timestamp))
	cfg := publish.Config{Keys: s.signing.keys, RootExpiry: root, TimestampExpiry: timestamp}
	if m := s.repo.Status.Metadata; m != nil {
		cfg.Seen, cfg.SeenRoot = m.Version, m.RootVersion
	}
	s.publisher, err = r.Set.Open(ctx, s.key(), s.identity.String(), s.bucket, cfg)
	if err != nil {
		return 0, s.signingFailed(err)
	}
	reason, message := otav1alpha1.KeysProvidedReason, "the signing keys are those of the Secret"
	if s.signing.source == keysGenerated {
		reason, message = otav1alpha1.KeysGeneratedReason, "the manager made all signing keys: for production keep the root key offline, and a backup of the Secret"
	}
	s.set(otav1alpha1.SigningReadyCondition, metav1.ConditionTrue, reason, message)
	return 0, s.publisher.State().LastError
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
