// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/verify"
)

// checkClaims holds what status says of signatures and encryption against the authorities and keys of today: who was removed,
// or has another key now, no longer vouches for the Bundle.
func (r *Reconciler) checkClaims(_ context.Context, s *scope) (time.Duration, error) {
	s.bundle.Status.Verifications = s.trust.claims(s.bundle.Status.Verifications, r.Now())
	s.checkOpened()
	return 0, nil
}

// claims gives the verifications that still hold, in the order of authorities. A key that was verified once under one name
// holds under another: the key made the signature, whatever it is called.
func (t trust) claims(old []otav1alpha1.Verification, now time.Time) []otav1alpha1.Verification {
	var out []otav1alpha1.Verification
	for _, a := range t.authorities {
		if v, ok := claimOf(old, a, now); ok {
			out = append(out, v)
		}
	}
	for _, v := range old {
		if slices.Contains(t.missing, v.Authority) {
			out = append(out, v)
		}
	}
	return out
}

// claimOf finds the verification by an authority's key. What was verified while the authority counted holds for ever; a claim
// under another name is new.
func claimOf(old []otav1alpha1.Verification, a verify.Authority, now time.Time) (otav1alpha1.Verification, bool) {
	same := func(v otav1alpha1.Verification) bool { return v.Authority == a.Name && v.KeyID == a.Key.ID() }
	if i := slices.IndexFunc(old, same); i >= 0 {
		return old[i], true
	}
	key := func(v otav1alpha1.Verification) bool { return v.KeyID == a.Key.ID() }
	i := slices.IndexFunc(old, key)
	if i < 0 || a.Expired(now) {
		return otav1alpha1.Verification{}, false
	}
	v := old[i]
	v.Authority = a.Name
	return v, true
}

// vouched tells whether the Bundle is stored, signed by an authority of today and, where the Repository has keys of its app,
// opened by one of today.
func (s *scope) vouched() bool {
	return s.bundle.Status.Artifact != nil && len(s.bundle.Status.Verifications) > 0 && !s.doubted()
}

// unmatched tells whether some signature matched no authority: another set of authorities might know it.
func (s *scope) unmatched() bool {
	var matched []string
	for _, v := range s.bundle.Status.Verifications {
		if !slices.Contains(matched, v.Signature) {
			matched = append(matched, v.Signature)
		}
	}
	return len(matched) < len(s.bundle.Spec.Signatures)
}

// verifications turns matches into status. What matched before keeps its time.
func verifications(matches []verify.Match, old []otav1alpha1.Verification, now time.Time) []otav1alpha1.Verification {
	out := make([]otav1alpha1.Verification, 0, len(matches))
	for _, m := range matches {
		v := otav1alpha1.Verification{
			Authority: m.Authority, KeyID: m.KeyID, Algorithm: m.Algorithm, Signature: m.Signature.Base64(), At: new(metav1.NewTime(now)),
		}
		if i := slices.IndexFunc(old, func(o otav1alpha1.Verification) bool { return sameClaim(o, v) }); i >= 0 {
			v.At = old[i].At
		}
		out = append(out, v)
	}
	return out
}

func sameClaim(a, b otav1alpha1.Verification) bool {
	return a.Authority == b.Authority && a.KeyID == b.KeyID && a.Signature == b.Signature
}
