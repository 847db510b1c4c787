// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"strconv"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
)

// Events are all that the controller tells of.
var Events = kit.EventTable{
	kit.Normal("CommandAccepted", "Command", "a person's command was carried out", "the command, by whom, and the reason they gave"),
	kit.Warning("CommandRefused", "Command", "a person's command was not carried out", "the command and why"),
	kit.Normal("ReleaseStarted", "Start", "a release of another bundle begins", "the bundle"),
	kit.Normal(otav1alpha1.WaitingForApprovalReason, "Start", "a release has to be approved before it begins", "who has to, and how"),
	kit.Normal(otav1alpha1.QueuedReason, "Start", "a release waits because enough others are under way", "how many are before it"),
	kit.Normal("QueueLeft", "Start", "a release that waited has its turn", "the bundle and how many releases go on at once"),
	kit.Normal("Progressing", "Advance", "the first devices are offered the bundle, or more of them after a pause", "the bundle and the weight"),
	kit.Normal("WeightSet", "Advance", "a step of a release that goes on changes the share of devices", "the bundle and the weight"),
	kit.Normal("BakeBegan", "Bake", "all steps are done and the bundle is watched for its last time", "the bundle and the weight"),
	kit.Warning("SliceExcluded", "Exclude", "the bundle fails on a part of the devices only, which are not offered it any more", "the bundle and the part"),
	kit.Warning("Paused", "Pause", "a release stands still until somebody or something lets it go on", "why"),
	kit.Normal("Promoting", "Promote", "the bundle has passed and is made stable", "the bundle"),
	kit.Normal("Completed", "Complete", "the bundle is stable for all devices", "the bundle"),
	kit.Normal("Superseded", "Start", "Git names another bundle while a release is under way", "the bundle that is withdrawn"),
	kit.Warning("RollingBack", "Rollback", "a release ends badly: its bundle is being taken back from all devices", "the bundle and why"),
	kit.Warning("RolledBack", "Rollback", "no device is offered a bundle any more that failed", "the bundle and why"),
	kit.Warning("Aborted", "Rollback", "no device is offered a bundle any more whose release a person aborted", "the bundle, why and by whom"),
	kit.Warning("BundleRefused", "Rollback", "the bundle is one that the channel refuses", "the bundle and why"),
	kit.Warning("BundleNotAdmitted", "Rollback", "the bundle does not satisfy the channel's admission", "the bundle and why"),
	kit.Normal("Deleted", "Delete", "the Rollout is gone", "what stays"),
	kit.Warning(otav1alpha1.InvalidSpecReason, "Reconcile", "the spec cannot be carried out", "what is wrong and what to do"),
}

// transitions are the events of a decision: one a transition, none for what stays as it is.
func transitions(s *scope) []kit.Event {
	out := s.invalidity()
	out = append(out, s.commands()...)
	out = append(out, s.waits()...)
	was, is := s.facts.Release, s.decision.Release
	if is.Revision == 0 || is.Equal(was) {
		return out
	}
	begin := len(out)
	if ended := s.decision.Ended; ended != nil && ended.Revision == was.Revision && ended.State != was.State {
		out = append(out, stateEvent(*ended)...)
	}
	if is.Revision != was.Revision {
		out = append(out, s.begins())
	}
	out = append(out, s.passages()...)
	switch {
	case is.State != was.State:
		out = append(out, stateEvent(is)...)
	case is.Weight != was.Weight:
		out = append(out, about(is, Events.New("WeightSet", is.Bundle+" to "+string(plan.FormatWeight(is.Weight))+" %")))
	}
	return s.reasoned(out, begin)
}

// begins tells of a release and of who asked for it, by Git or by hand.
func (s *scope) begins() kit.Event {
	rule, actor := s.facts.Approvals.Rule, otav1alpha1.ActorVerified
	e := about(s.decision.Release, Events.New("ReleaseStarted", "release of "+s.decision.Release.Bundle))
	if len(rule.Authors) == 0 {
		return e
	}
	if rule.Doubt != "" {
		actor = otav1alpha1.ActorUnverified
	}
	return e.Asked(rule.Author(), actor)
}

// waits tells that a release has to wait before it begins, when that is new.
func (s *scope) waits() []kit.Event {
	c := kit.Changed(s.old.Status.Conditions, s.rollout.Status.Conditions, otav1alpha1.ReadyCondition)
	if c == nil || c.Reason != otav1alpha1.WaitingForApprovalReason && c.Reason != otav1alpha1.QueuedReason {
		return nil
	}
	return []kit.Event{about(s.decision.Release, Events.New(c.Reason, c.Message))}
}

