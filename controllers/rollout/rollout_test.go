// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/testkit"
)

var errLost = errors.New("the write got lost")

func keyOf(r *otav1alpha1.Rollout) types.NamespacedName {
	return types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
}

func requestOf(r *otav1alpha1.Rollout) ctrl.Request { return ctrl.Request{NamespacedName: keyOf(r)} }

// single is a world with one Rollout named shop, changed as a test wants it.
func single(t *testing.T, change func(*otav1alpha1.Rollout, *otav1alpha1.Channel)) *world {
	t.Helper()
	r, ch := rollout("shop", "production"), channel("production", "default")
	change(r, ch)
	return newWorld(t, repository("default", nil), ch, bundle("shop-1"), r)
}

func reason(r *otav1alpha1.Rollout) string {
	if c := apimeta.FindStatusCondition(r.Status.Conditions, otav1alpha1.ReadyCondition); c != nil {
		return c.Reason
	}
	return ""
}

func TestWindows(t *testing.T) {
	w := single(t, func(r *otav1alpha1.Rollout, _ *otav1alpha1.Channel) {
		r.Spec.Windows = []otav1alpha1.Window{{Kind: otav1alpha1.WindowAllow, Schedule: "0 13 * * *", Duration: "1h"}}
	})
	w.reconcile("shop") // at 12:00
	r, res := w.reconcile("shop")
	if reason(r) != otav1alpha1.WaitingForWindowReason || r.Status.Windows.State != otav1alpha1.WindowClosed {
		t.Fatalf("%s, windows %+v: %s", reason(r), r.Status.Windows, r.Status.Message)
	}
	if got := r.Status.Windows.NextOpen.UTC(); got.Hour() != 13 || r.Status.Windows.NextClose != nil {
		t.Errorf("windows: %+v", r.Status.Windows)
	}
	if res.RequeueAfter != time.Hour {
		t.Errorf("looks again after %s, want 1h", res.RequeueAfter)
	}
	w.now = w.now.Add(time.Hour)
	r = w.begin("shop")
	if r.Status.Windows.State != otav1alpha1.WindowOpen || r.Status.Windows.NextClose.UTC().Hour() != 14 {
		t.Errorf("windows: %+v", r.Status.Windows)
	}
	// The window closes in the middle of a pause: status says so at once.
	w.stages = []eprocess.Stage{arms(1, 100, 0, 9900, 10)}
	if r = w.look("shop", time.Hour); r.Status.Windows.State != otav1alpha1.WindowClosed || reason(r) != otav1alpha1.WaitingForWindowReason {
		t.Errorf("%s, windows %+v: %s", reason(r), r.Status.Windows, r.Status.Message)
	}
	testkit.CheckStatus(t, r)
	// A failing release is taken back all the same.
	w.stages = []eprocess.Stage{arms(1, 200, 40, 19900, 20)}
	if r = w.look("shop", 10*time.Second); r.Status.Release.State != otav1alpha1.ReleaseRollingBack {
		t.Errorf("%s: %s", r.Status.Release.State, r.Status.Message)
	}
	w.publish(r)
	if r = w.look("shop", 10*time.Second); r.Status.Windows != nil {
		t.Errorf("no release is under way, but windows are told: %+v", r.Status.Windows)
	}
}

func TestFirstWeight(t *testing.T) {
	w := single(t, func(r *otav1alpha1.Rollout, _ *otav1alpha1.Channel) { r.Spec.Steps = r.Spec.Steps[2:] }) // 10 %
	r, _ := w.reconcile("shop")
	if reason(r) != otav1alpha1.InvalidSpecReason || !strings.Contains(r.Status.Message, "maxFirstWeight") {
		t.Errorf("%s: %s", reason(r), r.Status.Message)
	}
	w = single(t, func(r *otav1alpha1.Rollout, ch *otav1alpha1.Channel) {
		r.Spec.Steps, ch.Spec.MaxFirstWeight = r.Spec.Steps[2:], "12.5"
	})
	if r, _ = w.reconcile("shop"); r.Status.Weight != "10" {
		t.Errorf("%s: %s", reason(r), r.Status.Message)
	}
}

