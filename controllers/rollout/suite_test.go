// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const namespace = "mobile"

// world is a reconciler over a fake API server, where a test plays the Channel's controller and the gateways.
type world struct {
	*testing.T
	*Reconciler

	client client.Client
	events *events.FakeRecorder
	now    time.Time

	mu      sync.Mutex
	stages  []eprocess.Stage
	outage  string // of the counts
	groups  []blame.Group
	asked   int   // for groups
	fault   error // of the groups
	hanging bool  // the groups are never answered
	lost    error // of the next status writes
}

func newWorld(t *testing.T, objs ...client.Object) *world {
	t.Helper()
	w := &world{T: t, now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), events: events.NewFakeRecorder(100)}
	scheme := runtime.NewScheme()
	if err := otav1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&otav1alpha1.Rollout{}, &otav1alpha1.Channel{}, &otav1alpha1.Bundle{}).
		WithInterceptorFuncs(interceptor.Funcs{SubResourceApply: w.apply}).WithObjects(objs...)
	for name, extract := range map[string]client.IndexerFunc{
		index.RolloutChannel: index.RolloutByChannel, index.RolloutBundles: index.RolloutByBundles, index.RolloutPlace: index.RolloutByPlace,
	} {
		builder = builder.WithIndex(&otav1alpha1.Rollout{}, name, extract)
	}
	builder = builder.WithIndex(&otav1alpha1.Channel{}, index.ChannelRepository, index.ChannelByRepository)
	w.client = builder.Build()
	w.Reconciler = &Reconciler{Client: w.client, Recorder: w.events, Measurer: w, Now: func() time.Time { return w.now }}
	return w
}

// apply writes a status, unless the test loses it.
func (w *world) apply(
	ctx context.Context, c client.Client, subresource string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption,
) error {
	if w.lost != nil {
		return w.lost
	}
	return c.SubResource(subresource).Apply(ctx, obj, opts...)
}

// Measure plays the gateways.
func (w *world) Measure(context.Context, Subject) analysis.Measurement {
	w.mu.Lock()
	defer w.mu.Unlock()
	return analysis.Measurement{Stages: w.stages, Err: w.outage}
}

// Slices plays the gateways.
func (w *world) Slices(ctx context.Context, _ Subject) ([]blame.Group, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if w.hanging {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return w.groups, w.fault
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name), Generation: 1}
}

// channel is published, and serves nothing.
func channel(name, repository string) *otav1alpha1.Channel {
	at := metav1.NewMicroTime(time.Date(2026, 3, 2, 11, 0, 0, 0, time.UTC))
	return &otav1alpha1.Channel{
		ObjectMeta: meta(name), Spec: otav1alpha1.ChannelSpec{App: testkit.App, RepositoryRef: &otav1alpha1.LocalReference{Name: repository}},
		Status: otav1alpha1.ChannelStatus{Published: &otav1alpha1.PublishedStatus{Revision: 1, At: &at}},
	}
}

func bundle(name string) *otav1alpha1.Bundle {
	const digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	return &otav1alpha1.Bundle{
		ObjectMeta: meta(name), Spec: otav1alpha1.BundleSpec{App: testkit.App, Version: "1.0.0", Digest: digest},
		Status: otav1alpha1.BundleStatus{
			ObservedGeneration: 1, Artifact: &otav1alpha1.ArtifactStatus{Digest: digest, Size: 1, Path: "bundles/a.zip"},
			Conditions: []metav1.Condition{{Type: otav1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: "Succeeded", ObservedGeneration: 1}},
		},
	}
}

func repository(name string, active *int32) *otav1alpha1.Repository {
	return &otav1alpha1.Repository{ObjectMeta: meta(name), Spec: otav1alpha1.RepositorySpec{MaxActiveRollouts: active}}
}

