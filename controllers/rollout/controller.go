// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rollout carries out Rollouts: observe what is, let plan.Plan decide, act on the decision. One status write a pass.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	otav1alpha1ac "github.com/windlass-dev/windlass/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/actor"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
)

const (
	fieldOwner = client.FieldOwner("windlass-rollout")

	// statusPace is how often a status that differs in measured values only is written.
	statusPace = 10 * time.Second
	// nextPass is when to look again after a transition: at once, but through the queue.
	nextPass = time.Millisecond
	// shadowPatience is how soon to look again when a release counts whose start nobody can see: its write may have been lost.
	shadowPatience = 5 * time.Second
	// writeTimeout bounds a status write that outlives the reconcile's own deadline.
	writeTimeout = 10 * time.Second
)

// Reconciler carries out Rollouts.
type Reconciler struct {
	Client   client.Client
	Recorder events.EventRecorder
	Measurer Measurer
	Now      func() time.Time // of step timers: must not jump (see clock.Steady)
	Trust    actor.Asker      // how far names of people can be relied on
	Outbox   audit.Outbox
	Recorded <-chan event.GenericEvent // Rollouts whose records the log has; when nil, nobody tells

	memory memory
	line   line
}

// scope is what one reconcile knows. Nothing outlives the call.
type scope struct {
	old      *otav1alpha1.Rollout
	rollout  *otav1alpha1.Rollout // working copy: only its status changes
	channel  *otav1alpha1.Channel // nil: it does not exist
	policy   policy.Policy
	invalid  error // why the spec cannot be carried out while a release is under way
	facts    plan.Facts
	notes    notes // has the results of all metrics, facts those that decide
	decision plan.Decision
	rests    []analysis.Result          // what was measured when it was made
	left     []otav1alpha1.EvidenceLeft // by the release that the decision ended

	measurable bool // devices see the release, and there is something to measure
	anew       bool // the decision changed what the results say
	wasQueued  bool
	shadowed   bool // it waits for a release that has started, but not for all to see
}

// Reconcile observes, plans and acts, and writes the status once.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	obj := &otav1alpha1.Rollout{}
	if err := r.Client.Get(ctx, req.NamespacedName, obj); err != nil {
		if apierrors.IsNotFound(err) {
			r.memory.forget(req.NamespacedName)
			r.line.leave(req.NamespacedName)
			withdrawMetrics(req.NamespacedName)
		}
		return kit.Settle(ctrl.Result{}, err)
	}
	if !obj.DeletionTimestamp.IsZero() {
		r.line.leave(req.NamespacedName)
	}
	if done, res, err := r.finalize(ctx, obj); done || err != nil {
		return kit.Settle(res, err)
	}
	introduce(req.NamespacedName)
	s := &scope{old: obj, rollout: obj.DeepCopy()}
	res, err := r.run(ctx, s)
	res, err = s.finish(res, err)
	res, werr := r.writeStatus(ctx, obj, s, res)
	if werr != nil {
		return kit.Settle(ctrl.Result{}, fmt.Errorf("write status (outcome: %v): %w", err, werr))
	}
	return res, err
}

// run goes through the phases and gives the soonest time to look again.
func (r *Reconciler) run(ctx context.Context, s *scope) (ctrl.Result, error) {
	return kit.Run(ctx, s, r.validate, r.observe, r.measure, r.decide)
}

// validate reads the spec and refuses what cannot be carried out. A release that is under way goes on to be measured, and can
// be taken back; it only does not rise.
func (r *Reconciler) validate(_ context.Context, s *scope) (time.Duration, error) {
	var err error
	if s.policy, err = policy.Parse(s.rollout); err == nil {
		return 0, nil
	}
	s.invalid = err
	s.rollout.Status.Queue, s.rollout.Status.Windows = nil, nil // nobody waits behind what cannot start
	if e, ok := errors.AsType[*policy.Error](err); ok {
		s.invalid = kit.Stall(e.Reason, "%w", e.Err)
	}
	if !release(s.rollout.Status).Active() {
		r.line.leave(s.key())
		if command.Read(s.rollout.Annotations, s.rollout.Status.LastCommand) == nil {
			return 0, s.invalid
		}
	} // a command is carried out, or refused, whatever the spec is: one that waits for a mended spec would come as a surprise
	s.policy.Spec.Blocked = s.invalid.Error()
	return 0, nil
}

