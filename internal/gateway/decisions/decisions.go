// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package decisions counts what devices are told, in whatever protocol they ask.
package decisions

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// Ledger is the outcome ledger with a counter in front of it: every check that a protocol hands over is counted by its answer,
// also one that the ledger keeps nothing of.
type Ledger struct {
	*ledger.Ledger

	answers map[answer]prometheus.Counter
}

type answer struct {
	action resolve.Action
	reason resolve.Reason
}

// New puts a counter in front of a ledger, and registers it.
func New(l *ledger.Ledger, r prometheus.Registerer) *Ledger {
	vector := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_gateway_decisions_total", Help: "Answers to update checks, by action and reason.",
	}, []string{"action", "reason"})
	r.MustRegister(vector)
	out := &Ledger{Ledger: l, answers: map[answer]prometheus.Counter{}}
	for reason, actions := range resolve.Reasons {
		for _, action := range actions {
			out.answers[answer{action, reason}] = vector.WithLabelValues(string(action), string(reason))
		}
	}
	return out
}

// Checked counts the answer and notes the check.
func (l *Ledger) Checked(c *ledger.Check) {
	l.answers[answer{c.Told.Action, c.Told.Reason}].Inc()
	l.Ledger.Checked(c)
}
