// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"errors"
	"fmt"
	"strings"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
)

const maxHistory = 10

// record puts a decision into the status.
func (s *scope) record() {
	st, d := &s.rollout.Status, s.decision
	st.Message = kit.Clip(s.sentence(), 1024)
	if d.Ended != nil {
		st.History = append([]otav1alpha1.RolloutHistoryEntry{historyEntry(*d.Ended, s.left)}, st.History...)
		st.History = st.History[:min(len(st.History), maxHistory)]
	}
	if d.Command != nil {
		st.LastCommand = commandStatus(d.Command, s.facts.Now)
	}
	rel := d.Release
	rel.Reason = kit.Clip(rel.Reason, 512)
	st.Release, st.Approval = releaseStatus(rel), rel.Approval
	st.CurrentStepIndex = new(int32(rel.Step))
	st.Step = fmt.Sprintf("%d/%d", min(rel.Step+1, len(s.policy.Spec.Steps)), len(s.policy.Spec.Steps))
	st.StepEnteredAt = micro(rel.EnteredAt)
	st.Weight = plan.FormatWeight(rel.Weight)
	st.Assignment = plan.Assignment(s.facts.UID, rel)
	st.Analysis = metricStatuses(s.notes.results)
	s.recordWindows()
	s.recordQueue()
	s.recordSlices()
	s.recordPower()
}

// sentence says where the release is, what was measured and against which bound, and what happens next.
func (s *scope) sentence() string {
	next := s.decision.Message
	if s.anew || s.decision.Release.Ended() {
		return next
	}
	next += s.leaving()
	if !s.measurable {
		return next
	}
	_, worst := analysis.Overall(s.facts.Analysis)
	for i := range s.facts.Analysis { // when all pass: the one with most evidence against the bundle
		r := &s.facts.Analysis[i]
		if worst == nil || (r.Verdict == worst.Verdict && r.Evidence-r.EvidenceLimit > worst.Evidence-worst.EvidenceLimit && r.EvidenceLimit > 0) {
			worst = r
		}
	}
	if worst == nil || worst.Message == "" || strings.Contains(next, worst.Message) {
		return next
	}
	return next + "; " + worst.Name + ": " + worst.Message
}

// finish maps the outcome of a reconcile to conditions. A decision is no error: how it reads to GitOps tools is fixed by
// readiness.
func (s *scope) finish(res ctrl.Result, err error) (ctrl.Result, error) {
	st, gen := &s.rollout.Status, s.rollout.Generation
	if err != nil {
		st.Message = kit.Clip(err.Error(), 1024)
		return kit.Finish(gen, &st.Conditions, &st.ObservedGeneration, res, err)
	}
	d := s.decision
	if s.invalid != nil && d.Reason == otav1alpha1.InvalidSpecReason {
		d.Reason = kit.Classify(s.invalid).Reason
	}
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		kit.SetCondition(&st.Conditions, gen, kind, status, reason, message)
	}
	ready, abnormal := readiness(d.Reason)
	set(otav1alpha1.ReadyCondition, ready, d.Reason, d.Message)
	for _, kind := range []string{otav1alpha1.ReconcilingCondition, otav1alpha1.StalledCondition} {
		if kind == abnormal {
			set(kind, metav1.ConditionTrue, d.Reason, d.Message)
		} else {
			apimeta.RemoveStatusCondition(&st.Conditions, kind)
		}
	}
	s.setProgressing(set)
	s.setPaused(set)
	s.setAnalysis(set)
	s.setRolledBack(set)
	s.setPowered(set)
	st.ObservedGeneration = gen
	return res, nil
}

// readiness is the table of design/api.md: what a reason of Ready means to kstatus and Argo CD.
func readiness(reason string) (ready metav1.ConditionStatus, abnormal string) {
	switch reason { // Baking, WaitingForWindow, WeightLimited, Queued and the like are on their way
	case otav1alpha1.CompletedReason:
		return metav1.ConditionTrue, ""
	case otav1alpha1.RolledBackReason, otav1alpha1.AbortedReason, otav1alpha1.BundleRefusedReason, otav1alpha1.BundleNotAdmittedReason,
		otav1alpha1.InvalidSpecReason:
		return metav1.ConditionFalse, otav1alpha1.StalledCondition
	case otav1alpha1.RollingBackReason:
		return metav1.ConditionFalse, otav1alpha1.ReconcilingCondition
	}
	return metav1.ConditionUnknown, otav1alpha1.ReconcilingCondition
}

type setter func(kind string, status metav1.ConditionStatus, reason, message string)

func (s *scope) setProgressing(set setter) {
	status := metav1.ConditionTrue
	if rel := s.decision.Release; rel.Ended() && rel.State != otav1alpha1.ReleaseCompleted {
		status = metav1.ConditionFalse
	}
	set(otav1alpha1.ProgressingCondition, status, s.decision.Reason, s.decision.Message)
}

func (s *scope) setPaused(set setter) {
	status := metav1.ConditionFalse
	if s.decision.Reason == otav1alpha1.PausedReason {
		status = metav1.ConditionTrue
	}
	set(otav1alpha1.PausedCondition, status, s.decision.Reason, "")
}

