// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"strings"
	"testing"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// asking is a release at 1 % that asks for 10 %, which its Channel does not commit.
func asking(t *testing.T) *world {
	t.Helper()
	w := single(t, func(*otav1alpha1.Rollout, *otav1alpha1.Channel) {})
	w.begin("shop")
	w.stages = []eprocess.Stage{arms(1, 1000, 10, 9000, 90)}
	if r := w.look("shop", 30*time.Minute); r.Status.Weight != "10" || r.Status.Release.WeightCommittedAt != nil {
		t.Fatalf("at %s %%: %s", r.Status.Weight, r.Status.Message)
	}
	return w
}

// Devices are served 1 % while the Channel does not commit 10 %, and what happens to them counts.
func TestUncommitted_rise(t *testing.T) {
	w := asking(t)
	r, res := w.reconcile("shop")
	if r.Status.Release.State != otav1alpha1.ReleaseProgressing || res.RequeueAfter > 10*time.Second {
		t.Fatalf("%s, looks again after %s: %s", r.Status.Release.State, res.RequeueAfter, r.Status.Message)
	}
	w.stages = []eprocess.Stage{arms(1, 2000, 910, 18000, 180)}
	r = w.look("shop", 10*time.Second)
	if r.Status.Release.State != otav1alpha1.ReleaseRollingBack || r.Status.Weight != "0" {
		t.Errorf("%s at %s %%: %s", r.Status.Release.State, r.Status.Weight, r.Status.Message)
	}
	testkit.CheckStatus(t, r)
}

// What was measured before the commit was known of, or right after it, is no reason to rise: that takes a measurement of an interval later.
func TestUncommitted_vouchesForNothing(t *testing.T) {
	w := single(t, func(r *otav1alpha1.Rollout, _ *otav1alpha1.Channel) {
		r.Spec.Steps = []otav1alpha1.Step{testkit.SetWeight(1), testkit.SetWeight(10), testkit.SetWeight(50)}
	})
	w.begin("shop")
	w.stages = []eprocess.Stage{arms(1, 1000, 10, 9000, 90)}
	asked := w.look("shop", 10*time.Second)
	if asked.Status.Weight != "10" {
		t.Fatalf("at %s %%: %s", asked.Status.Weight, asked.Status.Message)
	}
	committed := w.now.Add(18 * time.Second)
	w.stages = append(w.stages, arms(2, 1000, 10, 9000, 90))
	if r := w.look("shop", 20*time.Second); r.Status.Analysis[0].Verdict != otav1alpha1.VerdictPassing {
		t.Fatalf("the test tests nothing: %s", r.Status.Analysis[0].Message)
	}
	seen := w.now
	w.now = committed // the Channel committed before the last measurement, but that was not in the cache
	w.publish(asked)
	w.now = seen
	if r := w.look("shop", time.Second); r.Status.Weight != "10" || !strings.Contains(r.Status.Message, "waiting for a measurement of this weight") {
		t.Errorf("at %s %%: %s", r.Status.Weight, r.Status.Message)
	}
	if r := w.look("shop", 2*time.Second); r.Status.Weight != "50" {
		t.Errorf("at %s %%: %s", r.Status.Weight, r.Status.Message)
	}
}

// A release that is withdrawn for the next one is refused when it fails, as long as devices see it.
func TestUncommitted_superseding(t *testing.T) {
	w := asking(t)
	next := bundle("shop-2")
	next.Spec.Digest = "sha256:" + otav1alpha1.Digest(strings.Repeat("2", 64))
	next.Status.Artifact.Digest = next.Spec.Digest
	if err := w.client.Create(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	r := w.get("shop")
	r.Spec.BundleRef.Name = "shop-2"
	if err := w.client.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if r = w.look("shop", time.Second); r.Status.Release.State != otav1alpha1.ReleaseSuperseding {
		t.Fatalf("%s: %s", r.Status.Release.State, r.Status.Message)
	}
	w.stages = []eprocess.Stage{arms(1, 2000, 910, 18000, 180)}
	if r = w.look("shop", 10*time.Second); r.Status.Release.State != otav1alpha1.ReleaseRollingBack || r.Status.Assignment.Refuse == "" {
		t.Errorf("%s: %s", r.Status.Release.State, r.Status.Message)
	}
}

// A manager that is started before its gateways: they count a release without telling its stages. Nothing rises on that, and what fails is
// taken back all the same.
func TestStages_gatewaysWithout(t *testing.T) {
	w := single(t, func(*otav1alpha1.Rollout, *otav1alpha1.Channel) {})
	w.begin("shop")
	w.stages = []eprocess.Stage{arms(0, 10_000, 100, 90_000, 900)}
	r := w.look("shop", time.Hour)
	if r.Status.Weight != "1" || r.Status.Analysis[0].Verdict != otav1alpha1.VerdictNotEnoughSamples {
		t.Errorf("at %s %%: %s", r.Status.Weight, r.Status.Message)
	}
	w.stages = []eprocess.Stage{arms(0, 20_000, 2000, 180_000, 1800)}
	if r = w.look("shop", 10*time.Second); r.Status.Release.State != otav1alpha1.ReleaseRollingBack {
		t.Errorf("%s: %s", r.Status.Release.State, r.Status.Message)
	}
}
