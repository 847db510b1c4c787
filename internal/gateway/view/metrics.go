// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	polls       *prometheus.CounterVec
	build       prometheus.Histogram
	stale       prometheus.Gauge
	cacheErrors prometheus.Counter
}

func newMetrics(r prometheus.Registerer, p *Poller) *metrics {
	m := &metrics{
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "windlass_gateway_view_polls_total",
			Help: "Polls of the repository, by result: changed, unchanged or error.",
		}, []string{"result"}),
		build: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:                        "windlass_gateway_view_build_duration_seconds",
			Help:                        "Time to read, verify and compile a changed state.",
			Buckets:                     prometheus.ExponentialBuckets(0.001, 4, 8),
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}),
		stale: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "windlass_gateway_view_stale_channels",
			Help: "Channels that could not be read and are served as they were before.",
		}),
		cacheErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "windlass_gateway_view_cache_errors_total",
			Help: "Failures to write the cache of verified metadata.",
		}),
	}
	for _, result := range []string{"changed", "unchanged", "error"} {
		m.polls.WithLabelValues(result)
	}
	r.MustRegister(m.polls, m.build, m.stale, m.cacheErrors)
	registerState(r, p)
	return m
}

// registerState registers what is read from the view when Prometheus asks.
func registerState(r prometheus.Registerer, p *Poller) {
	gauge := func(name, help string, value func(v *View) float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "windlass_gateway_" + name, Help: help}, func() float64 {
			v := p.View()
			if v == nil {
				return 0
			}
			return value(v)
		}))
	}
	gauge("view_metadata_version", "Version of the timestamp metadata that are served; 0 before the first.",
		func(v *View) float64 { return float64(v.Version) })
	gauge("view_update_timestamp_seconds", "When the served state was verified.",
		func(v *View) float64 { return float64(v.LoadedAt.UnixMilli()) / 1000 })
	gauge("view_expiry_timestamp_seconds", "When the served metadata expire unless they are signed again.",
		func(v *View) float64 { return float64(v.Expires.Unix()) })
	gauge("view_expired", "1 while the metadata have expired and nothing is offered.", func(v *View) float64 {
		if p.cfg.Now().Before(v.Expires) {
			return 0
		}
		return 1
	})
	gauge("view_channels", "Channels that are served.",
		func(v *View) float64 { total, _ := v.Count(); return float64(total) })
	gauge("view_unreadable_channels", "Channels whose release document this version cannot understand; they offer nothing.",
		func(v *View) float64 { _, unreadable := v.Count(); return float64(unreadable) })
}

func (m *metrics) polled(changed bool, err error) {
	switch {
	case err != nil:
		m.polls.WithLabelValues("error").Inc()
	case changed:
		m.polls.WithLabelValues("changed").Inc()
	default:
		m.polls.WithLabelValues("unchanged").Inc()
	}
}

func (m *metrics) loaded(took time.Duration, stale int) {
	m.build.Observe(took.Seconds())
	m.stale.Set(float64(stale))
}
