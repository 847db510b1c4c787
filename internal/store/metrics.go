// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	operationDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:                            "windlass_storage_operation_duration_seconds",
		Help:                            "Time until an object store answered a request, each try by itself.",
		Buckets:                         []float64{.005, .025, .1, .5, 2.5, 10, 30, 120},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"operation", "result"})

	bytesTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_storage_bytes_total",
		Help: "Bytes of the bodies that were sent to object stores and received from them.",
	}, []string{"direction"})

	sentBytes, receivedBytes = bytesTotal.WithLabelValues("sent"), bytesTotal.WithLabelValues("received")
)

// Metrics of all buckets of the process, to be registered once.
func Metrics() []prometheus.Collector { return []prometheus.Collector{operationDuration, bytesTotal} }

// measured counts the requests that pass through it.
type measured struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (m measured) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	res, err := m.next.RoundTrip(r)
	operationDuration.WithLabelValues(operation(r), result(res, err)).Observe(time.Since(start).Seconds())
	if err != nil {
		return res, err
	}
	sentBytes.Add(float64(max(r.ContentLength, 0)))
	res.Body = &countedBody{res.Body}
	return res, nil
}

// operation names what a request asks for.
func operation(r *http.Request) string {
	switch r.Method {
	case http.MethodGet:
		if r.URL.Query().Has("list-type") {
			return "list"
		}
		return "get"
	case http.MethodHead:
		return "head"
	case http.MethodPut:
		return "put"
	case http.MethodDelete:
		return "delete"
	}
	return "other"
}

// result of a request: absent and conflict are answers that callers ask for.
func result(res *http.Response, err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case err != nil:
		return "unreachable"
	case res.StatusCode < http.StatusBadRequest:
		return "success"
	}
	switch res.StatusCode {
	case http.StatusNotFound:
		return "absent"
	case http.StatusConflict, http.StatusPreconditionFailed:
		return "conflict"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "denied"
	}
	return "failed"
}

// countedBody counts what is read of an answer.
type countedBody struct{ io.ReadCloser }

// Read implements io.Reader.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	receivedBytes.Add(float64(n))
	return n, err
}
