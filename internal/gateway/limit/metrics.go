// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package limit

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	refused   *prometheus.CounterVec
	takeovers *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "windlass_gateway_limit_refused_total",
			Help: "Requests that were not worked on, by class (check, report, download) and reason: rate, when their network spent its budget, or busy.",
		}, []string{"class", "reason"}),
		takeovers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "windlass_gateway_limit_takeovers_total",
			Help: "Networks that took over the budget of another one because the table was full. Many together with refused requests: allow more networks.",
		}, []string{"class"}),
	}
}

// gauge reads the table when Prometheus asks.
func (l *Limiter) gauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "windlass_gateway_limit_networks", Help: "Networks that the limit tells apart at present, in the class that has most of them.",
	}, func() float64 {
		most := 0
		for i := range l.classes {
			if b := l.classes[i].buckets; b != nil {
				most = max(most, b.networks())
			}
		}
		return float64(most)
	})
}