func TestWeightPerHour(t *testing.T) {
	w := single(t, func(_ *otav1alpha1.Rollout, ch *otav1alpha1.Channel) { ch.Spec.MaxWeightPerHour = "5" })
	w.begin("shop")
	w.stages = []eprocess.Stage{arms(1, 100, 0, 9900, 10)}
	r := w.look("shop", 30*time.Minute)
	if r.Status.Weight != "5" || len(r.Status.Release.Rises) != 2 || r.Status.Release.Stage != 2 {
		t.Fatalf("weight %s, %+v: %s", r.Status.Weight, r.Status.Release, r.Status.Message)
	}
	w.publish(r)
	w.stages = append(w.stages, arms(2, 500, 1, 9500, 10))
	w.look("shop", time.Second)
	if r = w.look("shop", 10*time.Second); reason(r) != otav1alpha1.WeightLimitedReason || r.Status.Weight != "5" {
		t.Errorf("%s at %s %%: %s", reason(r), r.Status.Weight, r.Status.Message)
	}
	testkit.CheckStatus(t, r)
}

// The sentence has what was measured, the bound, and what comes next. Values alone are not written at once.
func TestMessage(t *testing.T) {
	w := single(t, func(*otav1alpha1.Rollout, *otav1alpha1.Channel) {})
	w.begin("shop")
	w.stages = []eprocess.Stage{arms(1, 100, 1, 9900, 99)}
	r := w.look("shop", 15*time.Second)
	const where = "1 % since 12:00, step 2/4: pausing for 30m"
	const what = "failures: 1 of 100 candidate and 99 of 9900 control devices failed, limit 1x the control: evidence "
	if m := r.Status.Message; !strings.HasPrefix(m, where) || !strings.Contains(m, what) {
		t.Errorf("message: %q", m)
	}
	version := r.ResourceVersion
	w.stages = []eprocess.Stage{arms(1, 110, 1, 9990, 99)}
	if r = w.look("shop", 5*time.Second); r.ResourceVersion != version {
		t.Error("values alone were written after 5 s")
	}
	if r = w.look("shop", 5*time.Second); r.ResourceVersion == version || r.Status.Analysis[0].Candidate.Exposed != 110 {
		t.Errorf("values were not written after 10 s: %+v", r.Status.Analysis[0].Candidate)
	}
	w.outage = "the gateway does not answer"
	w.look("shop", 10*time.Second)
	r = w.look("shop", 3*time.Minute)
	if m := r.Status.Analysis[0]; m.Outage != "3m" || m.State == "" {
		t.Errorf("outage %q, state %q", m.Outage, m.State)
	}
	testkit.CheckStatus(t, r)
}

func TestPower_condition(t *testing.T) {
	w := single(t, func(*otav1alpha1.Rollout, *otav1alpha1.Channel) {})
	r := w.begin("shop")
	if c := apimeta.FindStatusCondition(r.Status.Conditions, otav1alpha1.StepsPoweredCondition); c != nil || r.Status.Power != nil {
		t.Errorf("before any data: %+v, %+v", c, r.Status.Power)
	}
	w.stages = []eprocess.Stage{arms(1, 2, 0, 198, 2)} // 20 a second
	r = w.look("shop", 10*time.Second)
	if len(r.Status.Power) != 2 || r.Status.Power[0].Devices != 360 || r.Status.Power[1].Step != 2 {
		t.Fatalf("power: %+v", r.Status.Power)
	}
	c := apimeta.FindStatusCondition(r.Status.Conditions, otav1alpha1.StepsPoweredCondition)
	if c == nil || c.Reason != otav1alpha1.StepsSeeRegressionsReason {
		t.Errorf("condition: %+v", c)
	}
	testkit.CheckStatus(t, r)
}

func TestPower_stepSeesNothing(t *testing.T) {
	w := single(t, func(*otav1alpha1.Rollout, *otav1alpha1.Channel) {})
	w.begin("shop")
	w.stages = []eprocess.Stage{arms(1, 1, 0, 19, 0)} // one in 50 s
	r := w.look("shop", 1000*time.Second)
	c := apimeta.FindStatusCondition(r.Status.Conditions, otav1alpha1.StepsPoweredCondition)
	if c == nil || c.Reason != otav1alpha1.StepSeesNothingReason || !strings.Contains(c.Message, "step 1 (1 %, 30m, about 1 devices)") {
		t.Errorf("condition: %+v", c)
	}
	testkit.CheckStatus(t, r)
}

