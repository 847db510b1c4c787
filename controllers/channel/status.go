// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/serve"
)

const maxHistory = 20

// stableNotAdmitted is the reason of a deviation: an admission that became stricter takes nothing away that is stable.
const stableNotAdmitted = "StableNotAdmitted"

// describe puts what is committed into the status, and says what is still missing.
func (r *Reconciler) describe(_ context.Context, s *scope) (time.Duration, error) {
	if s.committed != nil {
		seen := *s.committed
		seen.At = r.Steady() // a little later than the commit, by the clock that times steps
		s.channel.Status = project(s.channel.Status, seen, &s.outcome)
		s.channel.Status.Deviation = deviation(s)
	}
	app, name := string(s.channel.Spec.App), s.channel.Name
	if err := s.publisher.Problem(app, name); err != nil && !s.inSync {
		return 0, kit.Wait(otav1alpha1.PublishFailedReason, commitPatience, "the last commit failed and is tried again: %w", err)
	}
	if !s.inSync {
		return 0, kit.Wait(otav1alpha1.PublishingReason, commitPatience, "a commit of the Repository is under way")
	}
	return 0, nil
}

// flaw is why the Channel is stalled although what it can serve is committed.
func (s *scope) flaw() error {
	var floor otav1alpha1.Version
	if g := s.channel.Spec.Guards; g != nil {
		floor = g.Floor
	}
	low := serve.Below(string(floor), s.facts.LeastVersion)
	switch {
	case s.frozen != nil:
		return s.frozen
	case floor != "" && low:
		return kit.Stall(otav1alpha1.InvalidSpecReason, "guards.floor is %s, below %s, under which the Repository withdrew everything for security: "+
			"raise guards.floor, or remove it", floor, s.facts.LeastVersion)
	case floor != "" && s.facts.Floor == nil:
		return kit.Stall(otav1alpha1.FloorNotFoundReason,
			"guards.floor is %s, but no Bundle of app %s with this version is Ready: create it, or change the floor", floor, s.channel.Spec.App)
	case s.outcome.NoFloor != "":
		return kit.Stall(otav1alpha1.FloorNotFoundReason, "guards.floor is %s, but Bundle %s of this version is not admitted: %s",
			floor, s.facts.Floor.Name, s.outcome.NoFloor)
	case s.outcome.Full:
		return kit.Stall(otav1alpha1.RefusedListFullReason, "%s", s.outcome.Problem)
	}
	return nil
}

// finish maps the outcome to conditions.
func (s *scope) finish(old *otav1alpha1.Channel, res ctrl.Result, err error) (ctrl.Result, error) {
	st, gen := &s.channel.Status, s.channel.Generation
	halted := s.setServing()
	if err != nil {
		if routine(old, kit.Classify(err).Reason) {
			return ctrl.Result{RequeueAfter: commitPatience}, nil
		}
		switch {
		case s.inSync:
			kit.SetCondition(&st.Conditions, gen, otav1alpha1.PublishedCondition, metav1.ConditionTrue, otav1alpha1.PublishedReason, "")
		case s.publisher != nil:
			kit.SetCondition(&st.Conditions, gen, otav1alpha1.PublishedCondition, metav1.ConditionFalse, kit.Classify(err).Reason, err.Error())
		}
		return kit.Finish(gen, &st.Conditions, &st.ObservedGeneration, res, err)
	}
	kit.SetCondition(&st.Conditions, gen, otav1alpha1.PublishedCondition, metav1.ConditionTrue, otav1alpha1.PublishedReason, "")
	ready, message := otav1alpha1.PublishedReason, s.outcome.Problem
	if halted != "" {
		ready, message = otav1alpha1.HaltedReason, halted
	}
	kit.SetCondition(&st.Conditions, gen, otav1alpha1.ReadyCondition, metav1.ConditionTrue, ready, message)
	return kit.Finish(gen, &st.Conditions, &st.ObservedGeneration, res, nil)
}

// setServing says whether devices are served, as far as that is committed, and gives what stops them: by whom and why. Empty: nothing
// does.
func (s *scope) setServing() string {
	st, gen := &s.channel.Status, s.channel.Generation
	switch {
	case s.committed == nil:
		return ""
	case s.committed.Document.Serving != release.Halted:
		kit.SetCondition(&st.Conditions, gen, otav1alpha1.ServingCondition, metav1.ConditionTrue, otav1alpha1.ActiveReason, "")
		return ""
	}
	why := cmp.Or(serve.Halted(s.channel, s.repository), "nothing asks for it any more: a commit is under way")
	kit.SetCondition(&st.Conditions, gen, otav1alpha1.ServingCondition, metav1.ConditionFalse, otav1alpha1.HaltedReason, why)
	return why
}