func (s *scope) setAnalysis(set setter) {
	conds := &s.rollout.Status.Conditions
	if len(s.rollout.Status.Analysis) == 0 || len(s.facts.Analysis) == 0 { // nothing was measured, or by metrics that only watch
		apimeta.RemoveStatusCondition(conds, otav1alpha1.AnalysisPassingCondition)
		return
	}
	verdict, worst := analysis.Overall(s.facts.Analysis)
	status := metav1.ConditionUnknown
	switch verdict {
	case otav1alpha1.VerdictPassing:
		status = metav1.ConditionTrue
	case otav1alpha1.VerdictFailing:
		status = metav1.ConditionFalse
	}
	message := ""
	if worst != nil {
		message = worst.Name + ": " + worst.Message
	}
	set(otav1alpha1.AnalysisPassingCondition, status, string(verdict), message)
}

func (s *scope) setRolledBack(set setter) {
	switch rel := s.decision.Release; rel.State {
	case otav1alpha1.ReleaseRolledBack, otav1alpha1.ReleaseAborted:
		set(otav1alpha1.RolledBackCondition, metav1.ConditionTrue, string(rel.State), rel.Reason)
	case otav1alpha1.ReleaseRollingBack:
		set(otav1alpha1.RolledBackCondition, metav1.ConditionUnknown, string(rel.State), rel.Reason)
	default:
		apimeta.RemoveStatusCondition(&s.rollout.Status.Conditions, otav1alpha1.RolledBackCondition)
	}
}

// significant tells whether two statuses differ in more than measured values.
func significant(a, b *otav1alpha1.RolloutStatus) bool {
	return !apiequality.Semantic.DeepEqual(settled(a), settled(b))
}

// settled is a status without what moves with each measurement.
func settled(st *otav1alpha1.RolloutStatus) *otav1alpha1.RolloutStatus {
	c := st.DeepCopy()
	c.Message = ""
	for i := range c.Conditions {
		c.Conditions[i].Message = ""
	}
	for i := range c.Analysis {
		m := &c.Analysis[i]
		m.Value, m.Message, m.Candidate, m.Control, m.MeasuredAt = "", "", nil, nil, nil
		m.Evidence, m.State, m.Outage, m.History = "", "", "", nil
	}
	for i := range c.Slices {
		x := &c.Slices[i]
		x.Candidate, x.Failures, x.Evidence, x.Message = nil, 0, "", ""
	}
	c.Power = nil
	return c
}

// release reads the release out of a status; its inverse is releaseStatus.
func release(st otav1alpha1.RolloutStatus) plan.Release {
	rs := st.Release
	if rs == nil {
		return plan.Release{}
	}
	out := plan.Release{
		Revision: rs.Revision, Bundle: rs.Bundle, Version: string(rs.Version), Digest: string(rs.Digest),
		State: rs.State, Outcome: rs.Outcome, Reason: rs.Reason, StepsHash: rs.StepsHash,
		CommittedAt: instant(rs.WeightCommittedAt), EnteredAt: instant(st.StepEnteredAt),
		StartedAt: instant(rs.StartedAt), EndedAt: instant(rs.EndedAt),
		Lift: st.Assignment != nil && st.Assignment.Lift != "", Stage: rs.Stage, Tries: rs.Tries, Exclude: rs.Exclude,
		Overruled: rs.OverruledBy, Approval: st.Approval,
	}
	if st.CurrentStepIndex != nil {
		out.Step = int(*st.CurrentStepIndex)
	}
	if w, err := plan.ParseWeight(string(st.Weight)); err == nil {
		out.Weight = w
	}
	for _, rise := range rs.Rises {
		if by, err := plan.ParseWeight(string(rise.By)); err == nil {
			out.Rises = append(out.Rises, plan.Rise{At: rise.At.Time, By: by})
		}
	}
	return out
}

func releaseStatus(r plan.Release) *otav1alpha1.ReleaseStatus {
	out := &otav1alpha1.ReleaseStatus{
		Revision: r.Revision, Bundle: r.Bundle, Version: otav1alpha1.Version(r.Version), Digest: otav1alpha1.Digest(r.Digest),
		State: r.State, Outcome: r.Outcome, Reason: r.Reason, StepsHash: r.StepsHash,
		WeightCommittedAt: micro(r.CommittedAt), StartedAt: micro(r.StartedAt), EndedAt: micro(r.EndedAt),
		Stage: r.Stage, Tries: r.Tries, Exclude: r.Exclude, OverruledBy: kit.Clip(r.Overruled, 256),
	}
	for _, rise := range r.Rises {
		out.Rises = append(out.Rises, otav1alpha1.Rise{At: *micro(rise.At), By: plan.FormatWeight(rise.By)})
	}
	return out
}

func historyEntry(r plan.Release, left []otav1alpha1.EvidenceLeft) otav1alpha1.RolloutHistoryEntry {
	ended := string(r.State)
	if r.State == otav1alpha1.ReleaseSuperseding {
		ended = "Superseded"
	}
	return otav1alpha1.RolloutHistoryEntry{
		Revision: r.Revision, Bundle: r.Bundle, Digest: otav1alpha1.Digest(r.Digest),
		StartedAt: micro(r.StartedAt), EndedAt: micro(r.EndedAt), Ended: ended, Reason: kit.Clip(r.Reason, 512), Tries: r.Tries, Evidence: left,
	}
}

func commandStatus(c *plan.CommandResult, now time.Time) *otav1alpha1.CommandStatus {
	if c.Refused != "" {
		return c.Command.Status(now, errors.New(c.Refused))
	}
	return c.Command.Status(now, nil)
}

// micro is a time as status keeps it: microseconds, or nothing.
func micro(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	return &metav1.MicroTime{Time: t.UTC().Truncate(time.Microsecond)}
}

func instant(t *metav1.MicroTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
