// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
)

// Subject is what is measured.
type Subject struct {
	Namespace               string // of the Rollout
	App, Channel            string
	Bundle, Version, Digest string
	Salt                    string    // of the release's cohort
	Stage                   int32     // that the release is in
	Began                   time.Time // the release: before it no device was offered anything of it
	Since                   time.Time // what devices see of it now was committed
	Now                     time.Time
	Metric                  string
	Interval                time.Duration                 // between its measurements
	Prometheus              *otav1alpha1.PrometheusMetric // at most one of these is set; none: telemetry
	Web                     *otav1alpha1.WebMetric
}

// Measurer measures.
type Measurer interface {
	// Measure never fails: that it could not measure is a measurement too.
	Measure(ctx context.Context, s Subject) analysis.Measurement
	// Slices gives the devices of a release in groups that are alike, by stage.
	Slices(ctx context.Context, s Subject) ([]blame.Group, error)
}

// measure renews the results of metrics that are due, while devices can see the release at whatever weight, and looks for what explains
// failures. It does not wait for a commit: until then devices are served what was committed before, and that may fail.
func (r *Reconciler) measure(ctx context.Context, s *scope) (time.Duration, error) {
	rel := s.facts.Release
	s.notes = r.memory.recall(s.key(), trial{s.rollout.UID, rel.Revision})
	last := s.notes.results
	if last == nil {
		last = results(s.rollout.Status, s.policy, rel)
	}
	s.notes.results = last
	if s.measurable = plan.Offered(s.facts, rel) && len(s.policy.Metrics) > 0; s.measurable {
		s.backdate(last)
		s.notes.results = r.renew(ctx, s, last)
		r.seek(ctx, s)
	}
	s.facts.Analysis = analysis.Deciding(s.notes.results)
	return 0, nil
}

// since is when what devices see of the release was committed: the wanted weight, or the one before while the wanted one is not noted.
func (s *scope) since() time.Time {
	if at := s.facts.Release.CommittedAt; !at.IsZero() {
		return at
	}
	return s.facts.Channel.At
}

// backdate takes from results that they were measured at the present weight, when they were not: by a clock that was ahead of ours, or
// while nobody here knew of the commit that is noted now.
func (s *scope) backdate(last []analysis.Result) {
	rel := s.facts.Release
	noted := rel.CommittedAt.IsZero() && plan.Visible(s.facts, rel)
	for i := range last {
		switch at := &last[i].MeasuredAt; {
		case at.After(s.facts.Now):
			*at = time.Time{}
		case noted && at.After(s.since()):
			*at = s.since()
		}
	}
}

func (s *scope) key() types.NamespacedName {
	return types.NamespacedName{Namespace: s.rollout.Namespace, Name: s.rollout.Name}
}

// subject is what a metric of the present release is about.
func (s *scope) subject(m policy.Metric) Subject {
	rel := s.facts.Release
	return Subject{
		Namespace: s.rollout.Namespace, App: s.app(), Channel: s.rollout.Spec.ChannelRef.Name,
		Bundle: rel.Bundle, Version: rel.Version, Digest: rel.Digest, Salt: plan.Salt(s.facts.UID, rel.Revision), Stage: rel.Stage,
		Began: rel.StartedAt, Since: s.since(), Now: s.facts.Now, Metric: m.Name, Interval: m.Interval, Prometheus: m.Source.Prometheus, Web: m.Source.Web,
	}
}

// untilDue is the time until the next measurement.
func untilDue(p policy.Policy, results []analysis.Result, committed, now time.Time) time.Duration {
	var soonest time.Duration
	for _, m := range p.Metrics {
		soonest = kit.Soonest(soonest, max(m.Due(find(results, m.Name), committed).Sub(now), nextPass))
	}
	return soonest
}

// find gives the last result of a metric, or an empty one with its name.
func find(last []analysis.Result, name string) analysis.Result {
	for _, r := range last {
		if r.Name == name {
			return r
		}
	}
	return analysis.Result{Name: name}
}
