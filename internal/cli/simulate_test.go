// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/simulate"
)

// policies are manifests as they are in Git.
var policies = map[string]string{
	"rollout.yaml": `apiVersion: ota.windlass.dev/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  channelRef: {name: production}
  bundleRef: {name: shop-2.4.1}
  steps:
  - setWeight: 1
  - pause: {duration: 30m}
  - setWeight: 10
  - pause: {duration: 1h}
  - setWeight: 50
  - pause: {duration: 1h}
  analysis:
    metrics:
    - name: failed
      telemetry: {outcome: Failed}
      maxIncrease: "1"
    - name: silent
      telemetry: {outcome: Silent}
      maxIncrease: "1.5"
`,
	"steep.yaml": `{apiVersion: ota.windlass.dev/v1alpha1, kind: Rollout, metadata: {name: shop}, spec: {channelRef: {name: production}, bundleRef: {name: shop},
  steps: [{setWeight: 5}, {pause: {duration: 1h}}]}}`,
	"channel.yaml": `{apiVersion: ota.windlass.dev/v1alpha1, kind: Channel, metadata: {name: production}, spec: {app: com.example.shop, maxFirstWeight: "5"}}`,
	"other.yaml":   `{apiVersion: ota.windlass.dev/v1alpha1, kind: Channel, metadata: {name: beta}, spec: {app: com.example.shop, maxFirstWeight: "5"}}`,
}

