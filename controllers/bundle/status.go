// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
)

func (s *scope) set(kind string, status metav1.ConditionStatus, reason, message string) {
	kit.SetCondition(&s.bundle.Status.Conditions, s.bundle.Generation, kind, status, reason, message)
}

func (s *scope) condition(kind string) *metav1.Condition {
	return apimeta.FindStatusCondition(s.bundle.Status.Conditions, kind)
}

// routine keeps the conditions of a Bundle that is ready in this generation, because what failed is only a check of it; and
// those of one whose transfer failed or was refused, which still holds.
func (s *scope) routine(after time.Duration) {
	if s.wasReady() || s.retrying() {
		s.keep, s.after = true, after
	}
}

// wasReady tells whether the Bundle was ready in this generation when the reconcile began.
func (s *scope) wasReady() bool {
	c := apimeta.FindStatusCondition(s.old.Status.Conditions, otav1alpha1.ReadyCondition)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == s.bundle.Generation
}

// stage is a part of a transfer and the condition that tells of it.
type stage struct {
	reached ingest.Stage
	kind    string
	message string
}

// stages in order.
var stages = []stage{
	{ingest.Fetched, otav1alpha1.FetchedCondition, "the artifact was read in full and has the digest of the spec"},
	{ingest.Verified, otav1alpha1.VerifiedCondition, "a signature matches an authority of the Repository"},
	{ingest.Inspected, otav1alpha1.InspectedCondition, ""},
	{ingest.Stored, otav1alpha1.StoredCondition, "the artifact is in the bucket"},
}

// record puts a complete result into the status.
func (s *scope) record(res ingest.Result, now time.Time) {
	st := &s.bundle.Status
	storedAt := new(metav1.NewTime(now))
	if st.Artifact != nil && st.Artifact.StoredAt != nil {
		storedAt = st.Artifact.StoredAt
	}
	st.Artifact = &otav1alpha1.ArtifactStatus{
		Digest: s.bundle.Spec.Digest, Size: res.Size, MediaType: res.Facts.MediaType, Files: res.Facts.Files,
		Path: res.Path, StoredAt: storedAt, Encryption: s.encryptionOf(res.OpenedBy),
	}
	st.Inspection = inspection(res.Inspection, st.Inspection, now)
	s.recordMatches(res, now)
	for _, stage := range stages {
		s.pass(stage)
	}
}

// recordMatches puts signatures that match into the status. What an authority vouched for that cannot be asked now stays.
func (s *scope) recordMatches(res ingest.Result, now time.Time) {
	old := s.bundle.Status.Verifications
	out := verifications(res.Matches, old, now)
	for _, a := range s.trust.unknown {
		for _, v := range old {
			if v.Authority == a.Name {
				out = append(out, v)
			}
		}
	}
	s.bundle.Status.Verifications = out
}

// pass marks a stage as done.
func (s *scope) pass(done stage) {
	if done.reached == ingest.Inspected {
		s.setInspected()
		return
	}
	s.set(done.kind, metav1.ConditionTrue, otav1alpha1.SucceededReason, done.message)
}

// fail marks the stage that an error stopped: those before it are done, nothing is known of those after it.
func (s *scope) fail(res ingest.Result, err error, now time.Time) {
	e, next := kit.Classify(err), res.Reached+1
	if next == ingest.Decoded {
		next = ingest.Verified // unreadable signatures, and envelopes that no key fits, are found before the fetch
	}
	if s.bundle.Status.Artifact == nil && res.Reached >= ingest.Verified {
		s.recordMatches(res, now)
	}
	for _, stage := range stages {
		switch {
		case stage.reached < next && res.Reached >= ingest.Fetched:
			s.pass(stage)
		case stage.reached == next:
			s.set(stage.kind, s.worth(stage.kind, e.Reason), e.Reason, e.Error())
		case s.bundle.Status.Artifact == nil && !s.lost(stage.kind):
			apimeta.RemoveStatusCondition(&s.bundle.Status.Conditions, stage.kind)
		}
	}
}

// worth is the status of a condition whose stage failed. What was verified once is withdrawn from every channel when Verified turns
// False: only a signature or key that was tried does that at once, while an error that may pass leaves it open for a time (orphan).
func (s *scope) worth(kind, reason string) metav1.ConditionStatus {
	if kind != otav1alpha1.VerifiedCondition || slices.Contains(disproving, reason) {
		return metav1.ConditionFalse
	}
	c := s.condition(kind)
	before := s.bundle.Status.Artifact != nil || s.lost(otav1alpha1.StoredCondition) || slices.Contains(unreadable, reason)
	if before && (c == nil || c.Status != metav1.ConditionFalse) {
		return metav1.ConditionUnknown
	}
	return metav1.ConditionFalse
}

// disproving are reasons that leave no doubt.
var disproving = []string{otav1alpha1.SignatureInvalidReason, otav1alpha1.ChecksumMismatchReason, otav1alpha1.EncryptionInvalidReason}

// unreadable are reasons of keys and trusted roots: nobody can tell.
var unreadable = []string{otav1alpha1.ConfigMapNotFoundReason, otav1alpha1.InvalidKeyReason, otav1alpha1.TrustedRootInvalidReason}

// lost tells whether a condition says that the bucket lost the artifact, which stays true until it is back.
func (s *scope) lost(kind string) bool {
	c := s.condition(kind)
	return c != nil && c.Reason == otav1alpha1.ArtifactLostReason
}

// signers are the authorities that vouch for the Bundle.
func (s *scope) signers() []string {
	var names []string
	for _, v := range s.bundle.Status.Verifications {
		names = append(names, v.Authority)
	}
	return names
}

// summarize says that the Bundle can be released, by whom it is signed, and what people should know of it.
func (r *Reconciler) summarize(_ context.Context, s *scope) (time.Duration, error) {
	names := s.signers()
	s.note.blames = nil
	signed := "signed by " + strings.Join(names, ", ") + s.encryptionNote()
	s.set(otav1alpha1.VerifiedCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason, signed)
	s.set(otav1alpha1.ReadyCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason, "stored and "+signed+s.nativeNote())
	return 0, nil
}
