// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"fmt"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/approval"
	"github.com/windlass-dev/windlass/internal/command"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/serve"
	"github.com/windlass-dev/windlass/internal/window"
)

// observe gathers the facts of a decision. Everything comes from the cache.
func (r *Reconciler) observe(ctx context.Context, s *scope) (time.Duration, error) {
	channel, err := kit.Find(ctx, r.Client, client.ObjectKey{Namespace: s.rollout.Namespace, Name: s.rollout.Spec.ChannelRef.Name}, &otav1alpha1.Channel{})
	if err != nil {
		return 0, err
	}
	s.channel = channel
	f := plan.Facts{
		Now: r.Now(), UID: string(s.rollout.UID), Spec: s.policy.Spec, Release: release(s.rollout.Status), Command: command.Read(s.rollout.Annotations, s.rollout.Status.LastCommand),
	}
	f.Window = plan.Window(window.At(s.policy.Windows, f.Now))
	r.people(ctx, s, &f)
	if f.Channel, err = r.channel(ctx, s.rollout, channel); err != nil {
		return 0, err
	}
	if f.Bundle, err = r.bundle(ctx, s.rollout.Spec.BundleRef.Name, channel, s); err != nil {
		return 0, err
	}
	f.Running = f.Bundle
	if f.Release.Bundle != "" && f.Release.Bundle != s.rollout.Spec.BundleRef.Name {
		if f.Running, err = r.bundle(ctx, f.Release.Bundle, channel, s); err != nil {
			return 0, err
		}
	}
	s.facts = f
	return 0, nil
}

// people tells who asks for the release, who has to approve it, and how far the names of people can be relied on. A release that goes on
// needs to know nothing of that.
func (r *Reconciler) people(ctx context.Context, s *scope, f *plan.Facts) {
	if s.channel != nil {
		f.Approvals.Required = approval.Needs(s.channel)
	}
	goesOn := f.Release.Active() && f.Release.State != otav1alpha1.ReleaseSuperseding && f.Release.Bundle == f.Spec.Bundle
	if goesOn && f.Command == nil && f.Approvals.Required == 0 {
		return
	}
	trust := r.Trust.Ask(ctx)
	f.Approvals.Rule = approval.Rule{Authors: approval.Authors(s.rollout.Annotations), Doubt: trust.Doubt}
	if f.Command == nil {
		return
	}
	if f.Command.Actor = trust.Actor; f.Command.By == "" {
		f.Command.Actor = otav1alpha1.ActorUnverified
	}
}

// channel tells what devices can see of a Channel, and who else releases on it.
func (r *Reconciler) channel(ctx context.Context, self *otav1alpha1.Rollout, ch *otav1alpha1.Channel) (plan.Channel, error) {
	if ch == nil {
		return plan.Channel{Message: "Channel " + self.Spec.ChannelRef.Name + " does not exist yet"}, nil
	}
	out := plan.Channel{Ready: true, Refused: map[string]string{}, TakenBack: map[string]string{}}
	if c := apimeta.FindStatusCondition(ch.Status.Conditions, otav1alpha1.ReadyCondition); c != nil {
		out.Problem = c.Message
	}
	if stalled := apimeta.FindStatusCondition(ch.Status.Conditions, otav1alpha1.StalledCondition); stalled != nil {
		out.Ready, out.Message = false, "Channel "+ch.Name+" is stalled: "+stalled.Reason
	}
	if ch.Status.Published == nil {
		out.Ready, out.Message = false, "Channel "+ch.Name+" is not published yet"
		return out, nil
	}
	if err := limits(ch, &out); err != nil {
		return out, err
	}
	if at := ch.Status.Published.At; at != nil {
		out.At = at.Time
	}
	for _, x := range ch.Status.Refused {
		out.Refused[string(x.Digest)] = x.Reason + " (" + x.By + ")"
		if by, person := strings.CutPrefix(x.By, serve.ByUser); person {
			out.TakenBack[string(x.Digest)] = "rolled back by " + by + ": " + x.Reason
		}
	}
	if ch.Status.Stable != nil {
		out.StableDigest = string(ch.Status.Stable.Digest)
	}
	out.Candidate = candidate(self, ch.Status.Candidate)
	var err error
	if out.Halted, err = r.halted(ctx, ch); err != nil {
		return out, err
	}
	out.Busy, err = r.busy(ctx, self)
	return out, err
}

// halted says what stops a Channel. Its own status wakes the Rollouts when that changes.
func (r *Reconciler) halted(ctx context.Context, ch *otav1alpha1.Channel) (string, error) {
	name := client.ObjectKey{Namespace: ch.Namespace, Name: serve.RepositoryName(ch.Spec.RepositoryRef)}
	repository, err := kit.Find(ctx, r.Client, name, &otav1alpha1.Repository{})
	return serve.Halted(ch, repository), err
}

// defaultFirstWeight is the highest weight that a release begins with when the Channel says nothing: 1 %.
const defaultFirstWeight = plan.FullWeight / 100