// simulated runs a simulation and reads its JSON.
func simulated(s *shell, args ...string) simulation {
	s.t.Helper()
	var out simulation
	if err := json.Unmarshal([]byte(s.run(append([]string{"simulate", "--output", "json"}, args...)...)), &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

func TestSimulate(t *testing.T) {
	s := newShell(t)
	s.write(policies)
	got := simulated(s, "-f", "rollout.yaml", "--runs", "20", "--scenario", "all", "--compare", "argo,flagger,peeking")
	if got.Rollout != "shop" || got.Channel != "production" || got.Devices != 100_000 || got.Runs != 20 || got.FalseAlarms != 0.05 ||
		got.Steps != "1 % 30m, 10 % 1h, 50 % 1h, then stable" {
		t.Errorf("%+v", got)
	}
	if len(got.Power) != 3 || got.Power[0].Devices != 393 || got.Power[0].Detects == "" {
		t.Errorf("power %+v", got.Power)
	}
	var names []string
	for _, e := range got.Scenarios {
		names = append(names, e.Scenario)
		var rules []simulate.Rule
		for _, r := range e.Rules {
			rules = append(rules, r.Rule)
			total := 0
			for _, n := range r.Outcomes {
				total += n
			}
			if total != 20 || r.Rollouts != 20 || (r.Tuning == nil) != (r.Rule == simulate.Windlass) || r.TakenBack.Low > r.TakenBack.Share || r.TakenBack.High < r.TakenBack.Share {
				t.Errorf("%s by %s: %+v", e.Scenario, r.Rule, r)
			}
		}
		if diff := cmp.Diff(simulate.Rules(), rules); diff != "" {
			t.Error(diff)
		}
		if len(e.Typical.Events) < 3 || e.Typical.Exposed == 0 {
			t.Errorf("%s: typical %+v", e.Scenario, e.Typical)
		}
		if e.Bad != slices.Contains([]string{"bad", "slice", "silent"}, e.Scenario) {
			t.Errorf("%s: bad is %t", e.Scenario, e.Bad)
		}
	}
	if diff := cmp.Diff(kindNames(), names); diff != "" {
		t.Error(diff)
	}
	for _, e := range got.Scenarios[:2] { // good and bad
		want := simulate.Completed
		if e.Bad {
			want = simulate.RolledBack
		}
		if e.Typical.Outcome != want || e.Rules[0].Outcomes[want] < 15 {
			t.Errorf("%s: typically %s, and %v of 20; want %s", e.Scenario, e.Typical.Outcome, e.Rules[0].Outcomes, want)
		}
	}
}

// The same seed gives the same result, another one another result. A log gets no colours.
func TestSimulateText(t *testing.T) {
	s := newShell(t)
	s.write(policies)
	args := []string{"simulate", "-f", "rollout.yaml", "--runs", "20", "--compare", "none"}
	text := s.run(args...)
	if text != s.run(args...) {
		t.Error("the same seed gives another result")
	}
	if text == s.run(append(args, "--seed", "2")...) {
		t.Error("another seed gives the same result")
	}
	for _, want := range []string{
		"rollout   shop on channel production\n", "steps     1 % 30m, 10 % 1h, 50 % 1h, then stable\n", "100 000, each checks in 1 times an hour; stable fails on 1 % of them\n",
		"a release that keeps its limits is taken back by the sequential tests at most 5 % of the time\n",
		"step 1 (1 %, 30m, about 393 devices) sees x", "\ngood: a typical rollout: stable after 2h30m, ", "\nbad=x5: a typical rollout: taken back after ",
		"\nAT ", "\n0s ", "20 rollouts of each rule; one that becomes stable is missed", "\nRULE ", "\nwindlass   100.0 % (76.7 to 100.0)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "argo") || strings.Contains(text, "\x1b") {
		t.Errorf("peers or colours in\n%s", text)
	}
	for line := range strings.Lines(text) {
		if strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
			t.Errorf("%q ends with spaces", line)
		}
	}
}

func TestSimulateChannel(t *testing.T) {
	s := newShell(t)
	s.write(policies)
	for name, tc := range map[string]struct {
		args []string
		want simulate.Outcome
	}{
		"as a Channel that says nothing":   {nil, simulate.Refused},
		"the Channel's limit":              {[]string{"--channel", "channel.yaml"}, simulate.Completed},
		"a flag":                           {[]string{"--max-first-weight", "5"}, simulate.Completed},
		"a flag in place of the Channel's": {[]string{"--channel", "channel.yaml", "--max-first-weight", "4.99"}, simulate.Refused},
	} {
		got := simulated(s, append([]string{"-f", "steep.yaml", "--runs", "2", "--scenario", "good", "--compare", "none"}, tc.args...)...)
		if o := got.Scenarios[0].Typical; o.Outcome != tc.want || tc.want == simulate.Refused && !strings.Contains(o.Reason, "maxFirstWeight") {
			t.Errorf("%s: %s: %s, want %s", name, o.Outcome, o.Reason, tc.want)
		}
	}
	s.write(map[string]string{"both.yaml": policies["steep.yaml"] + "\n---\n# nothing\n---\n" + policies["other.yaml"] + "\n---\n" + policies["channel.yaml"]})
	if got := simulated(s, "-f", "both.yaml", "--runs", "2", "--scenario", "good", "--compare", "none"); got.Scenarios[0].Typical.Outcome != simulate.Completed {
		t.Errorf("with the Channel in the file of the Rollout: %+v", got.Scenarios[0].Typical)
	}
	slow := simulated(s, "-f", "steep.yaml", "--channel", "channel.yaml", "--runs", "2", "--scenario", "good", "--compare", "none", "--max-weight-per-hour", "5")
	if took := slow.Scenarios[0].Typical.Seconds; took < 10*3600 {
		t.Errorf("with 5 points an hour it takes %s, want more than ten hours", seconds(took))
	}
}

func TestSimulateErrors(t *testing.T) {
	s := newShell(t)
	s.write(policies)
	s.write(map[string]string{
		"text.yaml": "just text", "two.yaml": policies["steep.yaml"] + "\n---\n" + policies["rollout.yaml"],
		"typo.yaml":    strings.Replace(policies["steep.yaml"], "steps:", "stpes:", 1),
		"refused.yaml": strings.Replace(policies["steep.yaml"], "setWeight: 5", "setWeight: 500", 1),
		"falls.yaml":   strings.Replace(policies["steep.yaml"], "{pause: {duration: 1h}}", "{setWeight: 1}", 1),
	})
	for _, tc := range []struct {
		code int
		want string
		args []string
	}{
		{ExitUsage, "--filename: expected the manifest of a Rollout", nil},
		{ExitError, "can be read", []string{"-f", "nothing.yaml"}},
		{ExitError, "channel.yaml: expected a Rollout, got none", []string{"-f", "channel.yaml"}},
		{ExitError, "text.yaml: expected manifests in YAML or JSON", []string{"-f", "text.yaml"}},
		{ExitError, "two.yaml: expected one Rollout, got shop and shop", []string{"-f", "two.yaml"}},
		{ExitError, `unknown field "stpes"`, []string{"-f", "typo.yaml"}},
		{ExitError, "must be a percentage from 0 to 100", []string{"-f", "refused.yaml"}},
		{ExitError, "weights must not fall", []string{"-f", "falls.yaml"}},
		{ExitError, "other.yaml: expected the Channel production, which the Rollout names, got none", []string{"-f", "rollout.yaml", "--channel", "other.yaml"}},
		{ExitUsage, "--scenario", []string{"-f", "rollout.yaml", "--scenario", "worse"}},
		{ExitUsage, "good twice", []string{"-f", "rollout.yaml", "--scenario", "good", "--scenario", "good"}},
		{ExitUsage, `--compare: expected argo, flagger, peeking or none, got "spinnaker"`, []string{"-f", "rollout.yaml", "--compare", "spinnaker"}},
		{ExitUsage, "got \"none\"", []string{"-f", "rollout.yaml", "--compare", "argo,none"}},
		{ExitUsage, "--fleet: expected 1 to 1000000000", []string{"-f", "rollout.yaml", "--fleet", "0"}},
		{ExitUsage, "--check-ins", []string{"-f", "rollout.yaml", "--check-ins", "NaN"}},
		{ExitUsage, "--base-rate: expected a share", []string{"-f", "rollout.yaml", "--base-rate", "1"}},
		{ExitUsage, "--runs", []string{"-f", "rollout.yaml", "--runs", "10000000"}},
		{ExitUsage, "--start: expected a time such as", []string{"-f", "rollout.yaml", "--start", "monday"}},
		{ExitUsage, "--max-first-weight: expected a percentage above 0", []string{"-f", "rollout.yaml", "--max-first-weight", "0"}},
		{ExitUsage, "--max-weight-per-hour: expected percentage points", []string{"-f", "rollout.yaml", "--max-weight-per-hour", "x"}},
		{ExitUsage, "--plot: expected NAME.svg or NAME.png", []string{"-f", "rollout.yaml", "--plot", "a.gif"}},
		{ExitError, "can be written to", []string{"-f", "rollout.yaml", "--runs", "1", "--compare", "none", "--plot", "nowhere/a.svg"}},
	} {
		s.fails(tc.code, tc.want, append([]string{"simulate"}, tc.args...)...)
	}
}

// An interrupt ends the work at once.
func TestSimulateInterrupt(t *testing.T) {
	s := newShell(t)
	s.write(policies)
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	var errs bytes.Buffer
	streams := Streams{Out: io.Discard, Err: &errs, Getenv: func(string) string { return "" }, Now: time.Now, Terminal: true}
	if code := Run(ctx, streams, []string{"simulate", "-f", "rollout.yaml", "--runs", "100", "--scenario", "all"}); code != ExitError || !strings.Contains(errs.String(), "deadline exceeded") {
		t.Errorf("exit code %d: %q", code, errs.String())
	}
	if !strings.Contains(errs.String(), "\r\x1b[Ksimulating: good (1 of 28)") {
		t.Errorf("no progress in %q", errs.String())
	}
}

// A log gets a line of progress every ten seconds, a terminal five in a second, and none when it is to be quiet.
func TestCounter(t *testing.T) {
	for name, tc := range map[string]struct {
		terminal, quiet bool
		by              time.Duration
		want            string
	}{
		"a log of long work":         {false, false, 5 * time.Second, "simulating: b (2 of 2): 1 of 2\n"},
		"a log of quick work":        {false, false, time.Second, ""},
		"a terminal":                 {true, false, time.Second, "\r\x1b[Ksimulating: a (1 of 2)\r\x1b[Ksimulating: b (2 of 2)\r\x1b[Ksimulating: b (2 of 2): 1 of 2\r\x1b[Ksimulating: b (2 of 2): 2 of 2\r\x1b[K"},
		"a terminal with quick work": {true, false, time.Millisecond, "\r\x1b[Ksimulating: a (1 of 2)\r\x1b[Ksimulating: b (2 of 2)\r\x1b[K"},
		"quiet":                      {true, true, time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			clock := now
			a := &app{Streams: Streams{Err: &out, Terminal: tc.terminal, Now: func() time.Time { return clock }}, quiet: tc.quiet}
			c := a.counter("simulating", 2)
			for _, step := range []func(){func() { c.next("a") }, func() { c.next("b") }, func() { c.tick(2) }, func() { c.tick(2) }} {
				step()
				clock = clock.Add(tc.by)
			}
			c.end()
			c.tick(2)
			if out.String() != tc.want {
				t.Errorf("%q, want %q", out.String(), tc.want)
			}
		})
	}
}

