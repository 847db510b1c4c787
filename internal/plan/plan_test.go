// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
)

var noon = time.Unix(1_800_000_000, 0).UTC()

// running is a release at 10 % that devices have seen for a minute, measured and passing, in a pause of an hour.
func running() Facts {
	b := Bundle{Found: true, Ready: true, Version: "1.0.0", Digest: "d1"}
	return Facts{
		Now: noon, UID: "uid", Bundle: b, Running: b,
		Spec: Spec{Bundle: "shop-1", Metrics: 1, OnFailure: otav1alpha1.OnFailureRollback,
			Steps: []Step{{Weight: 1000}, {Pause: true, Duration: time.Hour}, {Weight: 5000}}},
		Release: Release{Revision: 1, Bundle: "shop-1", Version: "1.0.0", Digest: "d1", State: otav1alpha1.ReleaseProgressing,
			Step: 1, Weight: 1000, CommittedAt: noon.Add(-time.Minute), EnteredAt: noon.Add(-time.Minute)},
		Channel: Channel{Ready: true, MaxFirstWeight: 1000, At: noon.Add(-time.Minute), Refused: map[string]string{},
			Candidate: &Candidate{Mine: true, Release: 1, Digest: "d1", Weight: 1000}},
		Analysis: []analysis.Result{{Name: "m", Verdict: otav1alpha1.VerdictPassing, MeasuredAt: noon}},
	}
}

func failing(f *Facts) {
	f.Analysis[0].Verdict, f.Analysis[0].Message = otav1alpha1.VerdictFailing, "8 of 100 devices failed"
}

func atTheEnd(f *Facts) { f.Release.State, f.Release.Step = otav1alpha1.ReleasePromoting, 3 }

func seenStable(f *Facts) { f.Channel.Candidate, f.Channel.StableDigest = nil, "d1" }

// takenBack is what a rollback of the channel by a person leaves.
func takenBack(f *Facts) {
	f.Channel.Candidate, f.Channel.StableDigest = nil, ""
	f.Channel.Refused = map[string]string{"d1": "logins fail (user/jane)"}
	f.Channel.TakenBack = map[string]string{"d1": "rolled back by jane: logins fail"}
}

