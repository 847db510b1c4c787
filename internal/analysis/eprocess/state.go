// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

import (
	"fmt"
	"math"
)

// MaxStages is how many stages a State goes on counting: what comes later of an older one is left out.
const MaxStages = 4

// State is what a test has seen. The zero State has seen nothing. It is a plain value: a copy is independent.
type State struct {
	Logs [Points]float64  // natural logarithm of the likelihood ratio of each alternative, of all that was seen
	Seen [MaxStages]Stage // counts that Logs has, the newest stage last; Voted is not kept
	// Fresh is of the stages of Seen. A Rate has no use for it.
	Fresh [MaxStages]Fresh
	Len   int32 // how many of Seen are in use
	From  int32 // stages below are not counted

	Kind  Kind    // of the test that has seen this
	Limit float64 // of that test
}

// Restart forgets the evidence and counts from a stage on: slices that were excluded then are not held against the bundle any more.
func (s State) Restart(stage int32) State { return State{From: stage} }

// Capped is the state with which a retry of the digest starts: the evidence is carried over, at most the limit that was reached.
// Nothing was seen yet, because the next try draws its arms anew.
func (s State) Capped(t Test) State {
	out := s.Evidence()
	if over := t.Log(s) - t.LogLimit(); over > 0 {
		for j := range out.Logs {
			out.Logs[j] -= over
		}
	}
	return out
}

// Evidence is the state without what was seen.
func (s State) Evidence() State { return State{Logs: s.Logs, Kind: s.Kind, Limit: s.Limit} }

// slot gives the place of a stage in Seen and makes one if need be: the oldest stage makes room. It is -1 for a stage that is too old.
func (s *State) slot(id int32) int {
	n := int(s.Len)
	i := n
	for i > 0 && s.Seen[i-1].ID >= id {
		i--
	}
	switch {
	case i < n && s.Seen[i].ID == id:
		return i
	case id < s.From || n == MaxStages && i == 0:
		return -1
	case n == MaxStages:
		i--
		copy(s.Seen[:i], s.Seen[1:i+1])
		copy(s.Fresh[:i], s.Fresh[1:i+1])
	default:
		copy(s.Seen[i+1:n+1], s.Seen[i:n])
		copy(s.Fresh[i+1:n+1], s.Fresh[i:n])
		s.Len++
	}
	s.Seen[i], s.Fresh[i] = Stage{ID: id}, Fresh{}
	return i
}

// check refuses counts that cannot be, and those that fell: the ledger was emptied, restored from a backup, or is another one.
func (s *State) check(stages []Stage) error {
	for i := range stages {
		st := &stages[i]
		if i > 0 && st.ID <= stages[i-1].ID {
			return fmt.Errorf("impossible counts: stage %d after stage %d, expected the oldest first", st.ID, stages[i-1].ID)
		}
		if a := st.Candidate; !a.possible() {
			return fmt.Errorf("impossible counts: stage %d has %s in the candidate's arm", st.ID, a)
		}
		if a := st.Control; !a.possible() {
			return fmt.Errorf("impossible counts: stage %d has %s in the control arm", st.ID, a)
		}
	}
	for i := range s.Seen[:s.Len] {
		if err := fell(&s.Seen[i], stages); err != nil {
			return err
		}
	}
	return nil
}

func (a Arm) possible() bool {
	return a.Failed >= 0 && a.Failed <= a.Voted && a.Voted <= a.Exposed && a.Returned >= 0 && a.Returned <= a.Exposed && a.Exposed <= maxCount
}

// maxCount keeps sums far from overflow.
const maxCount = math.MaxInt64 / 16

// String lists the counts.
func (a Arm) String() string {
	return fmt.Sprintf("%d failed of %d voted of %d exposed devices, %d returned", a.Failed, a.Voted, a.Exposed, a.Returned)
}

// fell refuses a stage that has less than half of the devices that were seen.
func fell(seen *Stage, stages []Stage) error {
	now := &Stage{}
	for i := range stages {
		if stages[i].ID == seen.ID {
			now = &stages[i]
		}
	}
	for _, arm := range [...]struct {
		name      string
		was, have int64
	}{{"candidate's", seen.Candidate.Exposed, now.Candidate.Exposed}, {"control", seen.Control.Exposed, now.Control.Exposed}} {
		if arm.have < arm.was-arm.was/2 {
			return fmt.Errorf("counts fell from %d to %d devices in the %s arm of stage %d: the ledger lost them, or another one answers",
				arm.was, arm.have, arm.name, seen.ID)
		}
	}
	return nil
}