// routine is a wait that tells people nothing: a commit under way, or a manager that has only just started. What the status
// says still holds.
func routine(old *otav1alpha1.Channel, reason string) bool {
	switch reason {
	case otav1alpha1.PublishingReason, otav1alpha1.RepositoryNotReadyReason:
		return old.Status.Published != nil && old.Status.ObservedGeneration == old.Generation &&
			apimeta.IsStatusConditionTrue(old.Status.Conditions, otav1alpha1.ReadyCondition)
	}
	return false
}

// project describes a committed document. What only people need (reasons, history) is carried over from the status before.
func project(old otav1alpha1.ChannelStatus, c release.Committed, o *serve.Outcome) otav1alpha1.ChannelStatus {
	d := c.Document
	st := old
	st.Stable, st.Candidate, st.Warnings = served(d.Stable), nil, nil
	if k := d.Candidate; k != nil {
		st.Candidate = &otav1alpha1.CandidateBundle{
			Bundle: k.Bundle.Name, Version: otav1alpha1.Version(k.Bundle.Version), Digest: otav1alpha1.Digest(k.Bundle.Digest),
			Weight: plan.FormatWeight(k.Weight), Salt: k.Salt, LeaseExpires: seconds(k.LeaseExpires),
			RolloutRef: &otav1alpha1.LocalReference{Name: k.Rollout}, Release: k.Release, Stage: k.Stage, Exclude: excluded(k.Exclude),
		}
		if next := o.Document.Candidate; next != nil && next.Bundle.Digest == k.Bundle.Digest {
			st.Warnings = o.Warnings
		}
	}
	st.Published = &otav1alpha1.PublishedStatus{Revision: d.Revision, MetadataVersion: c.MetadataVersion, At: &metav1.MicroTime{Time: c.At}}
	if p := old.Published; p != nil && p.Revision == d.Revision {
		st.Published = p // the same content: a renewed lease starts no clock anew
	}
	st.Refused = refused(old, d, o.Refusals)
	st.History = history(old, st)
	if r := st.Rollback; r != nil && r.Order <= d.Orders && d.Candidate != nil {
		st.Rollback = nil // Git has asked for something since then
	}
	if a := st.Allowed; a != nil && a.Order <= d.Orders {
		st.Allowed = nil
	}
	return st
}

func served(b *release.Bundle) *otav1alpha1.ServedBundle {
	if b == nil {
		return nil
	}
	return &otav1alpha1.ServedBundle{
		Bundle: b.Name, Version: otav1alpha1.Version(b.Version), Digest: otav1alpha1.Digest(b.Digest), Since: seconds(b.Since),
		Exclude: excluded(b.Exclude),
	}
}

func excluded(parts []release.Slice) []otav1alpha1.Slice {
	var out []otav1alpha1.Slice
	for _, s := range parts {
		out = append(out, otav1alpha1.Slice{
			Platform: otav1alpha1.Platform(s.Platform), NativeVersion: s.NativeVersion, OSVersion: s.OSVersion, Region: s.Region,
		})
	}
	return out
}

// refused lists the refused digests; reasons come from who refuses now, else from the status before, or from who rolled back.
func refused(old otav1alpha1.ChannelStatus, d *release.Document, why map[string]serve.Refusal) []otav1alpha1.RefusedBundle {
	known := map[otav1alpha1.Digest]otav1alpha1.RefusedBundle{}
	if r := old.Rollback; r != nil {
		known[r.From] = otav1alpha1.RefusedBundle{Reason: r.Reason, By: serve.ByUser + r.By}
	}
	for _, r := range old.Refused {
		known[r.Digest] = r
	}
	var out []otav1alpha1.RefusedBundle
	for _, r := range d.Refused {
		digest := otav1alpha1.Digest(r.Digest)
		entry := otav1alpha1.RefusedBundle{Digest: digest, Version: otav1alpha1.Version(r.Version), At: seconds(r.At)}
		now, was := why[r.Digest], known[digest]
		entry.By = cmp.Or(now.By, was.By)
		entry.Reason = kit.Clip(cmp.Or(now.Reason, was.Reason, "refused before; the reason was not kept"), 512)
		out = append(out, entry)
	}
	return out
}

// history adds what was served until now and is not any more; the newest first.
func history(old, now otav1alpha1.ChannelStatus) []otav1alpha1.ChannelHistoryEntry {
	var added []otav1alpha1.ChannelHistoryEntry
	to := &metav1.Time{Time: now.Published.At.Truncate(time.Second)}
	if c := old.Candidate; c != nil && !offers(now, c.Digest) {
		added = append(added, otav1alpha1.ChannelHistoryEntry{
			Bundle: c.Bundle, Version: c.Version, Digest: c.Digest, As: otav1alpha1.RoleCandidate, To: to, Ended: ended(now, c.Digest),
		})
	}
	if s := old.Stable; s != nil && (now.Stable == nil || now.Stable.Digest != s.Digest) {
		added = append(added, otav1alpha1.ChannelHistoryEntry{
			Bundle: s.Bundle, Version: s.Version, Digest: s.Digest, As: otav1alpha1.RoleStable, From: s.Since, To: to, Ended: endedStable(old, now),
		})
	}
	added = append(added, old.History...)
	return added[:min(len(added), maxHistory)]
}

