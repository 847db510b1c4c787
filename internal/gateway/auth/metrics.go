// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	standings                    [standings]prometheus.Counter
	verified, malformed, refused prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	devices := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_gateway_auth_requests_total",
		Help: "Requests by what their device may do: anonymous and verified ones are served, unauthenticated and forbidden ones refused.",
	}, []string{"standing"})
	tokens := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_gateway_auth_tokens_total", Help: "Tokens that requests had, by result: verified, malformed or refused.",
	}, []string{"result"})
	r.MustRegister(devices, tokens)
	m := &metrics{
		verified: tokens.WithLabelValues("verified"), malformed: tokens.WithLabelValues("malformed"), refused: tokens.WithLabelValues("refused"),
	}
	for s := range standings {
		m.standings[s] = devices.WithLabelValues(s.String())
	}
	return m
}

func (k *keys) register(r prometheus.Registerer) {
	k.errors = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "windlass_gateway_auth_key_errors_total", Help: "Failures to fetch the token issuer's keys.",
	})
	k.strange = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "windlass_gateway_auth_unknown_keys_total", Help: "Tokens that named a key that the issuer does not have, or that was not fetched yet.",
	})
	r.MustRegister(k.errors, k.strange, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "windlass_gateway_auth_keys", Help: "Keys of the token issuer that are trusted at present; 0: no token can be verified.",
	}, func() float64 {
		set := k.current.Load()
		if time.Since(set.fetched) > keepFor {
			return 0
		}
		return float64(len(set.keys))
	}))
}