// rollout releases shop-1 with 1 %, then 10 %, by a metric that allows no increase.
func rollout(name, channel string) *otav1alpha1.Rollout {
	out := &otav1alpha1.Rollout{ObjectMeta: meta(name), Spec: otav1alpha1.RolloutSpec{
		ChannelRef: otav1alpha1.LocalReference{Name: channel}, BundleRef: otav1alpha1.LocalReference{Name: "shop-1"},
		Steps: []otav1alpha1.Step{testkit.SetWeight(1), testkit.PauseFor("30m", 0), testkit.SetWeight(10), testkit.PauseFor("30m", 0)},
		Analysis: &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{{
			Name: "failures", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed}, MaxIncrease: "1",
		}}},
	}}
	out.Finalizers = []string{finalizer}
	return out
}

// reconcile looks at a Rollout once, and gives it.
func (w *world) reconcile(name string) (*otav1alpha1.Rollout, ctrl.Result) {
	w.Helper()
	key := types.NamespacedName{Namespace: namespace, Name: name}
	res, err := w.Reconcile(w.Context(), ctrl.Request{NamespacedName: key})
	if err != nil && (w.lost == nil || !errors.Is(err, w.lost)) {
		w.Fatal(err)
	}
	return w.get(name), res
}

func (w *world) get(name string) *otav1alpha1.Rollout {
	w.Helper()
	out := &otav1alpha1.Rollout{}
	if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: namespace, Name: name}, out); err != nil {
		w.Fatal(err)
	}
	return out
}

// publish commits what a Rollout asks of its Channel, as the Channel's controller would.
func (w *world) publish(r *otav1alpha1.Rollout) {
	w.Helper()
	ch := &otav1alpha1.Channel{}
	if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: namespace, Name: r.Spec.ChannelRef.Name}, ch); err != nil {
		w.Fatal(err)
	}
	a := r.Status.Assignment
	ch.Status.Candidate = nil
	if a.State == otav1alpha1.AssignmentCandidate {
		ch.Status.Candidate = &otav1alpha1.CandidateBundle{
			Bundle: a.Bundle, Digest: a.Digest, Weight: a.Weight, Stage: a.Stage, Exclude: a.Exclude, Release: a.Release,
			Salt: plan.Salt(string(r.UID), a.Release), RolloutRef: &otav1alpha1.LocalReference{Name: r.Name},
		}
	}
	if a.Refuse != "" {
		ch.Status.Refused = append(ch.Status.Refused, otav1alpha1.RefusedBundle{Digest: a.Digest, Reason: a.Refuse, By: "rollout/" + r.Name})
	}
	at := metav1.NewMicroTime(w.now)
	ch.Status.Published.At = &at
	if err := w.client.Status().Update(w.Context(), ch); err != nil {
		w.Fatal(err)
	}
}

// begin brings a Rollout to its first weight, visible to devices.
func (w *world) begin(name string) *otav1alpha1.Rollout {
	w.Helper()
	r, _ := w.reconcile(name)
	if r.Status.Weight != "1" {
		w.Fatalf("weight is %q: %s", r.Status.Weight, r.Status.Message)
	}
	w.publish(r)
	r, _ = w.reconcile(name)
	return r
}

// look lets time pass, and looks at a Rollout.
func (w *world) look(name string, after time.Duration) *otav1alpha1.Rollout {
	w.Helper()
	w.now = w.now.Add(after)
	r, _ := w.reconcile(name)
	return r
}

// happened gives the reasons of all events since the last call.
func (w *world) happened() []string {
	var out []string
	for {
		select {
		case e := <-w.events.Events:
			out = append(out, e)
		default:
			return out
		}
	}
}

// arms are counts of a stage in which everybody reported.
func arms(id int32, exposed, failed, control, controlFailed int64) eprocess.Stage {
	return eprocess.Stage{
		ID:        id,
		Candidate: eprocess.Arm{Exposed: exposed, Voted: exposed, Failed: failed},
		Control:   eprocess.Arm{Exposed: control, Voted: control, Failed: controlFailed},
	}
}
