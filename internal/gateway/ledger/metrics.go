// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// labels of a device counter, beside the outcome.
type labels struct{ app, channel, version, arm string }

// metrics of a Ledger.
type metrics struct {
	devices *prometheus.CounterVec

	droppedChecks, droppedReports, droppedFailures prometheus.Counter // for want of room
	lostChecks, lostReports                        prometheus.Counter // the database did not take them
	unattributed, capped, uncleanStops             prometheus.Counter
	flush                                          prometheus.Histogram
	tracked                                        prometheus.Gauge
	down                                           atomic.Uint32 // loops

	mu      sync.Mutex
	changed map[labels]millis // last change of a device counter

	all []prometheus.Collector
}

func newMetrics(l *Ledger) *metrics {
	m := &metrics{changed: map[labels]millis{}}
	m.devices = vector(m, "windlass_gateway_devices_total",
		"Devices that reached an outcome with a bundle, each once in a stage of a release, by the replica that wrote it down. Add up the replicas.",
		"app", "channel", "version", "arm", "outcome")
	dropped := vector(m, "windlass_gateway_ledger_dropped_total",
		"Checks, reports and failures that were not noted: because the queue or the memory was full, or because the database did not take them.", "what", "why")
	m.droppedChecks, m.droppedReports = dropped.WithLabelValues("check", "queue_full"), dropped.WithLabelValues("report", "queue_full")
	m.lostChecks, m.lostReports = dropped.WithLabelValues("check", "database"), dropped.WithLabelValues("report", "database")
	m.droppedFailures = dropped.WithLabelValues("failure", "memory_full")
	m.unattributed = counter(m, "windlass_gateway_ledger_unattributed_reports_total", "Reports that mean no bundle that the ledger knows.")
	m.capped = counter(m, "windlass_gateway_ledger_capped_votes_total", "Devices that do not vote because too many of their network do.")
	m.uncleanStops = counter(m, "windlass_gateway_ledger_unclean_stops_total",
		"Gateways that stopped without writing what they had, found by this replica.")
	m.flush = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "windlass_gateway_ledger_flush_seconds", Help: "Time that writing a batch took.",
		Buckets:                     []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	})
	m.tracked = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "windlass_gateway_ledger_rows", Help: "Devices in the database, counted for each arm of each bundle.",
	})
	m.all = append(m.all, m.flush, m.tracked)
	gauge(m, "windlass_gateway_ledger_queue", "Events that wait to be written.", func() float64 { return float64(len(l.queue)) })
	gauge(m, "windlass_gateway_ledger_queue_limit", "Events that can wait to be written.", func() float64 { return float64(cap(l.queue)) })
	gauge(m, "windlass_gateway_ledger_failed_devices", "Devices in memory that a bundle failed on.", func() float64 { return float64(l.failures.devices.Load()) })
	gauge(m, "windlass_gateway_ledger_overrides", "Devices in memory that have a channel of their own.", func() float64 { return float64(l.overrides.devices.Load()) })
	gauge(m, "windlass_gateway_ledger_up", "Whether the database answers and takes what there is: 1 or 0.", func() float64 {
		if m.down.Load() != 0 || l.late() {
			return 0
		}
		return 1
	})
	return m
}

func vector(m *metrics, name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.all = append(m.all, v)
	return v
}

func counter(m *metrics, name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.all = append(m.all, c)
	return c
}

func gauge(m *metrics, name, help string, read func() float64) {
	m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// reached counts outcomes that a device reached for the first time.
func (m *metrics) reached(s *Series, t tally, now millis) {
	if t == (tally{}) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := labels{s.App, s.Channel, s.Version, armName(s.Arm)}
	m.changed[at] = now
	for o, name := range names {
		m.devices.WithLabelValues(at.app, at.channel, at.version, at.arm, name).Add(float64(t[o]))
	}
}

// forget drops the counters of bundles that no device reached anything with since a time.
func (m *metrics) forget(oldest millis) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for at, changed := range m.changed {
		if changed < oldest {
			m.devices.DeletePartialMatch(prometheus.Labels{"app": at.app, "channel": at.channel, "version": at.version, "arm": at.arm})
			delete(m.changed, at)
		}
	}
}

// lost counts events that the database did not take.
func (m *metrics) lost(events []*event) {
	for _, e := range events {
		if e.report {
			m.lostReports.Inc()
		} else if e.written == nil {
			m.lostChecks.Inc()
		}
	}
}

// Describe implements prometheus.Collector.
func (l *Ledger) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range l.metrics.all {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (l *Ledger) Collect(ch chan<- prometheus.Metric) {
	for _, c := range l.metrics.all {
		c.Collect(ch)
	}
}