func offers(st otav1alpha1.ChannelStatus, digest otav1alpha1.Digest) bool {
	return st.Candidate != nil && st.Candidate.Digest == digest
}

// ended says in one word why a digest is no longer what it was.
func ended(now otav1alpha1.ChannelStatus, digest otav1alpha1.Digest) string {
	switch {
	case now.Stable != nil && now.Stable.Digest == digest:
		return "Promoted"
	case strings.HasPrefix(refusedBy(now, digest), serve.ByUser):
		return otav1alpha1.RolledBackReason
	case isRefused(now, digest):
		return "Refused"
	case now.Candidate == nil && now.Stable == nil:
		return "Withdrawn"
	}
	return "Superseded"
}

// endedStable says the same of what was stable. It may give way to an older one, or to none, without being refused itself.
func endedStable(old, now otav1alpha1.ChannelStatus) string {
	back := now.Rollback != nil || old.Candidate != nil && isRefused(now, old.Candidate.Digest)
	if back && !isRefused(now, old.Stable.Digest) {
		return otav1alpha1.RolledBackReason
	}
	return ended(now, old.Stable.Digest)
}

func isRefused(st otav1alpha1.ChannelStatus, digest otav1alpha1.Digest) bool {
	return slices.ContainsFunc(st.Refused, func(r otav1alpha1.RefusedBundle) bool { return r.Digest == digest })
}

// refusedBy says who refuses a digest; empty: nobody.
func refusedBy(st otav1alpha1.ChannelStatus, digest otav1alpha1.Digest) string {
	for _, r := range st.Refused {
		if r.Digest == digest {
			return r.By
		}
	}
	return ""
}

// deviation tells how what is served differs from what a Rollout of the channel asks for.
func deviation(s *scope) *otav1alpha1.Deviation {
	if out := rolledBack(s); out != nil {
		return out
	}
	for i := range s.facts.Rollouts {
		r := &s.facts.Rollouts[i]
		rel := r.Status.Release
		if rel == nil || rel.Bundle != r.Spec.BundleRef.Name {
			continue
		}
		switch rel.State {
		case otav1alpha1.ReleaseRolledBack, otav1alpha1.ReleaseAborted, otav1alpha1.ReleaseBundleRefused, otav1alpha1.ReleaseBundleNotAdmitted:
			out := &otav1alpha1.Deviation{Reason: string(rel.State), Message: fmt.Sprintf("Rollout %s asks for %s, serving %s: %s",
				r.Name, rel.Version, stableVersion(s.channel.Status), rel.Reason)}
			out.Message = kit.Clip(out.Message, 1024)
			if rel.EndedAt != nil {
				out.Since = &metav1.Time{Time: rel.EndedAt.Truncate(time.Second)}
			}
			return out
		}
	}
	return dated(s)
}

// rolledBack tells what a person has taken back, as long as that holds.
func rolledBack(s *scope) *otav1alpha1.Deviation {
	r := s.channel.Status.Rollback
	if r == nil || s.committed.Document.Orders < r.Order {
		return nil
	}
	text := "serving " + stableVersion(s.channel.Status) + ": rolled back by " + r.By + ": " + r.Reason
	for i := range s.facts.Rollouts {
		if rel := s.facts.Rollouts[i].Status.Release; rel != nil && r.From != "" && rel.Digest == r.From && rel.Bundle == s.facts.Rollouts[i].Spec.BundleRef.Name {
			text = "Git asks for " + string(rel.Version) + ", " + text
			break
		}
	}
	return &otav1alpha1.Deviation{Reason: otav1alpha1.RolledBackReason, Message: kit.Clip(text, 1024), Since: r.At}
}

// dated tells that stable is served although the channel would not admit it now.
func dated(s *scope) *otav1alpha1.Deviation {
	if s.outcome.Dated == "" {
		return nil
	}
	out := &otav1alpha1.Deviation{
		Reason: stableNotAdmitted, Since: &metav1.Time{Time: s.facts.Now.Truncate(time.Second)},
		Message: kit.Clip(stableVersion(s.channel.Status)+" stays stable, but would not be admitted now: "+s.outcome.Dated, 1024),
	}
	if old := s.channel.Status.Deviation; old != nil && old.Reason == out.Reason {
		out.Since = old.Since
	}
	return out
}

func stableVersion(st otav1alpha1.ChannelStatus) string {
	if st.Stable == nil {
		return "the embedded bundle"
	}
	return string(st.Stable.Version)
}

func seconds(unix int64) *metav1.Time {
	if unix == 0 {
		return nil
	}
	return &metav1.Time{Time: time.Unix(unix, 0)}
}
