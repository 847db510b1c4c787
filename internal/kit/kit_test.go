// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

func TestFinish(t *testing.T) {
	cause := errors.New("cause")
	for name, tc := range map[string]struct {
		err          error
		want         []string // conditions as type=status/reason
		wantObserved int64
		wantAfter    time.Duration
		wantErr      bool
		wantTerminal bool
	}{
		"done":              {nil, nil, 7, time.Minute, false, false},
		"waiting":           {Wait("NotYet", time.Second, "later"), []string{"Reconciling=True/NotYet", "Ready=Unknown/NotYet"}, 7, time.Second, false, false},
		"waiting, no delay": {Wait("NotYet", 0, "later"), []string{"Reconciling=True/NotYet", "Ready=Unknown/NotYet"}, 7, 30 * time.Second, false, false},
		"stalled":           {Stall("Bad", "no: %w", cause), []string{"Stalled=True/Bad", "Ready=False/Bad"}, 7, 0, true, true},
		"transient":         {Retry("Down", "no: %w", cause), []string{"Reconciling=True/ProgressingWithRetry", "Ready=False/Down"}, 3, 0, true, false},
		"unknown":           {cause, []string{"Reconciling=True/ProgressingWithRetry", "Ready=False/InternalError"}, 3, 0, true, false},
		"wrapped":           {fmt.Errorf("phase: %w", Stall("Bad", "no")), []string{"Stalled=True/Bad", "Ready=False/Bad"}, 7, 0, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			conds := []metav1.Condition{} // whatever was abnormal before must not stay
			SetCondition(&conds, 3, otav1alpha1.StalledCondition, metav1.ConditionTrue, "Old", "")
			SetCondition(&conds, 3, otav1alpha1.ReconcilingCondition, metav1.ConditionTrue, "Old", "")
			observed := int64(3)
			res, err := Finish(7, &conds, &observed, ctrl.Result{RequeueAfter: time.Minute}, tc.err)
			var got []string
			for _, c := range conds {
				got = append(got, fmt.Sprintf("%s=%s/%s", c.Type, c.Status, c.Reason))
			}
			if tc.want == nil && len(got) > 0 || tc.want != nil && !sameSet(tc.want, got) {
				t.Errorf("conditions: %s", cmp.Diff(tc.want, got))
			}
			if observed != tc.wantObserved || res.RequeueAfter != tc.wantAfter {
				t.Errorf("observed %d, requeue after %s; want %d, %s", observed, res.RequeueAfter, tc.wantObserved, tc.wantAfter)
			}
			if (err != nil) != tc.wantErr || errors.Is(err, reconcile.TerminalError(nil)) != tc.wantTerminal {
				t.Errorf("error %v, want one: %v, terminal: %v", err, tc.wantErr, tc.wantTerminal)
			}
		})
	}
}

func sameSet(a, b []string) bool {
	seen := map[string]int{}
	for _, s := range a {
		seen[s]++
	}
	for _, s := range b {
		seen[s]--
	}
	for _, n := range seen {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestSettle(t *testing.T) {
	gr := schema.GroupResource{Resource: "bundles"}
	lost := fmt.Errorf("write status (outcome: %w): %w", errors.New("x"), apierrors.NewConflict(gr, "b", errors.New("stale")))
	if res, err := Settle(ctrl.Result{}, lost); err != nil || res.RequeueAfter == 0 {
		t.Errorf("a conflict gives %v, %v: want a short requeue", res, err)
	}
	if res, err := Settle(ctrl.Result{RequeueAfter: time.Hour}, apierrors.NewNotFound(gr, "b")); err != nil || res.RequeueAfter != 0 {
		t.Errorf("a vanished object gives %v, %v: want nothing", res, err)
	}
	if _, err := Settle(ctrl.Result{}, errors.New("boom")); err == nil {
		t.Error("another error is lost")
	}
}

func TestRun(t *testing.T) {
	var ran []string
	phase := func(name string, after time.Duration, err error) Phase[*int] {
		return func(context.Context, *int) (time.Duration, error) { ran = append(ran, name); return after, err }
	}
	res, err := Run(t.Context(), new(int), phase("a", 0, nil), phase("b", time.Hour, nil), phase("c", time.Minute, nil))
	if err != nil || res.RequeueAfter != time.Minute {
		t.Errorf("got %v, %v: want the soonest delay that is none", res, err)
	}
	ran = nil
	_, err = Run(t.Context(), new(int), phase("a", time.Hour, nil), phase("b", 0, errors.New("no")), phase("c", 0, nil))
	if diff := cmp.Diff([]string{"a", "b"}, ran); diff != "" || err == nil {
		t.Errorf("ran %v, error %v: want to stop at the first error", ran, err)
	}
}

func TestSetCondition_keepsTransitionTimeAndBounds(t *testing.T) {
	var conds []metav1.Condition
	SetCondition(&conds, 1, "A", metav1.ConditionTrue, "R", "one")
	conds[0].LastTransitionTime = metav1.NewTime(time.Unix(1, 0))
	SetCondition(&conds, 2, "A", metav1.ConditionTrue, "R2", strings.Repeat("ü", 5000))
	c := apimeta.FindStatusCondition(conds, "A")
	if !c.LastTransitionTime.Time.Equal(time.Unix(1, 0)) || c.ObservedGeneration != 2 {
		t.Errorf("got %+v", c)
	}
	if len(c.Message) > maxMessage || strings.ToValidUTF8(c.Message, "") != c.Message {
		t.Errorf("message of %d bytes is too long or cut inside a character", len(c.Message))
	}
}
