// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package eprocess has the sequential tests by which releases are taken back. Their evidence E may be looked at after every
// device: a release that keeps the limit reaches E >= 1/Budget with probability at most Budget, however often one looks and
// whenever one stops (Ville's inequality; Ramdas, Grünwald, Vovk, Shafer, Game-theoretic statistics and safe anytime-valid inference,
// 2023).
//
// Each test mixes likelihood ratios of a few alternatives (Robbins' mixtures), in logarithms. Of two arms it asks in which of them the
// next failure lands, as the safe log-rank test does (ter Schure, Pérez-Ortiz, Ly, Grünwald, 2021): with nC and nS exposed devices and a
// ratio of rates of at most r0, a failure lands in the candidate's arm with probability at most t0 = r0 nC / (r0 nC + nS). A
// batch of failures fC and fS multiplies the evidence for a ratio r by (t/t0)^fC ((1-t)/(1-t0))^fS, with t as t0 for r.
//
// Why that keeps the budget whatever the rate is, and whatever it does over time: let q be the rate in the control arm and p <= r0 q that in
// the candidate's. Then E[(t/t0)^fC] <= exp(nC p (t/t0 - 1)) and E[((1-t)/(1-t0))^fS] <= exp(nS q ((1-t)/(1-t0) - 1)), by 1+x <= e^x for each
// device, and the two exponents add up to at most q (r0 nC + nS) (t - t0 + t0 - t) = 0. No rate is estimated, none has to be small,
// and rates that differ between devices, or drift, or jump in an incident of the backend do so in both arms.
package eprocess

// Kind says what a test compares.
type Kind string

// The kinds of tests.
const (
	Increase Kind = "Increase" // failures of the candidate's arm against the control's, as a ratio
	Rate     Kind = "Rate"     // failures of the candidate's arm against a fixed rate
	Silence  Kind = "Silence"  // devices of the candidate's arm that come back, against the control's
)

// Arm counts devices of one arm in one stage, since the stage began.
type Arm struct {
	Exposed  int64 // checked in and should run the bundle
	Voted    int64 // among them: reported success or failure
	Failed   int64 // among them
	Returned int64 // of the exposed: checked in again later
}

// Stage counts what happened at one weight of a release. Devices of both arms are counted anew in each stage, from their first check
// in it, so that the arms are of the same age.
type Stage struct {
	ID        int32
	Candidate Arm
	Control   Arm
}

// Test is one sequential test.
type Test struct {
	Kind   Kind
	Limit  float64 // Increase and Silence: highest ratio r0 > 0; Rate: highest rate p0, 0 <= p0 < 1
	Budget float64 // highest probability of a false alarm, in (0, 1)
	Tries  int32   // how often the analysis has spoken against this digest before: each time it takes twice the evidence
}
