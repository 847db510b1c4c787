// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/policy"
)

// parallelQueries bounds how many metrics of one Rollout are measured at a time.
const parallelQueries = 4

// Subject is what is measured.
type Subject struct {
	App, Channel            string
	Bundle, Version, Digest string
	Salt                    string    // of the release's cohort
	Began                   time.Time // the release: before it no device was offered anything of it
	Since                   time.Time // the present weight was committed
	Now                     time.Time
	Metric                  string
	Prometheus              *otav1alpha1.PrometheusMetric // nil: telemetry
}

// Measurer measures. It never fails: that it could not measure is a measurement too.
type Measurer interface {
	Measure(ctx context.Context, s Subject) analysis.Measurement
}

// measure renews the results of metrics that are due, while a release is visible to devices.
func (r *Reconciler) measure(ctx context.Context, s *scope) (time.Duration, error) {
	f := &s.facts
	rel := f.Release
	if !rel.Active() || rel.CommittedAt.IsZero() || len(s.policy.Metrics) == 0 {
		f.Analysis = results(s.rollout.Status, s.policy)
		return 0, nil
	}
	key := types.NamespacedName{Namespace: s.rollout.Namespace, Name: s.rollout.Name}
	last := r.memory.results(key, s.rollout.UID, rel.Revision)
	if last == nil {
		last = results(s.rollout.Status, s.policy)
	}
	for i := range last {
		if last[i].MeasuredAt.After(f.Now) { // by a clock that was ahead of ours: it says nothing about the present weight
			last[i].MeasuredAt = time.Time{}
		}
	}
	f.Analysis = r.renew(ctx, s, last)
	r.memory.remember(key, s.rollout.UID, rel.Revision, f.Analysis)
	return 0, nil
}

// renew measures what is due, side by side, and judges it.
func (r *Reconciler) renew(ctx context.Context, s *scope, last []analysis.Result) []analysis.Result {
	rel := s.facts.Release
	out := make([]analysis.Result, len(s.policy.Metrics))
	group := errgroup.Group{}
	group.SetLimit(parallelQueries)
	for i, m := range s.policy.Metrics {
		prev := find(last, m.Name)
		out[i] = prev
		if r.Now().Before(due(m, prev, rel.CommittedAt)) {
			continue
		}
		group.Go(func() error {
			subject := Subject{
				App: s.app(), Channel: s.rollout.Spec.ChannelRef.Name, Bundle: rel.Bundle, Version: rel.Version, Digest: rel.Digest,
				Salt: plan.Salt(s.facts.UID, rel.Revision), Began: rel.StartedAt, Since: rel.CommittedAt, Now: s.facts.Now, Metric: m.Name,
				Prometheus: m.Source.Prometheus,
			}
			measured := r.Measurer.Measure(ctx, subject)
			if ctx.Err() == nil { // else the manager is ending: that is nobody's failure
				measured.At = r.Now()
				out[i] = analysis.Judge(m.Limits, prev, measured)
			}
			return nil
		})
	}
	_ = group.Wait() // nothing in the group returns an error
	s.facts.Now = r.Now()
	return out
}

// due is when a metric is measured next. What came in before a weight was committed says nothing about that weight.
func due(m policy.Metric, last analysis.Result, committed time.Time) time.Time {
	from := last.MeasuredAt
	if !from.After(committed) {
		from = committed
	}
	return from.Add(m.Interval)
}

// untilDue is the time until the next measurement.
func untilDue(p policy.Policy, results []analysis.Result, committed, now time.Time) time.Duration {
	var soonest time.Duration
	for _, m := range p.Metrics {
		soonest = kit.Soonest(soonest, max(due(m, find(results, m.Name), committed).Sub(now), nextPass))
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

// results reads the results out of a status, in the order of the policy; metrics that were never measured are left out when
// nothing was measured yet.
func results(st otav1alpha1.RolloutStatus, p policy.Policy) []analysis.Result {
	if len(st.Analysis) == 0 {
		return nil
	}
	out := make([]analysis.Result, 0, len(p.Metrics))
	for _, m := range p.Metrics {
		out = append(out, find(parseStatuses(st.Analysis, p), m.Name))
	}
	return out
}

func parseStatuses(in []otav1alpha1.MetricStatus, p policy.Policy) []analysis.Result {
	out := make([]analysis.Result, 0, len(in))
	for _, m := range in {
		r := analysis.Result{
			Name: m.Name, Verdict: m.Verdict, Message: m.Message, Value: m.Value, Limit: m.Limit,
			Candidate: counts(m.Candidate), Control: counts(m.Control), Failures: m.Failures, Errors: m.Errors,
			Since: instant(m.Since), MeasuredAt: instant(m.MeasuredAt),
		}
		for _, want := range p.Metrics {
			if want.Name == m.Name {
				r.Budget(want.Limits)
			}
		}
		out = append(out, r)
	}
	return out
}

func counts(c *otav1alpha1.ArmCounts) *analysis.Counts {
	if c == nil {
		return nil
	}
	return &analysis.Counts{Devices: c.Devices, Failures: c.Failures}
}

func armCounts(c *analysis.Counts) *otav1alpha1.ArmCounts {
	if c == nil {
		return nil
	}
	return &otav1alpha1.ArmCounts{Devices: c.Devices, Failures: c.Failures}
}

func metricStatuses(results []analysis.Result) []otav1alpha1.MetricStatus {
	var out []otav1alpha1.MetricStatus
	for _, r := range results {
		if r.Verdict == "" {
			continue
		}
		out = append(out, otav1alpha1.MetricStatus{
			Name: r.Name, Verdict: r.Verdict, Value: kit.Clip(r.Value, 32), Limit: kit.Clip(r.Limit, 64), Message: kit.Clip(r.Message, 512),
			Candidate: armCounts(r.Candidate), Control: armCounts(r.Control), Failures: r.Failures, Errors: r.Errors,
			MeasuredAt: micro(r.MeasuredAt), Since: micro(r.Since),
		})
	}
	return out
}

// memory keeps what need not be in status: results between two status writes, and when the last write was. Losing it costs one
// measurement.
type memory struct {
	mu      sync.Mutex
	entries map[types.NamespacedName]*remembered
}

type remembered struct {
	uid      types.UID
	revision int64
	results  []analysis.Result
	written  time.Time
}

func (m *memory) entry(key types.NamespacedName) *remembered {
	if m.entries == nil {
		m.entries = map[types.NamespacedName]*remembered{}
	}
	if m.entries[key] == nil {
		m.entries[key] = &remembered{}
	}
	return m.entries[key]
}

// results gives what was remembered of a release; nil when that is another one.
func (m *memory) results(key types.NamespacedName, uid types.UID, revision int64) []analysis.Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[key]; e != nil && e.uid == uid && e.revision == revision {
		return e.results
	}
	return nil
}

func (m *memory) remember(key types.NamespacedName, uid types.UID, revision int64, results []analysis.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(key)
	e.uid, e.revision, e.results = uid, revision, results
}

// pace is how long to wait before values alone are written again.
func (m *memory) pace(key types.NamespacedName, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(statusPace-now.Sub(m.entry(key).written), 0)
}

func (m *memory) wrote(key types.NamespacedName, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entry(key).written = now
}

func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}
