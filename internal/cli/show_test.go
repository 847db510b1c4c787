// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const (
	oldDigest = otav1alpha1.Digest("sha256:0b0f00a089f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c1")
	newDigest = otav1alpha1.Digest("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
)

// ago is a time before now.
func ago(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(-d)} }

func microAgo(d time.Duration) *metav1.MicroTime { return &metav1.MicroTime{Time: now.Add(-d)} }

// conditions are Ready with a reason, and what goes with it.
func conditions(status metav1.ConditionStatus, reason, message string, more ...metav1.Condition) []metav1.Condition {
	return append([]metav1.Condition{{Type: otav1alpha1.ReadyCondition, Status: status, Reason: reason, Message: message}}, more...)
}

func isTrue(kind, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason}
}

func meta(name string, age time.Duration) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "mobile", Name: name, CreationTimestamp: *ago(age), Generation: 2}
}

// underWay is a release of 2.4.1 at its second step, with a metric of devices and one of a query.
func underWay() side {
	evidence := []otav1alpha1.MetricStatus{
		{
			Name: "update-failures", Verdict: otav1alpha1.VerdictPassing, Value: "0.004", Limit: "2 %", Evidence: "1.7", EvidenceLimit: "40",
			Message:   "3 of 812 candidate and 2 of 798 control devices failed, limit 2 %",
			Candidate: &otav1alpha1.ArmCounts{Devices: 812, Failures: 3, Exposed: 1030}, Control: &otav1alpha1.ArmCounts{Devices: 798, Failures: 2, Exposed: 1011},
			MeasuredAt: microAgo(4 * time.Second),
		},
		{Name: "crash-free", Verdict: otav1alpha1.VerdictNoData, Limit: "at least 0.995", MeasuredAt: microAgo(30 * time.Second), DryRun: otav1alpha1.DryRunEnabled, Message: "the query gave no value"},
	}
	ro := otav1alpha1.Rollout{
		ObjectMeta: meta("shop", 40*24*time.Hour),
		Spec: otav1alpha1.RolloutSpec{
			ChannelRef: otav1alpha1.LocalReference{Name: "production"}, BundleRef: otav1alpha1.LocalReference{Name: "shop-2.4.1"},
			Steps: []otav1alpha1.Step{testkit.SetWeight(1), testkit.PauseFor("30m", 500), testkit.SetWeight(10), testkit.Pause()},
		},
		Status: otav1alpha1.RolloutStatus{
			ObservedGeneration: 2, Message: "1 % since 09:20: waiting for 312 of 500 samples", CurrentStepIndex: new(int32(1)), Step: "2/4", Weight: "1",
			Conditions: conditions(metav1.ConditionUnknown, otav1alpha1.ProgressingReason, "1 %: pausing for 30m",
				isTrue(otav1alpha1.ReconcilingCondition, "Progressing"),
				metav1.Condition{Type: otav1alpha1.AnalysisPassingCondition, Status: metav1.ConditionTrue, Reason: otav1alpha1.AnalysisPassingReason}),
			Release: &otav1alpha1.ReleaseStatus{
				Revision: 7, Bundle: "shop-2.4.1", Version: "2.4.1", Digest: newDigest, State: otav1alpha1.ReleaseProgressing,
				StartedAt: microAgo(45 * time.Minute), WeightCommittedAt: microAgo(40 * time.Minute),
			},
			Analysis: evidence,
			History: []otav1alpha1.RolloutHistoryEntry{
				{Revision: 6, Bundle: "shop-2.4.0", Digest: oldDigest, StartedAt: microAgo(12 * 24 * time.Hour), EndedAt: microAgo(9 * 24 * time.Hour), Ended: "Completed"},
				{
					Revision: 5, Bundle: "shop-2.3.9", StartedAt: microAgo(20 * 24 * time.Hour), EndedAt: microAgo(20*24*time.Hour - 11*time.Minute), Ended: "RolledBack",
					Reason: "update-failures: 57 of 800 devices failed, more than 2 %",
				},
			},
		},
	}
	ch := otav1alpha1.Channel{
		ObjectMeta: meta("production", 90*24*time.Hour), Spec: otav1alpha1.ChannelSpec{App: testkit.App},
		Status: otav1alpha1.ChannelStatus{
			ObservedGeneration: 2, Conditions: conditions(metav1.ConditionTrue, otav1alpha1.PublishedReason, "", isTrue(otav1alpha1.ServingCondition, otav1alpha1.ActiveReason)),
			Stable:    &otav1alpha1.ServedBundle{Bundle: "shop-2.4.0", Version: "2.4.0", Digest: oldDigest, Since: ago(9 * 24 * time.Hour)},
			Candidate: &otav1alpha1.CandidateBundle{Bundle: "shop-2.4.1", Version: "2.4.1", Digest: newDigest, Weight: "1", RolloutRef: &otav1alpha1.LocalReference{Name: "shop"}},
			Published: &otav1alpha1.PublishedStatus{Revision: 18, MetadataVersion: 42, At: microAgo(40 * time.Minute)},
			History: []otav1alpha1.ChannelHistoryEntry{
				{Bundle: "shop-2.4.0", Version: "2.4.0", As: otav1alpha1.RoleCandidate, To: ago(9 * 24 * time.Hour), Ended: "Promoted"},
				{Bundle: "shop-2.3.9", Version: "2.3.9", As: otav1alpha1.RoleCandidate, From: ago(20 * 24 * time.Hour), To: ago(20*24*time.Hour - 10*time.Minute), Ended: "RolledBack"},
			},
		},
	}
	bundles := map[string]*otav1alpha1.Bundle{}
	for _, b := range []otav1alpha1.Bundle{
		{ObjectMeta: meta("shop-2.4.0", 13*24*time.Hour), Spec: otav1alpha1.BundleSpec{Version: "2.4.0", Digest: oldDigest}},
		{ObjectMeta: meta("shop-2.4.1", time.Hour), Spec: otav1alpha1.BundleSpec{Version: "2.4.1", Digest: newDigest}},
	} {
		b.Status.Conditions = conditions(metav1.ConditionTrue, otav1alpha1.SucceededReason, "")
		bundles[b.Name] = &b
	}
	return side{channel: &ch, rollouts: []otav1alpha1.Rollout{ro}, bundles: bundles, repository: &otav1alpha1.Repository{ObjectMeta: meta("default", 90*24*time.Hour)}}
}