// decide plans and puts the decision into the working copy's status.
func (r *Reconciler) decide(ctx context.Context, s *scope) (time.Duration, error) {
	s.wasQueued = s.rollout.Status.Queue != nil
	if err := r.planInLine(ctx, s); err != nil {
		return 0, err
	}
	was, is := s.facts.Release, s.decision.Release
	s.rests = s.notes.results
	if d := s.decision.Ended; d != nil {
		s.left = evidenceLeft(*d, s.notes.results)
	}
	if s.notes.results, s.anew = s.policy.After(was, is, s.notes.results, left(s.rollout.Status.History, is.Digest)); s.anew {
		s.facts.Analysis = analysis.Deciding(s.notes.results)
	}
	s.record()
	if !s.anew && s.measurable {
		r.memory.remember(s.key(), trial{s.rollout.UID, is.Revision}, s.notes)
	}
	if !is.Equal(was) {
		return nextPass, nil
	}
	after := s.decision.RequeueAfter
	if s.measurable {
		after = kit.Soonest(after, untilDue(s.policy, s.notes.results, s.since(), s.facts.Now))
	}
	if s.shadowed {
		after = kit.Soonest(after, shadowPatience)
	}
	return kit.Soonest(after, s.untilWindow()), nil
}

// writeStatus persists the status and what it has to tell in one write; then it tells.
func (r *Reconciler) writeStatus(ctx context.Context, old *otav1alpha1.Rollout, s *scope, res ctrl.Result) (ctrl.Result, error) {
	about, err := r.recordedAs(ctx, old)
	if err != nil {
		return res, err
	}
	told := transitions(s)
	s.rollout.Status.Unrecorded = r.Outbox.Next(about, old.Status.Unrecorded, told, r.Now())
	res, wrote, err := r.persist(ctx, old, s, res)
	switch {
	case err != nil:
		return res, err
	case wrote:
		kit.Tell(r.Recorder, old, told)
		r.Outbox.Submit(about, s.rollout.Status.Unrecorded)
		count(client.ObjectKeyFromObject(old), &old.Status, &s.rollout.Status, r.Now())
	default:
		r.Outbox.Submit(about, old.Status.Unrecorded)
	}
	return res, nil
}

// persist writes the status with the resourceVersion that the decision was made on: a decision made from a stale status cannot land.
// Values that only moved wait for statusPace, so that an idle rollout writes little. It tells whether it wrote.
func (r *Reconciler) persist(ctx context.Context, old *otav1alpha1.Rollout, s *scope, res ctrl.Result) (_ ctrl.Result, wrote bool, err error) {
	key := client.ObjectKeyFromObject(old)
	if apiequality.Semantic.DeepEqual(old.Status, s.rollout.Status) {
		return res, false, nil
	}
	if !significant(&old.Status, &s.rollout.Status) {
		if wait := r.memory.pace(key, r.Now()); wait > 0 {
			res.RequeueAfter = kit.Soonest(res.RequeueAfter, wait)
			return res, false, nil
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	status, err := kit.ApplyStatus(s.rollout.Status, otav1alpha1ac.RolloutStatus())
	if err != nil {
		return res, false, err
	}
	ac := otav1alpha1ac.Rollout(old.Name, old.Namespace).WithUID(old.UID).WithResourceVersion(old.ResourceVersion).WithStatus(status)
	if err := r.Client.Status().Apply(ctx, ac, fieldOwner, client.ForceOwnership); err != nil {
		return res, false, err
	}
	r.memory.wrote(key, r.Now())
	if s.anew { // only now: a decision that got lost has to be made again, from what was measured
		r.memory.drop(key)
	}
	return res, true, nil
}

// recordedAs is what the audit log calls a Rollout. Its log is that of the Repository of its Channel; of one whose Channel is gone that of
// what waits to be recorded.
func (r *Reconciler) recordedAs(ctx context.Context, ro *otav1alpha1.Rollout) (audit.Subject, error) {
	about := audit.Subject{Kind: "Rollout", Object: ro, Channel: ro.Spec.ChannelRef.Name}
	ch, err := kit.Find(ctx, r.Client, client.ObjectKey{Namespace: ro.Namespace, Name: about.Channel}, &otav1alpha1.Channel{})
	if ch != nil {
		about.App = string(ch.Spec.App)
		about.Repository = client.ObjectKey{Namespace: ro.Namespace, Name: index.RepositoryName(ch.Spec.RepositoryRef)}
	} else if n := len(ro.Status.Unrecorded); n > 0 && ro.Status.Unrecorded[n-1].Repository != "" {
		last := ro.Status.Unrecorded[n-1]
		about.App, about.Repository.Namespace, about.Repository.Name = last.App, ro.Namespace, last.Repository
	}
	return about, err
}
