// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/windlass-dev/windlass/internal/ingest"
)

func TestMetrics_lint(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(phaseDuration, verificationsTotal, inspectionsTotal, trustLostTotal)
	observe(ingest.Fetched, time.Second, nil)
	observe(ingest.Stored, time.Second, errors.New("x"))
	verificationsTotal.WithLabelValues("verified").Add(0)
	inspectionsTotal.WithLabelValues("attested").Add(0)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("problems %v, error %v", problems, err)
	}
}
