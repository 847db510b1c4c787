// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
)

// event is one transition, for people who watch.
type event struct{ kind, reason, action, note string }

func normal(reason, action, note string) event {
	return event{corev1.EventTypeNormal, reason, action, kit.Clip(note, 1000)}
}

func warning(reason, action, note string) event {
	return event{corev1.EventTypeWarning, reason, action, kit.Clip(note, 1000)}
}

// transitions are the events of a decision: one a transition, none for what stays as it is.
func transitions(s *scope) []event {
	was, is := s.facts.Release, s.decision.Release
	var out []event
	if c := s.decision.Command; c != nil && c.Refused != "" {
		out = append(out, warning("CommandRefused", "Command", c.Command.Name+": "+c.Refused))
	} else if c != nil {
		out = append(out, normal("CommandAccepted", "Command", c.Command.Name+" by "+c.Command.By))
	}
	if is.Revision == 0 || is.Equal(was) {
		return out
	}
	if is.Revision != was.Revision {
		out = append(out, normal("ReleaseStarted", "Start", "release of "+is.Bundle))
	}
	out = append(out, s.passages()...)
	if is.State != was.State {
		return append(out, stateEvent(is)...)
	}
	if is.Weight != was.Weight {
		out = append(out, normal("WeightSet", "Advance", is.Bundle+" to "+string(plan.FormatWeight(is.Weight))+" %"))
	}
	return out
}

// passages are the events of what a release goes through without coming to another state.
func (s *scope) passages() []event {
	was, is := s.facts.Release, s.decision.Release
	var out []event
	if s.wasQueued && is.Active() {
		out = append(out, normal("QueueLeft", "Start", is.Bundle+" has its turn: fewer than "+strconv.Itoa(s.facts.Queue.Limit)+" other releases are under way"))
	}
	if len(is.Exclude) > len(was.Exclude) {
		out = append(out, warning("SliceExcluded", "Exclude", is.Bundle+": "+s.facts.Slice.Message+"; the other devices keep it"))
	}
	if s.decision.Reason == otav1alpha1.BakingReason && was.CommittedAt.IsZero() {
		out = append(out, normal("BakeBegan", "Bake", is.Bundle+" at "+string(plan.FormatWeight(is.Weight))+" %"))
	}
	return out
}

// stateEvent is the event of a state that a release has come to.
func stateEvent(r plan.Release) []event {
	switch r.State {
	case otav1alpha1.ReleaseProgressing:
		return []event{normal("Progressing", "Advance", r.Bundle+" to "+string(plan.FormatWeight(r.Weight))+" %")}
	case otav1alpha1.ReleasePaused:
		return []event{warning("Paused", "Pause", r.Reason)}
	case otav1alpha1.ReleaseRollingBack:
		return []event{warning("RollingBack", "Rollback", r.Bundle+": "+r.Reason)}
	case otav1alpha1.ReleaseSuperseding:
		return []event{normal("Superseded", "Start", r.Bundle+" is withdrawn for the next release")}
	case otav1alpha1.ReleaseCompleted:
		return []event{normal("Completed", "Complete", r.Bundle+" is stable")}
	case otav1alpha1.ReleaseRolledBack, otav1alpha1.ReleaseAborted, otav1alpha1.ReleaseBundleRefused, otav1alpha1.ReleaseBundleNotAdmitted:
		return []event{warning(string(r.State), "Rollback", r.Bundle+": "+r.Reason)}
	}
	return nil
}
