// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/kit"
)

var (
	phaseDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:                            "windlass_bundle_phase_duration_seconds",
		Help:                            "Time that a phase of taking in an artifact took.",
		Buckets:                         []float64{.01, .05, .25, 1, 5, 30, 120, 600, 3600},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"phase", "result"})

	verificationsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_bundle_verifications_total",
		Help: "Artifacts whose signatures were checked, by whether an authority's signature matched.",
	}, []string{"result"})

	inspectionsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_bundle_inspections_total",
		Help: "Verified artifacts by who knows what is in them: the manager looked (inspected), an authority says so (attested), nobody does (unopened), or they were refused for it.",
	}, []string{"result"})

	trustLostTotal = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "windlass_bundle_trust_lost_total",
		Help: "Bundles that an authority no longer vouches for, because it was removed or had ceased to count when they were verified.",
	})
)

func init() {
	metrics.Registry.MustRegister(phaseDuration, verificationsTotal, inspectionsTotal, trustLostTotal)
	for _, result := range []string{"verified", "refused"} { // Prometheus sees no increase in a counter that appears with its first one
		verificationsTotal.WithLabelValues(result)
	}
	for _, result := range []string{"inspected", "attested", "unopened", "refused"} {
		inspectionsTotal.WithLabelValues(result)
	}
}

// observe measures a stage of a transfer.
func observe(stage ingest.Stage, took time.Duration, err error) {
	result := "success"
	if err != nil {
		result = map[kit.Class]string{kit.Transient: "failed", kit.Waiting: "failed", kit.Stalled: "refused"}[kit.Classify(err).Class]
	}
	phaseDuration.WithLabelValues(stage.String(), result).Observe(took.Seconds())
}
