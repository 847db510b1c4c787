// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/store"
)

var (
	commitsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_publish_commits_total",
		Help: "Commits of metadata, by result: success, conflict, when another writer was first, or failed.",
	}, []string{"result"})

	commitDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:                            "windlass_publish_commit_duration_seconds",
		Help:                            "Time to write, read back and make visible what a commit consists of.",
		Buckets:                         []float64{.025, .1, .25, .5, 1, 2.5, 10, 60, 300},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	})

	committed  = commitsTotal.WithLabelValues("success")
	conflicted = commitsTotal.WithLabelValues("conflict")
	failed     = commitsTotal.WithLabelValues("failed")

	repositoriesDesc = prometheus.NewDesc("windlass_publish_repositories",
		"Repositories that this manager publishes; 0 while it does not lead.", nil, nil)
	pendingDesc = prometheus.NewDesc("windlass_publish_pending_channels",
		"Channels whose wanted state is not committed yet.", nil, nil)
	expiryDesc = prometheus.NewDesc("windlass_publish_metadata_expiry_timestamp_seconds",
		"When the first metadata expire of the Repositories that this manager publishes; absent while it publishes none.", nil, nil)
)

// Metrics of all publishers of the process, to be registered once. Those of what is published now are of the Set.
func Metrics() []prometheus.Collector { return []prometheus.Collector{commitsTotal, commitDuration} }

// measure counts a commit by how it ends.
func measure(commit func() error) error {
	start := time.Now()
	err := commit()
	switch {
	case err == nil:
		commitDuration.Observe(time.Since(start).Seconds())
		committed.Inc()
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrDifferent):
		conflicted.Inc()
	default:
		failed.Inc()
	}
	return err
}

// Describe implements prometheus.Collector.
func (s *Set) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{repositoriesDesc, pendingDesc, expiryDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It reads what is open when Prometheus asks, so that nothing is left of a Repository that
// is gone, or that another manager publishes now.
func (s *Set) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	publishers := make([]*Publisher, 0, len(s.open))
	for _, e := range s.open {
		publishers = append(publishers, e.publisher)
	}
	s.mu.Unlock()
	var pending int
	var expires time.Time
	for _, p := range publishers {
		state := p.State()
		pending += state.Pending
		if expires.IsZero() || state.ExpiresAt.Before(expires) {
			expires = state.ExpiresAt
		}
	}
	gauge := func(d *prometheus.Desc, value float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	gauge(repositoriesDesc, float64(len(publishers)))
	gauge(pendingDesc, float64(pending))
	if !expires.IsZero() {
		gauge(expiryDesc, float64(expires.Unix()))
	}
}