// rollout of a side.
func (s *side) rollout() *otav1alpha1.Rollout { return &s.rollouts[0] }

// waiting is a release that no device has been offered, for a reason.
func (s *side) waiting(reason, message string) {
	st := &s.rollout().Status
	st.Conditions = conditions(metav1.ConditionUnknown, reason, message, isTrue(otav1alpha1.ReconcilingCondition, reason))
	st.Message, st.Step, st.CurrentStepIndex, st.Weight, st.Analysis = message, "1/4", new(int32(0)), "0", nil
	st.Release.State, st.Release.WeightCommittedAt = otav1alpha1.ReleasePending, nil
	s.channel.Status.Candidate = nil
}

// at is a release at a weight, for a reason.
func (s *side) at(reason, message string, more ...metav1.Condition) {
	st := &s.rollout().Status
	st.Message = message
	st.Conditions = conditions(metav1.ConditionUnknown, reason, message, append(more, isTrue(otav1alpha1.ReconcilingCondition, reason))...)
}

// ended is a release that was taken back.
func (s *side) ended(state otav1alpha1.ReleaseState, reason string) {
	st := &s.rollout().Status
	st.Message, st.Weight = reason, "0"
	st.Conditions = conditions(metav1.ConditionFalse, string(state), reason, isTrue(otav1alpha1.StalledCondition, string(state)))
	st.Release.State, st.Release.Reason, st.Release.EndedAt = state, reason, microAgo(time.Minute)
	s.channel.Status.Candidate = nil
	s.channel.Status.Refused = []otav1alpha1.RefusedBundle{{Digest: newDigest, Version: "2.4.1", Reason: reason, By: "rollout/shop", At: ago(time.Minute)}}
	s.channel.Status.Deviation = &otav1alpha1.Deviation{Reason: string(state), Message: "Git asks for 2.4.1, serving 2.4.0: " + reason, Since: ago(time.Minute)}
}

