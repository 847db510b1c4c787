// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package simulate runs policies against made-up fleets on a virtual clock. What decides is the real thing: plan.Plan, policies of
// policy.Parse and analysis.Judge, as the controller has them. What is made up is the world: devices that check in at random, bundles that
// fail on some of them, a channel that commits with a delay, and a metrics system that may be out of reach.
//
// Devices have no state of their own. All that are alike and in the same arm are drawn together (binomial draws), so that a fleet of a
// million devices costs as much as one of a thousand. The same seed gives the same trace, whatever the number of goroutines.
package simulate

import (
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/policy"
)

// Rule is who decides.
type Rule string

// The rules. The peers are described in docs/peers.md.
const (
	Windlass Rule = "windlass" // plan.Plan with analysis.Judge
	Argo     Rule = "argo"     // the same steps as Argo Rollouts with a background analysis
	Flagger  Rule = "flagger"  // the same weights as Flagger's stepWeights
	Peeking  Rule = "peeking"  // a fixed-sample two-proportion z-test, repeated at each look
)

// Rules are all rules, Windlass first.
func Rules() []Rule { return []Rule{Windlass, Argo, Flagger, Peeking} }

// Config is one experiment: a policy, in a world.
type Config struct {
	Policy   policy.Policy
	Scenario Scenario
	Fleet    Fleet
	Options  Options
}

// Options say how to simulate. The zero Options are useful.
type Options struct {
	Rule Rule   // empty: Windlass
	Seed uint64 // of the first rollout; the others follow from it

	Start   time.Time     // zero: Monday, 5 January 2026, 09:00 UTC. Windows and nights depend on it
	Horizon time.Duration // after which a rollout that has not ended is Held; 0: three times the pauses and the bake, and a day
	Look    time.Duration // lower bound of the time between two measurements; 0: Run takes the metrics' intervals, Many a 240th of the pauses
	Commit  time.Duration // mean time that the channel takes to commit; 0: 2 s
	Person  time.Duration // after which a person promotes from a pause without an end; 0: 1 h

	MaxFirstWeight   int32 // of the channel, in basis points; 0: no limit
	MaxWeightPerHour int32 // of the channel, in basis points; 0: no limit

	Peer     Peer // how a peer is tuned; the zero Peer is PeerOf the config
	Parallel int  // goroutines of Many; 0: one a core. It does not change the result

	Done func() // nil, or called by Many for each rollout that is done, by several goroutines at once
}

// Outcome is how a rollout ended.
type Outcome string

// The outcomes.
const (
	Completed  Outcome = "Completed"  // the bundle became stable
	RolledBack Outcome = "RolledBack" // the analysis took it back
	Paused     Outcome = "Paused"     // the analysis cannot tell: a person has to look
	Held       Outcome = "Held"       // not ended within the horizon
	Refused    Outcome = "Refused"    // the spec cannot be carried out
)

// Trace is what happened in one rollout.
type Trace struct {
	Outcome Outcome
	Reason  string        // one sentence, as status.message has it
	Took    time.Duration // from the start to the outcome; of Held: the horizon
	Weight  int32         // the highest that was committed, in basis points; plan.FullWeight of a bundle that became stable

	Exposed int64 // devices that were offered the candidate, once each
	Failed  int64 // failures on them, one a device and stage; reported or not
	Lost    int64 // devices that never came back

	Excluded []otav1alpha1.Slice // brought back to stable while the others went on
	Events   []Event             // only of Run
	Points   []Point             // only of Run: one a look
}

// Event is a change that a person would see.
type Event struct {
	At      time.Duration // since the start
	Weight  int32         // wanted, in basis points
	State   string        // of the release; that of the peer's object for peers
	Reason  string        // of the Ready condition
	Verdict otav1alpha1.Verdict
	Message string // one sentence
}

// Point is one look.
type Point struct {
	At      time.Duration // since the start
	Weight  int32         // committed, in basis points
	Stage   int32
	Verdict otav1alpha1.Verdict

	Evidence float64 // of the metric that is nearest to its limit, as a natural logarithm
	Limit    float64 // of that metric, as a natural logarithm; 0: no metric has a sequential test

	Exposed, Failed               int64 // of the candidate, as reported: in this stage
	ControlExposed, ControlFailed int64
	AllExposed                    int64   // devices that were offered the candidate so far, in all stages
	BaseRate                      float64 // of stable devices, now
}
