// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/policy"
)

// fewest devices of both arms from which on it is told how many there will be.
const fewest = 10

// recordWindows tells whether weights may rise, while there is a release whose weight may.
func (s *scope) recordWindows() {
	s.rollout.Status.Windows = nil
	if len(s.policy.Windows) == 0 || s.decision.Release.Ended() {
		return
	}
	w := s.facts.Window
	out := &otav1alpha1.WindowStatus{State: otav1alpha1.WindowOpen, Reason: w.Reason, NextOpen: seconds(w.NextOpen), NextClose: seconds(w.NextClose)}
	if w.Closed {
		out.State = otav1alpha1.WindowClosed
	}
	s.rollout.Status.Windows = out
}

// untilWindow is the time until the windows open or close: status says so, whatever else the release waits for.
func (s *scope) untilWindow() time.Duration {
	next := s.facts.Window.NextOpen
	if next.IsZero() {
		next = s.facts.Window.NextClose
	}
	if s.rollout.Status.Windows == nil || next.IsZero() {
		return 0
	}
	return max(next.Sub(s.facts.Now), nextPass)
}

// recordPower tells what each step can see in its time. It stays as it was while there are too few devices to tell.
func (s *scope) recordPower() {
	st := &s.rollout.Status
	if s.decision.Release.Revision != s.facts.Release.Revision {
		st.Power = nil
		return
	}
	t, ok := s.traffic()
	if !s.measurable || s.facts.Release.CommittedAt.IsZero() || !ok {
		return
	}
	st.Power = s.policy.Power(t)
}

// traffic is how many devices check in for the first time in the present stage, and how many of the stable ones fail.
func (s *scope) traffic() (policy.Traffic, bool) {
	var candidate, control analysis.Counts
	for i := range s.notes.results {
		if r := &s.notes.results[i]; r.Candidate != nil && r.Control != nil && r.Candidate.Exposed+r.Control.Exposed > candidate.Exposed+control.Exposed {
			candidate, control = *r.Candidate, *r.Control
		}
	}
	all := candidate.Exposed + control.Exposed
	took := s.facts.Now.Sub(s.facts.Release.CommittedAt)
	if all < fewest || took <= 0 {
		return policy.Traffic{}, false
	}
	t := policy.Traffic{Rate: float64(all) / took.Seconds()}
	if control.Exposed > 0 {
		t.Failing = float64(control.Failures) / float64(control.Exposed)
		t.Returned = float64(control.Returned) / float64(control.Exposed)
	}
	return t, true
}

// setPowered says whether a step is decoration.
func (s *scope) setPowered(set setter) {
	st := &s.rollout.Status
	if len(st.Power) == 0 {
		apimeta.RemoveStatusCondition(&st.Conditions, otav1alpha1.StepsPoweredCondition)
		return
	}
	for i := range st.Power {
		if p := &st.Power[i]; p.Detects == "" && p.Devices > 0 {
			set(otav1alpha1.StepsPoweredCondition, metav1.ConditionFalse, otav1alpha1.StepSeesNothingReason, p.Message)
			return
		}
	}
	set(otav1alpha1.StepsPoweredCondition, metav1.ConditionTrue, otav1alpha1.StepsSeeRegressionsReason, "")
}

// seconds is a time as status keeps it for people; nothing when it is zero.
func seconds(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}
