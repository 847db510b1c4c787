// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package channel publishes Channels: gather facts, let serve.Next compute the document, submit it, and describe in status
// what is committed.
package channel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	otav1alpha1ac "github.com/windlass-dev/windlass/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/actor"
	"github.com/windlass-dev/windlass/internal/approval"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/serve"
)

const (
	fieldOwner = client.FieldOwner("windlass-channel")
	finalizer  = otav1alpha1.Group + "/channel"

	// commitPatience is how soon to look again for a commit whose event got lost.
	commitPatience = 15 * time.Second
	// turnPatience is how soon to look again for a command that waits for the one before.
	turnPatience = time.Second
	// writeTimeout bounds a status write that outlives the reconcile's own deadline.
	writeTimeout = 10 * time.Second
)

// Publisher is the part of a Repository's publisher that a Channel needs. It never blocks on a commit.
type Publisher interface {
	Submit(doc *release.Document)
	Remove(app, channel string)
	Committed(app, channel string) (release.Committed, bool)
	Problem(app, channel string) error
	// Floor is the least version of an app that may be offered, as the published root of trust says; empty: there is none.
	Floor(app string) string
}

// Publishers finds the publisher of a Repository. False: it is not open.
type Publishers interface {
	For(repository client.ObjectKey) (Publisher, bool)
}

// Reconciler publishes Channels.
type Reconciler struct {
	Client     client.Client
	Recorder   events.EventRecorder
	Publishers Publishers
	Trust      actor.Asker      // how far names of people can be relied on
	Wall       func() time.Time // of leases, which gateways hold against their own clocks
	Steady     func() time.Time // of what step timers begin with: must not jump (see clock.Steady)
	Outbox     audit.Outbox
}

// scope is what one reconcile knows. Nothing outlives the call.
type scope struct {
	channel    *otav1alpha1.Channel // working copy: only its status changes
	repository *otav1alpha1.Repository
	publisher  Publisher
	facts      serve.Facts
	outcome    serve.Outcome
	committed  *release.Committed // nil: nothing is committed yet
	inSync     bool               // what is wanted is committed
	frozen     error              // what of the spec cannot be carried out, and what to do; nil: nothing
}

// Reconcile publishes what the Channel should serve and writes the status once.
func (r *Reconciler) Reconcile(ctx context.Context, obj *otav1alpha1.Channel) (res ctrl.Result, retErr error) {
	if !obj.DeletionTimestamp.IsZero() {
		return kit.Settle(r.finalize(ctx, obj))
	}
	if err := r.ensureFinalizer(ctx, obj); err != nil {
		return kit.Settle(ctrl.Result{}, err)
	}
	s := &scope{channel: obj.DeepCopy()}
	if st := r.atOnce(ctx, obj); st != nil { // recorded before anything rests on it: the record wakes the Channel again
		s.channel.Status = *st
		return kit.Settle(ctrl.Result{}, r.writeStatus(ctx, obj, s))
	}
	res, err := kit.Run(ctx, s, r.approvals, r.repository, r.gather, r.obey, r.publish, r.describe)
	if errors.Is(err, errObeyed) {
		return kit.Settle(ctrl.Result{}, r.writeStatus(ctx, obj, s))
	}
	if flaw := s.flaw(); err == nil && flaw != nil {
		_, _ = s.finish(obj, res, flaw) // but come back: what is out still has a lease to renew
	} else {
		res, err = s.finish(obj, res, err)
	}
	if werr := r.writeStatus(ctx, obj, s); werr != nil {
		return kit.Settle(ctrl.Result{}, fmt.Errorf("write status (outcome: %v): %w", err, werr))
	}
	return res, err
}

// atOnce carries out a command that needs no facts. Nil: there is none; or what was done before has to be known first.
func (r *Reconciler) atOnce(ctx context.Context, ch *otav1alpha1.Channel) *otav1alpha1.ChannelStatus {
	if serve.Fresh(ch) {
		return nil
	}
	st, _ := serve.Obey(ch, r.Wall(), r.trust(ctx, ch), nil)
	return st
}

// approvals moves the number of approvals in force. One that cannot rise, as names cannot be relied on, is looked at again.
func (r *Reconciler) approvals(ctx context.Context, s *scope) (time.Duration, error) {
	var doubt string
	if approval.Rises(s.channel) {
		doubt = r.Trust.Ask(ctx).Doubt
	}
	s.channel.Status.Approvals = approval.Ratchet(s.channel, doubt)
	if doubt != "" {
		return actor.Remembered, nil
	}
	return 0, nil
}

// errObeyed ends a pass that has carried out a command: what it changed in the status is recorded before anything rests on it.
var errObeyed = errors.New("a command was carried out")

// obey carries out a command that needs to know what is served. One that has to wait for its turn is looked at again soon.
func (r *Reconciler) obey(ctx context.Context, s *scope) (time.Duration, error) {
	if st := serve.Recall(s.channel, s.facts.Committed); st != nil {
		s.channel.Status = *st
		return 0, errObeyed
	}
	st, waits := serve.Obey(s.channel, r.Wall(), r.trust(ctx, s.channel), &s.facts)
	switch {
	case st != nil:
		s.channel.Status = *st
		return 0, errObeyed
	case waits:
		return turnPatience, nil
	}
	return 0, nil
}

