// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
)

// maxNames bounds the releases under way that a message names.
const maxNames = 3

// line makes releases of Repositories with maxActiveRollouts start one after the other: whether there is room is read from the cache, which
// does not know at once of the release that has just started.
type line struct {
	mu      sync.Mutex
	started map[types.NamespacedName]start
}

// startPatience is how long a start counts that the cache does not know of. It is far longer than caches lag behind: its write was lost,
// and if the Rollout still wants to start, it gets in line again.
const startPatience = time.Minute

// start of a release, in the line of a Repository.
type start struct {
	trial

	repository string
	at         time.Time
}

// planInLine plans while no other release starts, when the Repository has a limit and this release may start.
func (r *Reconciler) planInLine(ctx context.Context, s *scope) error {
	limit, err := r.limit(ctx, s)
	if err != nil {
		return err
	}
	if limit == 0 {
		r.line.leave(s.key())
		s.decision = plan.Plan(s.facts)
		return nil
	}
	r.line.mu.Lock()
	defer r.line.mu.Unlock()
	if s.facts.Queue, err = r.queue(ctx, s, limit); err != nil {
		return err
	}
	s.decision = plan.Plan(s.facts)
	if rel := s.decision.Release; rel.Active() {
		r.line.note(s.key(), start{trial{s.rollout.UID, rel.Revision}, s.repository(), r.Now()})
	} else {
		delete(r.line.started, s.key())
	}
	return nil
}

func (l *line) note(key types.NamespacedName, of start) {
	if l.started == nil {
		l.started = map[types.NamespacedName]start{}
	}
	l.started[key] = of
}

// leave forgets a start: the Rollout has no limit, or cannot start.
func (l *line) leave(key types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.started, key)
}

// limit of the Repository on releases that are under way; 0: there is none, or none is about to start.
func (r *Reconciler) limit(ctx context.Context, s *scope) (int, error) {
	if s.channel == nil || !s.mayStart() {
		return 0, nil
	}
	key := client.ObjectKey{Namespace: s.rollout.Namespace, Name: s.repository()}
	repository, err := kit.Find(ctx, r.Client, key, &otav1alpha1.Repository{})
	if err != nil || repository == nil || repository.Spec.MaxActiveRollouts == nil {
		return 0, err
	}
	return int(*repository.Spec.MaxActiveRollouts), nil
}

// mayStart tells whether a plan may start a release: only then the queue matters.
func (s *scope) mayStart() bool {
	rel := s.facts.Release
	switch rel.State {
	case otav1alpha1.ReleasePending, otav1alpha1.ReleaseSuperseding, otav1alpha1.ReleaseBundleNotAdmitted:
		return true
	}
	return rel.Revision == 0 || rel.Bundle != s.facts.Spec.Bundle || (rel.Ended() && s.facts.Command != nil)
}

// queue is the Repository's line as this Rollout sees it: the releases under way, and those that came to wait before it.
func (r *Reconciler) queue(ctx context.Context, s *scope, limit int) (plan.Queue, error) {
	out := plan.Queue{Limit: limit}
	ours, err := r.channels(ctx, s)
	if err != nil {
		return out, err
	}
	active, err := r.at(ctx, s, index.UnderWay, ours)
	if err != nil {
		return out, err
	}
	if err := r.countStarted(ctx, s, active); err != nil {
		return out, err
	}
	out.Active = len(active)
	names := slices.Sorted(maps.Keys(active))
	out.Names = names[:min(len(names), maxNames)]
	queued, err := r.at(ctx, s, index.Queued, ours)
	mine := s.queuedSince()
	for name, o := range queued {
		since := o.Status.Queue.Since.Time
		if active[name] == nil && (since.Before(mine) || (since.Equal(mine) && name < s.rollout.Name)) {
			out.Ahead++
		}
	}
	return out, err
}

// countStarted adds the releases that have started without the cache knowing it, and forgets those of which it knows by now, or should.
func (r *Reconciler) countStarted(ctx context.Context, s *scope, active map[string]*otav1alpha1.Rollout) error {
	for key, of := range r.line.started {
		known, err := r.known(ctx, key, of.trial)
		switch {
		case err != nil:
			return err
		case known, r.Now().Sub(of.at) > startPatience:
			delete(r.line.started, key)
		case key != s.key() && key.Namespace == s.rollout.Namespace && of.repository == s.repository() && active[key.Name] == nil:
			active[key.Name], s.shadowed = &otav1alpha1.Rollout{}, true
		}
	}
	return nil
}

// known tells whether the cache knows that a release has started; then it tells what became of it, too.
func (r *Reconciler) known(ctx context.Context, key types.NamespacedName, of trial) (bool, error) {
	o, err := kit.Find(ctx, r.Client, key, &otav1alpha1.Rollout{})
	if err != nil || o == nil || o.UID != of.uid {
		return true, err
	}
	rel := release(o.Status)
	return rel.Revision > of.revision || (rel.Revision == of.revision && rel.State != otav1alpha1.ReleasePending), nil
}

// queuedSince is when this Rollout came to wait: now, when it does not wait yet.
func (s *scope) queuedSince() time.Time {
	if q := s.rollout.Status.Queue; q != nil {
		return q.Since.Time
	}
	return s.facts.Now
}

// at gives the other Rollouts that are in a place of the index and release on one of the channels, by name. They are shared with the
// cache: nothing of them may be changed.
func (r *Reconciler) at(ctx context.Context, s *scope, place string, channels map[string]bool) (map[string]*otav1alpha1.Rollout, error) {
	var list otav1alpha1.RolloutList
	err := r.Client.List(ctx, &list, client.InNamespace(s.rollout.Namespace),
		client.MatchingFields{index.RolloutPlace: place}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("list Rollouts that are %s: %w", place, err)
	}
	out := map[string]*otav1alpha1.Rollout{}
	for i := range list.Items {
		if o := &list.Items[i]; o.UID != s.rollout.UID && o.DeletionTimestamp.IsZero() && channels[o.Spec.ChannelRef.Name] {
			out[o.Name] = o
		}
	}
	return out, nil
}

// channels are those of the Repository, by name.
func (r *Reconciler) channels(ctx context.Context, s *scope) (map[string]bool, error) {
	var list otav1alpha1.ChannelList
	err := r.Client.List(ctx, &list, client.InNamespace(s.rollout.Namespace),
		client.MatchingFields{index.ChannelRepository: s.repository()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("list Channels of Repository %s: %w", s.repository(), err)
	}
	out := map[string]bool{}
	for i := range list.Items {
		out[list.Items[i].Name] = true
	}
	return out, nil
}

// repository that publishes the channel.
func (s *scope) repository() string { return index.RepositoryName(s.channel.Spec.RepositoryRef) }

// recordQueue puts the place in the line into the status.
func (s *scope) recordQueue() {
	since := s.queuedSince()
	s.rollout.Status.Queue = nil
	if s.decision.Reason != otav1alpha1.QueuedReason {
		return
	}
	q := s.facts.Queue
	s.rollout.Status.Queue = &otav1alpha1.QueueStatus{
		Position: int32(q.Ahead) + 1, Active: int32(q.Active), Limit: int32(q.Limit), Since: *micro(since),
	}
}
