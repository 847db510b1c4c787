// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"errors"
	"testing"

	ctrl "sigs.k8s.io/controller-runtime"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/argo"
)

// The statuses that a manager writes for each reason are to kstatus and to Argo CD what docs/gitops.md says, and nothing else.
func TestFinish_gitOps(t *testing.T) {
	table, err := argo.Table("../../docs/gitops.md")
	if err != nil {
		t.Fatal(err)
	}
	for reason, want := range table {
		r := &otav1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "shop", Generation: 3}}
		r.Status.ObservedGeneration = 3 // an error that may pass leaves it
		s := &scope{rollout: r, decision: plan.Decision{Reason: reason, Message: "why", Release: plan.Release{Revision: 1, Bundle: "shop-1"}}}
		var failure error
		if reason == otav1alpha1.InternalErrorReason {
			failure = errors.New("the API server is away")
		}
		if _, err := s.finish(ctrl.Result{}, failure); !errors.Is(err, failure) {
			t.Errorf("%s: %v", reason, err)
		}
		testkit.CheckStatus(t, r)
		obj, err := argo.FromObject(r)
		if err != nil {
			t.Fatal(err)
		}
		health, err := argo.HealthOf(obj)
		if got := (argo.Row{Health: health.Status, KStatus: testkit.KStatus(r)}); err != nil || got != want {
			t.Errorf("%s: %+v (%v), want %+v", reason, got, err, want)
		}
	}
}
