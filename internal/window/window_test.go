// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package window

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const (
	allow = otav1alpha1.WindowAllow
	deny  = otav1alpha1.WindowDeny
)

// parse reads a window as tables have it: Allow, schedule, duration, time zone.
func parse(t *testing.T, kind otav1alpha1.WindowKind, schedule, duration, zone string) Window {
	t.Helper()
	w, err := Parse(kind, schedule, otav1alpha1.Duration(duration), zone)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	out, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestParse_refuses(t *testing.T) {
	for name, tc := range map[string]struct {
		kind                               otav1alpha1.WindowKind
		schedule, duration, zone, expected string
	}{
		"kind":           {"Perhaps", "0 9 * * *", "8h", "", `kind is "Perhaps", expected Allow or Deny`},
		"no kind":        {"", "0 9 * * *", "8h", "", `kind is ""`},
		"four fields":    {allow, "0 9 * *", "8h", "", `schedule is "0 9 * *": expected five fields of cron`},
		"six fields":     {allow, "0 0 9 * * *", "8h", "", "expected five fields of cron"},
		"nickname":       {allow, "@daily", "8h", "", "expected five fields of cron"},
		"out of range":   {allow, "60 9 * * *", "8h", "", "above maximum (59)"},
		"zone within":    {allow, "CRON_TZ=Asia/Tokyo 0 9 * * *", "8h", "", "name the time zone in timeZone"},
		"never":          {allow, "0 9 30 2 *", "8h", "", "expected a day that exists"},
		"no duration":    {allow, "0 9 * * *", "", "", `duration is "", expected a time from 1m to 8784h`},
		"short duration": {allow, "0 9 * * *", "59s", "", `duration is "59s"`},
		"long duration":  {allow, "0 9 * * *", "8785h", "", `duration is "8785h"`},
		"unknown zone":   {allow, "0 9 * * *", "8h", "Europe/Atlantis", `timeZone is "Europe/Atlantis", expected a name of the IANA`},
		"zone of here":   {allow, "0 9 * * *", "8h", "Local", `timeZone is "Local"`},
		"zone by path":   {allow, "0 9 * * *", "8h", "../../etc/localtime", "timeZone is"},
	} {
		_, err := Parse(tc.kind, tc.schedule, otav1alpha1.Duration(tc.duration), tc.zone)
		if err == nil || !strings.Contains(err.Error(), tc.expected) {
			t.Errorf("%s: got %v, want %s", name, err, tc.expected)
		}
	}
}

// One window: when it opens and closes, where clocks change and calendars are uneven.
func TestAt_oneWindow(t *testing.T) {
	for name, tc := range map[string]struct {
		schedule, duration, zone string
		now                      string
		open                     bool
		next                     string // change of the state
	}{
		"office hours, before": {"0 9 * * 1-5", "8h", "", "2026-01-05T08:59:59Z", false, "2026-01-05T09:00:00Z"},
		"at the opening":       {"0 9 * * 1-5", "8h", "", "2026-01-05T09:00:00Z", true, "2026-01-05T17:00:00Z"},
		"just before the end":  {"0 9 * * 1-5", "8h", "", "2026-01-05T16:59:59.9Z", true, "2026-01-05T17:00:00Z"},
		"at the end":           {"0 9 * * 1-5", "8h", "", "2026-01-05T17:00:00Z", false, "2026-01-06T09:00:00Z"},
		"over the weekend":     {"0 9 * * 1-5", "8h", "", "2026-01-09T17:00:00Z", false, "2026-01-12T09:00:00Z"},
		"over midnight":        {"0 22 * * *", "4h", "", "2026-01-06T01:30:00Z", true, "2026-01-06T02:00:00Z"},
		"over New Year":        {"0 18 31 12 *", "14h", "", "2026-12-31T23:59:59Z", true, "2027-01-01T08:00:00Z"},
		"overlapping itself":   {"0 9,12 * * *", "5h", "", "2026-01-05T13:00:00Z", true, "2026-01-05T17:00:00Z"},
		"touching itself":      {"0 9,12 * * *", "3h", "", "2026-01-05T10:00:00Z", true, "2026-01-05T15:00:00Z"},
		"longer than a day":    {"0 0 * * 1-5", "36h", "", "2026-01-05T00:00:00Z", true, "2026-01-10T12:00:00Z"},
		"always":               {"*/15 * * * *", "15m", "", "2026-01-05T00:00:00Z", true, ""},
		"always, by the day":   {"0 0 * * *", "24h", "", "2026-01-05T00:00:00Z", true, ""},
		"each minute of May":   {"* * * 5 *", "1m", "", "2026-05-01T00:00:30Z", true, "2026-06-01T00:00:00Z"},
		"leap day":             {"0 0 29 2 *", "24h", "", "2027-06-01T00:00:00Z", false, "2028-02-29T00:00:00Z"},
		"no leap day near":     {"0 0 29 2 *", "24h", "", "2025-06-01T00:00:00Z", false, ""},
		"either kind of day":   {"0 0 13 * 5", "24h", "", "2026-01-10T00:00:00Z", false, "2026-01-13T00:00:00Z"},
		"for a whole year":     {"0 0 1 1 *", "8784h", "", "2026-07-01T00:00:00Z", true, ""},

		"Berlin in winter":               {"0 9 * * *", "8h", "Europe/Berlin", "2026-01-05T00:00:00Z", false, "2026-01-05T08:00:00Z"},
		"Berlin in summer":               {"0 9 * * *", "8h", "Europe/Berlin", "2026-07-05T00:00:00Z", false, "2026-07-05T07:00:00Z"},
		"Berlin, time that never is":     {"30 2 * * *", "1h", "Europe/Berlin", "2026-03-29T00:00:00Z", false, "2026-03-29T01:30:00Z"},
		"Berlin, after it never was":     {"30 2 * * *", "1h", "Europe/Berlin", "2026-03-29T01:45:00Z", true, "2026-03-29T02:30:00Z"},
		"Berlin, hour that never is":     {"0 2 * * *", "1h", "Europe/Berlin", "2026-03-29T01:00:00Z", true, "2026-03-29T02:00:00Z"},
		"Berlin, short night":            {"0 22 * * *", "8h", "Europe/Berlin", "2026-03-28T22:00:00Z", true, "2026-03-29T05:00:00Z"},
		"Berlin, time that is twice":     {"0 2 * * *", "30m", "Europe/Berlin", "2026-10-25T00:10:00Z", true, "2026-10-25T00:30:00Z"},
		"Berlin, between the two":        {"0 2 * * *", "30m", "Europe/Berlin", "2026-10-25T00:45:00Z", false, "2026-10-25T01:00:00Z"},
		"Berlin, second of the two":      {"0 2 * * *", "30m", "Europe/Berlin", "2026-10-25T01:29:00Z", true, "2026-10-25T01:30:00Z"},
		"Berlin, both hours in one":      {"0 2 * * *", "1h", "Europe/Berlin", "2026-10-25T00:10:00Z", true, "2026-10-25T02:00:00Z"},
		"Berlin, long day":               {"0 0 * * 0", "24h", "Europe/Berlin", "2026-10-25T12:00:00Z", true, "2026-10-25T22:00:00Z"},
		"New York, time that never is":   {"30 2 * * *", "1h", "America/New_York", "2026-03-08T06:00:00Z", false, "2026-03-08T07:30:00Z"},
		"New York, after it never was":   {"30 2 * * *", "1h", "America/New_York", "2026-03-08T08:29:00Z", true, "2026-03-08T08:30:00Z"},
		"New York, time that is twice":   {"30 1 * * *", "10m", "America/New_York", "2026-11-01T05:00:00Z", false, "2026-11-01T05:30:00Z"},
		"New York, and again":            {"30 1 * * *", "10m", "America/New_York", "2026-11-01T05:40:00Z", false, "2026-11-01T06:30:00Z"},
		"Cairo, midnight that never is":  {"0 0 * * 5", "24h", "Africa/Cairo", "2026-04-23T21:59:00Z", false, "2026-04-23T22:00:00Z"},
		"Lord Howe, half an hour":        {"15 2 * * *", "1h", "Australia/Lord_Howe", "2026-10-03T15:00:00Z", false, "2026-10-03T15:45:00Z"},
		"Apia, a day that never was":     {"0 12 30 12 *", "1h", "Pacific/Apia", "2011-12-30T21:00:00Z", false, "2011-12-30T22:00:00Z"},
		"each minute, as clocks go on":   {"* * * * *", "1m", "Europe/Berlin", "2026-03-28T12:00:00Z", true, ""},
		"each hour, as clocks turn back": {"0 * * * *", "15m", "Europe/Berlin", "2026-10-25T00:20:00Z", false, "2026-10-25T01:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []otav1alpha1.WindowKind{allow, deny} {
				w := parse(t, kind, tc.schedule, tc.duration, tc.zone)
				s := At([]Window{w}, at(t, tc.now))
				closed := tc.open == w.Deny
				next, other := s.NextClose, s.NextOpen
				if closed {
					next, other = other, next
				}
				if s.Closed != closed || !next.Equal(at(t, tc.next)) || !other.IsZero() || s.Reason == "" {
					t.Errorf("%s: got %+v\nwant closed %v until %q", w, s, closed, tc.next)
				}
			}
		})
	}
}

