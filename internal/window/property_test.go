// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package window

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// field is one field of a schedule as text, and what it means, by itself.
type field struct {
	text string
	has  func(int) bool
	all  bool
}

func drawField(t *rapid.T, name string, low, high int) field {
	kinds := 9 // mostly each day
	if low == 0 && high != 6 {
		kinds = 3
	}
	a, b := rapid.IntRange(low, high).Draw(t, name), rapid.IntRange(low, high).Draw(t, name+" to")
	switch rapid.IntRange(0, kinds).Draw(t, name+" as") {
	case 0:
		return field{fmt.Sprint(a), func(v int) bool { return v == a }, false}
	case 1:
		return field{fmt.Sprintf("%d,%d", a, b), func(v int) bool { return v == a || v == b }, false}
	case 2:
		a, b = min(a, b), max(a, b)
		return field{fmt.Sprintf("%d-%d", a, b), func(v int) bool { return v >= a && v <= b }, false}
	default:
		return field{"*", func(int) bool { return true }, true}
	}
}

// naive is a window that answers by trying all minutes. It shares no code with Window.
type naive struct {
	Window
	minute, hour, dom, month, dow field
}

var zones = []string{"", "Europe/Berlin", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Africa/Casablanca", "Asia/Kolkata"}

func drawWindow(t *rapid.T) naive {
	latest := rapid.SampledFrom([]int{3, 23}).Draw(t, "latest hour") // clocks change at night
	n := naive{
		minute: drawField(t, "minute", 0, 59), hour: drawField(t, "hour", 0, latest), dom: drawField(t, "day", 1, 31),
		month: drawField(t, "month", 1, 12), dow: drawField(t, "weekday", 0, 6),
	}
	minutes := rapid.OneOf(rapid.IntRange(1, 90), rapid.IntRange(1, 3*24*60)).Draw(t, "minutes")
	schedule := fmt.Sprintf("%s %s %s %s %s", n.minute.text, n.hour.text, n.dom.text, n.month.text, n.dow.text)
	kind := rapid.SampledFrom([]otav1alpha1.WindowKind{allow, deny}).Draw(t, "kind")
	w, err := Parse(kind, schedule, otav1alpha1.Duration(fmt.Sprintf("%dm", minutes)), rapid.SampledFrom(zones).Draw(t, "zone"))
	if err != nil {
		t.Skip("no such day: ", err)
	}
	n.Window = w
	return n
}

// shows tells whether the schedule has what a clock shows.
func (n naive) shows(at time.Time) bool {
	day, weekday := n.dom.has(at.Day()), n.dow.has(int(at.Weekday()))
	either := day && weekday
	if !n.dom.all && !n.dow.all {
		either = day || weekday
	}
	return n.minute.has(at.Minute()) && n.hour.has(at.Hour()) && n.month.has(int(at.Month())) && either
}

// opens tells whether an opening is at a minute: the clock shows it, or would show it had clocks not gone forward.
func (n naive) opens(minute time.Time) bool {
	local := minute.In(n.Location)
	if n.shows(local) {
		return true
	}
	yesterday := minute.Add(-24 * time.Hour)
	_, now := local.Zone()
	_, then := yesterday.In(n.Location).Zone()
	start, _ := local.ZoneBounds()
	if now <= then || start.IsZero() || minute.Sub(start) >= time.Duration(now-then)*time.Second {
		return false
	}
	return n.shows(minute.UTC().Add(time.Duration(then) * time.Second))
}

func (n naive) open(at time.Time) bool {
	for m := at.Truncate(time.Minute); at.Sub(m) < n.Duration; m = m.Add(-time.Minute) {
		if n.opens(m) {
			return true
		}
	}
	return false
}

// closed is the state of several windows by definition.
func closed(ws []naive, at time.Time) bool {
	allows, allowed, denied := false, false, false
	for _, n := range ws {
		open := n.open(at)
		allows = allows || !n.Deny
		allowed = allowed || (open && !n.Deny)
		denied = denied || (open && n.Deny)
	}
	return denied || (allows && !allowed)
}

func windows(ws []naive) []Window {
	var out []Window
	for _, n := range ws {
		out = append(out, n.Window)
	}
	return out
}

// drawNow prefers the nights in which clocks change somewhere.
func drawNow(t *rapid.T) time.Time {
	nights := []time.Time{
		time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 8, 6, 0, 0, 0, time.UTC),
		time.Date(2026, 11, 1, 5, 0, 0, 0, time.UTC), time.Date(2026, 10, 3, 15, 0, 0, 0, time.UTC), time.Date(2026, 4, 4, 15, 0, 0, 0, time.UTC),
		time.Date(2026, 4, 23, 22, 0, 0, 0, time.UTC), time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC),
	}
	if rapid.Bool().Draw(t, "a night") {
		return rapid.SampledFrom(nights).Draw(t, "night").Add(time.Duration(rapid.IntRange(-400_000, 400_000).Draw(t, "seconds")) * time.Second / 8)
	}
	return time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(t, "now"), 0).UTC()
}