// wordsOf are the texts in a picture.
func wordsOf(t *testing.T, svg string) (words []string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return words
		}
		if err != nil {
			t.Fatalf("no XML: %v", err)
		}
		if chars, ok := token.(xml.CharData); ok && strings.TrimSpace(string(chars)) != "" {
			words = append(words, strings.TrimSpace(string(chars)))
		}
	}
}

// The plots are pictures that other programs can read, with all that is promised in them.
func TestPlot(t *testing.T) {
	s := newShell(t)
	s.write(policies)
	s.run("simulate", "-f", "rollout.yaml", "--runs", "1", "--compare", "none", "--plot", "plot.svg")
	text := s.read("plot.svg")
	words := wordsOf(t, text)
	for _, want := range []string{"good", "bad=x5", "weight (%)", "evidence against it", "devices exposed", "hours since the start", "shop: 1 % 30m, 10 % 1h, 50 % 1h, then stable"} {
		if !slices.Contains(words, want) {
			t.Errorf("no %q among %q", want, words)
		}
	}
	for _, want := range []string{"taken back from ", "nothing rises from "} {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, want) }) {
			t.Errorf("no line %q", want)
		}
	}
	if len(text) > 100_000 || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("%d bytes, or a number that is none", len(text))
	}
	s.run("simulate", "-f", "rollout.yaml", "--runs", "1", "--compare", "none", "--scenario", "silent", "--plot", "plot.png")
	f, err := os.Open("plot.png")
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if b := picture.Bounds(); b.Dx() < 800 || b.Dy() < 800 {
		t.Errorf("the picture has %v", b)
	}
	again := s.read("plot.svg")
	if s.run("simulate", "-f", "rollout.yaml", "--runs", "1", "--compare", "none", "--plot", "plot.svg"); s.read("plot.svg") != again {
		t.Error("the same seed draws another picture")
	}
}