// limits reads how high and how fast a Channel lets weights rise.
func limits(ch *otav1alpha1.Channel, out *plan.Channel) (err error) {
	out.MaxFirstWeight = defaultFirstWeight
	if w := ch.Spec.MaxFirstWeight; w != "" {
		if out.MaxFirstWeight, err = plan.ParseWeight(string(w)); err != nil {
			return fmt.Errorf("maxFirstWeight of Channel %s: %w", ch.Name, err)
		}
	}
	if w := ch.Spec.MaxWeightPerHour; w != "" {
		if out.MaxWeightPerHour, err = plan.ParseWeight(string(w)); err != nil {
			return fmt.Errorf("maxWeightPerHour of Channel %s: %w", ch.Name, err)
		}
	}
	return nil
}

// candidate reads a committed candidate. The salt tells a release from one of a namesake.
func candidate(self *otav1alpha1.Rollout, c *otav1alpha1.CandidateBundle) *plan.Candidate {
	if c == nil {
		return nil
	}
	weight, err := plan.ParseWeight(string(c.Weight))
	if err != nil {
		weight = -1 // equals no weight that was asked for
	}
	return &plan.Candidate{
		Mine:    c.RolloutRef != nil && c.RolloutRef.Name == self.Name && c.Salt == plan.Salt(string(self.UID), c.Release),
		Release: c.Release, Digest: string(c.Digest), Weight: weight, Stage: c.Stage,
	}
}

// busy names another Rollout that is active on the channel.
func (r *Reconciler) busy(ctx context.Context, self *otav1alpha1.Rollout) (string, error) {
	var others otav1alpha1.RolloutList
	if err := r.Client.List(ctx, &others, client.InNamespace(self.Namespace),
		client.MatchingFields{index.RolloutChannel: self.Spec.ChannelRef.Name}); err != nil {
		return "", fmt.Errorf("list Rollouts of Channel %s: %w", self.Spec.ChannelRef.Name, err)
	}
	for i := range others.Items {
		o := &others.Items[i]
		if o.UID != self.UID && o.DeletionTimestamp.IsZero() && release(o.Status).Active() {
			return o.Name, nil
		}
	}
	return "", nil
}

// bundle tells what is known of a Bundle, and what the Channel makes of it.
func (r *Reconciler) bundle(ctx context.Context, name string, ch *otav1alpha1.Channel, s *scope) (plan.Bundle, error) {
	b, err := kit.Find(ctx, r.Client, client.ObjectKey{Namespace: s.rollout.Namespace, Name: name}, &otav1alpha1.Bundle{})
	if err != nil || b == nil {
		return plan.Bundle{}, err
	}
	out := plan.Bundle{Found: true, Version: string(b.Spec.Version), Digest: string(b.Spec.Digest), Revoked: b.Spec.Revoked}
	out.Tries = tries(s.rollout.Status.History, b.Spec.Digest)
	out.Ready, out.Message = serve.Trusted(b)
	if ch == nil || !out.Ready {
		return out, nil
	}
	f, err := r.admission(ctx, b, ch)
	if err != nil {
		return out, err
	}
	v := serve.Admit(f)
	out.Denied, out.Wait = v.Denied, v.Wait
	return out, nil
}

// tries is how often the analysis has spoken against a digest in releases that have ended.
func tries(history []otav1alpha1.RolloutHistoryEntry, digest otav1alpha1.Digest) int32 {
	var most int32
	for i := range history {
		if history[i].Digest == digest {
			most = max(most, history[i].Tries)
		}
	}
	return most
}

// admission gathers the facts of whether a Channel admits a Bundle.
func (r *Reconciler) admission(ctx context.Context, b *otav1alpha1.Bundle, ch *otav1alpha1.Channel) (serve.AdmitFacts, error) {
	f := serve.AdmitFacts{Channel: ch, Bundle: b, Now: r.Now()}
	key := func(name string) client.ObjectKey { return client.ObjectKey{Namespace: ch.Namespace, Name: name} }
	repository, err := kit.Find(ctx, r.Client, key(serve.RepositoryName(ch.Spec.RepositoryRef)), &otav1alpha1.Repository{})
	if err != nil {
		return f, err
	}
	if repository != nil {
		f.LeastVersion = string(serve.RepositoryFloor(repository, ch.Spec.App))
	}
	if f.LeastVersion != "" {
		bundles, channels, err := index.OfApp(ctx, r.Client, ch.Namespace, ch.Spec.App)
		if err != nil {
			return f, err
		}
		f.Withdrawn = serve.Withdrawn(f.LeastVersion, ch.Spec.App, repository.Name, serve.Known{Bundles: bundles, Channels: channels})
	}
	if stable := ch.Status.Stable; stable != nil {
		if f.Stable, err = kit.Find(ctx, r.Client, key(stable.Bundle), &otav1alpha1.Bundle{}); err != nil {
			return f, err
		}
		if f.Stable != nil && f.Stable.Spec.Digest != stable.Digest {
			f.Stable = nil // made anew
		}
	}
	if a := ch.Spec.Admission; a != nil && a.PromotedFrom != nil {
		f.Upstream, err = kit.Find(ctx, r.Client, key(a.PromotedFrom.Name), &otav1alpha1.Channel{})
	}
	return f, err
}

// app that the Channel serves; empty when there is no Channel.
func (s *scope) app() string {
	if s.channel == nil {
		return ""
	}
	return string(s.channel.Spec.App)
}