// sides are all states that a release can be in.
var sides = map[string]struct {
	make func(*side)
	code int
}{
	"unobserved": {func(s *side) { s.rollout().Generation++ }, ExitUnderWay},
	"new": {func(s *side) {
		s.rollout().Status = otav1alpha1.RolloutStatus{}
		s.channel.Status = otav1alpha1.ChannelStatus{}
		s.bundles = nil
	}, ExitUnderWay},
	"waiting-for-bundle": {func(s *side) {
		s.waiting(otav1alpha1.WaitingForBundleReason, "Bundle shop-2.4.1 is not ready: signature 1 matches no authority")
		s.bundles["shop-2.4.1"].Status.Conditions = conditions(metav1.ConditionFalse, otav1alpha1.SignatureInvalidReason,
			"signature 1 matches no authority: expected one of ci, github", isTrue(otav1alpha1.StalledCondition, otav1alpha1.SignatureInvalidReason))
	}, ExitUnderWay},
	"waiting-for-approval": {func(s *side) {
		s.waiting(otav1alpha1.WaitingForApprovalReason, "1 of 2 people have approved it")
		s.rollout().Status.Approval = &otav1alpha1.ReleaseApproval{
			Digest: newDigest, Author: "bob@example.com", Required: new(int32(2)),
			ApprovedBy: []otav1alpha1.Approval{{By: "jane@example.com", Actor: otav1alpha1.ActorVerified}},
		}
		s.channel.Status.Approvals = &otav1alpha1.ApprovalsStatus{Required: new(int32(2)), Wanted: new(int32(0)), Author: "bob@example.com"}
	}, ExitNeedsPerson},
	"waiting-for-window": {func(s *side) {
		s.at(otav1alpha1.WaitingForWindowReason, "1 %: waiting for spec.windows to open")
		s.rollout().Status.Windows = &otav1alpha1.WindowStatus{
			State: otav1alpha1.WindowClosed, Reason: `outside the Allow window "0 9 * * 1-4" for 8h (Europe/Berlin)`, NextOpen: &metav1.Time{Time: now.Add(22 * time.Hour)},
		}
	}, ExitUnderWay},
	"queued": {func(s *side) {
		s.waiting(otav1alpha1.QueuedReason, "position 2 in the Repository's line")
		s.rollout().Status.Queue = &otav1alpha1.QueueStatus{Position: 2, Active: 3, Limit: 3}
	}, ExitUnderWay},
	"progressing": {func(*side) {}, ExitUnderWay},
	"publishing":  {func(s *side) { s.rollout().Status.Weight = "10" }, ExitUnderWay},
	"paused": {func(s *side) {
		s.at(otav1alpha1.PausedReason, "paused by jane@example.com", isTrue(otav1alpha1.PausedCondition, otav1alpha1.PausedReason))
		s.rollout().Status.Release.State = otav1alpha1.ReleasePaused
		s.rollout().Status.LastCommand = &otav1alpha1.CommandStatus{
			ID: "1", Name: "pause", By: "jane@example.com", Actor: otav1alpha1.ActorUnverified, At: ago(5 * time.Minute), Result: otav1alpha1.CommandAccepted,
		}
	}, ExitNeedsPerson},
	"holding": {func(s *side) {
		s.at(otav1alpha1.HoldingReason, "1 %: the analysis cannot tell")
		m := &s.rollout().Status.Analysis[0]
		m.Verdict, m.Evidence = otav1alpha1.VerdictNotEnoughSamples, "12.5"
		s.rollout().Status.Slices = []otav1alpha1.SliceStatus{{
			Slice: "android, nativeVersion<4.3.0", State: otav1alpha1.SliceRecommended, Message: "slice: android, nativeVersion<4.3.0: 31 of 40 failures",
		}}
	}, ExitNeedsPerson},
	"baking": {func(s *side) {
		s.at(otav1alpha1.BakingReason, "98 %: baking for 24h")
		s.rollout().Status.Weight, s.rollout().Status.Step, s.rollout().Status.CurrentStepIndex = "98", "4/4", new(int32(4))
		s.channel.Status.Candidate.Weight = "98"
	}, ExitUnderWay},
	"halted": {func(s *side) {
		s.at(otav1alpha1.HaltedReason, "the channel is halted")
		s.channel.Status.Conditions = conditions(metav1.ConditionTrue, otav1alpha1.PublishedReason, "",
			metav1.Condition{Type: otav1alpha1.ServingCondition, Status: metav1.ConditionFalse, Reason: otav1alpha1.HaltedReason})
		s.channel.Spec.Serving = otav1alpha1.ServingHalted
		s.channel.Status.Halt = &otav1alpha1.Halt{Reason: "crashes after login", By: "jane@example.com", Actor: otav1alpha1.ActorVerified, At: ago(12 * time.Minute)}
		s.repository.Status.Halt = &otav1alpha1.Halt{Reason: "a key was stolen", By: "amy@example.com", Actor: otav1alpha1.ActorVerified, At: ago(time.Minute)}
	}, ExitNeedsPerson},
	"rolling-back": {func(s *side) {
		s.at(otav1alpha1.RollingBackReason, "withdrawing shop-2.4.1: update-failures: 40 of 812 devices failed, more than 2 %")
		s.rollout().Status.Conditions[0].Status = metav1.ConditionFalse
		m := &s.rollout().Status.Analysis[0]
		m.Verdict, m.Evidence, m.Message = otav1alpha1.VerdictFailing, "61", "40 of 812 devices failed, more than 2 %"
		s.rollout().Status.Release.State = otav1alpha1.ReleaseRollingBack
	}, ExitUnderWay},
	"rolled-back": {func(s *side) {
		s.ended(otav1alpha1.ReleaseRolledBack, "update-failures: 40 of 812 devices failed, more than 2 %")
		m := &s.rollout().Status.Analysis[0]
		m.Verdict, m.Evidence, m.Message = otav1alpha1.VerdictFailing, "61", "40 of 812 devices failed, more than 2 %"
	}, ExitTakenBack},
	"aborted": {func(s *side) { s.ended(otav1alpha1.ReleaseAborted, "aborted by jane@example.com: wrong prices") }, ExitTakenBack},
	"taken-back-later": {func(s *side) {
		s.ended(otav1alpha1.ReleaseRolledBack, "taken back by jane@example.com: crashes after login")
		s.channel.Status.Rollback = &otav1alpha1.ChannelRollback{
			From: newDigest, To: otav1alpha1.RollbackToBundle, Bundle: "shop-2.4.0", Reason: "crashes after login", By: "jane@example.com", Actor: otav1alpha1.ActorUnverified, At: ago(time.Minute),
		}
	}, ExitTakenBack},
	"completed": {func(s *side) {
		st := &s.rollout().Status
		st.Message, st.Step, st.CurrentStepIndex, st.Weight = "shop-2.4.1 is stable", "4/4", new(int32(4)), "100"
		st.Conditions = conditions(metav1.ConditionTrue, otav1alpha1.CompletedReason, "shop-2.4.1 is stable")
		st.Release.State, st.Release.EndedAt = otav1alpha1.ReleaseCompleted, microAgo(time.Minute)
		s.channel.Status.Stable = &otav1alpha1.ServedBundle{Bundle: "shop-2.4.1", Version: "2.4.1", Digest: newDigest, Since: ago(time.Minute)}
		s.channel.Status.Candidate = nil
	}, ExitOK},
}