// What one look at the facts leads to.
func TestPlan_transitions(t *testing.T) {
	for name, tc := range map[string]struct {
		change []func(*Facts)
		state  otav1alpha1.ReleaseState
		weight int32
		reason string
		text   string
	}{
		"pauses":     {nil, otav1alpha1.ReleaseProgressing, 1000, "Progressing", "10 % since 07:59, step 2/3: pausing for 1h0m0s"},
		"pause over": {[]func(*Facts){func(f *Facts) { f.Now = noon.Add(time.Hour) }}, otav1alpha1.ReleaseProgressing, 5000, "Progressing", "publishing 50 %"},
		"pause over, old verdict": {[]func(*Facts){func(f *Facts) { f.Now, f.Analysis[0].MeasuredAt = noon.Add(time.Hour), noon.Add(-time.Hour) }},
			otav1alpha1.ReleaseProgressing, 1000, "Holding", "waiting for a measurement of this weight"},
		"clock set back":                {[]func(*Facts){func(f *Facts) { f.Now = noon.Add(-24 * time.Hour) }}, otav1alpha1.ReleaseProgressing, 1000, "Progressing", "pausing for"},
		"fails":                         {[]func(*Facts){failing}, otav1alpha1.ReleaseRollingBack, 0, "RollingBack", "m: 8 of 100 devices failed"},
		"fails, and the spec is broken": {[]func(*Facts){failing, func(f *Facts) { f.Spec.Blocked = "steps fall" }}, otav1alpha1.ReleaseRollingBack, 0, "RollingBack", "8 of 100"},
		"spec is broken":                {[]func(*Facts){func(f *Facts) { f.Spec.Blocked, f.Now = "steps fall", noon.Add(time.Hour) }}, otav1alpha1.ReleaseProgressing, 1000, "InvalidSpec", "steps fall"},
		"fails while another bundle is wanted": {[]func(*Facts){failing, func(f *Facts) { f.Spec.Bundle, f.Bundle = "shop-2", Bundle{Found: true, Digest: "d2"} }},
			otav1alpha1.ReleaseRollingBack, 0, "RollingBack", "8 of 100"},
		"another bundle is wanted": {[]func(*Facts){func(f *Facts) { f.Spec.Bundle, f.Bundle = "shop-2", Bundle{Found: true, Digest: "d2"} }},
			otav1alpha1.ReleaseSuperseding, 0, "Progressing", "withdrawing shop-1 before shop-2 starts"},
		"fails while promoting": {[]func(*Facts){atTheEnd, failing}, otav1alpha1.ReleaseRollingBack, 0, "RollingBack", "8 of 100"},
		"promoted":              {[]func(*Facts){atTheEnd, seenStable}, otav1alpha1.ReleaseCompleted, FullWeight, "Completed", "shop-1 is stable"},
		"promoted, and no longer admitted": {[]func(*Facts){atTheEnd, seenStable, func(f *Facts) { f.Bundle.Denied = "boss has not signed" }},
			otav1alpha1.ReleaseCompleted, FullWeight, "Completed", "became stable before"},
		"channel withdrew it": {[]func(*Facts){func(f *Facts) { f.Channel.Candidate, f.Channel.Problem = nil, "Bundle cannot be served" }},
			otav1alpha1.ReleaseProgressing, 1000, "Progressing", "publishing 10 %: Bundle cannot be served"},
		"bundle made anew":                   {[]func(*Facts){func(f *Facts) { f.Bundle.Digest = "d9" }}, otav1alpha1.ReleaseRollingBack, 0, "RollingBack", "another digest"},
		"revoked":                            {[]func(*Facts){func(f *Facts) { f.Bundle.Revoked = "CVE" }}, otav1alpha1.ReleaseRollingBack, 0, "RollingBack", "CVE"},
		"halted":                             {[]func(*Facts){func(f *Facts) { f.Channel.Halted, f.Now = "halted by jane: logins fail", noon.Add(time.Hour) }}, otav1alpha1.ReleaseProgressing, 1000, "Halted", "the channel is halted: halted by jane: logins fail"},
		"rolled back by a person":            {[]func(*Facts){takenBack}, otav1alpha1.ReleaseAborted, 0, "Aborted", "rolled back by jane: logins fail"},
		"rolled back while promoting":        {[]func(*Facts){atTheEnd, takenBack}, otav1alpha1.ReleaseAborted, 0, "Aborted", "rolled back by jane: logins fail"},
		"rolled back by a person, and fails": {[]func(*Facts){failing, takenBack}, otav1alpha1.ReleaseAborted, 0, "Aborted", "rolled back by jane"},
		"rolled back once it was stable": {[]func(*Facts){func(f *Facts) { f.Release.State, f.Release.Step = otav1alpha1.ReleaseCompleted, 3 }, takenBack},
			otav1alpha1.ReleaseRolledBack, 0, "RolledBack", "rolled back by jane: logins fail"},
		"rolled back, and revoked since": {[]func(*Facts){func(f *Facts) { f.Release.State, f.Bundle.Revoked = otav1alpha1.ReleaseCompleted, "CVE" }, takenBack},
			otav1alpha1.ReleaseBundleRefused, 0, "BundleRefused", "revoked: CVE"},
		"asks for what was rolled back": {[]func(*Facts){func(f *Facts) { f.Release.State, f.Release.Weight = otav1alpha1.ReleasePending, 0 }, takenBack},
			otav1alpha1.ReleaseBundleRefused, 0, "BundleRefused", "the channel refuses this digest: logins fail (user/jane)"},
		"abort with a reason": {[]func(*Facts){func(f *Facts) { f.Command = &Command{ID: "1", Name: Abort, By: "jane", Args: "logins fail"} }},
			otav1alpha1.ReleaseRollingBack, 0, "RollingBack", "aborted by jane: logins fail"},
		"pause with a reason": {[]func(*Facts){func(f *Facts) { f.Command = &Command{ID: "1", Name: Pause, By: "jane", Args: "lunch"} }},
			otav1alpha1.ReleasePaused, 1000, "Paused", "paused by jane: lunch"},
		"two lines of reason": {[]func(*Facts){func(f *Facts) { f.Command = &Command{ID: "1", Name: Abort, By: "jane", Args: "a\nb"} }},
			otav1alpha1.ReleaseProgressing, 1000, "Progressing", "pausing for"},
		"abort while pending": {[]func(*Facts){func(f *Facts) {
			f.Release.State, f.Release.Weight, f.Channel.Candidate = otav1alpha1.ReleasePending, 0, nil
			f.Channel.Ready, f.Command = false, &Command{ID: "1", Name: Abort, By: "jane"}
		}}, otav1alpha1.ReleaseAborted, 0, "Aborted", "aborted by jane"},
	} {
		t.Run(name, func(t *testing.T) {
			f := running()
			for _, c := range tc.change {
				c(&f)
			}
			d := Plan(f)
			if d.Release.State != tc.state || d.Release.Weight != tc.weight || d.Reason != tc.reason || !strings.Contains(d.Message, tc.text) {
				t.Errorf("got %s at %d, %s: %q\nwant %s at %d, %s: %q", d.Release.State, d.Release.Weight, d.Reason, d.Message,
					tc.state, tc.weight, tc.reason, tc.text)
			}
		})
	}
}

