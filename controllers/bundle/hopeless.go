// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"slices"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/verify"
)

// conclude refuses what lost all its authors when no transfer can find another one: the signatures were held against everybody else
// already. Many Bundles that one edit of the Repository takes the trust from are so withdrawn at once, and together.
func (r *Reconciler) conclude(_ context.Context, s *scope) (time.Duration, error) {
	now := r.Now()
	if !s.hopeless(now) || s.note.refused != nil && s.note.refusedFor == s.trust.fingerprint {
		return 0, nil
	}
	var tried, expired []string
	for _, a := range s.trust.authorities {
		if a.Expired(now) {
			expired = append(expired, a.Name)
		} else {
			tried = append(tried, a.Name)
		}
	}
	err := s.explain(kit.Stall(otav1alpha1.SignatureInvalidReason, "%s", ingest.Unmatched(len(s.bundle.Spec.Signatures), tried, expired)))
	s.fail(ingest.Result{Reached: ingest.Fetched}, err, now)
	r.pool.Drop(keyOf(s.bundle))
	s.commits = append(s.commits, func() { s.stalled(err, s.trust.fingerprint) })
	return 0, s.refuse(err, r.Options.Recheck)
}

// stalled takes note that an artifact was refused under a trust.
func (s *scope) stalled(err error, trust string) {
	s.count(kit.Classify(err).Reason)
	s.note.failures, s.note.notBefore = 0, time.Time{}
	s.note.refused, s.note.refusedFor, s.note.tried = err, trust, trust
}

// hopeless tells whether nobody vouches for what is stored, and all signatures were tried in vain against every authority that counts
// now. One whose key or trusted root cannot be had leaves hope, as do authorities that had signed it before.
func (s *scope) hopeless(now time.Time) bool {
	st := s.bundle.Status
	if st.Artifact == nil || len(st.Verifications) > 0 || len(s.trust.unknown) > 0 || len(s.note.blames) == 0 || s.elsewhere() {
		return false
	}
	return !slices.ContainsFunc(s.trust.authorities, func(a verify.Authority) bool {
		return !a.Expired(now) && !slices.Contains(s.note.vain, a.Fingerprint())
	})
}

// elsewhere tells whether a registry or a web server may have signatures of the Bundle that nobody has seen yet.
func (s *scope) elsewhere() bool {
	return slices.ContainsFunc(s.bundle.Spec.Signatures, func(sig otav1alpha1.SignatureSource) bool { return sig.Attached != "" || sig.URL != "" })
}

// inVain gives the fingerprints of the authorities that a transfer tried and that no signature matched.
func inVain(authorities []verify.Authority, res ingest.Result, now time.Time) []string {
	var out []string
	for _, a := range authorities {
		fingerprint := a.Fingerprint()
		matched := slices.ContainsFunc(res.Matches, func(m ingest.Match) bool { return m.Trust == fingerprint })
		if !res.Untried && !matched && !a.Expired(now) {
			out = append(out, fingerprint)
		}
	}
	return out
}
