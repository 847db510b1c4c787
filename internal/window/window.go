// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package window tells when the weight of a release may rise: inside Allow windows and outside Deny windows. It is pure.
//
// A window opens whenever the clock of its time zone shows a time of its schedule, and stays open for its duration, which is
// elapsed time as in RFC 5545, 3.3.6: 24h from midnight ends at 23:00 on the day on which clocks go back. A time that a clock
// shows twice, as they go back, opens the window twice. A time that it never shows, as clocks go forward, counts as if they had
// not yet (RFC 5545, 3.3.5): 02:30 is 03:30 on that day. Openings of a window that overlap or touch are one.
package window

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Bounds of a window's duration. Schedules count in minutes, and nobody looks further than a year.
const (
	MinDuration = time.Minute
	MaxDuration = 366 * 24 * time.Hour
)

// rarest is how many years may lie between two times of a schedule: those of 29 February around 2100.
const rarest = 8

// Window is a time, again and again, in which weights may or may not rise. Parse makes it.
type Window struct {
	Deny     bool
	Schedule string // of the openings: five fields of cron
	Duration time.Duration
	Location *time.Location

	times   times
	gapless bool // on a day with openings, each comes before the one before it has ended
}

// parser reads crontab(5) of POSIX: where both the day of the month and the day of the week are given, either is enough.
var parser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom)

// Parse reads a window. The errors name the field, what it is and what is expected.
func Parse(kind otav1alpha1.WindowKind, schedule string, duration otav1alpha1.Duration, timeZone string) (Window, error) {
	w := Window{Deny: kind == otav1alpha1.WindowDeny, Schedule: schedule, Location: time.UTC}
	if !w.Deny && kind != otav1alpha1.WindowAllow {
		return w, fmt.Errorf("kind is %q, expected Allow or Deny", kind)
	}
	var err error
	if w.times, err = parseSchedule(schedule); err != nil {
		return w, fmt.Errorf("schedule is %q: %w", schedule, err)
	}
	if w.Duration, err = time.ParseDuration(string(duration)); err != nil || w.Duration < MinDuration || w.Duration > MaxDuration {
		return w, fmt.Errorf("duration is %q, expected a time from %s to %s, such as 8h or 90m", duration, Brief(MinDuration), Brief(MaxDuration))
	}
	if timeZone != "" {
		w.Location, err = time.LoadLocation(timeZone)
	}
	if err != nil || timeZone == "Local" {
		return w, fmt.Errorf("timeZone is %q, expected a name of the IANA time zone database such as Europe/Berlin", timeZone)
	}
	w.gapless = w.fillsDays()
	return w, nil
}

func parseSchedule(schedule string) (times, error) {
	if strings.Contains(schedule, "=") {
		return times{}, errors.New("expected five fields of cron only: name the time zone in timeZone")
	}
	parsed, err := parser.Parse(schedule)
	if err != nil {
		return times{}, fmt.Errorf("expected five fields of cron (minute, hour, day, month, day of the week): %w", err)
	}
	s, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return times{}, errors.New("expected five fields of cron")
	}
	s.Location, s.Second, s.MaxSearchYears = time.UTC, everySecond, rarest
	if (times{s}).after(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return times{}, errors.New("expected a day that exists")
	}
	s.MaxSearchYears = 1
	return times{s}, nil
}

// fillsDays tells whether no opening of a day has ended before the next one of that day: the day is then covered from the first
// one on, which At skips over in one step.
func (w Window) fillsDays() bool {
	daily := *w.times.schedule
	daily.Dom, daily.Month, daily.Dow = ^uint64(0), ^uint64(0), ^uint64(0)
	day := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	last := times{&daily}.after(day.Add(-time.Minute))
	for next := (times{&daily}).after(last); next.Before(day.AddDate(0, 0, 1)); last, next = next, (times{&daily}).after(next) {
		if next.Sub(last) > w.Duration {
			return false
		}
	}
	return true
}

// String is the window as messages have it.
func (w Window) String() string {
	kind := otav1alpha1.WindowAllow
	if w.Deny {
		kind = otav1alpha1.WindowDeny
	}
	return fmt.Sprintf("%s window %q for %s (%s)", kind, w.Schedule, Brief(w.Duration), w.Location)
}

// Brief prints a duration without the parts that are zero: 8h, 1h30m, 0s.
func Brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
