// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
)

const (
	// transferWait is when to look after a transfer that should have woken the Bundle long ago.
	transferWait = 10 * time.Minute
	// slowRetry multiplies the delay where only people or CI can help: it is not there, or access is denied.
	slowRetry = 5
	// doubtTime is how long an artifact that lost all its authors may wait for another one before it is withdrawn.
	doubtTime = time.Minute
)

// settle takes note of how a transfer ended. The pool keeps the outcome until the status was written.
func (r *Reconciler) settle(_ context.Context, s *scope) (time.Duration, error) {
	out, done, _ := r.pool.Look(keyOf(s.bundle))
	if !done {
		return 0, nil
	}
	outdated := s.note.submitted != s.trust.fingerprint && kit.Classify(out.Err).Class == kit.Stalled
	if out.Err != nil && (outdated || errors.Is(out.Err, context.Canceled)) {
		r.pool.Drop(keyOf(s.bundle)) // says nothing about now: the next phase starts another
		return 0, nil
	}
	s.settled = true
	s.commits = append(s.commits, func() { r.pool.Drop(keyOf(s.bundle)) })
	now := r.Now()
	if out.Err == nil {
		r.settleSuccess(s, out.Result, now)
		return 0, nil
	}
	return 0, r.settleFailure(s, out, now)
}

// settleSuccess believes only authorities and keys of now: they may have changed while the transfer ran.
func (r *Reconciler) settleSuccess(s *scope, res ingest.Result, now time.Time) {
	s.record(res, now)
	s.weigh()
	s.note.checkedAt, s.note.checkedFor = now, s.note.submitted
	if !s.vouched() {
		s.settled = false
		r.pool.Drop(keyOf(s.bundle))
	}
	s.commits = append(s.commits, func() {
		verificationsTotal.WithLabelValues("verified").Inc()
		inspectionsTotal.WithLabelValues(inspectedBy(res)).Inc()
		s.note.succeeded(s.note.submitted)
		s.note.vain = inVain(s.note.voters, res, now)
	})
}

// settleFailure is not heard of when the Bundle needs no more than it has: it was a try to find out more.
func (r *Reconciler) settleFailure(s *scope, out ingest.Outcome, now time.Time) error {
	e := kit.Classify(out.Err)
	if e.Reason == otav1alpha1.SignatureInvalidReason {
		s.disprove()
	}
	err := s.explain(s.substitute(out.Err))
	if e.Class == kit.Stalled {
		s.commits = append(s.commits, func() { s.stalled(err, s.note.submitted) })
		if s.vouched() {
			return nil
		}
		s.fail(out.Result, err, now)
		return s.refuse(err, r.Options.Recheck)
	}
	delay := r.delay(s.note.failures, e.Reason)
	s.commits = append(s.commits, func() { s.note.failed(now, delay) })
	if s.vouched() {
		s.routine(delay)
		return err
	}
	s.fail(out.Result, err, now)
	s.after = delay
	return err
}

// disprove drops claims in doubt once they were tried in vain.
func (s *scope) disprove() {
	s.bundle.Status.Verifications, s.doubts = s.held, nil
}

// substitute names an authority, or a key of the app, that cannot be had in place of what may be only its consequence.
func (s *scope) substitute(err error) error {
	switch reason := kit.Classify(err).Reason; {
	case len(s.trust.broken) > 0 && (reason == otav1alpha1.SignatureInvalidReason || reason == otav1alpha1.AttestationInvalidReason):
		return s.trust.broken[0]
	case len(s.keys.broken) > 0 && reason == otav1alpha1.EncryptionInvalidReason:
		return s.keys.broken[0]
	}
	return err
}

// telling is how many bytes of an error tell it from others in a message, which may be cut at its end.
const telling = 100

// explain puts before an error why what vouched for the Bundle no longer does. After a restart only the condition tells.
func (s *scope) explain(err error) error {
	e := kit.Classify(err)
	text := e.Error()
	if len(s.note.blames) > 0 {
		text = strings.Join(s.note.blames, "; ") + ": " + text
	} else if c := s.condition(otav1alpha1.ReadyCondition); c != nil && c.Reason == e.Reason && strings.Contains(c.Message, ": "+kit.Clip(text, telling)) {
		text = c.Message
	}
	if text == e.Error() {
		return err
	}
	return &kit.Error{Class: e.Class, Reason: e.Reason, After: e.After, Err: errors.New(text)}
}

// count counts what was refused.
func (s *scope) count(reason string) {
	switch reason {
	case otav1alpha1.SignatureInvalidReason:
		verificationsTotal.WithLabelValues("refused").Inc()
	case otav1alpha1.ArchiveInvalidReason, otav1alpha1.AttestationInvalidReason:
		inspectionsTotal.WithLabelValues("refused").Inc()
	}
}

// refuse stalls. What is in ConfigMaps is looked at again from time to time, because nothing tells when it changes.
func (s *scope) refuse(err error, recheck time.Duration) error {
	if s.trust.live {
		s.after = recheck
	}
	return err
}

// delay grows twofold with each failure, within the bounds of the options, and is spread by a tenth.
func (r *Reconciler) delay(failures int, reason string) time.Duration {
	d := r.Options.RetryMin
	switch reason {
	case otav1alpha1.SourceNotFoundReason, otav1alpha1.SourceAccessDeniedReason, otav1alpha1.AddressDeniedReason,
		otav1alpha1.CredentialsNotAllowedReason:
		d *= slowRetry
	}
	for range failures {
		d = min(2*d, r.Options.RetryMax)
	}
	return wait.Jitter(min(d, r.Options.RetryMax), 0.1)
}

