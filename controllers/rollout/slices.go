// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"slices"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
)

const (
	// seekEvery is how often it is asked. The question costs the gateways more than the counts do.
	seekEvery = 30 * time.Second
	// seekTimeout bounds the question while the release is only suspicious: it is more than the gateways take to read large channels.
	seekTimeout = 12 * time.Second
	// hurry bounds it when the release fails: a rollback waits for it once.
	hurry = 3 * time.Second
	// foundLately is how old a finding may be that explains why the release fails, when there is no answer in a hurry.
	foundLately = 2 * time.Minute
	// unasked is what is said when there is none.
	unasked = "; the gateways could not tell in time on which devices"
	// maxSlices bounds how many slices a release excludes, and names.
	maxSlices = 8
)

// seek looks for the part of the devices that explains the failures, when the evidence makes the release suspicious, and once
// more when it is all of that. What cannot be asked in time explains nothing, unless it was found a short while ago: it must not delay a
// rollback.
func (r *Reconciler) seek(ctx context.Context, s *scope) {
	m, worst := s.suspected()
	if worst == nil {
		s.notes.sought = search{at: s.notes.sought.at}
		return
	}
	failing := worst.Verdict == otav1alpha1.VerdictFailing
	if first := failing && !s.notes.sought.failing; !first && s.facts.Now.Sub(s.notes.sought.at) < seekEvery && !s.notes.sought.at.After(s.facts.Now) {
		s.blame()
		return
	}
	s.notes.sought.at, s.notes.sought.failing = s.facts.Now, failing
	groups, err := r.groups(ctx, s.subject(m), failing)
	if err != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("Cannot ask in which devices a bundle fails", "reason", err.Error())
		if !s.blame() && !strings.HasSuffix(worst.Message, unasked) {
			worst.Message += unasked
		}
		return
	}
	from := countedFrom(s.rollout.Status)
	groups = slices.DeleteFunc(groups, func(g blame.Group) bool { return g.Stage < from })
	s.notes.sought.found, s.notes.sought.foundAt = nil, s.facts.Now
	if found := blame.Find(groups, blame.Options{Tests: m.For(s.facts.Release).Tests(), Limit: worst.EvidenceLimit}); len(found) > 0 {
		s.notes.sought.found = &found[0]
	}
	s.blame()
}

// groups asks for the devices of a release.
func (r *Reconciler) groups(ctx context.Context, of Subject, failing bool) ([]blame.Group, error) {
	timeout := seekTimeout
	if failing {
		timeout = hurry
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return r.Measurer.Slices(ctx, of)
}

// blame tells the plan what was found, unless that is too long ago: then it may be shown, but nothing is excluded by it.
func (s *scope) blame() bool {
	f, age := s.notes.sought.found, s.facts.Now.Sub(s.notes.sought.foundAt)
	if f == nil || age < 0 || age > foundLately {
		return false
	}
	s.facts.Slice = &plan.Slice{Match: f.Match, Message: f.Message, RestFine: f.RestFine}
	return true
}

// suspected is the metric whose count of failed devices speaks most against the candidate; nothing when that is not enough to ask.
func (s *scope) suspected() (m policy.Metric, worst *analysis.Result) {
	for i := range s.policy.Metrics {
		r := &s.notes.results[i]
		counts := s.policy.Metrics[i].Source.Telemetry != nil && !s.policy.Metrics[i].Limits.Silent && !r.DryRun
		if !counts || !r.Suspicious() {
			continue
		}
		if worst == nil || r.Evidence-r.EvidenceLimit > worst.Evidence-worst.EvidenceLimit {
			m, worst = s.policy.Metrics[i], r
		}
	}
	return m, worst
}

// countedFrom is the stage that began with the last exclusion: evidence of earlier ones does not count any more. 0: there was none.
func countedFrom(st otav1alpha1.RolloutStatus) int32 {
	var from int32
	for i := range st.Slices {
		from = max(from, st.Slices[i].Stage)
	}
	return from
}

// leaving says which slice the release is taken back from, until that is committed.
func (s *scope) leaving() string {
	rel := s.decision.Release
	for i := range s.rollout.Status.Slices {
		if x := &s.rollout.Status.Slices[i]; x.State == otav1alpha1.SliceExcluded && x.Stage == rel.Stage && rel.CommittedAt.IsZero() && rel.Active() {
			return " without the excluded " + x.Message
		}
	}
	return ""
}

// recordSlices puts what was found, and what is excluded, into the status. It outlives the release, until the next one starts.
func (s *scope) recordSlices() {
	was, is := s.facts.Release, s.decision.Release
	st := &s.rollout.Status
	if is.Revision != was.Revision {
		st.Slices = nil
		return
	}
	st.Slices = slices.DeleteFunc(st.Slices, func(x otav1alpha1.SliceStatus) bool {
		return x.State == otav1alpha1.SliceRecommended && (s.measurable || s.notes.sought.found != nil)
	})
	if f := s.notes.sought.found; f != nil && len(st.Slices) < maxSlices {
		out := sliceStatus(f)
		if len(is.Exclude) > len(was.Exclude) && is.Exclude[len(is.Exclude)-1] == f.Match {
			out.State, out.Stage = otav1alpha1.SliceExcluded, is.Stage
		}
		if !slices.ContainsFunc(st.Slices, func(x otav1alpha1.SliceStatus) bool { return x.Slice == out.Slice }) {
			st.Slices = append(st.Slices, out)
		}
	}
}

func sliceStatus(f *blame.Finding) otav1alpha1.SliceStatus {
	return otav1alpha1.SliceStatus{
		Slice: kit.Clip(f.Slice, 256), Match: f.Match, State: otav1alpha1.SliceRecommended, Message: kit.Clip(f.Message, 512),
		Candidate: &otav1alpha1.ArmCounts{
			Devices: f.Candidate.Voted, Failures: f.Candidate.Failed, Exposed: f.Candidate.Exposed, Returned: f.Candidate.Returned,
		},
		Failures: f.Candidate.Failed + f.RestCandidate.Failed, Evidence: analysis.Evidence(f.Evidence),
	}
}
