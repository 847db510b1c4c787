// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/hack/fleet/device"
)

func TestParse(t *testing.T) {
	if o, err := parse([]string{"-prometheus", "-devices", "2000"}); err != nil || !o.prometheus || o.devices != 2000 {
		t.Errorf("parse gave %+v and %v", o, err)
	}
	for arg, want := range map[string]string{"-devices=10": "at least 1000", "-poll=1ms": "at least 100ms", "now": "unexpected argument"} {
		if _, err := parse([]string{arg}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parse of %s gave %v, want an error with %q", arg, err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(file, []byte("kind: A\nmetadata: {name: '${NAME}'}\n---\nkind: B\nquery: '{{ quote .app }}'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	objs, err := load(file, vars{"NAME": "a"})
	if err != nil {
		t.Fatal(err)
	}
	want := []*unstructured.Unstructured{
		{Object: map[string]any{"kind": "A", "metadata": map[string]any{"name": "a"}}},
		{Object: map[string]any{"kind": "B", "query": "{{ quote .app }}"}},
	}
	if diff := cmp.Diff(want, objs); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
	if _, err := load(file, nil); err == nil || !strings.Contains(err.Error(), "${NAME}") {
		t.Errorf("with a variable missing load gave %v", err)
	}
}

// TestSamples holds the number of devices that a step waits for against chance: a step must not wait for ever.
func TestSamples(t *testing.T) {
	for _, devices := range []int{minDevices, 2000, 5000, 100_000} {
		for _, percent := range []int{1, 10, 50, 100} {
			got := samples(devices, percent)
			mean := float64(devices*percent) / 100
			sd := math.Sqrt(mean * (1 - float64(percent)/100))
			if got < 1 || float64(got) > max(1, mean-3.5*sd) {
				t.Errorf("samples(%d, %d) is %d, want at least 1 and at most %g", devices, percent, got, mean-3.5*sd)
			}
		}
	}
	// One failure among so many devices must not be more than the limit of config/samples/demo/rollout.yaml, 5 %.
	if n := samples(5000, 1); n < 20 {
		t.Errorf("with 5000 devices the first step waits for %d, want at least 20", n)
	}
}

// world makes a view of a channel in the middle of a release.
func world(stable, candidate, weight string, state otav1alpha1.ReleaseState) *view {
	v := &view{devices: device.Status{Devices: 100, Bundles: map[string]device.Bundle{first: {Running: 90}, second: {Running: 10, Failed: 2}}}}
	if stable != "" {
		v.channel.Status.Stable = &otav1alpha1.ServedBundle{Version: otav1alpha1.Version(stable)}
	}
	if candidate != "" {
		v.channel.Status.Candidate = &otav1alpha1.CandidateBundle{Version: otav1alpha1.Version(candidate), Weight: otav1alpha1.Percent(weight)}
	}
	v.rollout.Status.Release = &otav1alpha1.ReleaseStatus{Bundle: "shop-" + second, State: state}
	v.rollout.Status.Conditions = []metav1.Condition{
		{Type: otav1alpha1.ReadyCondition, Reason: otav1alpha1.ProgressingReason}, {Type: otav1alpha1.AnalysisPassingCondition, Reason: "Passing"},
	}
	v.rollout.Status.Analysis = []otav1alpha1.MetricStatus{
		{Name: "failures", Evidence: "3.1", EvidenceLimit: "40"}, {Name: "query"}, {Name: "silence", Evidence: "1", EvidenceLimit: "40"},
	}
	return v
}

func TestAct(t *testing.T) {
	at := func(s int64) *metav1.MicroTime { return &metav1.MicroTime{Time: time.Unix(s, 0)} }
	a := &act{version: second, digest: "sha256:b", started: time.Unix(0, 0)}
	for _, w := range []string{"1", "1", "10"} {
		a.note(world(first, second, w, otav1alpha1.ReleaseProgressing))
	}
	failing := world(first, second, "10", otav1alpha1.ReleaseRollingBack)
	failing.rollout.Status.Analysis = []otav1alpha1.MetricStatus{{Name: "m", Verdict: otav1alpha1.VerdictFailing, Message: "bad", MeasuredAt: at(7)}}
	failing.channel.Status.Published = &otav1alpha1.PublishedStatus{At: at(5)}
	a.note(failing)
	if !a.commit.IsZero() {
		t.Error("a rollback was noted before it was committed")
	}
	home := world(first, "", "", otav1alpha1.ReleaseRolledBack)
	home.rollout.Status.Analysis = failing.rollout.Status.Analysis
	home.channel.Status.Refused = []otav1alpha1.RefusedBundle{{Digest: "sha256:b"}}
	home.channel.Status.Published = &otav1alpha1.PublishedStatus{At: at(8)}
	a.note(home)
	a.ended = time.Unix(9, 0)
	if diff := cmp.Diff([]string{"1", "10"}, a.weights); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
	if a.breach.Unix() != 7 || a.commit.Unix() != 8 || a.why != "m: bad" {
		t.Errorf("breach at %d, commit at %d, because of %q; want 7, 8 and m: bad", a.breach.Unix(), a.commit.Unix(), a.why)
	}
	if err := completed.check(a); err == nil {
		t.Error("a release that was taken back counts as completed")
	}
	if err := rolledBack.check(a); err == nil || !strings.Contains(err.Error(), "stable version is 1.0.0, want 1.1.0") {
		t.Errorf("with another stable version check gave %v", err)
	}
	a.last.channel.Status.Stable.Version = second
	if err := rolledBack.check(a); err != nil {
		t.Errorf("a proper rollback is refused: %v", err)
	}
	if got, want := rolledBack.tell(a), "at 10 %:\n       m: bad."; !strings.HasSuffix(got, want) {
		t.Errorf("tell gave %q, want it to end with %q", got, want)
	}
	a.weights = append(a.weights, "50")
	if err := rolledBack.check(a); err == nil {
		t.Error("a bad release that got to 50 % counts as taken back early")
	}
}

func TestAct_problem(t *testing.T) {
	a := &act{version: second}
	v := world(first, second, "1", otav1alpha1.ReleaseProgressing)
	if err := a.problem(v); err != nil {
		t.Errorf("a sound release has a problem: %v", err)
	}
	v.bundle.Status.Conditions = []metav1.Condition{{Type: otav1alpha1.StalledCondition, Reason: "SignatureInvalid", Message: "no"}}
	if err := a.problem(v); err == nil || !strings.Contains(err.Error(), "SignatureInvalid") {
		t.Errorf("with a stalled Bundle problem gave %v", err)
	}
	if err := a.problem(world(first, second, "1", otav1alpha1.ReleasePaused)); err == nil {
		t.Error("a paused release waits for ever, and that is no problem")
	}
}

func TestScreen_log(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.start(time.Now(), 100)
	s.update(world(first, second, "1", otav1alpha1.ReleaseProgressing))
	s.update(world(first, second, "1", otav1alpha1.ReleaseProgressing))
	moved := world(first, second, "1", otav1alpha1.ReleaseProgressing)
	moved.devices.Bundles = map[string]device.Bundle{second: {Running: 100}}
	s.update(moved) // too soon for a heartbeat
	s.update(world(first, second, "10", otav1alpha1.ReleaseProgressing))
	s.say("done")
	want := []string{
		"", "devices on each bundle", header,
		" 0:00  production  1.0.0   1.1.0         1 %  Passing           3.1/40            0      90      10       0",
		" 0:00  production  1.0.0   1.1.0        10 %  Passing           3.1/40            0      90      10       0",
		" 0:00  done", "",
	}
	got := strings.Split(out.String(), "\n")
	got[1] = strings.TrimSpace(got[1])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// TestScreen_terminal sees that a redrawn table replaces exactly what was drawn before, however narrow the terminal is.
func TestScreen_terminal(t *testing.T) {
	for _, width := range []int{20, 80, 200} {
		var out bytes.Buffer
		s := newScreen(&out)
		s.width = func() int { return width }
		s.start(time.Now(), 100)
		v := world(first, second, "1", otav1alpha1.ReleaseProgressing)
		v.rollout.Status.Message = strings.Repeat("long ", 100)
		s.update(v)
		before := out.Len()
		lines := s.drawn
		if got := strings.Count(out.String(), "\n"); got != lines+1 {
			t.Errorf("width %d: %d lines are drawn, but %d are counted", width, got-1, lines)
		}
		for line := range strings.SplitSeq(strings.ReplaceAll(out.String(), "\x1b[K", ""), "\n") {
			if n := len([]rune(line)); n >= width {
				t.Errorf("width %d: a line has %d characters and would wrap: %q", width, n, line)
			}
		}
		s.say("next")
		if got := out.String()[before:]; !strings.HasPrefix(got, "\x1b["+strconv.Itoa(lines)+"A\r\x1b[J") {
			t.Errorf("width %d: the table is not taken away before a message: %q", width, got)
		}
	}
}

func TestBar(t *testing.T) {
	for n, want := range map[int]string{0: "", 50: "█████", 100: "██████████"} {
		if got := bar(n, 100, 10); got != want {
			t.Errorf("bar(%d) is %q, want %q", n, got, want)
		}
	}
	if got := bar(1, 100_000, 10); got != "▏" {
		t.Errorf("one device of many is %q, want the smallest mark", got)
	}
}
