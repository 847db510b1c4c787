// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// sliced is a release that fails on Android below 4.3.0, and nowhere else.
func sliced(t *testing.T, onSlice otav1alpha1.OnSlice) *world {
	t.Helper()
	r := rollout("shop", "production")
	r.Spec.Analysis.OnSlice = onSlice
	w := newWorld(t, repository("default", nil), channel("production", "default"), bundle("shop-1"), r)
	w.begin("shop")
	return w
}

// bad are the groups of a stage in which old Androids fail.
func bad(stage int32) []blame.Group {
	group := func(platform, version string, failed int64) blame.Group {
		return blame.Group{
			Stage: stage, Platform: platform, NativeVersion: version,
			Candidate: eprocess.Arm{Exposed: 500, Voted: 500, Failed: failed}, Control: eprocess.Arm{Exposed: 500, Voted: 500, Failed: 5},
		}
	}
	return []blame.Group{group("android", "4.2.0", 80), group("android", "4.3.0", 5), group("ios", "4.2.0", 5), group("ios", "4.3.0", 5)}
}

const oldAndroid = "slice: android, nativeVersion<4.3.0: 80/500 failures"

func TestSlices_recommend(t *testing.T) {
	w := sliced(t, otav1alpha1.SliceRecommend)
	w.stages, w.groups = []eprocess.Stage{arms(1, 2000, 95, 2000, 20)}, bad(1)
	r := w.look("shop", 10*time.Second)
	if r.Status.Release.State != otav1alpha1.ReleaseRollingBack {
		t.Fatalf("%s: %s", r.Status.Release.State, r.Status.Message)
	}
	if len(r.Status.Slices) != 1 || r.Status.Slices[0].State != otav1alpha1.SliceRecommended || r.Status.Slices[0].Message != oldAndroid {
		t.Fatalf("slices: %+v", r.Status.Slices)
	}
	if s := r.Status.Slices[0]; s.Match != (otav1alpha1.Slice{Platform: "android", NativeVersion: "<4.3.0"}) || s.Failures != 95 || s.Candidate.Failures != 80 {
		t.Errorf("%+v", s)
	}
	w.publish(r)
	r = w.look("shop", time.Second)
	if r.Status.Release.State != otav1alpha1.ReleaseRolledBack || r.Status.Release.Tries != 1 || len(r.Status.Slices) != 1 {
		t.Errorf("%s after %d tries, slices: %+v", r.Status.Release.State, r.Status.Release.Tries, r.Status.Slices)
	}
	testkit.CheckStatus(t, r)
}

func TestSlices_exclude(t *testing.T) {
	w := sliced(t, otav1alpha1.SliceExclude)
	w.stages, w.groups = []eprocess.Stage{arms(1, 2000, 95, 2000, 20)}, bad(1)
	r := w.look("shop", 10*time.Second)
	rel := r.Status.Release
	if rel.State != otav1alpha1.ReleaseProgressing || len(rel.Exclude) != 1 || rel.Stage != 2 || rel.Tries != 1 || r.Status.Weight != "1" {
		t.Fatalf("%+v: %s", rel, r.Status.Message)
	}
	if len(r.Status.Slices) != 1 || r.Status.Slices[0].State != otav1alpha1.SliceExcluded || r.Status.Slices[0].Stage != 2 {
		t.Fatalf("slices: %+v", r.Status.Slices)
	}
	if m := r.Status.Analysis[0]; m.Verdict != otav1alpha1.VerdictNotEnoughSamples || m.Evidence != "1" {
		t.Errorf("after the exclusion: %+v", m)
	}
	if got := w.happened(); !slices.ContainsFunc(got, func(e string) bool { return strings.Contains(e, "SliceExcluded") && strings.Contains(e, oldAndroid) }) {
		t.Errorf("events: %q", got)
	}
	if r = w.look("shop", time.Second); !strings.Contains(r.Status.Message, "publishing 1 % without the excluded "+oldAndroid) {
		t.Errorf("message: %s", r.Status.Message)
	}
	// The others go on. What the first stage counted is not held against the bundle any more, even when the state gets lost.
	w.publish(r)
	w.stages, w.groups = append(w.stages, arms(2, 1500, 15, 1500, 15)), append(w.groups, bad(2)[1:]...)
	w.look("shop", time.Second)
	r = w.get("shop")
	r.Status.Analysis[0].State = ""
	if err := w.client.Status().Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	w.memory.forget(keyOf(r))
	r = w.look("shop", 10*time.Second)
	if m := r.Status.Analysis[0]; m.Verdict != otav1alpha1.VerdictPassing || r.Status.Release.State != otav1alpha1.ReleaseProgressing {
		t.Errorf("%s: %s", m.Verdict, m.Message)
	}
	if len(r.Status.Slices) != 1 || r.Status.Slices[0].State != otav1alpha1.SliceExcluded {
		t.Errorf("slices: %+v", r.Status.Slices)
	}
	testkit.CheckStatus(t, r)
}