// What At says is what trying all minutes says, now and in all minutes that are tried until the state changes; there, it changes.
func TestAt_isWhatMinutesSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ws []naive
		for range rapid.IntRange(1, 3).Draw(t, "windows") {
			ws = append(ws, drawWindow(t))
		}
		now := drawNow(t)
		s := At(windows(ws), now)
		if s.Closed != closed(ws, now) {
			t.Fatalf("%v at %s: %+v, by all minutes closed: %v", windows(ws), now, s, !s.Closed)
		}
		next := s.NextClose
		if s.Closed {
			next = s.NextOpen
		}
		end := next
		if next.IsZero() {
			end = now.Add(365 * 24 * time.Hour)
		} else if closed(ws, next) == s.Closed || closed(ws, next.Add(-time.Second)) != s.Closed {
			t.Fatalf("%v at %s: %+v does not change at %s", windows(ws), now, s, next)
		}
		for range 12 {
			at := now.Add(time.Duration(rapid.Int64Range(0, int64(end.Sub(now)-1)).Draw(t, "between")))
			if closed(ws, at) != s.Closed || At(windows(ws), at).Closed != s.Closed {
				t.Fatalf("%v at %s: %+v has changed before, at %s", windows(ws), now, s, at)
			}
		}
	})
}

// A Deny window only closes, a further Allow window only opens, and windows of a kind are a union.
func TestAt_union(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, other := drawWindow(t).Window, drawWindow(t).Window, drawWindow(t).Window
		now := drawNow(t)
		shut := func(ws ...Window) bool { return At(ws, now).Closed }
		a.Deny, b.Deny = true, true
		if shut(a, b) != (shut(a) || shut(b)) {
			t.Fatalf("%s and %s at %s are not the union", a, b, now)
		}
		if !shut(a, other) && shut(other) {
			t.Fatalf("%s opens what %s closes, at %s", a, other, now)
		}
		a.Deny, b.Deny = false, false
		if shut(a, b) != (shut(a) && shut(b)) {
			t.Fatalf("%s and %s at %s are not the union", a, b, now)
		}
		if other.Deny = false; shut(a, b, other) && !shut(a, b) {
			t.Fatalf("%s closes what %s and %s open, at %s", other, a, b, now)
		}
	})
}

// Whatever text comes, parsing ends, and what parses can be asked.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 9 * * 1-5", "*/15 22-2 1,15 JAN-MAR ?", "59 23 29 2 *", "0 0 31 2,4 7", "* * * * *"} {
		f.Add(s, "8h", "Europe/Berlin")
	}
	now := time.Date(2026, 3, 29, 0, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, schedule, duration, zone string) {
		w, err := Parse(allow, schedule, otav1alpha1.Duration(duration), zone)
		if err != nil {
			return
		}
		s := At([]Window{w}, now)
		if s.Closed == (w.lastOpening(now).Add(w.Duration).After(now)) {
			t.Errorf("%s: %+v, opened last at %s", w, s, w.lastOpening(now))
		}
		if !s.Closed && !s.NextOpen.IsZero() || s.Closed && !s.NextClose.IsZero() {
			t.Errorf("%s: %+v says when it becomes what it is", w, s)
		}
	})
}
