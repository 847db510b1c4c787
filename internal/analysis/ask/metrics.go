// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/analysis/query"
)

// The providers of metrics.
const (
	Telemetry  = "telemetry"
	Prometheus = "prometheus"
	Web        = "web"
)

// metrics of the questions. Their labels are closed: providers are the three above.
type metrics struct {
	questions *prometheus.CounterVec
	shared    *prometheus.CounterVec
	duration  *prometheus.HistogramVec
}

func newMetrics() metrics {
	return metrics{
		questions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "windlass_analysis_questions_total",
			Help: "Questions that providers of metrics were asked, by what came of them: answered, no_data or error.",
		}, []string{"provider", "result"}),
		shared: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "windlass_analysis_shared_total",
			Help: "Measurements that took the answer to a question which was asked for another one.",
		}, []string{"provider"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                        "windlass_analysis_question_duration_seconds",
			Help:                        "Time until a provider of metrics answered, or was given up.",
			Buckets:                     []float64{.005, .02, .1, .5, 2, 10, 30},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"provider"}),
	}
}

func (m metrics) register(r prometheus.Registerer) error {
	return errors.Join(r.Register(m.questions), r.Register(m.shared), r.Register(m.duration))
}

func (m metrics) observe(provider string, took time.Duration, err error) {
	result := "error"
	if _, none := errors.AsType[*query.NoDataError](err); none {
		result = "no_data"
	} else if err == nil {
		result = "answered"
	}
	m.questions.WithLabelValues(provider, result).Inc()
	m.duration.WithLabelValues(provider).Observe(took.Seconds())
}