// Several windows: which one says so, and until when.
func TestAt_together(t *testing.T) {
	office := parse(t, allow, "0 9 * * 1-5", "8h", "Europe/Berlin")
	evening := parse(t, allow, "0 17 * * 1-5", "2h", "Europe/Berlin")
	lunch := parse(t, deny, "0 12 * * *", "1h", "Europe/Berlin")
	freeze := parse(t, deny, "0 0 20 12 *", "360h", "Europe/Berlin")
	always := parse(t, deny, "* * * * *", "1m", "")
	for name, tc := range map[string]struct {
		windows []Window
		now     string
		want    State
	}{
		"none": {nil, "2026-01-05T10:00:00Z", State{}},
		"allowed until lunch": {[]Window{office, lunch}, "2026-01-05T10:00:00Z",
			State{Reason: `inside the Allow window "0 9 * * 1-5" for 8h (Europe/Berlin)`, NextClose: at(t, "2026-01-05T11:00:00Z")}},
		"denied by lunch": {[]Window{office, lunch}, "2026-01-05T11:00:00Z",
			State{Closed: true, Reason: `inside the Deny window "0 12 * * *" for 1h (Europe/Berlin)`, NextOpen: at(t, "2026-01-05T12:00:00Z")}},
		"two that touch": {[]Window{office, evening}, "2026-01-05T15:00:00Z",
			State{Reason: `inside the Allow window "0 9 * * 1-5" for 8h (Europe/Berlin)`, NextClose: at(t, "2026-01-05T18:00:00Z")}},
		"allowed, and frozen": {[]Window{office, freeze}, "2026-12-21T10:00:00Z",
			State{Closed: true, Reason: `inside the Deny window "0 0 20 12 *" for 360h (Europe/Berlin)`, NextOpen: at(t, "2027-01-04T08:00:00Z")}},
		"the longest denial says so": {[]Window{lunch, freeze}, "2026-12-21T11:30:00Z",
			State{Closed: true, Reason: `inside the Deny window "0 0 20 12 *" for 360h (Europe/Berlin)`, NextOpen: at(t, "2027-01-03T23:00:00Z")}},
		"outside of two": {[]Window{evening, office}, "2026-01-05T05:00:00Z",
			State{Closed: true, Reason: `outside the Allow window "0 9 * * 1-5" for 8h (Europe/Berlin)`, NextOpen: at(t, "2026-01-05T08:00:00Z")}},
		"not denied": {[]Window{lunch, freeze}, "2026-01-05T13:00:00Z",
			State{Reason: "outside all Deny windows (2)", NextClose: at(t, "2026-01-06T11:00:00Z")}},
		"denied for ever": {[]Window{office, always}, "2026-01-05T13:00:00Z",
			State{Closed: true, Reason: `inside the Deny window "* * * * *" for 1m (UTC)`}},
		"allowed in no year near": {[]Window{parse(t, allow, "0 0 29 2 *", "1h", "")}, "2025-01-05T13:00:00Z",
			State{Closed: true, Reason: "outside all Allow windows (1), none of which opens within a year"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := At(tc.windows, at(t, tc.now))
			if got.Closed != tc.want.Closed || got.Reason != tc.want.Reason || !got.NextOpen.Equal(tc.want.NextOpen) || !got.NextClose.Equal(tc.want.NextClose) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// What a look costs: each reconcile takes one.
func BenchmarkAt(b *testing.B) {
	now := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	for name, spec := range map[string][2]string{"office": {"0 9 * * 1-5", "8h"}, "always": {"* * * * *", "1m"}, "leap": {"0 0 29 2 *", "24h"}} {
		w, err := Parse(allow, spec[0], otav1alpha1.Duration(spec[1]), "Europe/Berlin")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				At([]Window{w}, now)
			}
		})
	}
}
