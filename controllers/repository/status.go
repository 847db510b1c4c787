// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	otav1alpha1ac "github.com/windlass-dev/windlass/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/kit"
)

func (s *scope) key() types.NamespacedName { return client.ObjectKeyFromObject(s.repo) }

func (s *scope) set(kind string, status metav1.ConditionStatus, reason, message string) {
	kit.SetCondition(&s.repo.Status.Conditions, s.repo.Generation, kind, status, reason, message)
}

func (s *scope) isTrue(kind string) bool {
	return apimeta.IsStatusConditionTrue(s.repo.Status.Conditions, kind)
}

// ready says that the Repository works; what a person stopped works, too.
func (s *scope) ready() {
	reason, message := otav1alpha1.SucceededReason, ""
	if h := s.repo.Status.Halt; h != nil {
		reason, message = otav1alpha1.HaltedReason, "no device of any channel is offered anything: halted by "+h.By+": "+h.Reason
	}
	s.set(otav1alpha1.ReadyCondition, metav1.ConditionTrue, reason, message)
}

// describe puts into the status what devices can see. A publisher that is open goes on even when this reconcile failed.
func (r *Reconciler) describe(s *scope) {
	p, ok := r.Set.Get(s.key())
	if !ok {
		return
	}
	state, st := p.State(), &s.repo.Status
	source := s.signing.source
	if source == "" && st.Metadata != nil {
		source = st.Metadata.Keys
	}
	st.Metadata = &otav1alpha1.MetadataStatus{
		Version: state.Version, RootVersion: state.RootVersion, FirstRootDigest: otav1alpha1.Digest(state.FirstRoot), Keys: source,
		CommittedAt: seconds(state.CommittedAt), ExpiresAt: seconds(state.ExpiresAt),
		RootExpiresAt: seconds(state.RootExpiresAt), RootKeys: rootKeys(state), RootThreshold: int32(state.RootThreshold),
	}
	st.Floors = publishedFloors(state.Floors)
	st.Audit = auditStatus(r.Logs, s.key(), st.Audit)
	st.Channels, st.Bundles = new(int32(state.Channels)), new(int32(state.Bundles))
}

// auditStatus tells of the end of the audit log; as it was, while nobody has found it yet.
func auditStatus(logs *audit.Set, key types.NamespacedName, old *otav1alpha1.AuditStatus) *otav1alpha1.AuditStatus {
	log, ok := logs.For(key)
	if !ok {
		return old
	}
	head := log.Head()
	if head.Sequence == 0 || old != nil && old.Sequence == head.Sequence && string(old.Hash) == head.Hash {
		return old
	}
	out := &otav1alpha1.AuditStatus{Sequence: head.Sequence, Hash: otav1alpha1.Digest(head.Hash)}
	if !head.At.IsZero() {
		out.At = seconds(head.At)
	}
	return out
}

func seconds(t time.Time) *metav1.Time { return &metav1.Time{Time: t.Truncate(time.Second)} }

// writeStatus records the outcome when it changed, and tells the events of it.
func (r *Reconciler) writeStatus(ctx context.Context, s *scope) error {
	about, told := subject(s.repo), transitions(s.old, s.repo)
	s.repo.Status.Unrecorded = r.outbox.Next(about, s.old.Status.Unrecorded, told, r.Now())
	if apiequality.Semantic.DeepEqual(s.old.Status, s.repo.Status) {
		r.outbox.Submit(about, s.old.Status.Unrecorded)
		return nil
	}
	// The phases may have used up the reconcile's deadline; the outcome must still be recorded.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	status, err := kit.ApplyStatus(s.repo.Status, otav1alpha1ac.RepositoryStatus())
	if err != nil {
		return err
	}
	ac := otav1alpha1ac.Repository(s.repo.Name, s.repo.Namespace).WithUID(s.repo.UID).WithResourceVersion(s.repo.ResourceVersion).WithStatus(status)
	if err := r.Client.Status().Apply(ctx, ac, fieldOwner, client.ForceOwnership); err != nil {
		return err
	}
	kit.Tell(r.Recorder, s.repo, told)
	r.outbox.Submit(about, s.repo.Status.Unrecorded)
	return nil
}

// subject is what the audit log calls a Repository.
func subject(repo *otav1alpha1.Repository) audit.Subject {
	return audit.Subject{Kind: "Repository", Object: repo, Repository: client.ObjectKeyFromObject(repo)}
}