// Every state is shown as its golden file has it, and has its exit code.
func TestShow(t *testing.T) {
	for name, tc := range sides {
		t.Run(name, func(t *testing.T) {
			s := underWay()
			tc.make(&s)
			v := view{now: now}
			var out bytes.Buffer
			show := func(title string) { out.WriteString("\n--- " + title + "\n") }
			r := released{rollout: s.rollout(), channel: s.channel, bundles: s.bundles}
			out.WriteString("--- get rollout\n")
			v.printRelease(&out, r)
			show("list")
			table(&out, v.rollouts(s.rollouts)...)
			table(&out, v.channels([]otav1alpha1.Channel{*s.channel})...)
			show("list -A -o wide")
			all := view{now: now, wide: true, namespaces: true}
			table(&out, all.rollouts(s.rollouts)...)
			table(&out, all.channels([]otav1alpha1.Channel{*s.channel})...)
			show("diff")
			d := v.difference(s)
			v.printDifference(&out, d)
			show("history")
			v.printHistory(&out, historyOf(s.channel, s.rollouts))
			show("status --watch")
			out.WriteString(v.change(s.rollout()) + "\n")
			golden(t, ".", "show/"+name+".txt", out.String())
			for bundle, code := range map[string]int{"": tc.code, "shop-2.4.1": tc.code, "shop-2.5.0": ExitUnderWay} {
				if state := stateOf(v, s.rollout(), bundle); state.ExitCode != code {
					t.Errorf("exit code %d for %q, want %d", state.ExitCode, bundle, code)
				}
			}
			if d.Same != (name == "completed") {
				t.Errorf("devices are served what Git asks for: %v", d.Same)
			}
		})
	}
	files, err := filepath.Glob("testdata/show/*.txt")
	if err != nil || len(files) != len(sides) {
		t.Errorf("%d golden files, want %d (%v)", len(files), len(sides), err)
	}
}