// A failure that everybody has rolls back, and so does one of which nobody can be asked, at once.
func TestSlices_rollBackWithoutOne(t *testing.T) {
	for name, change := range map[string]func(*world){
		"all fail":        func(w *world) { w.groups = everywhere() },
		"nobody tells":    func(w *world) { w.groups = nil },
		"cannot be asked": func(w *world) { w.groups, w.fault = nil, errors.New("connection refused") },
		"no answer":       func(w *world) { w.hanging = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := sliced(t, otav1alpha1.SliceExclude)
			w.stages = []eprocess.Stage{arms(1, 2000, 95, 2000, 20)}
			change(w)
			r := w.look("shop", 10*time.Second)
			if r.Status.Release.State != otav1alpha1.ReleaseRollingBack || len(r.Status.Release.Exclude) != 0 {
				t.Errorf("%s: %s", r.Status.Release.State, r.Status.Message)
			}
			if w.asked != 1 {
				t.Errorf("asked %d times, want once", w.asked)
			}
		})
	}
}

func everywhere() []blame.Group {
	out := bad(1)
	for i := range out {
		out[i].Candidate.Failed = 25
	}
	return out
}

// At half of the evidence it is asked every 30 s, and once more when it is enough, without waiting for that.
func TestSlices_pace(t *testing.T) {
	w := sliced(t, otav1alpha1.SliceRecommend)
	w.stages, w.fault = []eprocess.Stage{arms(1, 1000, 24, 1000, 10)}, errors.New("connection refused")
	r := w.look("shop", 10*time.Second)
	if m := r.Status.Analysis[0]; m.Verdict != otav1alpha1.VerdictNotEnoughSamples || !strings.Contains(m.Message, "waiting for more devices") {
		t.Fatalf("%s: %s", m.Verdict, m.Message)
	}
	for range 5 {
		w.look("shop", 5*time.Second)
	}
	if w.asked != 1 {
		t.Errorf("asked %d times within 25 s, want once", w.asked)
	}
	w.look("shop", 5*time.Second)
	if w.asked != 2 {
		t.Errorf("asked %d times within 30 s, want twice", w.asked)
	}
	w.stages = []eprocess.Stage{arms(1, 2000, 95, 2000, 20)}
	if r = w.look("shop", 6*time.Second); r.Status.Release.State != otav1alpha1.ReleaseRollingBack || w.asked != 3 {
		t.Errorf("%s, asked %d times", r.Status.Release.State, w.asked)
	}
}

// When there is no answer in a hurry, what was found a short while ago is excluded, and what was found long ago is not.
func TestSlices_foundLately(t *testing.T) {
	for after, want := range map[time.Duration]int{time.Minute: 1, foundLately + time.Second: 0} {
		w := sliced(t, otav1alpha1.SliceExclude)
		w.stages, w.groups = []eprocess.Stage{arms(1, 2000, 41, 2000, 20)}, bad(1)
		r := w.look("shop", 10*time.Second)
		if len(r.Status.Slices) != 1 || r.Status.Slices[0].State != otav1alpha1.SliceRecommended || r.Status.Release.State != otav1alpha1.ReleaseProgressing {
			t.Fatalf("%s, slices: %+v: %s", r.Status.Release.State, r.Status.Slices, r.Status.Message)
		}
		w.stages, w.fault = []eprocess.Stage{arms(1, 2000, 95, 2000, 20)}, errors.New("no answer in time")
		if r = w.look("shop", after); len(r.Status.Release.Exclude) != want {
			t.Errorf("%s later: %s: %s", after, r.Status.Release.State, r.Status.Message)
		}
		if said := strings.Contains(r.Status.Release.Reason, unasked); said != (want == 0) {
			t.Errorf("%s later: reason: %s", after, r.Status.Release.Reason)
		}
	}
}

// A good release asks nobody.
func TestSlices_goodAsksNobody(t *testing.T) {
	w := sliced(t, otav1alpha1.SliceExclude)
	w.stages = []eprocess.Stage{arms(1, 2000, 20, 2000, 20)}
	if r := w.look("shop", 10*time.Second); r.Status.Analysis[0].Verdict != otav1alpha1.VerdictPassing || w.asked != 0 {
		t.Errorf("%s, asked %d times", r.Status.Analysis[0].Message, w.asked)
	}
}

// An exclusion whose write gets lost is decided again, from what was measured.
func TestSlices_lostWrite(t *testing.T) {
	w := sliced(t, otav1alpha1.SliceExclude)
	w.stages, w.groups = []eprocess.Stage{arms(1, 2000, 95, 2000, 20)}, bad(1)
	w.lost = errLost
	w.look("shop", 10*time.Second)
	w.lost = nil
	r := w.look("shop", time.Millisecond)
	if len(r.Status.Release.Exclude) != 1 || r.Status.Analysis[0].Evidence != "1" {
		t.Errorf("%+v: %s", r.Status.Release, r.Status.Message)
	}
}
