// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/windlass-dev/windlass/internal/notify"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/store"
)

func init() {
	metrics.Registry.MustRegister(store.Metrics()...)
	metrics.Registry.MustRegister(publish.Metrics()...)
	metrics.Registry.MustRegister(notify.Metrics()...)
}
