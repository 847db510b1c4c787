// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/resolve"
)

// lines are the steps as a person reads them.
func lines(e resolve.Explanation) string {
	var out []string
	for _, s := range e.Steps {
		line := string(s.Rule) + ": "
		if s.Reason != "" {
			line += string(s.Reason) + ": "
		}
		out = append(out, line+s.Detail)
	}
	return strings.Join(out, "\n")
}

func TestExplain(t *testing.T) {
	t.Parallel()
	const metadata = "metadata: 1 channels of app shop; the metadata hold until 2027-01-15T08:01:00Z\n"
	const open = "visibility Public, selfAssignment Denied, platforms any, builds any, on any\n"
	const served = "serving: channel production, revision 3\n" +
		"audience: device: ios, Production, Device; serves platforms any, builds any, on any\n"
	const fits = "key: bundle 2.4.1: not encrypted; device: tells nothing of keys\n" +
		"floor: bundle 2.4.1, floor none\n" +
		"autoUpdate: bundle 2.4.1, native 2.0.0: Minor, allowed Major\n" +
		"compatibility: bundle 2.4.1: platforms any, native version \"\", runtime version \"\"; device: ios, 2.0.0, \"52\"\n" +
		"belowNative: bundle 2.4.1, native 2.0.0: older is Denied\n"
	const lease = "lease: of candidate 2.4.1 until 2027-01-15T09:00:00Z, then StopOffering\n"
	stableFits := strings.ReplaceAll(fits, "bundle 2.4.1", "bundle 2.4.0")
	for _, tc := range []struct {
		name   string
		doc    docEdits
		device devEdits
		want   string
	}{
		{"candidate", docEdits{withFloor, floorVersion("1.0.0"), weight(9000)}, devEdits{version("2.3.0")}, metadata +
			"public: production: " + open + served + strings.Replace(fits, "floor none", "floor 1.0.0", 1) + lease +
			"cohort: Candidate: slot 7112 of 10000, candidate 2.4.1 at weight 9000 (90.00 %): candidate\n" +
			"passage: device counts as version 2.3.0, floor 1.0.0, bundle to pass through: 2.1.0\n" +
			"refused: device runs bundle 2.3.0\n" +
			"running: device runs bundle 2.3.0, bundle 2.4.1\n" +
			"failed: bundle 2.4.1\n" +
			"answer: Candidate: update; bundle: 2.4.1; arm: candidate"},
		{"control", docEdits{weight(25)}, devEdits{running(stable)}, metadata +
			"public: production: " + open + served + fits + lease +
			"cohort: slot 7112 of 10000, candidate 2.4.1 at weight 25 (0.25 %): control\n" +
			"failed: bundle 2.4.1\n" +
			"refused: device runs bundle 2.4.0 (" + stable.Digest + ")\n" +
			"running: UpToDate: device runs bundle 2.4.0 (" + stable.Digest + "), bundle 2.4.0\n" +
			"answer: UpToDate: none; bundle: 2.4.0; arm: control"},
		{"failed before", nil, devEdits{failed(candidate)}, metadata +
			"public: production: " + open + served + fits + lease +
			"cohort: Candidate: slot 7112 of 10000, candidate 2.4.1 at weight 10000 (100.00 %): candidate\n" +
			"refused: device runs the embedded bundle of native build 2.0.0\n" +
			"running: device runs the embedded bundle of native build 2.0.0, bundle 2.4.1\n" +
			"failed: FailedBefore: bundle 2.4.1\n" +
			"running: device runs the embedded bundle of native build 2.0.0, bundle 2.4.0\n" + stableFits +
			"failed: bundle 2.4.0\n" +
			"answer: Stable: update; bundle: 2.4.0; arm: none"},
		{"denied", docEdits{noCandidate, guards("Patch", "")}, devEdits{digest(foreign), carries("MIIB")}, metadata +
			"public: production: " + open + served +
			"refused: device runs the bundle " + foreign + "\n" +
			"running: device runs the bundle " + foreign + ", bundle 2.4.0\n" +
			"key: KeyMismatch: bundle 2.4.0: not encrypted; device: key \"MIIB\"\n" +
			"answer: KeyMismatch: none; bundle: 2.4.0; arm: none"},
	} {
		view := resolve.NewView(now.Add(time.Minute), channel(t, "production", tc.doc...))
		d := device(tc.device...)
		if diff := cmp.Diff(tc.want, lines(view.Explain("shop", resolve.Wish{}, &d, now))); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}

func TestExplainFollow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		wish resolve.Wish
		want string
	}{
		{resolve.Wish{Override: "gone", Channel: "a-staff"}, "override: UnknownChannel: stored for the device: gone, which does not exist; it is passed over\n" +
			"wish: ChannelPrivate: asks for a-staff: visibility Private, selfAssignment Denied, platforms any, builds any, on any\n" +
			"public: PlatformNotServed: android: visibility Public, selfAssignment Denied, platforms android, builds any, on any\n" +
			"public: ios-late: visibility Public, selfAssignment Denied, platforms ios, builds any, on any"},
		{resolve.Wish{Override: "old", Channel: "a-staff"}, "override: stored for the device: old\n" +
			"signed: MetadataExpired: the metadata of old hold until 2027-01-15T08:00:00Z\n" +
			"answer: MetadataExpired: none; bundle: embedded or none; arm: none"},
		{resolve.Wish{Override: "nightly"}, "override: PlatformNotServed: stored for the device: nightly, which does not serve it and is passed over: " +
			"visibility Private, selfAssignment Denied, platforms android, builds any, on any\npublic: PlatformNotServed: android"},
		{resolve.Wish{Channel: "unreadable"}, "wish: asks for unreadable: its release document cannot be read; who follows it is not known, but for devices that name it\n" +
			"serving: ReleaseUnreadable: channel unreadable, revision 0"},
		{resolve.Wish{Channel: "no such", Exact: true}, `wish: UnknownChannel: asks for "no such", which does not exist`},
	} {
		d := device()
		if got := lines(shop(t).Explain("shop", tc.wish, &d, now)); !strings.Contains(got, tc.want) {
			t.Errorf("%+v: got\n%s\nwant\n%s", tc.wish, got, tc.want)
		}
	}
}

