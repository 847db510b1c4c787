// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import "github.com/prometheus/client_golang/prometheus"

var (
	recordsDesc = prometheus.NewDesc("windlass_audit_records", "Records in the audit logs of the Repositories that this manager publishes.", nil, nil)
	pendingDesc = prometheus.NewDesc("windlass_audit_pending_records", "Records that are not in an audit log yet.", nil, nil)
	faultsDesc  = prometheus.NewDesc("windlass_audit_faults",
		"Places of audit logs where records are missing or do not follow each other, as far as the manager has come across them.", nil, nil)
	failingDesc = prometheus.NewDesc("windlass_audit_failing_logs", "Audit logs that could not be written at the last try.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s *Set) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{recordsDesc, pendingDesc, faultsDesc, failingDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It reads what is open when Prometheus asks.
func (s *Set) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	logs := make([]*Log, 0, len(s.open))
	for _, e := range s.open {
		logs = append(logs, e.log)
	}
	s.mu.Unlock()
	var records, pending, faults, failing int64
	for _, l := range logs {
		state := l.State()
		records, pending, faults = records+l.Head().Sequence, pending+int64(state.Waiting), faults+int64(len(state.Faults))
		if state.Err != nil {
			failing++
		}
	}
	for d, value := range map[*prometheus.Desc]int64{recordsDesc: records, pendingDesc: pending, faultsDesc: faults, failingDesc: failing} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value))
	}
}
