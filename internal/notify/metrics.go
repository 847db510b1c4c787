// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	deliveriesTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_notification_deliveries_total",
		Help: "Tries to deliver an event to a receiver, by result: delivered, refused, failed, unreachable, gone, unsigned, when there is no key, or canceled.",
	}, []string{"result"})

	deliveryDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:                            "windlass_notification_delivery_duration_seconds",
		Help:                            "Time until a receiver answered a delivery, or was given up.",
		Buckets:                         []float64{.01, .05, .25, 1, 2.5, 5, 10},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	})
)

func init() {
	for _, result := range []string{"delivered", "refused", "failed", "unreachable", "gone", "unsigned"} {
		deliveriesTotal.WithLabelValues(result)
	}
}

// Metrics of all receivers of the process, to be registered once.
func Metrics() []prometheus.Collector {
	return []prometheus.Collector{deliveriesTotal, deliveryDuration}
}

func observe(took time.Duration, err error) {
	deliveryDuration.Observe(took.Seconds())
	deliveriesTotal.WithLabelValues(resultOf(err)).Inc()
}

func resultOf(err error) string {
	_, refused := errors.AsType[*refusedError](err)
	_, unreachable := errors.AsType[*unreachableError](err)
	switch {
	case err == nil:
		return "delivered"
	case errors.Is(err, errGone):
		return "gone"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case refused:
		return "refused"
	case unreachable:
		return "unreachable"
	}
	return "failed"
}
