// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// newLine has four Rollouts of a Repository with room for one, and one of another Repository.
func newLine(t *testing.T, limit *int32) *world {
	t.Helper()
	objs := []client.Object{repository("default", limit), repository("other", new(int32(1))), bundle("shop-1")}
	for _, name := range []string{"a", "b", "c", "d"} {
		objs = append(objs, channel(name, "default"), rollout(name, name))
	}
	foreign, kept := rollout("z", "z"), bundle("shop-2")
	foreign.Spec.BundleRef.Name, kept.Spec.RepositoryRef = "shop-2", &otav1alpha1.LocalReference{Name: "other"}
	return newWorld(t, append(objs, channel("z", "other"), foreign, kept)...)
}

func place(r *otav1alpha1.Rollout) int32 {
	if r.Status.Queue == nil {
		return 0
	}
	return r.Status.Queue.Position
}

// The first has its turn; the others wait in the order in which they came, whatever they are called. When it ends, the next one starts.
func TestQueue_order(t *testing.T) {
	w := newLine(t, new(int32(1)))
	w.begin("b")
	for _, name := range []string{"d", "a", "c"} {
		r := w.look(name, time.Second)
		testkit.CheckStatus(t, r)
	}
	for name, want := range map[string]int32{"b": 0, "d": 1, "a": 2, "c": 3} {
		if got := place(w.look(name, 0)); got != want {
			t.Errorf("%s is at position %d, want %d", name, got, want)
		}
	}
	if r := w.look("c", 0); r.Status.Queue.Active != 1 || r.Status.Queue.Limit != 1 || !strings.Contains(r.Status.Message, "position 3") {
		t.Errorf("%+v: %s", r.Status.Queue, r.Status.Message)
	}
	if r, _ := w.reconcile("z"); r.Status.Weight != "1" {
		t.Errorf("another Repository has its own line: %s", r.Status.Message)
	}
	w.happened()

	w.command("b", "abort")
	w.publish(w.look("b", time.Second))
	if r := w.look("b", time.Second); r.Status.Release.State != otav1alpha1.ReleaseAborted {
		t.Fatalf("b is %s", r.Status.Release.State)
	}
	for name, want := range map[string]int32{"a": 2, "c": 3} {
		if got := place(w.look(name, time.Second)); got != want {
			t.Errorf("%s is at position %d, want %d while the first one of the line has not started", name, got, want)
		}
	}
	if r := w.look("d", time.Second); place(r) != 0 || r.Status.Weight != "1" {
		t.Errorf("d has its turn, but is at position %d with weight %s", place(r), r.Status.Weight)
	}
	if got := w.happened(); !slices.ContainsFunc(got, func(e string) bool { return strings.Contains(e, "QueueLeft") }) {
		t.Errorf("events: %q", got)
	}
	for name, want := range map[string]int32{"a": 1, "c": 2} {
		if got := place(w.look(name, time.Second)); got != want {
			t.Errorf("%s is at position %d, want %d", name, got, want)
		}
	}
}

// command gives a command by annotation.
func (w *world) command(name, command string) {
	w.Helper()
	r := w.get(name)
	r.Annotations = map[string]string{otav1alpha1.CommandAnnotation: command, otav1alpha1.CommandIDAnnotation: w.now.String()}
	if err := w.client.Update(w.Context(), r); err != nil {
		w.Fatal(err)
	}
}

// Two that look at the same time do not both see room: the cache does not know yet that the first one has started.
func TestQueue_staleCache(t *testing.T) {
	w := newLine(t, new(int32(1)))
	w.lost = errLost
	if r, _ := w.reconcile("a"); r.Status.Release != nil {
		t.Fatal("the write was not lost")
	}
	w.lost = nil
	r, res := w.reconcile("b")
	if place(r) != 1 {
		t.Errorf("b started while a may have: %s", r.Status.Message)
	}
	if res.RequeueAfter == 0 {
		t.Error("b waits for what nobody can see, and is not woken")
	}
	if r, _ := w.reconcile("a"); r.Status.Weight != "1" {
		t.Errorf("a did not go on: %s", r.Status.Message)
	}
	if len(w.line.started) != 1 {
		t.Errorf("remembered starts: %v", w.line.started)
	}
	w.look("b", time.Second)
	if len(w.line.started) != 0 {
		t.Errorf("the cache knows of a, but it is still remembered: %v", w.line.started)
	}
}