// trust tells how far the name of who gave a command can be relied on. Without a command nobody asks.
func (r *Reconciler) trust(ctx context.Context, ch *otav1alpha1.Channel) actor.Trust {
	if command.Read(ch.Annotations, ch.Status.LastCommand) == nil {
		return actor.Trust{}
	}
	return r.Trust.Ask(ctx)
}

// publish computes the next document and submits it when it differs from the committed one.
func (r *Reconciler) publish(_ context.Context, s *scope) (time.Duration, error) {
	s.frozen = impossible(s.channel)
	s.facts.Frozen = s.frozen != nil
	s.outcome = serve.Next(s.facts)
	if s.frozen != nil && s.committed == nil {
		return 0, s.frozen // nothing is published yet, and nothing has to be taken back
	}
	if err := s.lost(); err != nil {
		return 0, err
	}
	want, err := s.outcome.Document.Encode()
	if err != nil {
		return 0, kit.Stall(otav1alpha1.InvalidSpecReason, "%w", err)
	}
	if s.committed != nil {
		have, err := s.committed.Document.Encode()
		if err != nil {
			return 0, err
		}
		s.inSync = string(have) == string(want)
	}
	if s.inSync {
		return r.renewal(s), nil
	}
	s.publisher.Submit(s.outcome.Document)
	return commitPatience, nil
}

// renewal is the time until the candidate's lease has to be renewed.
func (r *Reconciler) renewal(s *scope) time.Duration {
	at := serve.LeaseRenewal(s.outcome.Document, s.outcome.Active)
	if at.IsZero() {
		return 0
	}
	return max(at.Sub(r.Wall()), time.Second)
}

// lost is an error when what was published cannot be read any more: starting over would forget what is stable and refused.
func (s *scope) lost() error {
	if s.committed != nil {
		return nil
	}
	err := s.publisher.Problem(string(s.channel.Spec.App), s.channel.Name)
	if err != nil && kit.Classify(err).Reason == otav1alpha1.StateLostReason {
		return err
	}
	return nil
}

// impossible says of the first field that this version cannot carry out what to do with it.
func impossible(ch *otav1alpha1.Channel) error {
	unknown := serve.UnknownChecks(ch)
	limits := unreadable(&ch.Spec)
	switch {
	case limits != nil:
		return kit.Stall(otav1alpha1.InvalidSpecReason, "%w", limits)
	case len(unknown) > 0:
		return kit.Stall(otav1alpha1.InvalidSpecReason, "spec.admission.content.checks names what this version does not check: %s; "+
			"see docs/content-rules.md for the names, and remove the others", strings.Join(unknown, ", "))
	case serve.Unfollowable(&ch.Spec):
		return kit.Stall(otav1alpha1.NotSupportedYetReason, "spec.visibility: Private is not supported by this version without "+
			"spec.selfAssignment: Allowed, since devices cannot be put on a channel yet and none could follow it: set selfAssignment: Allowed, "+
			"or make the channel Public")
	}
	return nil
}

// unreadable says of the first limit that Rollouts could not keep, because it cannot be read, what to do with it.
func unreadable(spec *otav1alpha1.ChannelSpec) error {
	for _, limit := range [...]struct {
		field string
		value otav1alpha1.Percent
	}{{"maxFirstWeight", spec.MaxFirstWeight}, {"maxWeightPerHour", spec.MaxWeightPerHour}} {
		if limit.value == "" {
			continue
		}
		if _, err := plan.ParseWeight(string(limit.value)); err != nil {
			return fmt.Errorf("spec.%s: %w: write a percentage such as 5, or remove it", limit.field, err)
		}
	}
	return nil
}

func (r *Reconciler) writeStatus(ctx context.Context, old *otav1alpha1.Channel, s *scope) error {
	about, told := subject(old), transitions(&old.Status, &s.channel.Status)
	s.channel.Status.Unrecorded = r.Outbox.Next(about, old.Status.Unrecorded, told, r.Wall())
	if apiequality.Semantic.DeepEqual(old.Status, s.channel.Status) {
		r.Outbox.Submit(about, old.Status.Unrecorded)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	status, err := kit.ApplyStatus(s.channel.Status, otav1alpha1ac.ChannelStatus())
	if err != nil {
		return err
	}
	ac := otav1alpha1ac.Channel(old.Name, old.Namespace).WithUID(old.UID).WithResourceVersion(old.ResourceVersion).WithStatus(status)
	if err := r.Client.Status().Apply(ctx, ac, fieldOwner, client.ForceOwnership); err != nil {
		return err
	}
	kit.Tell(r.Recorder, old, told)
	r.Outbox.Submit(about, s.channel.Status.Unrecorded)
	return nil
}

// subject is what the audit log calls a Channel.
func subject(ch *otav1alpha1.Channel) audit.Subject {
	return audit.Subject{
		Kind: "Channel", Object: ch, App: string(ch.Spec.App), Channel: ch.Name,
		Repository: client.ObjectKey{Namespace: ch.Namespace, Name: serve.RepositoryName(ch.Spec.RepositoryRef)},
	}
}

// ensureFinalizer persists the finalizer before anything is published. The patch does not change the generation.
func (r *Reconciler) ensureFinalizer(ctx context.Context, obj *otav1alpha1.Channel) error {
	base := obj.DeepCopy()
	if !controllerutil.AddFinalizer(obj, finalizer) {
		return nil
	}
	return r.Client.Patch(ctx, obj, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
}
