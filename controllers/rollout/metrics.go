// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

var (
	transitionsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_rollout_transitions_total",
		Help: "Transitions of releases from one state to another; a release begins from None.",
	}, []string{"from", "to"})

	analysisTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_rollout_analysis_total",
		Help: "Verdicts that metrics of Rollouts came to, each once until it changes.",
	}, []string{"verdict"})

	rollbacksTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_rollout_rollbacks_total",
		Help: "Releases that were taken back from devices, by why: analysis, person, refused, when the bundle was revoked, or not_admitted.",
	}, []string{"namespace", "name", "reason"})

	stepDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:                            "windlass_rollout_step_duration_seconds",
		Help:                            "Time that a release spent at a step, from the commit of its weight until it went on.",
		Buckets:                         []float64{1, 10, 60, 300, 900, 3600, 14400, 86400, 259200, 604800},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	})
)

// usual are the transitions of most releases.
var usual = map[otav1alpha1.ReleaseState][]otav1alpha1.ReleaseState{
	noState:                        {otav1alpha1.ReleasePending},
	otav1alpha1.ReleasePending:     {otav1alpha1.ReleaseProgressing, otav1alpha1.ReleaseBundleRefused, otav1alpha1.ReleaseBundleNotAdmitted},
	otav1alpha1.ReleaseProgressing: {otav1alpha1.ReleasePaused, otav1alpha1.ReleasePromoting, otav1alpha1.ReleaseRollingBack, otav1alpha1.ReleaseSuperseding},
	otav1alpha1.ReleasePaused:      {otav1alpha1.ReleaseProgressing, otav1alpha1.ReleasePromoting, otav1alpha1.ReleaseRollingBack, otav1alpha1.ReleaseSuperseding},
	otav1alpha1.ReleasePromoting:   {otav1alpha1.ReleaseCompleted, otav1alpha1.ReleaseRollingBack},
	otav1alpha1.ReleaseRollingBack: {otav1alpha1.ReleaseRolledBack, otav1alpha1.ReleaseAborted, otav1alpha1.ReleaseBundleRefused, otav1alpha1.ReleaseBundleNotAdmitted},
	otav1alpha1.ReleaseCompleted:   {otav1alpha1.ReleaseRolledBack},
}

// Counters begin at 0: Prometheus sees no increase in one that appears with its first event.
func init() {
	metrics.Registry.MustRegister(transitionsTotal, analysisTotal, rollbacksTotal, stepDuration)
	for from, states := range usual {
		for _, to := range states {
			transitionsTotal.WithLabelValues(string(from), string(to))
		}
	}
	for _, v := range []otav1alpha1.Verdict{
		otav1alpha1.VerdictPassing, otav1alpha1.VerdictFailing, otav1alpha1.VerdictNotEnoughSamples, otav1alpha1.VerdictNoData, otav1alpha1.VerdictProviderError,
	} {
		analysisTotal.WithLabelValues(string(v))
	}
}

// noState is what a release begins from.
const noState otav1alpha1.ReleaseState = "None"

// rollbackReasons are why releases are taken back, by how they end.
var rollbackReasons = map[otav1alpha1.ReleaseState]string{
	otav1alpha1.ReleaseRolledBack: "analysis", otav1alpha1.ReleaseAborted: "person",
	otav1alpha1.ReleaseBundleRefused: "refused", otav1alpha1.ReleaseBundleNotAdmitted: "not_admitted",
}

// introduce lets the counters of a Rollout begin at 0.
func introduce(key types.NamespacedName) {
	for _, reason := range rollbackReasons {
		rollbacksTotal.WithLabelValues(key.Namespace, key.Name, reason)
	}
}

// withdrawMetrics drops the counters of a Rollout that is gone.
func withdrawMetrics(key types.NamespacedName) {
	rollbacksTotal.DeletePartialMatch(prometheus.Labels{"namespace": key.Namespace, "name": key.Name})
}

// count counts what a status write has made a fact.
func count(key types.NamespacedName, old, now *otav1alpha1.RolloutStatus, at time.Time) {
	countVerdicts(old.Analysis, now.Analysis)
	was, is := old.Release, now.Release
	if is == nil {
		return
	}
	if was != nil && was.Revision != is.Revision {
		was = nil
	}
	from := noState
	if was != nil {
		from = was.State
	}
	if from != is.State {
		transitionsTotal.WithLabelValues(string(from), string(is.State)).Inc()
	}
	if was == nil {
		return
	}
	if reason := takenBack(old, is); reason != "" {
		rollbacksTotal.WithLabelValues(key.Namespace, key.Name, reason).Inc()
	}
	if steppedOn(old, now) {
		stepDuration.Observe(at.Sub(old.StepEnteredAt.Time).Seconds())
	}
}

func countVerdicts(old, now []otav1alpha1.MetricStatus) {
	for i := range now {
		m := &now[i]
		same := func(o otav1alpha1.MetricStatus) bool { return o.Name == m.Name && o.Verdict == m.Verdict }
		if m.Verdict != "" && !slices.ContainsFunc(old, same) {
			analysisTotal.WithLabelValues(string(m.Verdict)).Inc()
		}
	}
}

// takenBack tells why a release that devices have got is being taken from them; empty: it is not, or was before.
func takenBack(old *otav1alpha1.RolloutStatus, is *otav1alpha1.ReleaseStatus) string {
	was := old.Release.State
	ends := is.State
	if ends == otav1alpha1.ReleaseRollingBack {
		ends = is.Outcome
	}
	_, before := rollbackReasons[was]
	offered := was == otav1alpha1.ReleaseCompleted || old.Weight != "" && old.Weight != "0"
	switch {
	case was == otav1alpha1.ReleaseRollingBack, before, !offered:
		return ""
	case was == otav1alpha1.ReleaseCompleted && ends == otav1alpha1.ReleaseRolledBack:
		return rollbackReasons[otav1alpha1.ReleaseAborted] // analysis has ended: it was asked for by command
	}
	return rollbackReasons[ends]
}

// steppedOn tells whether a release went on from a step whose weight was committed.
func steppedOn(old, now *otav1alpha1.RolloutStatus) bool {
	return old.StepEnteredAt != nil && old.CurrentStepIndex != nil && now.CurrentStepIndex != nil && *now.CurrentStepIndex > *old.CurrentStepIndex
}