// invalidity tells that the spec cannot be carried out, when that is new.
func (s *scope) invalidity() []kit.Event {
	if s.invalid == nil {
		return nil
	}
	c := kit.Changed(s.old.Status.Conditions, s.rollout.Status.Conditions, otav1alpha1.StalledCondition)
	if c == nil {
		return nil
	}
	if _, ok := Events.Find(c.Reason); !ok || !apimeta.IsStatusConditionTrue(s.rollout.Status.Conditions, otav1alpha1.StalledCondition) {
		return nil
	}
	return []kit.Event{Events.New(c.Reason, c.Message)}
}

// commands tell what became of a command.
func (s *scope) commands() []kit.Event {
	c, st := s.decision.Command, s.rollout.Status.LastCommand
	if c == nil || st == nil {
		return nil
	}
	e := Events.New("CommandAccepted", c.Command.Name+" by "+c.Command.By+because(c.Command.Args))
	if c.Refused != "" {
		e = Events.New("CommandRefused", c.Command.Name+" by "+c.Command.By+": "+c.Refused)
	}
	return []kit.Event{about(s.decision.Release, e).Asked(st.By, st.Actor)}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// reasoned adds to events, from one on, what they rest on: a command, or what was measured.
func (s *scope) reasoned(events []kit.Event, from int) []kit.Event {
	sentences, candidate, control := evidence(s.rests)
	c, st := s.decision.Command, s.rollout.Status.LastCommand
	for i := range events[from:] {
		e := &events[from+i]
		if c != nil && c.Refused == "" && st != nil {
			*e = e.Asked(st.By, st.Actor)
		}
		if e.Reason != "ReleaseStarted" {
			e.Evidence, e.Candidate, e.Control = sentences, candidate, control
		}
	}
	return events
}

// maxSentences bounds the evidence of a record.
const maxSentences = 16

// evidence says in a sentence a metric what was measured, and how many devices were counted at most.
func evidence(results []analysis.Result) (sentences []string, candidate, control *otav1alpha1.ArmCounts) {
	for i := range results {
		r := &results[i]
		if r.Verdict == "" || len(sentences) == maxSentences {
			continue
		}
		text := r.Name + " " + string(r.Verdict)
		if r.DryRun {
			text += " (only watched)"
		}
		sentences = append(sentences, kit.Clip(text+because(r.Message), 512))
		if c := armCounts(r.Candidate); c != nil && (candidate == nil || c.Devices > candidate.Devices) {
			candidate, control = c, armCounts(r.Control)
		}
	}
	return sentences, candidate, control
}

// passages are the events of what a release goes through without coming to another state.
func (s *scope) passages() []kit.Event {
	was, is := s.facts.Release, s.decision.Release
	var out []kit.Event
	if s.wasQueued && is.Active() {
		out = append(out, about(is, Events.New("QueueLeft", is.Bundle+" has its turn: fewer than "+strconv.Itoa(s.facts.Queue.Limit)+" other releases are under way")))
	}
	if len(is.Exclude) > len(was.Exclude) {
		out = append(out, about(is, Events.New("SliceExcluded", is.Bundle+": "+s.facts.Slice.Message+"; the other devices keep it")))
	}
	if s.decision.Reason == otav1alpha1.BakingReason && was.CommittedAt.IsZero() {
		out = append(out, about(is, Events.New("BakeBegan", is.Bundle+" at "+string(plan.FormatWeight(is.Weight))+" %")))
	}
	return out
}

// stateEvent is the event of a state that a release has come to.
func stateEvent(r plan.Release) []kit.Event {
	e := func(reason, note string) []kit.Event { return []kit.Event{about(r, Events.New(reason, note))} }
	switch r.State {
	case otav1alpha1.ReleaseProgressing:
		return e("Progressing", r.Bundle+" to "+string(plan.FormatWeight(r.Weight))+" %")
	case otav1alpha1.ReleasePaused:
		return e("Paused", r.Reason)
	case otav1alpha1.ReleasePromoting:
		return e("Promoting", r.Bundle+" is made stable")
	case otav1alpha1.ReleaseRollingBack:
		return e("RollingBack", r.Bundle+": "+r.Reason)
	case otav1alpha1.ReleaseSuperseding:
		return e("Superseded", r.Bundle+" is withdrawn for the next release")
	case otav1alpha1.ReleaseCompleted:
		return e("Completed", r.Bundle+" is stable")
	case otav1alpha1.ReleaseRolledBack, otav1alpha1.ReleaseAborted, otav1alpha1.ReleaseBundleRefused, otav1alpha1.ReleaseBundleNotAdmitted:
		return e(string(r.State), r.Bundle+": "+r.Reason)
	}
	return nil
}

// about is an event of a release, with the weight that it has from then on.
func about(r plan.Release, e kit.Event) kit.Event {
	e = e.About(r.Bundle, otav1alpha1.Version(r.Version), otav1alpha1.Digest(r.Digest))
	e.Weight = plan.FormatWeight(r.Weight)
	return e
}
