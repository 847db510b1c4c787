// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/resolve"
)

type decision struct {
	action resolve.Action
	reason resolve.Reason
}

// metrics of a Ledger. Devices are collected from the series when Prometheus asks.
type metrics struct {
	ledger    *Ledger
	devices   *prometheus.Desc
	tracked   prometheus.GaugeFunc
	dropped   prometheus.Counter
	decisions map[decision]prometheus.Counter
	reports   map[Result]prometheus.Counter

	vectors []prometheus.Collector
}

func newMetrics(l *Ledger) *metrics {
	m := &metrics{
		ledger: l,
		devices: prometheus.NewDesc("windlass_gateway_devices_total",
			"Devices that reached an outcome with a bundle, each once. Those of a bundle vanish some time after it was taken out.",
			[]string{"app", "channel", "version", "arm", "outcome"}, nil),
		tracked: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "windlass_gateway_tracked_devices", Help: "Devices that are kept in memory, counted for each arm of each bundle.",
		}, func() float64 { return float64(l.total.Load()) }),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "windlass_gateway_dropped_devices_total", Help: "Checks and reports that were not counted because there is no room for more devices.",
		}),
		decisions: map[decision]prometheus.Counter{}, reports: map[Result]prometheus.Counter{},
	}
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_gateway_decisions_total", Help: "Answers to update checks, by action and reason.",
	}, []string{"action", "reason"})
	for reason, actions := range resolve.Reasons {
		for _, action := range actions {
			m.decisions[decision{action, reason}] = decisions.WithLabelValues(string(action), string(reason))
		}
	}
	reports := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_gateway_reports_total", Help: "Reports of devices, by what became of them.",
	}, []string{"result"})
	for _, r := range []Result{Counted, NotVoting, UnknownChannel, UnknownBundle, DeviceLimit} {
		m.reports[r] = reports.WithLabelValues(string(r))
	}
	m.vectors = []prometheus.Collector{m.tracked, m.dropped, decisions, reports}
	return m
}

func (m *metrics) decided(told *resolve.Decision) {
	m.decisions[decision{told.Action, told.Reason}].Inc()
}

// Describe implements prometheus.Collector.
func (l *Ledger) Describe(ch chan<- *prometheus.Desc) {
	ch <- l.metrics.devices
	for _, c := range l.metrics.vectors {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector. Series that differ in no label, such as two releases of one version, are added up.
func (l *Ledger) Collect(ch chan<- prometheus.Metric) {
	for _, c := range l.metrics.vectors {
		c.Collect(ch)
	}
	type labels struct{ version, arm string }
	for id, c := range *l.channels.Load() {
		sums := map[labels][outcomes]int64{}
		for _, s := range c.all() {
			_, first, _ := s.totals()
			key := labels{s.version, armName(s.arm)}
			sum := sums[key]
			for o := range outcomes {
				sum[o] += first[o]
			}
			sums[key] = sum
		}
		for key, sum := range sums {
			for o, n := range sum {
				ch <- prometheus.MustNewConstMetric(l.metrics.devices, prometheus.CounterValue, float64(n),
					id.app, id.name, key.version, key.arm, names[o])
			}
		}
	}
}