// ingest starts a transfer when something is missing, or waits for the one that is under way.
func (r *Reconciler) ingest(ctx context.Context, s *scope) (time.Duration, error) {
	if s.vouched() && (s.settled || s.note.tried == s.trust.fingerprint || !s.incomplete(r.Now())) {
		return 0, nil
	}
	limit := s.orphan(r.Now())
	if s.note.refused != nil && s.note.refusedFor == s.trust.fingerprint {
		return 0, s.refuse(s.note.refused, min(r.Options.Recheck, limit))
	}
	if _, _, busy := r.pool.Look(keyOf(s.bundle)); busy {
		return 0, s.await(limit)
	}
	if left := s.note.notBefore.Sub(r.Now()); left > 0 {
		return 0, s.pause(min(left, limit))
	}
	if len(s.trust.authorities) == 0 && len(s.trust.broken) > 0 {
		return 0, s.refuse(s.trust.broken[0], r.Options.Recheck)
	}
	if err := s.needsKey(); err != nil {
		return 0, s.refuse(err, r.Options.Recheck)
	}
	job, err := r.job(ctx, s)
	if err != nil {
		return 0, err
	}
	err = s.await(limit)
	s.note.submitted, s.note.voters = s.trust.fingerprint, job.Authorities
	lane := ingest.FromSource
	if s.bundle.Status.Artifact != nil {
		lane = ingest.FromBucket
	}
	r.pool.Submit(keyOf(s.bundle), lane, func(ctx context.Context) (ingest.Result, error) { return r.worker.Run(ctx, job) })
	return 0, err
}

// await waits for a transfer. Later tries leave the conditions as the first one set them until they end, so that a source
// that stays away does not rewrite the status again and again.
func (s *scope) await(limit time.Duration) error {
	switch {
	case s.vouched():
		return nil
	case s.retrying():
		return s.pause(limit)
	}
	reason, message := otav1alpha1.ProgressingReason, "fetching, verifying and storing the artifact"
	if c := s.condition(otav1alpha1.StoredCondition); c != nil && c.Reason == otav1alpha1.ArtifactLostReason {
		reason, message = otav1alpha1.ArtifactLostReason, c.Message+"; it is fetched again"
	} else if s.bundle.Status.Artifact != nil {
		message = s.again()
		if len(s.bundle.Status.Verifications) > 0 {
			s.set(otav1alpha1.VerifiedCondition, metav1.ConditionUnknown, otav1alpha1.ProgressingReason, message)
		}
	}
	return kit.Wait(reason, limit, "%s", message)
}

func (s *scope) again() string {
	if len(s.note.blames) > 0 {
		return "verifying it again: " + strings.Join(s.note.blames, "; ")
	}
	return "verifying it again, because the authorities or keys of the Repository changed"
}

// orphan says of what was verified that nobody vouches for it any more, and gives the time after which to look again. Another author
// has to be found soon: whoever lost the trust may keep the sources of the signatures from ever answering.
func (s *scope) orphan(now time.Time) time.Duration {
	c, st := s.condition(otav1alpha1.VerifiedCondition), s.bundle.Status
	if c == nil || c.Status == metav1.ConditionFalse || len(st.Verifications) > 0 || st.Artifact == nil && len(s.note.blames) == 0 {
		return transferWait
	}
	left := doubtTime
	if c.Status == metav1.ConditionUnknown {
		left -= now.Sub(c.LastTransitionTime.Time)
	} else {
		s.set(otav1alpha1.VerifiedCondition, metav1.ConditionUnknown, otav1alpha1.ProgressingReason, s.again())
	}
	if left > 0 {
		return left
	}
	s.set(otav1alpha1.VerifiedCondition, metav1.ConditionFalse, otav1alpha1.SignatureInvalidReason, s.again())
	return transferWait
}

// pause comes back later, and keeps the conditions when they tell of the try that failed.
func (s *scope) pause(after time.Duration) error {
	switch {
	case s.vouched():
		return nil
	case !s.retrying():
		return kit.Wait(otav1alpha1.ProgressingReason, after, "the last transfer failed, and the next try is later")
	}
	s.keep, s.after = true, after
	return errPaused
}

// errPaused is never shown: it ends the phases of a scope that keeps its conditions.
var errPaused = errors.New("the next try is later")

// transferReasons are those of transfers that failed or were refused, also for want of an authority or key.
var transferReasons = []string{
	otav1alpha1.FetchFailedReason, otav1alpha1.SourceNotFoundReason, otav1alpha1.SourceAccessDeniedReason, otav1alpha1.AddressDeniedReason,
	otav1alpha1.StorageFailedReason, otav1alpha1.StorageUnreachableReason, otav1alpha1.StorageAccessDeniedReason, otav1alpha1.BucketNotFoundReason,
	otav1alpha1.DigestMismatchReason, otav1alpha1.SignatureInvalidReason, otav1alpha1.SignatureUnreadableReason, otav1alpha1.NotSupportedYetReason,
	otav1alpha1.ChecksumMismatchReason, otav1alpha1.EncryptionInvalidReason, otav1alpha1.ArchiveInvalidReason, otav1alpha1.TooLargeReason,
	otav1alpha1.AttestationInvalidReason, otav1alpha1.InvalidSpecReason, otav1alpha1.CredentialsNotAllowedReason,
}

// retrying tells whether the conditions are those of a transfer that failed, or that was refused before this process began.
func (s *scope) retrying() bool {
	c := s.condition(otav1alpha1.ReadyCondition)
	return s.note.refused == nil && c != nil && c.Status == metav1.ConditionFalse && c.ObservedGeneration == s.bundle.Generation &&
		slices.Contains(transferReasons, c.Reason)
}
