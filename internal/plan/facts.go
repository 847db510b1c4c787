// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan is the state machine of a rollout: one pure function from facts to a decision. It has no clock, no client
// and no logging; the controller, the simulator and the property tests call the same function.
package plan

import (
	"reflect"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/command"
)

// FullWeight is 100 % in basis points.
const FullWeight = 10_000

// Facts are all that a decision depends on.
type Facts struct {
	Now     time.Time
	UID     string // of the Rollout: the cohorts of two rollouts are independent
	Spec    Spec
	Release Release // as status has it; Revision 0: none yet
	Bundle  Bundle  // that Spec.Bundle names
	Running Bundle  // that Release.Bundle names; as Bundle when both are the same
	Channel Channel

	Approvals Approvals // that the release needs to start

	Window Window // of the spec's windows, now
	Queue  Queue  // of the Repository; the zero Queue has no limit
	Slice  *Slice // that explains the failures; nil: none does

	Analysis []analysis.Result // of the running release, by the metrics that decide; empty: not measured yet
	Command  *Command          // not acted upon yet
}

// Spec is what a rollout is asked to do.
type Spec struct {
	Bundle     string
	Steps      []Step
	StepsHash  string
	Metrics    int // number of metrics that decide; 0: only people and time do
	FirstCheck int // index of the first step at which the analysis counts
	OnFailure  otav1alpha1.OnFailure
	OnSlice    otav1alpha1.OnSlice
	Bake       time.Duration
	Holdout    int32 // basis points that stay on stable during the bake
	Paused     string
	Blocked    string // why the spec cannot be carried out: nothing rises, but what protects devices goes on
}

// Step is one step: a weight or a pause.
type Step struct {
	Pause      bool
	Weight     int32         // basis points
	Duration   time.Duration // of a pause
	MinSamples int64         // of a pause
}

// Indefinite pauses end only when a person promotes.
func (s Step) Indefinite() bool { return s.Pause && s.Duration == 0 && s.MinSamples == 0 }

// Bundle is what is known of a Bundle object, and what the Channel makes of it.
type Bundle struct {
	Found   bool
	Ready   bool // verified and stored
	Message string
	Version string
	Digest  string

	Tries int32 // how often the analysis has spoken against the digest in releases that have ended, as far as history tells

	Revoked string // why; empty: it is not
	Denied  string // why the Channel does not admit it; empty: it does
	Wait    string // why it is not admitted yet, but will be; empty: it is
}

// Channel is what devices can see, and whether it can change.
type Channel struct {
	Ready   bool // exists, can be published
	Message string
	Problem string // why it does not serve what it is asked to; empty: it does
	Halted  string // what stops it; empty: nothing does
	Busy    string // another Rollout that is active

	MaxFirstWeight   int32 // basis points that a release may begin with
	MaxWeightPerHour int32 // basis points that the weight may rise by within any hour; 0: no limit

	Refused      map[string]string // digest -> why
	TakenBack    map[string]string // those of them that a person rolled back -> by whom, and why
	StableDigest string
	Candidate    *Candidate // committed
	At           time.Time  // when the present state was committed
}

// Candidate is a committed candidate of a channel.
type Candidate struct {
	Mine    bool // belongs to this Rollout object
	Release int64
	Digest  string
	Weight  int32
	Stage   int32
}

// Window tells whether weights may rise. The zero Window is open for ever.
type Window struct {
	Closed    bool
	Reason    string
	NextOpen  time.Time // zero: not within a year
	NextClose time.Time // zero: not within a year
}

// Queue is the Repository's line of releases that want to start.
type Queue struct {
	Limit  int      // 0: there is none
	Active int      // releases under way, without this one
	Names  []string // of the Rollouts that carry out some of them, for people
	Ahead  int      // releases that wait and come before this one
}

// Slice is a part of the devices that explains the failures.
type Slice struct {
	Match    otav1alpha1.Slice
	Message  string // slice: android, nativeVersion<4.3.0: 31/40 failures
	RestFine bool   // nothing speaks against the bundle on the other devices
}

// Rise is a rise of the weight that was asked for.
type Rise struct {
	At time.Time
	By int32 // basis points
}

// Command is what a person asks for.
type Command = command.Given

// Release is the state of a release, as status keeps it.
type Release struct {
	Revision  int64
	Bundle    string
	Version   string
	Digest    string
	State     otav1alpha1.ReleaseState
	Outcome   otav1alpha1.ReleaseState // that RollingBack leads to
	Reason    string                   // why it ended or is paused
	StepsHash string
	Lift      bool // a person asked to try a refused digest again

	Step        int       // index; the number of steps during the bake, one more after it
	Weight      int32     // wanted
	CommittedAt time.Time // when the wanted weight became visible to devices; zero: not yet
	EnteredAt   time.Time // when the step's clock started; zero: not yet

	Stage   int32               // grows by one with each weight and exclusion: devices are counted anew in each
	Tries   int32               // how often the analysis has spoken against this digest before, in this Rollout
	Rises   []Rise              // within the last hour, the oldest first
	Exclude []otav1alpha1.Slice // not offered the candidate

	Approval  *otav1alpha1.ReleaseApproval // how far it is while the release waits for it, then how it was; nil: nobody had to
	Overruled string                       // who promoted although a suspicion, or a control that is too small, holds the next rise; empty: nobody

	StartedAt time.Time
	EndedAt   time.Time
}

// Equal tells whether two releases are in the same state.
func (r Release) Equal(o Release) bool { return reflect.DeepEqual(r, o) }

// Decision is what to do. It is complete: the same facts give the same decision, and carrying it out twice changes nothing.
type Decision struct {
	Release Release
	Ended   *Release // a release that this decision put an end to, for the history
	Command *CommandResult

	Reason       string // of the Ready condition
	Message      string // one sentence for people
	RequeueAfter time.Duration
	Waiting      bool // a commit is under way
}

// CommandResult is what became of a command.
type CommandResult struct {
	Command Command
	Refused string // why; empty: it was carried out
}

// Active tells whether a release has, or may have, a candidate that devices can see.
func (r Release) Active() bool {
	switch r.State {
	case otav1alpha1.ReleaseProgressing, otav1alpha1.ReleasePaused, otav1alpha1.ReleasePromoting,
		otav1alpha1.ReleaseRollingBack, otav1alpha1.ReleaseSuperseding:
		return true
	}
	return false
}

// Ended tells whether nothing happens any more until somebody asks for it.
func (r Release) Ended() bool {
	switch r.State {
	case otav1alpha1.ReleaseCompleted, otav1alpha1.ReleaseRolledBack, otav1alpha1.ReleaseAborted,
		otav1alpha1.ReleaseBundleRefused, otav1alpha1.ReleaseBundleNotAdmitted:
		return true
	}
	return false
}