// A step's clock does not run while the channel has withdrawn the candidate.
func TestPlan_clockStopsWhenWithdrawn(t *testing.T) {
	f := running()
	back := f.Channel.Candidate
	f.Channel.Candidate = nil
	f.Release = Plan(f).Release
	f.Now, f.Channel.At, f.Channel.Candidate = noon.Add(2*time.Hour), noon.Add(2*time.Hour), back
	f.Analysis[0].MeasuredAt = f.Now.Add(time.Second)
	d := Plan(f)
	if d.Release.Weight != 1000 || d.RequeueAfter != time.Hour {
		t.Errorf("weight %d, looks again in %s: the pause of an hour must start anew", d.Release.Weight, d.RequeueAfter)
	}
}

// A release that had completed is over when the channel refuses its digest, such as when nobody vouches for it any more. No retry
// lifts that while the Bundle cannot be released; what a person took back, it does.
func TestPlan_refusedAfterCompletion(t *testing.T) {
	f := running()
	atTheEnd(&f)
	seenStable(&f)
	f.Release = Plan(f).Release
	f.Channel.StableDigest, f.Channel.Refused = "", map[string]string{f.Release.Digest: "no longer trusted (bundle/shop-1)"}
	d := Plan(f)
	if d.Release.State != otav1alpha1.ReleaseBundleRefused || d.Release.EndedAt.IsZero() || !strings.Contains(d.Message, "no longer trusted (bundle/shop-1)") {
		t.Fatalf("got %+v: %q", d.Release, d.Message)
	}
	f.Release, f.Command = d.Release, &Command{ID: "1", Name: Retry, By: "jane"}
	for name, tc := range map[string]struct {
		change func(*Bundle)
		want   string
	}{
		"not trusted":  {func(b *Bundle) { b.Ready, b.Message = false, "SignatureInvalid: gone" }, "the refusal stays, since the Bundle cannot be served: SignatureInvalid: gone"},
		"not admitted": {func(b *Bundle) { b.Denied = "below the floor" }, "the refusal stays, since the channel does not admit the Bundle: below the floor"},
		"good again":   {func(*Bundle) {}, ""},
	} {
		g := f
		tc.change(&g.Bundle)
		d := Plan(g)
		if d.Command.Refused != tc.want || (d.Release.State == otav1alpha1.ReleasePending && d.Release.Lift) != (tc.want == "") {
			t.Errorf("%s: refused with %q, want %q; then %s, lifting: %v", name, d.Command.Refused, tc.want, d.Release.State, d.Release.Lift)
		}
	}
}
