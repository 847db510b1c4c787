// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package release tells stories of releases: the Rollout and Channel controllers on a real API server, with a publisher that
// commits in memory and metrics that say what the story wants. Stories on real parts only are in test/e2e.
package release

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/controllers/channel"
	"github.com/windlass-dev/windlass/controllers/rollout"
	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/clock"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// memoryPublisher commits in memory a moment after it was asked, as the real one does in a bucket. It remembers every commit.
type memoryPublisher struct {
	mu        sync.Mutex
	broken    error
	committed map[string]release.Committed
	log       []release.Document
	version   int64
	floor     string
	wake      func(channel string)
}

func (p *memoryPublisher) Submit(doc *release.Document) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return
	}
	p.version++
	p.committed[doc.App+"/"+doc.Channel] = release.Committed{Document: doc, MetadataVersion: p.version, At: time.Now().UTC()}
	p.log = append(p.log, *doc)
	go p.wake(doc.Channel)
}

func (p *memoryPublisher) Remove(app, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.committed, app+"/"+name)
	go p.wake(name)
}

func (p *memoryPublisher) Committed(app, name string) (release.Committed, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.committed[app+"/"+name]
	return c, ok
}

func (p *memoryPublisher) Problem(string, string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

func (p *memoryPublisher) Floor(string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.floor
}

func (p *memoryPublisher) For(client.ObjectKey) (channel.Publisher, bool) { return p, true }

// raise sets the floor of all apps.
func (p *memoryPublisher) raise(floor string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.floor = floor
}

// documents gives all commits so far.
func (p *memoryPublisher) documents() []release.Document {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]release.Document(nil), p.log...)
}

func (p *memoryPublisher) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = err
}

// script says what is measured, by digest.
type script struct {
	mu   sync.Mutex
	says map[string]analysis.Measurement
}

func (s *script) Measure(_ context.Context, subject rollout.Subject) analysis.Measurement {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.says[subject.Digest]
	if len(m.Stages) > 0 { // the same counts in each stage
		all := m.Stages[0]
		m.Stages = nil
		for all.ID = range subject.Stage {
			all.ID++
			m.Stages = append(m.Stages, all)
		}
	}
	return m
}

// Slices are not what these stories are about.
func (s *script) Slices(context.Context, rollout.Subject) ([]blame.Group, error) { return nil, nil }

func (s *script) say(digest otav1alpha1.Digest, m analysis.Measurement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says[string(digest)] = m
}

func devices(n, failures int64) analysis.Measurement {
	return analysis.Measurement{Stages: []eprocess.Stage{{ID: 1, Candidate: eprocess.Arm{Exposed: n, Voted: n, Failed: failures}}}}
}

// bench is one story's world.
type bench struct {
	*testkit.Env
	*testing.T
	publisher *memoryPublisher
	metrics   *script
	commands  int
}

// newBench starts both controllers in a namespace of the test, with a Repository and a Channel production.
func newBench(t *testing.T) *bench {
	env := testkit.Start(t)
	b := &bench{Env: env, T: t, metrics: &script{says: map[string]analysis.Measurement{}}}
	commits := make(chan event.GenericEvent, 100)
	b.publisher = &memoryPublisher{committed: map[string]release.Committed{}, wake: func(name string) {
		commits <- event.GenericEvent{Object: &otav1alpha1.Channel{ObjectMeta: metav1.ObjectMeta{Namespace: env.Namespace, Name: name}}}
	}}
	b.startManager(commits)
	b.create(&otav1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Namespace: env.Namespace, Name: "default"},
		Spec: otav1alpha1.RepositorySpec{
			Storage: otav1alpha1.StorageSpec{Endpoint: "https://s3.example.com", Bucket: "updates"},
			Trust:   otav1alpha1.TrustSpec{Authorities: []otav1alpha1.Authority{{Name: "ci", PublicKey: &otav1alpha1.PublicKeySource{Inline: "PEM"}}}},
		},
	})
	b.create(&otav1alpha1.Channel{ObjectMeta: b.meta("production"), Spec: otav1alpha1.ChannelSpec{App: "shop", MaxFirstWeight: "100"}})
	return b
}

func (b *bench) startManager(commits chan event.GenericEvent) {
	b.Helper()
	mgr, err := ctrl.NewManager(b.Config, ctrl.Options{
		Scheme: b.Scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{b.Namespace: {}}},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	must(b.T, err)
	ch := &channel.Reconciler{Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder("channel"), Publishers: b.publisher, Wall: time.Now, Steady: clock.Steady()}
	must(b.T, ch.SetupWithManager(b.Context(), mgr, commits, controller.Options{}))
	ro := &rollout.Reconciler{Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder("rollout"), Measurer: b.metrics, Now: clock.Steady()}
	must(b.T, ro.SetupWithManager(b.Context(), mgr, controller.Options{}))
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Errorf("manager: %v", err)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: b.Namespace, Name: name}
}

func (b *bench) create(o client.Object) {
	b.Helper()
	must(b.T, b.Client.Create(b.Context(), o))
}