// Of a channel that cannot be read, a trace says who follows it all the same.
func TestExplainFollow_unreadable(t *testing.T) {
	t.Parallel()
	view := resolve.NewView(now.Add(time.Minute), torn("beta", private), torn("production", platforms("ios")))
	d := device()
	got := lines(view.Explain("shop", resolve.Wish{Channel: "beta"}, &d, now))
	const unread = "its release document cannot be read; visibility "
	want := "wish: ChannelPrivate: asks for beta: " + unread + "Private, selfAssignment Denied, platforms any, builds any, on any\n" +
		"public: production: " + unread + "Public, selfAssignment Denied, platforms ios, builds any, on any\n" +
		"serving: ReleaseUnreadable: channel production, revision 0"
	if !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// decide is what a protocol does.
func decide(v *resolve.View, wish resolve.Wish, d *resolve.Device) (string, resolve.Decision) {
	c, why := v.Follow("shop", wish, d, now)
	if c == nil {
		return "", resolve.Decision{Action: resolve.None, Reason: why}
	}
	return c.Name, c.Decide(d, now)
}

// An explanation explains the decision that is made, and ends with it.
func TestExplainIsTheDecision(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		view, wish, dev := anyView(t).View, anyWish(t), anyDevice(t)
		name, told := decide(view, wish, &dev)
		e := view.Explain("shop", wish, &dev, now)
		if e.Channel != name || e.Decision != told {
			t.Fatalf("decided %s %+v, explained %s %+v", name, told, e.Channel, e.Decision)
		}
		last := e.Steps[len(e.Steps)-1]
		if last.Rule != resolve.RuleAnswer || last.Reason != told.Reason {
			t.Fatalf("decided %s, the last step is %+v", told.Reason, last)
		}
		found := false
		for _, s := range e.Steps[:len(e.Steps)-1] {
			if s.Detail == "" || strings.Contains(s.Detail, "%!") {
				t.Fatalf("step %+v", s)
			}
			if dev.ID != "" && len(dev.ID) > 8 && strings.Contains(s.Detail, dev.ID) {
				t.Fatalf("names the device: %+v", s)
			}
			found = found || s.Reason == told.Reason
		}
		if !found && !silent[told.Reason] {
			t.Fatalf("no rule found %s:\n%s", told.Reason, lines(e))
		}
	})
}

// silent are the reasons that no rule finds: what is left when all let the device pass, and when there is no bundle.
var silent = map[resolve.Reason]bool{
	resolve.ReasonStable: true, resolve.ReasonNoStable: true, resolve.ReasonNothingReleased: true,
}

// Every reason is in some trace.
func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	seen := map[resolve.Reason]bool{}
	note := func(v *resolve.View, wish resolve.Wish, edit ...func(*resolve.Device)) {
		d := device(edit...)
		for _, s := range v.Explain("shop", wish, &d, now).Steps {
			seen[s.Reason] = true
		}
	}
	for _, tc := range cases {
		note(resolve.NewView(now.Add(time.Minute), channel(t, "production", tc.doc...)), resolve.Wish{}, tc.device...)
	}
	note(nil, resolve.Wish{})
	note(resolve.NewView(now.Add(time.Minute)), resolve.Wish{})
	for _, name := range []string{"a-staff", "unreadable", "old", "gone"} {
		note(shop(t), resolve.Wish{Channel: name, Exact: true})
	}
	note(resolve.NewView(now.Add(time.Minute), channel(t, "staff", private)), resolve.Wish{})
	for reason := range resolve.Reasons {
		if !seen[reason] {
			t.Errorf("no trace shows %s", reason)
		}
	}
}

// The request path pays nothing for that decisions can be explained.
func TestDecideDoesNotAllocate(t *testing.T) {
	view := shop(t)
	var docs []*resolve.Channel
	for _, edit := range []docEdits{nil, {withFloor}, {weight(0)}, {noCandidate}, {halted}, {refuse(candidate)}, {guards("None", "")}} {
		docs = append(docs, channel(t, "production", edit...))
	}
	devices := []resolve.Device{
		device(), device(running(stable)), device(failed(candidate)), device(carries("MIIB")), device(runsForeign), device(platform("web")),
	}
	wishes := []resolve.Wish{{}, {Channel: "production"}, {Channel: "gone", Exact: true}, {Override: "a-staff"}, {Channel: "a-staff"}}
	allocs := testing.AllocsPerRun(100, func() {
		for i := range devices {
			d := devices[i]
			for _, c := range docs {
				c.Decide(&d, now)
			}
			for _, wish := range wishes {
				view.Follow("shop", wish, &d, now)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}