// A plot of a policy without sequential tests has no limits, and one of a release that never starts is still a picture.
func TestPlotOfLittle(t *testing.T) {
	s := newShell(t)
	s.write(policies)
	for _, args := range [][]string{{}, {"--max-first-weight", "5"}} {
		s.run(append([]string{"simulate", "-f", "steep.yaml", "--runs", "1", "--compare", "none", "--plot", "plot.svg"}, args...)...)
		if text := s.read("plot.svg"); !strings.HasSuffix(text, "</svg>\n") || strings.Contains(text, "taken back") || strings.Contains(text, "NaN") {
			t.Errorf("%v: %d bytes, with limits or NaN", args, len(text))
		}
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1 000", 1234567.8: "1 234 568", -1234: "-1 234"} {
		if got := number(v); got != want {
			t.Errorf("%g is %q, want %q", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 1500 * time.Millisecond: "2s", 90 * time.Second: "1m30s", 10*time.Minute + 29*time.Second: "10m", 100 * time.Minute: "1h40m", 2 * time.Hour: "2h",
	} {
		if got := span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

// Ticks are few, round, and within the axis.
func TestTicks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hours := rapid.Float64Range(0.001, 10_000).Draw(t, "hours")
		ticks := evenTicks{}.Ticks(0, hours)
		if len(ticks) < 3 || len(ticks) > 11 {
			t.Fatalf("%d ticks over %g hours", len(ticks), hours)
		}
		high := rapid.Float64Range(0, 12).Draw(t, "high")
		powers := powers10(lowDevices).Ticks(0, high)
		if len(powers) < 1 || len(powers) > 8 || powers[0].Label != "1" {
			t.Fatalf("%v up to 1e%g", powers, high)
		}
		for _, tick := range append(ticks, powers...) {
			if _, err := strconv.ParseFloat(strings.ReplaceAll(tick.Label, "\u00a0", ""), 64); err != nil {
				t.Fatalf("%q is no number", tick.Label)
			}
		}
	})
}
