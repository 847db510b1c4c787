// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package eprocess

// Update looks at the counts of all stages, the oldest first, and multiplies the evidence by what is new in them. The same counts change
// nothing. Counts that are impossible or that fell are an error, and the state stays as it was. The state of a test with another limit is
// none of this one, which starts with all that the stages have.
func (t Test) Update(s State, stages []Stage) (State, error) {
	next := s
	if s.Kind != t.Kind || s.Limit != t.Limit {
		next = State{From: s.From, Kind: t.Kind, Limit: t.Limit}
	}
	if err := next.check(stages); err != nil {
		return s, err
	}
	for i := range stages {
		t.add(&next, &stages[i])
	}
	return next, nil
}

// add takes in one stage.
func (t Test) add(s *State, now *Stage) {
	if t.Kind != Rate && (now.Candidate.Exposed == 0 || now.Control.Exposed == 0) {
		return // until both arms have devices there is nothing to compare: what fails until then is counted when they have
	}
	i := s.slot(now.ID)
	if i < 0 {
		return
	}
	before, after := s.Seen[i], highest(&s.Seen[i], now)
	s.Seen[i] = after
	if t.Kind != Rate {
		s.Fresh[i].add(t.Kind, &before, &after)
	}
	switch t.Kind {
	case Increase:
		t.increase(&s.Logs, &before, &after, s.Fresh[i])
	case Rate:
		failed := after.Candidate.Failed - before.Candidate.Failed
		fine := after.Candidate.Exposed - before.Candidate.Exposed - failed
		t.multiply(&s.Logs, float64(failed), float64(fine), max(t.Limit, minRate))
	case Silence:
		t.silence(&s.Logs, &before, &after, s.Fresh[i])
	}
}

// highest keeps the highest counts: what was seen once is not taken back.
func highest(before, now *Stage) Stage {
	return Stage{ID: now.ID, Candidate: before.Candidate.highest(now.Candidate), Control: before.Control.highest(now.Control)}
}

func (a Arm) highest(b Arm) Arm {
	return Arm{Exposed: max(a.Exposed, b.Exposed), Failed: max(a.Failed, b.Failed), Returned: max(a.Returned, b.Returned)}
}

// increase multiplies by the failures of one look.
func (t Test) increase(logs *[Points]float64, before, after *Stage, fresh Fresh) {
	c, s := after.Candidate.Failed-before.Candidate.Failed, after.Control.Failed-before.Control.Failed
	if c == 0 && s == 0 {
		return
	}
	at := t.share(float64(after.Candidate.Exposed), float64(after.Control.Exposed))
	if fresh.uneven(after) {
		at = max(at, t.share(float64(fresh.Candidate), float64(fresh.Control)))
	}
	t.multiply(logs, float64(c), float64(s), at)
}

// silence multiplies by the first returns of one look. Those who can return are the devices that were exposed and have not yet.
func (t Test) silence(logs *[Points]float64, before, after *Stage, fresh Fresh) {
	c, s := after.Candidate.Returned-before.Candidate.Returned, after.Control.Returned-before.Control.Returned
	if c == 0 && s == 0 {
		return
	}
	at := t.share(float64(after.Candidate.Exposed-before.Candidate.Returned), float64(after.Control.Exposed-before.Control.Returned))
	if fresh.uneven(after) {
		at = min(at, t.share(float64(fresh.Candidate), float64(fresh.Control)))
	}
	t.multiply(logs, float64(c), float64(s), at)
}

// share is the probability at the limit that the next event is in the candidate's arm, given the devices of both arms.
func (t Test) share(c, s float64) float64 {
	if t.Kind == Silence { // at the limit, devices of the candidate take r0 times as long
		s *= t.Limit
	} else {
		c *= t.Limit
	}
	if c+s == 0 {
		return 1 // says nothing: whatever happens has this probability under each alternative
	}
	return 1 / (1 + s/c)
}