func digestOf(n int) otav1alpha1.Digest { return otav1alpha1.Digest(fmt.Sprintf("sha256:%064d", n)) }

// bundle makes a Bundle shop-n of version 1.n.0 that is ready, as the Bundle controller would leave it.
func (b *bench) bundle(n int) *otav1alpha1.Bundle {
	b.Helper()
	o := &otav1alpha1.Bundle{ObjectMeta: b.meta(fmt.Sprintf("shop-%d", n)), Spec: otav1alpha1.BundleSpec{
		App: "shop", Version: otav1alpha1.Version(fmt.Sprintf("1.%d.0", n)), Digest: digestOf(n),
		Source:     otav1alpha1.BundleSource{HTTP: &otav1alpha1.HTTPSource{URL: "https://ci.example.com/x.zip"}},
		Signatures: []otav1alpha1.SignatureSource{{Inline: "MEUCIQDf3x4x4x4x4x4x"}},
	}}
	b.create(o)
	o.Status = otav1alpha1.BundleStatus{
		ObservedGeneration: 1,
		Conditions: []metav1.Condition{{Type: otav1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: otav1alpha1.SucceededReason,
			LastTransitionTime: metav1.Now(), ObservedGeneration: 1}},
		Artifact:      &otav1alpha1.ArtifactStatus{Digest: digestOf(n), Size: 100, Path: fmt.Sprintf("bundles/shop/1.%d.0.zip", n)},
		Verifications: []otav1alpha1.Verification{{Authority: "ci", KeyID: "k"}},
	}
	must(b.T, b.Client.Status().Update(b.Context(), o))
	return o
}

// rollout makes a Rollout shop on production with a telemetry metric: at most 2 % of at least 10 devices may fail.
func (b *bench) rollout(bundle string, steps ...otav1alpha1.Step) *otav1alpha1.Rollout {
	b.Helper()
	o := &otav1alpha1.Rollout{ObjectMeta: b.meta("shop"), Spec: otav1alpha1.RolloutSpec{
		ChannelRef: otav1alpha1.LocalReference{Name: "production"}, BundleRef: otav1alpha1.LocalReference{Name: bundle}, Steps: steps,
		Analysis: &otav1alpha1.Analysis{Metrics: []otav1alpha1.Metric{{
			Name: "update-failures", Interval: "1s", Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed},
			MaxRate: "0.02", MinSamples: new(int32(10)),
		}}},
	}}
	b.create(o)
	return o
}

// command gives a command by annotation, as a person would.
func (b *bench) command(o *otav1alpha1.Rollout, name string) {
	b.Helper()
	b.commands++
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q,%q:"c%d"}}}`, otav1alpha1.CommandAnnotation, name, otav1alpha1.CommandIDAnnotation, b.commands)
	must(b.T, b.Client.Patch(b.Context(), o, client.RawPatch("application/merge-patch+json", patch)))
}

// change patches a spec.
func (b *bench) change(o client.Object, spec string) {
	b.Helper()
	must(b.T, b.Client.Patch(b.Context(), o, client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+spec+`}`))))
}

// production reads the Channel.
func (b *bench) production() *otav1alpha1.Channel {
	b.Helper()
	o := &otav1alpha1.Channel{}
	must(b.T, b.Client.Get(b.Context(), client.ObjectKey{Namespace: b.Namespace, Name: "production"}, o))
	return o
}

// comes waits until a Rollout is ready for a reason, and gives it.
func (b *bench) comes(o *otav1alpha1.Rollout, status metav1.ConditionStatus, reason string) *otav1alpha1.Rollout {
	b.Helper()
	testkit.Eventually(b.T, b.Client, o, testkit.HaveCondition(otav1alpha1.ReadyCondition, status, reason), testkit.BeObserved())
	return o
}

// ends checks what must hold at the end of every story: honest statuses, and nothing that writes on and on.
func (b *bench) ends(objs ...client.Object) {
	b.Helper()
	objs = append(objs, b.production())
	testkit.StandStill(b.T, b.Client, objs...)
	for _, o := range objs {
		must(b.T, b.Client.Get(b.Context(), client.ObjectKeyFromObject(o), o))
		testkit.CheckStatus(b.T, o)
	}
}

// weights are the weights that were committed for a digest, in order, without repetition.
func (b *bench) weights(digest otav1alpha1.Digest) []int32 {
	var out []int32
	for _, d := range b.publisher.documents() {
		if c := d.Candidate; c != nil && c.Bundle.Digest == string(digest) && (len(out) == 0 || out[len(out)-1] != c.Weight) {
			out = append(out, c.Weight)
		}
	}
	return out
}

var errBucket = errors.New("bucket is gone")

func eventually(t testing.TB, check func(g gomega.Gomega)) {
	t.Helper()
	gomega.NewWithT(t).Eventually(check).WithTimeout(testkit.Timeout).WithPolling(testkit.Interval).Should(gomega.Succeed())
}
