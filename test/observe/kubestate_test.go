// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// stateConfig is what of config/metrics/kube-state-metrics.yaml is looked at here.
type stateConfig struct {
	Spec struct {
		Resources []struct {
			GroupVersionKind struct{ Group, Version, Kind string }
			MetricNamePrefix string
			Metrics          []struct {
				Name, Help string
				Each       struct {
					Type                  string
					Gauge, StateSet, Info *stateMetric
				}
			}
		}
	}
}

type stateMetric struct {
	Path           []string
	LabelName      string
	List           []string
	LabelsFromPath map[string][]string
}

// objectFamilies are the metrics that kube-state-metrics makes of objects.
func objectFamilies(tb testing.TB) []family {
	tb.Helper()
	var config stateConfig
	readYAML(tb, &config, "config", "metrics", "kube-state-metrics.yaml")
	var out []family
	for _, r := range config.Spec.Resources {
		for _, m := range r.Metrics {
			f := family{name: r.MetricNamePrefix + "_" + m.Name, kind: strings.ToLower(m.Each.Type), help: m.Help}
			for _, x := range []*stateMetric{m.Each.Gauge, m.Each.StateSet, m.Each.Info} {
				if x == nil {
					continue
				}
				f.labels = slices.Sorted(maps.Keys(x.LabelsFromPath))
				if x.LabelName != "" {
					f.labels = append(f.labels, x.LabelName)
				}
			}
			out = append(out, f)
		}
	}
	return out
}
