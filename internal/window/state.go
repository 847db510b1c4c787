// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package window

import (
	"fmt"
	"time"
)

// horizon is how far ahead At looks.
const horizon = 366 * 24 * time.Hour

// maxSteps bounds the work of one look: a year has 366 days, and a window that is open all day long takes one step for each.
const maxSteps = 4096

// State tells whether weights may rise, by all windows together. It holds until NextOpen or NextClose.
type State struct {
	Closed    bool
	Reason    string    // which window says so, in a sentence without a full stop; empty: there are no windows
	NextOpen  time.Time // when Closed; zero: not within a year
	NextClose time.Time // when not Closed; zero: not within a year
}

// search looks for changes of state up to a limit of time and of steps.
type search struct {
	allow, deny []Window
	until       time.Time
	steps       int
}

// At is the state at a time. A Deny window closes whatever Allow windows say; without any Allow window it is open unless denied.
func At(windows []Window, now time.Time) State {
	if len(windows) == 0 {
		return State{}
	}
	now = now.UTC()
	s := search{until: now.Add(horizon)}
	for _, w := range windows {
		if w.Deny {
			s.deny = append(s.deny, w)
		} else {
			s.allow = append(s.allow, w)
		}
	}
	if w, _, ok := s.covering(s.deny, now); ok {
		return State{Closed: true, Reason: "inside the " + w.String(), NextOpen: s.nextOpen(now)}
	}
	w, _, ok := s.covering(s.allow, now)
	switch {
	case ok:
		return State{Reason: "inside the " + w.String(), NextClose: s.nextClose(now)}
	case len(s.allow) > 0:
		return State{Closed: true, Reason: s.outside(now), NextOpen: s.nextOpen(now)}
	}
	return State{Reason: fmt.Sprintf("outside all Deny windows (%d)", len(s.deny)), NextClose: s.nextClose(now)}
}

// outside names the Allow window that opens next.
func (s *search) outside(now time.Time) string {
	w, at := firstOpening(s.allow, now)
	if at.IsZero() {
		return fmt.Sprintf("outside all Allow windows (%d), none of which opens within a year", len(s.allow))
	}
	return "outside the " + w.String()
}

// covering is the window among ws that stays open the longest by what is open now, and the end of that.
func (s *search) covering(ws []Window, t time.Time) (longest Window, end time.Time, open bool) {
	for _, w := range ws {
		if e, ok := w.covers(t); ok && e.After(end) {
			longest, end, open = w, e, true
		}
	}
	return longest, end, open
}

// firstOpening is the first opening after a time, and its window.
func firstOpening(ws []Window, t time.Time) (first Window, at time.Time) {
	for _, w := range ws {
		if next := w.nextOpening(t); !next.IsZero() && (at.IsZero() || next.Before(at)) {
			first, at = w, next
		}
	}
	return first, at
}

// endOf is when none of the windows is open any more, from a time at which one is; false: not within the search.
func (s *search) endOf(ws []Window, t time.Time) (time.Time, bool) {
	for s.goOn(t) {
		w, end, open := s.covering(ws, t)
		if !open {
			return t, true
		}
		if last := w.lastOfDay(end.Add(-w.Duration)); last.Add(w.Duration).After(end) {
			end = last.Add(w.Duration)
		}
		t = end
	}
	return t, false
}

// nextOpen is when weights may rise again, from a time at which they may not; zero: not within the search.
func (s *search) nextOpen(t time.Time) time.Time {
	for s.goOn(t) {
		if end, ok := s.endOf(s.deny, t); !ok {
			break
		} else if end.After(t) {
			t = end
			continue
		}
		if len(s.allow) == 0 {
			return t
		}
		if _, _, open := s.covering(s.allow, t); open {
			return t
		}
		if _, t = firstOpening(s.allow, t); t.IsZero() {
			break
		}
	}
	return time.Time{}
}

// nextClose is when weights may rise no more, from a time at which they may; zero: not within the search.
func (s *search) nextClose(t time.Time) time.Time {
	_, denied := firstOpening(s.deny, t)
	if len(s.allow) == 0 {
		return s.near(denied)
	}
	if !denied.IsZero() {
		s.until = earlier(s.until, denied)
	}
	if end, ok := s.endOf(s.allow, t); ok {
		return s.near(earlier(end, denied))
	}
	return s.near(denied)
}

// near is a time that is not beyond the search, or zero.
func (s *search) near(t time.Time) time.Time {
	if t.After(s.until) {
		return time.Time{}
	}
	return t
}

// goOn counts a step, and tells whether the search may go on at a time.
func (s *search) goOn(t time.Time) bool {
	s.steps++
	return s.steps <= maxSteps && !t.After(s.until)
}
