// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package window

import (
	"time"

	"github.com/netresearch/go-cron"
)

// maxSpans bounds how many changes of a zone's offset are looked at; a year has four at most, Morocco's.
const maxSpans = 16

// times are those of a schedule, in whole minutes, as clocks show them. UTC stands for the zone of the clock: there, no time is
// skipped and none comes twice, which the parser's own search does not get right.
type times struct{ schedule *cron.SpecSchedule }

// everySecond lets the search stop at any second of a minute, and saves it from trying all of them.
const everySecond = 1<<60 - 1

// after is the first time after the minute of t; zero: none within a year.
func (s times) after(t time.Time) time.Time {
	return s.schedule.Next(t.Truncate(time.Minute).Add(59 * time.Second))
}

// until is the last time up to the minute of t; zero: none within a year.
func (s times) until(t time.Time) time.Time {
	return s.schedule.Prev(t.Truncate(time.Minute).Add(time.Second)).Truncate(time.Minute)
}

// span is a time in which the offset of a zone to UTC stays the same.
type span struct {
	start, end time.Time     // end is not part of it; zero: for ever
	offset     time.Duration // east of UTC
	gap        time.Duration // by which clocks went forward at the start; 0: they did not
}

// spanAt is the span that a time lies in.
func (w Window) spanAt(t time.Time) span {
	local := t.In(w.Location)
	s := span{offset: offset(local)}
	s.start, s.end = local.ZoneBounds()
	if !s.start.IsZero() {
		s.gap = max(s.offset-offset(s.start.Add(-time.Second)), 0)
	}
	return s
}

func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// holds tells whether a time is in the span.
func (s span) holds(t time.Time) bool {
	return !t.Before(s.start) && (s.end.IsZero() || t.Before(s.end))
}

// clock is what a clock with an offset shows, as UTC.
func clock(t time.Time, offset time.Duration) time.Time { return t.UTC().Add(offset) }

// lastOpening is the latest opening at a time or before it; zero: none within a year.
func (w Window) lastOpening(t time.Time) time.Time {
	for limit, n := t.Add(-MaxDuration), 0; n < maxSpans && t.After(limit); n++ {
		s := w.spanAt(t)
		last := w.lastIn(s, t)
		if last.Before(s.start.Add(s.gap)) {
			last = later(last, w.lastInGap(s, t))
		}
		if !last.IsZero() {
			return last
		}
		if s.start.IsZero() {
			break
		}
		t = s.start.Add(-time.Second)
	}
	return time.Time{}
}

// lastIn is the latest opening of a span at t or before, by the offset of the span.
func (w Window) lastIn(s span, t time.Time) time.Time {
	shown := w.times.until(clock(t, s.offset))
	if shown.IsZero() {
		return shown
	}
	return within(s, shown.Add(-s.offset))
}

// lastInGap is the latest opening at t or before, of the times that clocks never showed as they went forward at the start of the span.
func (w Window) lastInGap(s span, t time.Time) time.Time {
	if s.gap == 0 {
		return time.Time{}
	}
	before := s.offset - s.gap
	if last := s.start.Add(s.gap - time.Second); t.After(last) {
		t = last
	}
	shown := w.times.until(clock(t, before))
	if shown.IsZero() {
		return shown
	}
	return within(s, shown.Add(-before))
}

// nextOpening is the first opening after a time; zero: none within a year.
func (w Window) nextOpening(t time.Time) time.Time {
	for limit, n := t.Add(MaxDuration), 0; n < maxSpans && t.Before(limit); n++ {
		s := w.spanAt(t)
		if next := earlier(w.nextIn(s, t), w.nextInGap(s, t)); !next.IsZero() {
			return next
		}
		if s.end.IsZero() {
			break
		}
		if t = s.end; w.lastOpening(t).Equal(t) {
			return t
		}
	}
	return time.Time{}
}

func (w Window) nextIn(s span, t time.Time) time.Time {
	shown := w.times.after(clock(t, s.offset))
	if shown.IsZero() {
		return shown
	}
	return within(s, shown.Add(-s.offset))
}

func (w Window) nextInGap(s span, t time.Time) time.Time {
	end := s.start.Add(s.gap)
	if !t.Before(end) {
		return time.Time{}
	}
	before := s.offset - s.gap
	next := w.times.after(clock(t, before)).Add(-before)
	if !next.Before(end) {
		return time.Time{}
	}
	return within(s, next)
}

// within is the time if it is in the span, and zero otherwise.
func within(s span, t time.Time) time.Time {
	if !s.holds(t) {
		return time.Time{}
	}
	return t
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// earlier is the first of two times; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// covers tells whether the window is open at a time, by one opening, and when that one ends.
func (w Window) covers(t time.Time) (end time.Time, open bool) {
	last := w.lastOpening(t)
	if last.IsZero() {
		return time.Time{}, false
	}
	end = last.Add(w.Duration)
	return end, end.After(t)
}

// lastOfDay is the last opening of the day of an opening, when the window stays open in between for sure; otherwise the opening.
func (w Window) lastOfDay(opening time.Time) time.Time {
	s := w.spanAt(opening)
	if !w.gapless {
		return opening
	}
	shown := clock(opening, s.offset)
	year, month, day := shown.Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Add(-s.offset)
	end := midnight.Add(24*time.Hour - time.Second)
	if midnight.Before(s.start.Add(s.gap)) || !s.holds(end) {
		return opening // clocks change on this day
	}
	return w.lastOpening(end)
}