// A start whose write was lost does not hold the others for ever, whatever became of that Rollout.
func TestQueue_lostStart(t *testing.T) {
	for name, change := range map[string]func(*world){
		"made invalid": func(w *world) {
			r := w.get("a")
			r.Spec.Analysis.Metrics[0].MaxIncrease = "0"
			if err := w.client.Update(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			_, _ = w.Reconcile(t.Context(), requestOf(r)) // a terminal error
		},
		"without a Channel": func(w *world) {
			if err := w.client.Delete(t.Context(), channel("a", "default")); err != nil {
				t.Fatal(err)
			}
			w.reconcile("a")
		},
		"deleted": func(w *world) {
			r := w.get("a")
			if err := w.client.Delete(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			_, _ = w.Reconcile(t.Context(), requestOf(r))
		},
		"never seen again": func(w *world) { w.now = w.now.Add(startPatience + time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newLine(t, new(int32(1)))
			w.lost = errLost
			w.reconcile("a")
			w.lost = nil
			if r, _ := w.reconcile("b"); place(r) != 1 {
				t.Fatalf("the test tests nothing: b is at position %d", place(r))
			}
			change(w)
			if r, _ := w.reconcile("b"); place(r) != 0 || r.Status.Weight != "1" {
				t.Errorf("b waits at position %d: %s", place(r), r.Status.Message)
			}
		})
	}
}

// What cannot start holds no place in the line.
func TestQueue_invalidSpecLeaves(t *testing.T) {
	w := newLine(t, new(int32(1)))
	w.begin("a")
	w.look("b", time.Second)
	r := w.get("b")
	r.Spec.Analysis.Metrics[0].MaxIncrease = "0"
	if err := w.client.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Reconcile(t.Context(), requestOf(r)) // a terminal error
	if r = w.get("b"); place(r) != 0 {
		t.Errorf("b is at position %d, though it cannot start", place(r))
	}
	if r = w.look("c", time.Second); place(r) != 1 {
		t.Errorf("c is at position %d, want 1", place(r))
	}
}

// A stop is carried out also where the spec cannot be: it does not wait for a mended one.
func TestStop_invalidSpec(t *testing.T) {
	w := newLine(t, new(int32(1)))
	w.begin("a")
	w.look("b", time.Second)
	r := w.get("b")
	r.Spec.Analysis.Metrics[0].MaxIncrease = "0"
	r.Annotations = map[string]string{otav1alpha1.CommandAnnotation: plan.Abort, otav1alpha1.CommandIDAnnotation: "1"}
	if err := w.client.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Reconcile(t.Context(), requestOf(r))
	r = w.get("b")
	if last := r.Status.LastCommand; last == nil || last.ID != "1" || last.Result != otav1alpha1.CommandAccepted || r.Status.Release.State != otav1alpha1.ReleaseAborted {
		t.Errorf("command %+v, release %+v", last, r.Status.Release)
	}
}

func TestQueue_noLimitNoLine(t *testing.T) {
	w := newLine(t, nil)
	for _, name := range []string{"a", "b", "c", "d"} {
		if r, _ := w.reconcile(name); r.Status.Weight != "1" || r.Status.Queue != nil {
			t.Errorf("%s: %s", name, r.Status.Message)
		}
	}
	if len(w.line.started) != 0 {
		t.Errorf("remembered starts: %v", w.line.started)
	}
}

// Who waits is woken by who comes and goes, and not by who is only measured.
func TestMoved(t *testing.T) {
	under := func(state otav1alpha1.ReleaseState, queue *otav1alpha1.QueueStatus, message string) *otav1alpha1.Rollout {
		return &otav1alpha1.Rollout{Status: otav1alpha1.RolloutStatus{Release: &otav1alpha1.ReleaseStatus{State: state}, Queue: queue, Message: message}}
	}
	q := &otav1alpha1.QueueStatus{Position: 1}
	for name, tc := range map[string]struct {
		old, now *otav1alpha1.Rollout
		want     bool
	}{
		"measured": {under(otav1alpha1.ReleaseProgressing, nil, "a"), under(otav1alpha1.ReleaseProgressing, nil, "b"), false},
		"paused":   {under(otav1alpha1.ReleaseProgressing, nil, ""), under(otav1alpha1.ReleasePaused, nil, ""), false},
		"ended":    {under(otav1alpha1.ReleaseRollingBack, nil, ""), under(otav1alpha1.ReleaseRolledBack, nil, ""), true},
		"came":     {under(otav1alpha1.ReleasePending, nil, ""), under(otav1alpha1.ReleasePending, q, ""), true},
		"left":     {under(otav1alpha1.ReleasePending, q, ""), under(otav1alpha1.ReleasePending, nil, ""), true},
		"started":  {under(otav1alpha1.ReleasePending, q, ""), under(otav1alpha1.ReleaseProgressing, nil, ""), true},
	} {
		if got := moved.Update(ctrlevent.UpdateEvent{ObjectOld: tc.old, ObjectNew: tc.now}); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// All who wait are woken when one ends.
func TestQueued_wakes(t *testing.T) {
	w := newLine(t, new(int32(1)))
	w.begin("a")
	w.look("b", time.Second)
	w.look("c", time.Second)
	var woken []string
	for _, r := range w.queued(t.Context(), w.get("a")) {
		woken = append(woken, r.Name)
	}
	slices.Sort(woken)
	if !slices.Equal(woken, []string{"b", "c"}) {
		t.Errorf("woken: %v", woken)
	}
}