// Colours change nothing but colours: the columns stay where they are.
func TestShow_colours(t *testing.T) {
	for name, tc := range sides {
		s := underWay()
		tc.make(&s)
		r := released{rollout: s.rollout(), channel: s.channel, bundles: s.bundles}
		var plain, colours bytes.Buffer
		view{now: now}.printRelease(&plain, r)
		view{now: now, colour: true}.printRelease(&colours, r)
		if diff := cmp.Diff(plain.String(), painted.ReplaceAllString(colours.String(), "")); diff != "" || name == "rolled-back" && !strings.Contains(colours.String(), "\x1b[31m✖ RolledBack\x1b[0m") {
			t.Errorf("%s (-plain +colours):\n%s", name, diff)
		}
	}
}

// What people and clusters write cannot steer the terminal.
func TestShow_hostile(t *testing.T) {
	s := underWay()
	const bad = "a\x1b[2Jb\rc\nd"
	s.rollout().Status.Message, s.rollout().Status.Analysis[0].Message = bad, bad
	s.rollout().Status.LastCommand = &otav1alpha1.CommandStatus{Name: bad, By: bad, Message: bad}
	s.rollout().Status.Conditions[0].Message = bad
	s.channel.Status.Refused = []otav1alpha1.RefusedBundle{{Digest: newDigest, Reason: bad, By: bad}}
	s.channel.Status.Deviation = &otav1alpha1.Deviation{Reason: "x", Message: bad}
	s.channel.Status.Halt = &otav1alpha1.Halt{Reason: bad, By: bad}
	s.rollout().Status.Release.Reason = bad
	v := view{now: now}
	var out bytes.Buffer
	v.printRelease(&out, released{rollout: s.rollout(), channel: s.channel, bundles: s.bundles})
	table(&out, v.rollouts(s.rollouts)...)
	v.printDifference(&out, v.difference(s))
	v.printHistory(&out, historyOf(s.channel, s.rollouts))
	out.WriteString(v.change(s.rollout()))
	if strings.ContainsAny(out.String(), "\x1b\r") {
		t.Errorf("%q", out.String())
	}
}

// A terminal shows the newest tree in the place of the last one, whatever their sizes; no line is wrapped, and none scrolls away.
func TestRedraw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const width = 20
		var out bytes.Buffer
		height := rapid.IntRange(1, 7).Draw(t, "height")
		r := &redraw{out: &out, width: func() int { return width }, height: func() int { return height }}
		var last string
		for range rapid.IntRange(1, 4).Draw(t, "frames") {
			lines := rapid.SliceOfN(rapid.StringMatching(`[a-zä✔◔]{0,30}`), 1, 5).Draw(t, "lines")
			last = strings.Join(lines, "\n") + "\n"
			if err := r.draw(last); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		for line := range strings.Lines(last) {
			runes := []rune(strings.TrimSuffix(line, "\n"))
			want = append(want, string(runes[:min(len(runes), width-1)]))
		}
		if most := max(height-1, 1); len(want) > most {
			want = append(want[:most-1], fmt.Sprintf("... %d more lines", len(want)-most+1))
		}
		before := out.Len()
		if err := r.draw(last); err != nil || out.Len() != before {
			t.Fatalf("the same text was drawn again: %v", err)
		}
		if diff := cmp.Diff(want, screenOf(out.String())); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// screenOf is what a terminal shows after a text. It knows lines up, clearing to the end of line and screen, and colours.
func screenOf(text string) []string {
	lines, row, column := [][]rune{nil}, 0, 0
	for text = painted.ReplaceAllString(text, ""); text != ""; {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			end := strings.IndexAny(rest, "AJK")
			switch rest[end] {
			case 'A':
				up, err := strconv.Atoi(rest[:end])
				if err != nil {
					return []string{err.Error()}
				}
				row -= up
			case 'J':
				lines = append(lines[:row], lines[row][:column])
			case 'K':
				lines[row] = lines[row][:column]
			}
			text = rest[end+1:]
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch r {
		case '\r':
			column = 0
		case '\n':
			row, column = row+1, 0
			if row == len(lines) {
				lines = append(lines, nil)
			}
		default:
			lines[row] = append(lines[row][:column], append([]rune{r}, lines[row][min(column+1, len(lines[row])):]...)...)
			column++
		}
	}
	var out []string
	for _, line := range lines[:len(lines)-1] {
		out = append(out, string(line))
	}
	return out
}

// The golden files have no colours: they are what a log shows.
func TestShow_plain(t *testing.T) {
	text, err := os.ReadFile("testdata/show/rolled-back.txt")
	if err != nil || bytes.Contains(text, []byte("\x1b")) || !bytes.Contains(text, []byte("✖ RolledBack")) {
		t.Errorf("%v:\n%s", err, text)
	}
}
