// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package eprocess has the sequential tests by which releases are taken back. Their evidence E may be looked at as often as one likes: while
// a release keeps its limit, E reaches 1/Budget with a probability of at most Budget, whenever one stops (Ville's inequality; Ramdas,
// Grünwald, Vovk, Shafer, Game-theoretic statistics and safe anytime-valid inference, 2023). What of this is proven, and for which
// devices, is said below.
//
// E is the weighted mean of the likelihood ratios of a few alternatives (Robbins' mixtures), kept as logarithms. The tests against the
// control ask in which arm an event is, as the safe log-rank test does (ter Schure, Pérez-Ortiz, Ly, Grünwald, 2021). With nC and nS
// devices in the two arms, and rates whose ratio is at most r0, a failure is in the candidate's arm with a probability of at most
// t0 = r0 nC / (r0 nC + nS). A look with fC and fS new failures multiplies the likelihood ratio of an alternative by
// (t/t0)^fC ((1-t)/(1-t0))^fS, where the odds of t are a multiple of those of t0.
//
// # What is proven
//
// All of it takes for granted that the arms are alike but for the bundle (which device is in which is decided by a hash), that a failure is
// reported as soon in one arm as in the other, that each device is counted once, and that counts do not fall.
//
// At every look, for events to which all devices of the stage are exposed alike, old and new: failures some time after the first check, and
// Silence. Let q be the rate in the control arm during a look and p <= r0 q that in the candidate's. By 1+x <= exp(x) for each device,
// E[(t/t0)^fC] <= exp(nC p (t/t0 - 1)), and the same of the control; the two exponents add up to
// q (r0 nC (t-t0)/t0 - nS (t-t0)/(1-t0)) = 0 at most, since r0 nC/t0 = nS/(1-t0). So the expected factor is at most 1 given all that was
// seen before, whatever q is and was: drift, day and night, or an incident of the backend, which are in both arms.
//
// At each fixed look, but not at every one, for devices that fail in the look in which they came, and a limit of 1: those who can fail are then the new ones, of
// which an arm has a share by chance; nC and nS are of all devices of the stage, which is that chance with less noise. For a set of
// devices that fail in either arm, fC is hypergeometric given nC and nS after a look, whose moments are below those of the binomial
// number with share nC/(nC+nS) (Hoeffding, 1963), so that the expected factor of the last look is at most 1 given nC and nS after it; and
// given those before it, the same holds of the look before, independently. So the expectation of E is at most 1 after any number of
// looks that is chosen before. That E may be looked at after each one, limits above 1, and a mixture of early and late failures rest on
// enumeration of small cases (TestExact) and on simulation (TestNulls).
//
// At every look, for Rate: a device that fails later is counted as well until then, which is the smaller factor. So E is at most what is
// expected, given all that was seen, of the product with all failures that are still to come, and that is a martingale.
//
// # Arms that do not come alike
//
// When the new devices of the two arms are divided in a way that is no chance, those of one arm have no match in the other at that time. Fresh
// finds that, and their own share counts while it is worse for the evidence, which is never wrong: evidence falls with t0. It needs some
// devices to see it. What slips through is measured by TestNulls_arrivals: candidates that come later than control devices by a
// fourth of the time in which a fleet comes, of which one in five fails, reach the limit in a third of the runs.
//
// # The other tests
//
// Silence turns this around: its events are first returns of devices, of those that have not returned yet, and evidence is that they
// are too rarely in the candidate's arm. Rate asks for the share of exposed devices that failed, with alternatives above the limit p0: a
// binomial likelihood ratio, whose expected factor for each device is at most 1 when its rate is at most p0.
//
// Failures are counted of exposed devices and not of those that voted, because failures are reported sooner than successes. A device counts
// as failed when it failed once, in both arms, and goes on to when it recovers: were recoveries taken out of the counts, they would be
// noise that looks again and again could mistake for failures.
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
	Failed   int64 // among them: at least once, also when a second try succeeded
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