// A retry starts with the evidence of the try before, and needs twice as much.
func TestRetry(t *testing.T) {
	w := single(t, func(*otav1alpha1.Rollout, *otav1alpha1.Channel) {})
	w.begin("shop")
	w.stages = []eprocess.Stage{arms(1, 1000, 60, 9000, 90)}
	r := w.look("shop", 10*time.Second)
	w.publish(r)
	if r = w.look("shop", time.Second); r.Status.Release.State != otav1alpha1.ReleaseRolledBack {
		t.Fatalf("%s: %s", r.Status.Release.State, r.Status.Message)
	}
	if m := r.Status.Analysis[0]; m.EvidenceLimit != "20" {
		t.Errorf("limit of evidence is %s, want 20", m.EvidenceLimit)
	}
	w.command("shop", "retry")
	r = w.look("shop", time.Second)
	m := r.Status.Analysis[0]
	if m.Evidence != "20" || m.EvidenceLimit != "40" || m.Verdict != otav1alpha1.VerdictNotEnoughSamples || m.MeasuredAt != nil || r.Status.Release.Tries != 1 {
		t.Errorf("a retry starts with %+v", m)
	}
	if len(r.Status.History) != 1 || r.Status.History[0].Tries != 1 || len(r.Status.History[0].Evidence) != 1 {
		t.Errorf("history: %+v", r.Status.History)
	}
	ch := &otav1alpha1.Channel{}
	if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "production"}, ch); err != nil {
		t.Fatal(err)
	}
	ch.Status.Refused = nil // the Channel lifts the refusal
	if err := w.client.Status().Update(t.Context(), ch); err != nil {
		t.Fatal(err)
	}
	w.stages = nil
	w.begin("shop")
	w.stages = []eprocess.Stage{arms(1, 100, 4, 9000, 90)}
	fresh := single(t, func(*otav1alpha1.Rollout, *otav1alpha1.Channel) {})
	fresh.begin("shop")
	fresh.stages = w.stages
	if n := fresh.look("shop", 10*time.Second); n.Status.Release.State != otav1alpha1.ReleaseProgressing {
		t.Fatalf("the test tests nothing: these counts condemn a new digest: %s", n.Status.Message)
	}
	if r = w.look("shop", 10*time.Second); r.Status.Release.State != otav1alpha1.ReleaseRollingBack {
		t.Errorf("%s: %s", r.Status.Release.State, r.Status.Message)
	}
	testkit.CheckStatus(t, r)
}

// A metric that only watches is measured and shown, and decides nothing.
func TestDryRun(t *testing.T) {
	w := single(t, func(r *otav1alpha1.Rollout, _ *otav1alpha1.Channel) {
		r.Spec.Analysis.Metrics[0].DryRun = otav1alpha1.DryRunEnabled
	})
	w.begin("shop")
	w.stages = []eprocess.Stage{arms(1, 1000, 600, 9000, 90)}
	r := w.look("shop", 10*time.Second)
	if m := r.Status.Analysis[0]; m.Verdict != otav1alpha1.VerdictFailing || m.DryRun != otav1alpha1.DryRunEnabled {
		t.Errorf("%+v", m)
	}
	if r.Status.Release.State != otav1alpha1.ReleaseProgressing || w.asked != 0 {
		t.Errorf("%s: %s", r.Status.Release.State, r.Status.Message)
	}
	if r = w.look("shop", 30*time.Minute); r.Status.Weight != "10" {
		t.Errorf("at %s %%: %s", r.Status.Weight, r.Status.Message)
	}
}

func TestBake_event(t *testing.T) {
	w := single(t, func(r *otav1alpha1.Rollout, _ *otav1alpha1.Channel) {
		r.Spec.Steps = r.Spec.Steps[:1]
		r.Spec.Analysis.Bake, r.Spec.Analysis.Holdout = "1h", new(int32(5))
	})
	w.begin("shop")
	w.stages = []eprocess.Stage{arms(1, 1000, 10, 9000, 90)}
	r := w.look("shop", 10*time.Second)
	if r.Status.Weight != "95" {
		t.Fatalf("at %s %%: %s", r.Status.Weight, r.Status.Message)
	}
	w.happened()
	w.publish(r)
	if r = w.look("shop", time.Second); reason(r) != otav1alpha1.BakingReason {
		t.Fatalf("%s: %s", reason(r), r.Status.Message)
	}
	w.stages = append(w.stages, arms(2, 9500, 95, 500, 5))
	w.look("shop", 10*time.Second)
	began := 0
	for _, e := range w.happened() {
		if strings.Contains(e, "BakeBegan") {
			began++
		}
	}
	if began != 1 {
		t.Errorf("%d events say that the bake began, want 1", began)
	}
	if r = w.look("shop", time.Hour); r.Status.Release.State != otav1alpha1.ReleasePromoting {
		t.Errorf("%s: %s", r.Status.Release.State, r.Status.Message)
	}
	if !slices.Equal(w.happened(), nil) {
		t.Log("promoting has no event of its own")
	}
}
